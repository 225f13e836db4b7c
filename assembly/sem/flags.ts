/**
 * The lazy arithmetic flags. An instruction leaves an operation code and up to three 64-bit values, sign-extended
 * from the operand size; the flags are computed when something asks. Sign extension keeps the unsigned order of
 * values of one size, so one rule serves all sizes.
 *
 *     op      d        a            b
 *     SUB     a - b    a            b             also CMP, NEG (a = 0)
 *     ADD     a + b    a            b
 *     LOGIC   result   -            -             CF = OF = AF = 0
 *     SHR     result   x >> (n-1)   x             CF = a & 1; OF = sign of x
 *     SAR     result   x >> (n-1)   -             CF = a & 1; OF = 0
 *     SHL     result   x << (n-1)   x ^ x << 1    CF = sign of a; OF = sign of b
 *     INC/DEC result   x            CF before
 *     ADC/SBB result   a            b             carries from the sum's carry vector
 *     MUL     low half 1 if the high half matters -   ZF = 0 (by NOT_ZERO in d)
 *     RAW     -        RFLAGS bits  -
 */
import { Vcpu } from "../gen/layout";

export const F_SUB: u32 = 0;
export const F_ADD: u32 = 1;
export const F_LOGIC: u32 = 2;
export const F_SHR: u32 = 3;
export const F_INC: u32 = 4;
export const F_DEC: u32 = 5;
export const F_ADC: u32 = 6;
export const F_SBB: u32 = 7;
export const F_SHL: u32 = 8;
export const F_SAR: u32 = 9;
export const F_MUL: u32 = 10;
export const F_RAW: u32 = 11;

/**
 * ORed into a record's first value, keeps ZF clear and changes nothing else of what the flags are made from: ZF after
 * multiplications and BSF, PF after BSF are undefined by the SDM; Intel's processors have these.
 */
export const NOT_ZERO: i64 = 0x100;

export const CF: u64 = 1;
export const PF: u64 = 4;
export const AF: u64 = 0x10;
export const ZF: u64 = 0x40;
export const SF: u64 = 0x80;
export const OF: u64 = 0x800;
/** The six flags that are lazy. */
export const ARITH: u64 = 0x8d5;

export function carryOf(op: u32, d: u64, a: u64, b: u64): u64 {
  switch (op) {
    case F_SUB: return u64(a < b);
    case F_ADD: return u64(d < a);
    case F_SHR: return a & 1;
    case F_SAR: return a & 1;
    case F_SHL: return a >> 63;
    case F_INC: return b;
    case F_DEC: return b;
    case F_ADC: return ((a & b) | ((a | b) & ~d)) >> 63;
    case F_SBB: return ((~a & b) | (~(a ^ b) & d)) >> 63;
    case F_MUL: return a;
    case F_RAW: return a & CF;
    default: return 0;
  }
}

export function overflowOf(op: u32, d: u64, a: u64, b: u64): u64 {
  switch (op) {
    case F_SUB: case F_SBB: return ((a ^ b) & (a ^ d)) >> 63;
    case F_ADD: case F_ADC: return (~(a ^ b) & (a ^ d)) >> 63;
    case F_INC: return (~a & d) >> 63;
    case F_DEC: return (a & ~d) >> 63;
    case F_SHL: case F_SHR: return b >> 63;
    case F_MUL: return a;
    case F_RAW: return (a >> 11) & 1;
    default: return 0;
  }
}

function adjustOf(op: u32, d: u64, a: u64, b: u64): u64 {
  switch (op) {
    case F_SUB: case F_ADD: case F_ADC: case F_SBB: return ((a ^ b ^ d) >> 4) & 1;
    case F_INC: return u64((d & 15) == 0);
    case F_DEC: return u64((d & 15) == 15);
    case F_RAW: return (a >> 4) & 1;
    default: return 0;
  }
}

/** Condition code `cc` (SDM vol. 1 appendix B) of a flags record: 1 or 0. */
export function conditionOf(cc: i32, op: u32, d: u64, a: u64, b: u64): u32 {
  let r: bool;
  if (op == F_RAW) {
    switch (cc >> 1) {
      case 0: r = (a & OF) != 0; break;
      case 1: r = (a & CF) != 0; break;
      case 2: r = (a & ZF) != 0; break;
      case 3: r = (a & (CF | ZF)) != 0; break;
      case 4: r = (a & SF) != 0; break;
      case 5: r = (a & PF) != 0; break;
      case 6: r = ((a >> 7) & 1) != ((a >> 11) & 1); break;
      default: r = (a & ZF) != 0 || ((a >> 7) & 1) != ((a >> 11) & 1); break;
    }
  } else {
    switch (cc >> 1) {
      case 0: r = overflowOf(op, d, a, b) != 0; break;
      case 1: r = carryOf(op, d, a, b) != 0; break;
      case 2: r = d == 0; break;
      case 3: r = d == 0 || carryOf(op, d, a, b) != 0; break;
      case 4: r = <i64>d < 0; break;
      case 5: r = (popcnt<u32>(<u32>d & 255) & 1) == 0; break;
      case 6: r = u64(<i64>d < 0) != overflowOf(op, d, a, b); break;
      default: r = d == 0 || u64(<i64>d < 0) != overflowOf(op, d, a, b); break;
    }
  }
  return u32(r != ((cc & 1) != 0));
}

/** The six arithmetic flags, as RFLAGS bits. */
export function arithmeticFlags(c: Vcpu): u64 {
  return arithmeticOf(c.ccOp, c.ccD, c.ccA, c.ccB);
}

export function arithmeticOf(op: u32, d: u64, a: u64, b: u64): u64 {
  if (op == F_RAW) return a & ARITH;
  return carryOf(op, d, a, b)
    | (u64((popcnt<u32>(<u32>d & 255) & 1) == 0) << 2)
    | (adjustOf(op, d, a, b) << 4)
    | (u64(d == 0) << 6)
    | ((d >> 63) << 7)
    | (overflowOf(op, d, a, b) << 11);
}

export function setArithmeticFlags(c: Vcpu, flags: u64): void {
  c.ccOp = F_RAW;
  c.ccA = flags & ARITH;
}

/** RFLAGS as the guest sees it. */
export function getRflags(c: Vcpu): u64 {
  return (c.rflags & ~ARITH) | arithmeticFlags(c) | 2;
}

export function carryFlag(c: Vcpu): u64 {
  return carryOf(c.ccOp, c.ccD, c.ccA, c.ccB);
}

export function condition(c: Vcpu, cc: i32): u32 {
  return conditionOf(cc, c.ccOp, c.ccD, c.ccA, c.ccB);
}
