/** A medium in memory: an image that is there whole, or an empty disk. */
import type { BlockSource } from "./block.ts";

export class MemoryBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly: boolean;
  readonly #bytes: Uint8Array;

  /** Writes go into `bytes`. */
  constructor(bytes: Uint8Array, readOnly = false) {
    this.#bytes = bytes;
    this.size = bytes.length;
    this.readOnly = readOnly;
  }

  read(offset: number, into: Uint8Array): void {
    into.set(this.#bytes.subarray(offset, offset + into.length));
  }

  write(offset: number, from: Uint8Array): void {
    this.#bytes.set(from, offset);
  }

  flush(): void {}
}
