/** CPU states in which boot protocols enter a kernel, and the tables in RAM that they need. */

import { FOUR_GIB } from "./e820.ts";
import type { CpuState, SegmentState, TableState } from "./types.ts";

/** Index into CpuState.gprs: the encoding of the register. */
export const GPR = { RAX: 0, RCX: 1, RDX: 2, RBX: 3, RSP: 4, RBP: 5, RSI: 6, RDI: 7 } as const;

//  VMX access rights (SDM vol. 3, 25.4.1); bits 11:8 and 31:17 are reserved
//   16  15  14  13  12 | 7  6   5  4  3     0
//  [ U   G  D/B  L  AVL| P  DPL    S  type   ]      U: unusable
const AR_P = 1 << 7;
const AR_S = 1 << 4;
const AR_L = 1 << 13;
const AR_DB = 1 << 14;
const AR_G = 1 << 15;
/** Type fields (SDM vol. 3, 3.4.5.1 and 3.5): what a load by selector leaves, hence with the accessed bit. */
const TYPE_DATA_RW = 3;
const TYPE_CODE_RX = 11;
const TYPE_LDT = 2;
const TYPE_TSS_BUSY = 11;

/** The selectors of Linux's boot protocol; the other protocols leave the choice to the loader. */
export const BOOT_CS = 0x10;
export const BOOT_DS = 0x18;
/** Flat 4 GiB descriptors as they stand in a GDT (SDM vol. 3, figure 3-8), with the accessed bit set. */
const GDT_CODE32 = 0x00cf_9b00_0000_ffffn;
const GDT_CODE64 = 0x00af_9b00_0000_ffffn;
const GDT_DATA = 0x00cf_9300_0000_ffffn;

const CR0_PE = 1n << 0n;
const CR0_ET = 1n << 4n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;
/** Bit 1 of RFLAGS always reads as one. */
const RFLAGS_1 = 2n;

const flat = (selector: number, attributes: number): SegmentState => ({
  selector,
  base: 0n,
  limit: 0xffff_ffff,
  ar: AR_P | AR_S | AR_G | attributes,
});
const CODE32 = flat(BOOT_CS, AR_DB | TYPE_CODE_RX);
const CODE64 = flat(BOOT_CS, AR_L | TYPE_CODE_RX);
const DATA = flat(BOOT_DS, AR_DB | TYPE_DATA_RW);
/** As after RESET (SDM vol. 3, table 10-1). */
const LDTR: SegmentState = { selector: 0, base: 0n, limit: 0xffff, ar: AR_P | TYPE_LDT };
/** What PVH asks for: a 32-bit TSS at 0 with the least limit a TSS may have. */
const TR: SegmentState = { selector: 0, base: 0n, limit: 0x67, ar: AR_P | TYPE_TSS_BUSY };

/** The GDT that goes with `protected32` or `long64`: null, null, BOOT_CS, BOOT_DS. */
export function bootGdt(mode: "protected32" | "long64"): Uint8Array {
  const view = new DataView(new ArrayBuffer(32));
  view.setBigUint64(BOOT_CS, mode === "long64" ? GDT_CODE64 : GDT_CODE32, true);
  view.setBigUint64(BOOT_DS, GDT_DATA, true);
  return new Uint8Array(view.buffer);
}

/** Bytes of the tables of identityTables. */
export const IDENTITY_TABLES_SIZE = 6 * 4096;

/**
 * 4-level page tables for placement at `gpa` that map linear to physical addresses one to one below 4 GiB: a PML4,
 * a PDPT and four page directories of 2 MiB pages (SDM vol. 3, 4.5), present and writable.
 */
export function identityTables(gpa: number): Uint8Array {
  const present = 1n;
  const writable = 2n;
  const pageSize = 1n << 7n;
  const view = new DataView(new ArrayBuffer(IDENTITY_TABLES_SIZE));
  const page = (n: number): bigint => BigInt(gpa + n * 4096);
  view.setBigUint64(0, page(1) | present | writable, true);
  for (let i = 0; i < 4; i++) view.setBigUint64(4096 + i * 8, page(2 + i) | present | writable, true);
  for (let i = 0; i < FOUR_GIB / 0x20_0000; i++) {
    view.setBigUint64(2 * 4096 + i * 8, (BigInt(i) << 21n) | present | writable | pageSize, true);
  }
  return new Uint8Array(view.buffer);
}

function withRegisters(registers: Partial<Record<keyof typeof GPR, number>>): bigint[] {
  const gprs: bigint[] = new Array(16).fill(0n);
  for (const [name, value] of Object.entries(registers)) gprs[GPR[name as keyof typeof GPR]] = BigInt(value);
  return gprs;
}

interface Entry {
  readonly rip: number;
  readonly registers: Partial<Record<keyof typeof GPR, number>>;
  /** Address of bootGdt. */
  readonly gdt: number;
}

const table = (gpa: number): TableState => ({ base: BigInt(gpa), limit: 31 });
const NO_IDT: TableState = { base: 0n, limit: 0 };
const data = { es: DATA, ss: DATA, ds: DATA, fs: DATA, gs: DATA, ldtr: LDTR, tr: TR };

/** 32-bit protected mode, flat segments, paging and interrupts off. */
export function protected32(entry: Entry): CpuState {
  return {
    mode: "protected32",
    gprs: withRegisters(entry.registers),
    rip: BigInt(entry.rip),
    rflags: RFLAGS_1,
    cr0: CR0_PE | CR0_ET,
    cr3: 0n,
    cr4: 0n,
    efer: 0n,
    segments: { cs: CODE32, ...data },
    gdt: table(entry.gdt),
    idt: NO_IDT,
  };
}

/** 64-bit mode on the page tables at `cr3`, interrupts off. */
export function long64(entry: Entry & { readonly cr3: number }): CpuState {
  return {
    mode: "long64",
    gprs: withRegisters(entry.registers),
    rip: BigInt(entry.rip),
    rflags: RFLAGS_1,
    cr0: CR0_PE | CR0_ET | CR0_PG,
    cr3: BigInt(entry.cr3),
    cr4: CR4_PAE,
    efer: EFER_LME | EFER_LMA,
    segments: { cs: CODE64, ...data },
    gdt: table(entry.gdt),
    idt: NO_IDT,
  };
}
