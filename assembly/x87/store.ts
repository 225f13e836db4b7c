/**
 * FST, FSTP, FIST, FISTP, FISTTP and FBSTP. With an unmasked IE, OE or UE nothing is written and nothing popped, and
 * memory is not looked at: a page fault then comes when the instruction is tried again.
 */
import { Vcpu } from "../gen/layout";
import { uD } from "../decode/uop";
import { FCW_RC, FP_C1, FP_IE, FP_OE, FP_UE, fpFlags, fxSe } from "../fp/flags";
import { fxToBcd, fxToF32, fxToF64, fxToInt } from "../fp/x80conv";
import {
  FSW_SF, INDEFINITE, INDEFINITE_SE, finish, isEmpty, mant, pop, put, ready, release, moveTop, sexp, st, underflow,
  unmasked, writeMem, writeMem80,
} from "./state";

/** Writes `size` bytes (2, 4 or 8) of a converted value and ends the instruction. */
function storeValue(c: Vcpu, u: usize, v: u64, size: u32, popping: bool): bool {
  if (!unmasked(c, FP_IE | FP_OE | FP_UE)) {
    const p = writeMem(c, u, size);
    if (!p) return false;
    if (size == 2) store<u16>(p, <u16>v);
    else if (size == 4) store<u32>(p, <u32>v);
    else store<u64>(p, v);
    if (popping) pop(c);
  }
  return finish(c, u, fpFlags, FP_C1);
}

function store10(c: Vcpu, u: usize, low: u64, high: u32): bool {
  if (!unmasked(c, FP_IE)) {
    if (!writeMem80(c, u, low, high)) return false;
    pop(c);
  }
  return finish(c, u, fpFlags, FP_C1);
}

function storeReal(c: Vcpu, u: usize, size: u32, popping: bool): bool {
  if (!ready(c)) return false;
  const p = st(c, 0);
  let v: u64;
  if (isEmpty(c, 0)) {
    fpFlags = FP_IE | FSW_SF;
    v = size == 4 ? 0xffc00000 : 0xfff8000000000000;
  } else {
    fpFlags = 0;
    v = size == 4 ? <u64>fxToF32(mant(p), sexp(p), c.fcw) : fxToF64(mant(p), sexp(p), c.fcw);
  }
  return storeValue(c, u, v, size, popping);
}

export function fstM32(c: Vcpu, u: usize): bool { return storeReal(c, u, 4, false); }
export function fstM64(c: Vcpu, u: usize): bool { return storeReal(c, u, 8, false); }
export function fstpM32(c: Vcpu, u: usize): bool { return storeReal(c, u, 4, true); }
export function fstpM64(c: Vcpu, u: usize): bool { return storeReal(c, u, 8, true); }

export function fstpM80(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const p = st(c, 0), empty = isEmpty(c, 0);
  fpFlags = empty ? FP_IE | FSW_SF : 0;
  return empty ? store10(c, u, INDEFINITE, INDEFINITE_SE) : store10(c, u, mant(p), sexp(p));
}

export function fst(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const i = <u32>uD(u), p = st(c, 0);
  if (isEmpty(c, 0)) return underflow(c, u, i);
  put(c, i, mant(p), sexp(p));
  return finish(c, u, 0, FP_C1);
}

export function fstp(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const i = <u32>uD(u), p = st(c, 0);
  if (isEmpty(c, 0)) {
    underflow(c, u, i);
    if (c.fcw & FP_IE) pop(c);
    return true;
  }
  put(c, i, mant(p), sexp(p));
  pop(c);
  return finish(c, u, 0, FP_C1);
}

/** D9 D8+i: FSTP without the check for an empty register: of one, nothing is copied, not even that. */
export function fstpnce(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const p = st(c, 0);
  if (!isEmpty(c, 0)) put(c, <u32>uD(u), mant(p), sexp(p));
  release(c, 0);
  moveTop(c, 1);
  return finish(c, u, 0, FP_C1);
}

function storeInteger(c: Vcpu, u: usize, size: u32, rc: u32, popping: bool): bool {
  if (!ready(c)) return false;
  const p = st(c, 0);
  let v: i64;
  if (isEmpty(c, 0)) {
    fpFlags = FP_IE | FSW_SF;
    v = -1 << ((size << 3) - 1);
  } else {
    fpFlags = 0;
    v = fxToInt(mant(p), sexp(p), size << 3, <u32>c.fcw | rc);
  }
  return storeValue(c, u, <u64>v, size, popping);
}

export function fistM16(c: Vcpu, u: usize): bool { return storeInteger(c, u, 2, 0, false); }
export function fistM32(c: Vcpu, u: usize): bool { return storeInteger(c, u, 4, 0, false); }
export function fistpM16(c: Vcpu, u: usize): bool { return storeInteger(c, u, 2, 0, true); }
export function fistpM32(c: Vcpu, u: usize): bool { return storeInteger(c, u, 4, 0, true); }
export function fistpM64(c: Vcpu, u: usize): bool { return storeInteger(c, u, 8, 0, true); }
export function fisttpM16(c: Vcpu, u: usize): bool { return storeInteger(c, u, 2, FCW_RC, true); }
export function fisttpM32(c: Vcpu, u: usize): bool { return storeInteger(c, u, 4, FCW_RC, true); }
export function fisttpM64(c: Vcpu, u: usize): bool { return storeInteger(c, u, 8, FCW_RC, true); }

/** The packed BCD indefinite is FFFF C000 0000 0000 0000. */
export function fbstp(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const p = st(c, 0);
  if (isEmpty(c, 0)) {
    fpFlags = FP_IE | FSW_SF;
    return store10(c, u, INDEFINITE, 0xffff);
  }
  fpFlags = 0;
  const low = fxToBcd(mant(p), sexp(p), c.fcw);
  return store10(c, u, low, fxSe);
}
