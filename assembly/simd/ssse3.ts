/** SSSE3, MMX and XMM alike (see operand.ts). */
import { Vcpu } from "../gen/layout";
import { dst, isMmx, joined, left, packedSrc, putMmx, putPacked, putXmm, right, scratch } from "./operand";
import { uImm } from "../decode/uop";

/** Even and odd lanes of x followed by those of y. */
@inline function evenWords(x: v128, y: v128): v128 { return v128.shuffle<i16>(x, y, 0, 2, 4, 6, 8, 10, 12, 14); }
@inline function oddWords(x: v128, y: v128): v128 { return v128.shuffle<i16>(x, y, 1, 3, 5, 7, 9, 11, 13, 15); }
@inline function evenDwords(x: v128, y: v128): v128 { return v128.shuffle<i32>(x, y, 0, 2, 4, 6); }
@inline function oddDwords(x: v128, y: v128): v128 { return v128.shuffle<i32>(x, y, 1, 3, 5, 7); }
/** Operand 0 of a horizontal operation; an MMX one pairs within both sources' 8 bytes. */
@inline function across(c: Vcpu, u: usize, s: usize): v128 { return isMmx(u) ? joined(c, u, s) : left(c, u); }

/** Byte numbers with bit 7 give 0, others count modulo the register's size. */
export function pshufb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  return putPacked(c, u, i8x16.swizzle(left(c, u), v128.and(right(s), i8x16.splat(<i8>(isMmx(u) ? 0x87 : 0x8f)))));
}

// Horizontal sums and differences
export function phaddw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const x = across(c, u, s), y = right(s);
  return putPacked(c, u, i16x8.add(evenWords(x, y), oddWords(x, y)));
}
export function phaddd(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const x = across(c, u, s), y = right(s);
  return putPacked(c, u, i32x4.add(evenDwords(x, y), oddDwords(x, y)));
}
export function phaddsw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const x = across(c, u, s), y = right(s);
  return putPacked(c, u, i16x8.add_sat_s(evenWords(x, y), oddWords(x, y)));
}
export function phsubw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const x = across(c, u, s), y = right(s);
  return putPacked(c, u, i16x8.sub(evenWords(x, y), oddWords(x, y)));
}
export function phsubd(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const x = across(c, u, s), y = right(s);
  return putPacked(c, u, i32x4.sub(evenDwords(x, y), oddDwords(x, y)));
}
export function phsubsw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const x = across(c, u, s), y = right(s);
  return putPacked(c, u, i16x8.sub_sat_s(evenWords(x, y), oddWords(x, y)));
}

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
export function pmaddubsw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, multiplyAddBytes(left(c, u), right(s))) : false;
}
export function pmulhrsw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, multiplyRounded(left(c, u), right(s))) : false;
}

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
export function psignb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, signedBytes(left(c, u), right(s))) : false;
}
export function psignw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, signedWords(left(c, u), right(s))) : false;
}
export function psignd(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, signedDwords(left(c, u), right(s))) : false;
}
export function pabsb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.abs(right(s))) : false;
}
export function pabsw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.abs(right(s))) : false;
}
export function pabsd(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i32x4.abs(right(s))) : false;
}

/** Operand 0 above operand 1, shifted right by imm8 bytes. */
export function palignr(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const a = left(c, u), b = right(s), at = scratch(c), size: usize = isMmx(u) ? 8 : 16;
  v128.store(at, b);
  v128.store(at + size, a);
  v128.store(at + 2 * size, i64x2.splat(0));
  const p = at + min<usize>(<usize>uImm(u) & 0xff, 2 * size);
  return isMmx(u) ? putMmx(c, dst(c, u), load<u64>(p)) : putXmm(c, u, v128.load(p));
}
