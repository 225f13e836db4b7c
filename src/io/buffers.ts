/**
 * Buffers for data between a medium and guest memory, which are used again. A new one for each command costs more than the
 * command: JavaScript's collector goes over the heap after so many megabytes of them.
 */

/** Those that are free, and bytes of each, at most. */
const KEPT = 4;
const LARGEST = 2 << 20;
const SMALLEST = 4096;

export class Buffers {
  readonly #free: ArrayBuffer[] = [];

  /** `length` bytes of anything; nobody else has them until they are given back. */
  take(length: number): Uint8Array<ArrayBuffer> {
    const free = this.#free.pop();
    if (free && free.byteLength >= length) return new Uint8Array(free, 0, length);
    // One that is too small is not kept: the next ones will be as long.
    const size = length > LARGEST ? length : Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(length)));
    return new Uint8Array(new ArrayBuffer(size), 0, length);
  }

  /** The command is over, and no source looks at it any more. */
  give({ buffer }: Uint8Array<ArrayBuffer>): void {
    if (this.#free.length < KEPT && buffer.byteLength <= LARGEST) this.#free.push(buffer);
  }
}
