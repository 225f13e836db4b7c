/** Notes in which order the chunks of a disk are read for the first time: the list for a prefetch. */
import type { BlockSource } from "../block.ts";
import { CHUNK } from "./manifest.ts";

export class TouchedBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly: boolean;
  /** Numbers of chunks. */
  readonly chunks = new Set<number>();
  readonly #base: BlockSource;

  constructor(base: BlockSource) {
    this.#base = base;
    this.size = base.size;
    this.readOnly = base.readOnly;
  }

  read(offset: number, into: Uint8Array): void | Promise<void> {
    const last = Math.floor((offset + into.length - 1) / CHUNK);
    for (let n = Math.floor(offset / CHUNK); n <= last; n++) this.chunks.add(n);
    return this.#base.read(offset, into);
  }

  write(offset: number, from: Uint8Array): void | Promise<void> {
    return this.#base.write(offset, from);
  }

  flush(): void | Promise<void> {
    return this.#base.flush();
  }
}
