/**
 * FADD, FSUB, FMUL, FDIV and FSQRT on the 80-bit format, with precision and rounding control of `fcw`
 * (SDM vol. 1, 8.3.5). Reversed forms are the same functions with the operands exchanged.
 */

import { FCW_RC, FCW_RC_DOWN, FP_ZE, fpFlags, fxSe } from "./flags";
import { isqrt128, mulHi, shiftRightJam128, u128Lo, u128Rem, udiv128 } from "./u128";
import {
  X_INT,
  denormalStops,
  invalidX,
  isBadPairX,
  isDenormalX,
  isNanX,
  isNormalX,
  isUnsupportedX,
  nanResultX,
  quietX,
  roundInline,
  roundPackX,
} from "./x80round";

/** a + b. */
// @ts-ignore: decorator
@inline
export function fxAdd(am: u64, ae: u32, bm: u64, be: u32, fcw: u32): u64 {
  if (isNormalX(am, ae) && isNormalX(bm, be)) return addNormal(am, ae, bm, be, fcw);
  return addSpecial(am, ae, bm, be, 0, fcw);
}

/** a - b. */
// @ts-ignore: decorator
@inline
export function fxSub(am: u64, ae: u32, bm: u64, be: u32, fcw: u32): u64 {
  if (isNormalX(am, ae) && isNormalX(bm, be)) return addNormal(am, ae, bm, be ^ 0x8000, fcw);
  return addSpecial(am, ae, bm, be, 0x8000, fcw);
}

// @ts-ignore: decorator
@inline
function addNormal(am: u64, ae: u32, bm: u64, be: u32, fcw: u32): u64 {
  return addFinite(ae & 0x8000, i32(ae & 0x7fff), am, be & 0x8000, i32(be & 0x7fff), bm, fcw);
}

/**
 * Sum of two finite non-zero values with normalized significands (an exponent may be 0 or less). Which is larger, whether
 * there is a carry and how a difference is normalized depends on data that no branch predictor knows: so without branches.
 */
// @ts-ignore: decorator
@inline
function addFinite(sa: u32, ea: i32, am: u64, sb: u32, eb: i32, bm: u64, fcw: u32): u64 {
  const minus: u64 = u64(sa != sb);
  const swap: u64 = 0 - (u64(ea < eb) | (u64(ea == eb) & u64(am < bm)));
  const m: u64 = (am ^ bm) & swap;
  am ^= m;
  bm ^= m;
  sa ^= (sa ^ sb) & u32(swap);
  const d: i32 = ea < eb ? eb - ea : ea - eb;
  ea = max<i32>(ea, eb);
  let extra: u64;
  if (d < 64) {
    extra = (bm << 1) << (63 - d);
    bm >>= d;
  } else {
    bm = shiftRightJam128(bm, 0, d);
    extra = u128Lo;
  }
  // bm:extra, negated for a difference.
  const flip: u64 = 0 - minus;
  let sum: u64 = am + (bm ^ flip) + (minus & u64(extra == 0));
  extra = (extra ^ flip) + minus;
  const carry: u64 = u64(sum < am) & (minus ^ 1);
  if (sum == 0 && carry == 0) {
    if (extra == 0) {
      fxSe = (fcw & FCW_RC) == FCW_RC_DOWN ? 0x8000 : 0;
      return 0;
    }
    sum = extra;
    extra = 0;
    ea -= 64;
  }
  const n: u64 = clz(sum) & (carry - 1);
  sum = (sum << n) | ((extra >> 1) >> (63 - n));
  extra <<= n;
  extra = ((sum & carry) << 63) | (extra >> carry) | (extra & carry);
  sum = (sum >> carry) | (carry << 63);
  return roundInline(sa, ea + i32(carry) - i32(n), sum, extra, fcw);
}

function addSpecial(am: u64, ae: u32, bm: u64, be: u32, flip: u32, fcw: u32): u64 {
  if (isBadPairX(am, ae, bm, be)) return nanResultX(am, ae, bm, be);
  be ^= flip;
  const infA = (ae & 0x7fff) == 0x7fff;
  const infB = (be & 0x7fff) == 0x7fff;
  if (infA && infB && ae != be) return invalidX();
  if ((isDenormalX(am, ae) || isDenormalX(bm, be)) && denormalStops(fcw)) return 0;
  if (infA || infB) {
    fxSe = infA ? ae : be;
    return X_INT;
  }
  if (am == 0 && bm == 0) {
    fxSe = ((ae ^ be) & 0x8000) == 0 ? ae : (fcw & FCW_RC) == FCW_RC_DOWN ? 0x8000 : 0;
    return 0;
  }
  const na: i32 = i32(clz(am));
  const nb: i32 = i32(clz(bm));
  const ea: i32 = max<i32>(ae & 0x7fff, 1) - na;
  const eb: i32 = max<i32>(be & 0x7fff, 1) - nb;
  // A zero operand: the other one is still rounded to the precision in force.
  if (am == 0) return roundPackX(be & 0x8000, eb, bm << nb, 0, fcw);
  if (bm == 0) return roundPackX(ae & 0x8000, ea, am << na, 0, fcw);
  return addFinite(ae & 0x8000, ea, am << na, be & 0x8000, eb, bm << nb, fcw);
}

/** a * b. */
// @ts-ignore: decorator
@inline
export function fxMul(am: u64, ae: u32, bm: u64, be: u32, fcw: u32): u64 {
  if (isNormalX(am, ae) && isNormalX(bm, be)) {
    return mulFinite((ae ^ be) & 0x8000, i32(ae & 0x7fff) + i32(be & 0x7fff) - 0x3ffe, am, bm, fcw);
  }
  return mulSpecial(am, ae, bm, be, fcw);
}

/** Product of two normalized significands. */
// @ts-ignore: decorator
@inline
function mulFinite(sign: u32, exp: i32, am: u64, bm: u64, fcw: u32): u64 {
  const hi: u64 = mulHi(am, bm);
  const lo: u64 = am * bm;
  // The product's upper bit is as good as random: no branch.
  const n: u64 = (hi >> 63) ^ 1;
  return roundInline(sign, exp - i32(n), (hi << n) | ((lo >> 63) & n), lo << n, fcw);
}

function mulSpecial(am: u64, ae: u32, bm: u64, be: u32, fcw: u32): u64 {
  if (isBadPairX(am, ae, bm, be)) return nanResultX(am, ae, bm, be);
  const sign: u32 = (ae ^ be) & 0x8000;
  const inf = (ae & 0x7fff) == 0x7fff || (be & 0x7fff) == 0x7fff;
  if (inf && (am == 0 || bm == 0)) return invalidX();
  if ((isDenormalX(am, ae) || isDenormalX(bm, be)) && denormalStops(fcw)) return 0;
  if (inf) {
    fxSe = sign | 0x7fff;
    return X_INT;
  }
  if (am == 0 || bm == 0) {
    fxSe = sign;
    return 0;
  }
  const na: i32 = i32(clz(am));
  const nb: i32 = i32(clz(bm));
  const exp: i32 = max<i32>(ae & 0x7fff, 1) - na + max<i32>(be & 0x7fff, 1) - nb - 0x3ffe;
  return mulFinite(sign, exp, am << na, bm << nb, fcw);
}

/** a / b. */
export function fxDiv(am: u64, ae: u32, bm: u64, be: u32, fcw: u32): u64 {
  const sign: u32 = (ae ^ be) & 0x8000;
  let exp: i32;
  if (isNormalX(am, ae) && isNormalX(bm, be)) {
    exp = i32(ae & 0x7fff) - i32(be & 0x7fff) + 0x3fff;
  } else {
    if (isBadPairX(am, ae, bm, be)) return nanResultX(am, ae, bm, be);
    const infA = (ae & 0x7fff) == 0x7fff;
    const infB = (be & 0x7fff) == 0x7fff;
    if (infA && infB) return invalidX();
    if (bm == 0 && !infA) {
      if (am == 0) return invalidX();
      fpFlags |= FP_ZE;
      fxSe = sign | 0x7fff;
      return X_INT;
    }
    if ((isDenormalX(am, ae) || isDenormalX(bm, be)) && denormalStops(fcw)) return 0;
    if (infA) {
      fxSe = sign | 0x7fff;
      return X_INT;
    }
    if (infB || am == 0) {
      fxSe = sign;
      return 0;
    }
    const na: i32 = i32(clz(am));
    const nb: i32 = i32(clz(bm));
    exp = max<i32>(ae & 0x7fff, 1) - na - max<i32>(be & 0x7fff, 1) + nb + 0x3fff;
    am <<= na;
    bm <<= nb;
  }
  let lo: u64 = 0;
  if (am >= bm) {
    lo = am << 63;
    am >>= 1;
  } else {
    exp--;
  }
  const q: u64 = udiv128(am, lo, bm);
  const rem: u64 = u128Rem;
  // Twice the remainder against the divisor says on which side of one half the fraction lies.
  const extra: u64 = rem == 0 ? 0 : rem > bm - rem ? X_INT | 1 : rem == bm - rem ? X_INT : 1;
  return roundPackX(sign, exp, q, extra, fcw);
}

/** Square root of a. */
export function fxSqrt(am: u64, ae: u32, fcw: u32): u64 {
  let exp: i32 = i32(ae & 0x7fff);
  if (!isNormalX(am, ae) || ae > 0x7fff) {
    if (isUnsupportedX(am, ae)) return invalidX();
    if (isNanX(am, ae)) return quietX(am, ae);
    if (am == 0) {
      fxSe = ae;
      return 0;
    }
    if (ae > 0x7fff) return invalidX();
    if (exp == 0x7fff) {
      fxSe = ae;
      return am;
    }
    if (denormalStops(fcw)) return 0;
    const n: i32 = i32(clz(am));
    am <<= n;
    exp = 1 - n;
  }
  // Root of sig * 2^(exp - 16383): an even unbiased exponent takes the significand one place down.
  const e: i32 = exp - 0x3fff;
  let lo: u64 = 0;
  if ((e & 1) == 0) {
    lo = am << 63;
    am >>= 1;
  }
  const s: u64 = isqrt128(am, lo);
  const extra: u64 = u128Rem == 0 ? 0 : u128Rem == 1 ? 1 : X_INT | 1;
  return roundPackX(0, (e >> 1) + 0x3fff, s, extra, fcw);
}
