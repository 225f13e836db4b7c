/** From VECTOR nodes (./vector.ts) to Wasm. */
import { V_CC_A, V_GPR, V_MXCSR, V_YMM } from "../gen/layout";
import { H_CALL_HANDLER } from "../gen/helpers";
import {
  VECTOR_BINARY, VECTOR_BROADCAST, VECTOR_COMPARE_DOUBLE, VECTOR_DOUBLE, VECTOR_FROM_INTEGER, VECTOR_LOAD, VECTOR_LOAD_ALIGNED, VECTOR_MASK, VECTOR_PSHUFB, VECTOR_PSHUFD,
  VECTOR_SHIFT, VECTOR_SHIFT_BYTES_LEFT, VECTOR_SHIFT_BYTES_RIGHT, VECTOR_SHIFT_SIGN, VECTOR_SHUFPD, VECTOR_SHUFPS,
  VECTOR_SINGLE, VECTOR_STORE, VECTOR_STORE_ALIGNED, VECTOR_SWAPPED, VECTOR_TRUNCATE_DOUBLE, VECTOR_UNPACK,
} from "../gen/emit";
import { FAST_MASK, FAST_VALUE } from "../fp/fast";
import { SHAPE_XMM, SHAPE_YMM, uD, uLeft, uS, uShape } from "../decode/uop";
import { inLocals, Node, snapshotAt, uopOf } from "./ir";
import { countCall } from "./profile";
import {
  commitMemory, cpuBase, cpuMemory, firstFloat, keep, L_VCPU, pushCpu, lFast, pushHome, pushPointer, setRipPage, temp32, temp64,
} from "./lower";
import { depart } from "./depart";
import { get, get32 } from "./lowerValue";
import {
  BLOCK, br, brIf, byte, call, close, ELSE, F64_EQ, F64_GE, F64_LOAD, F64_LT, F64_REINTERPRET, F64_STORE, I32_AND, I32_EQ, I32_EQZ, I32_LOAD, I32_LT_U, I32_OR, I32_SHL, I32_STORE, I32_SUB,
  i32Const, I64_AND, I64_EQZ, I64_EXTEND_S, I64_EXTEND_U, I64_GE_U, I64_LOAD, I64_LT_U, I64_REINTERPRET, I64_SHL, I64_STORE, I64_SUB,
  i64Const, IF, localGet, localSet, memory_, open, simd, unsigned,
} from "./wasm";

const V128_LOAD: u32 = 0;
const V128_STORE: u32 = 11;
const V128_CONST: u32 = 12;
const SHUFFLE: u32 = 13;
const SWIZZLE: u32 = 14;
/** v128.load8_splat; 16, 32 and 64 follow. */
const V128_LOAD8_SPLAT: u32 = 7;
const V128_AND: u32 = 0x4e;

let u: usize = 0;
let pointer: u32 = 0;

/** So many locals of type f64 hold what follows: a low lane each, and an operand and a result on their way. */
export const FLOATS: u32 = 18;
const OPERAND: u32 = 16;
const RESULT: u32 = 17;
/** XMM registers whose low lane is in its local, too, and whether lFast is set: as far as this has been written. */
let lows: u32 = 0;
let knowsFast: bool = false;
/** Whether locals of type f64 have been used. */
export let usesFloats: bool = false;

/** Nothing is known of XMM registers and MXCSR any more: a block begins, or a handler has been called. */
export function forgetVectors(): void { lows = 0; knowsFast = false; }
export function beginVectors(): void { usesFloats = false; }

/** Number of the XMM register whose low lane lies at an offset of the vCPU page, or -1. */
function lowAt(offset: usize): i32 {
  const off = offset - V_YMM;
  return off < 512 && !(off & 31) ? <i32>(off >> 5) : -1;
}
@inline function lane(r: u32): u32 { usesFloats = true; return firstFloat + r; }

/** What has been stored at an offset of the vCPU page is node v. */
export function noteSpill(offset: usize, v: u32): void {
  const r = lowAt(offset);
  if (r < 0) return;
  get(v); byte(F64_REINTERPRET); localSet(lane(r));
  lows |= 1 << r;
}
/** Pushes the i64 at an offset of the vCPU page. */
export function pushReload(offset: usize): void {
  const r = lowAt(offset);
  if (r >= 0 && lows >> r & 1) { localGet(lane(r)); byte(I64_REINTERPRET); }
  else { pushCpu(); cpuMemory(I64_LOAD, offset); }
}
/** The register at an offset is written otherwise. */
function forget(offset: usize): void {
  const r = lowAt(offset);
  if (r >= 0) lows &= ~(1 << r);
}
/** Pushes the low lane of the register at an offset as a double. */
function pushLow(offset: usize): void {
  const r = lowAt(offset);
  if (!(lows >> r & 1)) {
    pushCpu(); cpuMemory(F64_LOAD, offset); localSet(lane(r));
    lows |= 1 << r;
  }
  localGet(lane(r));
}
/** The low lane of the destination becomes what is in its local. */
function storeLow(): void { pushCpu(); localGet(lane(lowAt(uD(u)))); cpuMemory(F64_STORE, uD(u)); }

function vectorMemory(op: u32, offset: usize): void {
  simd(op);
  byte(0);
  unsigned(<u32>offset);
}

/** Pushes a half (plus = 0 or 16) of the first source, and of operand 1. */
function pushLeft(plus: usize): void { pushCpu(); vectorMemory(V128_LOAD, cpuBase + uLeft(u) + plus); }
function pushRight(plus: usize): void {
  if (pointer) vectorMemory(V128_LOAD, pushPointer(pointer) + plus);
  else { pushCpu(); vectorMemory(V128_LOAD, cpuBase + uS(u) + plus); }
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
    case VECTOR_PSHUFB:
      // What bit 7 clears is beyond the vector for the host.
      pushLeft(plus); pushRight(plus);
      simd(V128_CONST); for (let i = 0; i < 16; i++) byte(0x8f);
      simd(V128_AND); simd(SWIZZLE);
      return;
    case VECTOR_BROADCAST: {
      const load_ = imm == 4 ? V128_LOAD : V128_LOAD8_SPLAT + imm;
      if (pointer) vectorMemory(load_, pushPointer(pointer));
      else { pushCpu(); vectorMemory(load_, cpuBase + uS(u)); }
      return;
    }
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
    let to = cpuBase + d;
    if (pointer) to = pushPointer(pointer); else pushCpu();
    pushCpu(); vectorMemory(V128_LOAD, cpuBase + s + plus);
    vectorMemory(V128_STORE, to + plus);
  }
  if (!pointer && uShape(u) == SHAPE_XMM) clearUpper();
}

/** A copy of a register that has just been written by halves, which a load of the whole would have to wait for. */
function lowerCopy(): bool {
  const d = lowAt(uD(u)), s = lowAt(uS(u));
  if (d < 0 || s < 0 || !(lows >> s & 1)) return false;
  localGet(lane(s)); localSet(lane(d)); storeLow();
  pushCpu();
  pushCpu(); cpuMemory(I64_LOAD, uS(u) + 8); cpuMemory(I64_STORE, uD(u) + 8);
  lows |= 1 << d;
  if (uShape(u) == SHAPE_XMM) clearUpper();
  return true;
}

function clearUpper(): void { pushCpu(); pushZero(); vectorMemory(V128_STORE, cpuBase + uD(u) + 16); }

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
  localGet(L_VCPU); i32Const(<i32>(cpuBase + n.d));
  call(H_CALL_HANDLER);
  byte(I32_EQZ);
  open(IF);
  depart(n, -1);
  close();
}
function sendHome(n: Node, off: usize): void {
  if (off < V_GPR || off >= V_GPR + 128) return;
  const i = <u32>(off - V_GPR) >> 3, v = snapshotAt(n.c, i);
  pushCpu();
  if (v) get(v); else pushHome(i);
  cpuMemory(I64_STORE, off);
}

function pushPlain32(x: u32, least: u32, range: u32): void {
  localGet(x); i32Const(0x7f800000); byte(I32_AND);
  i32Const(least); byte(I32_SUB);
  i32Const(range); byte(I32_LT_U);
}

/** The conditions of assembly/fp/fast.ts, without zeros but for the operands of sums: other cases go to the handler. */
function lowerSingle(n: Node): void {
  const op = <u32>(n.imm >> 40), sum = op == 0x92 || op == 0x93, root = op == 0x91;
  const a = temp32(), b = temp32(), r = temp32();
  if (pointer) memory_(I32_LOAD, pushPointer(pointer)); else { pushCpu(); cpuMemory(I32_LOAD, uS(u)); }
  localSet(b);
  if (!root) { pushCpu(); cpuMemory(I32_LOAD, uD(u)); localSet(a); }
  // f32.reinterpret_i32, i32.reinterpret_f32
  if (!root) { localGet(a); byte(0xbe); }
  localGet(b); byte(0xbe);
  byte(op); byte(0xbc); localSet(r);
  pushFast();
  for (let i = root ? 1 : 0; i < 2; i++) {
    const x = i ? b : a;
    pushPlain32(x, 0x00800000, 0x7f000000);
    if (sum) { localGet(x); i32Const(1); byte(I32_SHL); byte(I32_EQZ); byte(I32_OR); }
    byte(I32_AND);
  }
  // The root of a negative number is a NaN, which is not plain.
  pushPlain32(r, 0x01000000, 0x7e800000);
  byte(I32_AND);
  open(IF);
  pushCpu(); localGet(r); cpuMemory(I32_STORE, uD(u));
  byte(ELSE);
  lowerHandler(n);
  close();
  forget(uD(u));
}

/** Pushes whether MXCSR allows the host's arithmetic: what handlers of arithmetic do to it changes nothing in that. */
function pushFast(): void {
  if (!knowsFast) {
    pushCpu(); cpuMemory(I32_LOAD, V_MXCSR); i32Const(FAST_MASK); byte(I32_AND); i32Const(FAST_VALUE); byte(I32_EQ);
    localSet(lFast);
    knowsFast = true;
  }
  localGet(lFast);
}

/** A double without its sign, shifted left: into a local. */
function magnitude(x: u32): u32 {
  const t = temp64();
  localGet(x); byte(I64_REINTERPRET); i64Const(1); byte(I64_SHL); localSet(t);
  return t;
}
const LEAST_NORMAL: u64 = 1 << 53;
/** Pushes whether a magnitude is that of a denormal. */
function pushDenormal(t: u32): void {
  localGet(t); i64Const(1); byte(I64_SUB); i64Const(LEAST_NORMAL - 1); byte(I64_LT_U);
}

/**
 * The conditions of assembly/fp/fast.ts: MXCSR allows it, no operand is a denormal, and the result is a plain number or an
 * exact zero. Operands that are infinite or NaNs make results that are not plain. Other cases go to the handler.
 */
function lowerDouble(n: Node): void {
  const op = <u32>(n.imm >> 40), sum = op == 0xa0 || op == 0xa1, root = op == 0x9f, r = <u32>lowAt(uD(u));
  if (!root) { pushLow(uD(u)); localSet(lane(RESULT)); }
  const a = root ? 0 : magnitude(lane(RESULT));
  if (pointer) memory_(F64_LOAD, pushPointer(pointer)); else pushLow(uS(u));
  localSet(lane(OPERAND));
  const b = magnitude(lane(OPERAND));
  if (!root) localGet(lane(RESULT));
  localGet(lane(OPERAND)); byte(op); localSet(lane(RESULT));
  const t = magnitude(lane(RESULT));
  const done = open(BLOCK), zero = open(BLOCK), slow = open(BLOCK);
  pushFast(); byte(I32_EQZ); brIf(slow);
  if (!root) { pushDenormal(a); brIf(slow); }
  pushDenormal(b); brIf(slow);
  localGet(t); i64Const(2 * LEAST_NORMAL); byte(I64_SUB); i64Const(0x7fd * LEAST_NORMAL); byte(I64_GE_U); brIf(zero);
  localGet(lane(RESULT)); localSet(lane(r)); storeLow();
  br(done);
  close();
  lowerHandler(n);
  pushCpu(); cpuMemory(F64_LOAD, uD(u)); localSet(lane(r));
  br(done);
  close();
  // A zero: of a sum it is exact, else if an operand is one.
  localGet(t); byte(I64_EQZ);
  if (!sum) {
    localGet(b); byte(I64_EQZ);
    if (!root) { localGet(a); byte(I64_EQZ); byte(I32_OR); }
    byte(I32_AND);
  }
  open(IF);
  localGet(lane(RESULT)); localSet(lane(r)); storeLow();
  byte(ELSE);
  lowerHandler(n);
  pushCpu(); cpuMemory(F64_LOAD, uD(u)); localSet(lane(r));
  close();
  close();
  lows |= 1 << r;
}

/** UCOMISD and COMISD of numbers that are no denormals raise nothing. Leaves ZF, PF and CF in a local. */
function lowerCompare(n: Node, to: u32): void {
  pushLow(uD(u)); localSet(lane(RESULT));
  if (pointer) memory_(F64_LOAD, pushPointer(pointer)); else pushLow(uS(u));
  localSet(lane(OPERAND));
  const a = magnitude(lane(RESULT)), b = magnitude(lane(OPERAND)), done = open(BLOCK), slow = open(BLOCK);
  pushDenormal(a); brIf(slow);
  pushDenormal(b); brIf(slow);
  localGet(lane(RESULT)); localGet(lane(OPERAND)); byte(F64_LT);
  localGet(lane(RESULT)); localGet(lane(OPERAND)); byte(F64_GE);
  byte(I32_OR); byte(I32_EQZ); brIf(slow);
  localGet(lane(RESULT)); localGet(lane(OPERAND)); byte(F64_LT);
  localGet(lane(RESULT)); localGet(lane(OPERAND)); byte(F64_EQ); i32Const(6); byte(I32_SHL);
  byte(I32_OR); byte(I64_EXTEND_U); localSet(to);
  br(done);
  close();
  lowerHandler(n);
  pushCpu(); cpuMemory(I64_LOAD, V_CC_A); localSet(to);
  close();
}

/** CVTTSD2SI of what fits into 32 bits, when inexactness would not be news. */
function lowerTruncate(n: Node, to: u32): void {
  const x = temp64(), silent: u32 = 0x1020;
  if (pointer) memory_(I64_LOAD, pushPointer(pointer)); else pushReload(uS(u));
  localSet(x);
  pushCpu(); cpuMemory(I32_LOAD, V_MXCSR); i32Const(silent); byte(I32_AND); i32Const(silent); byte(I32_EQ);
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
  pushCpu(); cpuMemory(I64_LOAD, uD(u)); localSet(to);
  close();
}

export function lowerVector(n: Node): void {
  const kind = <u32>n.op, op = <u32>(n.imm >> 40);
  u = uopOf(n);
  pointer = n.a;
  switch (kind) {
    case VECTOR_STORE: case VECTOR_STORE_ALIGNED: lowerStore(); forget(uD(u)); return;
    case VECTOR_DOUBLE: lowerDouble(n); return;
    case VECTOR_SINGLE: lowerSingle(n); return;
    case VECTOR_COMPARE_DOUBLE: {
      const to = temp64();
      lowerCompare(n, to);
      localGet(to); keep(n);
      return;
    }
    case VECTOR_TRUNCATE_DOUBLE: {
      const to = temp64();
      lowerTruncate(n, to);
      localGet(to); keep(n);
      return;
    }
    case VECTOR_FROM_INTEGER:
      // f64.convert_i32_s
      get32(n.b); byte(0xb7); localSet(lane(lowAt(uD(u)))); storeLow();
      lows |= 1 << lowAt(uD(u));
      return;
    case VECTOR_MASK: {
      const wide = uShape(u) == SHAPE_YMM, s = uS(u), lanes: u32 = op == 0x64 ? 16 : op == 0xa4 ? 4 : 2;
      pushCpu(); vectorMemory(V128_LOAD, cpuBase + s); simd(op);
      if (wide) {
        pushCpu(); vectorMemory(V128_LOAD, cpuBase + s + 16); simd(op);
        i32Const(lanes); byte(I32_SHL); byte(I32_OR);
      }
      byte(I64_EXTEND_U);
      keep(n);
      return;
    }
    default: break;
  }
  const wide = uShape(u) == SHAPE_YMM;
  if (!wide && !pointer && (kind == VECTOR_LOAD || kind == VECTOR_LOAD_ALIGNED) && lowerCopy()) return;
  forget(uD(u));
  for (let plus: usize = 0; plus <= (wide ? 16 : 0); plus += 16) {
    pushCpu();
    lowerHalf(kind, op, plus);
    vectorMemory(V128_STORE, cpuBase + uD(u) + plus);
  }
  if (uShape(u) == SHAPE_XMM) clearUpper();
}
