/**
 * Stacks that the CPU itself writes: frames of interrupts and gates, possibly at another privilege level than the
 * running code's. A frame is built downwards with framePush; registers are committed by the caller afterwards. What a
 * fault in the middle leaves below the stack pointer is of no account.
 */
import {
  Vcpu, MODE_CODE64, MODE_LONG, SEG_SS, SEG_TR,
} from "../gen/layout";
import { raiseError, SS, TS } from "../exception";
import { READ } from "../sem/kinds";
import { rdz, sysRead, value, wrz } from "../mem/access";
import { AR_DB, AR_TYPE, isWhole, segAr, segBase, segLimit, segSelector } from "../mem/segment";
import { stackLinear, stackMask } from "../mem/stack";
import { updateWindow } from "../mem/tlb";
import {
  arOf, baseOf, desc, descAt, dplOf, fetchDescriptor, isNull, isPresent, isWritable, limitOf, touchDescriptor,
} from "./descriptor";

/** The stack of the frame being built: pointer, its bits, segment (unless `wide`: 64-bit, no segment). */
let sp: u64 = 0;
let top: u64 = 0;
let mask: u64 = 0;
let base: u64 = 0;
let limit: u32 = 0;
let down: bool = false;
let big: bool = false;
let wide: bool = false;
/** Error code of #SS if the frame does not fit. */
let error: u32 = 0;

let savedCpl: u32 = 0;
let savedMode: u32 = 0;
let savedCtx: u64 = 0;

/**
 * From here to endLevel memory accesses have the rights of privilege level `cpl`, and 64-bit addresses if `long`.
 */
export function beginLevel(c: Vcpu, cpl: u32, long: bool): void {
  savedCpl = c.cpl;
  savedMode = c.mode;
  savedCtx = c.ctx;
  c.cpl = cpl;
  if (long) c.mode |= MODE_CODE64;
  const cls: u64 = cpl == 3 ? (savedCpl == 3 ? savedCtx & 3 : 1) : 0;
  c.ctx = (savedCtx & ~3) | cls;
}

export function endLevel(c: Vcpu): void {
  c.cpl = savedCpl;
  c.mode = savedMode;
  // A walk in between may have flushed: only the class goes back.
  c.ctx = (c.ctx & ~3) | (savedCtx & 3);
  updateWindow(c);
}

/** A frame on the current stack. */
export function frameHere(c: Vcpu): void {
  top = sp = c.gprAt(4);
  wide = (c.mode & MODE_CODE64) != 0;
  mask = stackMask(c);
  setFrameSegment(segBase(c, SEG_SS), segLimit(c, SEG_SS), segAr(c, SEG_SS), 0);
}

/** A frame at a 64-bit address. */
export function frameWide(at: u64): void {
  top = sp = at;
  wide = true;
  mask = ~0;
}

/** A frame on a new stack segment, with its descriptor. */
export function frameIn(selector: u32, at: u64, d: u64): void {
  top = sp = at;
  wide = false;
  mask = arOf(d) & AR_DB ? 0xffffffff : 0xffff;
  setFrameSegment(baseOf(d), limitOf(d), arOf(d), selector & 0xfffc);
}

function setFrameSegment(b: u64, l: u32, ar: u32, e: u32): void {
  base = b;
  limit = l;
  big = (ar & AR_DB) != 0;
  down = (ar & 12) == 4;
  error = e;
}

/** Pushes 2, 4 or 8 bytes (log2 of the size). False = fault or exit recorded. */
export function framePush(c: Vcpu, z: u32, v: u64): bool {
  const size = <u64>1 << z, at = (sp - size) & mask;
  let linear = at;
  if (!wide) {
    const last = at + (size - 1);
    const fits = down ? at > <u64>limit && last <= (big ? <u64>0xffffffff : <u64>0xffff)
      : last <= <u64>limit || isWhole(base, limit);
    if (!fits) return raiseError(c, SS, error);
    linear = (base + at) & 0xffffffff;
  }
  c.stackFault = 1;
  if (!wrz(c, linear, z, v)) return false;
  sp = at;
  return true;
}

/** RSP after the frame. */
export function frameSp(): u64 { return wide ? sp : (top & 0xffffffff & ~mask) | (sp & mask); }

/** Stack pointer and selector that the TSS has for an inner level, and the descriptor (legacy TSS only). */
export let innerSp: u64 = 0;
export let innerSs: u32 = 0;
export let innerDesc: u64 = 0;
export let innerDescAt: u64 = 0;

/** #TS unless bytes `at` to `at + size - 1` are within the TSS. */
function inTss(c: Vcpu, at: u32, size: u32): bool {
  return at + size - 1 <= segLimit(c, SEG_TR) ? true : raiseError(c, TS, segSelector(c, SEG_TR) & 0xfffc);
}

/** Reads RSP0-2 (`slot` 0-2) or IST1-7 (`slot` 4-10) from a 64-bit TSS (SDM vol. 3, figure 7-11). */
export function innerStack64(c: Vcpu, slot: u32): bool {
  const at = 4 + slot * 8;
  if (!inTss(c, at, 8)) return false;
  if (!sysRead(c, segBase(c, SEG_TR) + at, 3)) return false;
  innerSp = value;
  return true;
}

/** Reads SS:ESP for level `dpl` from a 16-bit or 32-bit TSS and checks the stack segment (SDM vol. 2, CALL). */
export function innerStack(c: Vcpu, dpl: u32): bool {
  if (c.mode & MODE_LONG) return innerStack64(c, dpl);
  const wideTss = (segAr(c, SEG_TR) & AR_TYPE & 8) != 0;
  const at: u32 = wideTss ? 4 + dpl * 8 : 2 + dpl * 4;
  if (!inTss(c, at, wideTss ? 8 : 4)) return false;
  const tss = segBase(c, SEG_TR);
  if (!sysRead(c, tss + at, wideTss ? 2 : 1)) return false;
  innerSp = value;
  if (!sysRead(c, tss + at + (wideTss ? 4 : 2), 1)) return false;
  const selector = <u32>value;
  if (isNull(selector)) return raiseError(c, TS, 0);
  if (!fetchDescriptor(c, selector, TS)) return false;
  if ((selector & 3) != dpl || dplOf(desc) != dpl || !isWritable(desc)) return raiseError(c, TS, selector & 0xfffc);
  if (!isPresent(desc)) return raiseError(c, SS, selector & 0xfffc);
  innerSs = selector;
  innerDesc = desc;
  innerDescAt = descAt;
  return touchDescriptor(c, desc, descAt);
}

/** Reads the current stack `plus` bytes above its pointer; the value is in `popped`. */
export let popped: u64 = 0;
export function stackRead(c: Vcpu, plus: u64, z: u32): bool {
  const size = <u32>1 << z;
  const linear = stackLinear(c, (c.gprAt(4) + plus) & stackMask(c), size, READ);
  if (linear == ~0 && !(c.mode & MODE_CODE64)) return false;
  c.stackFault = 1;
  if (!rdz(c, linear, z)) return false;
  popped = value;
  return true;
}

/** Moves the stack pointer by `delta` bytes. */
export function moveSp(c: Vcpu, delta: u64): void {
  const rsp = c.gprAt(4), m = stackMask(c);
  c.set_gpr(4, (rsp & ~m) | ((rsp + delta) & m));
}

/** Bits of the stack pointer for a segment with these rights, outside 64-bit mode. */
@inline export function maskOf(ar: u32): u64 { return ar & AR_DB ? 0xffffffff : 0xffff; }
