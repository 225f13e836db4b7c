/**
 * Regions: blocks compiled into one Wasm function, which the interpreter enters through the micro-op
 * REGION in place of a block's HEAD.
 *
 * writeRegion writes a function body; ./tier.ts says when, and what becomes of it. The function knows where its vCPU's area
 * is, but no linear addresses: it can be entered wherever its page is mapped, and the blocks, which are found by backing page
 * and mode, are what keeps that right. When their page is dropped, REGION becomes NEXT as HEAD does, and nothing leads into
 * the function any more.
 *
 * It counts instructions as HEAD does: budget is taken at a block's start and given back where the block is left
 * early. It looks at the budget at loops and entries only, with enough left for the longest way to the next look; at
 * attention only when it is entered, because a budget is a few microseconds.
 */
import {
  AREA_JIT, AREA_TLB_EXEC, MODE_CODE32, MODE_CODE64, MODE_FLAT, MODE_FLATCS, MODE_STACK32, STATUS_RESUME,
  SEG_CS, SEG_OFF_BASE, SEG_STRIDE, TLB_ENTRIES, UOP_SIZE, V_CTX, V_RIP_PAGE, V_SEG, Vcpu,
} from "../gen/layout";
import { OP_EASEG } from "../gen/decode";
import { CALL_REGISTERS, emitMeaning, META, META_CALL, VECTORS } from "../gen/emit";
import { uOff, uRest } from "../decode/uop";
import { closeCold } from "./cold";
import { useProfile } from "./profile";
import { emitVector } from "./vector";
import { beginIr, roomForInstruction, usePage, useScratch } from "./ir";
import {
  beginBlock, BRANCH, Emit, emitAddress, emitCall, endKind, endValue, INDIRECT, JUMP, useMeta, useMode, useUop,
} from "./emit";
import {
  beginLowering, cpuMemory, emptyCaches, L_ENTRY, lCond, lEntry, loadStack, loadStates, locals32, locals64,
  lowerBlock, lRip, lRipPage, lLinear, pushCpu, storeStates, useGroup,
} from "./lower";
import { leave, leaveTo, writeLeaving } from "./depart";
import { FLOATS, usesFloats } from "./lowerVector";
import {
  Block, block, blocks, collect, dispatches, hostPageOf, indexOf, NO_LOOP, NOWHERE, pages, placeFrom, wayOf, ways,
} from "./plan";
import {
  at, BLOCK, BR_TABLE, br, byte, close, depth, END, F64, I32, I32_ADD, I32_AND, I32_EQ, I32_LOAD, I32_SHR_U, I32_SUB,
  I32_WRAP, i32Const, I64, I64_ADD, I64_AND, I64_EQ, I64_LOAD, I64_OR, i64Const, IF, localGet, localSet, localTee,
  LOOP, open, overflow, resetDepth, UNREACHABLE, unsigned, writeTo,
} from "./wasm";

const BODY: usize = 0x46000;
const FUNCTION: usize = 0x5a000;
const END_OF_AREA: usize = 0x70000;
/** Return sites that an indirect branch is compared with. */
const MAX_COMPARES: u32 = 6;

let cpu: Vcpu = changetype<Vcpu>(0);

// --- going from block to block

@inline function setEntry(t: u32): void { i32Const(block(t).number); localSet(L_ENTRY); }

/** Jumps from block `from` to block t. */
function goto(from: Block, t: u32): void {
  const b = block(t);
  if (from.group != b.group) {
    if (from.group >= 0) storeStates(from.group);
    if (b.group >= 0) loadStates(b.group);
  }
  if (b.forward >= 0) { br(b.forward); return; }
  if (b.loop >= 0) {
    if (dispatches(t, b.loopEnd)) setEntry(t);
    br(b.loop);
    return;
  }
  // Through the dispatch of a loop around the target that can be reached: one further on, or the innermost one open.
  setEntry(t);
  for (let h: i32 = t - 1; h >= 0; h--) {
    const around = block(h);
    if (around.loopEnd == NO_LOOP || around.loopEnd < t) continue;
    if (around.forward >= 0) { br(around.forward); return; }
    if (around.loop >= 0) { br(around.loop); return; }
  }
  br(topLoop);
}
let topLoop: u32 = 0;

/** Leaves the region for the instruction at RIP `off` bytes from the start of b's page. */
function gotoOutside(b: Block, off: i64): void {
  localGet(lRipPage); i64Const(<i64>b.delta + off); byte(I64_ADD);
  if (!(cpu.mode & MODE_CODE64)) { i64Const(0xffffffff); byte(I64_AND); }
  localSet(lRip);
  leaveTo(cpu.mode);
}

/** Goes to `off` bytes from the start of b's page. */
function gotoOffset(b: Block, off: i64): void {
  const t = indexOf(placeFrom(b, off));
  if (t >= 0) {
    if (block(t).page == b.page) { goto(b, t); return; }
    guard(block(t));
    goto(b, t);
    close();
  }
  gotoOutside(b, off);
}

/** Opens an `if` for the case that the page of block b is mapped where the region expects it: the TLB says so. */
function guard(b: Block): void {
  const host = <i32>hostPageOf(b.page);
  localGet(lRipPage); i64Const(b.delta); byte(I64_ADD);
  if (!(cpu.mode & MODE_CODE64)) {
    pushCpu(); cpuMemory(I64_LOAD, V_SEG + <usize>SEG_CS * SEG_STRIDE + SEG_OFF_BASE); byte(I64_ADD);
    i64Const(0xffffffff); byte(I64_AND);
  }
  localTee(lLinear);
  byte(I32_WRAP); i32Const(8); byte(I32_SHR_U); i32Const(<i32>(TLB_ENTRIES - 1) << 4); byte(I32_AND);
  localTee(lEntry); cpuMemory(I64_LOAD, AREA_TLB_EXEC);
  localGet(lLinear); pushCpu(); cpuMemory(I64_LOAD, V_CTX); byte(I64_OR);
  byte(I64_EQ);
  localGet(lEntry); cpuMemory(I32_LOAD, AREA_TLB_EXEC + 8); localGet(lLinear); byte(I32_WRAP); byte(I32_ADD);
  i32Const(host); byte(I32_EQ);
  byte(I32_AND);
  open(IF);
}

/** Goes to the RIP in lRip. */
function writeIndirect(from: Block): void {
  const n = ways(cpu, from);
  for (let i: u32 = 0; i < n; i++) {
    const r = indexOf(wayOf(cpu, from, i));
    if (r >= 0) writeCompare(from, r);
  }
  let compares: u32 = n;
  for (let r: u32 = 0; r < blocks && compares < MAX_COMPARES; r++) {
    const b = block(r);
    if (!b.isReturn || isWay(from, r, n)) continue;
    compares++;
    writeCompare(from, r);
  }
  leaveTo(cpu.mode);
}

/** Whether block r is one of the n places that the trail knows for the branch of `from`. */
function isWay(from: Block, r: u32, n: u32): bool {
  for (let i: u32 = 0; i < n; i++) if (indexOf(wayOf(cpu, from, i)) == <i32>r) return true;
  return false;
}

/** Goes to block r if that is the RIP in lRip. */
function writeCompare(from: Block, r: u32): void {
  const b = block(r);
  localGet(lRip); localGet(lRipPage); i64Const(<i64>b.delta + b.off); byte(I64_ADD);
  if (!(cpu.mode & MODE_CODE64)) { i64Const(0xffffffff); byte(I64_AND); }
  byte(I64_EQ);
  open(IF);
  if (b.page == from.page) goto(from, r);
  else {
    guard(b);
    goto(from, r);
    close();
  }
  close();
}

// --- blocks

function writeBlock(k: u32): void {
  const b = block(k), e = changetype<Emit>(0);
  usePage(b.delta, pages > 1, (cpu.mode & MODE_CODE64) != 0);
  useGroup(b.group, b.group >= 0 ? block(b.group).leaving : 0);
  beginIr(b.group >= 0, b.head);
  beginBlock();
  let u = <usize>b.head + UOP_SIZE, cut: usize = b.cut;
  for (; u < cut; u += UOP_SIZE) {
    if (!roomForInstruction()) { cut = u; break; }
    if (load<u16>(u) == OP_EASEG) emitAddress(cpu, u);
    else {
      const op = load<u16>(u), meta = unchecked(META[op]);
      if (meta & META_CALL) {
        const how = unchecked(VECTORS[op]);
        if (!how || !emitVector(cpu, u, how)) emitCall(cpu, u, meta, unchecked(CALL_REGISTERS[op]));
        continue;
      }
      useMeta(meta);
      useUop(u);
      emitMeaning(e, u, meta);
    }
  }
  writeEnd(b, u, cut);
  closeCold();
}

/** Writes a block's nodes and where it goes on. u: the micro-op after those that it has; cut: after those it should have. */
function writeEnd(b: Block, u: usize, cut: usize): void {
  const last = u - UOP_SIZE;
  switch (endKind) {
    case JUMP: lowerBlock(b, 0, 0); gotoOffset(b, load<i64>(last, 16)); return;
    case BRANCH:
      lowerBlock(b, endValue, lCond);
      localGet(lCond);
      open(IF);
      gotoOffset(b, load<i64>(last, 16));
      close();
      gotoOffset(b, load<u16>(last, 2));
      return;
    case INDIRECT: lowerBlock(b, endValue, lRip); writeIndirect(b); return;
    default: break;
  }
  lowerBlock(b, 0, 0);
  if (b.next != NOWHERE && cut == b.cut) gotoOffset(b, load<u16>(u, 2));
  else if (u == <usize>load<u32>(b.head - 20) - UOP_SIZE) gotoOutside(b, load<u16>(u, 2));
  else leave(<u32>uOff(u), uRest(u), STATUS_RESUME);
}
/** Last block of the item (a loop or a block) that starts at k, inside a loop with header `around`. */
@inline function itemEnd(k: u32, around: i32): u32 {
  const end = block(k).loopEnd;
  return <i32>k == around || end == NO_LOOP ? k : end;
}

/**
 * Writes blocks [lo, hi]: one item after another, each but the first with a label before it. `around`: lo is the header
 * of this loop, whose label is already open; -1 for the whole region.
 */
function writeRange(lo: u32, hi: u32, around: i32): void {
  const dispatch = dispatches(lo, hi);
  // The labels close in order, so the last item's is opened first.
  let at_: u32 = hi + 1;
  while (at_ > lo) {
    let k = lo;
    while (itemEnd(k, around) + 1 != at_) k = itemEnd(k, around) + 1;
    at_ = k;
    if (k != lo || dispatch) {
      const label = open(BLOCK);
      if (k != lo || around < 0) block(k).forward = label;
      else firstLabel = label;
    }
  }
  if (dispatch) writeDispatch(lo, hi, around);
  let k = lo;
  while (k <= hi) {
    const end = itemEnd(k, around);
    if (k != lo || dispatch) {
      close();
      if (k != lo || around < 0) block(k).forward = -1;
    }
    if (<i32>k != around && block(k).loopEnd != NO_LOOP) {
      const header = block(k), group = header.group == <i32>k;
      if (group) header.leaving = open(BLOCK);
      header.loop = open(LOOP);
      writeRange(k, end, k);
      close();
      header.loop = -1;
      if (group) {
        close();
        writeLeaving(cpu.mode, k);
      }
    } else writeBlock(k);
    k = end + 1;
  }
}
/** Label before the first item of a loop with a dispatch. */
let firstLabel: u32 = 0;

/** At a loop's head: to the item that has the marked block with number `entry`, if one has, else to the first. */
function writeDispatch(lo: u32, hi: u32, around: i32): void {
  const first: u32 = around < 0 ? block(lo).forward : firstLabel;
  localGet(L_ENTRY);
  i32Const(block(lo).number + 1); byte(I32_SUB);
  byte(BR_TABLE);
  unsigned(block(hi).number - block(lo).number);
  let k = lo;
  while (k <= hi) {
    const end = itemEnd(k, around), label = k == lo ? first : <u32>block(k).forward;
    for (; k <= end; k++) if (k != lo && block(k).marked) unsigned(depth - 1 - label);
  }
  unsigned(depth - 1 - first);
}

function writeBody(c: Vcpu, again: bool): void {
  beginLowering(c, again, blocks);
  writeTo(changetype<usize>(c) + AREA_JIT + BODY, changetype<usize>(c) + AREA_JIT + FUNCTION);
  resetDepth();
  topLoop = open(LOOP);
  writeRange(0, blocks - 1, -1);
  close();
  byte(UNREACHABLE);
}

/** The interpreter comes in anywhere: groups that it comes into find their states in their locals. */
function loadEntered(): void {
  let last: i32 = -1;
  for (let k: u32 = 0; k < blocks; k++) {
    const b = block(k);
    if (!b.entry || b.group < 0 || b.group == last) continue;
    last = b.group;
    loadStates(last);
  }
}

/**
 * Writes the region that begins with the block at `head`; c.ripPage is its page's. Returns the address of a function
 * body {u32 length, bytes}, which is good until the next one is written, or 0: the code there cannot be compiled.
 */
export function writeRegion(c: Vcpu, head: usize): usize {
  const mode = c.mode, vcpu = changetype<usize>(c), flat32 = MODE_CODE32 | MODE_FLAT | MODE_STACK32;
  if (!(mode & MODE_FLATCS) || !(mode & MODE_CODE64 || (mode & flat32) == flat32)) return 0;
  if (!collect(c, head)) return 0;
  cpu = c;
  useScratch(c);
  useMode(mode);
  useProfile(c.profile != 0);
  writeBody(c, false);
  if (overflow) return 0;
  writeBody(c, true);
  const body = vcpu + AREA_JIT + BODY, bodyEnd = at, start = vcpu + AREA_JIT + FUNCTION;
  writeTo(start + 4, vcpu + AREA_JIT + END_OF_AREA);
  unsigned(usesFloats ? 3 : 2);
  unsigned(locals64); byte(I64);
  unsigned(locals32); byte(I32);
  if (usesFloats) { unsigned(FLOATS); byte(F64); }
  pushCpu(); cpuMemory(I64_LOAD, V_RIP_PAGE); localSet(lRipPage);
  loadStack();
  loadEntered();
  emptyCaches();
  const length = bodyEnd - body;
  if (at + length + 256 > vcpu + AREA_JIT + END_OF_AREA) return 0;
  memory.copy(at, body, length);
  writeTo(at + length, vcpu + AREA_JIT + END_OF_AREA);
  byte(END);
  if (overflow) return 0;
  store<u32>(start, <u32>(at - start - 4));
  return start;
}
