/**
 * Far JMP, CALL and RET (SDM vol. 2 under each; vol. 3, 5.8): within a level, through call gates, and back out; task
 * gates and TSSs go on in ./task.ts.
 */
import {
  Vcpu, MODE_CODE64, MODE_LONG, MODE_PROTECTED, SEG_CS, SEG_SS,
} from "../gen/layout";
import { raiseError, GP, NP, SS } from "../exception";
import { uImm, uSize } from "../decode/uop";
import { nextRip } from "../interp/branch";
import { rdz, value } from "../mem/access";
import { AR_DB, AR_L, segAr, segBase, segLimit, segSelector, setSeg } from "../mem/segment";
import { stackLinear, stackMask } from "../mem/stack";
import { getRflags } from "../sem/flags";
import { READ } from "../sem/kinds";
import {
  arOf, badLong, desc, descAt, descHigh, dplOf, fetchDescriptor, fetchHigh, gpSelector, isCode, isConforming, isNull,
  isPresent, isSystem, isWritable, limitOf, loadDescriptor, setNull, touchDescriptor, typeOf, TYPE_CALL16, TYPE_CALL32,
  TYPE_TASK, TYPE_TSS16, TYPE_TSS32,
} from "./descriptor";
import {
  beginLevel, endLevel, frameHere, frameIn, framePush, frameSp, frameWide, innerDesc, innerSp, innerSs, innerStack,
  maskOf, moveSp, popped, stackRead,
} from "./frame";
import { updateMode } from "./mode";
import { operand, readPiece } from "./operand";
import { dropInnerSegments } from "./segment";
import { taskSwitch, TSR_CALL, TSR_JMP } from "./task";
import { canonical } from "../mem/linear";

/** Selector of a direct far pointer: the decoder leaves it in the displacement. */
@inline function immSelector(u: usize): u32 { return <u32>load<u16>(u, 12); }

export function jmpFarA(c: Vcpu, u: usize): bool {
  return far(c, u, immSelector(u), uImm(u), false);
}
export function callFarA(c: Vcpu, u: usize): bool {
  return far(c, u, immSelector(u), uImm(u), true);
}
export function jmpFarM(c: Vcpu, u: usize): bool {
  return farMemory(c, u, false);
}
export function callFarM(c: Vcpu, u: usize): bool {
  return farMemory(c, u, true);
}

function farMemory(c: Vcpu, u: usize, call: bool): bool {
  const z = uSize(u);
  if (!readPiece(c, u, 0, z)) return false;
  const offset = operand;
  if (!readPiece(c, u, <u64>1 << z, 1)) return false;
  return far(c, u, <u32>operand, offset, call);
}

function far(c: Vcpu, u: usize, selector: u32, offset: u64, call: bool): bool {
  const z = uSize(u), rsp = c.gprAt(4);
  if (!(c.mode & MODE_PROTECTED)) {
    if (offset > <u64>segLimit(c, SEG_CS)) return raiseError(c, GP, 0);
    if (call && !pushReturn(c, z, segSelector(c, SEG_CS), nextRip(c, u))) return false;
    loadRealCs(c, selector, offset);
    return true;
  }
  if (isNull(selector)) return raiseError(c, GP, 0);
  if (!fetchDescriptor(c, selector, GP)) return false;
  if (isSystem(desc)) return farSystem(c, u, selector, call);
  const d = desc, at = descAt;
  if (!sameLevelCode(c, selector, selector & 3)) return false;
  if (!call && !targetFits(c, d, offset)) return false;
  if (!touchDescriptor(c, d, at)) return false;
  const old = segSelector(c, SEG_CS), base = segBase(c, SEG_CS), limit = segLimit(c, SEG_CS), ar = segAr(c, SEG_CS);
  const rip = nextRip(c, u);
  loadDescriptor(c, SEG_CS, (selector & 0xfffc) | c.cpl, d);
  updateMode(c);
  // Intel CPUs push with the stack pointer of the new code's width, and before they look at the target.
  if (call && !(pushReturn(c, z, old, rip) && targetFits(c, d, offset))) {
    setSeg(c, SEG_CS, old, base, limit, ar);
    updateMode(c);
    c.set_gpr(4, rsp);
    return false;
  }
  c.rip = offset;
  return true;
}

/** CS in real and virtual-8086 mode. */
export function loadRealCs(c: Vcpu, selector: u32, rip: u64): void {
  setSeg(c, SEG_CS, selector, <u64>selector << 4, segLimit(c, SEG_CS), segAr(c, SEG_CS));
  c.rip = rip;
  updateMode(c);
}

/** Checks of a code segment that keeps the CPL; `rpl` counts for a non-conforming one. */
function sameLevelCode(c: Vcpu, selector: u32, rpl: u32): bool {
  const d = desc;
  if (!isCode(d) || badLong(c, d)) return gpSelector(c, selector);
  if (isConforming(d) ? dplOf(d) > c.cpl : rpl > c.cpl || dplOf(d) != c.cpl) return gpSelector(c, selector);
  return isPresent(d) ? true : raiseError(c, NP, selector & 0xfffc);
}

/** Whether RIP may be `rip` in that code segment. */
export function targetFits(c: Vcpu, d: u64, rip: u64): bool {
  const ok = (c.mode & MODE_LONG) && (arOf(d) & AR_L) ? canonical(c, rip) : rip <= <u64>limitOf(d);
  return ok ? true : raiseError(c, GP, 0);
}

/** Pushes a return address on the current stack. */
function pushReturn(c: Vcpu, z: u32, cs: u32, rip: u64): bool {
  frameHere(c);
  if (!framePush(c, z, cs) || !framePush(c, z, rip)) return false;
  c.set_gpr(4, frameSp());
  return true;
}

/** Gates and TSSs. `desc` is the system descriptor. */
function farSystem(c: Vcpu, u: usize, selector: u32, call: bool): bool {
  const gate = desc, type = typeOf(gate), long = (c.mode & MODE_LONG) != 0;
  const isGate = type == TYPE_CALL32 || (!long && type == TYPE_CALL16);
  const isTask = !long && (type == TYPE_TASK || type == TYPE_TSS16 || type == TYPE_TSS32);
  if (!isGate && !isTask) return gpSelector(c, selector);
  if (dplOf(gate) < c.cpl || dplOf(gate) < (selector & 3)) return gpSelector(c, selector);
  if (!isPresent(gate)) return raiseError(c, NP, selector & 0xfffc);
  if (isTask) {
    const tss = type == TYPE_TASK ? <u32>(gate >> 16) & 0xffff : selector;
    return taskSwitch(c, tss, call ? TSR_CALL : TSR_JMP, nextRip(c, u), getRflags(c));
  }
  let target = gate & 0xffff;
  if (type == TYPE_CALL32) target |= (gate >> 32) & 0xffff0000;
  if (long) {
    if (!fetchHigh(c, selector, GP)) return false;
    target |= descHigh << 32;
  }
  const inner = <u32>(gate >> 16) & 0xffff;
  if (isNull(inner)) return raiseError(c, GP, 0);
  if (!fetchDescriptor(c, inner, GP)) return false;
  const d = desc, at = descAt;
  if (!isCode(d) || dplOf(d) > c.cpl) return gpSelector(c, inner);
  if (long && (arOf(d) & (AR_L | AR_DB)) != AR_L) return gpSelector(c, inner);
  if (!call && !isConforming(d) && dplOf(d) != c.cpl) return gpSelector(c, inner);
  if (!isPresent(d)) return raiseError(c, NP, inner & 0xfffc);
  const cpl = isConforming(d) ? c.cpl : dplOf(d);
  // With a new stack, that is looked at first.
  if (call && cpl < c.cpl && !innerStack(c, cpl)) return false;
  if (!targetFits(c, d, target)) return false;
  const z: u32 = long ? 3 : type == TYPE_CALL32 ? 2 : 1;
  if (!touchDescriptor(c, d, at)) return false;
  if (call) {
    if (cpl < c.cpl) {
      if (!callInner(c, nextRip(c, u), cpl, z, long ? 0 : <u32>(gate >> 32) & 31)) return false;
    } else if (long) {
      // A gate's frame is of 8-byte words, also when compatibility mode calls.
      frameWide(c.mode & MODE_CODE64 ? c.gprAt(4) : c.gprAt(4) & 0xffffffff);
      beginLevel(c, c.cpl, true);
      const pushed = framePush(c, 3, segSelector(c, SEG_CS)) && framePush(c, 3, nextRip(c, u));
      endLevel(c);
      if (!pushed) return false;
      c.set_gpr(4, frameSp());
    } else if (!pushReturn(c, z, segSelector(c, SEG_CS), nextRip(c, u))) return false;
  }
  loadDescriptor(c, SEG_CS, (inner & 0xfffc) | cpl, d);
  c.rip = target;
  c.cpl = cpl;
  updateMode(c);
  return true;
}

/** The frame of a call to an inner level: old SS:RSP, `count` parameters, CS:RIP, on the stack that innerStack has found. */
function callInner(c: Vcpu, rip: u64, cpl: u32, z: u32, count: u32): bool {
  const long = z == 3, ss = innerSs, d = innerDesc, oldMask = stackMask(c), oldSp = c.gprAt(4);
  if (long) frameWide(innerSp);
  else frameIn(ss, innerSp, d);
  beginLevel(c, cpl, long);
  let pushed = framePush(c, z, segSelector(c, SEG_SS)) && framePush(c, z, oldSp);
  endLevel(c);
  // Parameters are read with the caller's rights.
  for (let i = <i32>count - 1; pushed && i >= 0; i--) {
    const linear = stackLinear(c, (oldSp + (<u64>i << z)) & oldMask, <u32>1 << z, READ);
    if (linear == ~0) return false;
    if (!rdz(c, linear, z)) return false;
    const parameter = value;
    beginLevel(c, cpl, false);
    pushed = framePush(c, z, parameter);
    endLevel(c);
  }
  if (!pushed) return false;
  beginLevel(c, cpl, long);
  pushed = framePush(c, z, segSelector(c, SEG_CS)) && framePush(c, z, rip);
  endLevel(c);
  if (!pushed) return false;
  c.set_gpr(4, frameSp());
  if (long) setNull(c, SEG_SS, cpl, cpl);
  else loadDescriptor(c, SEG_SS, ss, d);
  return true;
}

/** Code segment of a return, in `desc`; false = fault recorded. */
export function returnCode(c: Vcpu, selector: u32): bool {
  if (isNull(selector)) return raiseError(c, GP, 0);
  if (!fetchDescriptor(c, selector, GP)) return false;
  const d = desc, rpl = selector & 3;
  if (!isCode(d) || badLong(c, d) || rpl < c.cpl) return gpSelector(c, selector);
  if (isConforming(d) ? dplOf(d) > rpl : dplOf(d) != rpl) return gpSelector(c, selector);
  return isPresent(d) ? true : raiseError(c, NP, selector & 0xfffc);
}

/** The descriptor of a return's SS, or 0 for a null selector that 64-bit mode allows. */
export let returnSs: u64 = 0;

/** Checks the stack segment that a return to level `cpl` loads. `long`: the code returned to is 64-bit. */
export function returnStack(c: Vcpu, selector: u32, cpl: u32, long: bool): bool {
  if (isNull(selector)) {
    if (!long || cpl == 3 || (selector & 3) != cpl) return raiseError(c, GP, 0);
    returnSs = 0;
    return true;
  }
  if (!fetchDescriptor(c, selector, GP)) return false;
  if ((selector & 3) != cpl || dplOf(desc) != cpl || !isWritable(desc)) return gpSelector(c, selector);
  if (!isPresent(desc)) return raiseError(c, SS, selector & 0xfffc);
  returnSs = desc;
  return touchDescriptor(c, desc, descAt);
}

/** Loads what returnStack has checked. */
export function loadReturnStack(c: Vcpu, selector: u32, cpl: u32): void {
  if (returnSs) loadDescriptor(c, SEG_SS, selector, returnSs);
  else setNull(c, SEG_SS, selector, cpl);
}

/** Stack pointer as a return to the segment checked last leaves it. */
export function returnedSp(c: Vcpu, sp: u64, long: bool): u64 {
  if (long) return sp;
  const mask = maskOf(arOf(returnSs));
  return (c.gprAt(4) & 0xffffffff & ~mask) | (sp & mask);
}

export function retFar(c: Vcpu, u: usize): bool {
  const z = uSize(u), size = <u64>1 << z, release = uImm(u) & 0xffff;
  const narrow = stackMask(c) == 0xffff;
  // The selector first, and no more of its slot than that, as Intel CPUs do: page faults show it.
  if (!stackRead(c, size, 1)) return false;
  const selector = <u32>popped;
  if (!stackRead(c, 0, z)) return false;
  const rip = popped;
  if (!(c.mode & MODE_PROTECTED)) {
    if (rip > <u64>segLimit(c, SEG_CS)) return raiseError(c, GP, 0);
    moveSp(c, 2 * size + release);
    loadRealCs(c, selector, rip);
    return true;
  }
  if (!returnCode(c, selector)) return false;
  const d = desc, at = descAt, cpl = selector & 3, outer = cpl > c.cpl;
  const long = (c.mode & MODE_LONG) != 0 && (arOf(d) & AR_L) != 0;
  if (!outer) {
    if (!targetFits(c, d, rip) || !touchDescriptor(c, d, at)) return false;
  } else {
    if (!stackRead(c, 2 * size + release, z)) return false;
    const sp = popped;
    if (!stackRead(c, 3 * size + release, 1)) return false;
    const ss = <u32>popped;
    if (!returnStack(c, ss, cpl, long)) return false;
    if (!targetFits(c, d, rip) || !touchDescriptor(c, d, at)) return false;
    c.set_gpr(4, returnedSp(c, sp + release, long));
    loadReturnStack(c, ss, cpl);
  }
  loadDescriptor(c, SEG_CS, selector, d);
  c.rip = rip;
  if (outer) {
    c.cpl = cpl;
    dropInnerSegments(c);
  }
  updateMode(c);
  // With as many bits as the stack pointer has in the code returned to; how far has the old stack's.
  if (!outer) moveSp(c, (2 * size + release) & (narrow ? 0xffff : ~0));
  return true;
}
