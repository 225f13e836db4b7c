/**
 * SSE4.2's string comparisons, CRC32, and POPCNT.
 *
 * imm8 of PCMPxSTRx (SDM vol. 2, 4.1): 1:0 unsigned bytes, unsigned words, signed bytes, signed words; 3:2 equal any,
 * ranges, equal each, equal ordered; 5:4 polarity: as is, negated, as is, negated within operand 1's length; 6 highest
 * index, or a mask of whole elements.
 */
import { Vcpu, V_GPR, V_YMM } from "../gen/layout";
import { dst, isVex, srcAny } from "./operand";
import { uImm, uSize } from "../decode/uop";
import { setArithmeticFlags, CF, OF, SF, ZF } from "../sem/flags";

const EQUAL_ANY: u32 = 0;
const RANGES: u32 = 1;
const EQUAL_EACH: u32 = 2;

@inline function imm8(u: usize): u32 { return <u32>uImm(u) & 0xff; }

@inline function elements(imm: u32): i32 { return imm & 1 ? 8 : 16; }
/** A bit for each of the first n elements. */
@inline function first(n: i32): u32 { return (<u32>1 << n) - 1; }

/** A bit for each element of x that is equal to y's. */
@inline function equal(x: v128, y: v128, imm: u32): u32 {
  return imm & 1 ? i16x8.bitmask(i16x8.eq(x, y)) : i8x16.bitmask(i8x16.eq(x, y));
}
/** Element i of the vector at p everywhere. */
@inline function splat(p: usize, i: i32, imm: u32): v128 {
  return imm & 1 ? i16x8.splat(load<i16>(p + (i << 1))) : i8x16.splat(load<i8>(p + i));
}
/** A bit for each element of x that is not below y's. */
function notBelow(x: v128, y: v128, imm: u32): u32 {
  switch (imm & 3) {
    case 0: return i8x16.bitmask(i8x16.ge_u(x, y));
    case 1: return i16x8.bitmask(i16x8.ge_u(x, y));
    case 2: return i8x16.bitmask(i8x16.ge_s(x, y));
    default: return i16x8.bitmask(i16x8.ge_s(x, y));
  }
}

/** Elements before the first that is zero. */
function implicitLength(p: usize, imm: u32): i32 {
  return ctz<u32>(equal(v128.load(p), i64x2.splat(0), imm) | <u32>1 << elements(imm));
}

/** Magnitude of EAX or EDX (RAX or RDX with REX.W), at most the number of elements. */
function explicitLength(c: Vcpu, u: usize, number: usize, imm: u32): i32 {
  const v = load<i64>(changetype<usize>(c) + V_GPR + (number << 3));
  const length = uSize(u) == 3 ? v : <i64><i32>v;
  const n: u64 = elements(imm);
  return <i32>min<u64>(length < 0 ? 0 - <u64>length : <u64>length, n);
}

/** IntRes1, one bit for each element of b. la, lb: valid elements of operand 0 (a) and operand 1 (b). */
function compare(a: usize, la: i32, b: usize, lb: i32, imm: u32): u32 {
  const all = first(elements(imm)), how = (imm >> 2) & 3, right = v128.load(b), valid = first(lb);
  let result: u32 = 0;
  if (how == EQUAL_ANY) {
    for (let i = 0; i < la; i++) result |= equal(right, splat(a, i, imm), imm);
    return result & valid;
  }
  if (how == RANGES) {
    for (let i = 0; i + 1 < la; i += 2) {
      result |= notBelow(right, splat(a, i, imm), imm) & notBelow(splat(a, i + 1, imm), right, imm);
    }
    return result & valid;
  }
  if (how == EQUAL_EACH) {
    // Two elements beyond their strings' ends are equal.
    const both = first(la) & valid;
    return (equal(v128.load(a), right, imm) & both) | (all & ~(first(la) | valid));
  }
  // Operand 0 begins at element j of operand 1, as far as the register shows.
  result = all;
  for (let i = 0; i < la; i++) result &= ((equal(right, splat(a, i, imm), imm) & valid) >> i) | (all & ~(all >> i));
  return result;
}

/** IntRes2 and the flags: CF some hit, ZF and SF operand 1 and operand 0 end within, OF bit 0. */
function finish(c: Vcpu, found: u32, la: i32, lb: i32, imm: u32): u32 {
  const n = elements(imm);
  let result = found;
  if (imm & 0x10) result ^= first(imm & 0x20 ? lb : n);
  setArithmeticFlags(c, (result ? CF : 0) | (lb < n ? ZF : 0) | (la < n ? SF : 0) | (result & 1 ? OF : 0));
  return result;
}

function index(c: Vcpu, result: u32, imm: u32): bool {
  const n: u32 = elements(imm);
  const at = !result ? n : imm & 0x40 ? 31 - clz<u32>(result) : ctz<u32>(result);
  store<u64>(changetype<usize>(c) + V_GPR + 8, at);
  return true;
}

function mask(c: Vcpu, u: usize, result: u32, imm: u32): bool {
  const xmm0 = changetype<usize>(c) + V_YMM;
  let v = i64x2(result, 0);
  if (imm & 0x40) {
    const bytes = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
    const words = i16x8(1, 2, 4, 8, 16, 32, 64, 128);
    if (imm & 1) v = i16x8.eq(v128.and(i16x8.splat(<i16>result), words), words);
    else v = i8x16.eq(v128.and(v128.shuffle<i8>(v, v, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1), bytes), bytes);
  }
  v128.store(xmm0, v);
  if (isVex(u)) v128.store(xmm0, i64x2.splat(0), 16);
  return true;
}

@inline function strings(c: Vcpu, u: usize, explicit: bool, wantsMask: bool): bool {
  const s = srcAny(c, u, 16);
  if (!s) return false;
  const imm = imm8(u), a = dst(c, u);
  const la = explicit ? explicitLength(c, u, 0, imm) : implicitLength(a, imm);
  const lb = explicit ? explicitLength(c, u, 2, imm) : implicitLength(s, imm);
  const result = finish(c, compare(a, la, s, lb, imm), la, lb, imm);
  return wantsMask ? mask(c, u, result, imm) : index(c, result, imm);
}
export function pcmpestrm(c: Vcpu, u: usize): bool { return strings(c, u, true, true); }
export function pcmpestri(c: Vcpu, u: usize): bool { return strings(c, u, true, false); }
export function pcmpistrm(c: Vcpu, u: usize): bool { return strings(c, u, false, true); }
export function pcmpistri(c: Vcpu, u: usize): bool { return strings(c, u, false, false); }

/** CRC-32C (polynomial 1EDC6F41, bits reflected) of `bytes` bytes of v. */
function crc32c(crc: u32, v: u64, bytes: i32): u32 {
  for (let i = 0; i < bytes; i++) {
    crc ^= <u32>(v >> (i << 3)) & 0xff;
    for (let k = 0; k < 8; k++) crc = (crc >> 1) ^ (0x82f63b78 & (0 - (crc & 1)));
  }
  return crc;
}
export function crc32b(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 1);
  if (!s) return false;
  store<u64>(dst(c, u), crc32c(load<u32>(dst(c, u)), load<u8>(s), 1));
  return true;
}
/** The source has the operand size, the destination 32 bits (64 with REX.W, upper half cleared). */
export function crc32(c: Vcpu, u: usize): bool {
  const z = uSize(u), s = srcAny(c, u, <u32>1 << z);
  if (!s) return false;
  const v: u64 = z == 1 ? load<u16>(s) : z == 2 ? load<u32>(s) : load<u64>(s);
  store<u64>(dst(c, u), crc32c(load<u32>(dst(c, u)), v, 1 << z));
  return true;
}

export function popcntV(c: Vcpu, u: usize): bool {
  const z = uSize(u), s = srcAny(c, u, <u32>1 << z);
  if (!s) return false;
  const v: u64 = z == 1 ? load<u16>(s) : z == 2 ? load<u32>(s) : load<u64>(s);
  const n = popcnt<u64>(v);
  if (z == 1) store<u16>(dst(c, u), <u16>n);
  else store<u64>(dst(c, u), n);
  setArithmeticFlags(c, v ? 0 : ZF);
  return true;
}
