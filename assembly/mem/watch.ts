/**
 * Breakpoint registers (SDM vol. 3, 18.2): which of DR0 to DR3 an access meets. And the host's own breakpoints (STOPS in
 * src/shared/layout.ts), which mean the same, but are as many as it likes, and nothing the guest could see.
 *
 *     DR7   31:30 29:28  27:26 25:24  23:22 21:20  19:18 17:16   13   9  8   7  6  5  4  3  2  1  0
 *           LEN3  R/W3   LEN2  R/W2   LEN1  R/W1   LEN0  R/W0    GD  GE LE  G3 L3 G2 L2 G1 L1 G0 L0
 *
 *     R/W 0 instruction, 1 write, 2 port (with CR4.DE), 3 read or write     LEN 0: 1 byte, 1: 2, 2: 8, 3: 4
 *
 * Vcpu.armed says what is on at all (ARMED_*), so that nothing is looked at when nothing is on. A page with a data
 * breakpoint gets no TLB entry for data, one with a code breakpoint none for code, and no block of it is entered: what runs
 * elsewhere runs at full speed.
 */
import { Vcpu, C_STOPS, CONTROL_BASE, MODE_CODE64, STATUS_SLOW, STOPS_BASE, STOPS_ENTRY } from "../gen/layout";

export const ARMED_CODE: u32 = 1;
export const ARMED_DATA: u32 = 2;
export const ARMED_PORT: u32 = 4;

/** Sets of R/W values. */
export const ON_FETCH: u32 = 1 << 0;
export const ON_WRITE: u32 = 1 << 1 | 1 << 3;
export const ON_READ: u32 = 1 << 3;
export const ON_PORT: u32 = 1 << 2;

/** In Vcpu.hits and Vcpu.debug, beside the bits of DR6: a breakpoint of the host's, told by stopEntry and stopAddress. */
export const HIT_STOP: u32 = 1 << 31;

@inline function stops(): u32 { return load<u32>(CONTROL_BASE, C_STOPS); }
@inline function stopEntry(i: u32): usize { return STOPS_BASE + i * STOPS_ENTRY; }
@inline function stopKind(e: usize): u32 { return load<u32>(e, 12); }

/** The first of the host's breakpoints of some kinds (ON_*) that [at, at + size) overlaps; -1: there is none. */
export function stopOver(kinds: u32, at: u64, size: u64): i32 {
  for (let i: u32 = 0, n = stops(); i < n; i++) {
    const e = stopEntry(i), from = load<u64>(e);
    // Differences, as both may reach to the end of the address space.
    if (kinds >> stopKind(e) & 1 && (at - from < <u64>load<u32>(e, 8) || from - at < size)) return <i32>i;
  }
  return -1;
}

@inline function enabled(c: Vcpu, n: u32): bool { return ((c.drAt(7) >> (n << 1)) & 3) != 0; }
@inline function kindOf(c: Vcpu, n: u32): u32 { return <u32>(c.drAt(7) >> (16 + (n << 2))) & 3; }
@inline function lengthOf(c: Vcpu, n: u32): u64 {
  const len = (c.drAt(7) >> (18 + (n << 2))) & 3;
  return len == 2 ? 8 : len + 1;
}

/** What DR7 with CR4.DE and the host switch on, as ARMED_* bits. */
export function armedBy(c: Vcpu): u32 {
  let armed: u32 = 0;
  for (let n: u32 = 0; n < 4; n++) {
    if (!enabled(c, n)) continue;
    const kind = kindOf(c, n);
    // Without CR4.DE the value 2 is undefined, and means nothing here.
    armed |= kind == 0 ? ARMED_CODE : kind != 2 ? ARMED_DATA : c.cr4 & 8 ? ARMED_PORT : 0;
  }
  for (let i: u32 = 0, n = stops(); i < n; i++) armed |= stopKind(stopEntry(i)) ? ARMED_DATA : ARMED_CODE;
  return armed;
}

/** Bits 3:0 of DR6 for the enabled breakpoints of some kinds (ON_*) that [at, at + size) overlaps. */
export function breakpointsAt(c: Vcpu, kinds: u32, at: u64, size: u32): u32 {
  let hits: u32 = 0;
  for (let n: u32 = 0; n < 4; n++) {
    if (!enabled(c, n) || !(kinds >> kindOf(c, n) & 1)) continue;
    const length = kinds == ON_FETCH ? 1 : lengthOf(c, n), from = c.drAt(n) & ~(length - 1);
    if (at < from + length && from < at + size) hits |= 1 << n;
  }
  return hits;
}

/** Whether a breakpoint of one of these kinds lies in the page of a linear address. */
export function pageArmed(c: Vcpu, kinds: u32, linear: u64): bool {
  const page = c.mode & MODE_CODE64 ? linear & ~0xfff : linear & 0xfffff000;
  for (let n: u32 = 0; n < 4; n++) {
    if (enabled(c, n) && kinds >> kindOf(c, n) & 1 && (c.drAt(n) & ~0xfff) == page) return true;
  }
  return stopOver(kinds, page, 4096) >= 0;
}

/**
 * Notes the breakpoints that an access meets, for the trap after the instruction. False: it must be executed again,
 * alone, as it is one of many now.
 */
export function note(c: Vcpu, kinds: u32, at: u64, size: u32): bool {
  const hits = breakpointsAt(c, kinds, at, size), stop = stopOver(kinds, at, size);
  if (!hits && stop < 0) return true;
  if (!c.slow && !c.stepping) {
    c.status = STATUS_SLOW;
    return false;
  }
  c.hits |= hits;
  if (stop >= 0) {
    c.hits |= HIT_STOP;
    c.stopEntry = stop;
    c.stopAddress = at;
  }
  return true;
}
