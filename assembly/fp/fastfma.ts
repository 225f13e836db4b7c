/**
 * Fused multiply-add by the host's arithmetic, where it cannot be told from the exact one: MXCSR as in fast.ts, operands
 * normal and not zero, no power of two far out, and a result that is normal and above the smallest binade. Else the exact
 * functions decide.
 *
 * The host rounds twice. Rounding the first time to odd (toward the neighbour whose last bit is set, unless exact) in a
 * format with two more bits makes the second rounding right (S. Boldo, G. Melquiond, Emulation of a FMA and correctly
 * rounded sums: proved algorithms using rounding to odd, IEEE Transactions on Computers 57, 2008).
 */
import { plain32, sseFast } from "./fast";
import { f32Fma, f64Fma } from "./fma";

/** The sum rounded to odd: s is the rounded sum, error what it lacks. */
// @ts-ignore: decorator
@inline
function toOdd(s: f64, error: f64): f64 {
  const bits: u64 = reinterpret<u64>(s);
  if (error == 0 || (bits & 1) != 0) return s;
  return reinterpret<f64>(error > 0 == s > 0 ? bits + 1 : bits - 1);
}

/** What a + b lacks of the exact sum when s is the rounded one (D. Knuth's TwoSum). */
// @ts-ignore: decorator
@inline
function sumError(a: f64, b: f64, s: f64): f64 {
  const bb = s - a;
  return a - (s - bb) + (b - bb);
}

/** Exponent from -400 to 400: products and their errors stay normal. */
// @ts-ignore: decorator
@inline
function middle64(v: u64): bool {
  return (v & 0x7ff0000000000000) - 0x26f0000000000000 < 0x3220000000000000;
}

/** a * b + c. */
// @ts-ignore: decorator
@inline
export function ffma32(a: u32, b: u32, c: u32, mxcsr: u32): u32 {
  if (sseFast(mxcsr) && plain32(a) && plain32(b) && plain32(c)) {
    // The product of two 24-bit significands is exact.
    const p: f64 = f64(reinterpret<f32>(a)) * f64(reinterpret<f32>(b));
    const x: f64 = f64(reinterpret<f32>(c));
    const s: f64 = p + x;
    const r: u32 = reinterpret<u32>(f32(toOdd(s, sumError(p, x, s))));
    if (plain32(r)) return r;
  }
  return f32Fma(a, b, c, mxcsr);
}

/** a * b + c. */
export function ffma64(a: u64, b: u64, c: u64, mxcsr: u32): u64 {
  if (sseFast(mxcsr) && middle64(a) && middle64(b) && middle64(c)) {
    const x: f64 = reinterpret<f64>(a);
    const y: f64 = reinterpret<f64>(b);
    const z: f64 = reinterpret<f64>(c);
    // The product as high + low, both exact (T. J. Dekker): each factor is split into halves of 26 bits.
    const high: f64 = x * y;
    const xt: f64 = x * 134217729;
    const xh: f64 = xt - (xt - x);
    const xl: f64 = x - xh;
    const yt: f64 = y * 134217729;
    const yh: f64 = yt - (yt - y);
    const yl: f64 = y - yh;
    const low: f64 = xl * yl - (high - xh * yh - xl * yh - xh * yl);
    const t: f64 = z + low;
    const tl: f64 = sumError(z, low, t);
    const v: f64 = high + t;
    const vl: f64 = sumError(high, t, v);
    const w: f64 = tl + vl;
    const r: u64 = reinterpret<u64>(v + toOdd(w, sumError(tl, vl, w)));
    if (middle64(r)) return r;
  }
  return f64Fma(a, b, c, mxcsr);
}
