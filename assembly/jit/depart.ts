/**
 * How a region is left: where a block cannot go on, for the next region, or because the budget is used up. Outside of groups
 * each departure is a tail call behind its block (./cold.ts); a group's go to its end, which stores its states.
 */
import { STATUS_BUDGET, STATUS_REDO, STATUS_RESUME, UOP_SIZE, V_STATUS, V_UOP } from "../gen/layout";
import { H_REGION_GO_ON, H_REGION_LEAVE } from "../gen/helpers";
import { uOff, uRest } from "../decode/uop";
import { writeChain, writeLast } from "./chain";
import { beginCold, endCold, openCold } from "./cold";
import { blockHead, CALL_REPEATS, CHECK, Node, pageDelta, placeOff, placeOfUop, placeRedo, placeRest, RSP } from "./ir";
import {
  commit, cpuMemory, group, L_BUDGET, L_VCPU, leaveLabel, lLeave, localOfState, lRip, lRipPage, pushCpu, setRipPage,
  storeStates,
} from "./lower";
import { Block, checks } from "./plan";
import { countBlock } from "./profile";
import {
  br, brIf, byte, close, I32_EQ, I32_LOAD, I32_STORE, i32Const, I64_ADD, I64_EXTEND_U, I64_LT_S, I64_NE, I64_SUB,
  i64Const, IF, localGet, localSet, open,
} from "./wasm";

/** Pushes what every end of a region takes first. */
function pushLast(): void { localGet(L_VCPU); localGet(L_BUDGET); localGet(localOfState(RSP)); }

/**
 * Leaves the region: RIP = page + off, `rest` instructions are given back, status unless it is set already (-1). A group
 * does it when its states are stored.
 */
export function leave(off: u32, rest: u32, status: i32): void {
  const how = <u64>rest | (<u64>(status + 1) << 16);
  if (group < 0) { pushLast(); localGet(lRipPage); }
  i64Const((how << 32) | <u64><u32>(<i32>pageDelta + <i32>off));
  if (group < 0) { writeLast(H_REGION_LEAVE); return; }
  localSet(lLeave);
  br(leaveLabel);
}
/** Leaves for the instruction at the RIP in lRip. */
export function leaveTo(mode: u32): void {
  if (group < 0) { writeChain(mode, localOfState(RSP), lRip); return; }
  i64Const(0); localSet(lLeave);
  br(leaveLabel);
}
/** Behind a group: stores its states and does what leave and leaveTo want. */
export function writeLeaving(mode: u32, g: u32): void {
  storeStates(g);
  localGet(lLeave); i64Const(0); byte(I64_NE);
  open(IF);
  pushLast(); localGet(lRipPage); localGet(lLeave);
  writeLast(H_REGION_LEAVE);
  close();
  writeChain(mode, localOfState(RSP), lRip);
}

/** Leaves because of effect n. */
export function depart(n: Node, status: i32): void {
  const imm = n.imm;
  if (placeRedo(imm)) { goOn(blockHead + UOP_SIZE); return; }
  commit(n.c);
  if (status == GO_ON) {
    let u = blockHead + UOP_SIZE;
    while (uOff(u) != placeOff(imm)) u += UOP_SIZE;
    goOn(u);
    return;
  }
  leave(placeOff(imm), placeRest(imm), status);
}

/** Leaves for the interpreter, which goes on with the block's micro-op u. */
function goOn(u: usize): void {
  if (group < 0) {
    pushLast();
    localGet(lRipPage);
    if (pageDelta) { i64Const(pageDelta); byte(I64_ADD); }
    i32Const(placeOfUop(u));
    writeLast(H_REGION_GO_ON);
    return;
  }
  setRipPage();
  pushCpu(); i32Const(<i32>u); cpuMemory(I32_STORE, V_UOP);
  leave(<u32>uOff(u), uRest(u), STATUS_REDO);
}

/** With a condition on the stack: leaves because of effect n if it holds. */
export function leaveIfSo(n: Node, status: i32): void {
  const repeats = n.kind == CHECK && (n.b & CALL_REPEATS) != 0;
  if (group < 0) { departIf(n, status, repeats); return; }
  open(IF);
  if (repeats) giveBack();
  depart(n, status);
  close();
}

/** The same outside of groups. */
function departIf(n: Node, status: i32, repeats: bool): void {
  const redo = placeRedo(n.imm);
  if (redo && again_ >= 0) { brIf(again_); return; }
  const label = beginCold();
  if (redo) again_ = label;
  if (repeats) giveBack();
  depart(n, status);
  endCold();
}
/** Of depart: the interpreter goes on with the micro-op. */
export const GO_ON: i32 = -2;
/** Label of the departure that has the interpreter run the block, -1: there is none yet. */
let again_: i32 = -1;

/** A repetition that is to go on counts as an instruction. */
function giveBack(): void {
  localGet(L_BUDGET);
  pushCpu(); cpuMemory(I32_LOAD, V_STATUS); i32Const(STATUS_RESUME); byte(I32_EQ); byte(I64_EXTEND_U);
  byte(I64_SUB); localSet(L_BUDGET);
}

/** Before a block is written, which has at most `n` departures behind it. */
export function beginDepartures(n: u32): void {
  again_ = -1;
  openCold(n);
}

/** Takes what block b may cost from the budget; leaves if less than that is left. Its instructions are then the interpreter's. */
export function takeBudget(b: Block): void {
  if (group >= 0 && checks(b)) {
    localGet(L_BUDGET); i64Const(b.need); byte(I64_LT_S);
    open(IF);
    leave(b.off, 0, STATUS_BUDGET);
    close();
  }
  localGet(L_BUDGET); i64Const(b.n); byte(I64_SUB); localSet(L_BUDGET);
  if (group < 0 && checks(b)) {
    localGet(L_BUDGET); i64Const(b.need - b.n); byte(I64_LT_S);
    again_ = beginCold();
    goOn(blockHead + UOP_SIZE);
    endCold();
  }
  countBlock(b.head);
}
