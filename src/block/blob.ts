/** A file that a person has chosen, or any other Blob: read in pieces when they are needed, never written. */
import { BlockError, type BlockSource } from "./block.ts";

/** What of a Blob is needed; the type itself is the DOM's. */
export interface BlobLike {
  readonly size: number;
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

export class BlobBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly = true;
  readonly #blob: BlobLike;
  readonly #name: string;

  /** `name` is for messages. */
  constructor(blob: BlobLike, name: string) {
    this.#blob = blob;
    this.#name = name;
    this.size = blob.size;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    let piece: ArrayBuffer;
    try {
      piece = await this.#blob.slice(offset, offset + into.length).arrayBuffer();
    } catch {
      // Browsers refuse a file whose date is not what it was.
      throw new BlockError(`${this.#name}: cannot be read any more; was it changed or moved since it was chosen?`);
    }
    if (piece.byteLength !== into.length) throw new BlockError(`${this.#name}: has become shorter`);
    into.set(new Uint8Array(piece));
  }

  write(): never {
    throw new BlockError(`${this.#name}: cannot be written`);
  }

  flush(): void {}
}
