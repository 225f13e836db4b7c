/**
 * Operands of MMX and SSE instructions.
 *
 * XMM register i is the low 16 bytes of V_YMM + 32 i; the upper 16 stay as they are (legacy SSE). MMX register i is the
 * mantissa of physical x87 register i, V_ST + 16 i. Many instructions exist for both: `isMmx` tells by the destination,
 * and because nearly all of them work lane by lane, the handler computes 16 bytes and `putPacked` stores 8 or 16.
 *
 * A source is a host pointer, 0 = did not complete. 16 bytes may be read at a pointer from src16 and packedSrc; what
 * lies above an MMX source's 8 bytes has no meaning.
 */
import { Vcpu, V_YMM, V_SIMD } from "../gen/layout";
import { raise, raiseError, GP, MF } from "../exception";
import { readPtr, writePtr } from "../mem/access";
import { WRITE } from "../sem/kinds";
import { ea, uD, uFlags, uS, UF_STACK } from "../decode/uop";

const FSW_ES: u32 = 0x80;
const FSW_TOP: u16 = 0x3800;

/** Room for two vectors; has a meaning only within one handler. */
@inline export function scratch(c: Vcpu): usize { return changetype<usize>(c) + V_SIMD; }

/** Register operand 0, and operand 1 when it cannot be memory. */
@inline export function dst(c: Vcpu, u: usize): usize { return changetype<usize>(c) + uD(u); }
@inline export function reg(c: Vcpu, u: usize): usize { return changetype<usize>(c) + uS(u); }
/** Old value of operand 0. */
@inline export function left(c: Vcpu, u: usize): v128 { return v128.load(changetype<usize>(c) + uD(u)); }
/** Operand 1 at its pointer. */
@inline export function right(s: usize): v128 { return v128.load(s); }
/** Low qwords of operands 0 and 1 side by side: the 16 bytes an MMX instruction packs or pairs. */
@inline export function joined(c: Vcpu, u: usize, s: usize): v128 {
  return v128.shuffle<i64>(left(c, u), right(s), 0, 2);
}
/** Operand 0 is an MMX register (the page has them before the XMM registers). */
@inline export function isMmx(u: usize): bool { return uD(u) < V_YMM; }

/** The memory operand for reading `size` bytes at any alignment. */
export function readMem(c: Vcpu, u: usize, size: u32): usize {
  c.stackFault = uFlags(u) & UF_STACK;
  return readPtr(c, ea(c, u), size);
}

/** The memory operand for reading 16 bytes; #GP(0) if it is not aligned (SDM vol. 3, 6.15, interrupt 13). */
export function readAligned(c: Vcpu, u: usize): usize {
  const at = ea(c, u);
  if (<u32>at & 15) return misaligned(c);
  c.stackFault = uFlags(u) & UF_STACK;
  return readPtr(c, at, 16);
}

/** The memory operand for writing `size` bytes at any alignment. */
export function writeMem(c: Vcpu, u: usize, size: u32): usize {
  c.stackFault = uFlags(u) & UF_STACK;
  return writePtr(c, ea(c, u), size, WRITE);
}

export function writeAligned(c: Vcpu, u: usize): usize {
  const at = ea(c, u);
  if (<u32>at & 15) return misaligned(c);
  c.stackFault = uFlags(u) & UF_STACK;
  return writePtr(c, at, 16, WRITE);
}

function misaligned(c: Vcpu): usize {
  raiseError(c, GP, 0);
  return 0;
}

/** Operand 1 of `Vo,Wo`: a register, or 16 aligned bytes. */
@inline export function src16(c: Vcpu, u: usize): usize {
  const s = uS(u);
  return s ? changetype<usize>(c) + s : readAligned(c, u);
}

/** Operand 1: a register, or `size` bytes of memory at any alignment. */
@inline export function srcAny(c: Vcpu, u: usize, size: u32): usize {
  const s = uS(u);
  return s ? changetype<usize>(c) + s : readMem(c, u, size);
}

/** #MF if an unmasked x87 exception is pending (SDM vol. 1, 9.6.2 and 8.7); true = nothing is pending. */
export function mmxReady(c: Vcpu): bool {
  return c.fsw & FSW_ES ? raise(c, MF) : true;
}

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
  return isMmx(u) ? mmxSrc(c, u, 8) : src16(c, u);
}

/** Result of such an instruction. Returns true. */
@inline export function putPacked(c: Vcpu, u: usize, v: v128): bool {
  if (isMmx(u)) return putMmx(c, dst(c, u), <u64>i64x2.extract_lane(v, 0));
  v128.store(dst(c, u), v);
  return true;
}

@inline export function putXmm(c: Vcpu, u: usize, v: v128): bool {
  v128.store(dst(c, u), v);
  return true;
}

/** A 32-bit result in a general register clears its upper half. */
@inline export function putGpr32(c: Vcpu, u: usize, v: u32): bool {
  store<u64>(dst(c, u), v);
  return true;
}
