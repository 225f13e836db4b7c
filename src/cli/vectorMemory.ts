/**
 * The memory of the process that vectors run in, as the recording had it; all else below the canonical gap is not
 * mapped. The pages lie one after the other in guest physical memory and in the arrays of this file.
 *
 *     0x008000  LOW    1 page   read/write         0x107000  RO     1 page   read only
 *     0x101000  CODE   2 pages  read/execute       0x109000  STACK  2 pages  read/write
 *     0x104000  DATA   2 pages  read/write
 */
import type { Vector } from "./vectorFormat.ts";

export const PAGE = 4096;
/** Base of CS, DS, ES and SS in 16-bit mode. */
export const CODE_BASE16 = 0x10_0000;

/** The process's memory: [linear address, pages, writable, executable]. */
export const REGIONS = [
  [0x00_8000, 1, true, false],
  [0x10_1000, 2, false, true],
  [0x10_4000, 2, true, false],
  [0x10_7000, 1, false, false],
  [0x10_9000, 2, true, false],
] as const;
export const CODE = 0x10_1000;
const PROCESS_PAGES = REGIONS.reduce((n, [, pages]) => n + pages, 0);
export const PROCESS_SIZE = PROCESS_PAGES * PAGE;

/** Bytes of a string of hex digits. */
export const hexBytes = (hex: string): Uint8Array => Buffer.from(hex, "hex");

/** Offset in the process's pages of a linear address, -1 if it is not mapped. */
export function place(linear: number): number {
  let at = 0;
  for (const [base, pages] of REGIONS) {
    if (linear >= base && linear < base + pages * PAGE) return at + linear - base;
    at += pages * PAGE;
  }
  return -1;
}

export function linearOf(offset: number): number {
  let at = offset;
  for (const [base, pages] of REGIONS) {
    if (at < pages * PAGE) return base + at;
    at -= pages * PAGE;
  }
  throw new RangeError("not an offset in the process's pages");
}

/** Copies bytes to a linear address; what lies beyond the mapped pages is left out. */
export function put(into: Uint8Array, linear: number, bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) {
    const at = place(linear + i);
    if (at >= 0) into[at] = bytes[i];
  }
}

/** Memory before any vector: CODE holds INT3, everything else bits 31:24 of address * 0x9e3779b1. */
export function pristine(): Uint8Array {
  const out = new Uint8Array(PROCESS_SIZE);
  for (let i = 0; i < PROCESS_SIZE; i++) {
    const linear = linearOf(i);
    out[i] = linear >= CODE && linear < CODE + 2 * PAGE ? 0xcc : Math.imul(linear, 0x9e37_79b1) >>> 24;
  }
  return out;
}

/** The process's memory before a vector: `from` is pristine(). */
export function imageBefore(vector: Vector, from: Uint8Array, into: Uint8Array): void {
  into.set(from);
  const start = Number.parseInt(vector.rip, 16) + (vector.mode === 16 ? CODE_BASE16 : 0);
  put(into, start, hexBytes(vector.code));
  for (const [address, bytes] of vector.before.mem) put(into, address, hexBytes(bytes));
}
