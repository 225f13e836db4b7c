/**
 * From region to region: where a region ends at a known RIP, it calls `chain64` or `chain32`. That function looks into the
 * jump cache (assembly/decode/block.ts) for the block there and, if it begins a region, goes on in it by a tail call. The
 * interpreter and its loop are not asked, so the cost of leaving is small and regions can be, too. The region entered looks
 * at the budget, as ever; attention waits for the end of the budget.
 *
 * It is a function of its own because the core's source language has no tail calls, and one for all regions because the
 * host copies the table into each module that names it.
 */
import {
  AREA_JIT, AREA_JUMP, JUMP_ENTRIES, MODE_BITS, MODE_CODE64, SEG_CS, SEG_OFF_BASE, SEG_STRIDE, STATUS_RESUME, V_CODE_CTX,
  V_RIP, V_RIP_PAGE, V_SEG, V_STATUS,
} from "../gen/layout";
import { JUMP_CONTEXT, JUMP_FOLD } from "../decode/block";
import { OP_REGION } from "../gen/decode";
import { H_CHAIN32, H_CHAIN64, REGION_TYPE } from "../gen/helpers";
import { offsetOfState, RSP } from "./ir";
import { L_BUDGET, L_VCPU } from "./lower";
import {
  at, byte, call, close, END, I32, I32_ADD, I32_AND, I32_EQ, I32_LOAD, I32_LOAD16_U, I32_SHL, I32_SHR_U, I32_STORE, I32_SUB,
  I32_WRAP, I32_XOR, i32Const, I64, I64_ADD, I64_AND, I64_EQ, I64_LOAD, I64_STORE, I64_SUB, i64Const, IF, localGet, localSet,
  localTee, memory_, open, resetDepth, RETURN, RETURN_CALL, RETURN_CALL_INDIRECT, unsigned, writeTo,
} from "./wasm";

/** The host has tail calls. */
let tailCalls: bool = false;
export function setTailCalls(on: bool): void { tailCalls = on; }

/** Ends the region in what `f` returns, whose parameters are on the stack. */
export function writeLast(f: u32): void {
  if (tailCalls) { byte(RETURN_CALL); unsigned(f); return; }
  call(f);
  byte(RETURN);
}

/** The end of a region that is left for the RIP in a local: into the next region, or back with RESUME. */
export function writeChain(mode: u32, rsp: u32, rip: u32): void {
  localGet(L_VCPU); localGet(L_BUDGET); localGet(rsp); localGet(rip);
  writeLast(mode & MODE_CODE64 ? H_CHAIN64 : H_CHAIN32);
}

// Locals of the function that follows.
const SP: u32 = 2;
const RIP: u32 = 3;
const LINEAR: u32 = 4;
const PLACE: u32 = 5;
const LEFT: u32 = 6;
/** Room for it in the compiler's area, where nodes are while a region is made. */
const ROOM: usize = 0x400;

/** Writes the body {u32 length, bytes} of chain64 or chain32; its address. */
export function chainFunction(vcpu: usize, wide: bool): usize {
  const start = vcpu + AREA_JIT;
  writeTo(start + 4, start + ROOM);
  resetDepth();
  unsigned(2);
  unsigned(1); byte(I64);
  unsigned(2); byte(I32);
  localGet(L_VCPU); localGet(SP); memory_(I64_STORE, offsetOfState(RSP));
  if (tailCalls) {
    localGet(RIP);
    if (!wide) {
      localGet(L_VCPU); memory_(I64_LOAD, V_SEG + <usize>SEG_CS * SEG_STRIDE + SEG_OFF_BASE); byte(I64_ADD);
      i64Const(0xffffffff); byte(I64_AND);
    }
    localTee(LINEAR); byte(I32_WRAP); localTee(LEFT);
    localGet(LEFT); i32Const(<i32>JUMP_FOLD); byte(I32_SHR_U); byte(I32_XOR);
    localGet(L_VCPU); memory_(I32_LOAD, V_CODE_CTX);
    i32Const(<i32>MODE_BITS); byte(I32_SHR_U); i32Const(<i32>JUMP_CONTEXT); byte(I32_SHL); byte(I32_XOR);
    i32Const(<i32>JUMP_ENTRIES - 1); byte(I32_AND); i32Const(4); byte(I32_SHL);
    localGet(L_VCPU); byte(I32_ADD); localTee(PLACE);
    memory_(I64_LOAD, AREA_JUMP); localGet(LINEAR); byte(I64_EQ);
    localGet(PLACE); memory_(I32_LOAD, AREA_JUMP + 8); localGet(L_VCPU); memory_(I32_LOAD, V_CODE_CTX); byte(I32_EQ);
    byte(I32_AND);
    open(IF);
    localGet(PLACE); memory_(I32_LOAD, AREA_JUMP + 12); localTee(PLACE);
    memory_(I32_LOAD16_U, 0); i32Const(OP_REGION); byte(I32_EQ);
    open(IF);
    // How often it may still be entered so; the last time is for ./enter.ts, which has it compiled again.
    localGet(PLACE); memory_(I32_LOAD, 4); i32Const(1); byte(I32_SUB); localTee(LEFT);
    open(IF);
    localGet(PLACE); localGet(LEFT); memory_(I32_STORE, 4);
    localGet(L_VCPU);
    localGet(RIP); localGet(LINEAR); i64Const(4095); byte(I64_AND); byte(I64_SUB);
    memory_(I64_STORE, V_RIP_PAGE);
    localGet(L_VCPU); localGet(L_BUDGET);
    localGet(PLACE); memory_(I32_LOAD, 16);
    localGet(PLACE); memory_(I32_LOAD, 28);
    byte(RETURN_CALL_INDIRECT); unsigned(REGION_TYPE); unsigned(0);
    close();
    close();
    close();
  }
  localGet(L_VCPU); localGet(RIP); memory_(I64_STORE, V_RIP);
  localGet(L_VCPU); i32Const(STATUS_RESUME); memory_(I32_STORE, V_STATUS);
  localGet(L_BUDGET);
  byte(END);
  store<u32>(start, <u32>(at - start - 4));
  return start;
}
