/** Moving lanes about: unpack, pack, shuffle, insert, extract, masks of signs. */
import { Vcpu } from "../gen/layout";
import { chosen, imm8, lanes, paired } from "./lanes";
import {
  dst, enterMmx, isMmx, isWide, left, leftAt, mmxReady, mmxSrc, packedSrc, putGpr32, putMmx, putPacked, putXmm, putYmm, reg,
  right, scratch, src, srcAny, upper,
} from "./operand";

/** Operand 1 of PUNPCKL*: the MMX forms read 4 bytes of memory. */
@inline function lowSrc(c: Vcpu, u: usize): usize { return isMmx(u) ? mmxSrc(c, u, 4) : src(c, u); }

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
@unmanaged class Bytes {
  @inline low(a: v128, b: v128): v128 { return lowBytes(a, b); }
  @inline high(a: v128, b: v128): v128 { return highBytes(a, b); }
}
@unmanaged class Words {
  @inline low(a: v128, b: v128): v128 { return lowWords(a, b); }
  @inline high(a: v128, b: v128): v128 { return highWords(a, b); }
}
@unmanaged class Dwords {
  @inline low(a: v128, b: v128): v128 { return lowDwords(a, b); }
  @inline high(a: v128, b: v128): v128 { return highDwords(a, b); }
}
function unpackLow<TLow>(c: Vcpu, u: usize): bool {
  const s = lowSrc(c, u);
  if (!s) return false;
  const op = changetype<TLow>(0), low = op.low(left(c, u), right(s));
  return isWide(u) ? putYmm(c, u, low, op.low(upper(leftAt(c, u)), upper(s))) : putPacked(c, u, low);
}
/** The upper half of an MMX register interleaved is the upper half of the low interleave of 16 bytes. */
function unpackHigh<THigh>(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const op = changetype<THigh>(0), a = left(c, u), b = right(s);
  if (isMmx(u)) return putPacked(c, u, upperHalf(op.low(a, b)));
  return isWide(u) ? putYmm(c, u, op.high(a, b), op.high(upper(leftAt(c, u)), upper(s))) : putXmm(c, u, op.high(a, b));
}
export function punpcklbw(c: Vcpu, u: usize): bool { return unpackLow<Bytes>(c, u); }
export function punpcklwd(c: Vcpu, u: usize): bool { return unpackLow<Words>(c, u); }
export function punpckldq(c: Vcpu, u: usize): bool { return unpackLow<Dwords>(c, u); }
export function punpckhbw(c: Vcpu, u: usize): bool { return unpackHigh<Bytes>(c, u); }
export function punpckhwd(c: Vcpu, u: usize): bool { return unpackHigh<Words>(c, u); }
export function punpckhdq(c: Vcpu, u: usize): bool { return unpackHigh<Dwords>(c, u); }
@unmanaged class Punpcklqdq { @inline of(a: v128, b: v128): v128 { return v128.shuffle<i64>(a, b, 0, 2); } }
export function punpcklqdq(c: Vcpu, u: usize): bool { return lanes<Punpcklqdq>(c, u); }
@unmanaged class Punpckhqdq { @inline of(a: v128, b: v128): v128 { return v128.shuffle<i64>(a, b, 1, 3); } }
export function punpckhqdq(c: Vcpu, u: usize): bool { return lanes<Punpckhqdq>(c, u); }

// Pack with saturation
@unmanaged class Packsswb { @inline of(a: v128, b: v128): v128 { return i8x16.narrow_i16x8_s(a, b); } }
export function packsswb(c: Vcpu, u: usize): bool { return paired<Packsswb>(c, u); }
@unmanaged class Packuswb { @inline of(a: v128, b: v128): v128 { return i8x16.narrow_i16x8_u(a, b); } }
export function packuswb(c: Vcpu, u: usize): bool { return paired<Packuswb>(c, u); }
@unmanaged class Packssdw { @inline of(a: v128, b: v128): v128 { return i16x8.narrow_i32x4_s(a, b); } }
export function packssdw(c: Vcpu, u: usize): bool { return paired<Packssdw>(c, u); }

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

@unmanaged class Pshufd {
  @inline of(a: usize, b: usize, imm: u32): v128 { return i64x2(chosenDwords(b, imm), chosenDwords(b, imm >> 4)); }
  @inline next(imm: u32): u32 { return imm; }
}
@unmanaged class Pshuflw {
  @inline of(a: usize, b: usize, imm: u32): v128 { return i64x2(chosenWords(b, imm), load<u64>(b, 8)); }
  @inline next(imm: u32): u32 { return imm; }
}
@unmanaged class Pshufhw {
  @inline of(a: usize, b: usize, imm: u32): v128 { return i64x2(load<u64>(b), chosenWords(b + 8, imm)); }
  @inline next(imm: u32): u32 { return imm; }
}
@unmanaged class Shufps {
  @inline of(a: usize, b: usize, imm: u32): v128 { return i64x2(chosenDwords(a, imm), chosenDwords(b, imm >> 4)); }
  @inline next(imm: u32): u32 { return imm; }
}
@unmanaged class Shufpd {
  @inline of(a: usize, b: usize, imm: u32): v128 {
    return i64x2(load<u64>(a + ((imm & 1) << 3)), load<u64>(b + ((imm & 2) << 2)));
  }
  @inline next(imm: u32): u32 { return imm >> 2; }
}
/** PSHUFD; VPERMILPS with an immediate is the same. */
export function pshufd(c: Vcpu, u: usize): bool { return chosen<Pshufd>(c, u); }
export function pshuflw(c: Vcpu, u: usize): bool { return chosen<Pshuflw>(c, u); }
export function pshufhw(c: Vcpu, u: usize): bool { return chosen<Pshufhw>(c, u); }
export function shufps(c: Vcpu, u: usize): bool { return chosen<Shufps>(c, u); }
export function shufpd(c: Vcpu, u: usize): bool { return chosen<Shufpd>(c, u); }
export function pshufw(c: Vcpu, u: usize): bool {
  const s = mmxSrc(c, u, 8);
  return s ? putMmx(c, dst(c, u), chosenWords(s, imm8(u))) : false;
}

// One word
export function pinsrw(c: Vcpu, u: usize): bool {
  const mmx = isMmx(u);
  if (mmx && !mmxReady(c)) return false;
  const s = srcAny(c, u, 2);
  if (!s) return false;
  const value = load<u16>(s), out = scratch(c);
  v128.store(out, left(c, u));
  store<u16>(out + ((imm8(u) & (mmx ? 3 : 7)) << 1), value);
  return putPacked(c, u, v128.load(out));
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
export function pmovmskb(c: Vcpu, u: usize): bool {
  const s = reg(c, u);
  return putGpr32(c, u, i8x16.bitmask(right(s)) | (isWide(u) ? i8x16.bitmask(upper(s)) << 16 : 0));
}
export function movmskps(c: Vcpu, u: usize): bool {
  const s = reg(c, u);
  return putGpr32(c, u, i32x4.bitmask(right(s)) | (isWide(u) ? i32x4.bitmask(upper(s)) << 4 : 0));
}
export function movmskpd(c: Vcpu, u: usize): bool {
  const s = reg(c, u);
  return putGpr32(c, u, i64x2.bitmask(right(s)) | (isWide(u) ? i64x2.bitmask(upper(s)) << 2 : 0));
}
export function pmovmskbMmx(c: Vcpu, u: usize): bool {
  if (!mmxReady(c)) return false;
  enterMmx(c);
  return putGpr32(c, u, i8x16.bitmask(right(reg(c, u))) & 0xff);
}
