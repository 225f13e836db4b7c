/**
 * From the nodes of a block (./ir.ts) to Wasm. The function of a region, `(vcpu i32, budget i64, entry i32) -> i64`,
 * finds registers and flags in the vCPU page, where each block reads what it needs and leaves what it has changed. That
 * keeps live ranges short, on which the host's optimising compiler spends most of its time, and makes going in and out
 * cheap. Small loops (groups, ./plan.ts) have them in locals: they are loaded on the way in and stored on the way out.
 * RSP has a local over the whole region.
 *
 *     0 vcpu   1 budget   2 entry
 *     i64: registers of groups, flag operands, RIP page, RIP, how it leaves, linear page of a guard, page cache
 *          tags, temporaries
 *     i32: flag operation, condition, TLB entry, TOP, MXCSR, page cache addends, temporaries
 *
 * A region is written twice: the first time finds out how many of each there are.
 *
 * Accesses share translations, which stay true while the region runs, because nothing in a region takes them away.
 * Outside of groups, the first of a block's accesses whose addresses are the same value plus different constants looks
 * whether the TLB has one page for all of them; if not, the interpreter goes on there. In groups there are page caches:
 * the last page that accesses of one kind (same base and index register, read or write) went to, as a tag (linear page)
 * and an addend (host address minus linear address). What is not aligned may cross the page's end and misses.
 */
import { AREA_TLB_READ, AREA_TLB_WRITE, STATUS_SLOW, TLB_ENTRIES, V_CTX, V_RIP_PAGE, Vcpu } from "../gen/layout";
import { H_CALL_HANDLER, H_EASEG, H_REGION_READ, H_REGION_WRITE } from "../gen/helpers";
import { READ } from "../sem/kinds";
import { countUses, departures, findLast, firstWrite, hoistTranslations, lastAt, shareTranslations } from "./analyse";
import {
  BINARY, CALL, CALL_ADDRESS, CALL_CONTEXT, CHECK, count, currentAt, FLAG_OP, HELPED, inLocals, isLocal, LEAVE, LOAD,
  Node, node, offsetOfState, pageDelta, pendingAt, placeRedo, RELOAD, RSP, scratch, severalPages, sizeOf, snapshotAt,
  SPILL, STATE, STATES, STORE, TRANSLATE, UNARY, uopOf, useOf, VECTOR, X87_BEGIN, X87_END, X87_GET, X87_PUT, x87Off,
  x87State,
} from "./ir";
import { beginDepartures, depart, GO_ON, leaveIfSo, takeBudget } from "./depart";
import { get, get32, inLocal, push } from "./lowerValue";
import { beginVectors, forgetVectors, lowerVector, noteSpill, pushReload } from "./lowerVector";
import { lowerX87, lowerX87State } from "./lowerX87";
import { Block, checks } from "./plan";
import { countCall } from "./profile";
import {
  byte, call, close, I32_ADD, I32_AND, I32_EQZ, I32_LOAD, I32_SHR_U, I32_STORE, I32_SUB, I32_WRAP, i32Const, I64_ADD,
  I64_AND, I64_EQ, I64_LOAD, I64_STORE, I64_NE, I64_OR, i64Const, IF, localGet, localSet, localTee, memory_, open,
  ELSE,
} from "./wasm";

export const L_VCPU: u32 = 0;
export const L_BUDGET: u32 = 1;
export const L_ENTRY: u32 = 2;
const FIRST_LOCAL: u32 = 3;
const MAX_CACHES: u32 = 16;
const CACHES: usize = 0x3f000;
const STATE_LOCALS: usize = 0x3f080;
/** {states used u32, states written u32} of each group, by its header. */
const GROUPS: usize = 0x3f100;
/** No access looks for this page. */
const NO_PAGE: i64 = 0x800;

/** Where departures from a group go: its end, which stores its states. */
export let leaveLabel: u32 = 0;
/** The group (index of its header) of the block that is being written, or -1. */
export let group: i32 = -1;
/** States that any block of the group writes, as far as is known. */
let everWritten: u32 = 0;
let again: bool = false;
export function useGroup(g: i32, label: u32): void {
  group = g;
  leaveLabel = label;
  if (g >= 0) everWritten = again ? writtenIn(g) : 0xfffff;
}

export let lRipPage: u32 = 0;
export let lRip: u32 = 0;
/** How the region is left: see leave(). */
export let lLeave: u32 = 0;
export let lLinear: u32 = 0;
export let lCond: u32 = 0;
export let lEntry: u32 = 0;
let lOp: u32 = 0;
let lAddend: u32 = 0;
/** 16 * TOP at the start of the x87 run; whether MXCSR allows the host's arithmetic. */
export let lTop: u32 = 0;
export let lFast: u32 = 0;
let firstTag: u32 = 0;
let firstAddend: u32 = 0;
let first64: u32 = 0;
let first32: u32 = 0;
/** Locals of type f64: ./lowerVector.ts. */
export let firstFloat: u32 = 0;

let caches: u32 = 0;
/** Caches that the region has in the end, as far as is known. */
let allCaches: u32 = 0;
let max64: u32 = 0;
let max32: u32 = 0;
/** Locals of type i64 and i32, for the function's declaration. */
export let locals64: u32 = 0;
export let locals32: u32 = 0;

@inline function groupAt(g: u32): usize { return scratch + GROUPS + (<usize>g << 3); }
/** States that group g has in locals, and those of them that it writes. */
function statesOf(g: u32): u32 { return load<u32>(groupAt(g)) | load<u32>(groupAt(g), 4); }
function writtenIn(g: u32): u32 { return load<u32>(groupAt(g), 4); }

export function note(i: u32, written: bool): void {
  if (group < 0) return;
  const p = groupAt(group) + (written ? 4 : 0);
  store<u32>(p, load<u32>(p) | 1 << i);
}

/**
 * The vCPU's area, which stays where it is: constant addresses, which become part of the host's machine instructions. As
 * a pointer in a local it would be loaded before every use, because the first of the host's compilers keeps locals in memory.
 */
export let cpuBase: usize = 0;
/** Pushes the address of an access to the area by `cpuMemory`. */
export function pushCpu(): void { i32Const(0); }
export function cpuMemory(op: u32, offset: usize): void { memory_(op, cpuBase + offset); }

/** Begins the writing of a region of `blocks` blocks; `second`: the counts of the first time hold. */
export function beginLowering(c: Vcpu, second: bool, blocks: u32): void {
  cpuBase = changetype<usize>(c);
  again = second;
  let states: u32 = 0xfffff;
  if (again) {
    states = 1 << RSP;
    for (let g: u32 = 0; g < blocks; g++) states |= statesOf(g);
  } else memory.fill(groupAt(0), 0, <usize>blocks << 3);
  let next = FIRST_LOCAL;
  for (let i: u32 = 0; i < STATES; i++) {
    if (i == FLAG_OP || !(states >> i & 1)) continue;
    store<u8>(scratch + STATE_LOCALS + i, <u8>next);
    next++;
  }
  lRipPage = next++; lRip = next++; lLeave = next++; lLinear = next++;
  firstTag = next;
  next += again ? caches : MAX_CACHES;
  first64 = next;
  next += again ? max64 : 1024;
  locals64 = next - FIRST_LOCAL;
  lOp = next++;
  lCond = next++; lEntry = next++; lAddend = next++; lTop = next++; lFast = next++;
  firstAddend = next;
  next += again ? caches : MAX_CACHES;
  first32 = next;
  next += again ? max32 : 1024;
  locals32 = next - FIRST_LOCAL - locals64;
  firstFloat = next;
  beginVectors();
  allCaches = again ? caches : MAX_CACHES;
  caches = 0; max64 = 0; max32 = 0;
}

export function localOfState(i: u32): u32 { return i == FLAG_OP ? lOp : load<u8>(scratch + STATE_LOCALS + i); }

/** Pushes what the home of state i in a group holds. */
export function pushHome(i: u32): void { note(i, false); localGet(localOfState(i)); }

/** All page caches are empty. */
export function emptyCaches(): void {
  for (let i: u32 = 0; i < allCaches; i++) { i64Const(NO_PAGE); localSet(firstTag + i); }
}

/** At the region's start. */
export function loadStack(): void { loadState(RSP); }

function loadState(i: u32): void {
  pushCpu();
  cpuMemory(i == FLAG_OP ? I32_LOAD : I64_LOAD, offsetOfState(i));
  localSet(localOfState(i));
}
function storeState(i: u32): void {
  pushCpu();
  localGet(localOfState(i));
  cpuMemory(i == FLAG_OP ? I32_STORE : I64_STORE, offsetOfState(i));
}

/** Brings the states of a group into their locals. */
export function loadStates(g: u32): void {
  const states = statesOf(g) & ~(1 << RSP);
  for (let i: u32 = 0; i < STATES; i++) {
    if (states >> i & 1) loadState(i);
  }
}
/** And those that it writes back into the vCPU page. */
export function storeStates(g: u32): void {
  const states = writtenIn(g) & ~(1 << RSP);
  for (let i: u32 = 0; i < STATES; i++) {
    if (states >> i & 1) storeState(i);
  }
}

/** A local for what is being written now. */
export function temp64(): u32 {
  const t = freeTemp(UNTIL64);
  max64 = max(max64, t + 1);
  return first64 + t;
}
export function temp32(): u32 {
  const t = freeTemp(UNTIL32);
  max32 = max(max32, t + 1);
  return first32 + t;
}
/** Sets a local that is a node's as long as anything reads it. */
export function keep(n: Node): void {
  const l = n.type ? temp32() : temp64(), last = load<u16>(lastAt((changetype<usize>(n) - scratch) >> 5));
  if (last > <u16>now) store<u16>(scratch + (n.type ? UNTIL32 + (<usize>(l - first32) << 1) : UNTIL64 + (<usize>(l - first64) << 1)), last);
  n.local = <u16>l;
  localSet(l);
}
function freeTemp(list: usize): u32 {
  let t: u32 = 0;
  while (load<u16>(scratch + list + (<usize>t << 1)) >= <u16>now) t++;
  store<u16>(scratch + list + (<usize>t << 1), <u16>now);
  return t;
}
/** For each temporary local the last node that reads it, u16. */
const UNTIL64: usize = 0x79000;
const UNTIL32: usize = 0x79800;
/** The node that is being written; `count`: what comes after them. */
let now: u32 = 0;

// --- states go home

/** Writes states that are at home in the vCPU page: see commit. */
export function commitMemory(s: i32): void {
  // What a state held at the block's start is in a temporary already; RSP's local is written when all have been computed.
  for (let i: u32 = 0; i < STATES; i++) {
    const v = s < 0 ? pendingAt(i) : snapshotAt(s, i);
    if (!v || i == RSP) continue;
    pushCpu();
    if (i == FLAG_OP) { get32(v); cpuMemory(I32_STORE, offsetOfState(i)); }
    else { get(v); cpuMemory(I64_STORE, offsetOfState(i)); }
  }
}

/** Writes states to their homes: snapshot `s`, or the current ones (-1). All locals are read before one is written. */
export function commit(s: i32): void {
  lowerX87State(s < 0 ? x87State : snapshotAt(s, STATES), s < 0 ? x87Off : snapshotAt(s, STATES + 1));
  if (inLocals) {
    for (let i: u32 = 0; i < STATES; i++) {
      const v = s < 0 ? currentAt(i) : snapshotAt(s, i);
      if (!v) continue;
      if (i == FLAG_OP) get32(v); else get(v);
    }
    for (let i: i32 = STATES - 1; i >= 0; i--) {
      const v = s < 0 ? currentAt(i) : snapshotAt(s, i);
      if (!v) continue;
      note(i, true);
      localSet(localOfState(i));
    }
    return;
  }
  commitMemory(s);
  const stack = s < 0 ? pendingAt(RSP) : snapshotAt(s, RSP);
  if (stack) { get(stack); localSet(localOfState(RSP)); }
}

// --- effects

/** The page cache for accesses with this key, or -1. */
function cacheOf(key: u32): i32 {
  if (group < 0) return -1;
  const p = scratch + CACHES;
  for (let i: u32 = 0; i < caches; i++) if (load<u32>(p + (i << 2)) == key) return i;
  if (caches == MAX_CACHES) return -1;
  store<u32>(p + (caches << 2), key);
  return caches++;
}

/** Pushes whether the TLB has the page of an access (or has it not: compare), whose entry's place is then in lEntry. */
function pushProbe(linear: u32, size: u32, table: usize, compare: u32): void {
  // Address of the entry, but for the table's offset: page number * 16.
  localGet(linear); byte(I32_WRAP); i32Const(8); byte(I32_SHR_U); i32Const(<i32>(TLB_ENTRIES - 1) << 4); byte(I32_AND);
  localTee(lEntry); cpuMemory(I64_LOAD, table);
  // The page of the last byte: another one if the access crosses its end.
  localGet(linear);
  if (size > 1) { i64Const(size - 1); byte(I64_ADD); }
  i64Const(-4096); byte(I64_AND);
  pushCpu(); cpuMemory(I64_LOAD, V_CTX); byte(I64_OR);
  byte(compare);
}

/** Host address of the access into local `to`, by the core; leaves if there is none. */
function writeSlow(n: Node, linear: u32, to: u32): void {
  const use = useOf(n);
  localGet(L_VCPU); localGet(linear); i32Const(sizeOf(n) | (<u32>(n.imm >> 37) & 1) << 8 | use << 9);
  call(use == READ ? H_REGION_READ : H_REGION_WRITE);
  localTee(to); byte(I32_EQZ);
  open(IF);
  depart(n, -1);
  close();
}

/** Opens an `if` for the case that an access goes to another page than tag says, or may cross its end. */
function pushOther(linear: u32, size: u32, tag: u32): void {
  localGet(linear); i64Const(<i64>(-4096 | <i64>(size - 1))); byte(I64_AND);
  localGet(tag); byte(I64_NE);
}

/** Fills tag and addend, which the access at `linear` then uses. */
function writeFill(n: Node, linear: u32, table: usize, tag: u32, addend: u32): void {
  pushProbe(linear, sizeOf(n), table, I64_EQ);
  open(IF);
  localGet(lEntry); cpuMemory(I32_LOAD, table + 8); localSet(addend);
  localGet(linear); i64Const(-4096); byte(I64_AND); localSet(tag);
  byte(ELSE);
  writeSlow(n, linear, addend);
  localGet(addend); localGet(linear); byte(I32_WRAP); byte(I32_SUB); localSet(addend);
  i64Const(NO_PAGE); localSet(tag);
  close();
}

function lowerTranslate(n: Node): void {
  if (group < 0) { lowerShared(n); return; }
  const size = sizeOf(n), table = useOf(n) == READ ? AREA_TLB_READ : AREA_TLB_WRITE, linear = inLocal(n.a);
  const cache = cacheOf(<u32>(n.imm >> 40) | (useOf(n) == READ ? 0 : 0x1000000));
  if (cache < 0) {
    const to = temp32();
    pushProbe(linear, size, table, I64_EQ);
    open(IF);
    localGet(linear); byte(I32_WRAP); localGet(lEntry); cpuMemory(I32_LOAD, table + 8); byte(I32_ADD); localSet(to);
    byte(ELSE);
    writeSlow(n, linear, to);
    close();
    localGet(to); keep(n);
    return;
  }
  const addend = firstAddend + cache;
  pushOther(linear, size, firstTag + cache);
  open(IF);
  writeFill(n, linear, table, firstTag + cache, addend);
  close();
  localGet(linear); byte(I32_WRAP); localGet(addend); byte(I32_ADD); keep(n);
}

/** The host address of the lowest byte that a leader and its others go to. */
function lowerShared(n: Node): void {
  if (node(n.d) != n) return;
  const lowest = <i16>n.b, span = <u32>(<i16>(n.b >> 16) - lowest), table = useOf(n) == READ ? AREA_TLB_READ : AREA_TLB_WRITE;
  let linear: u32 = 0;
  if (lowest) {
    get(n.a); i64Const(lowest); byte(I64_ADD);
    linear = temp64();
    localSet(linear);
  } else linear = inLocal(n.a);
  pushProbe(linear, span, table, I64_NE);
  leaveIfSo(n, GO_ON);
  localGet(linear); byte(I32_WRAP); localGet(lEntry); cpuMemory(I32_LOAD, table + 8); byte(I32_ADD); keep(n);
}

/** Pushes the host address that a translation has found. What is returned is still to be added, as an access's offset. */
export function pushPointer(v: u32): usize {
  const n = node(v);
  if (group >= 0) { localGet(n.local); return 0; }
  const leader = node(n.d);
  localGet(leader.local);
  return (n.d == v ? 0 : <i32>n.b) - <i16>leader.b;
}

function lowerEffect(n: Node): void {
  switch (n.kind) {
    case TRANSLATE: lowerTranslate(n); return;
    case LOAD:
      memory_(n.op, pushPointer(n.a));
      keep(n);
      return;
    case STORE: {
      const offset = pushPointer(n.a);
      get(n.b); memory_(n.op, offset);
      return;
    }
    case LEAVE:
      get32(n.a);
      leaveIfSo(n, n.b ? GO_ON : STATUS_SLOW);
      return;
    case SPILL: lowerSpill(n); return;
    case VECTOR: lowerVector(n); return;
    case HELPED:
      localGet(L_VCPU);
      if (n.a) get(n.a);
      if (n.b) get(n.b);
      if (n.c) get(n.c);
      if (n.d) get(n.d);
      call(n.op);
      keep(n);
      return;
    case X87_BEGIN: case X87_GET: case X87_PUT: case X87_END: lowerX87(n); return;
    case CALL:
      setRipPage();
      localGet(L_VCPU); i32Const(<i32>(cpuBase + n.d));
      if (!(n.b & CALL_ADDRESS)) countCall(load<u16>(uopOf(n)));
      call(n.b & CALL_ADDRESS ? H_EASEG : H_CALL_HANDLER);
      keep(n);
      forgetVectors();
      if (n.b & CALL_CONTEXT) emptyCaches();
      return;
    case RELOAD:
      if (n.type) { pushCpu(); cpuMemory(I32_LOAD, <usize>n.imm); }
      else pushReload(<usize>n.imm);
      keep(n);
      return;
    case CHECK:
      get32(n.a); byte(I32_EQZ);
      leaveIfSo(n, -1);
      return;
    default: unreachable();
  }
}

/** Handlers make RIP of it. */
export function setRipPage(): void {
  if (!severalPages) return;
  pushCpu();
  localGet(lRipPage); i64Const(pageDelta); byte(I64_ADD);
  cpuMemory(I64_STORE, V_RIP_PAGE);
}

function lowerSpill(n: Node): void {
  // What a group never writes is in the vCPU page as it was.
  const v = node(n.a);
  if (group >= 0 && n.b && v.kind == STATE && v.a == n.b - 1 && !(everWritten >> v.a & 1)) return;
  pushCpu();
  if (n.b - 1 == FLAG_OP) { get32(n.a); cpuMemory(I32_STORE, <usize>n.imm); }
  else {
    get(n.a); cpuMemory(I64_STORE, <usize>n.imm);
    noteSpill(<usize>n.imm, n.a);
  }
}
function readState(n: Node): void {
  if (isLocal(n.a) || n.local) return;
  pushCpu(); cpuMemory(n.type ? I32_LOAD : I64_LOAD, offsetOfState(n.a));
  keep(n);
}

/** Translations of leaders from behind the block's first write, which is next. */
function lowerHoisted(): void {
  for (let v = now; v < count; v++) {
    const n = node(v);
    if (n.kind != TRANSLATE || n.d != v || !placeRedo(n.imm)) continue;
    readStates(n.a);
    lowerShared(n);
  }
}
/** Reads the states that v is made of, whose turn may still come. */
function readStates(v: u32): void {
  if (!v || v < now) return;
  const n = node(v);
  if (n.kind == STATE) readState(n);
  else if (n.kind == UNARY || n.kind == BINARY) {
    readStates(n.a);
    if (n.kind == BINARY) readStates(n.b);
  }
}

/** Writes block b: its effects, then `end` (0: nothing) to local `endLocal`, then the registers and flags. */
export function lowerBlock(b: Block, end: u32, endLocal: u32): void {
  if (group < 0) {
    shareTranslations();
    hoistTranslations();
  }
  countUses(end);
  findLast(end);
  memory.fill(scratch + UNTIL64, 0, UNTIL32 - UNTIL64 + 0x800);
  forgetVectors();
  beginDepartures(group < 0 ? departures(checks(b)) : 0);
  takeBudget(b);
  for (now = 1; now < count; now++) {
    const n = node(now);
    if (group < 0 && now == firstWrite) lowerHoisted();
    if (n.kind >= TRANSLATE) {
      if (n.kind != TRANSLATE || !n.local) lowerEffect(n);
    } else if (n.kind == STATE) {
      // Its home may get another value before the block's end: read it where it is first asked for.
      if (load<u16>(lastAt(now))) readState(n);
    } else if (n.uses > 1 && n.kind >= UNARY && !n.local) {
      push(n);
      keep(n);
    }
  }
  if (end) {
    if (endLocal == lCond) get32(end); else get(end);
    localSet(endLocal);
  }
  commit(-1);
}
