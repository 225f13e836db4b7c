/**
 * The x87 register stack and the end of an instruction (SDM vol. 1, 8.1). The arithmetic is in assembly/fp.
 *
 *     FSW   15 14 13..11 10  9  8  7  6  5  4  3  2  1  0
 *           B  C3 TOP    C2 C1 C0 ES SF PE UE OE ZE DE IE
 *
 * ST(i) is physical register (TOP + i) & 7; bit p of Vcpu.ftw is 1 when physical register p is not empty. ES and B are
 * 1 exactly when one of the flags 5:0 is set whose mask in FCW is clear.
 *
 * The pointers to the last instruction are those of a CPU with CPUID.7.EBX[6] and [13]: FIP changes with every
 * non-control instruction, FDP and FOP only with one that has an unmasked exception, FCS and FDS are always 0.
 */
import { Vcpu, STATUS_FAULT, V_ST } from "../gen/layout";
import { readPtr, writePtr } from "../mem/access";
import { keepStaged } from "../mem/stage";
import { WRITE } from "../sem/kinds";
import { fetchHost, linearRip, ripMask } from "../decode/block";
import { locate, located, operandOffset, operandSegment } from "../decode/address";
import { ea, uFlags, uOff, UF_STACK } from "../decode/uop";
import { FP_C1, FP_IE, fpFlags } from "../fp/flags";
import { FSW_B, FSW_ES, ready, setError } from "./error";

export { FSW_B, FSW_ES, ready };

export const FSW_EXCEPTIONS: u32 = 0x3f;
export const FSW_SF: u32 = 0x40;
export const FSW_TOP: u32 = 0x3800;

/** The real indefinite, a QNaN: the masked response to an invalid operation. */
export const INDEFINITE: u64 = 0xc000000000000000;
export const INDEFINITE_SE: u32 = 0xffff;

@inline export function physical(c: Vcpu, i: u32): u32 { return ((<u32>c.fsw >> 11) + i) & 7; }
/** Address of ST(i); `mant` and `sexp` are its two parts. */
@inline export function st(c: Vcpu, i: u32): usize {
  return changetype<usize>(c) + V_ST + <usize>(physical(c, i) << 4);
}
@inline export function mant(p: usize): u64 { return load<u64>(p); }
@inline export function sexp(p: usize): u32 { return load<u16>(p, 8); }
@inline export function isEmpty(c: Vcpu, i: u32): bool { return ((<u32>c.ftw >> physical(c, i)) & 1) == 0; }

/** ST(i) = value; it is not empty then. */
export function put(c: Vcpu, i: u32, m: u64, se: u32): void {
  const p = st(c, i);
  store<u64>(p, m);
  store<u16>(p, <u16>se, 8);
  c.ftw |= <u16>(<u32>1 << physical(c, i));
}

/** ST(i) = the indefinite, if invalid operations are masked. */
export function putIndefinite(c: Vcpu, i: u32): void {
  if (c.fcw & FP_IE) put(c, i, INDEFINITE, INDEFINITE_SE);
}

/** Adds to TOP: 7 makes room for a push. Tags stay. */
export function moveTop(c: Vcpu, by: u32): void {
  c.fsw = <u16>((c.fsw & ~FSW_TOP) | (physical(c, by) << 11));
}

export function release(c: Vcpu, i: u32): void { c.ftw &= <u16>~(<u32>1 << physical(c, i)); }

export function pop(c: Vcpu): void {
  release(c, 0);
  moveTop(c, 1);
}

/** Pushes onto a stack that has room, and ends the instruction with `flags`. */
export function push(c: Vcpu, u: usize, m: u64, se: u32, flags: u32): bool {
  moveTop(c, 7);
  put(c, 0, m, se);
  return finish(c, u, flags, FP_C1);
}

/** #IS: stack overflow if `c1` is FP_C1, underflow if it is 0. True if it is masked. Call it last: TOP is final. */
export function stackFault(c: Vcpu, u: usize, c1: u32): bool {
  finish(c, u, FP_IE | FSW_SF | c1, FP_C1);
  return (c.fcw & FP_IE) != 0;
}

/** Push onto a full stack: the indefinite is pushed if that is masked. Returns true. */
export function overflow(c: Vcpu, u: usize): bool {
  if (c.fcw & FP_IE) {
    moveTop(c, 7);
    put(c, 0, INDEFINITE, INDEFINITE_SE);
  }
  stackFault(c, u, FP_C1);
  return true;
}

/** Operation on an empty register: ST(i) becomes the indefinite if that is masked. Returns true. */
export function underflow(c: Vcpu, u: usize, i: u32): bool {
  putIndefinite(c, i);
  stackFault(c, u, 0);
  return true;
}

/**
 * Ends a non-control instruction: condition codes in `defined` and exceptions from `flags` (fpFlags and FSW_SF). An
 * unmasked exception becomes pending. Returns true.
 */
export function finish(c: Vcpu, u: usize, flags: u32, defined: u32): bool {
  c.fsw = <u16>((<u32>c.fsw & ~defined) | flags);
  c.fip = (c.ripPage + uOff(u)) & ripMask(c);
  if (flags & ~<u32>c.fcw & FSW_EXCEPTIONS) {
    setError(c);
    notePointers(c, u);
  }
  return true;
}

/** An exception in `fpFlags`, of those in `mask`, that FCW does not mask. */
@inline export function unmasked(c: Vcpu, mask: u32): bool { return (fpFlags & ~<u32>c.fcw & mask) != 0; }

/** ES and B after FCW or the flags have been loaded. */
export function summarize(c: Vcpu): void {
  if (c.fsw & ~<u32>c.fcw & FSW_EXCEPTIONS) setError(c);
  else c.fsw &= <u16>~(FSW_ES | FSW_B);
}

/** FOP is the low three bits of the opcode byte, then ModRM (SDM vol. 1, 8.1.9): read again, as this is rare. */
function notePointers(c: Vcpu, u: usize): void {
  const linear = linearRip(c, c.fip);
  for (let i: u64 = 0; i < 14; i++) {
    const at = fetchHost(c, linear + i, false);
    if (!at) return;
    // Only prefixes come before the opcode, and none of them is D8 to DF.
    if ((load<u8>(at) & 0xf8) != 0xd8) continue;
    const next = fetchHost(c, linear + i + 1, false);
    if (!next) return;
    const modrm: u32 = load<u8>(next);
    c.fop = <u16>(((<u32>load<u8>(at) & 7) << 8) | modrm);
    if (modrm < 0xc0) c.fdp = operandOffset(c, u);
    return;
  }
}

/** The memory operand for reading; 0 = did not complete. */
export function readMem(c: Vcpu, u: usize, size: u32): usize {
  c.stackFault = uFlags(u) & UF_STACK;
  if (operandSegment(u) < 0) return readPtr(c, ea(c, u), size);
  return locate(c, u, 0, size, false) ? readPtr(c, located, size) : 0;
}

/** The memory operand for writing. */
export function writeMem(c: Vcpu, u: usize, size: u32): usize {
  c.stackFault = uFlags(u) & UF_STACK;
  if (operandSegment(u) < 0) return writePtr(c, ea(c, u), size, WRITE);
  return locate(c, u, 0, size, true) ? writePtr(c, located, size, WRITE) : 0;
}

/** The last 80-bit operand read: bits 63:0 and 79:64. */
export let memLow: u64 = 0;
export let memHigh: u32 = 0;

/** Reads an 80-bit operand to memLow and memHigh, as the CPU does: eight bytes, then two; false = did not complete. */
export function readMem80(c: Vcpu, u: usize): bool {
  let p = readMem(c, u, 8);
  if (!p) return false;
  memLow = load<u64>(p);
  if (!locate(c, u, 8, 2, false)) return false;
  p = readPtr(c, located, 2);
  if (!p) return false;
  memHigh = load<u16>(p);
  return true;
}

/** Writes an 80-bit operand. The first eight bytes stay written if the other two fault. */
export function writeMem80(c: Vcpu, u: usize, low: u64, high: u32): bool {
  let p = writeMem(c, u, 8);
  if (!p) return false;
  store<u64>(p, low);
  p = locate(c, u, 8, 2, true) ? writePtr(c, located, 2, WRITE) : 0;
  if (!p) {
    if (c.status == STATUS_FAULT) keepStaged(c);
    return false;
  }
  store<u16>(p, <u16>high);
  return true;
}
