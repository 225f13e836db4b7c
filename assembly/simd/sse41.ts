/** SSE4.1: integer arithmetic, blends, extensions, inserts and extracts. Floating point is in ./round.ts. */
import { Vcpu, V_YMM } from "../gen/layout";
import { dst, left, putGpr32, putXmm, reg, right, scratch, src16, srcAny, writeMem } from "./operand";
import { uD, uImm, uS, uSize } from "../decode/uop";
import { setArithmeticFlags, CF, ZF } from "../sem/flags";

@inline function imm8(u: usize): u32 { return <u32>uImm(u) & 0xff; }

// Lane by lane
export function pminsb(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i8x16.min_s(left(c, u), right(s))) : false;
}
export function pminsd(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i32x4.min_s(left(c, u), right(s))) : false;
}
export function pminuw(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i16x8.min_u(left(c, u), right(s))) : false;
}
export function pminud(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i32x4.min_u(left(c, u), right(s))) : false;
}
export function pmaxsb(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i8x16.max_s(left(c, u), right(s))) : false;
}
export function pmaxsd(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i32x4.max_s(left(c, u), right(s))) : false;
}
export function pmaxuw(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i16x8.max_u(left(c, u), right(s))) : false;
}
export function pmaxud(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i32x4.max_u(left(c, u), right(s))) : false;
}
export function pmulld(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i32x4.mul(left(c, u), right(s))) : false;
}
export function pcmpeqq(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i64x2.eq(left(c, u), right(s))) : false;
}
export function pcmpgtq(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i64x2.gt_s(left(c, u), right(s))) : false;
}
export function packusdw(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i16x8.narrow_i32x4_u(left(c, u), right(s))) : false;
}
@inline function evenDwords(v: v128): v128 { return v128.shuffle<i32>(v, v, 0, 2, 0, 2); }
export function pmuldq(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, i64x2.extmul_low_i32x4_s(evenDwords(left(c, u)), evenDwords(right(s)))) : false;
}
/** The smallest word, and its number, in the low dword. */
export function phminposuw(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  if (!s) return false;
  let least: u32 = load<u16>(s);
  for (let i: u32 = 1; i < 8; i++) {
    const word: u32 = load<u16>(s + (<usize>i << 1));
    if (word < (least & 0xffff)) least = word | (i << 16);
  }
  return putXmm(c, u, i64x2(least, 0));
}
/** Eight sums of four absolute differences: bytes of operand 0 from 4 imm8[2] on, one dword of operand 1. */
export function mpsadbw(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  if (!s) return false;
  const imm = imm8(u), a = dst(c, u) + (imm & 4), b = s + ((imm & 3) << 2), out = scratch(c);
  for (let i: usize = 0; i < 8; i++) {
    let sum = 0;
    for (let k: usize = 0; k < 4; k++) sum += abs<i32>(<i32>load<u8>(a + i + k) - <i32>load<u8>(b + k));
    store<u16>(out + (i << 1), <u16>sum);
  }
  return putXmm(c, u, v128.load(out));
}
export function ptest(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  if (!s) return false;
  const a = left(c, u), b = right(s);
  setArithmeticFlags(c, (v128.any_true(v128.and(a, b)) ? 0 : ZF) | (v128.any_true(v128.andnot(b, a)) ? 0 : CF));
  return true;
}

// Extension of the low bytes, words or dwords
@inline function low64(s: usize): v128 { return i64x2(load<u64>(s), 0); }
@inline function low32(s: usize): v128 { return i64x2(load<u32>(s), 0); }
@inline function low16(s: usize): v128 { return i64x2(load<u16>(s), 0); }
@inline function bytesS(v: v128): v128 { return i16x8.extend_low_i8x16_s(v); }
@inline function bytesU(v: v128): v128 { return i16x8.extend_low_i8x16_u(v); }
@inline function wordsS(v: v128): v128 { return i32x4.extend_low_i16x8_s(v); }
@inline function wordsU(v: v128): v128 { return i32x4.extend_low_i16x8_u(v); }
@inline function dwordsS(v: v128): v128 { return i64x2.extend_low_i32x4_s(v); }
@inline function dwordsU(v: v128): v128 { return i64x2.extend_low_i32x4_u(v); }
export function pmovsxbw(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  return s ? putXmm(c, u, bytesS(low64(s))) : false;
}
export function pmovsxbd(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  return s ? putXmm(c, u, wordsS(bytesS(low32(s)))) : false;
}
export function pmovsxbq(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 2);
  return s ? putXmm(c, u, dwordsS(wordsS(bytesS(low16(s))))) : false;
}
export function pmovsxwd(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  return s ? putXmm(c, u, wordsS(low64(s))) : false;
}
export function pmovsxwq(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  return s ? putXmm(c, u, dwordsS(wordsS(low32(s)))) : false;
}
export function pmovsxdq(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  return s ? putXmm(c, u, dwordsS(low64(s))) : false;
}
export function pmovzxbw(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  return s ? putXmm(c, u, bytesU(low64(s))) : false;
}
export function pmovzxbd(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  return s ? putXmm(c, u, wordsU(bytesU(low32(s)))) : false;
}
export function pmovzxbq(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 2);
  return s ? putXmm(c, u, dwordsU(wordsU(bytesU(low16(s))))) : false;
}
export function pmovzxwd(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  return s ? putXmm(c, u, wordsU(low64(s))) : false;
}
export function pmovzxwq(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  return s ? putXmm(c, u, dwordsU(wordsU(low32(s)))) : false;
}
export function pmovzxdq(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  return s ? putXmm(c, u, dwordsU(low64(s))) : false;
}

// Blends, by the sign bits of XMM0's lanes or by imm8
@inline function chooser(c: Vcpu): v128 { return v128.load(changetype<usize>(c), V_YMM); }
export function pblendvb(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, v128.bitselect(right(s), left(c, u), i8x16.shr_s(chooser(c), 7))) : false;
}
export function blendvps(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, v128.bitselect(right(s), left(c, u), i32x4.shr_s(chooser(c), 31))) : false;
}
export function blendvpd(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, v128.bitselect(right(s), left(c, u), i64x2.shr_s(chooser(c), 63))) : false;
}
/** All ones in the lanes of 2, 4 or 8 bytes whose bit of imm8 is set. */
@inline function wordMask(imm: u32): v128 {
  const bits = i16x8(1, 2, 4, 8, 16, 32, 64, 128);
  return i16x8.eq(v128.and(i16x8.splat(<i16>imm), bits), bits);
}
@inline function dwordMask(imm: u32): v128 {
  const bits = i32x4(1, 2, 4, 8);
  return i32x4.eq(v128.and(i32x4.splat(imm), bits), bits);
}
@inline function qwordMask(imm: u32): v128 {
  const bits = i64x2(1, 2);
  return i64x2.eq(v128.and(i64x2.splat(imm), bits), bits);
}
export function pblendw(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, v128.bitselect(right(s), left(c, u), wordMask(imm8(u)))) : false;
}
export function blendps(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, v128.bitselect(right(s), left(c, u), dwordMask(imm8(u)))) : false;
}
export function blendpd(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, v128.bitselect(right(s), left(c, u), qwordMask(imm8(u)))) : false;
}

// Insert and extract
export function pextrb(c: Vcpu, u: usize): bool {
  const v = load<u8>(reg(c, u) + (imm8(u) & 15));
  if (uD(u)) return putGpr32(c, u, v);
  const p = writeMem(c, u, 1);
  if (p) store<u8>(p, v);
  return p != 0;
}
/** The form of map 0F3A, which may write memory. */
export function pextrwStore(c: Vcpu, u: usize): bool {
  const v = load<u16>(reg(c, u) + ((imm8(u) & 7) << 1));
  if (uD(u)) return putGpr32(c, u, v);
  const p = writeMem(c, u, 2);
  if (p) store<u16>(p, v);
  return p != 0;
}
/** PEXTRD, and EXTRACTPS, whose operand has no 64-bit size. */
@inline function extractDword(c: Vcpu, u: usize): bool {
  const v = load<u32>(reg(c, u) + ((imm8(u) & 3) << 2));
  if (uD(u)) return putGpr32(c, u, v);
  const p = writeMem(c, u, 4);
  if (p) store<u32>(p, v);
  return p != 0;
}
export function extractps(c: Vcpu, u: usize): bool { return extractDword(c, u); }
export function pextrd(c: Vcpu, u: usize): bool {
  if (uSize(u) != 3) return extractDword(c, u);
  const p = uD(u) ? dst(c, u) : writeMem(c, u, 8);
  if (p) store<u64>(p, load<u64>(reg(c, u) + ((imm8(u) & 1) << 3)));
  return p != 0;
}
export function pinsrb(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 1);
  if (s) store<u8>(dst(c, u) + (imm8(u) & 15), load<u8>(s));
  return s != 0;
}
export function pinsrd(c: Vcpu, u: usize): bool {
  const wide = uSize(u) == 3, s = srcAny(c, u, wide ? 8 : 4);
  if (!s) return false;
  if (wide) store<u64>(dst(c, u) + ((imm8(u) & 1) << 3), load<u64>(s));
  else store<u32>(dst(c, u) + ((imm8(u) & 3) << 2), load<u32>(s));
  return true;
}
/** imm8: 7:6 source lane (a register's), 5:4 destination lane, 3:0 lanes to clear. */
export function insertps(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4), imm = imm8(u);
  if (!s) return false;
  const v = load<u32>(uS(u) ? s + ((imm >> 6) << 2) : s);
  store<u32>(dst(c, u) + ((imm >> 2) & 12), v);
  return putXmm(c, u, v128.andnot(left(c, u), dwordMask(imm)));
}
