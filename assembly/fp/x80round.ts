/**
 * Rounding, packing and NaN selection for the 80-bit format (SDM vol. 1, 4.2, 4.8 and chapter 8).
 *
 * A value travels as two words: the 64-bit significand with explicit integer bit, and sign/exponent (bit 15 sign,
 * 14:0 exponent, bias 16383), always zero-extended. An operation takes (am, ae, bm, be, fcw), returns the
 * significand and leaves sign/exponent in `fxSe`: one value on the Wasm stack and one global store.
 */

import { FCW_PC, FCW_RC, FCW_RC_DOWN, FCW_RC_UP, FCW_RC_ZERO, FP_C1, FP_DE, FP_IE, FP_OE, FP_PE, FP_UE } from "./flags";
import { fpFlags, fxSe } from "./flags";
import { shiftRightJam128, u128Lo } from "./u128";

export const X_INT: u64 = 0x8000000000000000;
export const X_QUIET: u64 = 0x4000000000000000;
/** Exponent adjustment of an unmasked overflow or underflow (SDM vol. 1, 8.5.4 and 8.5.5). */
export const X_WRAP: i32 = 24576;

/** Finite, non-zero and normal: the operands the fast paths take. */
// @ts-ignore: decorator
@inline
export function isNormalX(m: u64, se: u32): bool {
  return i64(m) < 0 && (se & 0x7fff) - 1 < 0x7ffe;
}

/** Unnormal, pseudo-infinity or pseudo-NaN: formats the 387 and later refuse (SDM vol. 1, 8.2.2). */
// @ts-ignore: decorator
@inline
export function isUnsupportedX(m: u64, se: u32): bool {
  return (se & 0x7fff) != 0 && i64(m) >= 0;
}

// @ts-ignore: decorator
@inline
export function isNanX(m: u64, se: u32): bool {
  return (se & 0x7fff) == 0x7fff && m << 1 != 0;
}

/** A signaling NaN: quiet bit clear. */
// @ts-ignore: decorator
@inline
export function isSnanX(m: u64, se: u32): bool {
  return (se & 0x7fff) == 0x7fff && (m & X_QUIET) == 0 && m << 1 != 0;
}

/** Denormal or pseudo-denormal. */
// @ts-ignore: decorator
@inline
export function isDenormalX(m: u64, se: u32): bool {
  return (se & 0x7fff) == 0 && m != 0;
}

/** Raises IE and returns the real indefinite. */
export function invalidX(): u64 {
  fpFlags |= FP_IE;
  fxSe = 0xffff;
  return 0xc000000000000000;
}

/** Raises DE; true when it is unmasked and the operation must stop. */
// @ts-ignore: decorator
@inline
export function denormalStops(fcw: u32): bool {
  fpFlags |= FP_DE;
  return (fcw & FP_DE) == 0;
}

/** True when the pair holds a NaN or an unsupported format, so that nanResultX decides. */
// @ts-ignore: decorator
@inline
export function isBadPairX(am: u64, ae: u32, bm: u64, be: u32): bool {
  return isUnsupportedX(am, ae) || isUnsupportedX(bm, be) || isNanX(am, ae) || isNanX(bm, be);
}

/** The result for a pair with a NaN or an unsupported operand (SDM vol. 1, table 4-7, x87 column). */
export function nanResultX(am: u64, ae: u32, bm: u64, be: u32): u64 {
  if (isUnsupportedX(am, ae) || isUnsupportedX(bm, be)) return invalidX();
  const sa = isSnanX(am, ae);
  const sb = isSnanX(bm, be);
  if (sa || sb) fpFlags |= FP_IE;
  let useA: bool;
  if (!isNanX(bm, be)) {
    useA = true;
  } else if (!isNanX(am, ae)) {
    useA = false;
  } else if (sa != sb) {
    useA = sb;
  } else {
    // Both of a kind: the larger significand, then the positive one.
    useA = am == bm ? ae < be : am > bm;
  }
  fxSe = useA ? ae : be;
  return (useA ? am : bm) | X_QUIET;
}

/** A single NaN operand. */
export function quietX(m: u64, se: u32): u64 {
  if ((m & X_QUIET) == 0) fpFlags |= FP_IE;
  fxSe = se;
  return m | X_QUIET;
}

/** True when a discarded fraction (`rem`, 2^64 = one unit in the last place) rounds the magnitude up. */
// @ts-ignore: decorator
@inline
function roundsUp(rc: u32, sign: u32, rem: u64, odd: bool): bool {
  if (rc == 0) return rem > X_INT || (rem == X_INT && odd);
  return rem != 0 && rc == (sign != 0 ? FCW_RC_DOWN : FCW_RC_UP);
}

/**
 * Rounds sig.extra * 2^(exp - 16446) to the precision of `fcw` and packs it. sig has bit 63 set; `extra` is the
 * fraction below its last bit (jammed: any lower bits are ORed into bit 0); sign is 0 or 0x8000; exp may lie out of
 * range. Masked overflow and underflow give the SDM's default results, unmasked ones the exponent wrapped by 24576.
 */
export function roundPackX(sign: u32, exp: i32, sig: u64, extra: u64, fcw: u32): u64 {
  return roundInline(sign, exp, sig, extra, fcw);
}

/** roundPackX where a call would count. */
// @ts-ignore: decorator
@inline
export function roundInline(sign: u32, exp: i32, sig: u64, extra: u64, fcw: u32): u64 {
  if ((fcw & (FCW_RC | FCW_PC)) == FCW_PC && u32(exp - 1) < 0x7ffd) {
    // Above one half, or one half and odd: no branch, since no predictor could know.
    const up: u64 = (extra >> 63) & (u64(extra << 1 != 0) | sig);
    fpFlags |= (u32(extra != 0) << ctz(FP_PE)) | (u32(up) << ctz(FP_C1));
    sig += up;
    if (sig == 0) {
      sig = X_INT;
      exp++;
    }
    fxSe = sign | u32(exp);
    return sig;
  }
  return roundPackSlow(sign, exp, sig, extra, fcw);
}

function roundPackSlow(sign: u32, exp: i32, sig: u64, extra: u64, fcw: u32): u64 {
  const rc: u32 = fcw & FCW_RC;
  const pc: u32 = fcw & FCW_PC;
  const drop: u64 = pc == 0 ? 40 : pc == 0x200 ? 11 : 0;
  const ulp: u64 = (1 as u64) << drop;
  let base: u64 = sig & ~(ulp - 1);
  let rem: u64 = drop != 0 ? (sig << (64 - drop)) | u64(extra != 0) : extra;
  let up = roundsUp(rc, sign, rem, (base & ulp) != 0);

  if (exp <= 0) {
    // Tiny after rounding: not when rounding with unbounded exponent would reach the smallest normal.
    const tiny = exp < 0 || !(up && base + ulp == 0);
    if (tiny && (fcw & FP_UE) == 0) {
      fpFlags |= FP_UE;
      exp += X_WRAP;
      if (exp <= 0) {
        // Too small even so (FSCALE): zero, whatever RC says.
        fpFlags |= FP_PE;
        fxSe = sign;
        return 0;
      }
    } else {
      const hi: u64 = shiftRightJam128(sig, extra, 1 - exp);
      base = hi & ~(ulp - 1);
      rem = drop != 0 ? (hi << (64 - drop)) | u64(u128Lo != 0) : u128Lo;
      up = roundsUp(rc, sign, rem, (base & ulp) != 0);
      if (rem != 0) fpFlags |= tiny ? FP_PE | FP_UE : FP_PE;
      if (up) {
        fpFlags |= FP_C1;
        base += ulp;
      }
      fxSe = sign | u32(base >> 63);
      return base;
    }
  }

  let carried: u64 = base;
  let packed: i32 = exp;
  if (up) {
    carried += ulp;
    if (carried == 0) {
      carried = X_INT;
      packed++;
    }
  }
  if (packed >= 0x7fff) {
    fpFlags |= FP_OE;
    const wrapped = (fcw & FP_OE) == 0;
    if (!wrapped || packed - X_WRAP >= 0x7fff) {
      fpFlags |= FP_PE;
      // Too large for the wrapped exponent (FSCALE) it is infinity, whatever RC says.
      if (!wrapped && (rc == FCW_RC_ZERO || rc == (sign != 0 ? FCW_RC_UP : FCW_RC_DOWN))) {
        fxSe = sign | 0x7ffe;
        return ~(ulp - 1);
      }
      fpFlags |= FP_C1;
      fxSe = sign | 0x7fff;
      return X_INT;
    }
    packed -= X_WRAP;
  }
  if (rem != 0) fpFlags |= FP_PE;
  if (up) fpFlags |= FP_C1;
  fxSe = sign | u32(packed);
  return carried;
}

/** Packs an exact result whose significand may need normalizing (m may be 0: a zero of that sign). */
export function normPackX(sign: u32, exp: i32, m: u64, fcw: u32): u64 {
  if (m == 0) {
    fxSe = sign;
    return 0;
  }
  const n: i32 = i32(clz(m));
  return roundPackX(sign, exp - n, m << n, 0, fcw);
}
