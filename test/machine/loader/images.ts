/** Kernel files made by hand, as small as the formats allow, and RAM to load them into. */

import type { GuestMemory } from "../../../src/shared/device.ts";

export const MIB = 2 ** 20;

/** RAM full of junk, so that whatever a loader must zero and does not is seen. */
export class Ram implements GuestMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  constructor(size: number) {
    this.bytes = new Uint8Array(size).fill(0xcc);
    this.view = new DataView(this.bytes.buffer);
  }
  read(gpa: number, into: Uint8Array): void {
    into.set(this.bytes.subarray(gpa, gpa + into.length));
  }
  write(gpa: number, from: Uint8Array): void {
    if (gpa + from.length > this.bytes.length) throw new Error(`write beyond RAM at ${gpa}`);
    this.bytes.set(from, gpa);
  }
  u32(gpa: number): number {
    return this.view.getUint32(gpa, true);
  }
  u64(gpa: number): number {
    return Number(this.view.getBigUint64(gpa, true));
  }
  string(gpa: number): string {
    return new TextDecoder().decode(this.bytes.subarray(gpa, this.bytes.indexOf(0, gpa)));
  }
}

export interface BzImageOptions {
  version?: number;
  xloadflags?: number;
  relocatable?: boolean;
  prefAddress?: bigint;
  initSize?: number;
  cmdlineSize?: number;
  initrdAddrMax?: number;
  loadflags?: number;
  systemSize?: number;
  /** What payload_offset names, instead of more of the same. */
  payload?: Uint8Array;
}

/** One sector of setup code, then `systemSize` bytes that count up, a payload from 300h of them on. */
export function bzImage(o: BzImageOptions = {}): Uint8Array {
  const systemSize = o.systemSize ?? Math.max(0x1000, (0x300 + ((o.payload?.length ?? 0) + 15)) & ~15);
  const file = new Uint8Array(1024 + systemSize);
  const view = new DataView(file.buffer);
  file[0x1f1] = 1;
  view.setUint32(0x1f4, systemSize / 16, true);
  view.setUint16(0x1fe, 0xaa55, true);
  file.set([0xeb, 0x66], 0x200);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, o.version ?? 0x20f, true);
  view.setUint16(0x20e, 0x100, true);
  file[0x211] = o.loadflags ?? 1;
  view.setUint32(0x22c, o.initrdAddrMax ?? 0x7fffffff, true);
  view.setUint32(0x230, 0x200000, true);
  file[0x234] = (o.relocatable ?? true) ? 1 : 0;
  view.setUint16(0x236, o.xloadflags ?? 0x7f, true);
  view.setUint32(0x238, o.cmdlineSize ?? 2047, true);
  view.setUint32(0x248, 0x300, true);
  view.setUint32(0x24c, o.payload?.length ?? systemSize - 0x400, true);
  view.setBigUint64(0x258, o.prefAddress ?? 0x1000000n, true);
  view.setUint32(0x260, o.initSize ?? 0x400000, true);
  // Code that follows the header; it may not end up in the zero page.
  file.fill(0xf4, 0x268, 0x300);
  file.set(new TextEncoder().encode("6.1.0-test (someone@somewhere) #1 SMP\0"), 0x300);
  for (let i = 0; i < systemSize; i++) file[1024 + i] = i & 0xff;
  if (o.payload) file.set(o.payload, 1024 + 0x300);
  return file;
}

/** `data` as an LZ4 legacy frame of literals, with the unpacked size behind it, as Linux's build does. */
export function lz4Frame(data: Uint8Array): Uint8Array {
  const more: number[] = [];
  let rest = data.length - 15;
  for (; rest >= 255; rest -= 255) more.push(255);
  more.push(rest);
  const size = new DataView(new ArrayBuffer(8));
  size.setUint32(0, 1 + more.length + data.length, true);
  size.setUint32(4, data.length, true);
  const bytes = new Uint8Array(size.buffer);
  return Uint8Array.of(2, 0x21, 0x4c, 0x18, ...bytes.subarray(0, 4), 0xf0, ...more, ...data, ...bytes.subarray(4));
}

export interface ElfOptions {
  bits: 32 | 64;
  machine?: number;
  type?: number;
  entry?: bigint;
  /** Value of a XEN_ELFNOTE_PHYS32_ENTRY note. */
  pvh?: number;
  /** Contents of the only loaded segment. */
  text?: Uint8Array;
  paddr?: number;
  vaddr?: bigint;
  memorySize?: number;
}

/** An executable with one loaded segment, its text at file offset 0x200, and an optional PVH note at 0x100. */
export function elf(o: ElfOptions): Uint8Array {
  const text = o.text ?? new Uint8Array(256).map((_, i) => i);
  const file = new Uint8Array(0x200 + text.length);
  const view = new DataView(file.buffer);
  const wide = o.bits === 64;
  const word = (at: number, value: number | bigint): void => {
    if (wide) view.setBigUint64(at, BigInt(value), true);
    else view.setUint32(at, Number(BigInt(value) & 0xffff_ffffn), true);
  };
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, o.type ?? 2, true);
  view.setUint16(18, o.machine ?? (wide ? 62 : 3), true);
  const paddr = o.paddr ?? 0x100000;
  word(24, o.entry ?? BigInt(paddr));
  const headerSize = wide ? 64 : 52;
  const entrySize = wide ? 56 : 32;
  word(wide ? 32 : 28, headerSize);
  view.setUint16(wide ? 54 : 42, entrySize, true);
  view.setUint16(wide ? 56 : 44, o.pvh === undefined ? 1 : 2, true);
  const program = (i: number, type: number, offset: number, vaddr: bigint, p: number, size: number, memory: number) => {
    const at = headerSize + i * entrySize;
    const fields = wide ? [8, 16, 24, 32, 40, 48] : [4, 8, 12, 16, 20, 28];
    view.setUint32(at, type, true);
    for (const [n, value] of [offset, vaddr, p, size, memory, 4].entries()) word(at + fields[n], value);
  };
  program(0, 1, 0x200, o.vaddr ?? BigInt(paddr), paddr, text.length, o.memorySize ?? text.length);
  if (o.pvh !== undefined) {
    // Another note goes before it: it must be skipped.
    file.set([4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 0x58, 0x65, 0x6e, 0, 1, 2, 3, 4, 5, 0, 0, 0], 0x100);
    file.set([4, 0, 0, 0, wide ? 8 : 4, 0, 0, 0, 18, 0, 0, 0, 0x58, 0x65, 0x6e, 0], 0x118);
    view.setUint32(0x128, o.pvh, true);
    program(1, 4, 0x100, 0n, 0, wide ? 0x30 : 0x2c, 0);
  }
  file.set(text, 0x200);
  return file;
}

/** A Multiboot 1 header; `addresses` are header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr. */
export function multibootHeader(flags: number, addresses: number[] = []): Uint8Array {
  const view = new DataView(new ArrayBuffer(32));
  view.setUint32(0, 0x1badb002, true);
  view.setUint32(4, flags, true);
  view.setUint32(8, -(0x1badb002 + flags), true);
  for (const [i, a] of addresses.entries()) view.setUint32(12 + i * 4, a, true);
  return new Uint8Array(view.buffer);
}
