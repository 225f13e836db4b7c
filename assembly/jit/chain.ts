/**
 * From region to region: where a region ends at a known RIP, it looks into the jump cache (assembly/decode/block.ts) for the
 * block there and, if that begins a region, goes on in it by a tail call. The interpreter and its loop are not asked, so
 * the cost of leaving is small and regions can be, too. The region entered looks at the budget, as ever; attention waits
 * for the end of the budget.
 */
import {
  AREA_JUMP, JUMP_ENTRIES, MODE_BITS, MODE_CODE64, SEG_CS, SEG_OFF_BASE, SEG_STRIDE, STATUS_RESUME, V_CODE_CTX, V_RIP,
  V_RIP_PAGE, V_SEG, V_STATUS,
} from "../gen/layout";
import { JUMP_CONTEXT, JUMP_FOLD } from "../decode/block";
import { OP_REGION } from "../gen/decode";
import { REGION_TYPE } from "../gen/helpers";
import { L_BUDGET, L_VCPU, lCond, lEntry, lRip, lTarget } from "./lower";
import {
  byte, close, I32_ADD, I32_AND, I32_EQ, I32_LOAD, I32_LOAD16_U, I32_SHL, I32_SHR_U, I32_STORE, I32_WRAP, I32_XOR, i32Const,
  I32_SUB, I64_ADD, I64_AND, I64_EQ, I64_LOAD, I64_STORE, I64_SUB, i64Const, IF, localGet, localSet, localTee, memory_, open,
  RETURN_CALL_INDIRECT, unsigned,
} from "./wasm";

/** The host has tail calls. */
let tailCalls: bool = false;
export function setTailCalls(on: bool): void { tailCalls = on; }

/** The end of a region that is left for the RIP in lRip: into the next region, or back with RESUME. */
export function writeChain(mode: u32): void {
  if (tailCalls) {
    localGet(lRip);
    if (!(mode & MODE_CODE64)) {
      localGet(L_VCPU); memory_(I64_LOAD, V_SEG + <usize>SEG_CS * SEG_STRIDE + SEG_OFF_BASE); byte(I64_ADD);
      i64Const(0xffffffff); byte(I64_AND);
    }
    localTee(lTarget); byte(I32_WRAP); localTee(lCond);
    localGet(lCond); i32Const(<i32>JUMP_FOLD); byte(I32_SHR_U); byte(I32_XOR);
    localGet(L_VCPU); memory_(I32_LOAD, V_CODE_CTX);
    i32Const(<i32>MODE_BITS); byte(I32_SHR_U); i32Const(<i32>JUMP_CONTEXT); byte(I32_SHL); byte(I32_XOR);
    i32Const(<i32>JUMP_ENTRIES - 1); byte(I32_AND); i32Const(4); byte(I32_SHL);
    localGet(L_VCPU); byte(I32_ADD); localTee(lEntry);
    memory_(I64_LOAD, AREA_JUMP); localGet(lTarget); byte(I64_EQ);
    localGet(lEntry); memory_(I32_LOAD, AREA_JUMP + 8); localGet(L_VCPU); memory_(I32_LOAD, V_CODE_CTX); byte(I32_EQ);
    byte(I32_AND);
    open(IF);
    localGet(lEntry); memory_(I32_LOAD, AREA_JUMP + 12); localTee(lEntry);
    memory_(I32_LOAD16_U, 0); i32Const(OP_REGION); byte(I32_EQ);
    open(IF);
    // How often it may still be entered so; the last time is for ./enter.ts, which has it compiled again.
    localGet(lEntry); memory_(I32_LOAD, 4); i32Const(1); byte(I32_SUB); localTee(lCond);
    open(IF);
    localGet(lEntry); localGet(lCond); memory_(I32_STORE, 4);
    localGet(L_VCPU);
    localGet(lRip); localGet(lTarget); i64Const(4095); byte(I64_AND); byte(I64_SUB);
    memory_(I64_STORE, V_RIP_PAGE);
    localGet(L_VCPU); localGet(L_BUDGET);
    localGet(lEntry); memory_(I32_LOAD, 16);
    localGet(lEntry); memory_(I32_LOAD, 28);
    byte(RETURN_CALL_INDIRECT); unsigned(REGION_TYPE); unsigned(0);
    close();
    close();
    close();
  }
  localGet(L_VCPU); localGet(lRip); memory_(I64_STORE, V_RIP);
  localGet(L_VCPU); i32Const(STATUS_RESUME); memory_(I32_STORE, V_STATUS);
  localGet(L_BUDGET);
}
