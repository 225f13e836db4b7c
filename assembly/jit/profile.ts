/**
 * Counters in the code of regions, written while Vcpu.profile says so, and only then (`--stats-detail`): a region that
 * is compiled without has none. Where they are: PROFILE in src/shared/layout.ts.
 */
import { AREA_PROFILE, PROFILE_CALLS, PROFILE_FLAGS, UOP_COUNT } from "../gen/layout";
import { cpuMemory, pushCpu } from "./lower";
import { byte, I32_ADD, I32_LOAD, I32_STORE, I64_ADD, I64_LOAD, I64_STORE, i32Const, i64Const, memory_ } from "./wasm";

let counting: bool = false;

export function useProfile(on: bool): void { counting = on; }

/** The counter at an offset of the profile. Neither takes from the stack nor leaves anything on it. */
function count(offset: usize): void {
  if (!counting) return;
  pushCpu();
  pushCpu(); cpuMemory(I64_LOAD, AREA_PROFILE + offset);
  i64Const(1); byte(I64_ADD);
  cpuMemory(I64_STORE, AREA_PROFILE + offset);
}

/** A call of the handler of micro-op `op`. */
export function countCall(op: u32): void { count(PROFILE_CALLS + (<usize>op << 3)); }
/** A call of a helper that makes flags of the lazy record. */
export function countFlags(): void { count(PROFILE_FLAGS); }

/** An execution of the block at `head`, which has the counter itself. */
export function countBlock(head: u32): void {
  if (!counting) return;
  i32Const(head);
  i32Const(head); memory_(I32_LOAD, UOP_COUNT);
  i32Const(1); byte(I32_ADD);
  memory_(I32_STORE, UOP_COUNT);
}
