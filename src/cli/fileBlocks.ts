/** Disk images in files. They are read and written at once: that is the host's page cache, which is quicker than an event. */
import { closeSync, fstatSync, fsyncSync, openSync } from "node:fs";
import { BlockError, type BlockSource } from "../block/block.ts";
import { flushed, readWhole, writeWhole } from "./files.ts";

export class FileBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly: boolean;
  readonly #fd: number;
  readonly #file: string;
  readonly #repeatable: boolean;
  /** Date of the last change, in milliseconds. */
  readonly #changed: number;

  /**
   * @param options `repeatable`: a flush is done at once, too, so that a guest's time does not depend on the host's
   * @throws an error of the file system
   */
  constructor(file: string, { readOnly, repeatable = false }: { readOnly: boolean; repeatable?: boolean }) {
    this.#file = file;
    this.#repeatable = repeatable;
    this.readOnly = readOnly;
    this.#fd = openSync(file, readOnly ? "r" : "r+");
    const { size, mtimeMs } = fstatSync(this.#fd);
    this.size = size;
    this.#changed = mtimeMs;
  }

  read(offset: number, into: Uint8Array): void {
    // Where this machine does not write, nobody else may: the guest would see half of one state and half of another.
    if (this.readOnly && fstatSync(this.#fd).mtimeMs !== this.#changed) {
      throw new BlockError(`${this.#file}: was changed while the machine used it`);
    }
    if (!readWhole(this.#fd, offset, into)) {
      throw new BlockError(`${this.#file}: has become shorter than the ${this.size} bytes it had`);
    }
  }

  write(offset: number, from: Uint8Array): void {
    writeWhole(this.#fd, offset, from);
  }

  flush(): void | Promise<void> {
    if (!this.#repeatable) return flushed(this.#fd);
    fsyncSync(this.#fd);
  }

  /** It is not read any more. */
  close(): void {
    closeSync(this.#fd);
  }
}
