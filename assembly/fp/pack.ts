/**
 * Rounding and packing to binary16, binary32 and binary64, shared by SSE, F16C and the x87 stores.
 *
 * `ctl` is an MXCSR image (RC, masks, FTZ). Tininess is detected after rounding. `width` is 16, 32 or 64; the result is
 * the bit pattern, zero-extended.
 */

import {
  FP_OE,
  FP_PE,
  FP_UE,
  MXCSR_FTZ,
  MXCSR_RC,
  MXCSR_RC_DOWN,
  MXCSR_RC_UP,
  MXCSR_RC_ZERO,
  MXCSR_UM,
  fpFlags,
} from "./flags";

/** The last packFloat rounded the magnitude up (x87's C1). */
export let packUp: bool = false;

/**
 * Rounds (-1)^sign * sig * 2^(exp - 63). sig has bit 63 set and its bit 0 is jammed with everything below; exp is
 * unbiased. After an unmasked OE or UE the value has no meaning for SSE and an x87 store (nothing is stored).
 */
export function packFloat(sign: u32, exp: i32, sig: u64, ctl: u32, width: i32): u64 {
  const frac: i32 = width == 64 ? 52 : width == 32 ? 23 : 10;
  const bias: i32 = width == 64 ? 1023 : width == 32 ? 127 : 15;
  const drop: i32 = 63 - frac;
  const half: u64 = (1 as u64) << (drop - 1);
  const mask: u64 = (half << 1) - 1;
  const rc: u32 = ctl & MXCSR_RC;
  const signBits: u64 = (sign as u64) << (width - 1);
  const inc: u64 = rc == 0 ? half : rc == (sign != 0 ? MXCSR_RC_DOWN : MXCSR_RC_UP) ? mask : 0;
  let e: i32 = exp + bias;
  packUp = false;

  if (e <= 0) {
    let tiny = true;
    if (e == 0) {
      // Round as if the exponent had no bound: a carry out of the significand reaches the smallest normal.
      const r: u64 = sig + inc;
      tiny = r >= sig;
    }
    if (tiny) {
      if ((ctl & MXCSR_UM) == 0) {
        fpFlags |= FP_UE;
        if ((sig & mask) != 0) fpFlags |= FP_PE;
        return 0;
      }
      if ((ctl & MXCSR_FTZ) != 0) {
        fpFlags |= FP_UE | FP_PE;
        return signBits;
      }
    }
    const n: i32 = 1 - e;
    sig = n > 63 ? 1 : (sig >> n) | u64(sig << (64 - n) != 0);
    const rem: u64 = sig & mask;
    if (rem != 0) fpFlags |= tiny ? FP_UE | FP_PE : FP_PE;
    return signBits | roundMantissa(sig, rem, half, inc, drop);
  }
  const rem: u64 = sig & mask;
  const body: u64 = roundMantissa(sig, rem, half, inc, drop);
  // The integer bit in `body` adds one to the exponent field, a carry adds another.
  const packed: u64 = (u64(e - 1) << frac) + body;
  const expMax: i32 = (bias << 1) + 1;
  if (e >= expMax || i32(packed >> frac) >= expMax) {
    const up = packUp;
    fpFlags |= FP_OE;
    if ((ctl & (FP_OE << 7)) == 0) {
      if (rem != 0) fpFlags |= FP_PE;
      return 0;
    }
    fpFlags |= FP_PE;
    const inf: u64 = u64(expMax) << frac;
    packUp = !(rc == MXCSR_RC_ZERO || rc == (sign != 0 ? MXCSR_RC_UP : MXCSR_RC_DOWN));
    return signBits | (packUp ? inf : inf - 1);
  }
  if (rem != 0) fpFlags |= FP_PE;
  return signBits | packed;
}

// @ts-ignore: decorator
@inline
function roundMantissa(sig: u64, rem: u64, half: u64, inc: u64, drop: i32): u64 {
  let r: u64 = sig >> drop;
  packUp = inc == half ? rem > half || (rem == half && (r & 1) != 0) : inc != 0 && rem != 0;
  return r + u64(packUp);
}
