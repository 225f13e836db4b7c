/**
 * Loading segment registers: MOV and POP to them, LDS and its like; LLDT, LTR; and the instructions that look at
 * descriptors without loading them (LAR, LSL, VERR, VERW). SDM vol. 2 under each name; checks in the order of vol. 3, 5.
 */
import {
  Vcpu, MODE_CODE64, MODE_PROTECTED, MODE_V86, MODE_LONG, SEG_ES, SEG_SS, SEG_LDTR, SEG_TR, ATTENTION_POSTED, V_ATTENTION,
} from "../gen/layout";
import { raiseError, GP, NP, SS } from "../exception";
import { operandOffset, operandSegment } from "../decode/address";
import { uD, uS, uSize } from "../decode/uop";
import { READ } from "../sem/kinds";
import { rdz, sysWrite, value, wrz } from "../mem/access";
import { drainStores } from "../mem/fence";
import { AR_UNUSABLE, segAr, segBase, segLimit, segmentLinear, segSelector, setSeg } from "../mem/segment";
import { stackLinear, stackMask } from "../mem/stack";
import { arithmeticFlags, setArithmeticFlags, ZF } from "../sem/flags";
import { beginShadow, updateMode } from "./mode";
import { operand, putReg, readOperand, readOperandPiece, readPiece, writeMem } from "./operand";
import {
  arOf, baseOf, desc, descAt, descHigh, dplOf, fetchDescriptor, fetchHigh, gpSelector, isConforming, isNull,
  isPresent, isReadable, isSystem, isWritable, limitOf, loadDescriptor, setNull, touchDescriptor, typeOf, TYPE_LDT,
  TYPE_TSS16, TYPE_TSS32,
} from "./descriptor";
import { canonicalBase } from "../mem/linear";

/** A segment register in real mode keeps limit and rights ("unreal mode"); virtual-8086 mode has fixed ones. */
export function setRealSeg(c: Vcpu, s: u32, selector: u32): void {
  if (c.mode & MODE_V86) setSeg(c, s, selector, <u64>selector << 4, 0xffff, 0xf3);
  else if (segAr(c, s) & AR_UNUSABLE) setSeg(c, s, selector, <u64>selector << 4, 0xffff, 0x93);
  else setSeg(c, s, selector, <u64>selector << 4, segLimit(c, s), segAr(c, s));
}

/** Loads ES, SS, DS, FS or GS with all checks. False = nothing changed, fault recorded. */
export function loadSegment(c: Vcpu, s: u32, selector: u32): bool {
  if (!(c.mode & MODE_PROTECTED)) {
    setRealSeg(c, s, selector);
    updateMode(c);
    return true;
  }
  const rpl = selector & 3;
  if (isNull(selector)) {
    if (s == SEG_SS && (!(c.mode & MODE_CODE64) || c.cpl == 3 || rpl != c.cpl)) return raiseError(c, GP, 0);
    setNull(c, s, selector, s == SEG_SS ? c.cpl : 0);
  } else {
    if (!fetchDescriptor(c, selector, GP)) return false;
    const d = desc;
    if (s == SEG_SS) {
      if (rpl != c.cpl || !isWritable(d) || dplOf(d) != c.cpl) return gpSelector(c, selector);
      if (!isPresent(d)) return raiseError(c, SS, selector & 0xfffc);
    } else {
      if (!isReadable(d)) return gpSelector(c, selector);
      if (!isConforming(d) && (rpl > dplOf(d) || c.cpl > dplOf(d))) return gpSelector(c, selector);
      if (!isPresent(d)) return raiseError(c, NP, selector & 0xfffc);
    }
    if (!touchDescriptor(c, d, descAt)) return false;
    loadDescriptor(c, s, selector, d);
  }
  if (!(c.mode & MODE_CODE64)) updateMode(c);
  return true;
}

/**
 * MOV SS and POP SS hold off interrupts and debug traps for one instruction (SDM vol. 3, 6.8.3). With breakpoints armed
 * the outer loop must see that instruction by itself; otherwise it is enough that it sees the shadow at all.
 */
function shadowStack(c: Vcpu, u: usize): void {
  beginShadow(c, u, 2);
  if (c.armed) atomic.or<i32>(changetype<usize>(c) + V_ATTENTION, ATTENTION_POSTED);
}

/** MOV to a segment register; REX.R is ignored. */
export function movSE(c: Vcpu, u: usize): bool {
  const s = <u32>uD(u) & 7;
  if (!readOperand(c, u, uS(u), 1)) return false;
  if (!loadSegment(c, s, <u32>operand)) return false;
  if (s == SEG_SS) shadowStack(c, u);
  return true;
}

/** MOV from a segment register: memory gets 16 bits, a register as many as the operand size has. */
export function movRS(c: Vcpu, u: usize): bool {
  putReg(c, uD(u), uSize(u), segSelector(c, <u32>uS(u) & 7));
  return true;
}

export function movMS(c: Vcpu, u: usize): bool {
  return writeMem(c, u, 1, segSelector(c, <u32>uS(u) & 7));
}

/** PUSH of a segment register: a 32-bit push writes only the lower 16 bits (as Intel CPUs do), 64 bits all. */
export function pushS(c: Vcpu, u: usize): bool {
  const z = uSize(u), size = <u64>1 << z, rsp = c.gprAt(4), mask = stackMask(c), sp = (rsp - size) & mask;
  c.stackFault = 1;
  const linear = stackLinear(c, sp, <u32>size, 1);
  if (linear == ~0 && !(c.mode & MODE_CODE64)) return false;
  if (!wrz(c, linear, z == 2 ? 1 : z, segSelector(c, <u32>uD(u)))) return false;
  c.set_gpr(4, (rsp & ~mask) | sp);
  return true;
}

export function popS(c: Vcpu, u: usize): bool {
  const z = uSize(u), size = <u64>1 << z, rsp = c.gprAt(4), mask = stackMask(c), sp = rsp & mask;
  c.stackFault = 1;
  const linear = stackLinear(c, sp, <u32>size, READ);
  if (linear == ~0 && !(c.mode & MODE_CODE64)) return false;
  // The upper part of a 32-bit or 64-bit slot is not read.
  if (!rdz(c, linear, 1)) return false;
  const s = <u32>uD(u);
  if (!loadSegment(c, s, <u32>value)) return false;
  c.set_gpr(4, (rsp & ~mask) | ((sp + size) & mask));
  if (s == SEG_SS) shadowStack(c, u);
  return true;
}

/** LES, LDS, LSS, LFS, LGS: offset, then selector. */
function loadFar(c: Vcpu, u: usize, s: u32): bool {
  const z = uSize(u);
  if (!readPiece(c, u, 0, z)) return false;
  const offset = operand;
  if (!readPiece(c, u, <u64>1 << z, 1)) return false;
  if (!loadSegment(c, s, <u32>operand)) return false;
  putReg(c, uD(u), z, offset);
  return true;
}
export function les(c: Vcpu, u: usize): bool { return loadFar(c, u, SEG_ES); }
export function lds(c: Vcpu, u: usize): bool { return loadFar(c, u, 3); }
export function lss(c: Vcpu, u: usize): bool { return loadFar(c, u, SEG_SS); }
export function lfs(c: Vcpu, u: usize): bool { return loadFar(c, u, 4); }
export function lgs(c: Vcpu, u: usize): bool { return loadFar(c, u, 5); }

/** LLDT and LTR. The decoder has seen to it that this is protected mode. */
export function lldt(c: Vcpu, u: usize): bool {
  if (c.cpl) return raiseError(c, GP, 0);
  drainStores(c);
  if (!readOperandPiece(c, u, uD(u), 1)) return false;
  const selector = <u32>operand;
  if (isNull(selector)) {
    setNull(c, SEG_LDTR, selector, 0);
    return true;
  }
  if (selector & 4) return gpSelector(c, selector);
  if (!fetchDescriptor(c, selector, GP)) return false;
  if (!isSystem(desc) || typeOf(desc) != TYPE_LDT) return gpSelector(c, selector);
  if (!isPresent(desc)) return raiseError(c, NP, selector & 0xfffc);
  return loadSystem(c, SEG_LDTR, selector);
}

export function ltr(c: Vcpu, u: usize): bool {
  if (c.cpl) return raiseError(c, GP, 0);
  drainStores(c);
  if (!readOperandPiece(c, u, uD(u), 1)) return false;
  const selector = <u32>operand;
  if (isNull(selector)) return raiseError(c, GP, 0);
  if (selector & 4) return gpSelector(c, selector);
  if (!fetchDescriptor(c, selector, GP)) return false;
  const type = typeOf(desc);
  if (!isSystem(desc) || (type != TYPE_TSS32 && (type != TYPE_TSS16 || (c.mode & MODE_LONG) != 0))) return gpSelector(c, selector);
  if (!isPresent(desc)) return raiseError(c, NP, selector & 0xfffc);
  return loadSystem(c, SEG_TR, selector);
}

/** LDTR or TR from `desc`, with 64-bit base in IA-32e mode; a TSS becomes busy. */
function loadSystem(c: Vcpu, s: u32, selector: u32): bool {
  const d = desc;
  let base = baseOf(d);
  if (c.mode & MODE_LONG) {
    if (!fetchHigh(c, selector, GP)) return false;
    base |= descHigh << 32;
    if (!canonicalBase(c, base)) return gpSelector(c, selector);
  }
  let ar = arOf(d);
  if (s == SEG_TR) {
    ar |= 2;
    if (!sysWrite(c, descAt + 5, 0, ar & 0xff)) return false;
  }
  setSeg(c, s, selector, base, limitOf(d), ar);
  return true;
}

export function sldt(c: Vcpu, u: usize): bool { return storeSelector(c, u, SEG_LDTR); }
export function str(c: Vcpu, u: usize): bool { return storeSelector(c, u, SEG_TR); }

function storeSelector(c: Vcpu, u: usize, s: u32): bool {
  if (!umipAllows(c)) return false;
  if (!uD(u)) return writeMem(c, u, 1, segSelector(c, s));
  putReg(c, uD(u), uSize(u), segSelector(c, s));
  return true;
}

/** CR4.UMIP keeps SGDT, SIDT, SLDT, SMSW and STR from user mode. */
export function umipAllows(c: Vcpu): bool {
  return c.cpl && (c.cr4 & (1 << 11)) ? raiseError(c, GP, 0) : true;
}

function setZero(c: Vcpu, set: bool): bool {
  const flags = arithmeticFlags(c);
  setArithmeticFlags(c, set ? flags | ZF : flags & ~ZF);
  return true;
}

/**
 * The descriptor of `selector`, for instructions that say in ZF whether it could be had. 1 = in `desc`, 0 = cannot,
 * -1 = fault recorded. (fetchDescriptor is not used: it would record #GP.)
 */
function peek(c: Vcpu, selector: u32): i32 {
  if (isNull(selector)) return 0;
  if (selector & 4 && segAr(c, SEG_LDTR) & AR_UNUSABLE) return 0;
  const limit = selector & 4 ? segLimit(c, SEG_LDTR) : c.gdtLimit;
  if ((selector & 0xfff8) + 7 > limit) return 0;
  return fetchDescriptor(c, selector, GP) ? 1 : -1;
}

/** Bits: which system descriptor types LAR and LSL accept (SDM vol. 2, tables for each). */
const LAR_LEGACY: u32 = 0b0001_1010_0011_1110;
const LAR_LONG: u32 = 0b0001_1010_0000_0100;
const LSL_LEGACY: u32 = 0b0000_1010_0000_1110;
const LSL_LONG: u32 = 0b0000_1010_0000_0100;

/** LAR and LSL: whether `desc` may be seen with this RPL. */
function visible(c: Vcpu, selector: u32, legacy: u32, long: u32): bool {
  const d = desc;
  if (isSystem(d) && !((c.mode & MODE_LONG ? long : legacy) >> typeOf(d) & 1)) return false;
  return isConforming(d) || (dplOf(d) >= c.cpl && dplOf(d) >= (selector & 3));
}

export function lar(c: Vcpu, u: usize): bool {
  if (!readOperand(c, u, uS(u), 1)) return false;
  const selector = <u32>operand, got = peek(c, selector);
  if (got < 0) return false;
  if (got == 0 || !visible(c, selector, LAR_LEGACY, LAR_LONG)) return setZero(c, false);
  putReg(c, uD(u), uSize(u), (desc >> 32) & 0x00f0ff00);
  return setZero(c, true);
}

export function lsl(c: Vcpu, u: usize): bool {
  if (!readOperand(c, u, uS(u), 1)) return false;
  const selector = <u32>operand, got = peek(c, selector);
  if (got < 0) return false;
  if (got == 0 || !visible(c, selector, LSL_LEGACY, LSL_LONG)) return setZero(c, false);
  putReg(c, uD(u), uSize(u), limitOf(desc));
  return setZero(c, true);
}

export function verr(c: Vcpu, u: usize): bool { return verify(c, u, false); }
export function verw(c: Vcpu, u: usize): bool { return verify(c, u, true); }

function verify(c: Vcpu, u: usize, write: bool): bool {
  if (!readOperand(c, u, uD(u), 1)) return false;
  const selector = <u32>operand, got = peek(c, selector);
  if (got < 0) return false;
  if (got == 0) return setZero(c, false);
  const d = desc;
  let ok = write ? isWritable(d) : isReadable(d);
  if (!isConforming(d)) ok = ok && dplOf(d) >= c.cpl && dplOf(d) >= (selector & 3);
  return setZero(c, ok);
}

/** After a return to an outer level: data segments that it may not have become null (SDM vol. 3, 5.8.6). */
export function dropInnerSegments(c: Vcpu): void {
  for (let s: u32 = 0; s < 6; s++) {
    if (s == 1 || s == SEG_SS) continue;
    const ar = segAr(c, s);
    if (ar & AR_UNUSABLE) continue;
    // The base stays, which in 64-bit mode still counts for FS and GS.
    if ((ar & 12) != 12 && ((ar >> 5) & 3) < c.cpl) setSeg(c, s, 0, segBase(c, s), segLimit(c, s), AR_UNUSABLE);
  }
}

/**
 * ARPL: raises the RPL of the destination to that of the source. A destination that stays as it is need not be writable.
 */
export function arpl(c: Vcpu, u: usize): bool {
  if (!readOperand(c, u, uD(u), 1)) return false;
  const own = operand, other = <u64>load<u16>(changetype<usize>(c) + uS(u));
  if ((own & 3) >= (other & 3)) return setZero(c, false);
  const raised = (own & ~3) | (other & 3);
  if (uD(u)) putReg(c, uD(u), 1, raised);
  else {
    const s = operandSegment(u);
    if (s >= 0 && segmentLinear(c, s, operandOffset(c, u), 2, true) == ~0) return false;
    if (!writeMem(c, u, 1, raised)) return false;
  }
  return setZero(c, true);
}
