/** MIN, MAX, CMP, COMI and UCOMI on raw bit patterns with MXCSR semantics (SDM vol. 2, CMPPD table 3-1). */

import { FP_DE, FP_IE, MXCSR_DAZ, fpFlags } from "./flags";
import { isNan64, isSnan64, load32, load64, sseDenormal } from "./sse";

/** Relation of two loaded operands as one bit: less, equal, greater, unordered. */
const LT: u32 = 1;
const EQ: u32 = 2;
const GT: u32 = 4;
const UN: u32 = 8;

/** Nibble p: the relations for which predicate p (low four bits) holds. */
const TRUE_FOR: u64 = 0xf4650b9a7ced8312;

function relation(a: u64, b: u64): u32 {
  if (isNan64(a) || isNan64(b)) return UN;
  if (a == b || ((a | b) << 1) == 0) return EQ;
  // Sign-magnitude to two's complement order.
  const x: i64 = i64(a) < 0 ? i64(0x8000000000000000 - a) : i64(a);
  const y: i64 = i64(b) < 0 ? i64(0x8000000000000000 - b) : i64(b);
  return x < y ? LT : GT;
}

function compare(a: u64, b: u64, signaling: bool): u32 {
  const rel: u32 = relation(a, b);
  if (rel == UN) {
    if (signaling || isSnan64(a) || isSnan64(b)) fpFlags |= FP_IE;
  } else if (sseDenormal) {
    fpFlags |= FP_DE;
  }
  return rel;
}

/** Predicates 1, 2, 5, 6 of each eight signal on a QNaN; bit 4 turns that round. */
// @ts-ignore: decorator
@inline
function signals(predicate: u32): bool {
  return (((predicate ^ (predicate >> 1) ^ (predicate >> 4)) & 1) != 0);
}

/** CMPSD: 1 when predicate (0-7; 0-31 for VEX forms) holds, else 0. */
export function f64Cmp(a: u64, b: u64, predicate: u32, mxcsr: u32): u32 {
  const rel: u32 = compare(load64(a, mxcsr, true), load64(b, mxcsr, false), signals(predicate));
  return u32((u32(TRUE_FOR >> ((predicate & 15) << 2)) & rel) != 0);
}

/** CMPSS, as f64Cmp. */
export function f32Cmp(a: u32, b: u32, predicate: u32, mxcsr: u32): u32 {
  const rel: u32 = compare(load32(a, mxcsr, true), load32(b, mxcsr, false), signals(predicate));
  return u32((u32(TRUE_FOR >> ((predicate & 15) << 2)) & rel) != 0);
}

// @ts-ignore: decorator
@inline
function eflags(rel: u32): u32 {
  return rel == UN ? 0x45 : rel == EQ ? 0x40 : rel == LT ? 0x01 : 0;
}

/** COMISD (signaling) or UCOMISD: ZF, PF, CF in EFLAGS position. */
export function f64Comi(a: u64, b: u64, signaling: bool, mxcsr: u32): u32 {
  return eflags(compare(load64(a, mxcsr, true), load64(b, mxcsr, false), signaling));
}

/** COMISS or UCOMISS. */
export function f32Comi(a: u32, b: u32, signaling: bool, mxcsr: u32): u32 {
  return eflags(compare(load32(a, mxcsr, true), load32(b, mxcsr, false), signaling));
}

/** True when MIN (less = LT) or MAX (GT) takes the first operand; the second is the answer for NaNs and equality. */
// @ts-ignore: decorator
@inline
function takesFirst(a: u64, b: u64, wanted: u32): bool {
  return compare(a, b, true) == wanted;
}

/** MINSD: a < b ? a : b. A denormal operand under DAZ comes out as a zero. */
export function f64Min(a: u64, b: u64, mxcsr: u32): u64 {
  a = load64(a, mxcsr, true);
  b = load64(b, mxcsr, false);
  return takesFirst(a, b, LT) ? a : b;
}

/** MAXSD: a > b ? a : b. */
export function f64Max(a: u64, b: u64, mxcsr: u32): u64 {
  a = load64(a, mxcsr, true);
  b = load64(b, mxcsr, false);
  return takesFirst(a, b, GT) ? a : b;
}

/** MINSS. */
export function f32Min(a: u32, b: u32, mxcsr: u32): u32 {
  return daz32(takesFirst(load32(a, mxcsr, true), load32(b, mxcsr, false), LT) ? a : b, mxcsr);
}

/** MAXSS. */
export function f32Max(a: u32, b: u32, mxcsr: u32): u32 {
  return daz32(takesFirst(load32(a, mxcsr, true), load32(b, mxcsr, false), GT) ? a : b, mxcsr);
}

// @ts-ignore: decorator
@inline
function daz32(v: u32, mxcsr: u32): u32 {
  return (mxcsr & MXCSR_DAZ) != 0 && (v & 0x7f800000) == 0 ? v & 0x80000000 : v;
}
