/**
 * String instructions (SDM vol. 2: MOVS, CMPS, STOS, LODS, SCAS, REP). Repetition commits registers with every element,
 * so that a fault or an interrupt finds them as if the rest had not been started. Elements that lie within one page
 * are moved together after one check; the careful path does one element at a time.
 *
 * The decoder leaves the segment of the rSI operand in that operand's slot (d or s).
 */
import { Vcpu, MODE_ALIGN, MODE_CODE64, SEG_ES, STATUS_RESUME, V_GPR } from "../gen/layout";
import { fetchHost, linearRip } from "../decode/block";
import { uAddr, uD, uFlags, uS, uSize, UF_REP, UF_REPNE } from "../decode/uop";
import { readPtr, writePtr, rdz, value, wrz } from "../mem/access";
import { segmentLinear } from "../mem/segment";
import { ARMED_DATA, ON_READ, ON_WRITE, pageArmed } from "../mem/watch";
import { F_SUB } from "../sem/flags";
import { WRITE } from "../sem/kinds";
import { DF, RF, TF } from "./mode";
import { getGpr, putGpr, thisRip } from "./operand";

/**
 * Bytes (MOVS, STOS) and elements after which a repeated instruction lets the outer loop look at the clock: some 10 µs. Where
 * that is depends on the count that is left and nothing else; see pause.
 */
const SLICE: u64 = 1 << 17;
const TURNS: u64 = 4096;

@inline export function addressMask(u: usize): u64 {
  const a = uAddr(u);
  return a == 0 ? 0xffff : a == 1 ? 0xffffffff : ~0;
}
/** Size of rSI, rDI and rCX, log2 of bytes. */
@inline export function addressSize(u: usize): u32 { return uAddr(u) + 1; }
@inline export function repeats(u: usize): bool { return (uFlags(u) & (UF_REP | UF_REPNE)) != 0; }
/** Distance from one element to the next. */
@inline export function stride(c: Vcpu, u: usize): u64 {
  const size = <u64>1 << uSize(u);
  return c.rflags & DF ? 0 - size : size;
}

/** Linear address of an element; false = fault recorded. The address is in `elementAt`. */
export let elementAt: u64 = 0;
export function element(c: Vcpu, s: u32, offset: u64, size: u32, write: bool): bool {
  elementAt = segmentLinear(c, s, offset, size, write);
  if (elementAt == ~0 && !(c.mode & MODE_CODE64)) return false;
  c.stackFault = u32(s == 2);
  return true;
}

/** The count of a repetition. A 32-bit one is zero-extended in RCX at once, whatever becomes of the instruction. */
function getCount(c: Vcpu, a: u32): u64 {
  const count = getGpr(c, 1, a);
  if (a == 2) putGpr(c, 1, 2, count);
  return count;
}

/** Repeated MOVS (`both`) and STOS zero-extend 32-bit index registers at once, too; LODS, CMPS and SCAS do not. */
function extendIndexes(c: Vcpu, a: u32, both: bool): void {
  if (a != 2) return;
  putGpr(c, 7, 2, getGpr(c, 7, 2));
  if (both) putGpr(c, 6, 2, getGpr(c, 6, 2));
}

/**
 * Leaves with RIP at this instruction, which is to go on. RF says that it has begun, in the image that an interrupt
 * pushes too: a breakpoint on it is not met again (SDM vol. 3, 18.3.1.1).
 */
export function again(c: Vcpu, u: usize): bool {
  c.rip = thisRip(c, u);
  c.rflags |= RF;
  c.status = STATUS_RESUME;
  return false;
}

/** Times that a repeated instruction has left without counting as an instruction, since the outer loop has asked. */
export let pauses: u32 = 0;
export function forgetPauses(): void { pauses = 0; }

/**
 * The same in the middle of a slice, for attention or because the careful path does one element: whether that happens
 * depends on what has been decoded and on other threads, and counts of instructions must not. Who debugs sees each part
 * as one.
 */
function pause(c: Vcpu, u: usize): bool {
  if (!(c.rflags & TF) && !c.armed) pauses++;
  return again(c, u);
}

/**
 * Whether a repetition with `count` elements left leaves here, to go on later: at the end of a slice of `all`, for attention, or
 * because it does one element at a time.
 */
@inline function leaves(c: Vcpu, u: usize, count: u64, all: u64, single: bool): bool {
  if (!(count & (all - 1))) return !again(c, u);
  return (single || c.attention != 0) && !pause(c, u);
}

/**
 * Host page of the instruction at `u` if it runs outside of blocks, where nothing says that its page is code; else 0. A
 * repetition that writes there does one element at a time, as it does in blocks: the next one may be another instruction.
 */
function ownPage(c: Vcpu, u: usize): usize {
  return c.stepping ? fetchHost(c, linearRip(c, thisRip(c, u)), false) & ~0xfff : 0;
}

/** Elements up to the end of a slice of `all` (a power of 2) when `count` are left: 1 to `all`. */
@inline function inSlice(count: u64, all: u64): u64 { return ((count - 1) & (all - 1)) + 1; }

/** Whether a repeated instruction must do one element and come back: careful path, single-stepping. */
@inline export function oneByOne(c: Vcpu): bool { return c.slow != 0 || (c.rflags & TF) != 0; }

/** Whether elements may be moved many at a time: upwards, and where nobody asks whether each is aligned. */
@inline function inRuns(c: Vcpu): bool { return !(c.rflags & DF) && !(c.mode & MODE_ALIGN); }

/** Elements from `offset` upwards that lie in one page and do not wrap around the address size; at least 1. */
export function inPage(offset: u64, linear: u64, z: u32, mask: u64): u64 {
  const page = (4096 - (linear & 0xfff)) >> z, wrap = mask - offset;
  return max<u64>(wrap < 4096 ? min<u64>(page, (wrap + 1) >> z) : page, 1);
}

/** Advances an index register by `n` bytes (negative as two's complement). */
@inline export function advance(c: Vcpu, r: usize, u: usize, n: u64): void {
  const a = addressSize(u);
  putGpr(c, r, a, getGpr(c, r, a) + n);
}

/** Copies elements upwards one after the other: an overlap repeats a pattern, as the instruction does. */
function copyUp(to: usize, from: usize, size: usize, z: u32): void {
  const gap = to - from;
  if (gap >= size) { memory.copy(to, from, size); return; }
  if (gap < (<usize>1 << z)) {
    for (let i: usize = 0; i < size; i += <usize>1 << z) memory.copy(to + i, from + i, <usize>1 << z);
    return;
  }
  // [from, to + done) has the period `gap`, and done is a multiple of it.
  let done: usize = 0;
  while (done < size) {
    const n = min<usize>(gap + done, size - done);
    memory.copy(to + done, from, n);
    done += n;
  }
}

export function movs(c: Vcpu, u: usize): bool {
  const z = uSize(u), size = <u32>1 << z, a = addressSize(u), mask = addressMask(u), s = <u32>uS(u), rep = repeats(u);
  let count: u64 = rep ? getCount(c, a) : 1;
  if (rep) extendIndexes(c, a, true);
  if (!count) return true;
  const step = stride(c, u), single = oneByOne(c), bulk = rep && !single && inRuns(c);
  const slice = SLICE >> z, own = rep ? ownPage(c, u) : 0;
  while (true) {
    const si = getGpr(c, 6, a), di = getGpr(c, 7, a);
    // The source is read before the destination is looked at: it decides which of two faults is seen.
    if (!element(c, s, si, size, false)) return false;
    const src = elementAt, from = readPtr(c, src, size);
    if (!from) return false;
    let n: u64 = 1, here = false;
    if (bulk && count > 1) {
      if (!element(c, SEG_ES, di, size, true)) return false;
      n = min<u64>(inSlice(count, slice), min<u64>(inPage(si, src, z, mask), inPage(di, elementAt, z, mask)));
      if (c.armed & ARMED_DATA && (pageArmed(c, ON_READ, src) || pageArmed(c, ON_WRITE, elementAt))) n = 1;
    }
    // A part that a segment's limit cuts is done element by element, up to the fault.
    if (n > 1 && !(c.mode & MODE_CODE64) && !(fits(c, s, si, n << z, false) && fits(c, SEG_ES, di, n << z, true))) n = 1;
    if (n > 1 || (<u32>src & 0xfff) + size <= 4096) {
      if (!element(c, SEG_ES, di, size, true)) return false;
      const to = writePtr(c, elementAt, <u32>n << z, WRITE);
      if (!to) return false;
      here = (to & ~0xfff) == own;
      if (here) n = 1;
      if (n == 1) memory.copy(to, from, size);
      else copyUp(to, from, <usize>n << z, z);
    } else {
      // The element was gathered from two pages into a buffer.
      const v = z == 1 ? <u64>load<u16>(from) : z == 2 ? <u64>load<u32>(from) : load<u64>(from);
      if (!element(c, SEG_ES, di, size, true)) return false;
      if (!wrz(c, elementAt, z, v)) return false;
    }
    advance(c, 6, u, step * n);
    advance(c, 7, u, step * n);
    if (!rep) return true;
    count -= n;
    putGpr(c, 1, a, count);
    if (!count) return true;
    if (leaves(c, u, count, slice, single || here)) return false;
  }
}

/** Whether a run of bytes is within a segment. */
export function fits(c: Vcpu, s: u32, offset: u64, size: u64, write: bool): bool {
  const status = c.status, ok = segmentLinear(c, s, offset, <u32>size, write) != ~0;
  c.status = status;
  return ok;
}

export function stos(c: Vcpu, u: usize): bool {
  const z = uSize(u), size = <u32>1 << z, a = addressSize(u), mask = addressMask(u), rep = repeats(u), v = c.gprAt(0);
  let count: u64 = rep ? getCount(c, a) : 1;
  if (rep) extendIndexes(c, a, false);
  if (!count) return true;
  const step = stride(c, u), single = oneByOne(c), bulk = rep && !single && inRuns(c);
  const slice = SLICE >> z, own = rep ? ownPage(c, u) : 0;
  while (true) {
    const di = getGpr(c, 7, a);
    if (!element(c, SEG_ES, di, size, true)) return false;
    const linear = elementAt;
    let n: u64 = 1, here = false;
    if (bulk && count > 1) {
      n = min<u64>(inSlice(count, slice), inPage(di, linear, z, mask));
      if (c.armed & ARMED_DATA && pageArmed(c, ON_WRITE, linear)) n = 1;
      if (n > 1 && !(c.mode & MODE_CODE64) && !fits(c, SEG_ES, di, n << z, true)) n = 1;
    }
    if (n == 1 && (own == 0 || (<u32>linear & 0xfff) + size > 4096)) {
      if (!wrz(c, linear, z, v)) return false;
    } else {
      const to = writePtr(c, linear, <u32>n << z, WRITE);
      if (!to) return false;
      here = (to & ~0xfff) == own;
      if (here) n = 1;
      fill(to, z, v, <usize>n << z);
    }
    advance(c, 7, u, step * n);
    if (!rep) return true;
    count -= n;
    putGpr(c, 1, a, count);
    if (!count) return true;
    if (leaves(c, u, count, slice, single || here)) return false;
  }
}

function fill(to: usize, z: u32, v: u64, bytes: usize): void {
  const end = to + bytes;
  if (z == 0 || v == 0) memory.fill(to, <u8>v, bytes);
  else if (z == 1) for (; to < end; to += 2) store<u16>(to, <u16>v);
  else if (z == 2) for (; to < end; to += 4) store<u32>(to, <u32>v);
  else for (; to < end; to += 8) store<u64>(to, v);
}

export function lods(c: Vcpu, u: usize): bool {
  const z = uSize(u), a = addressSize(u), rep = repeats(u);
  let count: u64 = rep ? getCount(c, a) : 1;
  if (!count) return true;
  while (true) {
    if (!element(c, <u32>uS(u), getGpr(c, 6, a), <u32>1 << z, false)) return false;
    if (!rdz(c, elementAt, z)) return false;
    putGpr(c, 0, z, value);
    advance(c, 6, u, stride(c, u));
    if (!rep) return true;
    putGpr(c, 1, a, --count);
    if (!count) return true;
    if (leaves(c, u, count, TURNS, oneByOne(c))) return false;
  }
}

@inline function signed(v: u64, z: u32): u64 {
  return z == 0 ? <u64><i64><i8>v : z == 1 ? <u64><i64><i16>v : z == 2 ? <u64><i64><i32>v : v;
}

/** Flags of x - y. */
function compare(c: Vcpu, x: u64, y: u64, z: u32): void {
  const p = signed(x, z), q = signed(y, z);
  c.ccOp = F_SUB;
  c.ccD = signed(p - q, z);
  c.ccA = p;
  c.ccB = q;
}

/**
 * Repeated CMPS and SCAS set flags when they end. Not only a fault finds the flags of before (SDM vol. 2, REP) but a trap
 * or an interrupt between elements, too; recorded on a real CPU.
 */
export function cmps(c: Vcpu, u: usize): bool {
  const z = uSize(u), size = <u32>1 << z, a = addressSize(u), rep = repeats(u), untilEqual = (uFlags(u) & UF_REP) == 0;
  let count: u64 = rep ? getCount(c, a) : 1;
  if (!count) return true;
  while (true) {
    // rDI first, as Intel CPUs do: it decides which of two faults is seen.
    if (!element(c, SEG_ES, getGpr(c, 7, a), size, false)) return false;
    if (!rdz(c, elementAt, z)) return false;
    const y = value;
    if (!element(c, <u32>uD(u), getGpr(c, 6, a), size, false)) return false;
    if (!rdz(c, elementAt, z)) return false;
    const x = value, step = stride(c, u);
    advance(c, 6, u, step);
    advance(c, 7, u, step);
    if (rep) putGpr(c, 1, a, --count);
    if (!rep || !count || (x == y) == untilEqual) { compare(c, x, y, z); return true; }
    if (leaves(c, u, count, TURNS, oneByOne(c))) return false;
  }
}

export function scas(c: Vcpu, u: usize): bool {
  const z = uSize(u), size = <u32>1 << z, a = addressSize(u), rep = repeats(u), untilEqual = (uFlags(u) & UF_REP) == 0;
  let count: u64 = rep ? getCount(c, a) : 1;
  if (!count) return true;
  const x = getGpr(c, 0, z);
  while (true) {
    if (!element(c, SEG_ES, getGpr(c, 7, a), size, false)) return false;
    if (!rdz(c, elementAt, z)) return false;
    const y = value;
    advance(c, 7, u, stride(c, u));
    if (rep) putGpr(c, 1, a, --count);
    if (!rep || !count || (x == y) == untilEqual) { compare(c, x, y, z); return true; }
    if (leaves(c, u, count, TURNS, oneByOne(c))) return false;
  }
}

/** XLAT: AL from a table at rBX. */
export function xlat(c: Vcpu, u: usize): bool {
  const offset = (c.gprAt(3) + (c.gprAt(0) & 0xff)) & addressMask(u);
  if (!element(c, <u32>uD(u), offset, 1, false)) return false;
  if (!rdz(c, elementAt, 0)) return false;
  store<u8>(changetype<usize>(c) + V_GPR, <u8>value);
  return true;
}
