/**
 * FCOM, FUCOM, FCOMI and their kin, FTST and FXAM. Condition codes or flags are written whatever happens; an unmasked
 * exception only keeps the stack from being popped.
 */
import { Vcpu } from "../gen/layout";
import { setArithmeticFlags } from "../sem/flags";
import { uD, uS } from "../decode/uop";
import { FP_C0, FP_C1, FP_C2, FP_C3, FP_DE, FP_IE, fpFlags, fxSe } from "../fp/flags";
import { fxFromI64 } from "../fp/x80conv";
import { fxCompareF32, fxCompareF64 } from "../fp/x80mem";
import { fxCompare, fxExamine } from "../fp/x80misc";
import { FSW_SF, finish, isEmpty, mant, pop, readMem, ready, sexp, st, unmasked } from "./state";

const UNORDERED: u32 = FP_C3 | FP_C2 | FP_C0;
const CODES: u32 = FP_C3 | FP_C2 | FP_C1 | FP_C0;

/** Ends a comparison with the codes `cc` and pops `pops` registers. Returns true. */
function ordered(c: Vcpu, u: usize, cc: u32, pops: u32): bool {
  const popping = !unmasked(c, FP_IE | FP_DE);
  finish(c, u, fpFlags | cc, CODES);
  if (popping) for (let i: u32 = 0; i < pops; i++) pop(c);
  return true;
}

/** An operand is missing. */
function missing(): u32 {
  fpFlags = FP_IE | FSW_SF;
  return UNORDERED;
}

function real32(c: Vcpu, u: usize, pops: u32): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 4), a = st(c, 0);
  if (!p) return false;
  fpFlags = 0;
  return ordered(c, u, isEmpty(c, 0) ? missing() : fxCompareF32(mant(a), sexp(a), load<u32>(p)), pops);
}

function real64(c: Vcpu, u: usize, pops: u32): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 8), a = st(c, 0);
  if (!p) return false;
  fpFlags = 0;
  return ordered(c, u, isEmpty(c, 0) ? missing() : fxCompareF64(mant(a), sexp(a), load<u64>(p)), pops);
}

function integer(c: Vcpu, u: usize, v: i64, pops: u32): bool {
  const a = st(c, 0), m = fxFromI64(v);
  fpFlags = 0;
  return ordered(c, u, isEmpty(c, 0) ? missing() : fxCompare(mant(a), sexp(a), m, fxSe, false), pops);
}

function integer16(c: Vcpu, u: usize, pops: u32): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 2);
  return p ? integer(c, u, load<i16>(p), pops) : false;
}

function integer32(c: Vcpu, u: usize, pops: u32): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 4);
  return p ? integer(c, u, load<i32>(p), pops) : false;
}

/** ST(0) against ST(i): the condition codes, exceptions in fpFlags. */
function codes(c: Vcpu, i: u32, quiet: bool): u32 {
  if (isEmpty(c, 0) || isEmpty(c, i)) return missing();
  const a = st(c, 0), b = st(c, i);
  fpFlags = 0;
  return fxCompare(mant(a), sexp(a), mant(b), sexp(b), quiet);
}

function registers(c: Vcpu, u: usize, i: u32, quiet: bool, pops: u32): bool {
  return ready(c) ? ordered(c, u, codes(c, i, quiet), pops) : false;
}

/** The result goes to ZF, PF and CF; OF, SF and AF become 0. C1 changes only with a missing operand. */
function toFlags(c: Vcpu, u: usize, quiet: bool, pops: u32): bool {
  if (!ready(c)) return false;
  setArithmeticFlags(c, codes(c, <u32>uS(u), quiet) >> 8);
  const popping = !unmasked(c, FP_IE | FP_DE);
  finish(c, u, fpFlags, fpFlags & FSW_SF ? FP_C1 : 0);
  if (popping && pops != 0) pop(c);
  return true;
}

export function fcomM32(c: Vcpu, u: usize): bool { return real32(c, u, 0); }
export function fcomM64(c: Vcpu, u: usize): bool { return real64(c, u, 0); }
export function ficomM16(c: Vcpu, u: usize): bool { return integer16(c, u, 0); }
export function ficomM32(c: Vcpu, u: usize): bool { return integer32(c, u, 0); }
export function fcom(c: Vcpu, u: usize): bool { return registers(c, u, <u32>uD(u), false, 0); }
export function fcompM32(c: Vcpu, u: usize): bool { return real32(c, u, 1); }
export function fcompM64(c: Vcpu, u: usize): bool { return real64(c, u, 1); }
export function ficompM16(c: Vcpu, u: usize): bool { return integer16(c, u, 1); }
export function ficompM32(c: Vcpu, u: usize): bool { return integer32(c, u, 1); }
export function fcomp(c: Vcpu, u: usize): bool { return registers(c, u, <u32>uD(u), false, 1); }
export function fcompp(c: Vcpu, u: usize): bool { return registers(c, u, 1, false, 2); }
export function fucom(c: Vcpu, u: usize): bool { return registers(c, u, <u32>uD(u), true, 0); }
export function fucomp(c: Vcpu, u: usize): bool { return registers(c, u, <u32>uD(u), true, 1); }
export function fucompp(c: Vcpu, u: usize): bool { return registers(c, u, 1, true, 2); }
export function fcomi(c: Vcpu, u: usize): bool { return toFlags(c, u, false, 0); }
export function fcomip(c: Vcpu, u: usize): bool { return toFlags(c, u, false, 1); }
export function fucomi(c: Vcpu, u: usize): bool { return toFlags(c, u, true, 0); }
export function fucomip(c: Vcpu, u: usize): bool { return toFlags(c, u, true, 1); }

/** ST(0) against +0. */
export function ftst(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const a = st(c, 0);
  fpFlags = 0;
  return ordered(c, u, isEmpty(c, 0) ? missing() : fxCompare(mant(a), sexp(a), 0, 0, false), 0);
}

/** An empty register is C3 and C0, with the sign of what it holds. */
export function fxam(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const a = st(c, 0);
  const cc = isEmpty(c, 0) ? FP_C3 | FP_C0 | ((sexp(a) >> 6) & FP_C1) : fxExamine(mant(a), sexp(a));
  return finish(c, u, cc, CODES);
}
