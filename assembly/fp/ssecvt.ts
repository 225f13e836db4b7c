/**
 * Conversions and rounding to an integral value on raw bit patterns with MXCSR semantics (CVT*, ROUND*).
 *
 * `rc` is a rounding mode 0-3 (nearest even, down, up, toward zero): pass (mxcsr >> 13) & 3, or 3 for CVTT*.
 */

import { FP_IE, FP_PE, fpFlags } from "./flags";
import { packFloat } from "./pack";
import {
  F64_INF,
  F64_SIGN,
  isNan64,
  load32,
  load64,
  narrow,
  normExp,
  normSig,
  sseDenormalStops,
  sseNan,
} from "./sse";

/** CVTSS2SD. */
export function f32ToF64(v: u32, mxcsr: u32): u64 {
  const a: u64 = load32(v, mxcsr, true);
  if (isNan64(a)) return sseNan(a, a, 64);
  sseDenormalStops(mxcsr);
  return a;
}

/** CVTSD2SS. */
export function f64ToF32(v: u64, mxcsr: u32): u32 {
  const a: u64 = load64(v, mxcsr, true);
  if (isNan64(a)) return u32(sseNan(a, a, 32));
  if (sseDenormalStops(mxcsr)) return 0;
  if (a << 1 == 0 || a << 1 == F64_INF << 1) return u32(narrow(a, 32));
  return u32(packFloat(u32(a >> 63), normExp(a), normSig(a), mxcsr, 32));
}

/** The last roundSig dropped a fraction. */
let inexact: bool = false;

/** Magnitude of a finite non-zero a with exponent below 64, rounded to an integer by rc. */
function roundSig(a: u64, rc: u32): u64 {
  const exp: i32 = normExp(a);
  const sig: u64 = normSig(a);
  let whole: u64 = 0;
  let rem: u64 = 1;
  if (exp >= 0) {
    whole = sig >> (63 - exp);
    rem = exp == 63 ? 0 : sig << (exp + 1);
  } else if (exp == -1) rem = sig;
  inexact = rem != 0;
  let up: bool;
  if (rc == 0) up = rem > F64_SIGN || (rem == F64_SIGN && (whole & 1) != 0);
  else up = inexact && rc == (i64(a) < 0 ? 1 : 2);
  return whole + u64(up);
}

/** To a signed integer of `bits`; NaN and out of range give the integer indefinite with IE. DE is never raised. */
function toInt(a: u64, bits: i32, rc: u32): i64 {
  if (a << 1 == 0) return 0;
  const indefinite: i64 = -1 << (bits - 1);
  if ((i32(a >> 52) & 0x7ff) >= 1023 + 64) {
    fpFlags |= FP_IE;
    return indefinite;
  }
  const mag: u64 = roundSig(a, rc);
  const neg = i64(a) < 0;
  if (mag > (F64_SIGN >> (64 - bits)) - u64(!neg)) {
    fpFlags |= FP_IE;
    return indefinite;
  }
  if (inexact) fpFlags |= FP_PE;
  return neg ? 0 - i64(mag) : i64(mag);
}

/** CVTSD2SI r32, CVTPD2DQ (rc 3: CVTTSD2SI, CVTTPD2DQ). */
export function f64ToI32(v: u64, rc: u32, mxcsr: u32): i32 {
  return i32(toInt(load64(v, mxcsr, true), 32, rc));
}

/** CVTSD2SI r64. */
export function f64ToI64(v: u64, rc: u32, mxcsr: u32): i64 {
  return toInt(load64(v, mxcsr, true), 64, rc);
}

/** CVTSS2SI r32, CVTPS2DQ, CVTPS2PI. */
export function f32ToI32(v: u32, rc: u32, mxcsr: u32): i32 {
  return i32(toInt(load32(v, mxcsr, true), 32, rc));
}

/** CVTSS2SI r64. */
export function f32ToI64(v: u32, rc: u32, mxcsr: u32): i64 {
  return toInt(load32(v, mxcsr, true), 64, rc);
}

function fromInt(v: i64, mxcsr: u32, width: i32): u64 {
  if (v == 0) return 0;
  const mag: u64 = v < 0 ? 0 - u64(v) : u64(v);
  const n: i32 = i32(clz(mag));
  return packFloat(u32(v < 0), 63 - n, mag << n, mxcsr, width);
}

/** CVTSI2SD from a 32-bit (sign-extended) or 64-bit integer. */
export function f64FromI64(v: i64, mxcsr: u32): u64 {
  return fromInt(v, mxcsr, 64);
}

/** CVTSI2SS, CVTDQ2PS, CVTPI2PS. */
export function f32FromI64(v: i64, mxcsr: u32): u32 {
  return u32(fromInt(v, mxcsr, 32));
}

/** ROUNDSD with rounding mode rc; `quiet` (imm8 bit 3) suppresses PE. DE is never raised. */
export function f64Round(v: u64, rc: u32, quiet: bool, mxcsr: u32): u64 {
  return roundIntegral(load64(v, mxcsr, true), rc, quiet, 64);
}

/** ROUNDSS. */
export function f32Round(v: u32, rc: u32, quiet: bool, mxcsr: u32): u32 {
  return u32(roundIntegral(load32(v, mxcsr, true), rc, quiet, 32));
}

function roundIntegral(a: u64, rc: u32, quiet: bool, width: i32): u64 {
  if (isNan64(a)) return sseNan(a, a, width);
  if (a << 1 == 0 || a << 1 == F64_INF << 1) return narrow(a, width);
  const sign: u64 = a & F64_SIGN;
  const exp: i32 = normExp(a);
  let r: u64 = normSig(a);
  let top: i32 = exp;
  if (exp < 63) {
    r = roundSig(a, rc);
    if (inexact && !quiet) fpFlags |= FP_PE;
    if (r == 0) return narrow(sign, width);
    const n: i32 = i32(clz(r));
    r <<= n;
    top = 63 - n;
  }
  // An integral value of a binary32 or binary64 fits the format exactly.
  return packFloat(u32(sign >> 63), top, r, 0x1f80, width);
}
