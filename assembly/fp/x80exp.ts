/**
 * F2XM1, FYL2X and FYL2XP1 (SDM vol. 2). Computed to over 100 bits and rounded once by RC; an Intel CPU's own results
 * lie within one unit in the last place of these. PC has no effect.
 */

import { FCW_PC, FP_PE, FP_UE, FP_ZE, fpFlags, fxSe } from "./flags";
import { W_ONE, wDiv, wDivSmall, wHi, wLo, wMul, wNorm, wOneWith, wShr } from "./wide";
import {
  X_INT,
  denormalStops,
  invalidX,
  isBadPairX,
  isDenormalX,
  isNanX,
  isUnsupportedX,
  nanResultX,
  quietX,
  roundPackX,
} from "./x80round";

/** ln 2 as a fraction and 1/ln 2 as a unit. */
const LN2_HI: u64 = 0xb17217f7d1cf79ab;
const LN2_LO: u64 = 0xc9e3b39803f2f6af;
const LOG2E_HI: u64 = 0xb8aa3b295c17f0bb;
const LOG2E_LO: u64 = 0xbe87fed0691d3e89;

/** Significand of sqrt 2. */
const SQRT2: u64 = 0xb504f333f9de6484;

/** F2XM1: 2^a - 1 for |a| <= 1; outside, where the SDM leaves it open, a itself with PE. */
export function fx2xm1(m: u64, se: u32, fcw: u32): u64 {
  if (isUnsupportedX(m, se)) return invalidX();
  if (isNanX(m, se)) return quietX(m, se);
  const sign: u32 = se & 0x8000;
  const neg = sign != 0;
  const exp: i32 = i32(se & 0x7fff);
  if (m == 0) {
    fxSe = se;
    return 0;
  }
  if (exp == 0x7fff) {
    fxSe = neg ? 0xbfff : se;
    return m;
  }
  if (exp >= 0x3fff) {
    // PE even for the exact results of +-1.
    fpFlags |= FP_PE;
    fxSe = exp == 0x3fff && m == X_INT && neg ? 0xbffe : se;
    return m;
  }
  if (exp == 0 && denormalStops(fcw)) return 0;
  const n: i32 = i32(clz(m));
  m <<= n;
  const e: i32 = max<i32>(exp, 1) - n - 0x3fff;

  // y = |a| ln 2 = mantissa * 2^(e + 1), then 2^a - 1 = +-y (1 +- y/2 (1 +- y/3 (1 +- ...))).
  wMul(m, 0, LN2_HI, LN2_LO);
  const shift: i32 = wNorm(wHi, wLo);
  const yh: u64 = wHi;
  const yl: u64 = wLo;
  const ye: i32 = e - shift + 1;
  wShr(yh, yl, -ye);
  const fh: u64 = wHi;
  const fl: u64 = wLo;
  let th: u64 = W_ONE;
  let tl: u64 = 0;
  for (let k: u64 = 28; k >= 2; k--) {
    wMul(fh, fl, th, tl);
    wDivSmall(wHi, wLo, k);
    wOneWith(wHi, wLo, neg);
    th = wHi;
    tl = wLo;
  }
  wMul(yh, yl, th, tl);
  return finish(sign, ye, fcw);
}

/**
 * Rounds wHi:wLo, a fraction scaled by 2^exp times 2 (the product of a fraction and a unit), as an inexact result.
 */
function finish(sign: u32, exp: i32, fcw: u32): u64 {
  const n: i32 = wNorm(wHi, wLo);
  return roundPackX(sign, exp + 1 - n + 0x3ffe, wHi, wLo | 1, fcw | FCW_PC);
}

/** |log2| of the last log2Ratio or log2Of as wHi:wLo * 2^(logExp - 128), with its sign. */
let logExp: i32 = 0;
let logNeg: bool = false;
/** It is a whole number, and exact. */
let logExact: bool = false;

/**
 * log2((1 + z) / (1 - z)) = 2/ln 2 * (z + z^3/3 + z^5/5 ...) for 0 < z < 0.172, z = wHi:wLo * 2^(ze - 128) normalized.
 * The result goes to wHi:wLo, logExp.
 */
function log2Ratio(ze: i32): void {
  const zh: u64 = wHi;
  const zl: u64 = wLo;
  wShr(zh, zl, -ze);
  wMul(wHi, wLo, wHi, wLo);
  const sh: u64 = wHi;
  const sl: u64 = wLo;
  let th: u64 = 0;
  let tl: u64 = 0;
  for (let k: u64 = 45; k >= 3; k -= 2) {
    wDivSmall(W_ONE, 0, k);
    const lo: u64 = wLo + tl;
    th += wHi + u64(lo < tl);
    wMul(sh, sl, th, lo);
    th = wHi;
    tl = wLo;
  }
  wMul(zh, zl, W_ONE | th, tl);
  let n: i32 = wNorm(wHi, wLo);
  // A fraction times a unit comes out halved: one back here, and two more for 2/ln 2 by the unit 1/ln 2.
  const e: i32 = ze + 1 - n;
  wMul(wHi, wLo, LOG2E_HI, LOG2E_LO);
  n = wNorm(wHi, wLo);
  logExp = e + 2 - n;
}

/**
 * log2 of v = M * 2^e, M = mh:ml / 2^127 in [1, 2), e below 2^16; false when it is 0 (v is 1). log2 v is e plus the
 * logarithm of a number in [sqrt 1/2, sqrt 2).
 */
function log2Of(mh: u64, ml: u64, e: i32): bool {
  // A number w and z = |w - 1| / (w + 1) = N / 2D, N and D fractions, bit 127 of D set.
  const below = mh >= SQRT2;
  let nh: u64;
  let nl: u64;
  let dh: u64;
  const dl: u64 = (mh << 63) | (ml >> 1);
  if (below) {
    // w = M/2: N = 1 - M/2, D = (1 + M/2)/2.
    e++;
    nl = 0 - ml;
    nh = 0 - mh - u64(ml != 0);
    dh = X_INT | (mh >> 1);
  } else {
    // w = M: N = (M - 1)/2, D = (M + 1)/4.
    nh = mh - X_INT;
    nl = ml;
    dh = 0x4000000000000000 + (mh >> 1);
  }
  logExact = (nh | nl) == 0;
  if (logExact) {
    logNeg = e < 0;
    if (e == 0) return false;
    const a: u64 = u64(abs<i32>(e));
    const z: i32 = i32(clz(a));
    wHi = a << z;
    wLo = 0;
    logExp = 64 - z;
    return true;
  }
  const n: i32 = wNorm(nh, nl);
  wDiv(wHi >> 1, (wHi << 63) | (wLo >> 1), dh, dl);
  log2Ratio(-n - wNorm(wHi, wLo));
  logNeg = e == 0 ? below : e < 0;
  if (e == 0) return true;
  // e plus or minus a fraction of at most one half, as 17.111 fixed point.
  wShr(wHi, wLo, 17 - logExp);
  const whole: u64 = u64(abs<i32>(e)) << 47;
  if (below == logNeg) {
    wHi += whole;
  } else {
    const borrow: u64 = u64(wLo != 0);
    wLo = 0 - wLo;
    wHi = whole - wHi - borrow;
  }
  logExp = 17 - wNorm(wHi, wLo);
  return true;
}

/** y * log, rounded; y is finite and not zero. */
function timesLog(ym: u64, ye: u32, fcw: u32): u64 {
  const n: i32 = i32(clz(ym));
  const e: i32 = max<i32>(ye & 0x7fff, 1) - n - 0x3fff;
  wMul(wHi, wLo, ym << n, 0);
  const s: i32 = wNorm(wHi, wLo);
  const sign: u32 = (ye & 0x8000) ^ (logNeg ? 0x8000 : 0);
  const sig = roundPackX(sign, e + logExp - s + 0x3fff, wHi, logExact ? wLo : wLo | 1, fcw | FCW_PC);
  // The processor takes even an exact logarithm for inexact: PE, and UE of a denormal product.
  fpFlags |= fxSe & 0x7fff ? FP_PE : FP_PE | FP_UE;
  return sig;
}

/** FYL2X: y * log2(x); y = ST(1), x = ST(0). */
export function fxYl2x(xm: u64, xe: u32, ym: u64, ye: u32, fcw: u32): u64 {
  if (isBadPairX(xm, xe, ym, ye)) return nanResultX(xm, xe, ym, ye);
  const infY = (ye & 0x7fff) == 0x7fff;
  const signY: u32 = ye & 0x8000;
  if (xm == 0) {
    if (ym == 0) return invalidX();
    if (!infY) fpFlags |= FP_ZE;
    fxSe = (signY ^ 0x8000) | 0x7fff;
    return X_INT;
  }
  if (xe > 0x7fff) return invalidX();
  const isOne = xe == 0x3fff && xm == X_INT;
  if ((infY && isOne) || (xe == 0x7fff && ym == 0)) return invalidX();
  if ((isDenormalX(xm, xe) || isDenormalX(ym, ye)) && denormalStops(fcw)) return 0;
  const below: u32 = xe < 0x3fff ? 0x8000 : 0;
  if (infY || xe == 0x7fff) {
    fxSe = signY ^ below | 0x7fff;
    return X_INT;
  }
  if (isOne || ym == 0) {
    fxSe = signY ^ below;
    return 0;
  }
  const n: i32 = i32(clz(xm));
  log2Of(xm << n, 0, max<i32>(xe, 1) - n - 0x3fff);
  return timesLog(ym, ye, fcw);
}

/** FYL2XP1: y * log2(x + 1); y = ST(1), x = ST(0). */
export function fxYl2xp1(xm: u64, xe: u32, ym: u64, ye: u32, fcw: u32): u64 {
  if (isBadPairX(xm, xe, ym, ye)) return nanResultX(xm, xe, ym, ye);
  const infY = (ye & 0x7fff) == 0x7fff;
  const infX = (xe & 0x7fff) == 0x7fff;
  const sign: u32 = (ye ^ xe) & 0x8000;
  if ((infX && (xe > 0x7fff || ym == 0)) || (infY && xm == 0)) return invalidX();
  if ((isDenormalX(xm, xe) || isDenormalX(ym, ye)) && denormalStops(fcw)) return 0;
  if (infX || infY) {
    fxSe = sign | 0x7fff;
    return X_INT;
  }
  if (xm == 0 || ym == 0) {
    fxSe = sign;
    return 0;
  }
  const neg = xe > 0x7fff;
  const n: i32 = i32(clz(xm));
  const m: u64 = xm << n;
  const e: i32 = max<i32>(xe & 0x7fff, 1) - n - 0x3fff;
  if (e >= -2) {
    if (neg && e >= 0) {
      // Undefined by the SDM; Intel's processors return x.
      fpFlags |= FP_PE;
      fxSe = xe;
      return xm;
    }
    log2Wide(m, e, neg);
  } else {
    log2Near(m, e, neg);
  }
  return timesLog(ym, ye, fcw);
}

/** log2(1 + x) for 1/4 <= x, or -1 < x <= -1/4, |x| = m * 2^(e - 63). */
function log2Wide(m: u64, e: i32, neg: bool): void {
  if (e < 0) {
    // 1 +- |x| is exact in 128 bits.
    const low: u64 = m << (64 + e);
    const high: u64 = m >> -e;
    if (!neg) {
      log2Of(X_INT + high, low, 0);
      return;
    }
    const n: i32 = wNorm(X_INT - high - u64(low != 0), 0 - low);
    log2Of(wHi, wLo, -n);
    return;
  }
  wShr(X_INT, 0, e);
  const sum: u64 = m + wHi;
  if (sum < m) log2Of(X_INT | (sum >> 1), (sum << 63) | (wLo >> 1), e + 1);
  else log2Of(sum, wLo, e);
}

/** log2(1 + x) for 0 < |x| < 1/4, |x| = m * 2^(e - 63), to full relative precision: z = |x| / (2 + x). */
function log2Near(m: u64, e: i32, neg: bool): void {
  let dh: u64;
  let dl: u64;
  if (neg) {
    // The divisor over 2, just below 1; it must not become 1 itself.
    wShr(m, 0, -e);
    dl = 0 - wLo;
    dh = 0 - wHi - u64(dl != 0);
    if ((dh | dl) == 0) dh = dl = u64.MAX_VALUE;
  } else {
    // The divisor over 4, just above 1/2.
    wShr(m, 0, 1 - e);
    dh = X_INT | wHi;
    dl = wLo;
  }
  wDiv(m >> 1, m << 63, dh, dl);
  log2Ratio(e + i32(neg) - wNorm(wHi, wLo));
  logExact = false;
  logNeg = neg;
}
