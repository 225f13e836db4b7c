/** Finds out by an image's size and its own tables whether its end is missing, as after a download that was broken off. */
import type { BlockSource } from "./block.ts";

const SECTOR = 512;
/** The primary volume descriptor (ECMA-119, 8.4): number of logical blocks, and their size. */
const DESCRIPTOR = 0x8000;
const VOLUME_BLOCKS = 80;
const BLOCK_SIZE = 128;
/** A PC's partition table: four entries of 16 bytes; a protective one (UEFI, 5.2.3) says nothing of sizes. */
const TABLE = 446;
const PROTECTIVE = 0xee;

/** Why an image of that many bytes can be in no drive; undefined: it can. */
export function wrongSize(bytes: number, kind: "disk" | "cdrom" | "floppy"): string | undefined {
  if (bytes === 0) return "is empty";
  if (kind === "cdrom" || bytes % SECTOR === 0) return undefined;
  return `${bytes} bytes are not a whole number of sectors of ${SECTOR}; is it cut off?`;
}

/**
 * What of a CD or a disk lies behind the image's end; undefined: nothing, as far as its tables say.
 *
 * @throws BlockError, in the promise, when it cannot be read
 */
export async function cutOff(image: BlockSource, kind: "disk" | "cdrom"): Promise<string | undefined> {
  const [name, end] = kind === "cdrom" ? ["its volume", await volumeEnd(image)] : await lastPartition(image);
  return end > image.size ? `is cut off: ${name} ends at byte ${end}, the image at ${image.size}` : undefined;
}

async function volumeEnd(image: BlockSource): Promise<number> {
  const bytes = new Uint8Array(2048);
  if (image.size < DESCRIPTOR + bytes.length) return 0;
  await image.read(DESCRIPTOR, bytes);
  if (String.fromCharCode(...bytes.subarray(0, 6)) !== "\x01CD001") return 0;
  const view = new DataView(bytes.buffer);
  return view.getUint32(VOLUME_BLOCKS, true) * view.getUint16(BLOCK_SIZE, true);
}

async function lastPartition(image: BlockSource): Promise<[name: string, end: number]> {
  const bytes = new Uint8Array(SECTOR);
  await image.read(0, bytes);
  const view = new DataView(bytes.buffer);
  let last: [string, number] = ["", 0];
  const entries = [0, 1, 2, 3].map((n) => TABLE + 16 * n);
  // A file system's own boot sector has code there.
  if (view.getUint16(510, true) !== 0xaa55 || entries.some((at) => bytes[at] & 0x7f)) return last;
  entries.forEach((at, n) => {
    const type = bytes[at + 4];
    const end = (view.getUint32(at + 8, true) + view.getUint32(at + 12, true)) * SECTOR;
    if (type && type !== PROTECTIVE && end > last[1]) last = [`partition ${n + 1}`, end];
  });
  return last;
}
