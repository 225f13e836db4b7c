/** SSSE3, in every encoding (see operand.ts). */
import { Vcpu } from "../gen/layout";
import { imm8, packed, paired } from "./lanes";
import {
  dst, isMmx, isWide, left, leftAt, packedSrc, putMmx, putPacked, putXmm, putYmm, right, scratch, upper,
} from "./operand";

/** Even and odd lanes of x followed by those of y. */
@inline function evenWords(x: v128, y: v128): v128 { return v128.shuffle<i16>(x, y, 0, 2, 4, 6, 8, 10, 12, 14); }
@inline function oddWords(x: v128, y: v128): v128 { return v128.shuffle<i16>(x, y, 1, 3, 5, 7, 9, 11, 13, 15); }
@inline function evenDwords(x: v128, y: v128): v128 { return v128.shuffle<i32>(x, y, 0, 2, 4, 6); }
@inline function oddDwords(x: v128, y: v128): v128 { return v128.shuffle<i32>(x, y, 1, 3, 5, 7); }

/** Byte numbers with bit 7 give 0, others count modulo the register's size. */
export function pshufb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const mask = i8x16.splat(<i8>(isMmx(u) ? 0x87 : 0x8f)), low = i8x16.swizzle(left(c, u), v128.and(right(s), mask));
  if (isWide(u)) return putYmm(c, u, low, i8x16.swizzle(upper(leftAt(c, u)), v128.and(upper(s), mask)));
  return putPacked(c, u, low);
}

// Horizontal sums and differences
@unmanaged class Phaddw { @inline of(a: v128, b: v128): v128 { return i16x8.add(evenWords(a, b), oddWords(a, b)); } }
export function phaddw(c: Vcpu, u: usize): bool { return paired<Phaddw>(c, u); }
@unmanaged class Phaddd { @inline of(a: v128, b: v128): v128 { return i32x4.add(evenDwords(a, b), oddDwords(a, b)); } }
export function phaddd(c: Vcpu, u: usize): bool { return paired<Phaddd>(c, u); }
@unmanaged class Phaddsw {
  @inline of(a: v128, b: v128): v128 { return i16x8.add_sat_s(evenWords(a, b), oddWords(a, b)); }
}
export function phaddsw(c: Vcpu, u: usize): bool { return paired<Phaddsw>(c, u); }
@unmanaged class Phsubw { @inline of(a: v128, b: v128): v128 { return i16x8.sub(evenWords(a, b), oddWords(a, b)); } }
export function phsubw(c: Vcpu, u: usize): bool { return paired<Phsubw>(c, u); }
@unmanaged class Phsubd { @inline of(a: v128, b: v128): v128 { return i32x4.sub(evenDwords(a, b), oddDwords(a, b)); } }
export function phsubd(c: Vcpu, u: usize): bool { return paired<Phsubd>(c, u); }
@unmanaged class Phsubsw {
  @inline of(a: v128, b: v128): v128 { return i16x8.sub_sat_s(evenWords(a, b), oddWords(a, b)); }
}
export function phsubsw(c: Vcpu, u: usize): bool { return paired<Phsubsw>(c, u); }

/** Unsigned bytes of a times signed bytes of b, neighbours added with saturation. */
@inline function multiplyAddBytes(a: v128, b: v128): v128 {
  const even = i16x8.mul(v128.and(a, i16x8.splat(0xff)), i16x8.shr_s(i16x8.shl(b, 8), 8));
  return i16x8.add_sat_s(even, i16x8.mul(i16x8.shr_u(a, 8), i16x8.shr_s(b, 8)));
}
/** Rounded upper halves of products; only -1 times -1 differs from wasm, which saturates it. */
@inline function multiplyRounded(a: v128, b: v128): v128 {
  const lowest = i16x8.splat(-32768);
  return v128.xor(i16x8.q15mulr_sat_s(a, b), v128.and(i16x8.eq(a, lowest), i16x8.eq(b, lowest)));
}
@unmanaged class Pmaddubsw { @inline of(a: v128, b: v128): v128 { return multiplyAddBytes(a, b); } }
export function pmaddubsw(c: Vcpu, u: usize): bool { return packed<Pmaddubsw>(c, u); }
@unmanaged class Pmulhrsw { @inline of(a: v128, b: v128): v128 { return multiplyRounded(a, b); } }
export function pmulhrsw(c: Vcpu, u: usize): bool { return packed<Pmulhrsw>(c, u); }

/** a with the signs of b: negated where b is negative, 0 where b is. */
@inline function signedBytes(a: v128, b: v128): v128 {
  const m = i8x16.shr_s(b, 7);
  return v128.andnot(i8x16.sub(v128.xor(a, m), m), i8x16.eq(b, i64x2.splat(0)));
}
@inline function signedWords(a: v128, b: v128): v128 {
  const m = i16x8.shr_s(b, 15);
  return v128.andnot(i16x8.sub(v128.xor(a, m), m), i16x8.eq(b, i64x2.splat(0)));
}
@inline function signedDwords(a: v128, b: v128): v128 {
  const m = i32x4.shr_s(b, 31);
  return v128.andnot(i32x4.sub(v128.xor(a, m), m), i32x4.eq(b, i64x2.splat(0)));
}
@unmanaged class Psignb { @inline of(a: v128, b: v128): v128 { return signedBytes(a, b); } }
export function psignb(c: Vcpu, u: usize): bool { return packed<Psignb>(c, u); }
@unmanaged class Psignw { @inline of(a: v128, b: v128): v128 { return signedWords(a, b); } }
export function psignw(c: Vcpu, u: usize): bool { return packed<Psignw>(c, u); }
@unmanaged class Psignd { @inline of(a: v128, b: v128): v128 { return signedDwords(a, b); } }
export function psignd(c: Vcpu, u: usize): bool { return packed<Psignd>(c, u); }
@unmanaged class Pabsb { @inline of(a: v128, b: v128): v128 { return i8x16.abs(b); } }
export function pabsb(c: Vcpu, u: usize): bool { return packed<Pabsb>(c, u); }
@unmanaged class Pabsw { @inline of(a: v128, b: v128): v128 { return i16x8.abs(b); } }
export function pabsw(c: Vcpu, u: usize): bool { return packed<Pabsw>(c, u); }
@unmanaged class Pabsd { @inline of(a: v128, b: v128): v128 { return i32x4.abs(b); } }
export function pabsd(c: Vcpu, u: usize): bool { return packed<Pabsd>(c, u); }

/** The 2 `size` bytes of a above those of b, shifted right by imm bytes: their low 16, for MMX their low 8. */
@inline function aligned(c: Vcpu, a: v128, b: v128, size: usize, imm: usize): v128 {
  const at = scratch(c);
  v128.store(at, b);
  v128.store(at + size, a);
  v128.store(at + 2 * size, i64x2.splat(0));
  return v128.load(at + min<usize>(imm, 2 * size));
}
export function palignr(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u), imm = imm8(u);
  if (!s) return false;
  if (isMmx(u)) return putMmx(c, dst(c, u), i64x2.extract_lane(aligned(c, left(c, u), right(s), 8, imm), 0));
  const low = aligned(c, left(c, u), right(s), 16, imm);
  return isWide(u) ? putYmm(c, u, low, aligned(c, upper(leftAt(c, u)), upper(s), 16, imm)) : putXmm(c, u, low);
}
