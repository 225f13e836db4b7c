/**
 * Loads and stores between the 80-bit format and integers, binary32/64 and packed BCD (FILD, FLD, FIST, FISTTP, FST,
 * FBLD, FBSTP). Loads and stores of 80-bit values themselves raise nothing and need no function.
 *
 * A store whose `fpFlags & ~fcw` has IE, OE or UE must not write memory nor pop.
 */

import { FCW_RC, FCW_RC_UP, FP_C1, FP_DE, FP_IE, FP_OE, FP_PE, FP_UE, fpFlags, fxSe } from "./flags";
import { packFloat, packUp } from "./pack";
import { magInexact, magUp, roundMag } from "./x80misc";
import { X_INT, X_QUIET, isUnsupportedX } from "./x80round";

/** FILD: exact from a sign-extended 16-, 32- or 64-bit integer. */
export function fxFromI64(v: i64): u64 {
  if (v == 0) {
    fxSe = 0;
    return 0;
  }
  const mag: u64 = v < 0 ? 0 - u64(v) : u64(v);
  const n: u32 = u32(clz(mag));
  fxSe = (v < 0 ? 0x8000 : 0) | (0x403e - n);
  return mag << n;
}

/** FLD m32: exact; IE for an SNaN (unmasked: no push), DE for a denormal (pushed whether masked or not). */
export function fxFromF32(v: u32): u64 {
  const sign: u32 = (v >> 16) & 0x8000;
  const exp: u32 = (v >> 23) & 0xff;
  const frac: u64 = ((v & 0x7fffff) as u64) << 40;
  return fromFloat(sign, exp, exp == 0xff, frac, 0x3f80);
}

/** FLD m64, as fxFromF32. */
export function fxFromF64(v: u64): u64 {
  const sign: u32 = u32(v >> 48) & 0x8000;
  const exp: u32 = u32(v >> 52) & 0x7ff;
  return fromFloat(sign, exp, exp == 0x7ff, (v << 12) >> 1, 0x3c00);
}

// @ts-ignore: decorator
@inline
function fromFloat(sign: u32, exp: u32, special: bool, frac: u64, rebias: u32): u64 {
  if (special) {
    fxSe = sign | 0x7fff;
    if (frac == 0) return X_INT;
    if ((frac & X_QUIET) == 0) fpFlags |= FP_IE;
    return X_INT | X_QUIET | frac;
  }
  if (exp != 0) {
    fxSe = sign | (exp + rebias);
    return X_INT | frac;
  }
  if (frac == 0) {
    fxSe = sign;
    return 0;
  }
  // Unlike arithmetic, the load is done even when DE is unmasked.
  fpFlags |= FP_DE;
  const n: u32 = u32(clz(frac));
  fxSe = sign | (rebias + 1 - n);
  return frac << n;
}

/** FST m32: the bit pattern, zero-extended. */
export function fxToF32(m: u64, se: u32, fcw: u32): u32 {
  const exp: u32 = se & 0x7fff;
  const sign: u32 = se & 0x8000;
  if (isUnsupportedX(m, se)) {
    fpFlags |= FP_IE;
    return 0xffc00000;
  }
  if (exp == 0x7fff) {
    if (m == X_INT) return (sign << 16) | 0x7f800000;
    if ((m & X_QUIET) == 0) fpFlags |= FP_IE;
    return (sign << 16) | 0x7fc00000 | u32((m & (X_INT - 1)) >> 40);
  }
  return u32(toFloat(m, exp, sign, fcw, 32));
}

/** FST m64. */
export function fxToF64(m: u64, se: u32, fcw: u32): u64 {
  const exp: u32 = se & 0x7fff;
  const sign: u32 = se & 0x8000;
  if (isUnsupportedX(m, se)) {
    fpFlags |= FP_IE;
    return 0xfff8000000000000;
  }
  if (exp == 0x7fff) {
    if (m == X_INT) return ((sign as u64) << 48) | 0x7ff0000000000000;
    if ((m & X_QUIET) == 0) fpFlags |= FP_IE;
    return ((sign as u64) << 48) | 0x7ff8000000000000 | ((m & (X_INT - 1)) >> 11);
  }
  const e: u32 = exp - 0x3c00;
  if ((fcw & FCW_RC) == 0 && i64(m) < 0 && e - 1 < 0x7fd) {
    // Rounding stays within the exponents, whether it carries or not.
    const rest: u32 = u32(m) & 0x7ff;
    const up: u32 = (rest + 0x3ff + (u32(m >> 11) & 1)) >> 11;
    fpFlags |= (u32(rest != 0) << ctz(FP_PE)) | (up << ctz(FP_C1));
    return ((sign as u64) << 48) | (((e - 1) as u64) << 52) + (m >> 11) + up;
  }
  return toFloat(m, exp, sign, fcw, 64);
}

function toFloat(m: u64, exp: u32, sign: u32, fcw: u32, width: i32): u64 {
  if (m == 0) return (sign as u64) << (width - 16);
  const n: i32 = i32(clz(m));
  const ctl: u32 = ((fcw & FCW_RC) << 3) | ((fcw & 0x3f) << 7);
  const r: u64 = packFloat(sign >> 15, max<i32>(exp, 1) - n - 0x3fff, m << n, ctl, width);
  // Nothing is stored with an unmasked OE or UE: nothing is inexact.
  if ((fpFlags & ~fcw & (FP_OE | FP_UE)) != 0) fpFlags &= ~FP_PE;
  else if (packUp) fpFlags |= FP_C1;
  return r;
}

/**
 * FIST/FISTP/FISTTP to a signed integer of `bits` (16, 32 or 64): the value sign-extended, or the integer indefinite
 * with IE. FISTTP passes fcw | FCW_RC.
 */
export function fxToInt(m: u64, se: u32, bits: i32, fcw: u32): i64 {
  const indefinite: i64 = -1 << (bits - 1);
  const exp: u32 = se & 0x7fff;
  const neg = se > 0x7fff;
  if (exp > 0x403e || isUnsupportedX(m, se)) {
    fpFlags |= FP_IE;
    return indefinite;
  }
  const mag: u64 = roundMag(m, exp, se & 0x8000, fcw & FCW_RC);
  // (A value just below 2^64 may round to 2^64, seen as 0 with a carry only when exp is 0x403e, where it is exact.)
  if (mag > (X_INT >> (64 - bits)) - u64(!neg)) {
    fpFlags |= FP_IE;
    return indefinite;
  }
  if (magInexact) fpFlags |= FP_PE;
  if (magUp) fpFlags |= FP_C1;
  return neg ? 0 - i64(mag) : i64(mag);
}

/** FBSTP: bits 63:0 returned, bits 79:64 in `fxSe`; the packed BCD indefinite with IE when it does not fit. */
export function fxToBcd(m: u64, se: u32, fcw: u32): u64 {
  const exp: u32 = se & 0x7fff;
  let mag: u64 = u64.MAX_VALUE;
  if (exp <= 0x403e && !isUnsupportedX(m, se)) mag = roundMag(m, exp, se & 0x8000, fcw & FCW_RC);
  if (mag > 999999999999999999) {
    fpFlags |= FP_IE;
    fxSe = 0xffff;
    return 0xc000000000000000;
  }
  if (magInexact) fpFlags |= FP_PE;
  if (magUp) fpFlags |= FP_C1;
  let lo: u64 = 0;
  for (let i = 0; i < 64; i += 4) {
    lo |= (mag % 10) << i;
    mag /= 10;
  }
  fxSe = (se & 0x8000) | u32(mag % 10) | (u32(mag / 10) << 4);
  return lo;
}

/** FBLD of bits 63:0 (lo) and 79:64 (hi). A digit above 9 counts with its binary value. */
export function fxFromBcd(lo: u64, hi: u32): u64 {
  let v: u64 = ((hi >> 4) & 15) * 10 + (hi & 15);
  for (let i = 60; i >= 0; i -= 4) v = v * 10 + ((lo >> i) & 15);
  const r: u64 = fxFromI64(i64(v));
  fxSe = (hi & 0x8000) | (fxSe & 0x7fff);
  return r;
}

/** Truncated significands of log2 10, log2 e, pi, log10 2, ln 2; the rest is above one half for all but the first. */
const CONSTANTS: StaticArray<u64> = [
  0xd49a784bcd1b8afe, 0xb8aa3b295c17f0bb, 0xc90fdaa22168c234, 0x9a209a84fbcff798, 0xb17217f7d1cf79ab,
];
const CONSTANT_SE: StaticArray<u32> = [0x4000, 0x3fff, 0x4000, 0x3ffd, 0x3ffe];

/** FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ (k = 0-6, the instruction's low bits), rounded by RC. No flags. */
export function fxConstant(k: u32, fcw: u32): u64 {
  if (k == 0 || k > 5) {
    fxSe = k == 0 ? 0x3fff : 0;
    return k == 0 ? X_INT : 0;
  }
  const rc: u32 = fcw & FCW_RC;
  fxSe = unchecked(CONSTANT_SE[k - 1]);
  return unchecked(CONSTANTS[k - 1]) + u64(rc == FCW_RC_UP || (rc == 0 && k != 1));
}
