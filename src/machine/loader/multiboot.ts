/**
 * Multiboot 1 (specification 0.6.96): ELF files, and flat images whose header gives load addresses (the a.out
 * kludge). Passes memory sizes and map, command line, modules and the loader's name.
 *
 * Not done: setting a video mode (a request for one is noted and left unanswered), symbols, drives, APM and VBE
 * tables. A 64-bit ELF is beyond the specification but loaded as GRUB does, since hobby kernels rely on it; it is
 * entered in 32-bit mode like any other.
 */

import type { GuestMemory } from "../../shared/device.ts";
import { bytes, type E820Entry, HIMEM_BASE, hex, LOWMEM_END, lowRamTop } from "./e820.ts";
import type { Elf } from "./elf.ts";
import { bootGdt, protected32 } from "./entry.ts";
import { cString, Placer } from "./placer.ts";
import { type LoadConfig, type LoadedKernel, LoaderError } from "./types.ts";

const HEADER_MAGIC = 0x1bad_b002;
/** In EAX at entry. */
const LOADER_MAGIC = 0x2bad_b002;
const HEADER_WINDOW = 8192;

//  Header flags (3.1.2): 15:0 are demands that a loader must understand, 31:16 may be ignored
//   16       2      1       0
//  [addresses | video | memory | align]
const FLAG_ALIGN = 1 << 0;
const FLAG_MEMORY = 1 << 1;
const FLAG_VIDEO = 1 << 2;
const FLAG_ADDRESSES = 1 << 16;
const UNDERSTOOD = FLAG_ALIGN | FLAG_MEMORY | FLAG_VIDEO;

// Information structure (3.3): which fields are valid, and where they are.
const MBI_MEMORY = 1 << 0;
const MBI_CMDLINE = 1 << 2;
const MBI_MODS = 1 << 3;
const MBI_MMAP = 1 << 6;
const MBI_LOADER_NAME = 1 << 9;
const MBI_SIZE = 116;
const MODULE_ENTRY_SIZE = 16;
const MMAP_ENTRY_SIZE = 24;

export interface MultibootHeader {
  /** Offset of the header in the file. */
  readonly offset: number;
  readonly flags: number;
  /** The address fields of the a.out kludge, if the flags say they are valid. */
  readonly addresses?: {
    readonly headerAddr: number;
    readonly loadAddr: number;
    readonly loadEndAddr: number;
    readonly bssEndAddr: number;
    readonly entryAddr: number;
  };
}

/** Finds the header: within the first 8192 bytes, on 4 bytes, with a checksum that brings the sum to zero. */
export function findMultibootHeader(file: Uint8Array): MultibootHeader | undefined {
  const view = new DataView(file.buffer, file.byteOffset, Math.min(file.length, HEADER_WINDOW));
  for (let at = 0; at + 12 <= view.byteLength; at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue;
    const flags = view.getUint32(at + 4, true);
    if ((HEADER_MAGIC + flags + view.getUint32(at + 8, true)) >>> 0 !== 0) continue;
    if ((flags & FLAG_ADDRESSES) === 0) return { offset: at, flags };
    if (at + 32 > view.byteLength) continue;
    const field = (n: number): number => view.getUint32(at + 12 + n * 4, true);
    return {
      offset: at,
      flags,
      addresses: {
        headerAddr: field(0),
        loadAddr: field(1),
        loadEndAddr: field(2),
        bssEndAddr: field(3),
        entryAddr: field(4),
      },
    };
  }
  return undefined;
}

/**
 * Loads the kernel, with `config.initrd` as its only module (whose string is "initrd").
 * @throws LoaderError for demands in the header that are not understood, for addresses that make no sense, and for
 * what does not fit into RAM.
 */
export function loadMultiboot(
  memory: GuestMemory,
  config: LoadConfig,
  header: MultibootHeader,
  elf?: Elf,
): LoadedKernel {
  const unknown = header.flags & 0xffff & ~UNDERSTOOD;
  if (unknown !== 0) {
    throw new LoaderError(
      `kernel's Multiboot header demands features ${hex(unknown)}; need none but align, memory, video`,
    );
  }
  const placer = new Placer(memory, config);
  // Load addresses in the header go before the ELF's own (3.1.2, bit 16).
  const byElf = header.addresses ? undefined : elf;
  const { entry, end } = byElf ? putElf(placer, config.kernel, byElf) : putFlat(placer, config.kernel, header);

  const modules: { gpa: number; size: number }[] = [];
  if (config.initrd && config.initrd.length > 0) {
    modules.push({ gpa: placer.putAbove("initrd", config.initrd, end), size: config.initrd.length });
  }
  const gdt = placer.putLow("GDT", bootGdt("protected32"));
  const name = config.kernelName ?? "kernel";
  const cmdline = placer.putLow("command line", cString(config.append ? `${name} ${config.append}` : name));
  const strings = cString("tabhyve\0initrd");

  const modulesAt = MBI_SIZE;
  const mmapAt = modulesAt + modules.length * MODULE_ENTRY_SIZE;
  const stringsAt = mmapAt + placer.map.length * MMAP_ENTRY_SIZE;
  const info = placer.putAt("multiboot_info", stringsAt + strings.length, (gpa) => {
    const block = new Uint8Array(stringsAt + strings.length);
    const view = new DataView(block.buffer);
    const put = (at: number, value: number): void => view.setUint32(at, value, true);
    put(0, MBI_MEMORY | MBI_CMDLINE | MBI_MODS | MBI_MMAP | MBI_LOADER_NAME);
    put(4, LOWMEM_END / 1024);
    put(8, (lowRamTop(placer.map) - HIMEM_BASE) / 1024);
    put(16, cmdline);
    put(20, modules.length);
    put(24, gpa + modulesAt);
    put(44, placer.map.length * MMAP_ENTRY_SIZE);
    put(48, gpa + mmapAt);
    put(64, gpa + stringsAt);
    modules.forEach((module, i) => {
      const at = modulesAt + i * MODULE_ENTRY_SIZE;
      put(at, module.gpa);
      put(at + 4, module.gpa + module.size);
      put(at + 8, gpa + stringsAt + "tabhyve\0".length);
    });
    for (const [i, range] of placer.map.entries()) putRange(view, mmapAt + i * MMAP_ENTRY_SIZE, range);
    block.set(strings, stringsAt);
    return block;
  });

  const video = (header.flags & FLAG_VIDEO) !== 0;
  return {
    format: "multiboot",
    description: `Multiboot ${byElf ? `${byElf.bits}-bit ELF` : "flat image"}, entry at ${hex(entry)} (${bytes(config.kernel.length)})`,
    cpu: protected32({ rip: entry, registers: { RAX: LOADER_MAGIC, RBX: info }, gdt }),
    placed: placer.placed,
    e820: placer.map,
    warnings: video ? ["kernel asks for a video mode by its Multiboot header; none is set"] : [],
  };
}

/** An entry of the memory map. Its size field counts what follows it. Types are E820's. */
function putRange(view: DataView, at: number, range: E820Entry): void {
  view.setUint32(at, MMAP_ENTRY_SIZE - 4, true);
  view.setBigUint64(at + 4, BigInt(range.base), true);
  view.setBigUint64(at + 12, BigInt(range.length), true);
  view.setUint32(at + 20, range.type, true);
}

interface Loaded {
  readonly entry: number;
  readonly end: number;
}

/** The entry point is a virtual address; a loader that knows no paging needs it to lie in a segment's image. */
function putElf(placer: Placer, file: Uint8Array, elf: Elf): Loaded {
  let end = 0;
  for (const segment of elf.load) {
    placer.put(
      "kernel",
      segment.paddr,
      file.subarray(segment.offset, segment.offset + segment.fileSize),
      segment.memorySize,
    );
    end = Math.max(end, segment.paddr + segment.memorySize);
  }
  const inside = (base: bigint, size: number): boolean => base <= elf.entry && elf.entry < base + BigInt(size);
  if (elf.load.some((s) => inside(BigInt(s.paddr), s.memorySize))) return { entry: Number(elf.entry), end };
  const home = elf.load.find((s) => inside(s.vaddr, s.memorySize));
  if (!home) {
    throw new LoaderError(
      `kernel's entry point 0x${elf.entry.toString(16)} lies in none of its segments; need one inside`,
    );
  }
  return { entry: home.paddr + Number(elf.entry - home.vaddr), end };
}

/** Places a flat image by its header's addresses (3.1.3). */
function putFlat(placer: Placer, file: Uint8Array, header: MultibootHeader): Loaded {
  const a = header.addresses;
  if (!a) throw new Error("a flat Multiboot image needs address fields");
  const start = header.offset - (a.headerAddr - a.loadAddr);
  const size = a.loadEndAddr === 0 ? file.length - start : a.loadEndAddr - a.loadAddr;
  if (a.headerAddr < a.loadAddr || start < 0 || size <= 0) {
    throw new LoaderError(
      `kernel's Multiboot addresses make no sense (header ${hex(a.headerAddr)}, load ${hex(a.loadAddr)}-${hex(a.loadEndAddr)}); ` +
        "need header_addr at or above load_addr, and both in the file",
    );
  }
  if (start + size > file.length) {
    throw new LoaderError(
      `kernel is a Multiboot image cut short: it should have ${start + size} bytes but has ${file.length}`,
    );
  }
  const memorySize = Math.max(size, a.bssEndAddr === 0 ? 0 : a.bssEndAddr - a.loadAddr);
  if (a.entryAddr < a.loadAddr || a.entryAddr >= a.loadAddr + memorySize) {
    throw new LoaderError(
      `kernel's entry point ${hex(a.entryAddr)} lies outside its image at ${hex(a.loadAddr)}; need one inside`,
    );
  }
  placer.put("kernel", a.loadAddr, file.subarray(start, start + size), memorySize);
  return { entry: a.entryAddr, end: a.loadAddr + memorySize };
}
