/**
 * From the nodes of a block (./ir.ts) to Wasm. The function of a region, `(vcpu i32, budget i64, entry i32) -> i64`,
 * keeps registers, flags and what it has learnt of the TLB in locals:
 *
 *     0 vcpu   1 budget   2 entry
 *     i64: registers in use, flag operands, RIP page, RIP on leaving, target of an indirect branch, page cache tags,
 *          temporaries
 *     i32: flag operation, condition, TLB entry, page cache addends, temporaries
 *
 * A region is written twice: the first time finds out how many of each there are.
 *
 * A page cache is the last page that accesses of one kind (same base and index register, read or write) went to: tag =
 * linear page, addend = host address minus linear address. It stays true while the region runs, because nothing in a
 * region takes translations away, and it saves the TLB's loads in loops.
 */
import { AREA_TLB_READ, AREA_TLB_WRITE, STATUS_RESUME, STATUS_SLOW, TLB_ENTRIES, V_CTX, V_RIP_PAGE, V_STACK_FAULT, V_STATUS } from "../gen/layout";
import { H_ARITHMETIC_OF, H_CALL_HANDLER, H_CARRY_OF, H_CONDITION_OF, H_EASEG, H_SLOW_READ, H_SLOW_WRITE } from "../gen/helpers";
import { READ } from "../sem/kinds";
import {
  BINARY, CALL, CALL_ADDRESS, CALL_CONTEXT, CALL_REPEATS, CHECK, CHOOSE, CONST, count, CPU, currentAt, FLAG_OP, kindOf, LEAVE, LOAD, Node, node, pageDelta, placeOff, placeRest,
  PURE_CALL, RELOAD, RIP_PAGE, scratch, severalPages, snapshotAt, SPILL, STATE, STATES, STORE, TRANSLATE, UNARY,
} from "./ir";
import {
  br, byte, call, close, I32_ADD, I32_AND, I32_EQ, I32_EQZ, I32_GE_U, I32_LOAD, I32_SHL, I32_SHR_U, I32_STORE,
  I32_SUB, I32_WRAP, i32Const, I64_ADD, I64_AND, I64_EQ, I64_EXTEND32_S, I64_EXTEND_S, I64_EXTEND_U, I64_LOAD,
  I64_STORE, I64_SUB, I64_MUL, I64_NE, I64_OR, I64_SHL, I64_XOR, i64Const, IF, localGet, localSet, localTee, memory_, open, ELSE, SELECT,
} from "./wasm";

export const L_VCPU: u32 = 0;
export const L_BUDGET: u32 = 1;
export const L_ENTRY: u32 = 2;
const FIRST_LOCAL: u32 = 3;
const MAX_CACHES: u32 = 16;
const CACHES: usize = 0x3f000;
const STATE_LOCALS: usize = 0x3f080;

/** Label of the function's end, where registers go back to memory. */
export let exitLabel: u32 = 0;
export function setExitLabel(label: u32): void { exitLabel = label; }

export let lRipPage: u32 = 0;
export let lRip: u32 = 0;
export let lTarget: u32 = 0;
export let lCond: u32 = 0;
export let lEntry: u32 = 0;
let lAddend: u32 = 0;
let firstTag: u32 = 0;
let firstAddend: u32 = 0;
let first64: u32 = 0;
let first32: u32 = 0;
let temps64: u32 = 0;
let temps32: u32 = 0;

/** States the region reads or writes, and those it writes. */
export let used: u32 = 0;
export let dirty: u32 = 0;
export let caches: u32 = 0;
/** States that any block of the region writes, as far as is known. */
let everDirty: u32 = 0;
let caching: bool = false;
let max64: u32 = 0;
let max32: u32 = 0;
/** Locals of type i64 and i32, for the function's declaration. */
export let locals64: u32 = 0;
export let locals32: u32 = 0;

const FLAG_STATES: u32 = 0xf0000;

/** Begins the writing of a region; `again`: the counts of the first time hold. */
export function beginLowering(again: bool, withCaches: bool): void {
  const states: u32 = again ? (used | dirty) : 0xfffff;
  let next = FIRST_LOCAL;
  for (let i: u32 = 0; i < STATES; i++) {
    if (i == FLAG_OP || !(states >> i & 1)) continue;
    store<u8>(scratch + STATE_LOCALS + i, <u8>next);
    next++;
  }
  lRipPage = next++; lRip = next++; lTarget = next++;
  firstTag = next;
  next += again ? caches : MAX_CACHES;
  first64 = next;
  next += again ? max64 : 1024;
  locals64 = next - FIRST_LOCAL;
  lOp = next++;
  lCond = next++; lEntry = next++; lAddend = next++;
  firstAddend = next;
  next += again ? caches : MAX_CACHES;
  first32 = next;
  next += again ? max32 : 1024;
  locals32 = next - FIRST_LOCAL - locals64;
  everDirty = again ? dirty : 0xfffff;
  used = 0; dirty = 0; caches = 0; max64 = 0; max32 = 0;
  caching = withCaches;
}
let lOp: u32 = 0;

/** What was found in the first writing decides the second: flags go together. */
export function completeStates(): void {
  if ((used | dirty) & FLAG_STATES) used |= FLAG_STATES;
  if (dirty & FLAG_STATES) dirty |= FLAG_STATES;
}

export function localOfState(i: u32): u32 { return i == FLAG_OP ? lOp : load<u8>(scratch + STATE_LOCALS + i); }
export function tagLocal(i: u32): u32 { return firstTag + i; }

function temp64(): u32 {
  const l = first64 + temps64++;
  if (temps64 > max64) max64 = temps64;
  return l;
}
function temp32(): u32 {
  const l = first32 + temps32++;
  if (temps32 > max32) max32 = temps32;
  return l;
}

// --- values

/** Pushes an i64. */
function get(v: u32): void {
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
function get32(v: u32): void {
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
function push(n: Node): void {
  switch (n.kind) {
    case CONST: i64Const(n.imm); return;
    case STATE: used |= 1 << n.a; localGet(localOfState(n.a)); return;
    case RIP_PAGE: localGet(lRipPage); return;
    case CPU: localGet(L_VCPU); memory_(I64_LOAD, <usize>n.imm); return;
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
  if (ofFlags) get32(n.a); else get(n.a);
  if (n.b) get(n.b);
  if (n.c) get(n.c);
  if (n.d) get(n.d);
  if (n.imm && !ofFlags) i64Const(n.imm);
  call(f);
}

/** A local that holds the i64 value for the rest of the block. */
function inLocal(v: u32): u32 {
  const n = node(v);
  if (n.local) return n.local;
  if (n.kind == STATE && n.a != FLAG_OP) { used |= 1 << n.a; return localOfState(n.a); }
  if (n.kind == RIP_PAGE) return lRipPage;
  get(v);
  const l = temp64();
  localSet(l);
  if (!n.type) n.local = <u16>l;
  return l;
}

// --- leaving

/** Writes states to their locals: snapshot `s`, or the current ones (-1). All are read before one is written. */
export function commit(s: i32): void {
  for (let i: u32 = 0; i < STATES; i++) {
    const v = s < 0 ? currentAt(i) : snapshotAt(s, i);
    if (!v) continue;
    if (i == FLAG_OP) get32(v); else get(v);
  }
  for (let i: i32 = STATES - 1; i >= 0; i--) {
    const v = s < 0 ? currentAt(i) : snapshotAt(s, i);
    if (!v) continue;
    dirty |= 1 << i;
    localSet(localOfState(i));
  }
}

/** Leaves the region: RIP = page + off, `rest` instructions are given back, status unless it is set already (-1). */
export function leave(off: u64, rest: u32, status: i32): void {
  if (rest) { localGet(L_BUDGET); i64Const(rest); byte(I64_ADD); localSet(L_BUDGET); }
  if (status >= 0) { localGet(L_VCPU); i32Const(status); memory_(I32_STORE, V_STATUS); }
  localGet(lRipPage); i64Const(pageDelta + <i64>off); byte(I64_ADD); localSet(lRip);
  br(exitLabel);
}

// --- effects

/** The page cache for accesses with this key, or -1. */
function cacheOf(key: u32): i32 {
  if (!caching) return -1;
  const p = scratch + CACHES;
  for (let i: u32 = 0; i < caches; i++) if (load<u32>(p + (i << 2)) == key) return i;
  if (caches == MAX_CACHES) return -1;
  store<u32>(p + (caches << 2), key);
  return caches++;
}

/** (linear + size - 1) & ~0xfff: differs from the page of the first byte if the access crosses its end. */
function pushPage(linear: u32, size: u32): void {
  localGet(linear);
  if (size > 1) { i64Const(size - 1); byte(I64_ADD); }
  i64Const(-4096); byte(I64_AND);
}

function lowerTranslate(n: Node): void {
  const imm = n.imm, size: u32 = 1 << (<u32>(imm >> 32) & 3), use = <i32>(imm >> 34) & 3;
  const table = use == READ ? AREA_TLB_READ : AREA_TLB_WRITE;
  const linear = inLocal(n.a), cache = cacheOf(<u32>(imm >> 40) | (use == READ ? 0 : 0x1000000));
  const addend = cache < 0 ? lAddend : firstAddend + cache;
  if (cache >= 0) { pushPage(linear, size); localGet(firstTag + cache); byte(I64_NE); open(IF); }
  // Address of the TLB entry, but for the table's offset: page number * 16.
  localGet(linear); byte(I32_WRAP); i32Const(8); byte(I32_SHR_U); i32Const(<i32>(TLB_ENTRIES - 1) << 4); byte(I32_AND);
  localGet(L_VCPU); byte(I32_ADD);
  localTee(lEntry); memory_(I64_LOAD, table);
  pushPage(linear, size);
  localGet(L_VCPU); memory_(I64_LOAD, V_CTX); byte(I64_OR);
  byte(I64_EQ);
  open(IF);
  localGet(lEntry); memory_(I32_LOAD, table + 8); localSet(addend);
  if (cache >= 0) { pushPage(linear, 1); localSet(firstTag + cache); }
  byte(ELSE);
  localGet(L_VCPU); i32Const(<i32>(imm >> 36) & 1); memory_(I32_STORE, V_STACK_FAULT);
  localGet(L_VCPU); localGet(linear); i32Const(size);
  if (use == READ) call(H_SLOW_READ);
  else { i32Const(use); call(H_SLOW_WRITE); }
  localTee(addend); byte(I32_EQZ);
  open(IF);
  commit(n.c);
  leave(placeOff(imm), placeRest(imm), -1);
  close();
  localGet(addend); localGet(linear); byte(I32_WRAP); byte(I32_SUB); localSet(addend);
  if (cache >= 0) { i64Const(1); localSet(firstTag + cache); }
  close();
  if (cache >= 0) close();
  localGet(linear); byte(I32_WRAP); localGet(addend); byte(I32_ADD);
  const l = temp32();
  localSet(l);
  n.local = <u16>l;
}

function lowerEffect(n: Node): void {
  switch (n.kind) {
    case TRANSLATE: lowerTranslate(n); return;
    case LOAD: {
      get32(n.a); memory_(n.op, 0);
      const l = temp64();
      localSet(l);
      n.local = <u16>l;
      return;
    }
    case STORE: get32(n.a); get(n.b); memory_(n.op, 0); return;
    case LEAVE:
      get32(n.a);
      open(IF);
      commit(n.c);
      leave(placeOff(n.imm), placeRest(n.imm), STATUS_SLOW);
      close();
      return;
    case SPILL: lowerSpill(n); return;
    case CALL: {
      // Handlers make RIP of it.
      if (severalPages) {
        localGet(L_VCPU);
        localGet(lRipPage); i64Const(pageDelta); byte(I64_ADD);
        memory_(I64_STORE, V_RIP_PAGE);
      }
      localGet(L_VCPU); localGet(L_VCPU); i32Const(n.d); byte(I32_ADD);
      call(n.b & CALL_ADDRESS ? H_EASEG : H_CALL_HANDLER);
      const l = temp32();
      localSet(l);
      n.local = <u16>l;
      if (n.b & CALL_CONTEXT) for (let i: u32 = 0; i < caches; i++) { i64Const(1); localSet(firstTag + i); }
      return;
    }
    case RELOAD: {
      localGet(L_VCPU); memory_(n.type ? I32_LOAD : I64_LOAD, <usize>n.imm);
      const l = n.type ? temp32() : temp64();
      localSet(l);
      n.local = <u16>l;
      return;
    }
    case CHECK:
      get32(n.a); byte(I32_EQZ);
      open(IF);
      if (n.b & CALL_REPEATS) {
        // A repetition that is to go on counts as an instruction.
        localGet(L_BUDGET);
        localGet(L_VCPU); memory_(I32_LOAD, V_STATUS); i32Const(STATUS_RESUME); byte(I32_EQ); byte(I64_EXTEND_U);
        byte(I64_SUB); localSet(L_BUDGET);
      }
      commit(n.c);
      leave(placeOff(n.imm), placeRest(n.imm), -1);
      close();
      return;
    default: unreachable();
  }
}

function lowerSpill(n: Node): void {
  // What the region never writes is in the vCPU page as it was.
  const v = node(n.a);
  if (n.b && v.kind == STATE && v.a == n.b - 1 && !(everDirty >> v.a & 1)) return;
  localGet(L_VCPU);
  if (n.b - 1 == FLAG_OP) { get32(n.a); memory_(I32_STORE, <usize>n.imm); }
  else { get(n.a); memory_(I64_STORE, <usize>n.imm); }
}

@inline function use(v: u32): void { if (v) { const n = node(v); n.uses = n.uses + 1; } }

function countUses(end: u32): void {
  use(end);
  for (let i: u32 = 0; i < STATES; i++) use(currentAt(i));
  for (let v = count - 1; v > 0; v--) {
    const n = node(v), kind = n.kind;
    if (kind < TRANSLATE && !n.uses) continue;
    if (kind == CHOOSE || kind == PURE_CALL) { use(n.a); use(n.b); use(n.c); use(n.d); }
    else if (kind == BINARY || kind == STORE) { use(n.a); use(n.b); }
    else if (kind == UNARY || kind >= TRANSLATE) use(n.a);
  }
}

/** Writes the block: its effects, then `end` (0: nothing) to local `endLocal`, then the registers and flags. */
export function lowerBlock(end: u32, endLocal: u32): void {
  temps64 = 0;
  temps32 = 0;
  countUses(end);
  for (let v: u32 = 1; v < count; v++) {
    const n = node(v);
    if (n.kind >= TRANSLATE) lowerEffect(n);
    else if (n.uses > 1 && n.kind >= UNARY && !n.local) {
      push(n);
      const l = n.type ? temp32() : temp64();
      localSet(l);
      n.local = <u16>l;
    }
  }
  if (end) {
    if (endLocal == lCond) get32(end); else get(end);
    localSet(endLocal);
  }
  commit(-1);
}

/** Reads what the region needs from the vCPU page; written before the body. */
export function pushStateLoad(i: u32, offset: usize): void {
  localGet(L_VCPU);
  memory_(i == FLAG_OP ? I32_LOAD : I64_LOAD, offset);
  localSet(localOfState(i));
}
