/**
 * The backend that writes Wasm: runs the meanings of assembly/sem to build the IR of a block (./ir.ts). V = number of
 * a node, P = node of a host address, C = node of a condition. Operand sizes and kinds are values here (`useMeta`), so
 * each meaning is instantiated once (assembly/gen/emit.ts).
 *
 * What goes wrong while a region runs is never handled inside it: it leaves before the instruction, with SLOW for the
 * careful path or with what the memory access has recorded. So the checks (`bad`, `fail`, `divideError` …) answer
 * "all is well" and the meanings run to their end.
 */
import { MODE_CODE64, SEG_OFF_BASE, SEG_STRIDE, V_EA, V_GPR, V_RIP_PAGE, V_SEG, Vcpu } from "../gen/layout";
import {
  H_ARITHMETIC_OF, H_DIVIDE128, H_IDIV_BAD, H_IDIV_QUOTIENT, H_IDIV_REMAINDER, H_MUL_HIGH_S, H_MUL_HIGH_U,
  H_REMAINDER128, H_ROTATE_CARRY_LEFT, H_ROTATE_CARRY_RIGHT, H_SHIFT_DOUBLE_LEFT, H_SHIFT_DOUBLE_RIGHT, H_SWAP64,
} from "../gen/helpers";
import { META_ASIDE, META_CONTEXT, META_FLAGS, META_REPEATS } from "../gen/emit";
import { UF_STACK } from "../decode/uop";
import { CF, F_LOGIC, F_RAW, OF } from "../sem/flags";
import { Dyn, Mem, READ, Reg, SizeT } from "../sem/kinds";
import {
  binary, CALL_CONTEXT, CALL_REPEATS, callAddress, callHandler, choose, constant, cpuWord, FLAG_A, FLAG_B, FLAG_D, FLAG_OP, isConst, leaveIf, loadFrom, mergeStates, node, pageDelta,
  pureCall, ripPage, saveStates, setState, spill, state, storeTo, translate, unary, widen,
} from "./ir";
import { carryNode, conditionNode, knownOp } from "./condition";
import {
  I64_ADD, I64_AND, I64_CLZ, I64_CTZ, I64_DIV_U, I64_EQ, I64_EXTEND8_S, I64_LE_U, I64_LOAD, I64_LOAD16_S,
  I64_LOAD32_S, I64_LOAD8_S, I64_MUL, I64_NE, I64_OR, I64_REM_U, I64_SHL, I64_SHR_S, I64_SHR_U, I64_STORE,
  I64_STORE16, I64_STORE32, I64_STORE8, I64_SUB, I64_XOR,
} from "./wasm";

const KIND_REG: u32 = 0;
const KIND_MEM: u32 = 1;
const KIND_IMM: u32 = 2;

/** How a block ends: set by the control meanings, carried out by ./region.ts. */
export const FALL: u32 = 0;
/** To the relative target. */
export const JUMP: u32 = 1;
/** To the relative target if `endValue`, else on. */
export const BRANCH: u32 = 2;
/** To the RIP in `endValue`. */
export const INDIRECT: u32 = 3;
export let endKind: u32 = FALL;
export let endValue: u32 = 0;

let mode: u32 = 0;
let sizeT: u32 = 3;
let sizeF: u32 = 0;
let kindD: u32 = 0;
let kindS: u32 = 0;
let kindN: u32 = 0;
/** Node of Vcpu.ea, made by the address micro-op before an instruction's own. */
let address: u32 = 0;
let addressKey: u32 = 0;
let condition: u32 = 0;

export function useMode(m: u32): void { mode = m; }
export function beginBlock(): void { endKind = FALL; endValue = 0; }
/** Sizes and kinds of the next meaning: a word of META (assembly/gen/emit.ts). */
export function useMeta(meta: u32): void {
  sizeT = (meta >> 8) & 3; sizeF = (meta >> 10) & 3;
  kindD = (meta >> 12) & 3; kindS = (meta >> 14) & 3; kindN = (meta >> 16) & 3;
}

@inline function k(v: u64): u32 { return constant(v); }
function and(x: u32, m: u64): u32 { return binary(I64_AND, x, k(m)); }
function shiftRight(x: u32, n: u64): u32 { return binary(I64_SHR_U, x, k(n)); }
function extend(v: u32, z: u32): u32 { return z == 3 ? v : unary(I64_EXTEND8_S + z, v); }
function truncate(v: u32, z: u32): u32 { return z == 3 ? v : and(v, ((<u64>1) << (8 << z)) - 1); }
@inline function bits(z: u32): u64 { return 8 << z; }

/** The register at offset `off` of the vCPU page, sign-extended; AH, CH, DH, BH lie one byte up. */
export function readReg(off: u32, z: u32): u32 {
  const v = state((off - <u32>V_GPR) >> 3);
  return extend(off & 7 ? shiftRight(v, 8) : v, z);
}

export function writeReg(off: u32, z: u32, v: u32): void {
  const r = (off - <u32>V_GPR) >> 3;
  if (z == 3) setState(r, v);
  else if (z == 2) setState(r, and(v, 0xffffffff));
  else {
    const m: u64 = z ? 0xffff : 0xff;
    const part = and(v, m);
    if (off & 7) setState(r, binary(I64_OR, and(state(r), ~(m << 8)), binary(I64_SHL, part, k(8))));
    else setState(r, binary(I64_OR, and(state(r), ~m), part));
  }
}

/** Node of Vcpu.ea. */
export function addressNode(): u32 { return address; }
/** base + (idx << scale) + disp */
export function linearOf(u: usize): u32 {
  const base: u32 = load<u16>(u, 6), idx: u32 = load<u16>(u, 8);
  let v = base == <u32>V_EA ? address : base == <u32>V_RIP_PAGE ? ripPage() : base ? readReg(base, 3) : k(0);
  if (idx) v = binary(I64_ADD, v, binary(I64_SHL, readReg(idx, 3), k(load<u8>(u, 10))));
  return binary(I64_ADD, v, k(<u64><i64>load<i32>(u, 12)));
}

/** Accesses with one key are likely to go to one page: see the page caches in ./lower.ts. */
export function keyOf(u: usize): u32 {
  const base: u32 = load<u16>(u, 6), idx: u32 = load<u16>(u, 8);
  if (base == <u32>V_EA) return addressKey;
  if (base == 0) return 0x800000 | ((load<u32>(u, 12) >> 12) & 0xffff);
  if (base == <u32>V_RIP_PAGE) return 0x400000 | (<u32>((pageDelta + load<i32>(u, 12)) >> 12) & 0x3fffff);
  return (base >> 3) | (idx >> 3 << 9);
}

/** State mask of the general register at an offset of the vCPU page; 0 if there is none. */
@inline function registerAt(off: u64): u32 {
  return off >= V_GPR && off < V_GPR + 128 ? <u32>1 << (<u32>(off - V_GPR) >> 3) : 0;
}

/** The address micro-op (assembly/decode/address.ts). */
export function emitAddress(c: Vcpu, u: usize): void {
  const s: u32 = load<u16>(u, 4), how = load<u32>(u, 16);
  let v = linearOf(u);
  if (s == 0xfe) {
    address = binary(I64_ADD, v, k(load<u64>(u, 16)));
    addressKey = 0x900000;
    return;
  }
  const width = (how >> 24) & 3;
  v = width == 0 ? and(v, 0xffff) : width == 1 ? and(v, 0xffffffff) : v;
  addressKey = 0xa00000 | s;
  if (s != 0xff) {
    if (!(mode & MODE_CODE64)) {
      // Limits and rights of the segment; the address may begin with another address micro-op's.
      if (load<u16>(u, 6) == <u16>V_EA) spill(V_EA, address);
      address = callAddress(c, u, registerAt(load<u16>(u, 6)) | registerAt(load<u16>(u, 8)));
      return;
    }
    if (s >= 4) v = binary(I64_ADD, v, cpuWord(V_SEG + <usize>s * SEG_STRIDE + SEG_OFF_BASE));
  }
  address = v;
}

/** A call of a handler: `registers` as in CALL_REGISTERS. Operands count as read and written. */
export function emitCall(c: Vcpu, u: usize, meta: u32, registers: u32): void {
  const base = load<u16>(u, 6);
  if (base == <u32>V_EA) spill(V_EA, address);
  let reads = (registers & 0xffff) | registerAt(base) | registerAt(load<u16>(u, 8));
  let writes = (registers >> 16) | registerAt(load<u16>(u, 2)) | registerAt(load<u16>(u, 4));
  if (meta & META_ASIDE) writes |= registerAt(load<u64>(u, 16));
  if (meta & META_FLAGS) writes |= FLAGS;
  callHandler(c, u, reads, writes,
    (meta & META_REPEATS ? CALL_REPEATS : 0) | (meta & META_CONTEXT ? CALL_CONTEXT : 0));
}
const FLAGS: u32 = 0xf0000;

@unmanaged export class Emit {
  z<T>(): u32 {
    if (isInteger<T>()) return ctz(<u32>sizeof<T>());
    return idof<T>() == idof<SizeT>() ? sizeT : sizeF;
  }
  kind<K>(dynamic: u32): u32 {
    if (idof<K>() == idof<Dyn>()) return dynamic;
    return idof<K>() == idof<Reg>() ? KIND_REG : idof<K>() == idof<Mem>() ? KIND_MEM : KIND_IMM;
  }

  // Operands
  ea(u: usize): u64 { return linearOf(u); }
  pointer(u: usize, z: u32, use: i32): usize {
    return translate(linearOf(u), z, use, (load<u8>(u, 11) & UF_STACK) != 0, keyOf(u), u);
  }
  dst<T, D>(u: usize, use: i32): usize {
    return this.kind<D>(kindD) == KIND_MEM ? this.pointer(u, this.z<T>(), use) : 0;
  }
  src<T, S>(u: usize): usize { return this.kind<S>(kindS) == KIND_MEM ? this.pointer(u, this.z<T>(), READ) : 0; }
  @inline bad<D>(p: usize): bool { return false; }
  @inline fail(p: usize): bool { return false; }
  isReg<D>(): bool { return this.kind<D>(kindD) == KIND_REG; }
  distinct(u: usize): u32 { return k(u64(load<u16>(u, 2) != load<u16>(u, 4))); }
  loadZ(p: usize, z: u32): u64 {
    return loadFrom(<u32>p, z == 0 ? I64_LOAD8_S : z == 1 ? I64_LOAD16_S : z == 2 ? I64_LOAD32_S : I64_LOAD);
  }
  storeZ(p: usize, z: u32, v: u64): void {
    storeTo(<u32>p, z == 0 ? I64_STORE8 : z == 1 ? I64_STORE16 : z == 2 ? I64_STORE32 : I64_STORE, <u32>v);
  }
  rd<T, D>(u: usize, p: usize): u64 { return p ? this.loadZ(p, this.z<T>()) : readReg(load<u16>(u, 2), this.z<T>()); }
  rs<T, S>(u: usize, p: usize): u64 {
    if (p) return this.loadZ(p, this.z<T>());
    return this.kind<S>(kindS) == KIND_IMM ? this.imm(u) : <u64>readReg(load<u16>(u, 4), this.z<T>());
  }
  wd<T, D>(u: usize, p: usize, v: u64): void {
    if (p) this.storeZ(p, this.z<T>(), v);
    else writeReg(load<u16>(u, 2), this.z<T>(), <u32>v);
  }
  ws<T, D>(u: usize, p: usize, v: u64): void { writeReg(load<u16>(u, 4), this.z<T>(), <u32>v); }
  ld<T>(p: usize): u64 { return this.loadZ(p, this.z<T>()); }
  st<T>(p: usize, v: u64): void { this.storeZ(p, this.z<T>(), v); }
  imm(u: usize): u64 { return k(load<u64>(u, 16)); }
  imm64(u: usize): u64 { return k(load<u64>(u, 16)); }
  k(v: u64): u64 { return k(v); }

  // The accumulator pair
  low<T>(): u64 { return readReg(<u32>V_GPR, this.z<T>()); }
  high<T>(): u64 { return readReg(this.z<T>() ? <u32>V_GPR + 16 : <u32>V_GPR + 1, this.z<T>()); }
  setLow<T>(v: u64): void { writeReg(<u32>V_GPR, this.z<T>(), <u32>v); }
  setHigh<T>(v: u64): void { writeReg(<u32>V_GPR + 16, this.z<T>(), <u32>v); }
  pair<T>(lo: u64, hi: u64): void {
    const z = this.z<T>();
    writeReg(<u32>V_GPR, z, <u32>lo);
    writeReg(z ? <u32>V_GPR + 16 : <u32>V_GPR + 1, z, <u32>hi);
  }
  sxHalf<T>(v: u64): u64 { return extend(<u32>v, this.z<T>() - 1); }

  // Values
  sx<T>(v: u64): u64 { return extend(<u32>v, this.z<T>()); }
  zx<T>(v: u64): u64 { return truncate(<u32>v, this.z<T>()); }
  add(x: u64, y: u64): u64 { return binary(I64_ADD, <u32>x, <u32>y); }
  sub(x: u64, y: u64): u64 { return binary(I64_SUB, <u32>x, <u32>y); }
  and(x: u64, y: u64): u64 { return binary(I64_AND, <u32>x, <u32>y); }
  or(x: u64, y: u64): u64 { return binary(I64_OR, <u32>x, <u32>y); }
  xor(x: u64, y: u64): u64 { return binary(I64_XOR, <u32>x, <u32>y); }
  shl(x: u64, n: u64): u64 { return binary(I64_SHL, <u32>x, <u32>n); }
  shr(x: u64, n: u64): u64 { return binary(I64_SHR_U, <u32>x, <u32>n); }
  sar(x: u64, n: u64): u64 { return binary(I64_SHR_S, <u32>x, <u32>n); }
  mul(x: u64, y: u64): u64 { return binary(I64_MUL, <u32>x, <u32>y); }
  ctz(x: u64): u64 { return unary(I64_CTZ, <u32>x); }
  clz(x: u64): u64 { return unary(I64_CLZ, <u32>x); }
  ne(x: u64, y: u64): u32 { return binary(I64_NE, <u32>x, <u32>y); }
  eq(x: u64, y: u64): u32 { return binary(I64_EQ, <u32>x, <u32>y); }
  leu(x: u64, y: u64): u32 { return binary(I64_LE_U, <u32>x, <u32>y); }
  bit(v: u32): u64 { return widen(v); }
  select(cond: u32, x: u64, y: u64): u64 { return choose(cond, <u32>x, <u32>y); }
  top<T>(v: u64): u64 { return and(shiftRight(<u32>v, bits(this.z<T>()) - 1), 1); }
  swapped<T>(v: u64): u64 {
    const z = this.z<T>();
    if (z < 2) return k(0);
    const all = pureCall(H_SWAP64, 0, <u32>v, 0, 0, 0, 0);
    return z == 3 ? all : shiftRight(all, 32);
  }

  // Shifts
  count<T, N>(u: usize): u64 {
    const m: u64 = this.z<T>() == 3 ? 63 : 31;
    return kindN == KIND_IMM ? k(load<u64>(u, 16) & m) : and(state(1), m);
  }
  some<N>(n: u64): u32 { return binary(I64_NE, <u32>n, k(0)); }
  isImm<N>(): bool { return kindN == KIND_IMM; }
  turns<N>(n: u64): u32 { return this.isImm<N>() ? this.eq(n, k(1)) : this.some<N>(n); }
  /** Rotates in `bits` bits: the value's two parts, of which the one at n = 0 does no harm. */
  rotate<T>(x: u64, n: u64, there: u32, back: u32): u64 {
    const z = this.z<T>(), width = k(bits(z)), by = and(<u32>n, bits(z) - 1), v = truncate(<u32>x, z);
    return extend(binary(I64_OR, binary(there, v, by), binary(back, v, binary(I64_SUB, width, by))), z);
  }
  rotl<T>(x: u64, n: u64): u64 { return this.rotate<T>(x, n, I64_SHL, I64_SHR_U); }
  rotr<T>(x: u64, n: u64): u64 { return this.rotate<T>(x, n, I64_SHR_U, I64_SHL); }
  ring<T>(n: u64): u64 { const z = this.z<T>(); return z >= 2 ? n : binary(I64_REM_U, <u32>n, k(bits(z) + 1)); }
  rclResult<T>(x: u64, n: u64, carry: u64): u64 {
    return extend(pureCall(H_ROTATE_CARRY_LEFT, 0, <u32>x, <u32>this.ring<T>(n), <u32>carry, 0, bits(this.z<T>())),
      this.z<T>());
  }
  rcrResult<T>(x: u64, n: u64, carry: u64): u64 {
    return extend(pureCall(H_ROTATE_CARRY_RIGHT, 0, <u32>x, <u32>this.ring<T>(n), <u32>carry, 0, bits(this.z<T>())),
      this.z<T>());
  }
  rclCarry<T>(x: u64, n: u64, carry: u64): u64 {
    const m = <u32>this.ring<T>(n), out = binary(I64_SHR_U, <u32>x, binary(I64_SUB, k(bits(this.z<T>())), m));
    return choose(binary(I64_NE, m, k(0)), and(out, 1), <u32>carry);
  }
  rcrCarry<T>(x: u64, n: u64, carry: u64): u64 {
    const m = <u32>this.ring<T>(n), out = binary(I64_SHR_U, <u32>x, binary(I64_SUB, m, k(1)));
    return choose(binary(I64_NE, m, k(0)), and(out, 1), <u32>carry);
  }
  shldResult<T>(x: u64, y: u64, n: u64): u64 {
    return extend(pureCall(H_SHIFT_DOUBLE_LEFT, 0, <u32>x, <u32>y, <u32>n, 0, bits(this.z<T>())), this.z<T>());
  }
  shrdResult<T>(x: u64, y: u64, n: u64): u64 {
    return extend(pureCall(H_SHIFT_DOUBLE_RIGHT, 0, <u32>x, <u32>y, <u32>n, 0, bits(this.z<T>())), this.z<T>());
  }
  bitIndex<T, S>(u: usize): u64 {
    const m = bits(this.z<T>()) - 1;
    return kindS == KIND_IMM ? k(load<u64>(u, 16) & m) : and(readReg(load<u16>(u, 4), 3), m);
  }

  // Multiplication and division
  mulhu<T>(x: u64, y: u64): u64 {
    if (this.z<T>() == 3) return pureCall(H_MUL_HIGH_U, 0, <u32>x, <u32>y, 0, 0, 0);
    return shiftRight(binary(I64_MUL, <u32>x, <u32>y), bits(this.z<T>()));
  }
  mulhs<T>(x: u64, y: u64): u64 {
    if (this.z<T>() == 3) return pureCall(H_MUL_HIGH_S, 0, <u32>x, <u32>y, 0, 0, 0);
    return binary(I64_SHR_S, binary(I64_MUL, <u32>x, <u32>y), k(bits(this.z<T>())));
  }
  overflows<T>(x: u64, y: u64, d: u64): u64 {
    if (this.z<T>() == 3) return widen(binary(I64_NE, <u32>this.mulhs<T>(x, y), binary(I64_SHR_S, <u32>d, k(63))));
    return widen(binary(I64_NE, <u32>d, binary(I64_MUL, <u32>x, <u32>y)));
  }
  divideError(cond: u32): bool { leaveIf(cond, current); return false; }
  dividend<T>(hi: u64, lo: u64): u32 { return binary(I64_OR, binary(I64_SHL, <u32>hi, k(bits(this.z<T>()))), <u32>lo); }
  divQuotient<T>(hi: u64, lo: u64, y: u64): u64 {
    if (this.z<T>() == 3) return pureCall(H_DIVIDE128, 0, <u32>hi, <u32>lo, <u32>y, 0, 0);
    return binary(I64_DIV_U, this.dividend<T>(hi, lo), <u32>y);
  }
  divRemainder<T>(hi: u64, lo: u64, y: u64): u64 {
    if (this.z<T>() == 3) return pureCall(H_REMAINDER128, 0, <u32>hi, <u32>lo, <u32>y, 0, 0);
    return binary(I64_REM_U, this.dividend<T>(hi, lo), <u32>y);
  }
  idivBad<T>(hi: u64, lo: u64, y: u64): u32 {
    return pureCall(H_IDIV_BAD, 1, <u32>hi, <u32>lo, <u32>y, 0, bits(this.z<T>()));
  }
  idivQuotient<T>(hi: u64, lo: u64, y: u64): u64 {
    return pureCall(H_IDIV_QUOTIENT, 0, <u32>hi, <u32>lo, <u32>y, 0, bits(this.z<T>()));
  }
  idivRemainder<T>(hi: u64, lo: u64, y: u64): u64 {
    return pureCall(H_IDIV_REMAINDER, 0, <u32>hi, <u32>lo, <u32>y, 0, bits(this.z<T>()));
  }

  // Flags
  when(cond: u32): bool {
    condition = cond;
    if (isConst(cond)) return node(cond).imm != 0;
    saveStates();
    return true;
  }
  end(): void { if (!isConst(condition)) mergeStates(condition); }
  flags(op: u32, d: u64, a: u64, b: u64): void {
    setState(FLAG_OP, k(op)); setState(FLAG_D, <u32>d); setState(FLAG_A, <u32>a); setState(FLAG_B, <u32>b);
  }
  logic(d: u64): void { setState(FLAG_OP, k(F_LOGIC)); setState(FLAG_D, <u32>d); }
  raw(v: u32): void { setState(FLAG_OP, k(F_RAW)); setState(FLAG_A, v); }
  arithmetic(): u32 {
    if (knownOp() == F_RAW) return state(FLAG_A);
    return pureCall(H_ARITHMETIC_OF, 0, state(FLAG_OP), state(FLAG_D), state(FLAG_A), state(FLAG_B), 0);
  }
  setCarry(v: u64): void { this.raw(binary(I64_OR, and(this.arithmetic(), ~CF), <u32>v)); }
  setCarryOverflow(carry: u64, overflow: u64): void {
    const rest = and(this.arithmetic(), ~(CF | OF));
    this.raw(binary(I64_OR, binary(I64_OR, rest, binary(I64_SHL, <u32>overflow, k(11))), <u32>carry));
  }
  cf(): u64 { return carryNode(); }
  cond(cc: i32): u32 { return conditionNode(cc); }

  // The stack
  get wide(): bool { return (mode & MODE_CODE64) != 0; }
  sp<T>(): u64 { return this.wide ? state(4) : and(state(4), 0xffffffff); }
  spPush<T>(): u64 { return this.moved(0 - (<u64>1 << this.z<T>())); }
  spPop<T>(): u64 { return this.moved(<u64>1 << this.z<T>()); }
  moved(by: u64): u64 { const v = binary(I64_ADD, state(4), k(by)); return this.wide ? v : and(v, 0xffffffff); }
  setSp<T>(v: u64): void {
    setState(4, this.wide ? <u32>v : binary(I64_OR, and(state(4), 0xffffffff00000000), and(<u32>v, 0xffffffff)));
  }
  stackPtr<T>(sp: u64, use: i32): usize {
    return translate(<u32>sp, this.z<T>(), use, true, (<u32>V_GPR + 32) >> 3, current);
  }

  // Branches
  jump(u: usize): usize { endKind = JUMP; return 1; }
  branch(u: usize, cond: u32): usize { endKind = BRANCH; endValue = cond; return 1; }
  jumpTo(u: usize, rip: u64): usize { endKind = INDIRECT; endValue = <u32>rip; return 1; }
  badTarget(u: usize): bool {
    // A target in the page of the branch is where code is; others may be outside the canonical range.
    if (load<u64>(u, 16) >= 4096) this.badRip(binary(I64_ADD, ripPage(), k(load<u64>(u, 16))));
    return false;
  }
  badRip(rip: u64): bool {
    if (!this.wide) return false;
    const canonical = binary(I64_SHR_S, binary(I64_SHL, <u32>rip, k(16)), k(16));
    leaveIf(binary(I64_NE, canonical, <u32>rip), current);
    return false;
  }
  returnAddress(u: usize): u64 { return binary(I64_ADD, ripPage(), k(load<u16>(u, 2))); }
}

/** The micro-op whose meaning runs, for the methods that do not get it. */
let current: usize = 0;
export function useUop(u: usize): void { current = u; }
