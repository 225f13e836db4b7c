/**
 * Arithmetic and comparison by the instruction's /reg field, with a register, m32, m64 or integer source.
 *
 * op: 0 FADD, 1 FMUL, 4 FSUB, 5 FSUBR, 6 FDIV, 7 FDIVR (2 and 3 are the comparisons, which have their own functions).
 * a is the destination, b the source: FSUB a - b, FSUBR b - a. A memory source keeps its own format's meaning: a
 * signaling NaN stays one for the choice of the result, and an m32 or m64 denormal raises DE though its 80-bit value
 * is normal. These functions expect `fpFlags` cleared before the call.
 */

import { FP_DE, FP_IE, FP_ZE, fpFlags, fxSe } from "./flags";
import { fxAdd, fxDiv, fxMul, fxSub } from "./x80arith";
import { fxCompare } from "./x80misc";
import { X_INT, isNanX } from "./x80round";

/** Register source. An integer source is fxFromI64's value. */
export function fxArith(op: u32, am: u64, ae: u32, bm: u64, be: u32, fcw: u32): u64 {
  switch (op) {
    case 0:
      return fxAdd(am, ae, bm, be, fcw);
    case 1:
      return fxMul(am, ae, bm, be, fcw);
    case 4:
      return fxSub(am, ae, bm, be, fcw);
    case 5:
      return fxSub(bm, be, am, ae, fcw);
    case 6:
      return fxDiv(am, ae, bm, be, fcw);
    default:
      return fxDiv(bm, be, am, ae, fcw);
  }
}

export function fxArithF32(op: u32, am: u64, ae: u32, v: u32, fcw: u32): u64 {
  const bm: u64 = widen32(v);
  const be: u32 = fxSe;
  const r: u64 = fxArith(op, am, ae, bm, be, fcw);
  if ((v & 0x7f800000) == 0 && v << 1 != 0) sourceDenormal(am, ae, fcw);
  return r;
}

export function fxArithF64(op: u32, am: u64, ae: u32, v: u64, fcw: u32): u64 {
  const bm: u64 = widen64(v);
  const be: u32 = fxSe;
  const r: u64 = fxArith(op, am, ae, bm, be, fcw);
  if ((v & 0x7ff0000000000000) == 0 && v << 1 != 0) sourceDenormal(am, ae, fcw);
  return r;
}

/** FCOM m32. */
export function fxCompareF32(am: u64, ae: u32, v: u32): u32 {
  const bm: u64 = widen32(v);
  const r: u32 = fxCompare(am, ae, bm, fxSe, false);
  if ((v & 0x7f800000) == 0 && v << 1 != 0 && (fpFlags & FP_IE) == 0) fpFlags |= FP_DE;
  return r;
}

/** FCOM m64. */
export function fxCompareF64(am: u64, ae: u32, v: u64): u32 {
  const bm: u64 = widen64(v);
  const r: u32 = fxCompare(am, ae, bm, fxSe, false);
  if ((v & 0x7ff0000000000000) == 0 && v << 1 != 0 && (fpFlags & FP_IE) == 0) fpFlags |= FP_DE;
  return r;
}

/** DE of a denormal memory source, after the operation: lower in priority than IE, ZE and a NaN, above OE, UE, PE. */
function sourceDenormal(am: u64, ae: u32, fcw: u32): void {
  if ((fpFlags & (FP_IE | FP_ZE)) != 0 || isNanX(am, ae)) return;
  fpFlags = (fcw & FP_DE) != 0 ? fpFlags | FP_DE : FP_DE;
}

/** The exact 80-bit value without raising anything; a signaling NaN keeps its quiet bit clear. */
function widen32(v: u32): u64 {
  return widen((v >> 16) & 0x8000, (v >> 23) & 0xff, 0xff, (v as u64) << 41 >> 1, 0x3f80);
}

function widen64(v: u64): u64 {
  return widen(u32(v >> 48) & 0x8000, u32(v >> 52) & 0x7ff, 0x7ff, (v << 12) >> 1, 0x3c00);
}

// @ts-ignore: decorator
@inline
function widen(sign: u32, exp: u32, top: u32, frac: u64, rebias: u32): u64 {
  if (exp == 0) {
    if (frac == 0) {
      fxSe = sign;
      return 0;
    }
    const n: u32 = u32(clz(frac));
    fxSe = sign | (rebias + 1 - n);
    return frac << n;
  }
  fxSe = sign | (exp == top ? 0x7fff : exp + rebias);
  return X_INT | frac;
}
