/**
 * What an instruction sequence computes, as nodes: the values of one basic block of a region, built by the backend
 * Emit and written as Wasm by ./lower.ts. A value is the number of its node; 0 is none. A node is 32 bytes:
 *
 *      0 kind u8   1 type u8 (1 = i32)   2 op u8 (Wasm opcode or function)   4 uses u16   6 local u16
 *      8 a u32    12 b u32              16 c u32                            20 d u32     24 imm u64
 *
 * Registers and flags are at home in the vCPU page or, in small loops, in locals; RSP is in a local everywhere. While a block is being built,
 * `current` says which node each of them holds (0: still what its home held at the block's start), and the block's end
 * brings home what has changed. Pure nodes may be computed anywhere in the block, because their leaves do not change
 * within it; effects (kind >= TRANSLATE) happen once, in order.
 *
 * An effect that can leave the region does so at the start of the block as long as nothing has been written: the homes
 * are as they were, and the interpreter runs the block again. Afterwards it leaves where it stands and
 * keeps a snapshot of `current`, so that what only a departure needs is computed only there.
 */
import { AREA_JIT, V_CC_A, V_CC_B, V_CC_D, V_CC_OP, V_EA, V_GPR, Vcpu } from "../gen/layout";
import {
  I32_EQ, I64_ADD, I64_AND, I64_CTZ, I64_EQ, I64_EXTEND32_S, I64_EXTEND8_S, I64_EXTEND_U, I64_GE_U, I64_LOAD16_S,
  I64_LOAD32_S, I64_LOAD8_S, I64_LT_S, I64_LT_U, I64_MUL, I64_NE, I64_OR, I64_SHL, I64_SHR_S, I64_SHR_U, I64_SUB,
  I64_XOR,
} from "./wasm";

@unmanaged export class Node {
  kind: u8;
  type: u8;
  op: u8;
  spare: u8;
  uses: u16;
  local: u16;
  a: u32;
  b: u32;
  c: u32;
  d: u32;
  imm: u64;
}

// Leaves
export const CONST: u8 = 1;
/** a = index in `current`: register 0..15, FLAG_OP … */
export const STATE: u8 = 2;
export const RIP_PAGE: u8 = 3;
/** The u64 at offset imm of the vCPU page; nothing in a region changes it. */
export const CPU: u8 = 4;
// Computations
export const UNARY: u8 = 5;
export const BINARY: u8 = 6;
/** a ? b : c */
export const CHOOSE: u8 = 7;
/** Function op of HELPERS (src/isa/jitHelpers.ts) without effects, called with a, b, c, d. */
export const PURE_CALL: u8 = 8;
// Effects
/** Host address (i32) of the memory operand at linear address a; imm: see translate(); c = snapshot; b, d: ./lower.ts. */
export const TRANSLATE: u8 = 16;
export const LOAD: u8 = 17;
/** b to address a */
export const STORE: u8 = 18;
/** Leaves if a: for the careful path, or (b = 1) the interpreter goes on; imm as TRANSLATE's low half, c = snapshot. */
export const LEAVE: u8 = 19;
/** a to offset imm of the vCPU page, for a handler; b = its index in `current` + 1 if it is a state. */
export const SPILL: u8 = 20;
/** Calls the handler of the micro-op at offset d of the vCPU's area: i32, 0 = did not complete. b: see callHandler. */
export const CALL: u8 = 21;
/** The value at offset imm of the vCPU page after a handler. */
export const RELOAD: u8 = 22;
/** Leaves if CALL node a has given 0; imm as LEAVE, b as CALL, c = snapshot. */
export const CHECK: u8 = 23;
/**
 * Vector instruction of kind op at offset d of the vCPU's area; a = host address of its memory operand or 0, b = value of a
 * general register, imm: place and, in 63:40, a Wasm opcode; c = snapshot. See ./vector.ts.
 */
export const VECTOR: u8 = 24;
/** Function op of HELPERS with the vCPU, a, b, c, d: i64. It may change what is not a state. */
export const HELPED: u8 = 25;
/** Start of a run (./x87.ts): leaves unless of the places in b those in d are full and the others empty; c = snapshot. */
export const X87_BEGIN: u8 = 26;
/** Significand (imm bit 3: sign/exponent) of place imm 2:0 of the run. */
export const X87_GET: u8 = 27;
/** Place imm = a, b. */
export const X87_PUT: u8 = 28;
/** End of a run: writes the state in imm, {x87State u32, x87Off u32}. */
export const X87_END: u8 = 29;

/** Indices in `current` after the 16 registers. */
export const FLAG_OP: u32 = 16;
export const FLAG_D: u32 = 17;
export const FLAG_A: u32 = 18;
export const FLAG_B: u32 = 19;
export const STATES: u32 = 20;

// The scratch area of the vCPU whose worker compiles.
const NODES: usize = 0;
const MAX_NODES: u32 = 6144;
const CURRENT: usize = 0x30000;
const SAVED: usize = 0x30080;
const LEAVES: usize = 0x30100;
const SNAPSHOTS: usize = 0x30200;
const MAX_SNAPSHOTS: u32 = 660;
/** Nodes one instruction may need at most. */
const HEADROOM: u32 = 256;
/** How far back an equal node is looked for. */
const SEEN: u32 = 12;

export let scratch: usize = 0;
export let count: u32 = 1;
let snapshots: u32 = 0;

export function useScratch(c: Vcpu): void { scratch = changetype<usize>(c) + AREA_JIT; }

@inline export function node(v: u32): Node { return changetype<Node>(scratch + NODES + (<usize>v << 5)); }
@inline export function kindOf(v: u32): u8 { return node(v).kind; }
@inline export function isConst(v: u32): bool { return node(v).kind == CONST; }

/** Whether registers and flags of the block are at home in locals. */
export let inLocals: bool = false;
/** Nothing that the block has done can be seen from outside. */
let clean: bool = false;
/** The block's HEAD. */
export let blockHead: usize = 0;
/** So many states are written to the vCPU page in passing, so that departures need not. */
const MANY: u32 = 5;

/** Begins a block: `locals`: its states' homes are locals. */
export function beginIr(locals: bool, head: usize): void {
  inLocals = locals;
  clean = true;
  blockHead = head;
  count = 1;
  snapshots = 0;
  memory.fill(scratch + CURRENT, 0, 0x180);
  synced = 0;
  x87State = 0;
  x87Begin = 0;
}

export function roomForInstruction(): bool { return count + HEADROOM < MAX_NODES && snapshots + 8 < MAX_SNAPSHOTS; }

function make(kind: u8, type: u8, op: u32, a: u32, b: u32, c: u32, d: u32, imm: u64): u32 {
  const n = node(count);
  n.kind = kind; n.type = type; n.op = <u8>op; n.uses = 0; n.local = 0;
  n.a = a; n.b = b; n.c = c; n.d = d; n.imm = imm;
  return count++;
}

/** A computation; one that was made a moment ago is not made again. */
function pure(kind: u8, type: u8, op: u32, a: u32, b: u32, c: u32, d: u32, imm: u64): u32 {
  for (let v = count - 1; v > 0 && v + SEEN >= count; v--) {
    const n = node(v);
    if (n.kind == kind && n.op == op && n.a == a && n.b == b && n.c == c && n.d == d && n.imm == imm) return v;
  }
  return make(kind, type, op, a, b, c, d, imm);
}

// --- registers and flags

@inline export function currentAt(i: u32): u32 { return load<u32>(scratch + CURRENT + (<usize>i << 2)); }

export function state(i: u32): u32 {
  const v = currentAt(i);
  if (v) return v;
  const p = scratch + LEAVES + (<usize>i << 2);
  const known = load<u32>(p);
  if (known) return known;
  const leaf = make(STATE, i == FLAG_OP ? 1 : 0, 0, i, 0, 0, 0, 0);
  store<u32>(p, leaf);
  return leaf;
}

export function setState(i: u32, v: u32): void {
  store<u32>(scratch + CURRENT + (<usize>i << 2), v);
  synced &= ~(<u32>1 << i);
}
/** States that are in the vCPU page, too, as they are now. */
let synced: u32 = 0;

/** Calls and returns are chains of RSP, which would wait for their stores at every block. */
export const RSP: u32 = 4;
@inline export function isLocal(i: u32): bool { return inLocals || i == RSP; }
/** The node that state i's home must get, 0: it has it. */
export function pendingAt(i: u32): u32 { return isLocal(i) || !(synced >> i & 1) ? currentAt(i) : 0; }

/** What homes would have to get for a departure here, and behind it x87State and x87Off. */
function snapshot(): u32 {
  const s = snapshots++;
  for (let i: u32 = 0; i < STATES; i++) store<u32>(scratch + SNAPSHOTS + <usize>s * SNAPSHOT + (<usize>i << 2), pendingAt(i));
  store<u32>(scratch + SNAPSHOTS + <usize>s * SNAPSHOT, x87State, STATES * 4);
  store<u32>(scratch + SNAPSHOTS + <usize>s * SNAPSHOT, x87Off, STATES * 4 + 4);
  return s;
}
export function snapshotAt(s: u32, i: u32): u32 {
  return load<u32>(scratch + SNAPSHOTS + <usize>s * SNAPSHOT + (<usize>i << 2));
}
const SNAPSHOT: usize = STATES * 4 + 8;

/** Effects under a condition: registers and flags written between saveStates and mergeStates are chosen by `cond`. */
export function saveStates(): void { memory.copy(scratch + SAVED, scratch + CURRENT, STATES * 4); }
export function mergeStates(cond: u32): void {
  for (let i: u32 = 0; i < STATES; i++) {
    const now = currentAt(i), before = load<u32>(scratch + SAVED + (<usize>i << 2));
    if (now == before) continue;
    setState(i, before);
    const old = state(i);
    setState(i, choose(cond, now, old));
  }
}

// --- values

export function constant(v: u64): u32 { return pure(CONST, 0, 0, 0, 0, 0, 0, v); }
/** RIP of the start of the block's page. */
export function ripPage(): u32 { return binary(I64_ADD, pure(RIP_PAGE, 0, 0, 0, 0, 0, 0, 0), constant(pageDelta)); }
/** Place of the block's page (./plan.ts). */
export let pageDelta: i64 = 0;
/** The region has more pages than its first one. */
export let severalPages: bool = false;
/** The region is 64-bit code. */
export let long: bool = false;
export function usePage(delta: i32, several: bool, is64: bool): void { pageDelta = delta; severalPages = several; long = is64; }
export function cpuWord(offset: usize): u32 { return pure(CPU, 0, 0, 0, 0, 0, 0, offset); }

/** Bits that the value of an `and` with a constant may have; all ones if it is not one. */
@inline function isMask(n: Node): bool { return n.kind == BINARY && n.op == I64_AND && isConst(n.b); }
@inline function maskOf(n: Node): u64 { return isMask(n) ? node(n.b).imm : ~0; }

/** True if sign-extending the low 8 << z bits changes nothing. */
export function isSigned(v: u32, z: u32): bool {
  const n = node(v);
  if (n.kind == CONST) {
    const s: u64 = 64 - (<u64>8 << z);
    return <u64>(<i64>(n.imm << s) >> s) == n.imm;
  }
  if (n.kind == UNARY) return n.op >= I64_EXTEND8_S && n.op <= I64_EXTEND8_S + z;
  if (n.kind == LOAD) {
    return n.op == I64_LOAD8_S || (n.op == I64_LOAD16_S && z >= 1) || (n.op == I64_LOAD32_S && z >= 2);
  }
  if (n.kind == BINARY && n.op >= I64_AND && n.op <= I64_XOR) return isSigned(n.a, z) && isSigned(n.b, z);
  return false;
}

/** A value with the same low `bits` as v, without extensions that do not matter to them. */
export function narrow(v: u32, bits: u32, deep: u32): u32 {
  const low: u64 = bits == 64 ? ~0 : (<u64>1 << bits) - 1;
  while (true) {
    const n = node(v);
    if (n.kind == UNARY && n.op >= I64_EXTEND8_S && n.op <= I64_EXTEND32_S
      && (<u32>8 << (n.op - I64_EXTEND8_S)) >= bits) v = n.a;
    else if (isMask(n) && (node(n.b).imm & low) == low) v = n.a;
    else if (n.kind == BINARY && n.op == I64_OR && (maskOf(node(n.a)) & low) == 0) v = n.b;
    else if (n.kind == BINARY && n.op == I64_OR && (maskOf(node(n.b)) & low) == 0) v = n.a;
    else break;
  }
  const n = node(v), op = n.op;
  if (deep && n.kind == BINARY && ((op >= I64_ADD && op <= I64_MUL) || (op >= I64_AND && op <= I64_XOR))) {
    const a = narrow(n.a, bits, deep - 1), b = narrow(n.b, bits, deep - 1);
    if (a != n.a || b != n.b) return binary(op, a, b);
  }
  return v;
}

export function unary(op: u32, a: u32): u32 {
  if (op >= I64_EXTEND8_S && op <= I64_EXTEND32_S) {
    const z = op - I64_EXTEND8_S;
    if (isSigned(a, z)) return a;
    if (isConst(a)) {
      const s: u64 = 64 - (<u64>8 << z);
      return constant(<u64>(<i64>(node(a).imm << s) >> s));
    }
    a = narrow(a, 8 << z, 1);
    if (isSigned(a, z)) return a;
  } else if (isConst(a) && op == I64_CTZ) return constant(ctz<u64>(node(a).imm));
  return pure(UNARY, 0, op, a, 0, 0, 0, 0);
}

/** 0 if the operation is not folded, or the constant's node. */
function fold(op: u32, x: u64, y: u64): u32 {
  switch (op) {
    case I64_ADD: return constant(x + y);
    case I64_SUB: return constant(x - y);
    case I64_MUL: return constant(x * y);
    case I64_AND: return constant(x & y);
    case I64_OR: return constant(x | y);
    case I64_XOR: return constant(x ^ y);
    case I64_SHL: return constant(x << y);
    case I64_SHR_U: return constant(x >> y);
    case I64_SHR_S: return constant(<u64>(<i64>x >> y));
    case I64_EQ: return constant(u64(x == y));
    case I64_NE: return constant(u64(x != y));
    case I64_LT_U: return constant(u64(x < y));
    case I64_LT_S: return constant(u64(<i64>x < <i64>y));
    default: return 0;
  }
}

@inline function commutes(op: u32): bool {
  return op == I64_ADD || op == I64_MUL || (op >= I64_AND && op <= I64_XOR) || op == I64_EQ || op == I64_NE;
}

export function binary(op: u32, a: u32, b: u32): u32 {
  if (isConst(a)) {
    if (isConst(b)) {
      const k = fold(op, node(a).imm, node(b).imm);
      if (k) return k;
    } else if (commutes(op)) { const t = a; a = b; b = t; }
  }
  if (a == b) {
    if (op == I64_XOR || op == I64_SUB) return constant(0);
    if (op == I64_AND || op == I64_OR) return a;
  }
  if (isConst(b)) {
    const y = node(b).imm, n = node(a);
    if (y == 0) {
      if (op == I64_ADD || op == I64_SUB || op == I64_OR || op == I64_XOR) return a;
      if (op >= I64_SHL && op <= I64_SHR_U) return a;
      if (op == I64_AND || op == I64_MUL) return b;
    }
    if (op == I64_SUB) return binary(I64_ADD, a, constant(0 - y));
    if (op == I64_ADD && n.kind == BINARY && n.op == I64_ADD && isConst(n.b)) {
      return binary(I64_ADD, n.a, constant(node(n.b).imm + y));
    }
    if (op == I64_AND) return mask(a, y);
  }
  const compare = op >= I64_EQ && op <= I64_GE_U;
  if (compare && isSigned(a, 2) && isSigned(b, 2)) {
    // Sign extension keeps both orders, so 32 bits are enough.
    return pure(BINARY, 1, op - I64_EQ + I32_EQ, narrow(a, 32, 1), narrow(b, 32, 1), 0, 0, 0);
  }
  return pure(BINARY, compare ? 1 : 0, op, a, b, 0, 0, 0);
}

/** a & m */
function mask(a: u32, m: u64): u32 {
  if (m == ~0) return a;
  if (isConst(a)) return constant(node(a).imm & m);
  if (m == 0xff || m == 0xffff || m == 0xffffffff) a = narrow(a, m == 0xff ? 8 : m == 0xffff ? 16 : 32, 1);
  const n = node(a), inner = maskOf(n);
  if (inner != ~0) {
    if ((inner & m) == inner) return a;
    return mask(n.a, inner & m);
  }
  if (n.kind == BINARY && n.op == I64_OR) {
    if ((maskOf(node(n.a)) & m) == 0) return mask(n.b, m);
    if ((maskOf(node(n.b)) & m) == 0) return mask(n.a, m);
  }
  if (n.kind == UNARY && n.op == I64_EXTEND_U && (m & 1)) return a;
  return pure(BINARY, 0, I64_AND, a, constant(m), 0, 0, 0);
}

/** An i32 condition as an i64. */
export function widen(cond: u32): u32 { return isConst(cond) ? cond : pure(UNARY, 0, I64_EXTEND_U, cond, 0, 0, 0, 0); }

export function choose(cond: u32, x: u32, y: u32): u32 {
  if (isConst(cond)) return node(cond).imm ? x : y;
  return x == y ? x : pure(CHOOSE, node(x).type & node(y).type, 0, cond, x, y, 0, 0);
}

export function pureCall(helper: u32, type: u8, a: u32, b: u32, c: u32, d: u32, imm: u64): u32 {
  return pure(PURE_CALL, type, helper, a, b, c, d, imm);
}

// --- effects

/** Where an effect stands: offset of its instruction in the page, instructions not retired if it leaves before it. */
@inline export function place(u: usize): u64 { return <u64>load<u16>(u, 24) | (<u64>load<u16>(u, 26) << 16); }
@inline export function placeOff(imm: u64): u32 { return <u32>imm & 0xffff; }
@inline export function placeRest(imm: u64): u32 { return <u32>imm >> 16; }

export const REDO: u64 = 1 << 38;
/** Whether a departure is the block's start again; such have no snapshot. */
@inline export function placeRedo(imm: u64): bool { return (imm & REDO) != 0; }
/** Of a translation: bytes, and what for. */
@inline export function sizeOf(n: Node): u32 { return 1 << (<u32>(n.imm >> 32) & 7); }
@inline export function useOf(n: Node): i32 { return <i32>(n.imm >> 35) & 3; }
/** imm: place, z in bits 34:32, use in 36:35, stack in 37, REDO in 38, key of the page cache in 63:40. */
export function translate(linear: u32, z: u32, use: i32, stack: bool, key: u32, u: usize): u32 {
  if (!clean && !inLocals) {
    let pending: u32 = 0;
    for (let i: u32 = 0; i < STATES; i++) if (i != RSP && pendingAt(i)) pending |= 1 << i;
    if (<u32>popcnt(pending) > MANY) spillStates(pending);
  }
  return make(TRANSLATE, 1, 0, linear, 0, clean ? 0 : snapshot(), 0,
    place(u) | (<u64>z << 32) | (<u64>use << 35) | (u64(stack) << 37) | (clean ? REDO : 0) | (<u64>key << 40));
}
export function loadFrom(pointer: u32, op: u32): u32 { return make(LOAD, 0, op, pointer, 0, 0, 0, 0); }
export function storeTo(pointer: u32, op: u32, v: u32): void {
  clean = false;
  make(STORE, 0, op, pointer, v, 0, 0, 0);
}
/** Leaves for the careful path, before the instruction, if cond. */
export function leaveIf(cond: u32, u: usize): void { makeLeave(cond, 0, u); }
/** The interpreter goes on with the instruction if cond. */
export function goOnIf(cond: u32, u: usize): void { makeLeave(cond, 1, u); }
function makeLeave(cond: u32, how: u32, u: usize): void {
  if (isConst(cond) && !node(cond).imm) return;
  make(LEAVE, 0, 0, cond, how, clean ? 0 : snapshot(), 0, place(u) | (clean ? REDO : 0));
}

const STATE_OFFSETS: StaticArray<usize> = [V_CC_OP, V_CC_D, V_CC_A, V_CC_B];
/** Where a register or flag value lies in the vCPU page. */
export function offsetOfState(i: u32): usize {
  return i < FLAG_OP ? V_GPR + <usize>i * 8 : unchecked(STATE_OFFSETS[i - FLAG_OP]);
}

export const CALL_REPEATS: u32 = 1;
export const CALL_CONTEXT: u32 = 2;

/** The address micro-op's own function. */
export const CALL_ADDRESS: u32 = 4;

function spillStates(which: u32): void {
  for (let i: u32 = 0; i < STATES; i++) {
    if (!(which >> i & 1) || synced >> i & 1) continue;
    if (!isLocal(i) && !currentAt(i)) continue;
    clean = false;
    make(SPILL, 0, 0, state(i), i + 1, 0, 0, offsetOfState(i));
    synced |= 1 << i;
  }
}

/** Calls a micro-op's handler, which reads the states in `reads` and reads and writes those in `writes`. */
export function callHandler(c: Vcpu, u: usize, reads: u32, writes: u32, how: u32): void {
  if (!(how & CALL_ADDRESS)) endX87();
  spillStates(reads | writes);
  clean = false;
  const result = make(CALL, 1, 0, 0, how, 0, <u32>(u - changetype<usize>(c)), place(u));
  for (let i: u32 = 0; i < STATES; i++) {
    if (!(writes >> i & 1)) continue;
    setState(i, make(RELOAD, i == FLAG_OP ? 1 : 0, 0, 0, 0, 0, 0, offsetOfState(i)));
    synced |= 1 << i;
  }
  make(CHECK, 0, 0, result, how, snapshot(), 0, place(u));
}

/** The linear address that an address micro-op makes of the states in `reads`. */
export function callAddress(c: Vcpu, u: usize, reads: u32): u32 {
  callHandler(c, u, reads, 0, CALL_ADDRESS);
  return reload(V_EA);
}

/** A value that a handler looks for in the vCPU page, or a part of a vector register. */
export function spill(offset: usize, v: u32): void {
  if (offset != V_EA) clean = false;
  make(SPILL, 0, 0, v, 0, 0, 0, offset);
}
/** The u64 at an offset of the vCPU page now. */
export function reload(offset: usize): u32 { return make(RELOAD, 0, 0, 0, 0, 0, 0, offset); }

/** Such as give a value do not write registers. */
export function vector(c: Vcpu, kind: u32, pointer: u32, value: u32, op: u32, u: usize, calls: bool): u32 {
  clean = false;
  return make(VECTOR, 0, kind, pointer, value, calls ? snapshot() : 0, <u32>(u - changetype<usize>(c)),
    place(u) | (calls ? 0 : REDO) | (<u64>op << 40));
}
@inline export function uopOf(n: Node): usize { return scratch - AREA_JIT + n.d; }
/** Of a micro-op, from the start of the vCPU's area. */
@inline export function placeOfUop(u: usize): i32 { return <i32>(u - scratch + AREA_JIT); }

// --- x87 (./x87.ts)

/**
 * What the run's instructions have made and the vCPU page does not have yet: TOP as a place 2:0, full 10:3, empty 18:11, C1 = 0
 * 19, and always bit 31; 0: there were none. And where the last of them is in its page, for FIP.
 */
export let x87State: u32 = 0;
export let x87Off: u32 = 0;
/** The run's X87_BEGIN, 0: there is none. */
export let x87Begin: u32 = 0;

export function setX87State(top: u32, full: u32, empty: u32, clearC1: bool, off: u32): void {
  x87State = top | (full << 3) | (empty << 11) | (u32(clearC1) << 19) | 0x80000000;
  x87Off = off;
}
export function beginX87(u: usize): void {
  x87Begin = make(X87_BEGIN, 0, 0, 0, 0, clean ? 0 : snapshot(), 0, place(u) | (clean ? REDO : 0));
  clean = false;
}
/** Places that must be full or empty when the run begins. */
export function needX87(full: u32, empty: u32): void {
  const n = node(x87Begin);
  n.b = full | empty;
  n.d = full;
}
export function endX87(): void {
  if (x87State) make(X87_END, 0, 0, 0, 0, 0, 0, x87State | (<u64>x87Off << 32));
  x87State = 0;
  x87Begin = 0;
}
export function getX87(p: u32, exponent: bool): u32 { return make(X87_GET, 0, 0, 0, 0, 0, 0, p | (u32(exponent) << 3)); }
export function putX87(p: u32, m: u32, se: u32): void { make(X87_PUT, 0, 0, m, se, 0, 0, p); }
export function helped(helper: u32, a: u32, b: u32, c: u32, d: u32): u32 { return make(HELPED, 0, helper, a, b, c, d, 0); }
