/** Conversions between binary16 and binary32 with MXCSR semantics (SDM vol. 1, 14.4; VCVTPH2PS, VCVTPS2PH). */

import { FP_IE, FP_PE, FP_UE, MXCSR_FTZ, MXCSR_RC, MXCSR_UM, fpFlags } from "./flags";
import { packFloat } from "./pack";
import { F64_INF, isNan64, load32, normExp, normSig, sseDenormalStops, sseNan } from "./sse";

/** VCVTPH2PS: exact. A denormal counts as the number it is, whatever MXCSR says, and raises nothing. */
export function f16ToF32(v: u32): u32 {
  const sign: u32 = (v & 0x8000) << 16;
  const exp: u32 = (v >> 10) & 31;
  let frac: u32 = (v & 0x3ff) << 13;
  if (exp == 31) {
    if (frac != 0 && (frac & 0x400000) == 0) {
      fpFlags |= FP_IE;
      frac |= 0x400000;
    }
    return sign | 0x7f800000 | frac;
  }
  if (exp != 0) return sign | ((exp + 112) << 23) | frac;
  if (frac == 0) return sign;
  const n: u32 = clz(frac) - 8;
  return sign | ((113 - n) << 23) | ((frac << n) & 0x7fffff);
}

/** VCVTPS2PH with rounding mode rc (as MXCSR.RC has it, 0-3). Results are denormal whatever MXCSR.FTZ says. */
export function f32ToF16(v: u32, rc: u32, mxcsr: u32): u32 {
  const a: u64 = load32(v, mxcsr, true);
  const sign: u32 = (v >> 16) & 0x8000;
  if (isNan64(a)) return sign | 0x7c00 | ((u32(sseNan(a, a, 32)) >> 13) & 0x3ff);
  if (sseDenormalStops(mxcsr)) return 0;
  if (a << 1 == 0) return sign;
  if (a << 1 == F64_INF << 1) return sign | 0x7c00;
  const ctl: u32 = (mxcsr & ~(MXCSR_RC | MXCSR_FTZ)) | (rc << 13);
  const r: u32 = u32(packFloat(u32(a >> 63), normExp(a), normSig(a), ctl, 16));
  // With an unmasked underflow a denormal counts as inexact even where a result of any exponent would be exact.
  if ((ctl & MXCSR_UM) == 0 && (fpFlags & FP_UE) != 0 && (v & 0x7f800000) == 0) fpFlags |= FP_PE;
  return r;
}
