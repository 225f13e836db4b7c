/**
 * Tells by content what a kernel file is. What no loader can use is refused in words that say what it looks like;
 * guessing wrong about such a file costs only the quality of a message.
 */

import { BOOT_FLAG, BOOT_FLAG_AT, HDRS, HDRS_AT } from "./bzImage.ts";
import { bytes } from "./e820.ts";
import { type Elf, EM_386, isElf, parseElf } from "./elf.ts";
import { findMultibootHeader, type MultibootHeader } from "./multiboot.ts";
import { pvhEntry } from "./pvh.ts";
import { LoaderError } from "./types.ts";

export type Image =
  | { readonly format: "bzImage" }
  | { readonly format: "pvh"; readonly elf: Elf; readonly entry: number }
  | { readonly format: "multiboot"; readonly header: MultibootHeader; readonly elf?: Elf };

const NEED = "need a bzImage, an ELF with a PVH note, or a Multiboot 1 image";

/**
 * @throws LoaderError with one line for anything else, for another architecture and for ELF files cut short.
 * An ELF with both a PVH note and a Multiboot header goes by PVH, which can pass the ACPI tables' address.
 */
export function identify(file: Uint8Array): Image {
  if (file.length === 0) throw new LoaderError(`kernel is an empty file; ${NEED}`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length >= HDRS_AT + 4 && view.getUint16(BOOT_FLAG_AT, true) === BOOT_FLAG) {
    if (view.getUint32(HDRS_AT, true) === HDRS) return { format: "bzImage" };
  }
  const header = findMultibootHeader(file);
  if (isElf(file)) {
    const elf = parseElf(file);
    const entry = pvhEntry(elf);
    if (entry !== undefined) return { format: "pvh", elf, entry };
    if (header) return { format: "multiboot", header, elf };
    const found = `${elf.bits}-bit ELF file for ${elf.machine === EM_386 ? "i386" : "x86-64"}`;
    const multiboot2 = hasMultiboot2(view) ? " (Multiboot 2 is not Multiboot 1)" : "";
    throw new LoaderError(`kernel is a ${found} without a PVH note or Multiboot header${multiboot2}; ${NEED}`);
  }
  if (header?.addresses) return { format: "multiboot", header };
  throw new LoaderError(`kernel is ${describe(file, view)}; ${NEED}`);
}

/** Multiboot 2's header: magic 0xe85250d6 on 8 bytes within 32 KiB. */
function hasMultiboot2(view: DataView): boolean {
  for (let at = 0; at + 4 <= Math.min(view.byteLength, 32768); at += 8) {
    if (view.getUint32(at, true) === 0xe852_50d6) return true;
  }
  return false;
}

/** {offset, bytes in hexadecimal, what it is}; the first that matches names the file. */
const MAGICS: readonly (readonly [number, string, string])[] = [
  [0, "1f8b", "gzip-compressed (gunzip it first, if a vmlinux is inside)"],
  [0, "fd377a585a00", "xz-compressed (unxz it first, if a vmlinux is inside)"],
  [0, "28b52ffd", "zstd-compressed (unzstd it first, if a vmlinux is inside)"],
  [0, "425a68", "bzip2-compressed (bunzip2 it first, if a vmlinux is inside)"],
  [0, "5d000000", "lzma-compressed (unlzma it first, if a vmlinux is inside)"],
  [0, "02214c18", "lz4-compressed (unlz4 it first, if a vmlinux is inside)"],
  [0, "04224d18", "lz4-compressed (unlz4 it first, if a vmlinux is inside)"],
  [0, "30373037", "a cpio archive: an initrd, not a kernel"],
  [0, "68737173", "a squashfs file system, not a kernel"],
  [0, "213c617263683e0a", "an ar archive or Debian package, not the kernel in it"],
  [0, "504b0304", "a zip archive"],
  [0, "27051956", "a U-Boot uImage"],
  [0, "d6505285", "a Multiboot 2 image"],
  [0x24, "18286f01", "a 32-bit ARM zImage"],
  [0x38, "41524d64", "an ARM64 Linux Image"],
  [0x38, "52534305", "a RISC-V Linux Image"],
  [0x8001, "4344303031", "a CD image, not a kernel (that is for --cdrom)"],
  [257, "7573746172", "a tar archive"],
];

const PE_MACHINES: Record<number, string> = {
  332: "i386",
  452: "32-bit ARM",
  20530: "32-bit RISC-V",
  20580: "64-bit RISC-V",
  25138: "LoongArch",
  34404: "x86-64",
  43620: "ARM64",
};

function describe(file: Uint8Array, view: DataView): string {
  for (const [offset, magic, what] of MAGICS) if (startsWith(file, offset, magic)) return what;
  const pe = startsWith(file, 0, "4d5a") && file.length >= 0x40 ? view.getUint32(0x3c, true) : 0;
  if (pe > 0 && pe + 6 <= file.length && view.getUint32(pe, true) === 0x4550) {
    const machine = view.getUint16(pe + 4, true);
    return `an EFI application or other PE file for ${PE_MACHINES[machine] ?? `machine 0x${machine.toString(16)}`}`;
  }
  if (hasMultiboot2(view)) return "a Multiboot 2 image";
  const text = asText(file);
  if (text !== undefined) {
    if (text.startsWith("version https://git-lfs")) return "a Git LFS pointer, not the file it stands for";
    if (/^\s*<(!doctype html|html)/i.test(text)) return "an HTML page (a download that failed?)";
    return `a text file (it begins ${JSON.stringify(text.trimStart().slice(0, 24))})`;
  }
  if (file.every((byte) => byte === 0)) return `${bytes(file.length)} of zeros`;
  if (file.length >= 512 && view.getUint16(BOOT_FLAG_AT, true) === BOOT_FLAG) {
    return "a boot sector or disk image, not a kernel (that is for --disk or --floppy)";
  }
  return `a file of unknown type (${bytes(file.length)})`;
}

function startsWith(file: Uint8Array, offset: number, magic: string): boolean {
  for (let i = 0; i < magic.length / 2; i++) {
    if (file[offset + i] !== Number.parseInt(magic.slice(i * 2, i * 2 + 2), 16)) return false;
  }
  return true;
}

/** The first bytes as text, if they are ASCII or UTF-8 without control characters; undefined otherwise. */
function asText(file: Uint8Array): string | undefined {
  const head = file.subarray(0, 512);
  const control = head.some((c) => c === 0x7f || (c < 0x20 && c !== 9 && c !== 10 && c !== 12 && c !== 13));
  if (control) return undefined;
  const percent = Array.from(head, (c) => `%${c.toString(16).padStart(2, "0")}`);
  for (let cut = 0; cut < 4 && cut < percent.length; cut++) {
    try {
      return decodeURIComponent(percent.slice(0, percent.length - cut).join(""));
    } catch {
      // The window may end within a character: try again without its last byte.
    }
  }
  return undefined;
}
