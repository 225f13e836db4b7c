/** Instructions on ST(0), or ST(0) and ST(1): sign, root, rounding, scaling, remainders and the transcendental ones. */
import { Vcpu } from "../gen/layout";
import { FP_C1, FP_C2, FP_DE, FP_IE, FP_ZE, fpFlags, fxMant2, fxSe, fxSe2 } from "../fp/flags";
import { fxSqrt } from "../fp/x80arith";
import { fx2xm1, fxYl2x, fxYl2xp1 } from "../fp/x80exp";
import { fxExtract, fxRem, fxRemCc, fxRndint, fxScale } from "../fp/x80misc";
import { fxCos, fxPatan, fxPtan, fxSin, fxSincos } from "../fp/x80trig";
import {
  FSW_EXCEPTIONS, finish, isEmpty, mant, moveTop, overflow, pop, put, putIndefinite, ready, sexp, st, stackFault,
  underflow, unmasked,
} from "./state";

/** FCHS and FABS raise nothing but stack underflow. */
export function fchs(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  if (isEmpty(c, 0)) return underflow(c, u, 0);
  const p = st(c, 0);
  store<u16>(p, <u16>(sexp(p) ^ 0x8000), 8);
  return finish(c, u, 0, FP_C1);
}

export function fabs(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  if (isEmpty(c, 0)) return underflow(c, u, 0);
  const p = st(c, 0);
  store<u16>(p, <u16>(sexp(p) & 0x7fff), 8);
  return finish(c, u, 0, FP_C1);
}

type Unary = (m: u64, se: u32, fcw: u32) => u64;
type Binary = (am: u64, ae: u32, bm: u64, be: u32, fcw: u32) => u64;

/** Stack underflow of an instruction that tells in C2 whether it is complete. Returns true. */
function incomplete(c: Vcpu, u: usize): bool {
  c.fsw &= <u16>~FP_C2;
  return underflow(c, u, 0);
}

/** ST(0) = f(ST(0)); `defined` are the condition codes it writes. */
@inline function unary(c: Vcpu, u: usize, f: Unary, defined: u32): bool {
  if (!ready(c)) return false;
  if (isEmpty(c, 0)) return defined & FP_C2 ? incomplete(c, u) : underflow(c, u, 0);
  const p = st(c, 0);
  fpFlags = 0;
  const m = f(mant(p), sexp(p), c.fcw);
  if (!unmasked(c, FP_IE | FP_DE | FP_ZE)) put(c, 0, m, fxSe);
  return finish(c, u, fpFlags, defined);
}

export function fsqrt(c: Vcpu, u: usize): bool { return unary(c, u, fxSqrt, FP_C1); }
export function frndint(c: Vcpu, u: usize): bool { return unary(c, u, fxRndint, FP_C1); }
export function f2xm1(c: Vcpu, u: usize): bool { return unary(c, u, fx2xm1, FP_C1); }
export function fsin(c: Vcpu, u: usize): bool { return unary(c, u, fxSin, FP_C1 | FP_C2); }
export function fcos(c: Vcpu, u: usize): bool { return unary(c, u, fxCos, FP_C1 | FP_C2); }

export function fscale(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  if (isEmpty(c, 0) || isEmpty(c, 1)) return underflow(c, u, 0);
  const a = st(c, 0), b = st(c, 1);
  fpFlags = 0;
  const m = fxScale(mant(a), sexp(a), mant(b), sexp(b), c.fcw);
  if (!unmasked(c, FP_IE | FP_DE | FP_ZE)) put(c, 0, m, fxSe);
  return finish(c, u, fpFlags, FP_C1);
}

function remainder(c: Vcpu, u: usize, nearest: bool): bool {
  if (!ready(c)) return false;
  if (isEmpty(c, 0) || isEmpty(c, 1)) return incomplete(c, u);
  const a = st(c, 0), b = st(c, 1);
  fpFlags = 0;
  const m = fxRem(mant(a), sexp(a), mant(b), sexp(b), nearest, c.fcw);
  if (!unmasked(c, FP_IE | FP_DE | FP_ZE)) put(c, 0, m, fxSe);
  return finish(c, u, fpFlags & (FSW_EXCEPTIONS | fxRemCc), fxRemCc);
}

export function fprem(c: Vcpu, u: usize): bool { return remainder(c, u, false); }
export function fprem1(c: Vcpu, u: usize): bool { return remainder(c, u, true); }

/** ST(1) = f(ST(0), ST(1)), then a pop. */
@inline function binary(c: Vcpu, u: usize, f: Binary): bool {
  if (!ready(c)) return false;
  if (isEmpty(c, 0) || isEmpty(c, 1)) {
    underflow(c, u, 1);
    if (c.fcw & FP_IE) pop(c);
    return true;
  }
  const x = st(c, 0), y = st(c, 1);
  fpFlags = 0;
  const m = f(mant(x), sexp(x), mant(y), sexp(y), c.fcw);
  if (!unmasked(c, FP_IE | FP_DE | FP_ZE)) {
    put(c, 1, m, fxSe);
    pop(c);
  }
  return finish(c, u, fpFlags, FP_C1);
}

export function fyl2x(c: Vcpu, u: usize): bool { return binary(c, u, fxYl2x); }
export function fyl2xp1(c: Vcpu, u: usize): bool { return binary(c, u, fxYl2xp1); }
export function fpatan(c: Vcpu, u: usize): bool { return binary(c, u, fxPatan); }

/**
 * Two results for ST(0): one replaces it and the other is pushed. The one that f returns is pushed if `exponentFirst`
 * (FXTRACT), else the one in fxMant2. With C2 = 1 (out of range) the registers stay.
 */
@inline function pushing(c: Vcpu, u: usize, f: Unary, exponentFirst: bool, defined: u32): bool {
  if (!ready(c)) return false;
  if (isEmpty(c, 0)) return pushIndefinites(c, u, 0, defined);
  if (!isEmpty(c, 7)) return pushIndefinites(c, u, FP_C1, defined);
  const p = st(c, 0);
  fpFlags = 0;
  const m = f(mant(p), sexp(p), c.fcw), se = fxSe;
  if (!unmasked(c, FP_IE | FP_DE | FP_ZE) && !(fpFlags & FP_C2)) {
    if (exponentFirst) {
      put(c, 0, fxMant2, fxSe2);
      moveTop(c, 7);
      put(c, 0, m, se);
    } else {
      put(c, 0, m, se);
      moveTop(c, 7);
      put(c, 0, fxMant2, fxSe2);
    }
  }
  return finish(c, u, fpFlags, defined);
}

/** No operand, or no room for the second result: if that is masked, both are the indefinite. */
function pushIndefinites(c: Vcpu, u: usize, c1: u32, defined: u32): bool {
  c.fsw &= <u16>~defined;
  if (c.fcw & FP_IE) {
    putIndefinite(c, 0);
    moveTop(c, 7);
    putIndefinite(c, 0);
  }
  stackFault(c, u, c1);
  return true;
}

export function fxtract(c: Vcpu, u: usize): bool { return pushing(c, u, fxExtract, true, FP_C1); }
export function fsincos(c: Vcpu, u: usize): bool { return pushing(c, u, fxSincos, false, FP_C1 | FP_C2); }
export function fptan(c: Vcpu, u: usize): bool { return pushing(c, u, fxPtan, false, FP_C1 | FP_C2); }
