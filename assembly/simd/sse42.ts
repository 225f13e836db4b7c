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

function element(p: usize, i: i32, imm: u32): i32 {
  switch (imm & 3) {
    case 0: return load<u8>(p + i);
    case 1: return load<u16>(p + (i << 1));
    case 2: return load<i8>(p + i);
    default: return load<i16>(p + (i << 1));
  }
}

/** Elements before the first that is zero. */
function implicitLength(p: usize, imm: u32): i32 {
  const n = imm & 1 ? 8 : 16;
  let i = 0;
  while (i < n && element(p, i, imm) != 0) i++;
  return i;
}

/** Magnitude of EAX or EDX (RAX or RDX with REX.W), at most the number of elements. */
function explicitLength(c: Vcpu, u: usize, number: usize, imm: u32): i32 {
  const v = load<i64>(changetype<usize>(c) + V_GPR + (number << 3));
  const length = uSize(u) == 3 ? v : <i64><i32>v;
  const n: u64 = imm & 1 ? 8 : 16;
  return <i32>min<u64>(length < 0 ? 0 - <u64>length : <u64>length, n);
}

/** IntRes1, one bit for each element of b. la, lb: valid elements of operand 0 (a) and operand 1 (b). */
function compare(a: usize, la: i32, b: usize, lb: i32, imm: u32): u32 {
  const n = imm & 1 ? 8 : 16, how = (imm >> 2) & 3;
  let result: u32 = 0;
  for (let j = 0; j < n; j++) {
    let hit = false;
    if (how == EQUAL_ANY) {
      for (let i = 0; i < la && j < lb; i++) hit = hit || element(a, i, imm) == element(b, j, imm);
    } else if (how == RANGES) {
      for (let i = 0; i + 1 < la && j < lb; i += 2) {
        hit = hit || (element(b, j, imm) >= element(a, i, imm) && element(b, j, imm) <= element(a, i + 1, imm));
      }
    } else if (how == EQUAL_EACH) {
      // Two elements beyond their strings' ends are equal.
      hit = j < la && j < lb ? element(a, j, imm) == element(b, j, imm) : j >= la && j >= lb;
    } else {
      // Operand 0 begins at element j of operand 1, as far as the register shows.
      hit = true;
      for (let i = 0; i < la && i + j < n; i++) hit = hit && i + j < lb && element(a, i, imm) == element(b, i + j, imm);
    }
    result |= u32(hit) << j;
  }
  return result;
}

/** IntRes2 and the flags: CF some hit, ZF and SF operand 1 and operand 0 end within, OF bit 0. */
function finish(c: Vcpu, found: u32, la: i32, lb: i32, imm: u32): u32 {
  const n = imm & 1 ? 8 : 16, all: u32 = (<u32>1 << n) - 1;
  let result = found;
  if (imm & 0x10) result ^= imm & 0x20 ? (<u32>1 << lb) - 1 : all;
  setArithmeticFlags(c, (result ? CF : 0) | (lb < n ? ZF : 0) | (la < n ? SF : 0) | (result & 1 ? OF : 0));
  return result;
}

function index(c: Vcpu, result: u32, imm: u32): bool {
  const n: u32 = imm & 1 ? 8 : 16;
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
