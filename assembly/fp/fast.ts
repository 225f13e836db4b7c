/**
 * Entry points for SSE handlers that take the host's arithmetic where it cannot be told from the exact one.
 *
 * Conditions, all needed: all six exceptions masked, PE already set, round to nearest (MXCSR & 0x7fa0 == 0x1fa0), no
 * operand denormal, infinite or NaN, and a result that is normal and above the smallest binade (where a result
 * rounded up from below would have to raise UE) or an exact zero. A denormal, infinite or NaN result shows that the
 * condition failed, so mostly the result alone is tested. Otherwise the exact functions decide. A host NaN is never
 * returned.
 */

import { f32Add, f32Div, f32Mul, f32Sqrt, f32Sub, f64Add, f64Div, f64Mul, f64Sqrt, f64Sub } from "./sse";

/** MXCSR bits that matter for the fast path, and their value when it may be taken. */
export const FAST_MASK: u32 = 0x7fa0;
export const FAST_VALUE: u32 = 0x1fa0;

/** MXCSR allows the fast path: a packed instruction may test once and use the elements' own checks. */
// @ts-ignore: decorator
@inline
export function sseFast(mxcsr: u32): bool {
  return (mxcsr & FAST_MASK) == FAST_VALUE;
}

/** Exponent field 2..0x7fe. */
// @ts-ignore: decorator
@inline
function plain64(v: u64): bool {
  return (v & 0x7ff0000000000000) - 0x0020000000000000 < 0x7fd0000000000000;
}

/** Exponent field 1..0x7fe, or an exact zero. */
// @ts-ignore: decorator
@inline
function normalOrZero64(v: u64): bool {
  return (v & 0x7ff0000000000000) - 0x0010000000000000 < 0x7fe0000000000000 || v << 1 == 0;
}

/** Exponent field 2..0xfe: not zero, denormal, infinite, a NaN, nor in the smallest binade. */
// @ts-ignore: decorator
@inline
export function plain32(v: u32): bool {
  return (v & 0x7f800000) - 0x01000000 < 0x7e800000;
}

// @ts-ignore: decorator
@inline
function normalOrZero32(v: u32): bool {
  return (v & 0x7f800000) - 0x00800000 < 0x7f000000 || v << 1 == 0;
}

// @ts-ignore: decorator
@inline
export function fadd64(a: u64, b: u64, mxcsr: u32): u64 {
  if (sseFast(mxcsr)) {
    const r: u64 = reinterpret<u64>(reinterpret<f64>(a) + reinterpret<f64>(b));
    if ((plain64(r) || r << 1 == 0) && normalOrZero64(a) && normalOrZero64(b)) return r;
  }
  return f64Add(a, b, mxcsr);
}

/** a - b. */
// @ts-ignore: decorator
@inline
export function fsub64(a: u64, b: u64, mxcsr: u32): u64 {
  if (sseFast(mxcsr)) {
    const r: u64 = reinterpret<u64>(reinterpret<f64>(a) - reinterpret<f64>(b));
    if ((plain64(r) || r << 1 == 0) && normalOrZero64(a) && normalOrZero64(b)) return r;
  }
  return f64Sub(a, b, mxcsr);
}

// @ts-ignore: decorator
@inline
export function fmul64(a: u64, b: u64, mxcsr: u32): u64 {
  if (sseFast(mxcsr)) {
    const r: u64 = reinterpret<u64>(reinterpret<f64>(a) * reinterpret<f64>(b));
    // A zero result may be an underflow: it goes the exact way, as does a zero operand.
    if (plain64(r) && normalOrZero64(a) && normalOrZero64(b)) return r;
  }
  return f64Mul(a, b, mxcsr);
}

/** a / b. */
// @ts-ignore: decorator
@inline
export function fdiv64(a: u64, b: u64, mxcsr: u32): u64 {
  if (sseFast(mxcsr)) {
    const r: u64 = reinterpret<u64>(reinterpret<f64>(a) / reinterpret<f64>(b));
    if (plain64(r) && normalOrZero64(a) && normalOrZero64(b)) return r;
  }
  return f64Div(a, b, mxcsr);
}

// @ts-ignore: decorator
@inline
export function fsqrt64(a: u64, mxcsr: u32): u64 {
  if (sseFast(mxcsr) && normalOrZero64(a) && i64(a) >= 0) {
    return reinterpret<u64>(sqrt<f64>(reinterpret<f64>(a)));
  }
  return f64Sqrt(a, mxcsr);
}

// @ts-ignore: decorator
@inline
export function fadd32(a: u32, b: u32, mxcsr: u32): u32 {
  if (sseFast(mxcsr)) {
    const r: u32 = reinterpret<u32>(reinterpret<f32>(a) + reinterpret<f32>(b));
    if ((plain32(r) || r << 1 == 0) && normalOrZero32(a) && normalOrZero32(b)) return r;
  }
  return f32Add(a, b, mxcsr);
}

/** a - b. */
// @ts-ignore: decorator
@inline
export function fsub32(a: u32, b: u32, mxcsr: u32): u32 {
  if (sseFast(mxcsr)) {
    const r: u32 = reinterpret<u32>(reinterpret<f32>(a) - reinterpret<f32>(b));
    if ((plain32(r) || r << 1 == 0) && normalOrZero32(a) && normalOrZero32(b)) return r;
  }
  return f32Sub(a, b, mxcsr);
}

// @ts-ignore: decorator
@inline
export function fmul32(a: u32, b: u32, mxcsr: u32): u32 {
  if (sseFast(mxcsr)) {
    const r: u32 = reinterpret<u32>(reinterpret<f32>(a) * reinterpret<f32>(b));
    if (plain32(r) && normalOrZero32(a) && normalOrZero32(b)) return r;
  }
  return f32Mul(a, b, mxcsr);
}

/** a / b. */
// @ts-ignore: decorator
@inline
export function fdiv32(a: u32, b: u32, mxcsr: u32): u32 {
  if (sseFast(mxcsr)) {
    const r: u32 = reinterpret<u32>(reinterpret<f32>(a) / reinterpret<f32>(b));
    if (plain32(r) && normalOrZero32(a) && normalOrZero32(b)) return r;
  }
  return f32Div(a, b, mxcsr);
}

// @ts-ignore: decorator
@inline
export function fsqrt32(a: u32, mxcsr: u32): u32 {
  if (sseFast(mxcsr) && normalOrZero32(a) && i32(a) >= 0) {
    return reinterpret<u32>(sqrt<f32>(reinterpret<f32>(a)));
  }
  return f32Sqrt(a, mxcsr);
}
