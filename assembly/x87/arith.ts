/**
 * FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR in their seven forms. An unmasked IE, DE or ZE leaves the registers as
 * they were; with an unmasked OE or UE the register takes the result with the exponent wrapped (SDM vol. 1, 8.5).
 */
import { Vcpu } from "../gen/layout";
import { uD, uS } from "../decode/uop";
import { FP_C1, FP_DE, FP_IE, FP_ZE, fpFlags, fxSe } from "../fp/flags";
import { fxFromI64 } from "../fp/x80conv";
import { fxArith, fxArithF32, fxArithF64 } from "../fp/x80mem";
import { finish, isEmpty, mant, pop, put, readMem, ready, sexp, st, underflow, unmasked } from "./state";

/** Operation numbers of fxArith: the /digit of D8. */
const ADD: u32 = 0;
const MUL: u32 = 1;
const SUB: u32 = 4;
const SUBR: u32 = 5;
const DIV: u32 = 6;
const DIVR: u32 = 7;

/** ST(i) = m, fxSe, as the exceptions in fpFlags allow; true if it was stored. */
function result(c: Vcpu, u: usize, i: u32, m: u64): bool {
  const done = !unmasked(c, FP_IE | FP_DE | FP_ZE);
  if (done) put(c, i, m, fxSe);
  finish(c, u, fpFlags, FP_C1);
  return done;
}

function real32(c: Vcpu, u: usize, op: u32): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 4);
  if (!p) return false;
  if (isEmpty(c, 0)) return underflow(c, u, 0);
  const a = st(c, 0);
  fpFlags = 0;
  result(c, u, 0, fxArithF32(op, mant(a), sexp(a), load<u32>(p), c.fcw));
  return true;
}

function real64(c: Vcpu, u: usize, op: u32): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 8);
  if (!p) return false;
  if (isEmpty(c, 0)) return underflow(c, u, 0);
  const a = st(c, 0);
  fpFlags = 0;
  result(c, u, 0, fxArithF64(op, mant(a), sexp(a), load<u64>(p), c.fcw));
  return true;
}

function integer(c: Vcpu, u: usize, op: u32, v: i64): bool {
  if (isEmpty(c, 0)) return underflow(c, u, 0);
  const a = st(c, 0), m = fxFromI64(v);
  fpFlags = 0;
  result(c, u, 0, fxArith(op, mant(a), sexp(a), m, fxSe, c.fcw));
  return true;
}

function integer16(c: Vcpu, u: usize, op: u32): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 2);
  return p ? integer(c, u, op, load<i16>(p)) : false;
}

function integer32(c: Vcpu, u: usize, op: u32): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 4);
  return p ? integer(c, u, op, load<i32>(p)) : false;
}

/** ST(d) = ST(d) op ST(s). */
function registers(c: Vcpu, u: usize, op: u32, d: u32, s: u32, popping: bool): bool {
  if (!ready(c)) return false;
  let stored: bool;
  if (isEmpty(c, d) || isEmpty(c, s)) {
    underflow(c, u, d);
    stored = (c.fcw & FP_IE) != 0;
  } else {
    const a = st(c, d), b = st(c, s);
    fpFlags = 0;
    stored = result(c, u, d, fxArith(op, mant(a), sexp(a), mant(b), sexp(b), c.fcw));
  }
  if (popping && stored) pop(c);
  return true;
}

export function faddM32(c: Vcpu, u: usize): bool { return real32(c, u, ADD); }
export function faddM64(c: Vcpu, u: usize): bool { return real64(c, u, ADD); }
export function fiaddM16(c: Vcpu, u: usize): bool { return integer16(c, u, ADD); }
export function fiaddM32(c: Vcpu, u: usize): bool { return integer32(c, u, ADD); }
export function fadd(c: Vcpu, u: usize): bool { return registers(c, u, ADD, 0, <u32>uS(u), false); }
export function faddTo(c: Vcpu, u: usize): bool { return registers(c, u, ADD, <u32>uD(u), 0, false); }
export function faddp(c: Vcpu, u: usize): bool { return registers(c, u, ADD, <u32>uD(u), 0, true); }

export function fmulM32(c: Vcpu, u: usize): bool { return real32(c, u, MUL); }
export function fmulM64(c: Vcpu, u: usize): bool { return real64(c, u, MUL); }
export function fimulM16(c: Vcpu, u: usize): bool { return integer16(c, u, MUL); }
export function fimulM32(c: Vcpu, u: usize): bool { return integer32(c, u, MUL); }
export function fmul(c: Vcpu, u: usize): bool { return registers(c, u, MUL, 0, <u32>uS(u), false); }
export function fmulTo(c: Vcpu, u: usize): bool { return registers(c, u, MUL, <u32>uD(u), 0, false); }
export function fmulp(c: Vcpu, u: usize): bool { return registers(c, u, MUL, <u32>uD(u), 0, true); }

export function fsubM32(c: Vcpu, u: usize): bool { return real32(c, u, SUB); }
export function fsubM64(c: Vcpu, u: usize): bool { return real64(c, u, SUB); }
export function fisubM16(c: Vcpu, u: usize): bool { return integer16(c, u, SUB); }
export function fisubM32(c: Vcpu, u: usize): bool { return integer32(c, u, SUB); }
export function fsub(c: Vcpu, u: usize): bool { return registers(c, u, SUB, 0, <u32>uS(u), false); }
export function fsubTo(c: Vcpu, u: usize): bool { return registers(c, u, SUB, <u32>uD(u), 0, false); }
export function fsubp(c: Vcpu, u: usize): bool { return registers(c, u, SUB, <u32>uD(u), 0, true); }

export function fsubrM32(c: Vcpu, u: usize): bool { return real32(c, u, SUBR); }
export function fsubrM64(c: Vcpu, u: usize): bool { return real64(c, u, SUBR); }
export function fisubrM16(c: Vcpu, u: usize): bool { return integer16(c, u, SUBR); }
export function fisubrM32(c: Vcpu, u: usize): bool { return integer32(c, u, SUBR); }
export function fsubr(c: Vcpu, u: usize): bool { return registers(c, u, SUBR, 0, <u32>uS(u), false); }
export function fsubrTo(c: Vcpu, u: usize): bool { return registers(c, u, SUBR, <u32>uD(u), 0, false); }
export function fsubrp(c: Vcpu, u: usize): bool { return registers(c, u, SUBR, <u32>uD(u), 0, true); }

export function fdivM32(c: Vcpu, u: usize): bool { return real32(c, u, DIV); }
export function fdivM64(c: Vcpu, u: usize): bool { return real64(c, u, DIV); }
export function fidivM16(c: Vcpu, u: usize): bool { return integer16(c, u, DIV); }
export function fidivM32(c: Vcpu, u: usize): bool { return integer32(c, u, DIV); }
export function fdiv(c: Vcpu, u: usize): bool { return registers(c, u, DIV, 0, <u32>uS(u), false); }
export function fdivTo(c: Vcpu, u: usize): bool { return registers(c, u, DIV, <u32>uD(u), 0, false); }
export function fdivp(c: Vcpu, u: usize): bool { return registers(c, u, DIV, <u32>uD(u), 0, true); }

export function fdivrM32(c: Vcpu, u: usize): bool { return real32(c, u, DIVR); }
export function fdivrM64(c: Vcpu, u: usize): bool { return real64(c, u, DIVR); }
export function fidivrM16(c: Vcpu, u: usize): bool { return integer16(c, u, DIVR); }
export function fidivrM32(c: Vcpu, u: usize): bool { return integer32(c, u, DIVR); }
export function fdivr(c: Vcpu, u: usize): bool { return registers(c, u, DIVR, 0, <u32>uS(u), false); }
export function fdivrTo(c: Vcpu, u: usize): bool { return registers(c, u, DIVR, <u32>uD(u), 0, false); }
export function fdivrp(c: Vcpu, u: usize): bool { return registers(c, u, DIVR, <u32>uD(u), 0, true); }
