/**
 * Just enough of ELF (System V ABI, chapters 4 and 5) to load an x86 executable: the header, program headers and
 * notes of 32- and 64-bit little-endian files. Sections, symbols and relocations are not looked at.
 */

import { bytes } from "./e820.ts";
import { LoaderError } from "./types.ts";

export const EM_386 = 3;
export const EM_X86_64 = 62;
const ET_EXEC = 2;
const ET_DYN = 3;
const PT_LOAD = 1;
const PT_NOTE = 4;

/** e_machine values that people might try, for error messages. */
const MACHINES: Record<number, string> = {
  2: "SPARC",
  8: "MIPS",
  20: "PowerPC",
  21: "PowerPC64",
  22: "S/390",
  40: "32-bit ARM",
  43: "SPARC V9",
  50: "Itanium",
  183: "AArch64",
  243: "RISC-V",
  247: "BPF",
  258: "LoongArch",
};

export interface ElfSegment {
  readonly offset: number;
  readonly paddr: number;
  readonly vaddr: bigint;
  readonly fileSize: number;
  readonly memorySize: number;
}

export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly desc: Uint8Array;
}

export interface Elf {
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly entry: bigint;
  readonly load: readonly ElfSegment[];
  readonly notes: readonly ElfNote[];
}

export function isElf(file: Uint8Array): boolean {
  return file.length >= 4 && file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46;
}

/**
 * Parses an x86 ELF executable.
 * @throws LoaderError for another architecture, a file that is not an executable, or one cut short.
 */
export function parseElf(file: Uint8Array): Elf {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 52 || (file[4] === 2 && file.length < 64)) {
    throw new LoaderError(
      `kernel is an ELF file cut short (${bytes(file.length)}): its header is incomplete; need the whole file`,
    );
  }
  const bits = file[4] === 2 ? 64 : 32;
  const name = `${bits}-bit ELF file`;
  if (file[5] !== 1) {
    const machine = MACHINES[view.getUint16(18, false)] ?? "another machine";
    throw new LoaderError(`kernel is a big-endian ${name} for ${machine}; need one for x86-64 or i386`);
  }
  const machine = view.getUint16(18, true);
  if (machine !== EM_386 && machine !== EM_X86_64) {
    const found = MACHINES[machine] ?? "another architecture";
    throw new LoaderError(`kernel is a ${name} for ${found} (e_machine ${machine}); need one for x86-64 or i386`);
  }
  const type = view.getUint16(16, true);
  if (type !== ET_EXEC && type !== ET_DYN) {
    throw new LoaderError(
      `kernel is a ${name} of type ${type} (${type === 1 ? "relocatable object" : "no program"}); need an executable`,
    );
  }
  const word = (at: number): number => (bits === 64 ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  const phoff = bits === 64 ? word(32) : word(28);
  const phentsize = view.getUint16(bits === 64 ? 54 : 42, true);
  const phnum = view.getUint16(bits === 64 ? 56 : 44, true);
  if (phnum > 0 && phentsize < (bits === 64 ? 56 : 32)) {
    throw new LoaderError(
      `kernel is a ${name} with program headers of ${phentsize} bytes; need ${bits === 64 ? 56 : 32}`,
    );
  }
  const whole = (what: string, end: number): void => {
    if (end > file.length) {
      throw new LoaderError(
        `kernel is a ${name} cut short: ${what} ends at ${bytes(end)} but the file at ${bytes(file.length)}`,
      );
    }
  };
  whole("its program header table", phoff + phnum * phentsize);

  const load: ElfSegment[] = [];
  const notes: ElfNote[] = [];
  for (let i = 0; i < phnum; i++) {
    const at = phoff + i * phentsize;
    const p = {
      type: view.getUint32(at, true),
      offset: word(at + (bits === 64 ? 8 : 4)),
      vaddr: bits === 64 ? view.getBigUint64(at + 16, true) : BigInt(view.getUint32(at + 8, true)),
      paddr: word(at + (bits === 64 ? 24 : 12)),
      fileSize: word(at + (bits === 64 ? 32 : 16)),
      memorySize: word(at + (bits === 64 ? 40 : 20)),
      align: word(at + (bits === 64 ? 48 : 28)),
    };
    if (p.type !== PT_LOAD && p.type !== PT_NOTE) continue;
    whole(p.type === PT_LOAD ? "a segment" : "a note", p.offset + p.fileSize);
    if (p.type === PT_NOTE)
      notes.push(...parseNotes(file.subarray(p.offset, p.offset + p.fileSize), p.align === 8 ? 8 : 4));
    else if (p.memorySize > 0) {
      const { offset, vaddr, paddr, fileSize } = p;
      load.push({ offset, vaddr, paddr, fileSize, memorySize: Math.max(fileSize, p.memorySize) });
    }
  }
  const entry = bits === 64 ? view.getBigUint64(24, true) : BigInt(view.getUint32(24, true));
  return { bits, machine, entry, load, notes };
}

function parseNotes(data: Uint8Array, align: number): ElfNote[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const notes: ElfNote[] = [];
  const up = (n: number): number => Math.ceil(n / align) * align;
  for (let at = 0; at + 12 <= data.length; ) {
    const nameSize = view.getUint32(at, true);
    const descSize = view.getUint32(at + 4, true);
    const desc = up(at + 12 + nameSize);
    if (desc + descSize > data.length) break;
    const name = String.fromCharCode(...data.subarray(at + 12, at + 12 + Math.min(nameSize, 64))).replace(/\0.*$/s, "");
    notes.push({ name, type: view.getUint32(at + 8, true), desc: data.subarray(desc, desc + descSize) });
    at = up(desc + descSize);
  }
  return notes;
}
