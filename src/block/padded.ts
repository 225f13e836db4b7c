/** An image that ends early: what is behind its end reads as zeros, and cannot be written. */
import { floppyFormat } from "../io/floppyFormat.ts";
import { BlockError, type BlockSource } from "./block.ts";
import { fatSize } from "./cutOff.ts";

export class PaddedBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly: boolean;
  readonly #base: BlockSource;

  /** @param size bytes that the medium is to have */
  constructor(base: BlockSource, size: number) {
    this.#base = base;
    this.size = size;
    this.readOnly = base.readOnly;
  }

  read(offset: number, into: Uint8Array): void | Promise<void> {
    const there = Math.min(into.length, Math.max(0, this.#base.size - offset));
    into.fill(0, there);
    return there ? this.#base.read(offset, into.subarray(0, there)) : undefined;
  }

  write(offset: number, from: Uint8Array): void | Promise<void> {
    if (offset + from.length > this.#base.size) {
      throw new BlockError(`cannot write at ${offset}: the image has ${this.#base.size} bytes`);
    }
    return this.#base.write(offset, from);
  }

  flush(): void | Promise<void> {
    return this.#base.flush();
  }
}

/** Sizes in KiB that a floppy image of another size is taken for the beginning of. */
const FLOPPY_SIZES = [360, 720, 1440, 2880] as const;

/**
 * A floppy disk of a size that there is: images are often cut off behind their last file. What size they had is what their
 * file system says, if they have one.
 *
 * @throws BlockError, in the promise, if it is larger than any floppy disk
 */
export async function floppyMedium(image: BlockSource): Promise<BlockSource> {
  const whole = await fatSize(image);
  if (whole > image.size) return new PaddedBlocks(image, whole);
  if (floppyFormat(image.size)) return image;
  const size = FLOPPY_SIZES.map((kib) => kib * 1024).find((bytes) => bytes > image.size);
  if (size === undefined) throw new BlockError(`${image.size} bytes are more than a floppy disk has, 2880 KiB`);
  return new PaddedBlocks(image, size);
}
