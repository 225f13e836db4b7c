/** From VECTOR nodes (./vector.ts) to Wasm. */
import { V_GPR, V_MXCSR } from "../gen/layout";
import { H_CALL_HANDLER } from "../gen/helpers";
import {
  VECTOR_BINARY, VECTOR_DOUBLE, VECTOR_FROM_INTEGER, VECTOR_LOAD, VECTOR_LOAD_ALIGNED, VECTOR_MASK, VECTOR_PSHUFD,
  VECTOR_SHIFT, VECTOR_SHIFT_BYTES_LEFT, VECTOR_SHIFT_BYTES_RIGHT, VECTOR_SHIFT_SIGN, VECTOR_SHUFPD, VECTOR_SHUFPS,
  VECTOR_SINGLE, VECTOR_STORE, VECTOR_STORE_ALIGNED, VECTOR_SWAPPED, VECTOR_TRUNCATE_DOUBLE, VECTOR_UNPACK,
} from "../gen/emit";
import { FAST_MASK, FAST_VALUE } from "../fp/fast";
import { SHAPE_XMM, SHAPE_YMM, uD, uLeft, uS, uShape } from "../decode/uop";
import { inLocals, Node, snapshotAt, uopOf } from "./ir";
import { countCall } from "./profile";
import { commitMemory, depart, keep, L_VCPU, pushHome, pushPointer, setRipPage, temp32, temp64 } from "./lower";
import { get, get32 } from "./lowerValue";
import {
  byte, call, close, ELSE, I32_ADD, I32_AND, I32_EQ, I32_EQZ, I32_LOAD, I32_LT_U, I32_OR, I32_SHL, I32_STORE, I32_SUB,
  i32Const, I64_AND, I64_EQZ, I64_EXTEND_S, I64_EXTEND_U, I64_LOAD, I64_LT_U, I64_SHL, I64_STORE, I64_SUB,
  i64Const, IF, localGet, localSet, memory_, open, simd, unsigned,
} from "./wasm";

const V128_LOAD: u32 = 0;
const V128_STORE: u32 = 11;
const V128_CONST: u32 = 12;
const SHUFFLE: u32 = 13;

let u: usize = 0;
let pointer: u32 = 0;

function vectorMemory(op: u32, offset: usize): void {
  simd(op);
  byte(0);
  unsigned(<u32>offset);
}

/** Pushes a half (plus = 0 or 16) of the first source, and of operand 1. */
function pushLeft(plus: usize): void { localGet(L_VCPU); vectorMemory(V128_LOAD, uLeft(u) + plus); }
function pushRight(plus: usize): void {
  if (pointer) vectorMemory(V128_LOAD, pushPointer(pointer) + plus);
  else { localGet(L_VCPU); vectorMemory(V128_LOAD, uS(u) + plus); }
}
function pushZero(): void { simd(V128_CONST); for (let i = 0; i < 16; i++) byte(0); }

/** Eight bits of a shuffle's sixteen: lane i is byte `from` + i % size of operand `right`. */
function shuffleLane(index: u32, bytes: u32): void { for (let i: u32 = 0; i < bytes; i++) byte(index * bytes + i); }

function lowerHalf(kind: u32, op: u32, plus: usize): void {
  const imm = <u32>load<u8>(u, 16);
  switch (kind) {
    case VECTOR_BINARY: pushLeft(plus); pushRight(plus); simd(op); return;
    case VECTOR_SWAPPED: pushRight(plus); pushLeft(plus); simd(op); return;
    case VECTOR_LOAD: case VECTOR_LOAD_ALIGNED: pushRight(plus); return;
    case VECTOR_UNPACK: {
      pushLeft(plus); pushRight(plus);
      const bytes: u32 = 1 << (op & 3), lanes: u32 = 16 / bytes, half: u32 = lanes / 2, from: u32 = op & 4 ? half : 0;
      simd(SHUFFLE);
      for (let i: u32 = 0; i < half; i++) { shuffleLane(from + i, bytes); shuffleLane(lanes + from + i, bytes); }
      return;
    }
    case VECTOR_SHIFT: case VECTOR_SHIFT_SIGN: {
      // The opcodes go up by 32 with the lane's size.
      const last: u32 = (16 << ((op - 0x8b) >> 5)) - 1;
      if (imm > last && kind == VECTOR_SHIFT) { pushZero(); return; }
      pushLeft(plus);
      i32Const(min<u32>(imm, last));
      simd(op);
      return;
    }
    case VECTOR_SHIFT_BYTES_RIGHT: case VECTOR_SHIFT_BYTES_LEFT: {
      const n = min<u32>(imm, 16), right = kind == VECTOR_SHIFT_BYTES_RIGHT;
      if (right) { pushLeft(plus); pushZero(); } else { pushZero(); pushLeft(plus); }
      simd(SHUFFLE);
      for (let i: u32 = 0; i < 16; i++) byte(right ? i + n : 16 + i - n);
      return;
    }
    case VECTOR_PSHUFD:
      pushRight(plus); pushZero();
      simd(SHUFFLE);
      for (let i: u32 = 0; i < 4; i++) shuffleLane((imm >> (2 * i)) & 3, 4);
      return;
    case VECTOR_SHUFPS:
      pushLeft(plus); pushRight(plus);
      simd(SHUFFLE);
      for (let i: u32 = 0; i < 4; i++) shuffleLane(((imm >> (2 * i)) & 3) + (i < 2 ? 0 : 4), 4);
      return;
    case VECTOR_SHUFPD: {
      const bits = plus ? imm >> 2 : imm;
      pushLeft(plus); pushRight(plus);
      simd(SHUFFLE);
      shuffleLane(bits & 1, 8); shuffleLane(2 + ((bits >> 1) & 1), 8);
      return;
    }
    default: unreachable();
  }
}

/** Stores a vector to memory, or to a register. */
function lowerStore(): void {
  const wide = uShape(u) == SHAPE_YMM, d = uD(u), s = uS(u);
  for (let plus: usize = 0; plus <= (wide ? 16 : 0); plus += 16) {
    let to = d;
    if (pointer) to = pushPointer(pointer); else localGet(L_VCPU);
    localGet(L_VCPU); vectorMemory(V128_LOAD, s + plus);
    vectorMemory(V128_STORE, to + plus);
  }
  if (!pointer && uShape(u) == SHAPE_XMM) clearUpper();
}

function clearUpper(): void { localGet(L_VCPU); pushZero(); vectorMemory(V128_STORE, uD(u) + 16); }

/** The handler does it after all; leaves if it does not complete. What it needs of the registers goes home before. */
function lowerHandler(n: Node): void {
  if (inLocals) {
    sendHome(n, load<u16>(u, 6));
    sendHome(n, load<u16>(u, 8));
  } else {
    commitMemory(n.c);
    if (load<u16>(u, 6) == <u16>V_GPR + 32) sendHome(n, V_GPR + 32);
  }
  setRipPage();
  countCall(load<u16>(u));
  localGet(L_VCPU); localGet(L_VCPU); i32Const(n.d); byte(I32_ADD);
  call(H_CALL_HANDLER);
  byte(I32_EQZ);
  open(IF);
  depart(n, -1);
  close();
}
function sendHome(n: Node, off: usize): void {
  if (off < V_GPR || off >= V_GPR + 128) return;
  const i = <u32>(off - V_GPR) >> 3, v = snapshotAt(n.c, i);
  localGet(L_VCPU);
  if (v) get(v); else pushHome(i);
  memory_(I64_STORE, off);
}

/** Pushes (x & exponent) - least <u range: the exponent field of the double in a local lies within bounds. */
function pushPlain64(x: u32, least: u64, range: u64): void {
  localGet(x); i64Const(0x7ff0000000000000); byte(I64_AND);
  i64Const(least); byte(I64_SUB);
  i64Const(range); byte(I64_LT_U);
}
function pushPlain32(x: u32, least: u32, range: u32): void {
  localGet(x); i32Const(0x7f800000); byte(I32_AND);
  i32Const(least); byte(I32_SUB);
  i32Const(range); byte(I32_LT_U);
}

/** The conditions of assembly/fp/fast.ts, without zeros but for the operands of sums: other cases go to the handler. */
function lowerScalar(n: Node, double: bool): void {
  const op = <u32>(n.imm >> 40), sum = double ? op == 0xa0 || op == 0xa1 : op == 0x92 || op == 0x93;
  const root = double ? op == 0x9f : op == 0x91;
  const a = double ? temp64() : temp32(), b = double ? temp64() : temp32(), r = double ? temp64() : temp32();
  const loadOp = double ? I64_LOAD : I32_LOAD;
  if (pointer) memory_(loadOp, pushPointer(pointer)); else { localGet(L_VCPU); memory_(loadOp, uS(u)); }
  localSet(b);
  if (!root) { localGet(L_VCPU); memory_(loadOp, uD(u)); localSet(a); }
  // f64.reinterpret_i64 and its like
  const toFloat: u32 = double ? 0xbf : 0xbe, toBits: u32 = double ? 0xbd : 0xbc;
  if (!root) { localGet(a); byte(toFloat); }
  localGet(b); byte(toFloat);
  byte(op); byte(toBits); localSet(r);
  localGet(L_VCPU); memory_(I32_LOAD, V_MXCSR); i32Const(FAST_MASK); byte(I32_AND); i32Const(FAST_VALUE); byte(I32_EQ);
  for (let i = root ? 1 : 0; i < 2; i++) {
    const x = i ? b : a;
    if (double) pushPlain64(x, 0x0010000000000000, 0x7fe0000000000000); else pushPlain32(x, 0x00800000, 0x7f000000);
    if (sum) {
      localGet(x);
      if (double) { i64Const(1); byte(I64_SHL); byte(I64_EQZ); } else { i32Const(1); byte(I32_SHL); byte(I32_EQZ); }
      byte(I32_OR);
    }
    byte(I32_AND);
  }
  // The root of a negative number is a NaN, which is not plain.
  if (double) pushPlain64(r, 0x0020000000000000, 0x7fd0000000000000); else pushPlain32(r, 0x01000000, 0x7e800000);
  byte(I32_AND);
  open(IF);
  localGet(L_VCPU); localGet(r); memory_(double ? I64_STORE : I32_STORE, uD(u));
  byte(ELSE);
  lowerHandler(n);
  close();
}

/** CVTTSD2SI of what fits into 32 bits, when inexactness would not be news. */
function lowerTruncate(n: Node, to: u32): void {
  const x = temp64(), silent: u32 = 0x1020;
  if (pointer) memory_(I64_LOAD, pushPointer(pointer)); else { localGet(L_VCPU); memory_(I64_LOAD, uS(u)); }
  localSet(x);
  localGet(L_VCPU); memory_(I32_LOAD, V_MXCSR); i32Const(silent); byte(I32_AND); i32Const(silent); byte(I32_EQ);
  // |x| < 2^31, NaNs excluded: by the bits
  localGet(x); i64Const(0x7fffffffffffffff); byte(I64_AND); i64Const(0x41e0000000000000); byte(I64_LT_U);
  byte(I32_AND);
  open(IF);
  // i32.trunc_f64_s
  localGet(x); byte(0xbf); byte(0xaa);
  byte((<u32>load<u8>(u, 11) & 3) == 3 ? I64_EXTEND_S : I64_EXTEND_U);
  localSet(to);
  byte(ELSE);
  lowerHandler(n);
  localGet(L_VCPU); memory_(I64_LOAD, uD(u)); localSet(to);
  close();
}

export function lowerVector(n: Node): void {
  const kind = <u32>n.op, op = <u32>(n.imm >> 40);
  u = uopOf(n);
  pointer = n.a;
  switch (kind) {
    case VECTOR_STORE: case VECTOR_STORE_ALIGNED: lowerStore(); return;
    case VECTOR_DOUBLE: case VECTOR_SINGLE: lowerScalar(n, kind == VECTOR_DOUBLE); return;
    case VECTOR_TRUNCATE_DOUBLE: {
      const to = temp64();
      lowerTruncate(n, to);
      localGet(to); keep(n);
      return;
    }
    case VECTOR_FROM_INTEGER:
      // f64.convert_i32_s, f64.store
      localGet(L_VCPU); get32(n.b); byte(0xb7); memory_(0x39, uD(u));
      return;
    case VECTOR_MASK: {
      const wide = uShape(u) == SHAPE_YMM, s = uS(u), lanes: u32 = op == 0x64 ? 16 : op == 0xa4 ? 4 : 2;
      localGet(L_VCPU); vectorMemory(V128_LOAD, s); simd(op);
      if (wide) {
        localGet(L_VCPU); vectorMemory(V128_LOAD, s + 16); simd(op);
        i32Const(lanes); byte(I32_SHL); byte(I32_OR);
      }
      byte(I64_EXTEND_U);
      keep(n);
      return;
    }
    default: break;
  }
  const wide = uShape(u) == SHAPE_YMM;
  for (let plus: usize = 0; plus <= (wide ? 16 : 0); plus += 16) {
    localGet(L_VCPU);
    lowerHalf(kind, op, plus);
    vectorMemory(V128_STORE, uD(u) + plus);
  }
  if (uShape(u) == SHAPE_XMM) clearUpper();
}
