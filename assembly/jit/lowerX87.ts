/** From the nodes of x87 runs (./x87.ts) to Wasm. */
import { V_FCW, V_FIP, V_FSW, V_FTW, V_ST } from "../gen/layout";
import { FP_C1 } from "../fp/flags";
import { FSW_TOP } from "../x87/state";
import { long, Node, pageDelta, X87_BEGIN, X87_GET, X87_PUT } from "./ir";
import { cpuMemory, keep, pushCpu, lRipPage, lTop, temp32, temp64 } from "./lower";
import { GO_ON, leaveIfSo } from "./depart";
import { get } from "./lowerValue";
import {
  byte, I32_ADD, I32_AND, I32_LOAD16_U, I32_OR, I32_SHL, I32_SHR_U, I32_STORE16, I32_WRAP, I32_XOR, i32Const, I64_ADD, I64_AND,
  I64_EQZ, I64_EXTEND_U, I64_LOAD, I64_LOAD16_U, I64_OR, I64_SHR_U, I64_STORE, I64_STORE16, I64_XOR, I32_EQZ, i64Const, localGet,
  localSet,
} from "./wasm";

/** {ES of FSW, the masks of FCW} in {FCW, FSW}. */
const READY_MASK: u64 = 0x80003f;
const READY: u64 = 0x3f;

/** Pushes what `cpuMemory` takes to a place's register, but for V_ST. */
function pushPlace(p: u32): void {
  localGet(lTop);
  if (p) { i32Const(p << 4); byte(I32_ADD); i32Const(0x70); byte(I32_AND); }
}

/** Leaves unless exceptions are masked, none is pending and the tags are as the run needs them. */
function lowerBegin(n: Node): void {
  // {FCW, FSW, FTW, FOP}
  const words = temp64();
  pushCpu(); cpuMemory(I64_LOAD, V_FCW); localSet(words);
  localGet(words); i64Const(23); byte(I64_SHR_U); byte(I32_WRAP); i32Const(0x70); byte(I32_AND); localSet(lTop);
  localGet(words); i64Const(READY_MASK); byte(I64_AND); i64Const(READY); byte(I64_XOR);
  if (n.b) {
    const tags = temp32();
    localGet(words); i64Const(32); byte(I64_SHR_U); byte(I32_WRAP); i32Const(0xff); byte(I32_AND); localSet(tags);
    localGet(tags); localGet(tags); i32Const(8); byte(I32_SHL); byte(I32_OR);
    localGet(lTop); i32Const(4); byte(I32_SHR_U); byte(I32_SHR_U);
    i32Const(n.b); byte(I32_AND); i32Const(n.d); byte(I32_XOR);
    byte(I64_EXTEND_U); byte(I64_OR);
  }
  byte(I64_EQZ); byte(I32_EQZ);
  leaveIfSo(n, GO_ON);
}

/** Pushes the physical registers of the places in a mask. */
function pushTags(mask: u32): void {
  const m = temp32();
  i32Const(mask); localGet(lTop); i32Const(4); byte(I32_SHR_U); byte(I32_SHL); localSet(m);
  localGet(m); localGet(m); i32Const(8); byte(I32_SHR_U); byte(I32_OR); i32Const(0xff); byte(I32_AND);
}

/** Writes what a run has made of TOP, tags, C1 and FIP: see x87State. */
export function lowerX87State(state: u32, off: u32): void {
  if (!state) return;
  const top = state & 7, full = (state >> 3) & 0xff, empty = (state >> 11) & 0xff, clearC1 = (state >> 19) & 1;
  pushCpu();
  localGet(lRipPage); i64Const(pageDelta + off); byte(I64_ADD);
  if (!long) { i64Const(0xffffffff); byte(I64_AND); }
  cpuMemory(I64_STORE, V_FIP);
  if (top | clearC1) {
    pushCpu();
    pushCpu(); cpuMemory(I32_LOAD16_U, V_FSW);
    i32Const(<i32>(0xffff & ~((top ? FSW_TOP : 0) | (clearC1 ? FP_C1 : 0)))); byte(I32_AND);
    if (top) {
      localGet(lTop); i32Const(7); byte(I32_SHL); i32Const(top << 11); byte(I32_ADD); i32Const(FSW_TOP); byte(I32_AND);
      byte(I32_OR);
    }
    cpuMemory(I32_STORE16, V_FSW);
  }
  if (!(full | empty)) return;
  pushCpu();
  pushCpu(); cpuMemory(I32_LOAD16_U, V_FTW);
  if (full) { pushTags(full); byte(I32_OR); }
  if (empty) { pushTags(empty); i32Const(-1); byte(I32_XOR); byte(I32_AND); }
  cpuMemory(I32_STORE16, V_FTW);
}

export function lowerX87(n: Node): void {
  const p = <u32>n.imm & 7;
  switch (n.kind) {
    case X87_BEGIN: lowerBegin(n); return;
    case X87_GET:
      pushPlace(p);
      if (n.imm & 8) cpuMemory(I64_LOAD16_U, V_ST + 8); else cpuMemory(I64_LOAD, V_ST);
      keep(n);
      return;
    case X87_PUT:
      pushPlace(p); get(n.a); cpuMemory(I64_STORE, V_ST);
      pushPlace(p); get(n.b); cpuMemory(I64_STORE16, V_ST + 8);
      return;
    default: lowerX87State(<u32>n.imm, <u32>(n.imm >> 32)); return;
  }
}
