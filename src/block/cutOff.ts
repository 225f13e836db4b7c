/** Finds out by an image's size and its own tables whether its end is missing, as after a download that was broken off. */
import { floppyFormat } from "../io/floppyFormat.ts";
import type { BlockSource } from "./block.ts";

const SECTOR = 512;
/** The primary volume descriptor (ECMA-119, 8.4): number of logical blocks, and their size. */
const DESCRIPTOR = 0x8000;
const DESCRIPTOR_SIZE = 2048;
const VOLUME_BLOCKS = 80;
const BLOCK_SIZE = 128;
/** A PC's partition table: four entries of 16 bytes; a protective one (UEFI, 5.2.3) says nothing of sizes. */
const TABLE = 446;
const PROTECTIVE = 0xee;
/** Sector 1 of a disk with a GPT (UEFI, 5.3.2): where the second one of its headers is, in the disk's last sector. */
const GPT_SIGNATURE = "EFI PART";
const GPT_ALTERNATE = 32;
/** The BIOS parameter block of FAT: bytes in a sector, and sectors where 16 bits have room for their number. */
const FAT_SECTOR = 11;
const FAT_SECTORS = 19;

/** What a drive takes. */
export type MediumKind = "disk" | "cdrom" | "floppy";

/** Why an image of that many bytes can be in no drive; undefined: it can. */
export function wrongSize(bytes: number, kind: MediumKind): string | undefined {
  if (bytes === 0) return "is empty";
  if (kind === "cdrom" || bytes % SECTOR === 0) return undefined;
  return `${bytes} bytes are not a whole number of sectors of ${SECTOR}; is it cut off?`;
}

/**
 * What lies behind the image's end; undefined: nothing, as far as its tables say.
 *
 * @throws BlockError, in the promise, when it cannot be read
 */
export async function cutOff(image: BlockSource, kind: MediumKind): Promise<string | undefined> {
  const [what, end] = await ENDS[kind](image);
  return end > image.size ? `is cut off: ${what} ends at byte ${end}, the image at ${image.size}` : undefined;
}

type End = readonly [what: string, end: number];
const NONE: End = ["", 0];
const ENDS: Record<MediumKind, (image: BlockSource) => Promise<End>> = {
  cdrom: volumeEnd,
  disk: lastPartition,
  floppy: async (image) => ["its file system", await fatSize(image)],
};

/** Some bytes of an image; those behind its end are 0. */
async function part(image: BlockSource, offset: number, length: number): Promise<DataView> {
  const bytes = new Uint8Array(length);
  const there = Math.min(length, image.size - offset);
  if (there > 0) await image.read(offset, bytes.subarray(0, there));
  return new DataView(bytes.buffer);
}

const text = (view: DataView, length: number): string => String.fromCharCode(...new Uint8Array(view.buffer, 0, length));

async function volumeEnd(image: BlockSource): Promise<End> {
  if (image.size < DESCRIPTOR + DESCRIPTOR_SIZE) return ["a CD's volume descriptor", DESCRIPTOR + DESCRIPTOR_SIZE];
  const view = await part(image, DESCRIPTOR, DESCRIPTOR_SIZE);
  if (text(view, 6) !== "\x01CD001") return NONE;
  return ["its volume", view.getUint32(VOLUME_BLOCKS, true) * view.getUint16(BLOCK_SIZE, true)];
}

async function lastPartition(image: BlockSource): Promise<End> {
  const view = await part(image, 0, SECTOR);
  let last = NONE;
  const entries = [0, 1, 2, 3].map((n) => TABLE + 16 * n);
  // A file system's own boot sector has code there.
  if (view.getUint16(510, true) !== 0xaa55 || entries.some((at) => view.getUint8(at) & 0x7f)) return last;
  for (const [n, at] of entries.entries()) {
    const type = view.getUint8(at + 4);
    if (type === PROTECTIVE) return secondTable(image);
    const end = (view.getUint32(at + 8, true) + view.getUint32(at + 12, true)) * SECTOR;
    if (type && end > last[1]) last = [`partition ${n + 1}`, end];
  }
  return last;
}

async function secondTable(image: BlockSource): Promise<End> {
  const view = await part(image, SECTOR, SECTOR);
  if (text(view, GPT_SIGNATURE.length) !== GPT_SIGNATURE) return NONE;
  return ["its second partition table", (Number(view.getBigUint64(GPT_ALTERNATE, true)) + 1) * SECTOR];
}

/** Bytes of the floppy disk that an image with a FAT file system begins with; 0: it has none. */
export async function fatSize(image: BlockSource): Promise<number> {
  const view = await part(image, 0, SECTOR);
  if (view.getUint16(510, true) !== 0xaa55 || view.getUint16(FAT_SECTOR, true) !== SECTOR) return 0;
  const size = view.getUint16(FAT_SECTORS, true) * SECTOR;
  return floppyFormat(size) ? size : 0;
}
