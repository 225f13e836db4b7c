import { floppyFormat } from "../io/floppyFormat.ts";

/**
 * Tells kernel, initrd, firmware and media by content, so that files can be dropped in any order and under any name. It only
 * sorts; whether a kernel can really be used is the loader's question. What cannot be either is named, so that
 * the refusal can say what was found.
 */

export type ImageRole = "kernel" | "initrd" | "bios" | "vgabios" | MediumRole;
/** What goes into a drive, and is read while the machine runs. */
export type MediumRole = "disk" | "disk2" | "cdrom" | "floppy";
export const MEDIA: readonly MediumRole[] = ["cdrom", "floppy", "disk", "disk2"];

/** What files are, for people. */
export const NAMES: Readonly<Record<ImageRole, string>> = {
  kernel: "kernel",
  initrd: "initrd",
  bios: "firmware",
  vgabios: "display ROM",
  cdrom: "CD",
  floppy: "floppy disk",
  disk: "disk",
  disk2: "second disk",
};
/** The same at the beginning of a line. */
export const titleOf = (role: ImageRole): string => NAMES[role][0]!.toUpperCase() + NAMES[role].slice(1);

export interface ImageKind {
  /** Absent when the file can be neither. */
  role?: ImageRole;
  /** What it is, for people: "Linux bzImage (boot protocol 2.15)". */
  what: string;
}

const ascii = (b: Uint8Array, at: number, length: number): string =>
  String.fromCharCode(...b.subarray(at, at + length));
const u16 = (b: Uint8Array, at: number): number => b[at]! | (b[at + 1]! << 8);
const starts = (b: Uint8Array, ...magic: number[]): boolean => magic.every((byte, i) => b[i] === byte);

/** ELF e_machine values that people are likely to bring (System V ABI, chapter 4). */
const MACHINES: Record<number, string> = {
  3: "i386",
  8: "MIPS",
  20: "PowerPC",
  21: "PowerPC64",
  22: "S/390",
  40: "Arm",
  62: "x86-64",
  183: "AArch64",
  243: "RISC-V",
  258: "LoongArch",
};

/** Multiboot 1 header magic, 4-byte aligned within the first 8 KiB (Multiboot specification 0.6.96, 3.1). */
function hasMultibootHeader(b: Uint8Array): boolean {
  for (let at = 0; at + 12 <= Math.min(b.length, 8192); at += 4) {
    if (b[at] === 0x02 && b[at + 1] === 0xb0 && b[at + 2] === 0xad && b[at + 3] === 0x1b) return true;
  }
  return false;
}

function looksLikeText(b: Uint8Array): boolean {
  const head = b.subarray(0, 512);
  return head.every((c) => c === 9 || c === 10 || c === 13 || (c >= 32 && c !== 127));
}

const hasBootSector = (b: Uint8Array): boolean => b.length >= 512 && b[510] === 0x55 && b[511] === 0xaa;

const MOST_FLOPPY = 2880 * 1024;
/**
 * A floppy disk without its end, as images often are: its own boot sector says how large it is (FAT, number of sectors), or it
 * is a small image that is a CD as well, of which the name says which one is meant.
 */
function isCutFloppy(b: Uint8Array, size: number, name: string): boolean {
  if (!hasBootSector(b) || size % 512 || size > MOST_FLOPPY) return false;
  const whole = 512 * u16(b, 19);
  return (whole > size && floppyFormat(whole) !== undefined) || (isCd(b) && DISK_NAME.test(name));
}

const isCd = (b: Uint8Array): boolean => b.length >= 0x8006 && ascii(b, 0x8001, 5) === "CD001";

const DISK_NAME = /\.(img|raw|hdd|dsk)$/i;
export const NO_BOOT_SECTOR = "disk image without a boot sector";

/** Firmware ends with the instruction at the reset vector, a far jump, in whole 64 KiB. */
function isFirmware(tail: Uint8Array, size: number): boolean {
  return size % 0x1_0000 === 0 && size <= 0x20_0000 && tail.length === 16 && tail[0] === 0xea;
}

/**
 * @param b the file, or at least its first 36 KiB (an ISO's magic lies at 32 KiB)
 * @param size of the whole file, and its last 16 bytes
 * @param name a disk without a boot sector is known by nothing else
 */
export function identifyImage(b: Uint8Array, size = b.length, tail = b.subarray(-16), name = ""): ImageKind {
  if (b.length === 0) return { what: "an empty file" };
  // Linux x86 boot protocol: setup header magic at 0x202, protocol version at 0x206.
  if (b.length >= 0x208 && ascii(b, 0x202, 4) === "HdrS") {
    const version = u16(b, 0x206);
    return {
      role: "kernel",
      what: `Linux bzImage (boot protocol ${version >> 8}.${String(version & 0xff).padStart(2, "0")})`,
    };
  }
  if (starts(b, 0x7f, 0x45, 0x4c, 0x46) && b.length >= 20) {
    const machine = b[5] === 2 ? (b[18]! << 8) | b[19]! : u16(b, 18);
    const what = `${b[4] === 2 ? "64" : "32"}-bit ELF for ${MACHINES[machine] ?? `machine ${machine}`}`;
    return machine === 3 || machine === 62 ? { role: "kernel", what } : { what };
  }
  if (starts(b, 0x1f, 0x8b)) return { role: "initrd", what: "gzip archive" };
  if (starts(b, 0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00)) return { role: "initrd", what: "xz archive" };
  if (starts(b, 0x28, 0xb5, 0x2f, 0xfd)) return { role: "initrd", what: "zstd archive" };
  if (starts(b, 0x02, 0x21, 0x4c, 0x18)) return { role: "initrd", what: "lz4 archive" };
  if (starts(b, 0x5d, 0x00, 0x00)) return { role: "initrd", what: "lzma archive" };
  if (starts(b, 0x42, 0x5a, 0x68)) return { role: "initrd", what: "bzip2 archive" };
  if (/^07070[127]$/.test(ascii(b, 0, 6))) return { role: "initrd", what: "cpio archive" };
  // A disk with a boot sector may begin with a kernel that has such a header, too.
  if (hasMultibootHeader(b) && !hasBootSector(b)) return { role: "kernel", what: "Multiboot image" };
  if (b.length >= 0x3c && ascii(b, 0x38, 4) === "ARM\x64") return { what: "a Linux kernel for AArch64" };
  if (isCutFloppy(b, size, name)) return { role: "floppy", what: `floppy disk, of which there are ${size / 1024} KB` };
  if (isCd(b)) return { role: "cdrom", what: "CD image (ISO 9660)" };
  if (starts(b, 0x55, 0xaa) && b.length > 3 && b[2]! * 512 <= size) {
    return { role: "vgabios", what: "option ROM of a display" };
  }
  if (isFirmware(tail, size)) return { role: "bios", what: "PC firmware" };
  if (starts(b, 0x51, 0x46, 0x49, 0xfb)) return { role: "disk", what: "qcow2 disk image" };
  if (starts(b, 0x50, 0x4b, 0x03, 0x04)) return { what: "a zip archive" };
  if (floppyFormat(size)) return { role: "floppy", what: `floppy disk of ${size / 1024} KB` };
  if (hasBootSector(b)) {
    return size % 512 === 0
      ? { role: "disk", what: "disk image with a boot sector" }
      : { what: "a disk image that is cut off: it does not end with a whole sector" };
  }
  if (DISK_NAME.test(name) && size % 512 === 0) return { role: "disk", what: NO_BOOT_SECTOR };
  if (looksLikeText(b)) return { what: "a text file" };
  return { what: "a file of unknown format" };
}
