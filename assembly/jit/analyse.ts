/**
 * What is to be known of a block's nodes (./ir.ts) before they are written (./lower.ts): which accesses share a translation,
 * how often values are used, and how long.
 */
import { READ } from "../sem/kinds";
import {
  BINARY, CALL, CALL_CONTEXT, CHECK, CHOOSE, count, currentAt, HELPED, isConst, kindOf, LEAVE, LOAD, Node, node, placeRedo, PURE_CALL, REDO, RELOAD,
  scratch, sizeOf, snapshotAt, STATE, STATES, STORE, TRANSLATE, UNARY, useOf, VECTOR, X87_BEGIN, X87_PUT,
} from "./ir";
import { I64_ADD, I64_AND } from "./wasm";

/** Accesses share a translation if all lies within so many bytes: the more, the likelier is a page's end between. */
const CLOSE: i64 = 256;
/** So many leaders of a block are remembered: {node u32}. */
const LEADERS: usize = 0x3fa00;
const MAX_LEADERS: u32 = 64;

/** Addresses are a base and an offset; where both are cut to 32 bits, that is a part of the base. 0: no base. */
let base: u32 = 0;
let offset: i64 = 0;
let cutBase: bool = false;
function splitAddress(v: u32): void {
  let n = node(v);
  cutBase = n.kind == BINARY && n.op == I64_AND && isConst(n.b) && node(n.b).imm == 0xffffffff;
  if (cutBase) { v = n.a; n = node(v); }
  const sum = n.kind == BINARY && n.op == I64_ADD && isConst(n.b);
  base = sum ? n.a : isConst(v) ? 0 : v;
  offset = sum ? <i64>node(n.b).imm : isConst(v) ? <i64>n.imm : 0;
}

/**
 * Finds for each translation of the block the first one near it, its leader (d; it is its own), which translates for it. b
 * of a leader: from which distance to which others go, as two i16; of the others: their distance.
 */
export function shareTranslations(): void {
  let leaders: u32 = 0;
  const list = scratch + LEADERS;
  for (let v: u32 = 1; v < count; v++) {
    const n = node(v);
    // What a handler has changed, a translation from before does not know.
    if (n.kind == CALL && n.b & CALL_CONTEXT) leaders = 0;
    if (n.kind != TRANSLATE) continue;
    splitAddress(n.a);
    const b = base, o = offset, cut = cutBase, size: i64 = sizeOf(n);
    n.d = v;
    n.b = <u32>size << 16;
    let i: u32 = 0;
    for (; i < leaders; i++) {
      const l = load<u32>(list + (<usize>i << 2)), m = node(l);
      splitAddress(m.a);
      const apart = o - offset, from = min<i64>(<i16>m.b, apart), to = max<i64>(<i16>(m.b >> 16), apart + size);
      if (base != b || cutBase != cut || apart > CLOSE || apart < -CLOSE || to - from > CLOSE) continue;
      // What the block reads and writes must be writable anyway.
      if (useOf(m) == READ) m.imm |= n.imm & (<u64>3 << 35);
      m.b = (<u32>from & 0xffff) | (<u32>to << 16);
      n.d = l;
      n.b = <u32>apart;
      break;
    }
    if (i == leaders && leaders < MAX_LEADERS) {
      store<u32>(list + (<usize>leaders << 2), v);
      leaders++;
    }
  }
}

/**
 * The node before which the block has done nothing that can be seen from outside; there the translations can be made that
 * need nothing from behind it. If one of them fails, the interpreter runs the block, and there is no departure from its
 * middle, which would be many times the size of the access. 0: there are none such.
 */
export let firstWrite: u32 = 0;

/** Has leaders from behind the block's first write translate before it: they become departures of the block's start. */
export function hoistTranslations(): void {
  let v: u32 = 1;
  while (v < count && (kindOf(v) <= LOAD || kindOf(v) == LEAVE)) v++;
  const write = v;
  firstWrite = 0;
  // A handler may be why the block never comes to what is behind it.
  for (; v < count && kindOf(v) != CALL; v++) {
    const n = node(v);
    if (n.kind != TRANSLATE || n.d != v || placeRedo(n.imm) || !known(n.a, write, DEEP)) continue;
    firstWrite = write;
    n.imm |= REDO;
  }
}

/** Whether node v is known before node `before`: `deep`: how far that is looked into. */
function known(v: u32, before: u32, deep: u32): bool {
  if (!v || v < before) return true;
  const n = node(v), kind = n.kind;
  if (kind < UNARY) return true;
  return deep && kind <= BINARY && known(n.a, before, deep - 1) && (kind == UNARY || known(n.b, before, deep - 1));
}
const DEEP: u32 = 4;

/** Whether a node is a translation that another one does. */
@inline function follows(v: u32): bool { return node(v).kind == TRANSLATE && node(v).d != 0 && node(v).d != v; }

@inline function use(v: u32): void { if (v) { const n = node(v); n.uses = n.uses + 1; } }

export function countUses(end: u32): void {
  use(end);
  for (let i: u32 = 0; i < STATES; i++) use(currentAt(i));
  for (let v = count - 1; v > 0; v--) {
    const n = node(v), kind = n.kind;
    if (kind < TRANSLATE && !n.uses) continue;
    if (kind == CHOOSE || kind == PURE_CALL || kind == HELPED) { use(n.a); use(n.b); use(n.c); use(n.d); }
    else if (follows(v)) continue;
    else if (kind == BINARY || kind == STORE || kind == VECTOR || kind == X87_PUT) { use(n.a); use(n.b); }
    else if (kind == UNARY || kind >= TRANSLATE) use(n.a);
  }
}

/** The last node that reads a node's value, u16: `count` if the block's end does, 0 if nothing does. */
const LAST: usize = 0x76000;
@inline export function lastAt(v: usize): usize { return scratch + LAST + (v << 1); }

/** Whether a node is computed where it stands, into a local; others are computed where they are read. */
@inline function stands(n: Node): bool { return n.kind >= TRANSLATE || n.kind == STATE || (n.uses > 1 && n.kind >= UNARY); }

/** Node `by` reads v, and what v is computed from if that is not done before. */
function read(v: u32, by: u32): void {
  if (!v || load<u16>(lastAt(v))) return;
  store<u16>(lastAt(v), <u16>by);
  const n = node(v);
  if (!stands(n)) readOperands(n, by);
  else if (follows(v)) read(n.d, by);
}
function readOperands(n: Node, by: u32): void {
  const kind = n.kind;
  if (kind < UNARY) return;
  read(n.a, by);
  if (kind == UNARY) return;
  read(n.b, by);
  if (kind == BINARY) return;
  read(n.c, by);
  read(n.d, by);
}
function readSnapshot(s: u32, by: u32): void { for (let i: u32 = 0; i < STATES; i++) read(snapshotAt(s, i), by); }

/** Finds out how long values are read: from the block's end to its start, so that the first reader that is met is the last. */
export function findLast(end: u32): void {
  memory.fill(lastAt(0), 0, <usize>count << 1);
  read(end, count);
  for (let i: u32 = 0; i < STATES; i++) read(currentAt(i), count);
  for (let v = count - 1; v > 0; v--) {
    const n = node(v), kind = n.kind;
    if (kind < TRANSLATE) {
      if (stands(n)) readOperands(n, v);
      continue;
    }
    if (kind == CALL || kind == RELOAD || follows(v)) continue;
    read(n.a, v);
    if (kind == STORE || kind == VECTOR || kind == X87_PUT) read(n.b, v);
    else if (kind == HELPED) { read(n.b, v); read(n.c, v); read(n.d, v); }
    if (kind == CHECK || ((leaves(kind) || kind == VECTOR) && !placeRedo(n.imm))) readSnapshot(n.c, v);
  }
}

@inline function leaves(kind: u8): bool { return kind == TRANSLATE || kind == LEAVE || kind == X87_BEGIN; }

/** How many labels departIf wants at most. `checked`: the block begins with one that has the interpreter run it. */
export function departures(checked: bool): u32 {
  let n: u32 = 0, redo: u32 = u32(checked);
  for (let v: u32 = 1; v < count; v++) {
    const kind = kindOf(v);
    if (kind != CHECK && (!leaves(kind) || follows(v))) continue;
    if (placeRedo(node(v).imm)) redo = 1; else n++;
  }
  return n + redo;
}
