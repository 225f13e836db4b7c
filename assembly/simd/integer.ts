/**
 * Packed integer arithmetic, comparison and logic, MMX and XMM alike (see operand.ts): every lane of the result depends
 * on the same lanes of the sources.
 */
import { Vcpu } from "../gen/layout";
import { left, packedSrc, putPacked, right } from "./operand";

const LOW32 = i64x2.splat(0xffffffff);

/** Bits 31:16 of the signed products of 16-bit lanes. */
@inline function mulHighS(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(i32x4.extmul_low_i16x8_s(a, b), i32x4.extmul_high_i16x8_s(a, b), 1, 3, 5, 7, 9, 11, 13, 15);
}

@inline function mulHighU(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(i32x4.extmul_low_i16x8_u(a, b), i32x4.extmul_high_i16x8_u(a, b), 1, 3, 5, 7, 9, 11, 13, 15);
}

/** In each 64-bit lane the sum of the absolute differences of its eight unsigned bytes. */
@inline function sumDifferences(a: v128, b: v128): v128 {
  const differences = v128.or(i8x16.sub_sat_u(a, b), i8x16.sub_sat_u(b, a));
  const dwords = i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(differences));
  return v128.and(i64x2.add(dwords, i64x2.shr_u(dwords, 32)), LOW32);
}

// Addition and subtraction
export function paddb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.add(left(c, u), right(s))) : false;
}
export function paddw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.add(left(c, u), right(s))) : false;
}
export function paddd(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i32x4.add(left(c, u), right(s))) : false;
}
export function paddq(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i64x2.add(left(c, u), right(s))) : false;
}
export function paddsb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.add_sat_s(left(c, u), right(s))) : false;
}
export function paddsw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.add_sat_s(left(c, u), right(s))) : false;
}
export function paddusb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.add_sat_u(left(c, u), right(s))) : false;
}
export function paddusw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.add_sat_u(left(c, u), right(s))) : false;
}
export function psubb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.sub(left(c, u), right(s))) : false;
}
export function psubw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.sub(left(c, u), right(s))) : false;
}
export function psubd(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i32x4.sub(left(c, u), right(s))) : false;
}
export function psubq(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i64x2.sub(left(c, u), right(s))) : false;
}
export function psubsb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.sub_sat_s(left(c, u), right(s))) : false;
}
export function psubsw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.sub_sat_s(left(c, u), right(s))) : false;
}
export function psubusb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.sub_sat_u(left(c, u), right(s))) : false;
}
export function psubusw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.sub_sat_u(left(c, u), right(s))) : false;
}

// Averages, smaller and larger
export function pavgb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.avgr_u(left(c, u), right(s))) : false;
}
export function pavgw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.avgr_u(left(c, u), right(s))) : false;
}
export function pminub(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.min_u(left(c, u), right(s))) : false;
}
export function pminsw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.min_s(left(c, u), right(s))) : false;
}
export function pmaxub(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.max_u(left(c, u), right(s))) : false;
}
export function pmaxsw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.max_s(left(c, u), right(s))) : false;
}

// Comparison
export function pcmpeqb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.eq(left(c, u), right(s))) : false;
}
export function pcmpeqw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.eq(left(c, u), right(s))) : false;
}
export function pcmpeqd(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i32x4.eq(left(c, u), right(s))) : false;
}
export function pcmpgtb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i8x16.gt_s(left(c, u), right(s))) : false;
}
export function pcmpgtw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.gt_s(left(c, u), right(s))) : false;
}
export function pcmpgtd(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i32x4.gt_s(left(c, u), right(s))) : false;
}

// Logic; ANDPS, ANDPD and the like are the same
export function pand(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, v128.and(left(c, u), right(s))) : false;
}
export function pandn(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, v128.andnot(right(s), left(c, u))) : false;
}
export function por(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, v128.or(left(c, u), right(s))) : false;
}
export function pxor(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, v128.xor(left(c, u), right(s))) : false;
}

// Multiplication
export function pmullw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i16x8.mul(left(c, u), right(s))) : false;
}
export function pmulhw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, mulHighS(left(c, u), right(s))) : false;
}
export function pmulhuw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, mulHighU(left(c, u), right(s))) : false;
}
export function pmaddwd(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i32x4.dot_i16x8_s(left(c, u), right(s))) : false;
}
export function pmuludq(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, i64x2.mul(v128.and(left(c, u), LOW32), v128.and(right(s), LOW32))) : false;
}
export function psadbw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  return s ? putPacked(c, u, sumDifferences(left(c, u), right(s))) : false;
}
