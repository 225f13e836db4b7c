/**
 * Floating-point arithmetic, scalar and packed. The host's arithmetic is used where it cannot be told from the exact
 * one (the conditions are in fp/fast.ts); otherwise element by element through the exact library, and the
 * destination is written only when no unmasked exception was found in any element.
 */
import { Vcpu } from "../gen/layout";
import { begin, settle } from "./exceptions";
import {
  isWide, leftAt, putLow32, putLow64, putVector, putXmm, putYmm, right, scratch, src, srcAny, upper, vectorBytes,
} from "./operand";
import { fadd32, fadd64, fdiv32, fdiv64, fmul32, fmul64, fsqrt32, fsqrt64, fsub32, fsub64, sseFast } from "../fp/fast";
import { f32Max, f32Min, f64Max, f64Min } from "../fp/ssecmp";

class Add {}
class Sub {}
class Mul {}
class Div {}
class Sqrt {}
class Min {}
class Max {}

/** One element; square roots ignore a. */
@inline function element32<TOp>(a: u32, b: u32, mxcsr: u32): u32 {
  if (idof<TOp>() == idof<Add>()) return fadd32(a, b, mxcsr);
  if (idof<TOp>() == idof<Sub>()) return fsub32(a, b, mxcsr);
  if (idof<TOp>() == idof<Mul>()) return fmul32(a, b, mxcsr);
  if (idof<TOp>() == idof<Div>()) return fdiv32(a, b, mxcsr);
  if (idof<TOp>() == idof<Sqrt>()) return fsqrt32(b, mxcsr);
  // Neither is a NaN or a denormal: unordered cannot happen, nothing is flagged.
  if (ordinary32(a) && ordinary32(b)) {
    const x = reinterpret<f32>(a), y = reinterpret<f32>(b);
    return (idof<TOp>() == idof<Min>() ? x < y : x > y) ? a : b;
  }
  return idof<TOp>() == idof<Min>() ? f32Min(a, b, mxcsr) : f32Max(a, b, mxcsr);
}

@inline function element64<TOp>(a: u64, b: u64, mxcsr: u32): u64 {
  if (idof<TOp>() == idof<Add>()) return fadd64(a, b, mxcsr);
  if (idof<TOp>() == idof<Sub>()) return fsub64(a, b, mxcsr);
  if (idof<TOp>() == idof<Mul>()) return fmul64(a, b, mxcsr);
  if (idof<TOp>() == idof<Div>()) return fdiv64(a, b, mxcsr);
  if (idof<TOp>() == idof<Sqrt>()) return fsqrt64(b, mxcsr);
  if (ordinary64(a) && ordinary64(b)) {
    const x = reinterpret<f64>(a), y = reinterpret<f64>(b);
    return (idof<TOp>() == idof<Min>() ? x < y : x > y) ? a : b;
  }
  return idof<TOp>() == idof<Min>() ? f64Min(a, b, mxcsr) : f64Max(a, b, mxcsr);
}

/** Exponent field 1..0xfe, or an exact zero. */
@inline function ordinary32(v: u32): bool { return (v & 0x7f800000) - 0x00800000 < 0x7f000000 || v << 1 == 0; }
@inline function ordinary64(v: u64): bool {
  return (v & 0x7ff0000000000000) - 0x0010000000000000 < 0x7fe0000000000000 || v << 1 == 0;
}

const EXP32 = i32x4.splat(0x7f800000);
const ABS32 = i32x4.splat(0x7fffffff);
const EXP64 = i64x2.splat(0x7ff0000000000000);
const ABS64 = i64x2.splat(0x7fffffffffffffff);

/** Lanes with exponent field above `above` (shifted into place) and finite. */
@inline function within32(v: v128, above: i32): v128 {
  const e = v128.and(v, EXP32);
  return v128.and(i32x4.gt_s(e, i32x4.splat(above)), i32x4.lt_s(e, EXP32));
}
@inline function within64(v: v128, above: i64): v128 {
  const e = v128.and(v, EXP64);
  return v128.and(i64x2.gt_s(e, i64x2.splat(above)), i64x2.lt_s(e, EXP64));
}
@inline function zero32(v: v128): v128 { return i32x4.eq(v128.and(v, ABS32), i32x4.splat(0)); }
@inline function zero64(v: v128): v128 { return i64x2.eq(v128.and(v, ABS64), i64x2.splat(0)); }
/** Lanes that are normal or an exact zero. */
@inline function fine32(v: v128): v128 { return v128.or(within32(v, 0), zero32(v)); }
@inline function fine64(v: v128): v128 { return v128.or(within64(v, 0), zero64(v)); }

/** The host's operation on all lanes. Minimum and maximum answer operand 1 for equal zeros, as the wasm p-forms do. */
@inline function host32<TOp>(a: v128, b: v128): v128 {
  if (idof<TOp>() == idof<Add>()) return f32x4.add(a, b);
  if (idof<TOp>() == idof<Sub>()) return f32x4.sub(a, b);
  if (idof<TOp>() == idof<Mul>()) return f32x4.mul(a, b);
  if (idof<TOp>() == idof<Div>()) return f32x4.div(a, b);
  if (idof<TOp>() == idof<Sqrt>()) return f32x4.sqrt(b);
  if (idof<TOp>() == idof<Min>()) return f32x4.pmin(b, a);
  return f32x4.pmax(b, a);
}
@inline function host64<TOp>(a: v128, b: v128): v128 {
  if (idof<TOp>() == idof<Add>()) return f64x2.add(a, b);
  if (idof<TOp>() == idof<Sub>()) return f64x2.sub(a, b);
  if (idof<TOp>() == idof<Mul>()) return f64x2.mul(a, b);
  if (idof<TOp>() == idof<Div>()) return f64x2.div(a, b);
  if (idof<TOp>() == idof<Sqrt>()) return f64x2.sqrt(b);
  if (idof<TOp>() == idof<Min>()) return f64x2.pmin(b, a);
  return f64x2.pmax(b, a);
}

/** Lanes whose host result r can be trusted under sseFast. A product that is zero must come from a zero. */
@inline function trusted32<TOp>(a: v128, b: v128, r: v128): v128 {
  if (idof<TOp>() == idof<Sqrt>()) return v128.and(fine32(b), i32x4.ge_s(b, i32x4.splat(0)));
  const operands = v128.and(fine32(a), fine32(b));
  if (idof<TOp>() == idof<Min>() || idof<TOp>() == idof<Max>()) return operands;
  const plain = within32(r, 0x00800000);
  if (idof<TOp>() == idof<Div>()) return v128.and(operands, plain);
  if (idof<TOp>() == idof<Mul>()) return v128.and(operands, v128.or(plain, v128.or(zero32(a), zero32(b))));
  return v128.and(operands, v128.or(plain, zero32(r)));
}
@inline function trusted64<TOp>(a: v128, b: v128, r: v128): v128 {
  if (idof<TOp>() == idof<Sqrt>()) return v128.and(fine64(b), i64x2.ge_s(b, i64x2.splat(0)));
  const operands = v128.and(fine64(a), fine64(b));
  if (idof<TOp>() == idof<Min>() || idof<TOp>() == idof<Max>()) return operands;
  const plain = within64(r, 0x0010000000000000);
  if (idof<TOp>() == idof<Div>()) return v128.and(operands, plain);
  if (idof<TOp>() == idof<Mul>()) return v128.and(operands, v128.or(plain, v128.or(zero64(a), zero64(b))));
  return v128.and(operands, v128.or(plain, zero64(r)));
}

/** Minimum and maximum of ordinary operands raise nothing, whatever MXCSR says. */
@inline function mayBeFast<TOp>(mxcsr: u32): bool {
  return idof<TOp>() == idof<Min>() || idof<TOp>() == idof<Max>() || sseFast(mxcsr);
}

function ps<TOp>(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const l = leftAt(c, u), wide = isWide(u);
  if (mayBeFast<TOp>(c.mxcsr)) {
    const a = right(l), b = right(s), r = host32<TOp>(a, b);
    let good = trusted32<TOp>(a, b, r);
    if (!wide) {
      if (i32x4.all_true(good)) return putXmm(c, u, r);
    } else {
      const high = host32<TOp>(upper(l), upper(s));
      good = v128.and(good, trusted32<TOp>(upper(l), upper(s), high));
      if (i32x4.all_true(good)) return putYmm(c, u, r, high);
    }
  }
  const out = scratch(c), mxcsr = c.mxcsr, size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 4) {
    store<u32>(out + i, element32<TOp>(load<u32>(l + i), load<u32>(s + i), mxcsr));
  }
  return settle(c) ? putVector(c, u, out) : false;
}

function pd<TOp>(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const l = leftAt(c, u), wide = isWide(u);
  if (mayBeFast<TOp>(c.mxcsr)) {
    const a = right(l), b = right(s), r = host64<TOp>(a, b);
    let good = trusted64<TOp>(a, b, r);
    if (!wide) {
      if (i64x2.all_true(good)) return putXmm(c, u, r);
    } else {
      const high = host64<TOp>(upper(l), upper(s));
      good = v128.and(good, trusted64<TOp>(upper(l), upper(s), high));
      if (i64x2.all_true(good)) return putYmm(c, u, r, high);
    }
  }
  const out = scratch(c), mxcsr = c.mxcsr, size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 8) {
    store<u64>(out + i, element64<TOp>(load<u64>(l + i), load<u64>(s + i), mxcsr));
  }
  return settle(c) ? putVector(c, u, out) : false;
}

function ss<TOp>(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  if (!s) return false;
  begin();
  const r = element32<TOp>(load<u32>(leftAt(c, u)), load<u32>(s), c.mxcsr);
  return settle(c) ? putLow32(c, u, r) : false;
}

function sd<TOp>(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  if (!s) return false;
  begin();
  const r = element64<TOp>(load<u64>(leftAt(c, u)), load<u64>(s), c.mxcsr);
  return settle(c) ? putLow64(c, u, r) : false;
}

export function addps(c: Vcpu, u: usize): bool { return ps<Add>(c, u); }
export function addpd(c: Vcpu, u: usize): bool { return pd<Add>(c, u); }
export function addss(c: Vcpu, u: usize): bool { return ss<Add>(c, u); }
export function addsd(c: Vcpu, u: usize): bool { return sd<Add>(c, u); }
export function subps(c: Vcpu, u: usize): bool { return ps<Sub>(c, u); }
export function subpd(c: Vcpu, u: usize): bool { return pd<Sub>(c, u); }
export function subss(c: Vcpu, u: usize): bool { return ss<Sub>(c, u); }
export function subsd(c: Vcpu, u: usize): bool { return sd<Sub>(c, u); }
export function mulps(c: Vcpu, u: usize): bool { return ps<Mul>(c, u); }
export function mulpd(c: Vcpu, u: usize): bool { return pd<Mul>(c, u); }
export function mulss(c: Vcpu, u: usize): bool { return ss<Mul>(c, u); }
export function mulsd(c: Vcpu, u: usize): bool { return sd<Mul>(c, u); }
export function divps(c: Vcpu, u: usize): bool { return ps<Div>(c, u); }
export function divpd(c: Vcpu, u: usize): bool { return pd<Div>(c, u); }
export function divss(c: Vcpu, u: usize): bool { return ss<Div>(c, u); }
export function divsd(c: Vcpu, u: usize): bool { return sd<Div>(c, u); }
export function sqrtps(c: Vcpu, u: usize): bool { return ps<Sqrt>(c, u); }
export function sqrtpd(c: Vcpu, u: usize): bool { return pd<Sqrt>(c, u); }
export function sqrtss(c: Vcpu, u: usize): bool { return ss<Sqrt>(c, u); }
export function sqrtsd(c: Vcpu, u: usize): bool { return sd<Sqrt>(c, u); }
export function minps(c: Vcpu, u: usize): bool { return ps<Min>(c, u); }
export function minpd(c: Vcpu, u: usize): bool { return pd<Min>(c, u); }
export function minss(c: Vcpu, u: usize): bool { return ss<Min>(c, u); }
export function minsd(c: Vcpu, u: usize): bool { return sd<Min>(c, u); }
export function maxps(c: Vcpu, u: usize): bool { return ps<Max>(c, u); }
export function maxpd(c: Vcpu, u: usize): bool { return pd<Max>(c, u); }
export function maxss(c: Vcpu, u: usize): bool { return ss<Max>(c, u); }
export function maxsd(c: Vcpu, u: usize): bool { return sd<Max>(c, u); }
