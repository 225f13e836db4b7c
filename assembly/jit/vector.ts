/**
 * MMX, SSE and AVX instructions, and some that count bits, that regions carry out themselves (src/isa/jitVectors.ts has the
 * list). XMM registers are at home in the vCPU page everywhere: each instruction reads and writes them there. MMX forms, rare
 * shapes and addresses with segment limits are left to the handlers.
 *
 * Scalar moves are made of the nodes that integers use; the others are VECTOR nodes, whose lowering (./lowerVector.ts)
 * reads the micro-op itself.
 */
import { MODE_CODE64, V_EA, V_YMM, Vcpu } from "../gen/layout";
import {
  VECTOR_BINARY, VECTOR_BROADCAST, VECTOR_COMPARE_DOUBLE, VECTOR_COUNT, VECTOR_DOUBLE, VECTOR_FROM_GENERAL, VECTOR_FROM_INTEGER, VECTOR_HIGH_TO_LOW, VECTOR_LOAD,
  VECTOR_LOAD_ALIGNED, VECTOR_LOAD_HIGH, VECTOR_LOAD_LOW, VECTOR_LOAD_LOW_CLEAR, VECTOR_MASK, VECTOR_PSHUFB, VECTOR_PSHUFD,
  VECTOR_SHIFT, VECTOR_SHIFT_BYTES_LEFT, VECTOR_SHIFT_BYTES_RIGHT, VECTOR_SHIFT_SIGN, VECTOR_SHUFPD, VECTOR_SHUFPS,
  VECTOR_SINGLE, VECTOR_STORE, VECTOR_STORE_ALIGNED, VECTOR_STORE_HIGH, VECTOR_STORE_LOW, VECTOR_SWAPPED,
  VECTOR_TO_GENERAL, VECTOR_TRUNCATE_DOUBLE, VECTOR_UNPACK, VECTOR_X87_ARITH,
} from "../gen/emit";
import { SHAPE_LEGACY, SHAPE_YMM, uD, uFlags, uImm, uS, uShape, uSize, UF_STACK } from "../decode/uop";
import { F_RAW } from "../sem/flags";
import { READ, WRITE } from "../sem/kinds";
import {
  binary, choose, constant, FLAG_A, FLAG_OP, leaveIf, loadFrom, reload, setState, spill, storeTo, translate, unary, vector, widen,
} from "./ir";
import { addressNode, keyOf, linearOf, readReg, writeReg } from "./emit";
import { emitX87 } from "./x87";
import {
  I64_AND, I64_CLZ, I64_CTZ, I64_EQ, I64_LOAD, I64_LOAD16_U, I64_LOAD32_U, I64_NE, I64_OR, I64_POPCNT, I64_SHL, I64_STORE, I64_STORE32,
  I64_SUB,
} from "./wasm";

let at: usize = 0;

@inline function isXmm(offset: usize): bool { return offset >= V_YMM; }

/** Host address of the memory operand, 1 << z bytes. */
function memory_(z: u32, use: i32, aligned: bool): u32 {
  const linear = linearOf(at);
  if (aligned) leaveIf(binary(I64_NE, binary(I64_AND, linear, constant((1 << z) - 1)), constant(0)), at);
  return translate(linear, z, use, (uFlags(at) & UF_STACK) != 0, keyOf(at), at);
}

/** Operand 1: a pointer node, or 0 if it is a register. */
@inline function source(z: u32, aligned: bool): u32 { return uS(at) ? 0 : memory_(z, READ, aligned); }

/** Clears what an instruction with VEX prefix clears. */
function clearUpper(): void {
  if (uShape(at) == SHAPE_LEGACY) return;
  spill(uD(at) + 16, constant(0));
  spill(uD(at) + 24, constant(0));
}

/** The low 1 << z bytes of a register or of memory, zero-extended. */
function scalar(z: u32): u32 {
  const p = source(z, false);
  if (p) return loadFrom(p, z == 2 ? I64_LOAD32_U : I64_LOAD);
  const v = reload(uS(at));
  return z == 2 ? binary(I64_AND, v, constant(0xffffffff)) : v;
}

/** The arithmetic flags become v. */
function setFlags(v: u32): void {
  setState(FLAG_OP, constant(F_RAW));
  setState(FLAG_A, v);
}

function setXmm(low: u32): void {
  spill(uD(at), low);
  spill(uD(at) + 8, constant(0));
  clearUpper();
}

/** Stores operand 1's qword at `plus`, 1 << z bytes of it, to operand 0, memory. */
function storeScalar(z: u32, plus: usize): void {
  const p = memory_(z, WRITE, false);
  storeTo(p, z == 2 ? I64_STORE32 : I64_STORE, reload(uS(at) + plus));
}

/** Builds the nodes of the micro-op at u, which is of the kind and with the opcode in `how`. False: not served. */
export function emitVector(c: Vcpu, u: usize, how: u32): bool {
  const kind = how & 0xff, op = how >> 8, d = uD(u), s = uS(u), shape = uShape(u), legacy = shape == SHAPE_LEGACY;
  const calls = kind == VECTOR_DOUBLE || kind == VECTOR_SINGLE || kind == VECTOR_TRUNCATE_DOUBLE || kind == VECTOR_COMPARE_DOUBLE;
  if (kind >= VECTOR_X87_ARITH) return emitX87(c, u, kind, op);
  at = u;
  if (load<u16>(u, 6) == <u16>V_EA) {
    if (!(c.mode & MODE_CODE64)) return false;
    spill(V_EA, addressNode());
  }
  const z: u32 = shape == SHAPE_YMM ? 5 : 4;
  switch (kind) {
    case VECTOR_STORE: case VECTOR_STORE_ALIGNED:
      if (!isXmm(s)) return false;
      vector(c, kind, d ? 0 : memory_(z, WRITE, kind == VECTOR_STORE_ALIGNED), 0, op, u, calls);
      return true;
    case VECTOR_STORE_LOW:
      if (!isXmm(s)) return false;
      if (d) {
        // MOVQ clears the upper half; MOVSS and MOVSD keep the rest.
        if (op == 4) setXmm(reload(s));
        else if (!legacy) return false;
        else merge(op, reload(s));
      } else storeScalar(min<u32>(op, 3), 0);
      return true;
    case VECTOR_STORE_HIGH:
      if (d || !isXmm(s)) return false;
      storeScalar(3, 8);
      return true;
    case VECTOR_TO_GENERAL: {
      if (!isXmm(s)) return false;
      const wide = uSize(u) == 3;
      if (d) writeReg(<u32>d, wide ? 3 : 2, reload(s));
      else storeScalar(wide ? 3 : 2, 0);
      return true;
    }
    case VECTOR_MASK:
      writeReg(<u32>d, 3, vector(c, kind, 0, 0, op, u, calls));
      return true;
    case VECTOR_TRUNCATE_DOUBLE:
      writeReg(<u32>d, 3, vector(c, kind, source(3, false), 0, op, u, calls));
      return true;
    case VECTOR_COUNT: count(op); return true;
    default: break;
  }
  if (!isXmm(d)) return false;
  switch (kind) {
    case VECTOR_COMPARE_DOUBLE: {
      const flags = vector(c, kind, source(3, false), 0, op, u, calls);
      setFlags(flags);
      return true;
    }
    case VECTOR_BINARY: case VECTOR_SWAPPED: case VECTOR_UNPACK: case VECTOR_PSHUFB: case VECTOR_PSHUFD: case VECTOR_SHUFPS: case VECTOR_SHUFPD:
      vector(c, kind, source(z, legacy), 0, op, u, calls);
      return true;
    case VECTOR_BROADCAST:
      vector(c, kind, source(<u32>uImm(u), false), 0, op, u, calls);
      return true;
    case VECTOR_LOAD: case VECTOR_LOAD_ALIGNED:
      vector(c, kind, source(z, kind == VECTOR_LOAD_ALIGNED), 0, op, u, calls);
      return true;
    case VECTOR_SHIFT: case VECTOR_SHIFT_SIGN: case VECTOR_SHIFT_BYTES_LEFT: case VECTOR_SHIFT_BYTES_RIGHT:
      vector(c, kind, 0, 0, op, u, calls);
      return true;
    case VECTOR_LOAD_LOW:
      if (s || op == 5) {
        if (!legacy) return false;
        merge(op, scalar(min<u32>(op, 3)));
      } else setXmm(scalar(op));
      return true;
    case VECTOR_LOAD_LOW_CLEAR: setXmm(scalar(op)); return true;
    case VECTOR_LOAD_HIGH:
      if (!legacy) return false;
      spill(d + 8, scalar(3));
      return true;
    case VECTOR_HIGH_TO_LOW:
      if (!legacy) return false;
      spill(d, reload(s + 8));
      return true;
    case VECTOR_FROM_GENERAL: {
      const width: u32 = uSize(u) == 3 ? 3 : 2;
      let v: u32;
      if (s) {
        v = readReg(<u32>s, 3);
        if (width == 2) v = binary(I64_AND, v, constant(0xffffffff));
      } else v = scalar(width);
      setXmm(v);
      return true;
    }
    case VECTOR_FROM_INTEGER:
      if (!legacy || uSize(u) == 3) return false;
      vector(c, kind, 0, s ? readReg(<u32>s, 2) : scalar(2), op, u, calls);
      return true;
    case VECTOR_DOUBLE: case VECTOR_SINGLE:
      if (!legacy) return false;
      vector(c, kind, source(kind == VECTOR_DOUBLE ? 3 : 2, false), 0, op, u, calls);
      return true;
    default: return false;
  }
}

/** Replaces the low 1 << z bytes (5: 8) of operand 0. */
function merge(z: u32, v: u32): void {
  const d = uD(at);
  if (z == 2) {
    v = binary(I64_OR, binary(I64_AND, reload(d), constant(0xffffffff00000000)), binary(I64_AND, v, constant(0xffffffff)));
  }
  spill(d, v);
}

/** TZCNT, LZCNT and POPCNT: the flags that are undefined are clear. */
function count(which: u32): void {
  const z = uSize(at), bits: u64 = 8 << z, mask: u64 = ~0 >> (64 - bits), s = uS(at);
  const p = s ? 0 : memory_(z, READ, false);
  const v = p
    ? loadFrom(p, z == 3 ? I64_LOAD : z == 2 ? I64_LOAD32_U : I64_LOAD16_U)
    : binary(I64_AND, readReg(<u32>s, z), constant(mask));
  const none = binary(I64_EQ, v, constant(0));
  let n: u32;
  if (which == 0) n = choose(none, constant(bits), unary(I64_CTZ, v));
  else if (which == 1) n = binary(I64_SUB, unary(I64_CLZ, v), constant(64 - bits));
  else n = unary(I64_POPCNT, v);
  writeReg(<u32>uD(at), z, n);
  const zero = binary(I64_SHL, widen(binary(I64_EQ, n, constant(0))), constant(6));
  setFlags(which == 2 ? zero : binary(I64_OR, zero, widen(none)));
}
