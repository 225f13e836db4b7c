/**
 * Conversions. To integers they round by MXCSR.RC or, as CVTT*, toward zero. A conversion that the host makes without
 * a difference (exact, or inexact with PE masked and already set) does not go through the exact library.
 */
import { Vcpu } from "../gen/layout";
import { begin, settle } from "./exceptions";
import {
  dst, enterMmx, isWide, mmxReady, putLow32, putLow64, putMmx, putVector, putXmm, putYmm, readMem, reg, right, scratch,
  src, src16, srcAny, upper, vectorBytes,
} from "./operand";
import { locate, operandSegment } from "../decode/address";
import { ea, uS, uSize } from "../decode/uop";
import {
  f32FromI64, f32ToF64, f32ToI32, f32ToI64, f64FromI64, f64ToF32, f64ToI32, f64ToI64,
} from "../fp/ssecvt";
import { sseFast } from "../fp/fast";

/** PE masked and already set: an inexact result changes nothing in MXCSR. */
const INEXACT_SILENT: u32 = 0x1020;
const TRUNCATE: u32 = 3;
@inline function rounding(c: Vcpu): u32 { return (c.mxcsr >> 13) & 3; }

// Integer to scalar
export function cvtsi2ss(c: Vcpu, u: usize): bool {
  const wide = uSize(u) == 3, s = srcAny(c, u, wide ? 8 : 4);
  if (!s) return false;
  begin();
  const r = f32FromI64(wide ? load<i64>(s) : <i64>load<i32>(s), c.mxcsr);
  return settle(c) ? putLow32(c, u, r) : false;
}
export function cvtsi2sd(c: Vcpu, u: usize): bool {
  const wide = uSize(u) == 3, s = srcAny(c, u, wide ? 8 : 4);
  if (!s) return false;
  if (!wide) return putLow64(c, u, reinterpret<u64>(<f64>load<i32>(s)));
  begin();
  const r = f64FromI64(load<i64>(s), c.mxcsr);
  return settle(c) ? putLow64(c, u, r) : false;
}

// Scalar to integer
function toInt32(c: Vcpu, u: usize, rc: u32): bool {
  const s = srcAny(c, u, 4);
  if (!s) return false;
  begin();
  const r: u64 = uSize(u) == 3 ? f32ToI64(load<u32>(s), rc, c.mxcsr) : <u32>f32ToI32(load<u32>(s), rc, c.mxcsr);
  if (!settle(c)) return false;
  store<u64>(dst(c, u), r);
  return true;
}
function toInt64(c: Vcpu, u: usize, rc: u32): bool {
  const s = srcAny(c, u, 8);
  if (!s) return false;
  const wide = uSize(u) == 3, v = load<u64>(s), f = reinterpret<f64>(v);
  if (rc == TRUNCATE && (c.mxcsr & INEXACT_SILENT) == INEXACT_SILENT && abs<f64>(f) < 2147483648) {
    const i = <i32>f;
    store<u64>(dst(c, u), wide ? <u64><i64>i : <u64><u32>i);
    return true;
  }
  begin();
  const r: u64 = wide ? f64ToI64(v, rc, c.mxcsr) : <u32>f64ToI32(v, rc, c.mxcsr);
  if (!settle(c)) return false;
  store<u64>(dst(c, u), r);
  return true;
}
export function cvtss2si(c: Vcpu, u: usize): bool { return toInt32(c, u, rounding(c)); }
export function cvttss2si(c: Vcpu, u: usize): bool { return toInt32(c, u, TRUNCATE); }
export function cvtsd2si(c: Vcpu, u: usize): bool { return toInt64(c, u, rounding(c)); }
export function cvttsd2si(c: Vcpu, u: usize): bool { return toInt64(c, u, TRUNCATE); }

// Between the two widths
export function cvtss2sd(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  if (!s) return false;
  begin();
  const r = f32ToF64(load<u32>(s), c.mxcsr);
  return settle(c) ? putLow64(c, u, r) : false;
}
export function cvtsd2ss(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  if (!s) return false;
  begin();
  const r = f64ToF32(load<u64>(s), c.mxcsr);
  return settle(c) ? putLow32(c, u, r) : false;
}
/** From the lower half of a vector to a whole one. */
export function cvtps2pd(c: Vcpu, u: usize): bool {
  const size = vectorBytes(u), s = srcAny(c, u, size >> 1);
  if (!s) return false;
  const out = scratch(c);
  begin();
  for (let i: usize = 0; i < size; i += 8) store<u64>(out + i, f32ToF64(load<u32>(s + (i >> 1)), c.mxcsr));
  return settle(c) ? putVector(c, u, out) : false;
}
/** From a vector to half of one; the rest becomes zero. */
export function cvtpd2ps(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), size = vectorBytes(u);
  begin();
  v128.store(out, i64x2.splat(0));
  for (let i: usize = 0; i < size; i += 8) store<u32>(out + (i >> 1), f64ToF32(load<u64>(s + i), c.mxcsr));
  return settle(c) ? putXmm(c, u, right(out)) : false;
}

// Packed integers to floating point
export function cvtdq2ps(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  if (sseFast(c.mxcsr)) {
    const low = f32x4.convert_i32x4_s(right(s));
    return isWide(u) ? putYmm(c, u, low, f32x4.convert_i32x4_s(upper(s))) : putXmm(c, u, low);
  }
  const out = scratch(c), size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 4) store<u32>(out + i, f32FromI64(load<i32>(s + i), c.mxcsr));
  return settle(c) ? putVector(c, u, out) : false;
}
/** Exact. From the lower half of a vector. */
export function cvtdq2pd(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, vectorBytes(u) >> 1);
  if (!s) return false;
  const low = f64x2.convert_low_i32x4_s(i64x2(load<u64>(s), 0));
  return isWide(u) ? putYmm(c, u, low, f64x2.convert_low_i32x4_s(i64x2(load<u64>(s, 8), 0))) : putXmm(c, u, low);
}
/** A memory operand leaves the x87 state alone. */
export function cvtpi2ps(c: Vcpu, u: usize): bool {
  const s = integersMmx(c, u);
  if (!s) return false;
  begin();
  const low = f32FromI64(load<i32>(s), c.mxcsr), high = f32FromI64(load<i32>(s, 4), c.mxcsr);
  // The x87 state changes whether an exception is unmasked or not.
  if (uS(u)) enterMmx(c);
  if (!settle(c)) return false;
  store<u64>(dst(c, u), <u64>low | (<u64>high << 32));
  return true;
}
export function cvtpi2pd(c: Vcpu, u: usize): bool {
  const s = integersMmx(c, u);
  if (!s) return false;
  const v = load<u64>(s);
  if (uS(u)) enterMmx(c);
  return putXmm(c, u, f64x2.convert_low_i32x4_s(i64x2(v, 0)));
}
@inline function integersMmx(c: Vcpu, u: usize): usize {
  return uS(u) ? (mmxReady(c) ? reg(c, u) : 0) : readMem(c, u, 8);
}

// Packed floating point to integers
function psToDq(c: Vcpu, u: usize, rc: u32): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 4) store<i32>(out + i, f32ToI32(load<u32>(s + i), rc, c.mxcsr));
  return settle(c) ? putVector(c, u, out) : false;
}
/** Two dwords from two doubles at s, low one first. */
@inline function dwordsOfPd(c: Vcpu, s: usize, rc: u32): u64 {
  const low = f64ToI32(load<u64>(s), rc, c.mxcsr), high = f64ToI32(load<u64>(s, 8), rc, c.mxcsr);
  return <u64><u32>low | (<u64><u32>high << 32);
}
function pdToDq(c: Vcpu, u: usize, rc: u32): bool {
  const s = src(c, u);
  if (!s) return false;
  begin();
  const low = dwordsOfPd(c, s, rc), high: u64 = isWide(u) ? dwordsOfPd(c, s + 16, rc) : 0;
  return settle(c) ? putXmm(c, u, i64x2(low, high)) : false;
}
function psToPi(c: Vcpu, u: usize, rc: u32): bool {
  if (!mmxReady(c)) return false;
  const s = srcAny(c, u, 8);
  if (!s) return false;
  begin();
  const low = f32ToI32(load<u32>(s), rc, c.mxcsr), high = f32ToI32(load<u32>(s, 4), rc, c.mxcsr);
  enterMmx(c);
  return settle(c) ? putMmx(c, dst(c, u), <u64><u32>low | (<u64><u32>high << 32)) : false;
}
function pdToPi(c: Vcpu, u: usize, rc: u32): bool {
  if (!mmxReady(c)) return false;
  // Alignment comes before the segment.
  if (!uS(u) && !(<u32>ea(c, u) & 15) && operandSegment(u) >= 0 && !locate(c, u, 0, 16, false)) return false;
  const s = src16(c, u);
  if (!s) return false;
  begin();
  const r = dwordsOfPd(c, s, rc);
  enterMmx(c);
  return settle(c) ? putMmx(c, dst(c, u), r) : false;
}
export function cvtps2dq(c: Vcpu, u: usize): bool { return psToDq(c, u, rounding(c)); }
export function cvttps2dq(c: Vcpu, u: usize): bool { return psToDq(c, u, TRUNCATE); }
export function cvtpd2dq(c: Vcpu, u: usize): bool { return pdToDq(c, u, rounding(c)); }
export function cvttpd2dq(c: Vcpu, u: usize): bool { return pdToDq(c, u, TRUNCATE); }
export function cvtps2pi(c: Vcpu, u: usize): bool { return psToPi(c, u, rounding(c)); }
export function cvttps2pi(c: Vcpu, u: usize): bool { return psToPi(c, u, TRUNCATE); }
export function cvtpd2pi(c: Vcpu, u: usize): bool { return pdToPi(c, u, rounding(c)); }
export function cvttpd2pi(c: Vcpu, u: usize): bool { return pdToPi(c, u, TRUNCATE); }
