/**
 * FPREM, FPREM1, FSCALE, FXTRACT, FRNDINT and the comparisons on the 80-bit format. None of them takes notice of
 * precision control. They raise C0-C3 into `fpFlags` as the instruction defines them, except the comparisons, which
 * return them.
 */

import { FCW_PC, FCW_RC, FP_C0, FP_C1, FP_C2, FP_C3, FP_DE, FP_IE, FP_PE, FP_ZE } from "./flags";
import { fpFlags, fxMant2, fxSe, fxSe2 } from "./flags";
import { u128Rem, udiv128 } from "./u128";
import {
  X_INT,
  denormalStops,
  invalidX,
  isBadPairX,
  isDenormalX,
  isNanX,
  isSnanX,
  isUnsupportedX,
  nanResultX,
  normPackX,
  quietX,
  roundPackX,
} from "./x80round";

/** Integer below a value after the last roundMag: a fraction was dropped; the magnitude went up. */
export let magInexact: bool = false;
export let magUp: bool = false;

/**
 * Magnitude of (m, exponent field exp) rounded to an integer by rc (an FCW's RC bits); exp must be below 0x403f, and m
 * need not be normalized. Sets magInexact and magUp, raises nothing.
 */
export function roundMag(m: u64, exp: i32, sign: u32, rc: u32): u64 {
  const shift: i32 = 0x403e - max<i32>(exp, 1);
  let whole: u64 = 0;
  let rem: u64 = 0;
  if (shift == 0) whole = m;
  else if (shift < 64) {
    whole = m >> shift;
    rem = m << (64 - shift);
  } else if (shift == 64) rem = m;
  else rem = u64(m != 0);
  magInexact = rem != 0;
  if (rc == 0) magUp = rem > X_INT || (rem == X_INT && (whole & 1) != 0);
  else magUp = rem != 0 && rc == (sign != 0 ? 0x400 : 0x800);
  return whole + u64(magUp);
}

/** The condition codes the last fxRem defined: where it does not get to a quotient C0 and C3 stay as they were. */
export let fxRemCc: u32 = 0;

/**
 * Partial remainder (FPREM, nearest = false: quotient truncated; FPREM1, nearest = true: rounded to nearest even).
 * C2 = 1 when the reduction is incomplete, else C0, C3, C1 = quotient bits 2, 1, 0. FSW takes the bits in `fxRemCc`.
 */
export function fxRem(am: u64, ae: u32, bm: u64, be: u32, nearest: bool, fcw: u32): u64 {
  fxRemCc = FP_C2 | FP_C1;
  if (isBadPairX(am, ae, bm, be)) return nanResultX(am, ae, bm, be);
  if ((ae & 0x7fff) == 0x7fff || bm == 0) return invalidX();
  if ((isDenormalX(am, ae) || isDenormalX(bm, be)) && denormalStops(fcw)) return 0;
  fxRemCc = FP_C3 | FP_C2 | FP_C1 | FP_C0;
  let sign: u32 = ae & 0x8000;
  if (am == 0) {
    fxSe = sign;
    return 0;
  }
  fcw |= FCW_PC;
  const na: i32 = i32(clz(am));
  am <<= na;
  let ea: i32 = max<i32>(ae & 0x7fff, 1) - na;
  if ((be & 0x7fff) == 0x7fff) return roundPackX(sign, ea, am, 0, fcw);
  const nb: i32 = i32(clz(bm));
  bm <<= nb;
  const eb: i32 = max<i32>(be & 0x7fff, 1) - nb;

  const d: i32 = ea - eb;
  if (d < -1 || (d < 0 && !nearest)) return roundPackX(sign, ea, am, 0, fcw);
  if (d >= 64) {
    // The amount of one step, 32 to 63 bits, is the processor's choice (SDM vol. 2, FPREM).
    const n: i32 = (d & 31) | 32;
    if (am >= bm) am -= bm;
    udiv128(am >> (64 - n), am << n, bm);
    fpFlags |= FP_C2;
    return normPackX(sign, ea - n, u128Rem, fcw);
  }
  let q: u64 = 0;
  if (d < 0) {
    // a < b: the quotient is 0 or, past one half, 1. Halving is exact by taking b's exponent one down.
    if (am <= bm) return roundPackX(sign, ea, am, 0, fcw);
    raiseQuotient(1);
    // b - a in units of a's last place is 2b - a.
    return normPackX(sign ^ 0x8000, ea, (bm << 1) - am, fcw);
  }
  if (am >= bm) {
    am -= bm;
    q = 1;
  }
  if (d > 0) {
    q = (q << d) + udiv128(am >> (64 - d), am << d, bm);
    am = u128Rem;
  }
  ea = eb;
  if (nearest && (am > bm - am || (am == bm - am && (q & 1) != 0))) {
    am = bm - am;
    sign ^= 0x8000;
    q++;
  }
  raiseQuotient(q);
  if (am == 0) sign = ae & 0x8000;
  return normPackX(sign, ea, am, fcw);
}

function raiseQuotient(q: u64): void {
  if ((q & 1) != 0) fpFlags |= FP_C1;
  if ((q & 2) != 0) fpFlags |= FP_C3;
  if ((q & 4) != 0) fpFlags |= FP_C0;
}

/** FSCALE: a * 2^trunc(b). */
export function fxScale(am: u64, ae: u32, bm: u64, be: u32, fcw: u32): u64 {
  if (isBadPairX(am, ae, bm, be)) return nanResultX(am, ae, bm, be);
  const sign: u32 = ae & 0x8000;
  const infA = (ae & 0x7fff) == 0x7fff;
  if ((be & 0x7fff) == 0x7fff) {
    const shrinks = be > 0x7fff;
    if (shrinks ? infA : am == 0) return invalidX();
    if (isDenormalX(am, ae) && denormalStops(fcw)) return 0;
    fxSe = shrinks ? sign : sign | 0x7fff;
    return shrinks ? 0 : X_INT;
  }
  if ((isDenormalX(am, ae) || isDenormalX(bm, be)) && denormalStops(fcw)) return 0;
  if (infA || am == 0) {
    fxSe = ae;
    return am;
  }
  const eb: i32 = i32(be & 0x7fff) - 0x3fff;
  // Past 2^16 every result is out of range; the exponent arithmetic stays in 32 bits.
  let by: i32 = eb < 0 ? 0 : eb > 16 ? 0x10000 : i32(bm >> (63 - eb));
  if (be > 0x7fff) by = -by;
  const n: i32 = i32(clz(am));
  return roundPackX(sign, max<i32>(ae & 0x7fff, 1) - n + by, am << n, 0, fcw | FCW_PC);
}

/**
 * FXTRACT: returns the significand with exponent 0 (the new ST(0)); the unbiased exponent as a value is left in
 * `fxMant2`, `fxSe2` (the new ST(1)).
 */
export function fxExtract(m: u64, se: u32, fcw: u32): u64 {
  if (isUnsupportedX(m, se) || isNanX(m, se)) {
    const r: u64 = isNanX(m, se) && !isUnsupportedX(m, se) ? quietX(m, se) : invalidX();
    fxMant2 = r;
    fxSe2 = fxSe;
    return r;
  }
  if (m == 0) {
    fpFlags |= FP_ZE;
    fxMant2 = X_INT;
    fxSe2 = 0xffff;
    fxSe = se;
    return 0;
  }
  if ((se & 0x7fff) == 0x7fff) {
    fxMant2 = X_INT;
    fxSe2 = 0x7fff;
    fxSe = se;
    return m;
  }
  if (isDenormalX(m, se) && denormalStops(fcw)) return 0;
  const n: i32 = i32(clz(m));
  const e: i32 = max<i32>(se & 0x7fff, 1) - n - 0x3fff;
  const mag: u32 = u32(abs<i32>(e));
  if (mag == 0) {
    fxMant2 = 0;
    fxSe2 = 0;
  } else {
    const z: u32 = clz(mag);
    fxMant2 = (mag as u64) << (z + 32);
    fxSe2 = (e < 0 ? 0x8000 : 0) | (0x3fff + 31 - z);
  }
  fxSe = (se & 0x8000) | 0x3fff;
  return m << n;
}

/** FRNDINT: rounds to an integral value by RC. */
export function fxRndint(m: u64, se: u32, fcw: u32): u64 {
  const exp: i32 = i32(se & 0x7fff);
  if (isUnsupportedX(m, se)) return invalidX();
  if (isNanX(m, se)) return quietX(m, se);
  if (exp >= 0x403e || m == 0) {
    fxSe = se;
    return m;
  }
  if (exp == 0 && denormalStops(fcw)) return 0;
  const whole: u64 = roundMag(m, exp, se & 0x8000, fcw & FCW_RC);
  if (magInexact) fpFlags |= FP_PE;
  if (magUp) fpFlags |= FP_C1;
  return normPackX(se & 0x8000, 0x403e, whole, fcw | FCW_PC);
}

/**
 * FCOM/FTST/FCOMI (quiet = false) and FUCOM/FUCOMI (quiet = true: a QNaN raises nothing). Returns C3, C2, C0 in FSW
 * position; `>> 8` of it is the EFLAGS image (ZF, PF, CF) of FCOMI.
 */
export function fxCompare(am: u64, ae: u32, bm: u64, be: u32, quiet: bool): u32 {
  if (isBadPairX(am, ae, bm, be)) {
    if (!quiet || isUnsupportedX(am, ae) || isUnsupportedX(bm, be) || isSnanX(am, ae) || isSnanX(bm, be)) {
      fpFlags |= FP_IE;
    }
    return FP_C3 | FP_C2 | FP_C0;
  }
  if (isDenormalX(am, ae) || isDenormalX(bm, be)) fpFlags |= FP_DE;
  if ((am | bm) == 0) return FP_C3;
  const less: u32 = FP_C0;
  if (((ae ^ be) & 0x8000) != 0) return ae > 0x7fff ? less : 0;
  const ea: u32 = ae & 0x7fff;
  const eb: u32 = be & 0x7fff;
  // A pseudo-denormal has the value of exponent 1.
  const na: u32 = ea == 0 && i64(am) < 0 ? 1 : ea;
  const nb: u32 = eb == 0 && i64(bm) < 0 ? 1 : eb;
  if (na == nb && am == bm) return FP_C3;
  const magLess = na < nb || (na == nb && am < bm);
  return magLess != ae > 0x7fff ? less : 0;
}

/** FXAM of a non-empty register: C3, C2, C0 = class, C1 = sign. */
export function fxExamine(m: u64, se: u32): u32 {
  const sign: u32 = (se >> 6) & FP_C1;
  const exp: u32 = se & 0x7fff;
  if (exp == 0) return sign | (m == 0 ? FP_C3 : FP_C3 | FP_C2);
  if (i64(m) >= 0) return sign;
  if (exp == 0x7fff) return sign | (m == X_INT ? FP_C2 | FP_C0 : FP_C0);
  return sign | FP_C2;
}
