/** Values of nodes (./ir.ts) on the Wasm stack: what has a local is read from it, the rest is computed where it is used. */
import { H_ARITHMETIC_OF, H_CARRY_OF, H_CONDITION_OF } from "../gen/helpers";
import {
  BINARY, CHOOSE, CONST, CPU, FLAG_OP, isLocal, kindOf, Node, node, PURE_CALL, RIP_PAGE, STATE, UNARY,
} from "./ir";
import { cpuMemory, keep, localOfState, lRipPage, note, pushCpu, temp64 } from "./lower";
import { countFlags } from "./profile";
import {
  byte, call, I32_ADD, I32_AND, I32_EQ, I32_EQZ, I32_GE_U, I32_SHL, I32_WRAP, i32Const, I64_ADD, I64_AND,
  I64_EXTEND32_S, I64_EXTEND_S, I64_EXTEND_U, I64_LOAD, I64_MUL, I64_SHL, I64_XOR, i64Const, localGet, localSet, SELECT,
} from "./wasm";

/** Pushes an i64. */
export function get(v: u32): void {
  const n = node(v);
  if (n.local) localGet(n.local);
  else push(n);
  if (n.type) byte(I64_EXTEND_U);
}

/** i32 opcode of an i64 operation whose low half depends on its operands' low halves only; 0 if there is none. */
function half(n: Node): u32 {
  const op: u32 = n.op;
  if (n.kind != BINARY) return 0;
  if (op >= I64_ADD && op <= I64_MUL) return op - I64_ADD + I32_ADD;
  if (op >= I64_AND && op <= I64_XOR) return op - I64_AND + I32_AND;
  if (op == I64_SHL && kindOf(n.b) == CONST && node(n.b).imm < 32) return I32_SHL;
  return 0;
}

/** Pushes the low half as an i32. */
export function get32(v: u32): void {
  const n = node(v);
  if (n.kind == CONST) { i32Const(<i32>n.imm); return; }
  if (n.local) {
    localGet(n.local);
    if (!n.type) byte(I32_WRAP);
    return;
  }
  if (n.type) { push(n); return; }
  if (n.uses <= 1) {
    const op = half(n);
    if (op) {
      get32(n.a); get32(n.b); byte(op);
      return;
    }
    if (n.kind == UNARY && n.op == I64_EXTEND32_S) { get32(n.a); return; }
    if (n.kind == UNARY && n.op == I64_EXTEND_U) { get32(n.a); return; }
  }
  push(n);
  byte(I32_WRAP);
}

/** Pushes what a node without local computes, in the node's type. */
export function push(n: Node): void {
  switch (n.kind) {
    case CONST: i64Const(n.imm); return;
    case STATE: note(n.a, false); localGet(localOfState(n.a)); return;
    case RIP_PAGE: localGet(lRipPage); return;
    case CPU: pushCpu(); cpuMemory(I64_LOAD, <usize>n.imm); return;
    case UNARY:
      if (n.op == I64_EXTEND_U) { get32(n.a); byte(I64_EXTEND_U); }
      else if (n.op == I64_EXTEND32_S) { get32(n.a); byte(I64_EXTEND_S); }
      else { get(n.a); byte(n.op); }
      return;
    case BINARY: pushBinary(n); return;
    case CHOOSE:
      if (n.type) { get32(n.b); get32(n.c); } else { get(n.b); get(n.c); }
      get32(n.a);
      byte(SELECT);
      return;
    case PURE_CALL: pushCall(n); return;
    default: unreachable();
  }
}

function pushBinary(n: Node): void {
  const op: u32 = n.op;
  if (op >= I32_EQ && op <= I32_GE_U) {
    if (kindOf(n.b) == CONST && node(n.b).imm == 0 && op == I32_EQ) { get32(n.a); byte(I32_EQZ); return; }
    get32(n.a); get32(n.b); byte(op);
    return;
  }
  // The low half alone: i32 operations clear the upper half for nothing.
  if (op == I64_AND && kindOf(n.b) == CONST && node(n.b).imm == 0xffffffff) { get32(n.a); byte(I64_EXTEND_U); return; }
  get(n.a); get(n.b); byte(op);
}

function pushCall(n: Node): void {
  const f: u32 = n.op;
  if (f == H_CONDITION_OF) i32Const(<i32>n.imm);
  const ofFlags = f == H_CONDITION_OF || f == H_CARRY_OF || f == H_ARITHMETIC_OF;
  if (ofFlags) { countFlags(); get32(n.a); } else get(n.a);
  if (n.b) get(n.b);
  if (n.c) get(n.c);
  if (n.d) get(n.d);
  if (n.imm && !ofFlags) i64Const(n.imm);
  call(f);
}

/** A local that holds the i64 value for the rest of the block. */
export function inLocal(v: u32): u32 {
  const n = node(v);
  if (n.local) return n.local;
  if (n.kind == STATE && n.a != FLAG_OP && isLocal(n.a)) { note(n.a, false); return localOfState(n.a); }
  if (n.kind == RIP_PAGE) return lRipPage;
  get(v);
  if (!n.type) {
    keep(n);
    return n.local;
  }
  const l = temp64();
  localSet(l);
  return l;
}
