/**
 * Packed shifts, in every encoding. A count is the low 64 bits of operand 1, or imm8; counts beyond the lane clear it
 * (arithmetic shifts fill it with the sign).
 */
import { Vcpu } from "../gen/layout";
import { imm8 } from "./lanes";
import {
  isMmx, isWide, left, leftAt, mmxReady, mmxSrc, putPacked, putYmm, src16, upper,
} from "./operand";

/** Byte numbers; a swizzle gives 0 for numbers that are out of range. */
const ASCENDING = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

@unmanaged class Psrlw {
  @inline by(v: v128, n: u64): v128 { return n < 16 ? i16x8.shr_u(v, <i32>n) : i64x2.splat(0); }
}
@unmanaged class Psrld {
  @inline by(v: v128, n: u64): v128 { return n < 32 ? i32x4.shr_u(v, <i32>n) : i64x2.splat(0); }
}
@unmanaged class Psrlq {
  @inline by(v: v128, n: u64): v128 { return n < 64 ? i64x2.shr_u(v, <i32>n) : i64x2.splat(0); }
}
@unmanaged class Psllw {
  @inline by(v: v128, n: u64): v128 { return n < 16 ? i16x8.shl(v, <i32>n) : i64x2.splat(0); }
}
@unmanaged class Pslld {
  @inline by(v: v128, n: u64): v128 { return n < 32 ? i32x4.shl(v, <i32>n) : i64x2.splat(0); }
}
@unmanaged class Psllq {
  @inline by(v: v128, n: u64): v128 { return n < 64 ? i64x2.shl(v, <i32>n) : i64x2.splat(0); }
}
@unmanaged class Psraw { @inline by(v: v128, n: u64): v128 { return i16x8.shr_s(v, <i32>min<u64>(n, 15)); } }
@unmanaged class Psrad { @inline by(v: v128, n: u64): v128 { return i32x4.shr_s(v, <i32>min<u64>(n, 31)); } }
// By bytes
@unmanaged class Psrldq {
  @inline by(v: v128, n: u64): v128 {
    return i8x16.swizzle(v, i8x16.add(ASCENDING, i8x16.splat(<i8>min<u64>(n, 16))));
  }
}
@unmanaged class Pslldq {
  @inline by(v: v128, n: u64): v128 {
    return i8x16.swizzle(v, i8x16.sub(ASCENDING, i8x16.splat(<i8>min<u64>(n, 16))));
  }
}

@inline function shifted<TShift>(c: Vcpu, u: usize, n: u64): bool {
  const op = changetype<TShift>(0), low = op.by(left(c, u), n);
  return isWide(u) ? putYmm(c, u, low, op.by(upper(leftAt(c, u)), n)) : putPacked(c, u, low);
}
/** Count in operand 1: 16 bytes (an MMX one 8), whatever the size of the vector. */
function counted<TCounted>(c: Vcpu, u: usize): bool {
  const s = isMmx(u) ? mmxSrc(c, u, 8) : src16(c, u);
  return s ? shifted<TCounted>(c, u, load<u64>(s)) : false;
}
/** Count in imm8. Such a form has no memory operand: only a pending x87 exception can stop it. */
function fixed<TFixed>(c: Vcpu, u: usize): bool {
  return !isMmx(u) || mmxReady(c) ? shifted<TFixed>(c, u, imm8(u)) : false;
}

export function psrlw(c: Vcpu, u: usize): bool { return counted<Psrlw>(c, u); }
export function psrld(c: Vcpu, u: usize): bool { return counted<Psrld>(c, u); }
export function psrlq(c: Vcpu, u: usize): bool { return counted<Psrlq>(c, u); }
export function psllw(c: Vcpu, u: usize): bool { return counted<Psllw>(c, u); }
export function pslld(c: Vcpu, u: usize): bool { return counted<Pslld>(c, u); }
export function psllq(c: Vcpu, u: usize): bool { return counted<Psllq>(c, u); }
export function psraw(c: Vcpu, u: usize): bool { return counted<Psraw>(c, u); }
export function psrad(c: Vcpu, u: usize): bool { return counted<Psrad>(c, u); }

export function psrlwImm(c: Vcpu, u: usize): bool { return fixed<Psrlw>(c, u); }
export function psrldImm(c: Vcpu, u: usize): bool { return fixed<Psrld>(c, u); }
export function psrlqImm(c: Vcpu, u: usize): bool { return fixed<Psrlq>(c, u); }
export function psllwImm(c: Vcpu, u: usize): bool { return fixed<Psllw>(c, u); }
export function pslldImm(c: Vcpu, u: usize): bool { return fixed<Pslld>(c, u); }
export function psllqImm(c: Vcpu, u: usize): bool { return fixed<Psllq>(c, u); }
export function psrawImm(c: Vcpu, u: usize): bool { return fixed<Psraw>(c, u); }
export function psradImm(c: Vcpu, u: usize): bool { return fixed<Psrad>(c, u); }
export function psrldq(c: Vcpu, u: usize): bool { return fixed<Psrldq>(c, u); }
export function pslldq(c: Vcpu, u: usize): bool { return fixed<Pslldq>(c, u); }
