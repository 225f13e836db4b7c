/** Flags as values: carry and conditions at some point of a block (assembly/sem/flags.ts has the rules). */
import { H_CARRY_OF, H_CONDITION_OF } from "../gen/helpers";
import {
  CF, F_ADC, F_ADD, F_DEC, F_INC, F_LOGIC, F_MUL, F_RAW, F_SAR, F_SBB, F_SHL, F_SHR, F_SUB, OF, PF, SF, ZF,
} from "../sem/flags";
import { binary, constant, FLAG_A, FLAG_B, FLAG_D, FLAG_OP, isConst, node, pureCall, state, unary, widen } from "./ir";
import {
  I64_AND, I64_EQ, I64_GE_S, I64_GE_U, I64_GT_S, I64_GT_U, I64_LE_S, I64_LE_U, I64_LT_S, I64_LT_U, I64_NE, I64_POPCNT,
  I64_SHR_U, I64_XOR,
} from "./wasm";

@inline function k(v: u64): u32 { return constant(v); }
function and(x: u32, m: u64): u32 { return binary(I64_AND, x, k(m)); }

/** The operation that left the flags, -1 if it is not known here. */
export function knownOp(): i32 {
  const op = state(FLAG_OP);
  return isConst(op) ? <i32>node(op).imm : -1;
}

export function carryNode(): u32 {
  const d = state(FLAG_D), a = state(FLAG_A), b = state(FLAG_B);
  switch (knownOp()) {
    case F_SUB: return widen(binary(I64_LT_U, a, b));
    case F_ADD: return widen(binary(I64_LT_U, d, a));
    case F_SHR: case F_SAR: case F_RAW: return and(a, CF);
    case F_SHL: return binary(I64_SHR_U, a, k(63));
    case F_INC: case F_DEC: return b;
    case F_MUL: return a;
    case F_LOGIC: return k(0);
    default: return pureCall(H_CARRY_OF, 0, state(FLAG_OP), d, a, b, 0);
  }
}

/** The overflow flag as bit 63 of a value, or 0 if only the helper knows. */
function overflowSign(op: i32): u32 {
  const d = state(FLAG_D), a = state(FLAG_A), b = state(FLAG_B);
  const ab = binary(I64_XOR, a, b), ad = binary(I64_XOR, a, d);
  switch (op) {
    case F_SUB: case F_SBB: return binary(I64_AND, ab, ad);
    case F_ADD: case F_ADC: return binary(I64_AND, binary(I64_XOR, ab, k(~0)), ad);
    case F_INC: return binary(I64_AND, binary(I64_XOR, a, k(~0)), d);
    case F_DEC: return binary(I64_AND, a, binary(I64_XOR, d, k(~0)));
    case F_SHL: case F_SHR: return b;
    case F_LOGIC: case F_SAR: return k(0);
    default: return 0;
  }
}

const SUB_OPS: StaticArray<u8> = [
  0, 0, <u8>I64_LT_U, <u8>I64_GE_U, <u8>I64_EQ, <u8>I64_NE, <u8>I64_LE_U, <u8>I64_GT_U,
  0, 0, 0, 0, <u8>I64_LT_S, <u8>I64_GE_S, <u8>I64_LE_S, <u8>I64_GT_S,
];

export function conditionNode(cc: i32): u32 {
  const op = knownOp(), not = cc & 1, d = state(FLAG_D), a = state(FLAG_A), zero = k(0);
  if (op == F_SUB && unchecked(SUB_OPS[cc])) return binary(unchecked(SUB_OPS[cc]), a, state(FLAG_B));
  if (op == F_RAW && cc < 12) {
    const m: u64 = cc < 2 ? OF : cc < 4 ? CF : cc < 6 ? ZF : cc < 8 ? CF | ZF : cc < 10 ? SF : PF;
    return binary(not ? I64_EQ : I64_NE, and(a, m), zero);
  }
  if (op >= 0 && op != F_RAW) {
    switch (cc >> 1) {
      case 1: return binary(not ? I64_EQ : I64_NE, carryNode(), zero);
      case 2: return binary(not ? I64_NE : I64_EQ, d, zero);
      case 4: return binary(not ? I64_GE_S : I64_LT_S, d, zero);
      case 5: return binary(not ? I64_NE : I64_EQ, and(unary(I64_POPCNT, and(d, 0xff)), 1), zero);
      case 0: case 6: {
        const o = overflowSign(op);
        if (o) return binary(not ? I64_GE_S : I64_LT_S, cc < 2 ? o : binary(I64_XOR, o, d), zero);
        break;
      }
      default:
        if (op != F_LOGIC) break;
        return cc < 8 ? binary(not ? I64_NE : I64_EQ, d, zero) : binary(not ? I64_GT_S : I64_LE_S, d, zero);
    }
  }
  return pureCall(H_CONDITION_OF, 1, state(FLAG_OP), d, a, state(FLAG_B), cc);
}
