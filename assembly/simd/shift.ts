/**
 * Packed shifts, MMX and XMM alike. A count is the low 64 bits of operand 1, or imm8; counts beyond the lane clear it
 * (arithmetic shifts fill it with the sign).
 */
import { Vcpu } from "../gen/layout";
import { isMmx, left, mmxReady, packedSrc, putPacked, putXmm } from "./operand";
import { uImm } from "../decode/uop";

/** Byte numbers; a swizzle gives 0 for numbers that are out of range. */
const ASCENDING = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

class Words {}
class Dwords {}
class Qwords {}

/** Shifts right by n, 0 beyond the lane. */
@inline function right<TLane>(v: v128, n: u64): v128 {
  if (idof<TLane>() == idof<Words>()) return n < 16 ? i16x8.shr_u(v, <i32>n) : i64x2.splat(0);
  if (idof<TLane>() == idof<Dwords>()) return n < 32 ? i32x4.shr_u(v, <i32>n) : i64x2.splat(0);
  return n < 64 ? i64x2.shr_u(v, <i32>n) : i64x2.splat(0);
}

@inline function leftwards<TLane>(v: v128, n: u64): v128 {
  if (idof<TLane>() == idof<Words>()) return n < 16 ? i16x8.shl(v, <i32>n) : i64x2.splat(0);
  if (idof<TLane>() == idof<Dwords>()) return n < 32 ? i32x4.shl(v, <i32>n) : i64x2.splat(0);
  return n < 64 ? i64x2.shl(v, <i32>n) : i64x2.splat(0);
}

@inline function arithmetic<TLane>(v: v128, n: u64): v128 {
  if (idof<TLane>() == idof<Words>()) return i16x8.shr_s(v, <i32>min<u64>(n, 15));
  return i32x4.shr_s(v, <i32>min<u64>(n, 31));
}

/** An immediate form has no memory operand: only a pending x87 exception can stop it. */
@inline function ready(c: Vcpu, u: usize): bool { return !isMmx(u) || mmxReady(c); }
@inline function imm8(u: usize): u64 { return uImm(u) & 0xff; }

// Count in operand 1
export function psrlw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, right<Words>(left(c, u), load<u64>(s))) : false;
}
export function psrld(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, right<Dwords>(left(c, u), load<u64>(s))) : false;
}
export function psrlq(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, right<Qwords>(left(c, u), load<u64>(s))) : false;
}
export function psllw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, leftwards<Words>(left(c, u), load<u64>(s))) : false;
}
export function pslld(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, leftwards<Dwords>(left(c, u), load<u64>(s))) : false;
}
export function psllq(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, leftwards<Qwords>(left(c, u), load<u64>(s))) : false;
}
export function psraw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, arithmetic<Words>(left(c, u), load<u64>(s))) : false;
}
export function psrad(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, arithmetic<Dwords>(left(c, u), load<u64>(s))) : false;
}

// Count in imm8
export function psrlwImm(c: Vcpu, u: usize): bool {
  return ready(c, u) ? putPacked(c, u, right<Words>(left(c, u), imm8(u))) : false;
}
export function psrldImm(c: Vcpu, u: usize): bool {
  return ready(c, u) ? putPacked(c, u, right<Dwords>(left(c, u), imm8(u))) : false;
}
export function psrlqImm(c: Vcpu, u: usize): bool {
  return ready(c, u) ? putPacked(c, u, right<Qwords>(left(c, u), imm8(u))) : false;
}
export function psllwImm(c: Vcpu, u: usize): bool {
  return ready(c, u) ? putPacked(c, u, leftwards<Words>(left(c, u), imm8(u))) : false;
}
export function pslldImm(c: Vcpu, u: usize): bool {
  return ready(c, u) ? putPacked(c, u, leftwards<Dwords>(left(c, u), imm8(u))) : false;
}
export function psllqImm(c: Vcpu, u: usize): bool {
  return ready(c, u) ? putPacked(c, u, leftwards<Qwords>(left(c, u), imm8(u))) : false;
}
export function psrawImm(c: Vcpu, u: usize): bool {
  return ready(c, u) ? putPacked(c, u, arithmetic<Words>(left(c, u), imm8(u))) : false;
}
export function psradImm(c: Vcpu, u: usize): bool {
  return ready(c, u) ? putPacked(c, u, arithmetic<Dwords>(left(c, u), imm8(u))) : false;
}

// By bytes, XMM only
export function psrldq(c: Vcpu, u: usize): bool {
  return putXmm(c, u, i8x16.swizzle(left(c, u), i8x16.add(ASCENDING, i8x16.splat(<i8>min<u64>(imm8(u), 16)))));
}
export function pslldq(c: Vcpu, u: usize): bool {
  return putXmm(c, u, i8x16.swizzle(left(c, u), i8x16.sub(ASCENDING, i8x16.splat(<i8>min<u64>(imm8(u), 16)))));
}
