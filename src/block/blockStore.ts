/** Where an overlay keeps the blocks that were written: in memory, or where they outlive the machine (journal.ts). */

import { BlockError } from "./block.ts";

/** Bytes of a block. */
export const BLOCK = 4096;

export interface BlockStore {
  has(n: number): boolean;
  /** The contents of a block that is there; not to be changed. @throws BlockError */
  get(n: number): Uint8Array;
  /** Takes BLOCK bytes, which the caller leaves alone from now on. @throws BlockError */
  put(n: number, block: Uint8Array): void;
  /** The block is zeros from now on. */
  clear(n: number): void;
  /** What was put is safe when this returns. @throws BlockError */
  flush(): void;
  /** Numbers of the blocks that are there. */
  numbers(): Iterable<number>;
  /** Forgets all blocks. */
  empty(): void;
}

const ZEROS = new Uint8Array(BLOCK);

export class MemoryStore implements BlockStore {
  readonly #blocks = new Map<number, Uint8Array>();
  readonly #most: number;

  /** @param most blocks that it takes */
  constructor(most = Number.POSITIVE_INFINITY) {
    this.#most = most;
  }

  has(n: number): boolean {
    return this.#blocks.has(n);
  }

  get(n: number): Uint8Array {
    return this.#blocks.get(n) as Uint8Array;
  }

  put(n: number, block: Uint8Array): void {
    if (this.#blocks.size >= this.#most && !this.#blocks.has(n)) {
      throw new BlockError(
        `cannot be kept: more than ${(this.#most * BLOCK) >> 20} MB of writes are not held in memory`,
      );
    }
    this.#blocks.set(n, block);
  }

  clear(n: number): void {
    this.#blocks.set(n, ZEROS);
  }

  flush(): void {}

  numbers(): Iterable<number> {
    return this.#blocks.keys();
  }

  empty(): void {
    this.#blocks.clear();
  }
}
