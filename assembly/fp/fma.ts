/** Fused multiply-add on raw bit patterns with MXCSR semantics: a * b + c rounded once (SDM vol. 2, VFMADD*). */

import { MXCSR_RC, MXCSR_RC_DOWN, FP_IE, fpFlags } from "./flags";
import { packFloat } from "./pack";
import {
  F64_INF,
  F64_QUIET,
  F64_SIGN,
  isNan64,
  isSnan64,
  load32,
  load64,
  narrow,
  normExp,
  normSig,
  sseDenormalStops,
  sseInvalid,
} from "./sse";
import { mulHi, shiftRightJam128, u128Lo } from "./u128";

/** a * b + c of loaded operands. A NaN operand is taken in the order a, b, c. */
function fmaCore(a: u64, b: u64, c: u64, mxcsr: u32, width: i32): u64 {
  const infAB = a << 1 == F64_INF << 1 || b << 1 == F64_INF << 1;
  const zeroAB = a << 1 == 0 || b << 1 == 0;
  if (isNan64(a) || isNan64(b) || isNan64(c)) {
    if (isSnan64(a) || isSnan64(b) || isSnan64(c)) fpFlags |= FP_IE;
    return narrow((isNan64(a) ? a : isNan64(b) ? b : c) | F64_QUIET, width);
  }
  if (infAB && zeroAB) return sseInvalid(width);
  const sign: u64 = (a ^ b) & F64_SIGN;
  const infC = c << 1 == F64_INF << 1;
  if (infAB && infC && sign != (c & F64_SIGN)) return sseInvalid(width);
  if (sseDenormalStops(mxcsr)) return 0;
  if (infAB) return narrow(sign | F64_INF, width);
  if (infC) return narrow(c, width);
  const cancelled: u64 = (mxcsr & MXCSR_RC) == MXCSR_RC_DOWN ? F64_SIGN : 0;
  const zeroC = c << 1 == 0;
  if (zeroAB) {
    if (zeroC) return narrow(sign == (c & F64_SIGN) ? sign : cancelled, width);
    return packFloat(u32(c >> 63), normExp(c), normSig(c), mxcsr, width);
  }
  // The product to 128 bits, bit 126 or 127 set; two places of headroom come from taking both terms down one.
  const ma: u64 = normSig(a);
  const mb: u64 = normSig(b);
  let hi: u64 = mulHi(ma, mb);
  let lo: u64 = ma * mb;
  let exp: i32 = normExp(a) + normExp(b) + 1;
  if (i64(hi) >= 0) {
    hi = (hi << 1) | (lo >> 63);
    lo <<= 1;
    exp--;
  }
  let resultSign: u64 = sign;
  if (!zeroC) {
    // Both significands end in at least 22 zeros, so the place given up for the carry costs nothing.
    let ph: u64 = hi >> 1;
    let pl: u64 = (lo >> 1) | (hi << 63);
    let ch: u64 = normSig(c) >> 1;
    let cl: u64 = 0;
    const d: i32 = exp - normExp(c);
    if (d > 0) {
      ch = shiftRightJam128(ch, 0, d);
      cl = u128Lo;
    } else if (d < 0) {
      ph = shiftRightJam128(ph, pl, -d);
      pl = u128Lo;
      exp -= d;
    }
    if (sign == (c & F64_SIGN)) {
      lo = pl + cl;
      hi = ph + ch + u64(lo < pl);
    } else {
      if (ph < ch || (ph == ch && pl < cl)) {
        const th = ph;
        ph = ch;
        ch = th;
        const tl = pl;
        pl = cl;
        cl = tl;
        resultSign ^= F64_SIGN;
      }
      lo = pl - cl;
      hi = ph - ch - u64(pl < cl);
      if ((hi | lo) == 0) return narrow(cancelled, width);
    }
    exp++;
    if (hi == 0) {
      hi = lo;
      lo = 0;
      exp -= 64;
    }
    const n: i32 = i32(clz(hi));
    if (n != 0) {
      hi = (hi << n) | (lo >> (64 - n));
      lo <<= n;
      exp -= n;
    }
  }
  return packFloat(u32(resultSign >> 63), exp, hi | u64(lo != 0), mxcsr, width);
}

/** a * b + c. The negated forms flip the signs of non-NaN operands; see fmaSign64. */
export function f64Fma(a: u64, b: u64, c: u64, mxcsr: u32): u64 {
  return fmaCore(load64(a, mxcsr, true), load64(b, mxcsr, false), load64(c, mxcsr, false), mxcsr, 64);
}

/** a * b + c. */
export function f32Fma(a: u32, b: u32, c: u32, mxcsr: u32): u32 {
  return u32(fmaCore(load32(a, mxcsr, true), load32(b, mxcsr, false), load32(c, mxcsr, false), mxcsr, 32));
}

/** v negated unless it is a NaN, for VFMSUB (the addend), VFNMADD (a factor) and VFNMSUB (both). */
export function fmaSign64(v: u64): u64 {
  return isNan64(v) ? v : v ^ F64_SIGN;
}

/** As fmaSign64. */
export function fmaSign32(v: u32): u32 {
  return v << 1 > 0xff000000 ? v : v ^ 0x80000000;
}
