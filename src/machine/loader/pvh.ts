/**
 * ELF kernels by the PVH direct boot ABI (Xen's docs/misc/pvh.pandoc and start_info.h): a note names a 32-bit entry
 * point, EBX points to an hvm_start_info. Linux's vmlinux and FreeBSD's kernel have it, in 32 and in 64 bits.
 *
 * Not done: physical relocation (XEN_ELFNOTE_PHYS32_RELOC); a kernel goes where its program headers say.
 */

import type { GuestMemory } from "../../shared/device.ts";
import { bytes, hex } from "./e820.ts";
import { type Elf, EM_386 } from "./elf.ts";
import { bootGdt, protected32 } from "./entry.ts";
import { cString, Placer } from "./placer.ts";
import { type LoadConfig, type LoadedKernel, LoaderError } from "./types.ts";

/** Type of the note "Xen" whose value is the entry point's physical address. */
const XEN_ELFNOTE_PHYS32_ENTRY = 18;

const START_MAGIC = 0x336e_c578;
const START_INFO_SIZE = 56;
const MODLIST_ENTRY_SIZE = 32;
const MEMMAP_ENTRY_SIZE = 24;
/** Top of what a 32-bit Linux maps early; a 64-bit one reaches an initrd anywhere below 4 GiB. */
const INITRD_LIMIT_32 = 0x3800_0000;
const INITRD_LIMIT_64 = 0x1_0000_0000;

/** The PVH entry point of an ELF file, or undefined if it has none. The note's value has 4 or 8 bytes. */
export function pvhEntry(elf: Elf): number | undefined {
  const note = elf.notes.find((n) => n.name === "Xen" && n.type === XEN_ELFNOTE_PHYS32_ENTRY && n.desc.length >= 4);
  if (!note) return undefined;
  return new DataView(note.desc.buffer, note.desc.byteOffset).getUint32(0, true);
}

/** @throws LoaderError for what does not fit into RAM, and an entry point outside the file's segments. */
export function loadPvh(memory: GuestMemory, config: LoadConfig, elf: Elf, entry: number): LoadedKernel {
  const placer = new Placer(memory, config);
  let end = 0;
  for (const segment of elf.load) {
    const data = config.kernel.subarray(segment.offset, segment.offset + segment.fileSize);
    placer.put("kernel", segment.paddr, data, segment.memorySize);
    end = Math.max(end, segment.paddr + segment.memorySize);
  }
  if (!elf.load.some((s) => s.paddr <= entry && entry < s.paddr + s.memorySize)) {
    throw new LoaderError(`kernel's PVH entry point ${hex(entry)} lies in none of its segments; need one inside`);
  }

  const modules: { gpa: number; size: number }[] = [];
  if (config.initrd && config.initrd.length > 0) {
    const limit = elf.machine === EM_386 ? INITRD_LIMIT_32 : INITRD_LIMIT_64;
    modules.push({ gpa: placer.putHigh("initrd", config.initrd, end, limit), size: config.initrd.length });
  }
  const gdt = placer.putLow("GDT", bootGdt("protected32"));
  const cmdline = placer.putLow("command line", cString(config.append ?? ""));

  //  hvm_start_info, version 1              hvm_modlist_entry      hvm_memmap_table_entry
  //   0 magic          4 version             0 paddr                 0 addr
  //   8 flags         12 nr_modules          8 size                  8 size
  //  16 modlist_paddr 24 cmdline_paddr      16 cmdline_paddr        16 type (E820)  20 reserved
  //  32 rsdp_paddr    40 memmap_paddr       24 reserved
  //  48 memmap_entries 52 reserved
  const modlistAt = START_INFO_SIZE;
  const memmapAt = modlistAt + modules.length * MODLIST_ENTRY_SIZE;
  const block = new Uint8Array(memmapAt + placer.map.length * MEMMAP_ENTRY_SIZE);
  const view = new DataView(block.buffer);
  modules.forEach((module, i) => {
    view.setBigUint64(modlistAt + i * MODLIST_ENTRY_SIZE, BigInt(module.gpa), true);
    view.setBigUint64(modlistAt + i * MODLIST_ENTRY_SIZE + 8, BigInt(module.size), true);
  });
  placer.map.forEach((range, i) => {
    const at = memmapAt + i * MEMMAP_ENTRY_SIZE;
    view.setBigUint64(at, BigInt(range.base), true);
    view.setBigUint64(at + 8, BigInt(range.length), true);
    view.setUint32(at + 16, range.type, true);
  });
  view.setUint32(0, START_MAGIC, true);
  view.setUint32(4, 1, true);
  view.setUint32(12, modules.length, true);
  view.setBigUint64(24, BigInt(cmdline), true);
  view.setBigUint64(32, BigInt(config.acpiRsdp ?? 0), true);
  view.setUint32(48, placer.map.length, true);
  const startInfo = placer.putAt("hvm_start_info", block.length, (gpa) => {
    if (modules.length > 0) view.setBigUint64(16, BigInt(gpa + modlistAt), true);
    view.setBigUint64(40, BigInt(gpa + memmapAt), true);
    return block;
  });

  return {
    format: "pvh",
    description: `${elf.bits}-bit ELF, PVH entry at ${hex(entry)} (${bytes(config.kernel.length)})`,
    cpu: protected32({ rip: entry, registers: { RBX: startInfo }, gdt }),
    placed: placer.placed,
    e820: placer.map,
    warnings: [],
  };
}
