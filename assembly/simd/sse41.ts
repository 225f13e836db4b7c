/** SSE4.1: integer arithmetic, blends, extensions, inserts and extracts. Floating point is in ./round.ts. */
import { Vcpu, V_YMM } from "../gen/layout";
import { chosen, imm8, lanes } from "./lanes";
import {
  dst, isVex, isWide, left, leftAt, putGpr32, putXmm, putYmm, reg, right, scratch, src, src16, srcAny, upper, writeMem,
} from "./operand";
import { uD, uImm, uS, uSize } from "../decode/uop";
import { setArithmeticFlags, CF, ZF } from "../sem/flags";

// Lane by lane
@unmanaged class Pminsb { @inline of(a: v128, b: v128): v128 { return i8x16.min_s(a, b); } }
export function pminsb(c: Vcpu, u: usize): bool { return lanes<Pminsb>(c, u); }
@unmanaged class Pminsd { @inline of(a: v128, b: v128): v128 { return i32x4.min_s(a, b); } }
export function pminsd(c: Vcpu, u: usize): bool { return lanes<Pminsd>(c, u); }
@unmanaged class Pminuw { @inline of(a: v128, b: v128): v128 { return i16x8.min_u(a, b); } }
export function pminuw(c: Vcpu, u: usize): bool { return lanes<Pminuw>(c, u); }
@unmanaged class Pminud { @inline of(a: v128, b: v128): v128 { return i32x4.min_u(a, b); } }
export function pminud(c: Vcpu, u: usize): bool { return lanes<Pminud>(c, u); }
@unmanaged class Pmaxsb { @inline of(a: v128, b: v128): v128 { return i8x16.max_s(a, b); } }
export function pmaxsb(c: Vcpu, u: usize): bool { return lanes<Pmaxsb>(c, u); }
@unmanaged class Pmaxsd { @inline of(a: v128, b: v128): v128 { return i32x4.max_s(a, b); } }
export function pmaxsd(c: Vcpu, u: usize): bool { return lanes<Pmaxsd>(c, u); }
@unmanaged class Pmaxuw { @inline of(a: v128, b: v128): v128 { return i16x8.max_u(a, b); } }
export function pmaxuw(c: Vcpu, u: usize): bool { return lanes<Pmaxuw>(c, u); }
@unmanaged class Pmaxud { @inline of(a: v128, b: v128): v128 { return i32x4.max_u(a, b); } }
export function pmaxud(c: Vcpu, u: usize): bool { return lanes<Pmaxud>(c, u); }
@unmanaged class Pmulld { @inline of(a: v128, b: v128): v128 { return i32x4.mul(a, b); } }
export function pmulld(c: Vcpu, u: usize): bool { return lanes<Pmulld>(c, u); }
@unmanaged class Pcmpeqq { @inline of(a: v128, b: v128): v128 { return i64x2.eq(a, b); } }
export function pcmpeqq(c: Vcpu, u: usize): bool { return lanes<Pcmpeqq>(c, u); }
@unmanaged class Pcmpgtq { @inline of(a: v128, b: v128): v128 { return i64x2.gt_s(a, b); } }
export function pcmpgtq(c: Vcpu, u: usize): bool { return lanes<Pcmpgtq>(c, u); }
@unmanaged class Packusdw { @inline of(a: v128, b: v128): v128 { return i16x8.narrow_i32x4_u(a, b); } }
export function packusdw(c: Vcpu, u: usize): bool { return lanes<Packusdw>(c, u); }
@inline function evenDwords(v: v128): v128 { return v128.shuffle<i32>(v, v, 0, 2, 0, 2); }
@unmanaged class Pmuldq {
  @inline of(a: v128, b: v128): v128 { return i64x2.extmul_low_i32x4_s(evenDwords(a), evenDwords(b)); }
}
export function pmuldq(c: Vcpu, u: usize): bool { return lanes<Pmuldq>(c, u); }
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
/** Eight sums of four absolute differences: bytes of the first source from 4 imm8[2] on, one dword of the second. */
@unmanaged class Mpsadbw {
  @inline of(a: usize, b: usize, imm: u32): v128 {
    const from = a + (imm & 4), word = load<u32>(b + ((imm & 3) << 2));
    let low: u64 = 0, high: u64 = 0;
    for (let i: usize = 0; i < 8; i++) {
      let sum: u64 = 0;
      for (let k: usize = 0; k < 4; k++) {
        sum += abs<i32>(<i32>load<u8>(from + i + k) - <i32>((word >> (<u32>k << 3)) & 255));
      }
      if (i < 4) low |= sum << (i << 4);
      else high |= sum << ((i - 4) << 4);
    }
    return i64x2(low, high);
  }
  @inline next(imm: u32): u32 { return imm >> 3; }
}
export function mpsadbw(c: Vcpu, u: usize): bool { return chosen<Mpsadbw>(c, u); }
export function ptest(c: Vcpu, u: usize): bool {
  const s = src(c, u), d = dst(c, u);
  if (!s) return false;
  const a = v128.load(d), b = right(s);
  let both = v128.and(a, b), others = v128.andnot(b, a);
  if (isWide(u)) {
    both = v128.or(both, v128.and(upper(d), upper(s)));
    others = v128.or(others, v128.andnot(upper(s), upper(d)));
  }
  setArithmeticFlags(c, (v128.any_true(both) ? 0 : ZF) | (v128.any_true(others) ? 0 : CF));
  return true;
}

// Extension of the low bytes, words or dwords: to twice, four times or eight times their size
@inline function bytesS(v: v128): v128 { return i16x8.extend_low_i8x16_s(v); }
@inline function bytesU(v: v128): v128 { return i16x8.extend_low_i8x16_u(v); }
@inline function wordsS(v: v128): v128 { return i32x4.extend_low_i16x8_s(v); }
@inline function wordsU(v: v128): v128 { return i32x4.extend_low_i16x8_u(v); }
@inline function dwordsS(v: v128): v128 { return i64x2.extend_low_i32x4_s(v); }
@inline function dwordsU(v: v128): v128 { return i64x2.extend_low_i32x4_u(v); }
@unmanaged class Sbw { @inline of(v: v128): v128 { return bytesS(v); } }
@unmanaged class Sbd { @inline of(v: v128): v128 { return wordsS(bytesS(v)); } }
@unmanaged class Sbq { @inline of(v: v128): v128 { return dwordsS(wordsS(bytesS(v))); } }
@unmanaged class Swd { @inline of(v: v128): v128 { return wordsS(v); } }
@unmanaged class Swq { @inline of(v: v128): v128 { return dwordsS(wordsS(v)); } }
@unmanaged class Sdq { @inline of(v: v128): v128 { return dwordsS(v); } }
@unmanaged class Ubw { @inline of(v: v128): v128 { return bytesU(v); } }
@unmanaged class Ubd { @inline of(v: v128): v128 { return wordsU(bytesU(v)); } }
@unmanaged class Ubq { @inline of(v: v128): v128 { return dwordsU(wordsU(bytesU(v))); } }
@unmanaged class Uwd { @inline of(v: v128): v128 { return wordsU(v); } }
@unmanaged class Uwq { @inline of(v: v128): v128 { return dwordsU(wordsU(v)); } }
@unmanaged class Udq { @inline of(v: v128): v128 { return dwordsU(v); } }
/** No more than the operand has may be read. */
@inline function part(p: usize, size: u32): u64 {
  return size == 8 ? load<u64>(p) : size == 4 ? load<u32>(p) : load<u16>(p);
}
/** `of` extends the low `size` bytes to 16. */
function extend<TExtend>(c: Vcpu, u: usize, size: u32): bool {
  const s = srcAny(c, u, isWide(u) ? size << 1 : size);
  if (!s) return false;
  const op = changetype<TExtend>(0), low = op.of(i64x2(part(s, size), 0));
  return isWide(u) ? putYmm(c, u, low, op.of(i64x2(part(s + size, size), 0))) : putXmm(c, u, low);
}
export function pmovsxbw(c: Vcpu, u: usize): bool { return extend<Sbw>(c, u, 8); }
export function pmovsxbd(c: Vcpu, u: usize): bool { return extend<Sbd>(c, u, 4); }
export function pmovsxbq(c: Vcpu, u: usize): bool { return extend<Sbq>(c, u, 2); }
export function pmovsxwd(c: Vcpu, u: usize): bool { return extend<Swd>(c, u, 8); }
export function pmovsxwq(c: Vcpu, u: usize): bool { return extend<Swq>(c, u, 4); }
export function pmovsxdq(c: Vcpu, u: usize): bool { return extend<Sdq>(c, u, 8); }
export function pmovzxbw(c: Vcpu, u: usize): bool { return extend<Ubw>(c, u, 8); }
export function pmovzxbd(c: Vcpu, u: usize): bool { return extend<Ubd>(c, u, 4); }
export function pmovzxbq(c: Vcpu, u: usize): bool { return extend<Ubq>(c, u, 2); }
export function pmovzxwd(c: Vcpu, u: usize): bool { return extend<Uwd>(c, u, 8); }
export function pmovzxwq(c: Vcpu, u: usize): bool { return extend<Uwq>(c, u, 4); }
export function pmovzxdq(c: Vcpu, u: usize): bool { return extend<Udq>(c, u, 8); }

// Blends, by the sign bits of the lanes of XMM0 (of the register in imm8[7:4] with VEX) or by imm8
@unmanaged class Pblendvb { @inline of(mask: v128): v128 { return i8x16.shr_s(mask, 7); } }
@unmanaged class Blendvps { @inline of(mask: v128): v128 { return i32x4.shr_s(mask, 31); } }
@unmanaged class Blendvpd { @inline of(mask: v128): v128 { return i64x2.shr_s(mask, 63); } }
function blend<TBlend>(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const m = changetype<usize>(c) + (isVex(u) ? <usize>uImm(u) : V_YMM), a = leftAt(c, u), op = changetype<TBlend>(0);
  const low = v128.bitselect(right(s), v128.load(a), op.of(v128.load(m)));
  return isWide(u) ? putYmm(c, u, low, v128.bitselect(upper(s), upper(a), op.of(upper(m)))) : putXmm(c, u, low);
}
export function pblendvb(c: Vcpu, u: usize): bool { return blend<Pblendvb>(c, u); }
export function blendvps(c: Vcpu, u: usize): bool { return blend<Blendvps>(c, u); }
export function blendvpd(c: Vcpu, u: usize): bool { return blend<Blendvpd>(c, u); }
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
@unmanaged class Pblendw {
  @inline of(a: usize, b: usize, imm: u32): v128 { return v128.bitselect(v128.load(b), v128.load(a), wordMask(imm)); }
  @inline next(imm: u32): u32 { return imm; }
}
@unmanaged class Blendps {
  @inline of(a: usize, b: usize, imm: u32): v128 { return v128.bitselect(v128.load(b), v128.load(a), dwordMask(imm)); }
  @inline next(imm: u32): u32 { return imm >> 4; }
}
@unmanaged class Blendpd {
  @inline of(a: usize, b: usize, imm: u32): v128 { return v128.bitselect(v128.load(b), v128.load(a), qwordMask(imm)); }
  @inline next(imm: u32): u32 { return imm >> 2; }
}
export function pblendw(c: Vcpu, u: usize): bool { return chosen<Pblendw>(c, u); }
/** BLENDPS and VPBLENDD. */
export function blendps(c: Vcpu, u: usize): bool { return chosen<Blendps>(c, u); }
export function blendpd(c: Vcpu, u: usize): bool { return chosen<Blendpd>(c, u); }

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
/** The first source in the scratch room, where an element of it is replaced. */
@inline function opened(c: Vcpu, u: usize): usize {
  const out = scratch(c);
  v128.store(out, left(c, u));
  return out;
}
export function pinsrb(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 1);
  if (!s) return false;
  const v = load<u8>(s), out = opened(c, u);
  store<u8>(out + (imm8(u) & 15), v);
  return putXmm(c, u, v128.load(out));
}
export function pinsrd(c: Vcpu, u: usize): bool {
  const wide = uSize(u) == 3, s = srcAny(c, u, wide ? 8 : 4);
  if (!s) return false;
  const v: u64 = wide ? load<u64>(s) : load<u32>(s), out = opened(c, u);
  if (wide) store<u64>(out + ((imm8(u) & 1) << 3), v);
  else store<u32>(out + ((imm8(u) & 3) << 2), <u32>v);
  return putXmm(c, u, v128.load(out));
}
/** imm8: 7:6 source lane (a register's), 5:4 destination lane, 3:0 lanes to clear. */
export function insertps(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4), imm = imm8(u);
  if (!s) return false;
  const v = load<u32>(uS(u) ? s + ((imm >> 6) << 2) : s), out = opened(c, u);
  store<u32>(out + ((imm >> 2) & 12), v);
  return putXmm(c, u, v128.andnot(v128.load(out), dwordMask(imm)));
}
