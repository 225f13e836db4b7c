/** The last bytes that a console has shown, for whoever shows it next: a page that opens a snapshot, a second terminal. */

/** Bytes that are kept at least, and at most. */
const KEPT = 128 * 1024;
const LIMIT = 2 * KEPT;

export class Scrollback {
  readonly #bytes = new Uint8Array(LIMIT);
  #length = 0;

  push(bytes: Uint8Array): void {
    const last = bytes.length > KEPT ? bytes.subarray(bytes.length - KEPT) : bytes;
    if (last !== bytes) this.#length = 0;
    if (this.#length + last.length > LIMIT) {
      const kept = Math.max(0, KEPT - last.length);
      this.#bytes.copyWithin(0, this.#length - kept, this.#length);
      this.#length = kept;
    }
    this.#bytes.set(last, this.#length);
    this.#length += last.length;
  }

  /** A copy; it may begin in the middle of a line. */
  get bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  replace(bytes: Uint8Array): void {
    this.#length = 0;
    this.push(bytes);
  }
}
