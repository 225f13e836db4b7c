/**
 * x87 instructions in regions (src/isa/jitVectors.ts has the list). What follows each other in a block is a run: its start
 * looks once, by the node X87_BEGIN, whether all exceptions are masked and the registers it will use are full or empty as it
 * needs them, and else leaves. Within a run TOP is known but for where it began, so that a stack register is a number here
 * ("place": relative to TOP at the run's start), and its value a pair of nodes, significand and sign/exponent. Registers
 * are written to the vCPU page at once; what has become of TOP, tags, C1 and FIP is kept in `x87State` (./ir.ts) and written
 * at the run's end and where it is left. Arithmetic is done by functions of the core (assembly/x87/direct.ts).
 *
 * Denormals, infinities and NaNs in memory are the interpreter's.
 */
import { MODE_CODE64, V_EA, V_FCW, V_FSW, V_SIMD, Vcpu } from "../gen/layout";
import {
  H_X87_ADD, H_X87_COMPARE, H_X87_DIV, H_X87_MUL, H_X87_SQRT, H_X87_SUB, H_X87_TO_F32, H_X87_TO_F64, H_X87_TO_INT,
} from "../gen/helpers";
import {
  VECTOR_X87_ARITH, VECTOR_X87_COMPARE, VECTOR_X87_EXCHANGE, VECTOR_X87_LOAD, VECTOR_X87_STORE, VECTOR_X87_UNARY,
  VECTOR_X87_WORD,
} from "../gen/emit";
import { uD, uFlags, uOff, uS, UF_STACK } from "../decode/uop";
import { F_RAW } from "../sem/flags";
import { READ, WRITE } from "../sem/kinds";
import { COMPARE_EFLAGS, COMPARE_QUIET, TO_INT_CHOP } from "../x87/direct";
import {
  beginX87, binary, choose, constant, endX87, FLAG_A, FLAG_OP, getX87, goOnIf, helped, loadFrom, needX87, putX87, reload,
  scratch, setState, setX87State, storeTo, translate, unary, x87Begin,
} from "./ir";
import { keyOf, linearOf, writeReg } from "./emit";
import {
  I64_ADD, I64_AND, I64_CLZ, I64_EQ, I64_GE_U, I64_LOAD, I64_LOAD16_S, I64_LOAD32_S, I64_LOAD32_U, I64_OR, I64_SHL,
  I64_SHR_S, I64_SHR_U, I64_STORE, I64_STORE16, I64_STORE32, I64_SUB, I64_XOR,
} from "./wasm";

const ALL_MASKED: u32 = 0x3f;
const INTEGER_BIT: u64 = 0x8000000000000000;

/** Operand forms; of the memory forms also {16, 32, 64 bits}. See src/isa/jitVectors.ts. */
const M32: u32 = 0;
const M64: u32 = 1;
const I16: u32 = 2;
const I32: u32 = 3;
const I64: u32 = 4;
const ST_I: u32 = 5;
/** Destination ST(i) instead of ST(0). */
const TO_ST_I: u32 = 6;
const ONE: u32 = 6;

let at: usize = 0;
/** Of the run: TOP as a place, and the places that are full and empty, those at the start and those by now. */
let top: u32 = 0;
let needFull: u32 = 0;
let needEmpty: u32 = 0;
let full: u32 = 0;
let empty: u32 = 0;
/** C1 is to become 0. */
let clearC1: bool = false;
/** By place, in the scratch area: nodes of the value {significand u32}, then {sign/exponent u32}, 0 if it is in the vCPU page. */
const VALUES: usize = 0x30180;

@inline function k(v: u64): u32 { return constant(v); }
@inline function place(i: u32): u32 { return (top + i) & 7; }
@inline function valueAt(p: u32): usize { return scratch + VALUES + (<usize>p << 2); }

/** Whether ST(i) can be full, or empty, when the run comes here; from now on it is. */
function want(i: u32, wantFull: bool): bool {
  const bit: u32 = 1 << place(i);
  if ((full | empty) & bit) return ((wantFull ? full : empty) & bit) != 0;
  if (wantFull) { needFull |= bit; full |= bit; } else { needEmpty |= bit; empty |= bit; }
  return true;
}

function significand(i: u32): u32 {
  const p = place(i), known = load<u32>(valueAt(p));
  if (known) return known;
  const v = getX87(p, false);
  store<u32>(valueAt(p), v);
  return v;
}
function exponent(i: u32): u32 {
  const p = place(i), known = load<u32>(valueAt(p), 32);
  if (known) return known;
  const v = getX87(p, true);
  store<u32>(valueAt(p), v, 32);
  return v;
}

/** ST(i) = m, se; it is full then. */
function put(i: u32, m: u32, se: u32): void {
  const p = place(i), bit: u32 = 1 << p;
  putX87(p, m, se);
  store<u32>(valueAt(p), m);
  store<u32>(valueAt(p), se, 32);
  full |= bit;
  empty &= ~bit;
}
function push(m: u32, se: u32): void {
  top = place(7);
  put(0, m, se);
}
function pop(): void {
  const bit: u32 = 1 << top;
  full &= ~bit;
  empty |= bit;
  top = place(1);
}

/** A core function that sets C1; its result's sign/exponent is `exponentOf`. */
function calculate(helper: u32, a: u32, b: u32, c: u32, d: u32): u32 {
  clearC1 = false;
  return helped(helper, a, b, c, d);
}
@inline function exponentOf(): u32 { return reload(V_SIMD); }

/** The end of an instruction: what the run's end will have to write. */
function finish(): bool {
  needX87(needFull, needEmpty);
  setX87State(top, full & ~needFull, empty & ~needEmpty, clearC1, <u32>uOff(at));
  return true;
}

/** Host address of the memory operand, 1 << z bytes. */
function memory_(z: u32, use: i32): u32 {
  return translate(linearOf(at), z, use, (uFlags(at) & UF_STACK) != 0, keyOf(at), at);
}

/** The last memory operand as a value. */
let operandM: u32 = 0;
let operandE: u32 = 0;
function readOperand(form: u32): void {
  if (form == M32) readReal(loadFrom(memory_(2, READ), I64_LOAD32_U), 8, 23);
  else if (form == M64) readReal(loadFrom(memory_(3, READ), I64_LOAD), 11, 52);
  else if (form == I16) readInteger(loadFrom(memory_(1, READ), I64_LOAD16_S));
  else if (form == I32) readInteger(loadFrom(memory_(2, READ), I64_LOAD32_S));
  else readInteger(loadFrom(memory_(3, READ), I64_LOAD));
}

/** A single or double with so many bits of exponent and fraction. Leaves for what is neither normal nor zero. */
function readReal(v: u32, exponentBits: u64, fractionBits: u64): void {
  const all: u64 = ((<u64>1) << exponentBits) - 1, bias = 0x3fff - (all >> 1);
  // Without sign, from bit 63 down.
  const magnitude = binary(I64_SHL, v, k(64 - exponentBits - fractionBits));
  const zero = binary(I64_EQ, magnitude, k(0)), least: u64 = (<u64>1) << (64 - exponentBits);
  goOnIf(binary(I64_GE_U, binary(I64_SUB, choose(zero, k(least), magnitude), k(least)), k((all - 1) << (64 - exponentBits))), at);
  operandM = choose(zero, k(0), binary(I64_OR, binary(I64_SHL, v, k(63 - fractionBits)), k(INTEGER_BIT)));
  const biased = binary(I64_ADD, binary(I64_SHR_U, magnitude, k(64 - exponentBits)), k(bias));
  const sign = binary(I64_AND, binary(I64_SHR_U, v, k(exponentBits + fractionBits - 15)), k(0x8000));
  operandE = binary(I64_OR, sign, choose(zero, k(0), biased));
}

/** Exact, from a sign-extended integer. */
function readInteger(v: u32): void {
  const minus = binary(I64_SHR_S, v, k(63)), magnitude = binary(I64_SUB, binary(I64_XOR, v, minus), minus);
  const n = unary(I64_CLZ, magnitude);
  operandM = binary(I64_SHL, magnitude, n);
  const se = binary(I64_OR, binary(I64_AND, minus, k(0x8000)), binary(I64_SUB, k(0x403e), n));
  operandE = choose(binary(I64_EQ, v, k(0)), k(0), se);
}

/** Operation as the /digit of D8, then the form. */
function arithmetic(operation: u32, form: u32, popping: bool): bool {
  const d: u32 = form == TO_ST_I ? <u32>uD(at) : 0;
  const s: u32 = form == ST_I ? <u32>uS(at) : 0;
  if (!want(d, true) || !want(s, true)) return false;
  begin();
  if (form < ST_I) readOperand(form);
  else { operandM = significand(s); operandE = exponent(s); }
  const am = significand(d), ae = exponent(d), bm = operandM, be = operandE;
  let m: u32;
  switch (operation) {
    case 0: m = calculate(H_X87_ADD, am, ae, bm, be); break;
    case 1: m = calculate(H_X87_MUL, am, ae, bm, be); break;
    case 4: m = calculate(H_X87_SUB, am, ae, bm, be); break;
    case 5: m = calculate(H_X87_SUB, bm, be, am, ae); break;
    case 6: m = calculate(H_X87_DIV, am, ae, bm, be); break;
    default: m = calculate(H_X87_DIV, bm, be, am, ae); break;
  }
  put(d, m, exponentOf());
  if (popping) pop();
  return finish();
}

function loadValue(form: u32): bool {
  const i = <u32>uD(at);
  if ((form == ST_I && !want(i, true)) || !want(7, false)) return false;
  begin();
  if (form == ST_I) { operandM = significand(i); operandE = exponent(i); }
  else if (form >= ONE) {
    operandM = k(form == ONE ? INTEGER_BIT : 0);
    operandE = k(form == ONE ? 0x3fff : 0);
  } else readOperand(form);
  push(operandM, operandE);
  clearC1 = true;
  return finish();
}

function storeValue(form: u32, popping: bool, chop: bool): bool {
  if (!want(0, true)) return false;
  begin();
  if (form == ST_I) {
    put(<u32>uD(at), significand(0), exponent(0));
    clearC1 = true;
  } else {
    const z: u32 = form == I16 ? 1 : form == M32 || form == I32 ? 2 : 3, p = memory_(z, WRITE);
    const m = significand(0), se = exponent(0);
    let v: u32;
    if (form == M32) v = calculate(H_X87_TO_F32, m, se, 0, 0);
    else if (form == M64) v = calculate(H_X87_TO_F64, m, se, 0, 0);
    else v = calculate(H_X87_TO_INT, m, se, k((8 << z) | (chop ? TO_INT_CHOP : 0)), 0);
    storeTo(p, z == 1 ? I64_STORE16 : z == 2 ? I64_STORE32 : I64_STORE, v);
  }
  if (popping) pop();
  return finish();
}

function changeTop(which: u32): bool {
  if (!want(0, true)) return false;
  begin();
  const m = significand(0), se = exponent(0);
  if (which == 2) {
    const root = calculate(H_X87_SQRT, m, se, 0, 0);
    put(0, root, exponentOf());
  } else {
    put(0, m, which == 0 ? binary(I64_XOR, se, k(0x8000)) : binary(I64_AND, se, k(0x7fff)));
    clearC1 = true;
  }
  return finish();
}

function exchange(): bool {
  const i = <u32>uD(at);
  if (!want(0, true) || !want(i, true)) return false;
  begin();
  const am = significand(0), ae = exponent(0), bm = significand(i), be = exponent(i);
  put(0, bm, be);
  put(i, am, ae);
  clearC1 = true;
  return finish();
}

function compare(form: u32, pops: u32, how: u32): bool {
  const flags = (how & COMPARE_EFLAGS) != 0;
  const i: u32 = pops == 2 ? 1 : flags ? <u32>uS(at) : <u32>uD(at);
  if (!want(0, true) || (form == ST_I && !want(i, true))) return false;
  begin();
  if (form == ST_I) { operandM = significand(i); operandE = exponent(i); }
  else readOperand(form);
  const be = how ? binary(I64_OR, operandE, k(how)) : operandE, am = significand(0), ae = exponent(0);
  if (flags) {
    setState(FLAG_OP, k(F_RAW));
    setState(FLAG_A, helped(H_X87_COMPARE, am, ae, operandM, be));
  } else calculate(H_X87_COMPARE, am, ae, operandM, be);
  for (; pops; pops--) pop();
  return finish();
}

/** FNSTCW, FNSTSW and FNSTSW AX wait for nothing. FSW is as the run has left it when that has ended. */
function storeWord(which: u32): bool {
  const p = which == STATUS_AX ? 0 : memory_(1, WRITE);
  if (which != CONTROL_WORD) endX87();
  const v = binary(I64_AND, reload(which == CONTROL_WORD ? V_FCW : V_FSW), k(0xffff));
  if (p) storeTo(p, I64_STORE16, v);
  else writeReg(<u32>uD(at), 1, v);
  return true;
}
const CONTROL_WORD: u32 = 0;
const STATUS_AX: u32 = 2;

/** Before an instruction's first node: the run's start, if it has none yet. */
function begin(): void { if (!x87Begin) beginX87(at); }

/** Builds the nodes of the micro-op at u, of the kind and with the operand in `how`. False: it is left to its handler. */
export function emitX87(c: Vcpu, u: usize, kind: u32, op: u32): bool {
  if ((c.fcw & ALL_MASKED) != ALL_MASKED) return false;
  at = u;
  // An address with segment limits, which handlers check themselves.
  if (load<u16>(u, 6) == <u16>V_EA && !(c.mode & MODE_CODE64)) return false;
  if (!x87Begin) {
    top = needFull = needEmpty = full = empty = 0;
    clearC1 = false;
    memory.fill(valueAt(0), 0, 64);
  }
  const form = op & 7, high = op >> 3;
  switch (kind) {
    case VECTOR_X87_ARITH: return arithmetic(high & 7, form, (high & 8) != 0);
    case VECTOR_X87_LOAD: return loadValue(form);
    case VECTOR_X87_STORE: return storeValue(form, (high & 1) != 0, (high & 2) != 0);
    case VECTOR_X87_UNARY: return changeTop(op);
    case VECTOR_X87_EXCHANGE: return exchange();
    case VECTOR_X87_WORD: return storeWord(op);
    case VECTOR_X87_COMPARE:
      return compare(form, high & 3, (high & 4 ? COMPARE_QUIET : 0) | (high & 8 ? COMPARE_EFLAGS : 0));
    default: return false;
  }
}
