/** Moving lanes about: unpack, pack, shuffle, insert, extract, masks of signs. */
import { Vcpu } from "../gen/layout";
import {
  dst, enterMmx, isMmx, joined, left, mmxReady, mmxSrc, packedSrc, putGpr32, putMmx, putPacked, putXmm, reg, right,
  src16, srcAny,
} from "./operand";
import { uImm } from "../decode/uop";

@inline function imm8(u: usize): u32 { return <u32>uImm(u) & 0xff; }

/** Operand 1 of PUNPCKL*: the MMX forms read 4 bytes of memory. */
@inline function lowSrc(c: Vcpu, u: usize): usize { return isMmx(u) ? mmxSrc(c, u, 4) : src16(c, u); }

@inline function upperHalf(v: v128): v128 { return v128.shuffle<i64>(v, v, 1, 1); }

@inline function lowBytes(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
@inline function highBytes(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
@inline function lowWords(a: v128, b: v128): v128 { return v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
@inline function highWords(a: v128, b: v128): v128 { return v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
@inline function lowDwords(a: v128, b: v128): v128 { return v128.shuffle<i32>(a, b, 0, 4, 1, 5); }
@inline function highDwords(a: v128, b: v128): v128 { return v128.shuffle<i32>(a, b, 2, 6, 3, 7); }

// Unpack. UNPCKLPS is PUNPCKLDQ, UNPCKLPD is PUNPCKLQDQ.
export function punpcklbw(c: Vcpu, u: usize): bool {
  const s = lowSrc(c, u);
  return s ? putPacked(c, u, lowBytes(left(c, u), right(s))) : false;
}
export function punpcklwd(c: Vcpu, u: usize): bool {
  const s = lowSrc(c, u);
  return s ? putPacked(c, u, lowWords(left(c, u), right(s))) : false;
}
export function punpckldq(c: Vcpu, u: usize): bool {
  const s = lowSrc(c, u);
  return s ? putPacked(c, u, lowDwords(left(c, u), right(s))) : false;
}
export function punpcklqdq(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, v128.shuffle<i64>(left(c, u), right(s), 0, 2)) : false;
}
// The upper half of an MMX register interleaved is the upper half of the low interleave of 16 bytes.
export function punpckhbw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const a = left(c, u), b = right(s);
  return putPacked(c, u, isMmx(u) ? upperHalf(lowBytes(a, b)) : highBytes(a, b));
}
export function punpckhwd(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const a = left(c, u), b = right(s);
  return putPacked(c, u, isMmx(u) ? upperHalf(lowWords(a, b)) : highWords(a, b));
}
export function punpckhdq(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const a = left(c, u), b = right(s);
  return putPacked(c, u, isMmx(u) ? upperHalf(lowDwords(a, b)) : highDwords(a, b));
}
export function punpckhqdq(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, v128.shuffle<i64>(left(c, u), right(s), 1, 3)) : false;
}

// Pack with saturation
export function packsswb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const a = isMmx(u) ? joined(c, u, s) : left(c, u);
  return putPacked(c, u, i8x16.narrow_i16x8_s(a, right(s)));
}
export function packuswb(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const a = isMmx(u) ? joined(c, u, s) : left(c, u);
  return putPacked(c, u, i8x16.narrow_i16x8_u(a, right(s)));
}
export function packssdw(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const a = isMmx(u) ? joined(c, u, s) : left(c, u);
  return putPacked(c, u, i16x8.narrow_i32x4_s(a, right(s)));
}

// Shuffle by imm8: two bits choose each lane.
/** Four words at p chosen by imm8. */
@inline function chosenWords(p: usize, imm: u32): u64 {
  return <u64>load<u16>(p + ((imm & 3) << 1)) | (<u64>load<u16>(p + ((imm >> 1) & 6)) << 16)
    | (<u64>load<u16>(p + ((imm >> 3) & 6)) << 32) | (<u64>load<u16>(p + ((imm >> 5) & 6)) << 48);
}
/** Two dwords at p chosen by the low four bits of imm. */
@inline function chosenDwords(p: usize, imm: u32): u64 {
  return <u64>load<u32>(p + ((imm & 3) << 2)) | (<u64>load<u32>(p + (imm & 12)) << 32);
}

export function pshufd(c: Vcpu, u: usize): bool {
  const s = src16(c, u), imm = imm8(u);
  return s ? putXmm(c, u, i64x2(chosenDwords(s, imm), chosenDwords(s, imm >> 4))) : false;
}
export function pshuflw(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i64x2(chosenWords(s, imm8(u)), load<u64>(s, 8))) : false;
}
export function pshufhw(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i64x2(load<u64>(s), chosenWords(s + 8, imm8(u)))) : false;
}
export function pshufw(c: Vcpu, u: usize): bool {
  const s = mmxSrc(c, u, 8);
  return s ? putMmx(c, dst(c, u), chosenWords(s, imm8(u))) : false;
}
export function shufps(c: Vcpu, u: usize): bool {
  const s = src16(c, u), imm = imm8(u);
  return s ? putXmm(c, u, i64x2(chosenDwords(dst(c, u), imm), chosenDwords(s, imm >> 4))) : false;
}
export function shufpd(c: Vcpu, u: usize): bool {
  const s = src16(c, u), imm = imm8(u);
  return s ? putXmm(c, u, i64x2(load<u64>(dst(c, u) + ((imm & 1) << 3)), load<u64>(s + ((imm & 2) << 2)))) : false;
}

// One word
export function pinsrw(c: Vcpu, u: usize): bool {
  const mmx = isMmx(u);
  if (mmx && !mmxReady(c)) return false;
  const s = srcAny(c, u, 2);
  if (!s) return false;
  const value = load<u16>(s);
  store<u16>(dst(c, u) + ((imm8(u) & (mmx ? 3 : 7)) << 1), value);
  return mmx ? putMmx(c, dst(c, u), load<u64>(dst(c, u))) : true;
}
export function pextrw(c: Vcpu, u: usize): bool {
  return putGpr32(c, u, load<u16>(reg(c, u) + ((imm8(u) & 7) << 1)));
}
export function pextrwMmx(c: Vcpu, u: usize): bool {
  if (!mmxReady(c)) return false;
  enterMmx(c);
  return putGpr32(c, u, load<u16>(reg(c, u) + ((imm8(u) & 3) << 1)));
}

// Signs of the lanes
export function pmovmskb(c: Vcpu, u: usize): bool { return putGpr32(c, u, i8x16.bitmask(right(reg(c, u)))); }
export function movmskps(c: Vcpu, u: usize): bool { return putGpr32(c, u, i32x4.bitmask(right(reg(c, u)))); }
export function movmskpd(c: Vcpu, u: usize): bool { return putGpr32(c, u, i64x2.bitmask(right(reg(c, u)))); }
export function pmovmskbMmx(c: Vcpu, u: usize): bool {
  if (!mmxReady(c)) return false;
  enterMmx(c);
  return putGpr32(c, u, i8x16.bitmask(right(reg(c, u))) & 0xff);
}
