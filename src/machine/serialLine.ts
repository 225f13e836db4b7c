/** COM1's two ends: what the guest has written, until it is handed over, and what it has not taken yet. */
import { joinBytes } from "../shared/bytes.ts";
import { Scrollback } from "./scrollback.ts";

export class SerialLine {
  readonly #take: (bytes: Uint8Array) => number;
  readonly #give: (bytes: Uint8Array) => void;
  #out: number[] = [];
  #in: Uint8Array[] = [];
  readonly #scrollback = new Scrollback();

  /**
   * @param take offers bytes to the guest's FIFO; it returns how many have gone in
   * @param give gets what the guest has written
   */
  constructor(take: (bytes: Uint8Array) => number, give: (bytes: Uint8Array) => void) {
    this.#take = take;
    this.#give = give;
  }

  /** The last that the guest has written: 128 KiB at least, if there was as much. */
  get scrollback(): Uint8Array {
    return this.#scrollback.bytes;
  }

  /** What the guest has not taken yet. */
  get waiting(): Uint8Array {
    return joinBytes(this.#in);
  }

  /** A byte of the guest's; it goes with the next `flush`. */
  written(byte: number): void {
    this.#out.push(byte);
  }

  /** Hands over what the guest has written. */
  flush(): void {
    if (!this.#out.length) return;
    const bytes = Uint8Array.from(this.#out);
    this.#out = [];
    this.#scrollback.push(bytes);
    this.#give(bytes);
  }

  /** Bytes for the guest; they wait until it takes them. */
  send(bytes: Uint8Array): void {
    this.#in.push(bytes);
    this.feed();
  }

  /** The guest's FIFO has room. */
  feed(): void {
    while (this.#in.length) {
      const taken = this.#take(this.#in[0]);
      if (taken === 0) return;
      if (taken === this.#in[0].length) this.#in.shift();
      else this.#in[0] = this.#in[0].subarray(taken);
    }
  }

  /** As a snapshot has it. */
  restore(waiting: Uint8Array, scrollback: Uint8Array): void {
    this.#in = waiting.length ? [waiting] : [];
    this.#out = [];
    this.#scrollback.replace(scrollback);
  }
}
