/** The device thread's end of what the core does for IDE channels by itself; the protocol: assembly/ide.ts. */
import { IDE } from "../shared/ide.ts";
import { CONTROL } from "../shared/layout.ts";
import { ringDoorbell } from "../vcpu/exitWord.ts";
import type { StructView } from "../vcpu/view.ts";

export type IdePorts = "command" | "control" | "master";
const PLACES = { command: IDE.COMMAND, control: IDE.CONTROL, master: IDE.MASTER } as const;

export class IdeFront {
  readonly #control: StructView;
  /** Entries that have been taken from the ring. */
  readonly #taken = [0, 0];

  constructor(control: StructView) {
    this.#control = control;
  }

  /** Where a channel's ports are; undefined: it does not answer there. */
  place(channel: number, which: IdePorts, port: number | undefined): void {
    this.#store(channel, PLACES[which], port ?? 0);
  }

  /** A channel's registers read so from now on (IDE_VALUE); what was taken from the ring is in them. */
  publish(channel: number, values: number): void {
    this.#store(channel, IDE.VALUES, values);
    this.#store(channel, IDE.TAKEN, this.#taken[channel]);
  }

  /** Carries an entry out. */
  take(channel: number, access: () => void): void {
    this.#taken[channel] = (this.#taken[channel] + 1) | 0;
    access();
    // Also if nobody answers at that port any more.
    this.#store(channel, IDE.TAKEN, this.#taken[channel]);
  }

  /** Whether an interrupt may be heard now; false: `publish` will be called again, when the ring has been drained. */
  mayInterrupt(channel: number): boolean {
    if (this.#load(channel, IDE.POSTED) === this.#taken[channel]) return true;
    ringDoorbell(this.#control);
    return false;
  }

  #at(channel: number, word: number): number {
    return this.#control.index(CONTROL.ide) + channel * IDE.WORDS + word;
  }

  #load(channel: number, word: number): number {
    return Atomics.load(this.#control.words, this.#at(channel, word));
  }

  #store(channel: number, word: number, value: number): void {
    Atomics.store(this.#control.words, this.#at(channel, word), value);
  }
}
