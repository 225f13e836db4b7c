/** Moves between registers and memory. Non-temporal stores are ordinary ones: there is no cache to bypass. */
import { Vcpu } from "../gen/layout";
import {
  clearTop, dst, enterMmx, isMmx, isWide, mmxReady, mmxSrc, putHigh64, putLow32, putLow64, putMmx, putVector, putXmm,
  readAligned, reg, right, srcAny, upper, vectorBytes, writeAligned, writeMem,
} from "./operand";
import { uD, uS, uSize } from "../decode/uop";

// Vectors: MOVAPS, MOVAPD, MOVDQA and the non-temporal stores want alignment, MOVUPS, MOVUPD, MOVDQU do not.
export function movaps(c: Vcpu, u: usize): bool {
  const s = uS(u) ? reg(c, u) : readAligned(c, u);
  return s ? putVector(c, u, s) : false;
}
export function movups(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, vectorBytes(u));
  return s ? putVector(c, u, s) : false;
}
@inline function storeVector(c: Vcpu, u: usize, p: usize): bool {
  if (!p) return false;
  const s = reg(c, u);
  v128.store(p, right(s));
  if (isWide(u)) v128.store(p, upper(s), 16);
  return true;
}
export function movapsStore(c: Vcpu, u: usize): bool {
  return uD(u) ? putVector(c, u, reg(c, u)) : storeVector(c, u, writeAligned(c, u));
}
export function movupsStore(c: Vcpu, u: usize): bool {
  return uD(u) ? putVector(c, u, reg(c, u)) : storeVector(c, u, writeMem(c, u, vectorBytes(u)));
}

// Scalars: a load from memory clears the rest of the register, a move between registers leaves it.
export function movss(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  if (!s) return false;
  const v = load<u32>(s);
  return uS(u) ? putLow32(c, u, v) : putXmm(c, u, i64x2(v, 0));
}
export function movsdXmm(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  if (!s) return false;
  const v = load<u64>(s);
  return uS(u) ? putLow64(c, u, v) : putXmm(c, u, i64x2(v, 0));
}
export function movssStore(c: Vcpu, u: usize): bool {
  if (uD(u)) return putLow32(c, u, load<u32>(reg(c, u)));
  const p = writeMem(c, u, 4);
  if (p) store<u32>(p, load<u32>(reg(c, u)));
  return p != 0;
}
export function movsdStore(c: Vcpu, u: usize): bool {
  if (uD(u)) return putLow64(c, u, load<u64>(reg(c, u)));
  const p = writeMem(c, u, 8);
  if (p) store<u64>(p, load<u64>(reg(c, u)));
  return p != 0;
}

// Halves
export function movlps(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  return s ? putLow64(c, u, load<u64>(s)) : false;
}
/** MOVHPS from memory; MOVLHPS from a register. */
export function movhps(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  return s ? putHigh64(c, u, load<u64>(s)) : false;
}
export function movhlps(c: Vcpu, u: usize): bool { return putLow64(c, u, load<u64>(reg(c, u), 8)); }
export function movhpsStore(c: Vcpu, u: usize): bool {
  const p = writeMem(c, u, 8);
  if (p) store<u64>(p, load<u64>(reg(c, u), 8));
  return p != 0;
}

// MOVD and MOVQ
/** To an MMX or XMM register from r/m32 or r/m64. */
export function movd(c: Vcpu, u: usize): bool {
  const mmx = isMmx(u), wide = uSize(u) == 3;
  if (mmx && !mmxReady(c)) return false;
  const s = srcAny(c, u, wide ? 8 : 4);
  if (!s) return false;
  const v = wide ? load<u64>(s) : load<u32>(s);
  return mmx ? putMmx(c, dst(c, u), v) : putXmm(c, u, i64x2(v, 0));
}
/** From an XMM register to r/m32 or r/m64. */
export function movdStore(c: Vcpu, u: usize): bool {
  const wide = uSize(u) == 3, v = load<u64>(reg(c, u));
  const p = uD(u) ? dst(c, u) : writeMem(c, u, wide ? 8 : 4);
  if (!p) return false;
  if (wide || uD(u)) store<u64>(p, wide ? v : v & 0xffffffff);
  else store<u32>(p, <u32>v);
  return true;
}
/**
 * From an MMX register to r/m32 or r/m64. A store that faults leaves the tags but has cleared TOP, as recorded on a
 * real CPU; the same for MOVQ and MOVNTQ.
 */
export function movdMmxStore(c: Vcpu, u: usize): bool {
  if (!mmxReady(c)) return false;
  clearTop(c);
  if (!movdStore(c, u)) return false;
  enterMmx(c);
  return true;
}
/** MOVQ to an XMM register clears its upper half, from memory or not; so does MOVQ2DQ. */
export function movq(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  return s ? putXmm(c, u, i64x2(load<u64>(s), 0)) : false;
}
export function movqStore(c: Vcpu, u: usize): bool {
  if (uD(u)) return putXmm(c, u, i64x2(load<u64>(reg(c, u)), 0));
  return movsdStore(c, u);
}
export function movqMmx(c: Vcpu, u: usize): bool {
  const s = mmxSrc(c, u, 8);
  return s ? putMmx(c, dst(c, u), load<u64>(s)) : false;
}
/** MOVQ from an MMX register, and MOVNTQ. */
export function movqMmxStore(c: Vcpu, u: usize): bool {
  if (!mmxReady(c)) return false;
  if (uD(u)) return putMmx(c, dst(c, u), load<u64>(reg(c, u)));
  clearTop(c);
  if (!movsdStore(c, u)) return false;
  enterMmx(c);
  return true;
}
export function movq2dq(c: Vcpu, u: usize): bool {
  if (!mmxReady(c)) return false;
  enterMmx(c);
  return putXmm(c, u, i64x2(load<u64>(reg(c, u)), 0));
}
export function movdq2q(c: Vcpu, u: usize): bool {
  return mmxReady(c) ? putMmx(c, dst(c, u), load<u64>(reg(c, u))) : false;
}
