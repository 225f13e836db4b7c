/**
 * Scalar binary32 and binary64 arithmetic with MXCSR semantics on raw bit patterns (SDM vol. 1, 11.5; appendix E).
 *
 * Every function takes MXCSR's value and returns the result's bit pattern; exceptions go to `fpFlags`. A packed
 * instruction calls once per element, then: if `fpFlags & ~masks` holds IE, DE or ZE, only these three are recorded
 * (`fpFlags & 7`) and nothing is written; otherwise all six are recorded, and nothing is written if OE, UE or PE is
 * unmasked.
 *
 * Both widths share one core on binary64 patterns: a binary32 operand is widened (exactly) with its denormals and DAZ
 * settled first, and only packFloat knows the target. What the core does not round (NaN, infinity, zero) comes back as
 * binary64 and is narrowed.
 *
 * Not here: the fast paths (fast.ts), comparisons, conversions (ssecvt.ts), fused multiply-add (fma.ts).
 */

import { FP_DE, FP_IE, FP_ZE, MXCSR_DAZ, MXCSR_DM, MXCSR_RC, MXCSR_RC_DOWN, fpFlags } from "./flags";
import { packFloat } from "./pack";
import { isqrt128, mulHi, u128Rem, udiv128 } from "./u128";

export const F64_SIGN: u64 = 0x8000000000000000;
export const F64_INF: u64 = 0x7ff0000000000000;
export const F64_QUIET: u64 = 0x0008000000000000;
/** The QNaN floating-point indefinite. */
export const F64_INDEFINITE: u64 = 0xfff8000000000000;

/** An operand loaded since the last clear was a denormal and DAZ is off: DE, unless something of higher priority. */
export let sseDenormal: bool = false;

/** Loads a binary64 operand: DAZ applied, denormal noted. `first` starts a new operation. */
// @ts-ignore: decorator
@inline
export function load64(v: u64, mxcsr: u32, first: bool): u64 {
  if (first) sseDenormal = false;
  if ((v & F64_INF) == 0 && v << 1 != 0) {
    if ((mxcsr & MXCSR_DAZ) != 0) return v & F64_SIGN;
    sseDenormal = true;
  }
  return v;
}

/** Loads a binary32 operand as binary64: DAZ applied, denormal noted, a signaling NaN kept signaling. */
export function load32(v: u32, mxcsr: u32, first: bool): u64 {
  if (first) sseDenormal = false;
  const sign: u64 = ((v & 0x80000000) as u64) << 32;
  const exp: u32 = (v >> 23) & 0xff;
  const frac: u64 = ((v & 0x7fffff) as u64) << 29;
  if (exp == 0) {
    if (frac == 0 || (mxcsr & MXCSR_DAZ) != 0) return sign;
    sseDenormal = true;
    const n: u64 = clz(frac) - 11;
    return sign | ((897 - n) << 52) | ((frac << n) & 0x000fffffffffffff);
  }
  return sign | (exp == 0xff ? F64_INF : ((exp + 896) as u64) << 52) | frac;
}

/** A NaN, infinity or zero in the target width. */
// @ts-ignore: decorator
@inline
export function narrow(v: u64, width: i32): u64 {
  return width == 64 ? v : ((v >> 32) & 0x80000000) | ((v & F64_INF) != 0 ? 0x7f800000 : 0) | ((v << 12) >> 41);
}

// @ts-ignore: decorator
@inline
export function isNan64(v: u64): bool {
  return v << 1 > F64_INF << 1;
}

// @ts-ignore: decorator
@inline
export function isSnan64(v: u64): bool {
  return v << 1 > F64_INF << 1 && (v & F64_QUIET) == 0;
}

/** SDM vol. 1, table 4-7, SSE column: the first operand when it is a NaN, else the second, made quiet. */
export function sseNan(a: u64, b: u64, width: i32): u64 {
  if (isSnan64(a) || isSnan64(b)) fpFlags |= FP_IE;
  return narrow((isNan64(a) ? a : b) | F64_QUIET, width);
}

export function sseInvalid(width: i32): u64 {
  fpFlags |= FP_IE;
  return narrow(F64_INDEFINITE, width);
}

/** Raises the DE the loads noted; true when unmasked, so that the operation stops. */
// @ts-ignore: decorator
@inline
export function sseDenormalStops(mxcsr: u32): bool {
  if (!sseDenormal) return false;
  fpFlags |= FP_DE;
  return (mxcsr & MXCSR_DM) == 0;
}

/** Unbiased exponent of a finite non-zero value, its significand normalized by normSig. */
// @ts-ignore: decorator
@inline
export function normExp(v: u64): i32 {
  const e: i32 = i32(v >> 52) & 0x7ff;
  return e != 0 ? e - 1023 : -1011 - i32(clz(v & 0x000fffffffffffff));
}

/** Significand of a finite non-zero value with its leading bit at 63. */
// @ts-ignore: decorator
@inline
export function normSig(v: u64): u64 {
  const frac: u64 = v << 12;
  if ((v & F64_INF) != 0) return F64_SIGN | (frac >> 1);
  return frac << clz(frac);
}

/** Sum of two loaded operands, rounded to width. `flip` is F64_SIGN for a difference. */
function addCore(a: u64, b: u64, flip: u64, mxcsr: u32, width: i32): u64 {
  if (isNan64(a) || isNan64(b)) return sseNan(a, b, width);
  b ^= flip;
  const infA = a << 1 == F64_INF << 1;
  const infB = b << 1 == F64_INF << 1;
  if (infA && infB && a != b) return sseInvalid(width);
  if (sseDenormalStops(mxcsr)) return 0;
  if (infA || infB) return narrow(infA ? a : b, width);
  if (a << 1 == 0 && b << 1 == 0) {
    if (a == b) return narrow(a, width);
    return narrow((mxcsr & MXCSR_RC) == MXCSR_RC_DOWN ? F64_SIGN : 0, width);
  }
  if (b << 1 == 0 || a << 1 == 0) {
    const v: u64 = b << 1 == 0 ? a : b;
    return packFloat(u32(v >> 63), normExp(v), normSig(v), mxcsr, width);
  }
  if (a << 1 < b << 1) {
    const t = a;
    a = b;
    b = t;
  }
  const sign: u32 = u32(a >> 63);
  let exp: i32 = normExp(a);
  const d: i32 = exp - normExp(b);
  // One place of headroom; ten or more below the last bit kept, the rest jammed.
  const ma: u64 = normSig(a) >> 1;
  let mb: u64 = normSig(b) >> 1;
  if (d != 0) mb = d > 63 ? 1 : (mb >> d) | u64(mb << (64 - d) != 0);
  let sum: u64;
  if (i64(a ^ b) >= 0) {
    sum = ma + mb;
  } else {
    sum = ma - mb;
    if (sum == 0) return narrow((mxcsr & MXCSR_RC) == MXCSR_RC_DOWN ? F64_SIGN : 0, width);
  }
  const n: i32 = i32(clz(sum));
  exp += 1 - n;
  return packFloat(sign, exp, sum << n, mxcsr, width);
}

function mulCore(a: u64, b: u64, mxcsr: u32, width: i32): u64 {
  if (isNan64(a) || isNan64(b)) return sseNan(a, b, width);
  const sign: u64 = (a ^ b) & F64_SIGN;
  const inf = a << 1 == F64_INF << 1 || b << 1 == F64_INF << 1;
  const zero = a << 1 == 0 || b << 1 == 0;
  if (inf && zero) return sseInvalid(width);
  if (sseDenormalStops(mxcsr)) return 0;
  if (inf) return narrow(sign | F64_INF, width);
  if (zero) return narrow(sign, width);
  const ma: u64 = normSig(a);
  const mb: u64 = normSig(b);
  let hi: u64 = mulHi(ma, mb) | u64(ma * mb != 0);
  let exp: i32 = normExp(a) + normExp(b) + 1;
  if (i64(hi) >= 0) {
    // Both low halves end in zeros (at most 53 bits are used), so the jammed bit stays the lowest.
    hi <<= 1;
    exp--;
  }
  return packFloat(u32(sign >> 63), exp, hi, mxcsr, width);
}

function divCore(a: u64, b: u64, mxcsr: u32, width: i32): u64 {
  if (isNan64(a) || isNan64(b)) return sseNan(a, b, width);
  const sign: u64 = (a ^ b) & F64_SIGN;
  const infA = a << 1 == F64_INF << 1;
  const infB = b << 1 == F64_INF << 1;
  const zeroA = a << 1 == 0;
  const zeroB = b << 1 == 0;
  if ((infA && infB) || (zeroA && zeroB)) return sseInvalid(width);
  if (zeroB && !infA) {
    fpFlags |= FP_ZE;
    return narrow(sign | F64_INF, width);
  }
  if (sseDenormalStops(mxcsr)) return 0;
  if (infA) return narrow(sign | F64_INF, width);
  if (infB || zeroA) return narrow(sign, width);
  let ma: u64 = normSig(a);
  const mb: u64 = normSig(b);
  let exp: i32 = normExp(a) - normExp(b);
  // The dividend ends in zeros, so halving it is exact.
  if (ma >= mb) ma >>= 1;
  else exp--;
  const q: u64 = udiv128(ma, 0, mb);
  return packFloat(u32(sign >> 63), exp, q | u64(u128Rem != 0), mxcsr, width);
}

function sqrtCore(a: u64, mxcsr: u32, width: i32): u64 {
  if (isNan64(a)) return sseNan(a, a, width);
  if (a << 1 == 0) return narrow(a, width);
  if (i64(a) < 0) return sseInvalid(width);
  if (sseDenormalStops(mxcsr)) return 0;
  if (a == F64_INF) return narrow(a, width);
  const exp: i32 = normExp(a);
  const s: u64 = isqrt128(normSig(a) >> u64((exp & 1) == 0), 0);
  return packFloat(0, exp >> 1, s | u64(u128Rem != 0), mxcsr, width);
}

export function f64Add(a: u64, b: u64, mxcsr: u32): u64 {
  return addCore(load64(a, mxcsr, true), load64(b, mxcsr, false), 0, mxcsr, 64);
}

/** a - b. */
export function f64Sub(a: u64, b: u64, mxcsr: u32): u64 {
  return addCore(load64(a, mxcsr, true), load64(b, mxcsr, false), F64_SIGN, mxcsr, 64);
}

export function f64Mul(a: u64, b: u64, mxcsr: u32): u64 {
  return mulCore(load64(a, mxcsr, true), load64(b, mxcsr, false), mxcsr, 64);
}

/** a / b. */
export function f64Div(a: u64, b: u64, mxcsr: u32): u64 {
  return divCore(load64(a, mxcsr, true), load64(b, mxcsr, false), mxcsr, 64);
}

export function f64Sqrt(a: u64, mxcsr: u32): u64 {
  return sqrtCore(load64(a, mxcsr, true), mxcsr, 64);
}

export function f32Add(a: u32, b: u32, mxcsr: u32): u32 {
  return u32(addCore(load32(a, mxcsr, true), load32(b, mxcsr, false), 0, mxcsr, 32));
}

/** a - b. */
export function f32Sub(a: u32, b: u32, mxcsr: u32): u32 {
  return u32(addCore(load32(a, mxcsr, true), load32(b, mxcsr, false), F64_SIGN, mxcsr, 32));
}

export function f32Mul(a: u32, b: u32, mxcsr: u32): u32 {
  return u32(mulCore(load32(a, mxcsr, true), load32(b, mxcsr, false), mxcsr, 32));
}

/** a / b. */
export function f32Div(a: u32, b: u32, mxcsr: u32): u32 {
  return u32(divCore(load32(a, mxcsr, true), load32(b, mxcsr, false), mxcsr, 32));
}

export function f32Sqrt(a: u32, mxcsr: u32): u32 {
  return u32(sqrtCore(load32(a, mxcsr, true), mxcsr, 32));
}
