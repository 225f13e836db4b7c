/**
 * Operands of MMX, SSE and AVX instructions.
 *
 * XMM register i is the low 16 bytes of V_YMM + 32 i. MMX register i is the mantissa of physical x87 register i,
 * V_ST + 16 i. One handler serves every encoding of an instruction; the micro-op's shape says which it is:
 *
 *     legacy    the first source is the destination, and its upper 16 bytes stay as they are
 *     VEX.128   a first source of its own; the upper 16 bytes of the destination become zero
 *     VEX.256   the same with 32 bytes, most often the same operation on either half
 *
 * MMX has the legacy shape: `isMmx` tells by the destination, and because nearly all of its instructions work lane by
 * lane, the handler computes 16 bytes and `putPacked` stores 8.
 *
 * A source is a host pointer, 0 = did not complete. At a pointer from src and packedSrc 16 bytes may be read (32 with
 * VEX.256); what lies above an MMX source's 8 bytes has no meaning.
 */
import { Vcpu, V_YMM, V_SIMD } from "../gen/layout";
import { raiseError, GP } from "../exception";
import { readPtr, writePtr } from "../mem/access";
import { WRITE } from "../sem/kinds";
import { locate, located, operandSegment } from "../decode/address";
import { ready } from "../x87/error";
import { ea, uD, uFlags, uLeft, uS, uShape, SHAPE_LEGACY, SHAPE_YMM, UF_STACK } from "../decode/uop";

const FSW_TOP: u16 = 0x3800;

/** Room for two YMM registers; has a meaning only within one handler. */
@inline export function scratch(c: Vcpu): usize { return changetype<usize>(c) + V_SIMD; }

@inline export function isVex(u: usize): bool { return uShape(u) != SHAPE_LEGACY; }
/** The operation has 256 bits. */
@inline export function isWide(u: usize): bool { return uShape(u) == SHAPE_YMM; }
/** Bytes of a vector. */
@inline export function vectorBytes(u: usize): u32 { return isWide(u) ? 32 : 16; }

/** Register operand 0, and operand 1 when it cannot be memory. */
@inline export function dst(c: Vcpu, u: usize): usize { return changetype<usize>(c) + uD(u); }
@inline export function reg(c: Vcpu, u: usize): usize { return changetype<usize>(c) + uS(u); }
/** The first source: the register in VEX.vvvv, in legacy encodings operand 0. */
@inline export function leftAt(c: Vcpu, u: usize): usize { return changetype<usize>(c) + uLeft(u); }
@inline export function left(c: Vcpu, u: usize): v128 { return v128.load(leftAt(c, u)); }
/** Operand 1 at its pointer. */
@inline export function right(s: usize): v128 { return v128.load(s); }
/** The upper half of a vector of 256 bits. */
@inline export function upper(p: usize): v128 { return v128.load(p, 16); }
/** Low qwords of operands 0 and 1 side by side: the 16 bytes an MMX instruction packs or pairs. */
@inline export function joined(c: Vcpu, u: usize, s: usize): v128 {
  return v128.shuffle<i64>(left(c, u), right(s), 0, 2);
}
/** Operand 0 is an MMX register (the page has them before the XMM registers). */
@inline export function isMmx(u: usize): bool { return uD(u) < V_YMM; }

/** The memory operand for reading `size` bytes at any alignment. MMX instructions check the segment here, after #MF. */
export function readMem(c: Vcpu, u: usize, size: u32): usize {
  c.stackFault = uFlags(u) & UF_STACK;
  if (operandSegment(u) < 0) return readPtr(c, ea(c, u), size);
  return locate(c, u, 0, size, false) ? readPtr(c, located, size) : 0;
}

/** The memory operand for reading a vector, which must be aligned: else #GP(0) (SDM vol. 3, 6.15, interrupt 13). */
export function readAligned(c: Vcpu, u: usize): usize {
  const at = ea(c, u), size = vectorBytes(u);
  if (<u32>at & (size - 1)) return misaligned(c);
  c.stackFault = uFlags(u) & UF_STACK;
  return readPtr(c, at, size);
}

/** The memory operand for reading a vector: aligned in the legacy encoding. */
@inline function readVector(c: Vcpu, u: usize): usize {
  return isVex(u) ? readMem(c, u, vectorBytes(u)) : readAligned(c, u);
}

/** The memory operand for writing `size` bytes at any alignment. */
export function writeMem(c: Vcpu, u: usize, size: u32): usize {
  c.stackFault = uFlags(u) & UF_STACK;
  if (operandSegment(u) < 0) return writePtr(c, ea(c, u), size, WRITE);
  return locate(c, u, 0, size, true) ? writePtr(c, located, size, WRITE) : 0;
}

/** The memory operand for writing a vector, which must be aligned in every encoding. */
export function writeAligned(c: Vcpu, u: usize): usize {
  const at = ea(c, u), size = vectorBytes(u);
  if (<u32>at & (size - 1)) return misaligned(c);
  c.stackFault = uFlags(u) & UF_STACK;
  return writePtr(c, at, size, WRITE);
}

function misaligned(c: Vcpu): usize {
  raiseError(c, GP, 0);
  return 0;
}

/** Operand 1, a vector: a register or memory. */
@inline export function src(c: Vcpu, u: usize): usize {
  const s = uS(u);
  return s ? changetype<usize>(c) + s : readVector(c, u);
}

/** Operand 1 of 16 bytes, whatever the shape: a register or memory. */
@inline export function src16(c: Vcpu, u: usize): usize {
  const s = uS(u);
  return s ? changetype<usize>(c) + s : isVex(u) ? readMem(c, u, 16) : readAligned(c, u);
}

/** Operand 1: a register, or `size` bytes of memory at any alignment. */
@inline export function srcAny(c: Vcpu, u: usize, size: u32): usize {
  const s = uS(u);
  return s ? changetype<usize>(c) + s : readMem(c, u, size);
}

/** Whether no unmasked x87 exception is pending, which MMX instructions report as waiting ones do (SDM vol. 1, 9.6.2). */
export function mmxReady(c: Vcpu): bool { return ready(c); }

/** What every MMX instruction but EMMS does to the x87 state: TOP = 0, all tags valid (SDM vol. 1, 9.5.1). */
export function enterMmx(c: Vcpu): void {
  clearTop(c);
  c.ftw = 0xff;
}
export function clearTop(c: Vcpu): void { c.fsw &= ~FSW_TOP; }

/** Operand 1 of `Pq,Qq` after the #MF check; `size` bytes (4 or 8) if it is memory. */
export function mmxSrc(c: Vcpu, u: usize, size: u32): usize {
  if (!mmxReady(c)) return 0;
  const s = uS(u);
  if (s) return changetype<usize>(c) + s;
  const p = readMem(c, u, size);
  if (!p) return 0;
  // 16 bytes will be loaded: more than guest memory may have there.
  store<u64>(scratch(c), size == 4 ? load<u32>(p) : load<u64>(p));
  return scratch(c);
}

/** Writes an MMX register: the sign and exponent become ones. Returns true. */
export function putMmx(c: Vcpu, at: usize, v: u64): bool {
  store<u64>(at, v);
  store<u16>(at, 0xffff, 8);
  enterMmx(c);
  return true;
}

/** Operand 1 of an instruction that exists as `Pq,Qq` and as `Vo,Wo`. */
@inline export function packedSrc(c: Vcpu, u: usize): usize {
  return isMmx(u) ? mmxSrc(c, u, 8) : src(c, u);
}

// Results; all return true.

/** 128 bits to operand 0. */
@inline export function putXmm(c: Vcpu, u: usize, v: v128): bool {
  const d = dst(c, u);
  v128.store(d, v);
  if (isVex(u)) v128.store(d, i64x2.splat(0), 16);
  return true;
}

@inline export function putYmm(c: Vcpu, u: usize, low: v128, high: v128): bool {
  const d = dst(c, u);
  v128.store(d, low);
  v128.store(d, high, 16);
  return true;
}

/** Either, from memory of the host. */
@inline export function putVector(c: Vcpu, u: usize, p: usize): bool {
  return isWide(u) ? putYmm(c, u, right(p), upper(p)) : putXmm(c, u, right(p));
}

/** 128 bits to an XMM register, or their lower half to an MMX register. */
@inline export function putPacked(c: Vcpu, u: usize, v: v128): bool {
  return isMmx(u) ? putMmx(c, dst(c, u), <u64>i64x2.extract_lane(v, 0)) : putXmm(c, u, v);
}

// One element; the others are the first source's.
@inline export function putLow32(c: Vcpu, u: usize, v: u32): bool {
  if (isVex(u)) return putXmm(c, u, i32x4.replace_lane(left(c, u), 0, v));
  store<u32>(dst(c, u), v);
  return true;
}
@inline export function putLow64(c: Vcpu, u: usize, v: u64): bool {
  if (isVex(u)) return putXmm(c, u, i64x2.replace_lane(left(c, u), 0, v));
  store<u64>(dst(c, u), v);
  return true;
}
@inline export function putHigh64(c: Vcpu, u: usize, v: u64): bool {
  if (isVex(u)) return putXmm(c, u, i64x2.replace_lane(left(c, u), 1, v));
  store<u64>(dst(c, u), v, 8);
  return true;
}

/** A 32-bit result in a general register clears its upper half. */
@inline export function putGpr32(c: Vcpu, u: usize, v: u32): bool {
  store<u64>(dst(c, u), v);
  return true;
}
