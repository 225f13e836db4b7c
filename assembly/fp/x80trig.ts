/**
 * FSIN, FCOS, FSINCOS, FPTAN and FPATAN (SDM vol. 2; vol. 1, 8.3.8 and 8.3.9). The argument is reduced exactly modulo
 * the 66-bit pi of Intel's processors; the rest is computed to over 100 bits and rounded once by RC. PC has no effect.
 */

import { FCW_PC, FP_C1, FP_C2, FP_PE, FP_UE, fpFlags, fxMant2, fxSe, fxSe2 } from "./flags";
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

/** pi/2 * 2^65 for the 66-bit pi. */
const PIO2_HI: u64 = 3;
const PIO2_LO: u64 = 0x243f6a8885a308d3;

/** The reduced argument: magnitude rHi:rLo * 2^(rExp - 128), normalized, its sign, and the quadrant. */
let rHi: u64 = 0;
let rLo: u64 = 0;
let rExp: i32 = 0;
let rNeg: bool = false;
let quadrant: u32 = 0;

/**
 * Reduces |a| (m normalized, value m * 2^(e - 63), e < 63) to [-pi/4, pi/4]. The remainder is never 0: an odd 66-bit
 * number has no multiple of 64 bits times a power of two.
 */
function reduce(m: u64, e: i32): void {
  quadrant = 0;
  rNeg = false;
  if (e < -1 || (e == -1 && m <= 0xc90fdaa22168c234)) {
    rHi = m;
    rLo = 0;
    rExp = e + 1;
    return;
  }
  // Long division in units of 2^-65: a is m << (e + 2).
  let hi: u64 = 0;
  let lo: u64 = m;
  let q: u32 = 0;
  for (let i: i32 = e + 2; i > 0; i--) {
    hi = (hi << 1) | (lo >> 63);
    lo <<= 1;
    q <<= 1;
    if (hi > PIO2_HI || (hi == PIO2_HI && lo >= PIO2_LO)) {
      hi -= PIO2_HI + u64(lo < PIO2_LO);
      lo -= PIO2_LO;
      q |= 1;
    }
  }
  // Past pi/4: the distance to the next quadrant.
  if (hi > 1 || (hi == 1 && lo > 0x921fb54442d18469)) {
    const borrow: u64 = u64(PIO2_LO < lo);
    lo = PIO2_LO - lo;
    hi = PIO2_HI - hi - borrow;
    q++;
    rNeg = true;
  }
  quadrant = q & 3;
  const n: i32 = wNorm(hi, lo);
  rHi = wHi;
  rLo = wLo;
  rExp = 63 - n;
}

/** 1 - r2/(k(k+1)) (1 - r2/((k+2)(k+3)) ...) as a unit, r2 the square of the reduced argument: k = 1 cos, 2 sin / r. */
function series(k: i64): void {
  wShr(rHi, rLo, -rExp);
  wMul(wHi, wLo, wHi, wLo);
  const sh: u64 = wHi;
  const sl: u64 = wLo;
  let th: u64 = W_ONE;
  let tl: u64 = 0;
  for (let j: i64 = k + 28; j >= k; j -= 2) {
    wMul(sh, sl, th, tl);
    wDivSmall(wHi, wLo, u64(j * (j + 1)));
    wOneWith(wHi, wLo, true);
    th = wHi;
    tl = wLo;
  }
}

/** Sine of the reduced argument's magnitude: wHi:wLo normalized, returns its exponent. */
function sinReduced(): i32 {
  series(2);
  wMul(rHi, rLo, wHi, wLo);
  return rExp + 1 - wNorm(wHi, wLo);
}

/** Cosine of the reduced argument: as sinReduced. */
function cosReduced(): i32 {
  series(1);
  return 1 - wNorm(wHi, wLo);
}

/** Rounds wHi:wLo * 2^(e - 128) as an inexact result. */
// @ts-ignore: decorator
@inline
function finish(neg: bool, e: i32, fcw: u32): u64 {
  return roundPackX(neg ? 0x8000 : 0, e + 0x3ffe, wHi, wLo | 1, fcw | FCW_PC);
}

/** Sine (q even) or cosine (q odd) of the reduced argument, negated by bit 1 of q. */
function sinOrCos(q: u32, neg: bool, fcw: u32): u64 {
  const flip = (q & 2) != 0;
  if ((q & 1) != 0) return finish(flip, cosReduced(), fcw);
  return finish(flip != (neg != rNeg), sinReduced(), fcw);
}

const GO: u32 = 0;
const DONE: u32 = 1;
/** So small that sine and tangent are the argument and the cosine is 1, by any RC, as on the processor. */
const TINY: u32 = 2;
const TINY_EXP: i32 = -40;

/** Settled by the common checks: the value of a NaN, unsupported, infinite or out-of-range argument. */
let early: u64 = 0;

/**
 * Checks common to the four: DONE with `early`, fxSe when the argument is not finite, beyond 2^63 (C2) or DE stops;
 * TINY; else GO with the reduced argument ready (except for a zero).
 */
function prepare(m: u64, se: u32, fcw: u32): u32 {
  if (isUnsupportedX(m, se)) {
    early = invalidX();
    return DONE;
  }
  if (isNanX(m, se)) {
    early = quietX(m, se);
    return DONE;
  }
  const exp: i32 = i32(se & 0x7fff);
  if (exp == 0x7fff) {
    early = invalidX();
    return DONE;
  }
  if (exp >= 0x403e) {
    fpFlags |= FP_C2;
    fxSe = se;
    early = m;
    return DONE;
  }
  if (m == 0) return GO;
  if (exp == 0 && denormalStops(fcw)) {
    early = 0;
    return DONE;
  }
  const n: i32 = i32(clz(m));
  const e: i32 = max<i32>(exp, 1) - n - 0x3fff;
  if (e < TINY_EXP) return TINY;
  reduce(m << n, e);
  return GO;
}

/** The argument itself, inexact. */
function tinyResult(m: u64, se: u32, fcw: u32): u64 {
  const n: i32 = i32(clz(m));
  fpFlags |= (se & 0x7fff) == 0 && n != 0 ? FP_PE | FP_UE : FP_PE;
  return roundPackX(se & 0x8000, max<i32>(se & 0x7fff, 1) - n, m << n, 0, fcw | FCW_PC);
}

/** FSIN. C2 = 1 and the operand unchanged when it is not below 2^63. */
export function fxSin(m: u64, se: u32, fcw: u32): u64 {
  const kind: u32 = prepare(m, se, fcw);
  if (kind == DONE) return early;
  if (kind == TINY) return tinyResult(m, se, fcw);
  if (m == 0) {
    fxSe = se;
    return 0;
  }
  const neg = se > 0x7fff;
  // sin(-x) = -sin x: the sign enters the cosine quadrants too.
  if ((quadrant & 1) != 0) return sinOrCos(quadrant ^ (neg ? 2 : 0), false, fcw);
  return sinOrCos(quadrant, neg, fcw);
}

/** FCOS, as fxSin. */
export function fxCos(m: u64, se: u32, fcw: u32): u64 {
  const kind: u32 = prepare(m, se, fcw);
  if (kind == DONE) return early;
  if (m == 0 || kind == TINY) {
    if (m != 0) fpFlags |= FP_PE;
    fxSe = 0x3fff;
    return X_INT;
  }
  // cos x = sin(x + pi/2) and cos is even.
  return sinOrCos((quadrant + 1) & 3, false, fcw);
}

/**
 * FSINCOS: returns the sine (the new ST(1)); the cosine (the new ST(0)) in `fxMant2`, `fxSe2`. C1 is the cosine's. With
 * C2 = 1 nothing is pushed.
 */
export function fxSincos(m: u64, se: u32, fcw: u32): u64 {
  const s: u64 = fxSin(m, se, fcw);
  const sinSe: u32 = fxSe;
  fpFlags &= ~FP_C1;
  fxMant2 = fxCos(m, se, fcw);
  fxSe2 = fxSe;
  fxSe = sinSe;
  return s;
}

/** FPTAN: returns the tangent (the new ST(1)); 1.0, or the NaN again, to push in `fxMant2`, `fxSe2`. */
export function fxPtan(m: u64, se: u32, fcw: u32): u64 {
  const kind: u32 = prepare(m, se, fcw);
  if (kind == DONE) {
    fxMant2 = early;
    fxSe2 = fxSe;
    return early;
  }
  fxMant2 = X_INT;
  fxSe2 = 0x3fff;
  if (m == 0) {
    fxSe = se;
    return 0;
  }
  if (kind == TINY) return tinyResult(m, se, fcw);
  const neg = se > 0x7fff;
  const sinE: i32 = sinReduced();
  const sh: u64 = wHi;
  const sl: u64 = wLo;
  const cosE: i32 = cosReduced();
  const odd = (quadrant & 1) != 0;
  // tan r, or -1/tan r in the odd quadrants.
  let nh: u64 = sh;
  let nl: u64 = sl;
  let dh: u64 = wHi;
  let dl: u64 = wLo;
  if (odd) {
    dh = sh;
    dl = sl;
    nh = wHi;
    nl = wLo;
  }
  wDiv(nh >> 1, (nh << 63) | (nl >> 1), dh, dl);
  const e: i32 = (odd ? cosE - sinE : sinE - cosE) + 1 - wNorm(wHi, wLo);
  return finish((neg != rNeg) != odd, e, fcw);
}

/** atan(k/8) as fractions, k = 1..8. */
const ATAN: StaticArray<u64> = [
  0x1fd5ba9aac2f6dc6, 0x5912f313e7d111df, 0x3eb6ebf25901bac5, 0x5b71e7bd7de885f9, 0x5bd86507937bc239,
  0xc55190916e7f2242, 0x76b19c1586ed3da2, 0xb7f222f65e1d4682, 0x8f005d5ef7f59f9b, 0x5c835e1665c43748,
  0xa4bc7d1934f70924, 0x19a87f2a457dac9f, 0xb8053e2bc2319e73, 0xcb2da55210a4443d, 0xc90fdaa22168c234,
  0xc4c6628b80dc1cd1,
];
/** pi/4 as a fraction. */
const PI_HI: u64 = 0xc90fdaa22168c234;
const PI_LO: u64 = 0xc4c6628b80dc1cd1;

/** atan of a normalized fraction wHi:wLo * 2^e (at most 1/16), to wHi:wLo normalized; returns its exponent. */
function atanSmall(e: i32): i32 {
  const zh: u64 = wHi;
  const zl: u64 = wLo;
  wShr(zh, zl, -e);
  wMul(wHi, wLo, wHi, wLo);
  const sh: u64 = wHi;
  const sl: u64 = wLo;
  let th: u64 = 0;
  let tl: u64 = 0;
  for (let k: u64 = 29; k >= 3; k -= 2) {
    wDivSmall(W_ONE, 0, k);
    const lo: u64 = wLo - tl;
    const hi: u64 = wHi - th - u64(wLo < tl);
    wMul(sh, sl, hi, lo);
    th = wHi;
    tl = wLo;
  }
  wOneWith(th, tl, true);
  wMul(zh, zl, wHi, wLo);
  return e + 1 - wNorm(wHi, wLo);
}

/** atan(n/d) for normalized significands with n <= d * 2^de at most 1: to wHi:wLo normalized; returns its exponent. */
function atanRatio(n: u64, d: u64, de: i32): i32 {
  // z = n/d * 2^de.
  wDiv(n >> 1, n << 63, d, 0);
  let e: i32 = de + 1 - wNorm(wHi, wLo);
  if (e < -3) return atanSmall(e);
  if (e > 0) {
    wHi = PI_HI;
    wLo = PI_LO;
    return 0;
  }
  // z near k/8: atan z = atan(k/8) + atan((8z - k) / (8 + kz)).
  wShr(wHi, wLo, -e);
  const zh: u64 = wHi;
  const zl: u64 = wLo;
  const k: u64 = ((zh >> 60) + 1) >> 1;
  // 8z - k and 8 + kz over 16.
  const ah: u64 = (zh >> 1) - (k << 60);
  const al: u64 = (zl >> 1) | (zh << 63);
  const minus = i64(ah) < 0;
  let th: u64 = ah;
  let tl: u64 = al;
  if (minus) {
    tl = 0 - al;
    th = 0 - ah - u64(al != 0);
  }
  const table: i32 = i32(k - 1) << 1;
  const bh: u64 = unchecked(ATAN[table]);
  const bl: u64 = unchecked(ATAN[table + 1]);
  if ((th | tl) == 0) {
    wHi = bh;
    wLo = bl;
    return -wNorm(wHi, wLo);
  }
  wMul(zh, zl, k << 60, 0);
  const dh: u64 = X_INT + wHi;
  const dl: u64 = wLo;
  const s: i32 = wNorm(th, tl);
  wDiv(wHi >> 1, (wHi << 63) | (wLo >> 1), dh, dl);
  const q: i32 = 1 - s - wNorm(wHi, wLo);
  e = atanSmall(q);
  wShr(wHi, wLo, -e);
  if (minus) {
    const borrow: u64 = u64(bl < wLo);
    wLo = bl - wLo;
    wHi = bh - wHi - borrow;
  } else {
    wLo += bl;
    wHi += bh + u64(wLo < bl);
  }
  return -wNorm(wHi, wLo);
}

/** A multiple of pi/4 with the sign of y: 4 pi, 2 pi/2, 1 pi/4, 3 3pi/4. */
function piMultiple(quarters: u32, sign: u32, fcw: u32): u64 {
  if (quarters == 3) {
    return roundPackX(sign, 0x4000, 0x96cbe3f9990e91a7, 0x9394c9e8a0a5159c, fcw | FCW_PC);
  }
  const e: i32 = quarters == 4 ? 0x4000 : quarters == 2 ? 0x3fff : 0x3ffe;
  return roundPackX(sign, e, PI_HI, PI_LO, fcw | FCW_PC);
}

/** FPATAN: the angle of the point (x = ST(0), y = ST(1)), with the sign of y. */
export function fxPatan(xm: u64, xe: u32, ym: u64, ye: u32, fcw: u32): u64 {
  if (isBadPairX(xm, xe, ym, ye)) return nanResultX(xm, xe, ym, ye);
  if ((isDenormalX(xm, xe) || isDenormalX(ym, ye)) && denormalStops(fcw)) return 0;
  const sign: u32 = ye & 0x8000;
  const left = xe > 0x7fff;
  const infX = (xe & 0x7fff) == 0x7fff;
  if ((ye & 0x7fff) == 0x7fff) return piMultiple(infX ? (left ? 3 : 1) : 2, sign, fcw);
  if (infX || ym == 0) {
    if (left) return piMultiple(4, sign, fcw);
    fxSe = sign;
    return 0;
  }
  if (xm == 0) return piMultiple(2, sign, fcw);
  const nx: i32 = i32(clz(xm));
  const ny: i32 = i32(clz(ym));
  xm <<= nx;
  ym <<= ny;
  const ex: i32 = max<i32>(xe & 0x7fff, 1) - nx;
  const ey: i32 = max<i32>(ye & 0x7fff, 1) - ny;
  // The angle to the nearer axis: |y|/|x|, or |x|/|y| measured from pi/2.
  const steep = ey > ex || (ey == ex && ym > xm);
  let e: i32 = steep ? atanRatio(xm, ym, ex - ey) : atanRatio(ym, xm, ey - ex);
  if (!steep && !left) return finish(sign != 0, e, fcw);
  // pi/2 -+ t or pi - t, over 4 as a fraction; a t too small to show still leans the result.
  wShr(wHi, wLo, 2 - e);
  wLo |= 1;
  const bh: u64 = steep ? PI_HI >> 1 : PI_HI;
  const bl: u64 = steep ? (PI_HI << 63) | (PI_LO >> 1) : PI_LO;
  if (steep && left) {
    wLo += bl;
    wHi += bh + u64(wLo < bl);
  } else {
    const borrow: u64 = u64(bl < wLo);
    wLo = bl - wLo;
    wHi = bh - wHi - borrow;
  }
  e = 2 - wNorm(wHi, wLo);
  return finish(sign != 0, e, fcw);
}
