/** FLD, FILD, FBLD, the constants, FXCH and FCMOVcc. A full stack is found before anything about a value. */
import { Vcpu } from "../gen/layout";
import { condition } from "../sem/flags";
import { uD, uS } from "../decode/uop";
import { FP_C1, FP_IE, fpFlags, fxSe } from "../fp/flags";
import { fxConstant, fxFromBcd, fxFromF32, fxFromF64, fxFromI64 } from "../fp/x80conv";
import {
  finish, isEmpty, mant, memHigh, memLow, moveTop, overflow, push, put, putIndefinite, readMem, readMem80, ready, sexp,
  st, stackFault, underflow, unmasked,
} from "./state";

/** Pushes the value of a conversion (its other part in fxSe) unless it has an unmasked IE. */
function pushLoaded(c: Vcpu, u: usize, m: u64): bool {
  if (unmasked(c, FP_IE)) return finish(c, u, fpFlags, FP_C1);
  return push(c, u, m, fxSe, fpFlags);
}

export function fldM32(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 4);
  if (!p) return false;
  if (!isEmpty(c, 7)) return overflow(c, u);
  fpFlags = 0;
  return pushLoaded(c, u, fxFromF32(load<u32>(p)));
}

export function fldM64(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 8);
  if (!p) return false;
  if (!isEmpty(c, 7)) return overflow(c, u);
  fpFlags = 0;
  return pushLoaded(c, u, fxFromF64(load<u64>(p)));
}

/** The 80-bit format is loaded as it is, whatever it holds. */
export function fldM80(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  if (!readMem80(c, u)) return false;
  if (!isEmpty(c, 7)) return overflow(c, u);
  return push(c, u, memLow, memHigh, 0);
}

export function fld(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const i = <u32>uD(u);
  // An empty source says more than a full stack.
  if (isEmpty(c, i)) {
    if (c.fcw & FP_IE) moveTop(c, 7);
    return underflow(c, u, 0);
  }
  if (!isEmpty(c, 7)) return overflow(c, u);
  const p = st(c, i);
  return push(c, u, mant(p), sexp(p), 0);
}

function pushInteger(c: Vcpu, u: usize, v: i64): bool {
  if (!isEmpty(c, 7)) return overflow(c, u);
  const m = fxFromI64(v);
  return push(c, u, m, fxSe, 0);
}

export function fildM16(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 2);
  return p ? pushInteger(c, u, load<i16>(p)) : false;
}

export function fildM32(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 4);
  return p ? pushInteger(c, u, load<i32>(p)) : false;
}

export function fildM64(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 8);
  return p ? pushInteger(c, u, load<i64>(p)) : false;
}

export function fbld(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  if (!readMem80(c, u)) return false;
  if (!isEmpty(c, 7)) return overflow(c, u);
  const m = fxFromBcd(memLow, memHigh);
  return push(c, u, m, fxSe, 0);
}

function constant(c: Vcpu, u: usize, k: u32): bool {
  if (!ready(c)) return false;
  if (!isEmpty(c, 7)) return overflow(c, u);
  const m = fxConstant(k, c.fcw);
  return push(c, u, m, fxSe, 0);
}

export function fld1(c: Vcpu, u: usize): bool { return constant(c, u, 0); }
export function fldl2t(c: Vcpu, u: usize): bool { return constant(c, u, 1); }
export function fldl2e(c: Vcpu, u: usize): bool { return constant(c, u, 2); }
export function fldpi(c: Vcpu, u: usize): bool { return constant(c, u, 3); }
export function fldlg2(c: Vcpu, u: usize): bool { return constant(c, u, 4); }
export function fldln2(c: Vcpu, u: usize): bool { return constant(c, u, 5); }
export function fldz(c: Vcpu, u: usize): bool { return constant(c, u, 6); }

/** An empty register takes part as the indefinite if that is masked. */
export function fxch(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const i = <u32>uD(u);
  const empty0 = isEmpty(c, 0), emptyI = isEmpty(c, i);
  if (empty0 || emptyI) {
    if (empty0) putIndefinite(c, 0);
    if (emptyI) putIndefinite(c, i);
    if (!stackFault(c, u, 0)) return true;
  } else finish(c, u, 0, FP_C1);
  const a = st(c, 0), b = st(c, i), m = mant(a), se = sexp(a);
  put(c, 0, mant(b), sexp(b));
  put(c, i, m, se);
  return true;
}

/** Both registers must be there, whether the condition holds or not. C1 stays unless one is missing. */
function move(c: Vcpu, u: usize, cc: i32): bool {
  if (!ready(c)) return false;
  const i = <u32>uS(u);
  if (isEmpty(c, 0) || isEmpty(c, i)) return underflow(c, u, 0);
  const p = st(c, i);
  if (condition(c, cc)) put(c, 0, mant(p), sexp(p));
  return finish(c, u, 0, 0);
}

export function fcmovb(c: Vcpu, u: usize): bool { return move(c, u, 2); }
export function fcmove(c: Vcpu, u: usize): bool { return move(c, u, 4); }
export function fcmovbe(c: Vcpu, u: usize): bool { return move(c, u, 6); }
export function fcmovu(c: Vcpu, u: usize): bool { return move(c, u, 10); }
export function fcmovnb(c: Vcpu, u: usize): bool { return move(c, u, 3); }
export function fcmovne(c: Vcpu, u: usize): bool { return move(c, u, 5); }
export function fcmovnbe(c: Vcpu, u: usize): bool { return move(c, u, 7); }
export function fcmovnu(c: Vcpu, u: usize): bool { return move(c, u, 11); }
