/**
 * Guest output on its way to the terminal. A guest can print faster than a terminal can parse and draw; given a
 * megabyte at once the page would freeze. The pump hands over small chunks, each only when the one before it has
 * been parsed, and ends its turn when it has used its share of a frame. It never drops a byte: when it is far
 * behind it asks for the UART to be held, so that the guest waits as it would for a slow line.
 *
 * What it does not do: look at the bytes. A chunk may end inside a UTF-8 or escape sequence; the terminal's parser
 * carries its state across writes.
 */

/** Bytes per write: about half a millisecond of parsing. */
const CHUNK = 4096;
/** Milliseconds of parsing before the browser gets its turn. */
const SLICE_MS = 8;
export const HIGH_WATER = 1 << 20;
export const LOW_WATER = 1 << 18;

export interface PumpOptions {
  /** Parses bytes, then calls back. */
  write(bytes: Uint8Array, parsed: () => void): void;
  /** Asks the engine to stop (true) or go on (false) transmitting. */
  hold(held: boolean): void;
  now?(): number;
  /** Runs a function after the browser had a turn. */
  later?(run: () => void): void;
}

export class OutputPump {
  readonly #options: Required<PumpOptions>;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #busy = false;
  #held = false;
  #sliceStart = 0;

  constructor(options: PumpOptions) {
    this.#options = { now: () => performance.now(), later: (run) => setTimeout(run, 0), ...options };
  }

  /** Bytes accepted but not yet handed to the terminal. */
  get pending(): number {
    return this.#queued;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    this.#checkHold();
    if (this.#busy) return;
    this.#busy = true;
    this.#sliceStart = this.#options.now();
    this.#next();
  }

  /** Forgets what is queued: the machine it came from is gone. */
  clear(): void {
    this.#queue = [];
    this.#queued = 0;
    this.#checkHold();
  }

  #next(): void {
    const chunk = this.#take();
    if (!chunk) {
      this.#busy = false;
      return;
    }
    this.#options.write(chunk, () => {
      this.#checkHold();
      if (this.#options.now() - this.#sliceStart < SLICE_MS) return this.#next();
      this.#options.later(() => {
        this.#sliceStart = this.#options.now();
        this.#next();
      });
    });
  }

  /** Up to CHUNK bytes; small pieces are joined, since each write costs the terminal a turn. */
  #take(): Uint8Array | undefined {
    const head = this.#queue[0];
    if (!head) return undefined;
    if (head.length >= CHUNK) {
      if (head.length === CHUNK) this.#queue.shift();
      else this.#queue[0] = head.subarray(CHUNK);
      this.#queued -= CHUNK;
      return head.subarray(0, CHUNK);
    }
    let pieces = 0;
    let length = 0;
    for (const piece of this.#queue) {
      if (length + piece.length > CHUNK) break;
      length += piece.length;
      pieces++;
    }
    this.#queued -= length;
    const taken = this.#queue.splice(0, pieces);
    if (taken.length === 1) return head;
    const chunk = new Uint8Array(length);
    let at = 0;
    for (const piece of taken) {
      chunk.set(piece, at);
      at += piece.length;
    }
    return chunk;
  }

  #checkHold(): void {
    const held = this.#held ? this.#queued > LOW_WATER : this.#queued > HIGH_WATER;
    if (held === this.#held) return;
    this.#held = held;
    this.#options.hold(held);
  }
}
