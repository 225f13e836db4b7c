/** `tabhyve disk`: what a guest has written (`--disk IMAGE,overlay=FOLDER`) with its image as one raw image, and back. */
import { existsSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { BlockError, type BlockSource } from "../block/block.ts";
import { OverlayBlocks } from "../block/overlay.ts";
import { keptBlocks } from "./keptBlocks.ts";
import { openImage } from "./media.ts";
import { reason, UsageError } from "./options.ts";

/** Bytes read and written at a time. */
const PIECE = 1 << 20;
/** What is compared, and kept if it differs: a block of the overlay. */
const BLOCK = 4096;

/**
 * Writes the disk as the guest last made it safe, even if it crashed then.
 *
 * @returns bytes of the disk
 * @throws UsageError with one line
 */
export async function exportDisk(folder: string, image: string, out: string): Promise<number> {
  // Opening makes a folder; one that is not there is a slip of the pen here.
  if (!existsSync(join(folder, "log.a"))) throw new UsageError(`${folder}: nothing is kept there`);
  return named(out, async () => {
    const disk = await overlay(folder, image);
    const file = await open(out, "wx");
    try {
      const piece = new Uint8Array(PIECE);
      for (let at = 0; at < disk.size; at += PIECE) {
        const part = piece.subarray(0, Math.min(PIECE, disk.size - at));
        await disk.read(at, part);
        // Holes stay holes.
        if (part.some((byte) => byte !== 0)) await file.write(part, 0, part.length, at);
      }
      await file.truncate(disk.size);
      await file.sync();
    } finally {
      await file.close();
    }
    return disk.size;
  });
}

/**
 * Makes the overlay hold what differs between the image and a raw image, so that the guest sees the latter.
 *
 * @returns bytes that differ, in blocks
 * @throws UsageError with one line
 */
export async function importDisk(folder: string, image: string, from: string): Promise<number> {
  return named(from, async () => {
    const { size } = await stat(from);
    const base = await openImage(image, { readOnly: true });
    if (size !== base.size) throw new UsageError(`${from}: ${size} bytes; ${image} has ${base.size}`);
    const raw = await openImage(from, { readOnly: true });
    const disk = await overlay(folder, image);
    const [want, have] = [new Uint8Array(PIECE), new Uint8Array(PIECE)];
    let different = 0;
    for (let at = 0; at < size; at += PIECE) {
      const length = Math.min(PIECE, size - at);
      await raw.read(at, want.subarray(0, length));
      await disk.read(at, have.subarray(0, length));
      for (let n = 0; n < length; n += BLOCK) {
        const end = Math.min(length, n + BLOCK);
        if (Buffer.compare(want.subarray(n, end), have.subarray(n, end)) === 0) continue;
        await disk.write(at + n, want.slice(n, end));
        different += end - n;
      }
    }
    await disk.flush();
    return different;
  });
}

async function overlay(folder: string, image: string): Promise<BlockSource> {
  const base = await openImage(image, { readOnly: true });
  return new OverlayBlocks(base, keptBlocks(folder, base.size));
}

async function named<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (error instanceof BlockError) throw new UsageError(error.message);
    throw new UsageError(`${(error as NodeJS.ErrnoException).path ?? file}: ${reason(error)}`);
  }
}
