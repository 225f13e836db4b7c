/**
 * Linux's bzImage, by the kernel's boot protocol (Documentation/arch/x86/boot.rst): the 64-bit entry where the
 * kernel has one, else the 32-bit entry; of the kernel proper where it can be unpacked here (payload.ts), else of the
 * decompressor. The real-mode part of the file is used only for its setup header.
 *
 * Not done: zImages (loaded low), kernels before protocol 2.05 (Linux 2.6.20), EFI handover, setup_data.
 */

import type { GuestMemory } from "../../shared/device.ts";
import { bytes, type E820Entry, EBDA_BASE, HIMEM_BASE, hex, PCI_HOLE_BASE } from "./e820.ts";
import { bootGdt, identityTables, long64, protected32 } from "./entry.ts";
import { unpackKernel } from "./payload.ts";
import { alignUp, cString, Placer } from "./placer.ts";
import { type LoadConfig, type LoadedKernel, LoaderError } from "./types.ts";

export const BOOT_FLAG_AT = 0x1fe;
export const BOOT_FLAG = 0xaa55;
export const HDRS_AT = 0x202;
/** "HdrS" */
export const HDRS = 0x5372_6448;

// The setup header: offsets in the file, and in the zero page that is handed over.
const SETUP_SECTS = 0x1f1;
const SYSSIZE = 0x1f4;
const VID_MODE = 0x1fa;
const JUMP = 0x200;
const VERSION = 0x206;
const KERNEL_VERSION = 0x20e;
const TYPE_OF_LOADER = 0x210;
const LOADFLAGS = 0x211;
const RAMDISK_IMAGE = 0x218;
const RAMDISK_SIZE = 0x21c;
const CMD_LINE_PTR = 0x228;
const INITRD_ADDR_MAX = 0x22c;
const KERNEL_ALIGNMENT = 0x230;
const RELOCATABLE_KERNEL = 0x234;
const XLOADFLAGS = 0x236;
const CMDLINE_SIZE = 0x238;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const PREF_ADDRESS = 0x258;
const INIT_SIZE = 0x260;
// Other fields of the zero page (Documentation/arch/x86/zero-page.rst).
const ACPI_RSDP_ADDR = 0x070;
const ALT_MEM_K = 0x1e0;
const E820_ENTRIES = 0x1e8;
const E820_TABLE = 0x2d0;
const E820_MAX_ENTRIES = 128;

const LOADED_HIGH = 1 << 0;
const XLF_KERNEL_64 = 1 << 0;
const VID_MODE_NORMAL = 0xffff;
/** "Undefined": a loader without an assigned number. */
const LOADER_TYPE = 0xff;
const STARTUP_64_OFFSET = 0x200;

/** Where the tables go: below 640 KiB, in RAM that Linux reserves for itself or frees after it has read them. */
const GDT_GPA = 0x1000;
const ZERO_PAGE_GPA = 0x2000;
const PAGE_TABLES_GPA = 0x9000;
const CMDLINE_GPA = 0x2_0000;

/** The setup header's fields that matter here, with the protocol's defaults for kernels too old to have them. */
export interface SetupHeader {
  /** Protocol version, 0x020f for 2.15. */
  readonly version: number;
  /** What `uname -r` will print and more, or "" if the file does not say. */
  readonly kernelVersion: string;
  readonly is64: boolean;
  /** Offset of the protected-mode part in the file. */
  readonly systemOffset: number;
  readonly relocatable: boolean;
  readonly alignment: number;
  readonly prefAddress: number;
  /** RAM that the kernel uses from where it runs, before it looks at the memory map. 0: not known. */
  readonly initSize: number;
  readonly initrdAddrMax: number;
  readonly cmdlineSize: number;
  /** Compressed kernel: offset in the file, length. Undefined before protocol 2.08. */
  readonly payload?: { readonly offset: number; readonly length: number };
}

/**
 * Reads and checks the setup header of a file that `identify` calls a bzImage.
 * @throws LoaderError if the file is cut short, or is older than the 32-bit boot protocol.
 */
export function parseSetupHeader(file: Uint8Array): SetupHeader {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const cut = (end: number): LoaderError =>
    new LoaderError(
      `kernel is a bzImage cut short: it should have ${end} bytes but has ${file.length}; need the whole file`,
    );
  // A setup_sects of 0 means 4, for the sake of very old kernels.
  const systemOffset = ((view.getUint8(SETUP_SECTS) || 4) + 1) * 512;
  if (file.length < systemOffset) throw cut(systemOffset + view.getUint32(SYSSIZE, true) * 16);
  const version = view.getUint16(VERSION, true);
  const dotted = `${version >> 8}.${String(version & 0xff).padStart(2, "0")}`;
  if (version < 0x205) {
    throw new LoaderError(`kernel is a bzImage of boot protocol ${dotted}; need 2.05 (Linux 2.6.20) or later`);
  }
  if ((view.getUint8(LOADFLAGS) & LOADED_HIGH) === 0) {
    throw new LoaderError("kernel is a zImage (loaded below 640 KiB); need a bzImage");
  }
  // syssize counts paragraphs, rounded up.
  const systemSize = view.getUint32(SYSSIZE, true) * 16;
  if (file.length + 15 < systemOffset + systemSize) throw cut(systemOffset + systemSize);
  const since = <T>(minimum: number, value: () => T, otherwise: T): T => (version >= minimum ? value() : otherwise);
  const payload = since(
    0x208,
    () => ({
      offset: systemOffset + view.getUint32(PAYLOAD_OFFSET, true),
      length: view.getUint32(PAYLOAD_LENGTH, true),
    }),
    undefined,
  );
  if (payload && payload.offset + payload.length > file.length) throw cut(payload.offset + payload.length);
  return {
    version,
    kernelVersion: kernelVersion(file, view, systemOffset),
    is64: since(0x20c, () => (view.getUint16(XLOADFLAGS, true) & XLF_KERNEL_64) !== 0, false),
    systemOffset,
    relocatable: view.getUint8(RELOCATABLE_KERNEL) !== 0,
    alignment: view.getUint32(KERNEL_ALIGNMENT, true),
    prefAddress: since(0x20a, () => Number(view.getBigUint64(PREF_ADDRESS, true)), HIMEM_BASE) || HIMEM_BASE,
    initSize: since(0x20a, () => view.getUint32(INIT_SIZE, true), 0),
    initrdAddrMax: view.getUint32(INITRD_ADDR_MAX, true) || 0x37ff_ffff,
    cmdlineSize: since(0x206, () => view.getUint32(CMDLINE_SIZE, true), 255) || 255,
    ...(payload && { payload }),
  };
}

function kernelVersion(file: Uint8Array, view: DataView, systemOffset: number): string {
  const pointer = view.getUint16(KERNEL_VERSION, true);
  const at = pointer + 0x200;
  if (pointer === 0 || at >= systemOffset) return "";
  return String.fromCharCode(...file.subarray(at, Math.min(at + 128, systemOffset)))
    .replace(/\0.*$/s, "")
    .replace(/[^\x20-\x7e]/g, "?")
    .trim();
}

/** @throws LoaderError for a file that is cut short or too old, and for what does not fit into RAM. */
export function loadBzImage(memory: GuestMemory, config: LoadConfig): LoadedKernel {
  const file = config.kernel;
  const header = parseSetupHeader(file);
  const placer = new Placer(memory, config);

  const cmdline = cString(config.append ?? "");
  if (cmdline.length - 1 > header.cmdlineSize) {
    throw new LoaderError(
      `command line has ${cmdline.length - 1} bytes; this kernel takes at most ${header.cmdlineSize}`,
    );
  }
  if (cmdline.length > EBDA_BASE - CMDLINE_GPA) {
    throw new LoaderError(`command line has ${cmdline.length - 1} bytes; need less than ${EBDA_BASE - CMDLINE_GPA}`);
  }

  // A kernel that is not relocatable starts at 1 MiB and moves itself to its preferred address.
  const loadAddress = header.relocatable ? alignUp(header.prefAddress, header.alignment || 1) : HIMEM_BASE;
  const system = file.subarray(header.systemOffset);
  const runAddress = Math.max(loadAddress, header.prefAddress);
  const kernelEnd = Math.max(loadAddress + system.length, runAddress + header.initSize);
  if (loadAddress >= PCI_HOLE_BASE) {
    throw new LoaderError(
      `kernel wants to be loaded at ${hex(loadAddress)}; need an address below ${hex(PCI_HOLE_BASE)}`,
    );
  }
  const name = header.kernelVersion === "" ? "kernel" : `kernel ${header.kernelVersion.split(" ")[0]}`;
  placer.claim(name, loadAddress, kernelEnd - loadAddress);
  // Its own decompressor is also what turns on five-level paging, where the CPU has it.
  const unpacked = config.la57 ? undefined : unpackKernel(file, header);
  const inside = unpacked?.elf.load.every((s) => s.paddr >= runAddress && s.paddr + s.memorySize <= kernelEnd);
  const kernel = inside ? unpacked : undefined;
  if (!kernel) memory.write(loadAddress, system);
  else for (const s of kernel.elf.load) memory.write(s.paddr, kernel.file.subarray(s.offset, s.offset + s.fileSize));

  const initrd = config.initrd;
  const initrdAt =
    initrd && initrd.length > 0 ? placer.putHigh("initrd", initrd, kernelEnd, header.initrdAddrMax + 1) : undefined;
  placer.put("command line", CMDLINE_GPA, cmdline);
  const zeroPage = makeZeroPage(file, placer.map, config.acpiRsdp ?? 0);
  const zero = new DataView(zeroPage.buffer);
  zero.setUint32(CMD_LINE_PTR, CMDLINE_GPA, true);
  if (initrd && initrdAt !== undefined) {
    zero.setUint32(RAMDISK_IMAGE, initrdAt, true);
    zero.setUint32(RAMDISK_SIZE, initrd.length, true);
  }
  placer.put("boot_params", ZERO_PAGE_GPA, zeroPage);
  placer.put("GDT", GDT_GPA, bootGdt(header.is64 ? "long64" : "protected32"));

  const entry = { registers: { RSI: ZERO_PAGE_GPA }, gdt: GDT_GPA };
  if (header.is64) placer.put("page tables", PAGE_TABLES_GPA, identityTables(PAGE_TABLES_GPA));
  const at = (offset: number): number => (kernel ? Number(kernel.elf.entry) : loadAddress + offset);
  const cpu = header.is64
    ? long64({ ...entry, rip: at(STARTUP_64_OFFSET), cr3: PAGE_TABLES_GPA })
    : protected32({ ...entry, rip: at(0) });
  return {
    format: "bzImage",
    description: `bzImage ${header.kernelVersion || "of unknown version"}, ${header.is64 ? 64 : 32}-bit entry${kernel ? ", unpacked" : ""} (${bytes(file.length)})`,
    cpu,
    placed: placer.placed,
    e820: placer.map,
    warnings: [],
  };
}

/**
 * The zero page (struct boot_params): the file's setup header, and what a loader says about the machine. Zero in
 * screen_info means that no video mode was set, so Linux starts without a VGA console.
 */
function makeZeroPage(file: Uint8Array, map: readonly E820Entry[], acpiRsdp: number): Uint8Array<ArrayBuffer> {
  const page = new Uint8Array(4096);
  const view = new DataView(page.buffer);
  // The header ends where the jump at 0x200 goes; whatever follows in the file is code and must not be copied.
  const headerEnd = JUMP + 2 + file[JUMP + 1];
  page.set(file.subarray(SETUP_SECTS, headerEnd), SETUP_SECTS);
  view.setUint16(VID_MODE, VID_MODE_NORMAL, true);
  view.setUint8(TYPE_OF_LOADER, LOADER_TYPE);
  view.setBigUint64(ACPI_RSDP_ADDR, BigInt(acpiRsdp), true);
  if (map.length > E820_MAX_ENTRIES)
    throw new Error(`e820: ${map.length} entries; boot_params holds ${E820_MAX_ENTRIES}`);
  view.setUint8(E820_ENTRIES, map.length);
  map.forEach((entry, i) => {
    const at = E820_TABLE + i * 20;
    view.setBigUint64(at, BigInt(entry.base), true);
    view.setBigUint64(at + 8, BigInt(entry.length), true);
    view.setUint32(at + 16, entry.type, true);
  });
  const himem = map.find((entry) => entry.base === HIMEM_BASE);
  view.setUint32(ALT_MEM_K, himem ? himem.length / 1024 : 0, true);
  return page;
}
