/**
 * Packed integer arithmetic, comparison and logic, in every encoding (see operand.ts): every lane of the result depends on
 * the same lanes of the sources.
 */
import { Vcpu } from "../gen/layout";
import { packed } from "./lanes";

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
@unmanaged class Paddb { @inline of(a: v128, b: v128): v128 { return i8x16.add(a, b); } }
export function paddb(c: Vcpu, u: usize): bool { return packed<Paddb>(c, u); }
@unmanaged class Paddw { @inline of(a: v128, b: v128): v128 { return i16x8.add(a, b); } }
export function paddw(c: Vcpu, u: usize): bool { return packed<Paddw>(c, u); }
@unmanaged class Paddd { @inline of(a: v128, b: v128): v128 { return i32x4.add(a, b); } }
export function paddd(c: Vcpu, u: usize): bool { return packed<Paddd>(c, u); }
@unmanaged class Paddq { @inline of(a: v128, b: v128): v128 { return i64x2.add(a, b); } }
export function paddq(c: Vcpu, u: usize): bool { return packed<Paddq>(c, u); }
@unmanaged class Paddsb { @inline of(a: v128, b: v128): v128 { return i8x16.add_sat_s(a, b); } }
export function paddsb(c: Vcpu, u: usize): bool { return packed<Paddsb>(c, u); }
@unmanaged class Paddsw { @inline of(a: v128, b: v128): v128 { return i16x8.add_sat_s(a, b); } }
export function paddsw(c: Vcpu, u: usize): bool { return packed<Paddsw>(c, u); }
@unmanaged class Paddusb { @inline of(a: v128, b: v128): v128 { return i8x16.add_sat_u(a, b); } }
export function paddusb(c: Vcpu, u: usize): bool { return packed<Paddusb>(c, u); }
@unmanaged class Paddusw { @inline of(a: v128, b: v128): v128 { return i16x8.add_sat_u(a, b); } }
export function paddusw(c: Vcpu, u: usize): bool { return packed<Paddusw>(c, u); }
@unmanaged class Psubb { @inline of(a: v128, b: v128): v128 { return i8x16.sub(a, b); } }
export function psubb(c: Vcpu, u: usize): bool { return packed<Psubb>(c, u); }
@unmanaged class Psubw { @inline of(a: v128, b: v128): v128 { return i16x8.sub(a, b); } }
export function psubw(c: Vcpu, u: usize): bool { return packed<Psubw>(c, u); }
@unmanaged class Psubd { @inline of(a: v128, b: v128): v128 { return i32x4.sub(a, b); } }
export function psubd(c: Vcpu, u: usize): bool { return packed<Psubd>(c, u); }
@unmanaged class Psubq { @inline of(a: v128, b: v128): v128 { return i64x2.sub(a, b); } }
export function psubq(c: Vcpu, u: usize): bool { return packed<Psubq>(c, u); }
@unmanaged class Psubsb { @inline of(a: v128, b: v128): v128 { return i8x16.sub_sat_s(a, b); } }
export function psubsb(c: Vcpu, u: usize): bool { return packed<Psubsb>(c, u); }
@unmanaged class Psubsw { @inline of(a: v128, b: v128): v128 { return i16x8.sub_sat_s(a, b); } }
export function psubsw(c: Vcpu, u: usize): bool { return packed<Psubsw>(c, u); }
@unmanaged class Psubusb { @inline of(a: v128, b: v128): v128 { return i8x16.sub_sat_u(a, b); } }
export function psubusb(c: Vcpu, u: usize): bool { return packed<Psubusb>(c, u); }
@unmanaged class Psubusw { @inline of(a: v128, b: v128): v128 { return i16x8.sub_sat_u(a, b); } }
export function psubusw(c: Vcpu, u: usize): bool { return packed<Psubusw>(c, u); }

// Averages, smaller and larger
@unmanaged class Pavgb { @inline of(a: v128, b: v128): v128 { return i8x16.avgr_u(a, b); } }
export function pavgb(c: Vcpu, u: usize): bool { return packed<Pavgb>(c, u); }
@unmanaged class Pavgw { @inline of(a: v128, b: v128): v128 { return i16x8.avgr_u(a, b); } }
export function pavgw(c: Vcpu, u: usize): bool { return packed<Pavgw>(c, u); }
@unmanaged class Pminub { @inline of(a: v128, b: v128): v128 { return i8x16.min_u(a, b); } }
export function pminub(c: Vcpu, u: usize): bool { return packed<Pminub>(c, u); }
@unmanaged class Pminsw { @inline of(a: v128, b: v128): v128 { return i16x8.min_s(a, b); } }
export function pminsw(c: Vcpu, u: usize): bool { return packed<Pminsw>(c, u); }
@unmanaged class Pmaxub { @inline of(a: v128, b: v128): v128 { return i8x16.max_u(a, b); } }
export function pmaxub(c: Vcpu, u: usize): bool { return packed<Pmaxub>(c, u); }
@unmanaged class Pmaxsw { @inline of(a: v128, b: v128): v128 { return i16x8.max_s(a, b); } }
export function pmaxsw(c: Vcpu, u: usize): bool { return packed<Pmaxsw>(c, u); }

// Comparison
@unmanaged class Pcmpeqb { @inline of(a: v128, b: v128): v128 { return i8x16.eq(a, b); } }
export function pcmpeqb(c: Vcpu, u: usize): bool { return packed<Pcmpeqb>(c, u); }
@unmanaged class Pcmpeqw { @inline of(a: v128, b: v128): v128 { return i16x8.eq(a, b); } }
export function pcmpeqw(c: Vcpu, u: usize): bool { return packed<Pcmpeqw>(c, u); }
@unmanaged class Pcmpeqd { @inline of(a: v128, b: v128): v128 { return i32x4.eq(a, b); } }
export function pcmpeqd(c: Vcpu, u: usize): bool { return packed<Pcmpeqd>(c, u); }
@unmanaged class Pcmpgtb { @inline of(a: v128, b: v128): v128 { return i8x16.gt_s(a, b); } }
export function pcmpgtb(c: Vcpu, u: usize): bool { return packed<Pcmpgtb>(c, u); }
@unmanaged class Pcmpgtw { @inline of(a: v128, b: v128): v128 { return i16x8.gt_s(a, b); } }
export function pcmpgtw(c: Vcpu, u: usize): bool { return packed<Pcmpgtw>(c, u); }
@unmanaged class Pcmpgtd { @inline of(a: v128, b: v128): v128 { return i32x4.gt_s(a, b); } }
export function pcmpgtd(c: Vcpu, u: usize): bool { return packed<Pcmpgtd>(c, u); }

// Logic; ANDPS, ANDPD and the like are the same
@unmanaged class Pand { @inline of(a: v128, b: v128): v128 { return v128.and(a, b); } }
export function pand(c: Vcpu, u: usize): bool { return packed<Pand>(c, u); }
@unmanaged class Pandn { @inline of(a: v128, b: v128): v128 { return v128.andnot(b, a); } }
export function pandn(c: Vcpu, u: usize): bool { return packed<Pandn>(c, u); }
@unmanaged class Por { @inline of(a: v128, b: v128): v128 { return v128.or(a, b); } }
export function por(c: Vcpu, u: usize): bool { return packed<Por>(c, u); }
@unmanaged class Pxor { @inline of(a: v128, b: v128): v128 { return v128.xor(a, b); } }
export function pxor(c: Vcpu, u: usize): bool { return packed<Pxor>(c, u); }

// Multiplication
@unmanaged class Pmullw { @inline of(a: v128, b: v128): v128 { return i16x8.mul(a, b); } }
export function pmullw(c: Vcpu, u: usize): bool { return packed<Pmullw>(c, u); }
@unmanaged class Pmulhw { @inline of(a: v128, b: v128): v128 { return mulHighS(a, b); } }
export function pmulhw(c: Vcpu, u: usize): bool { return packed<Pmulhw>(c, u); }
@unmanaged class Pmulhuw { @inline of(a: v128, b: v128): v128 { return mulHighU(a, b); } }
export function pmulhuw(c: Vcpu, u: usize): bool { return packed<Pmulhuw>(c, u); }
@unmanaged class Pmaddwd { @inline of(a: v128, b: v128): v128 { return i32x4.dot_i16x8_s(a, b); } }
export function pmaddwd(c: Vcpu, u: usize): bool { return packed<Pmaddwd>(c, u); }
@inline function low32(v: v128): v128 { return v128.and(v, LOW32); }
@unmanaged class Pmuludq { @inline of(a: v128, b: v128): v128 { return i64x2.mul(low32(a), low32(b)); } }
export function pmuludq(c: Vcpu, u: usize): bool { return packed<Pmuludq>(c, u); }
@unmanaged class Psadbw { @inline of(a: v128, b: v128): v128 { return sumDifferences(a, b); } }
export function psadbw(c: Vcpu, u: usize): bool { return packed<Psadbw>(c, u); }
