/** Running compiled regions, one after the other. */
import {
  AREA_PROFILE, MODE_CODE64, PROFILE_EXITS, STAT_JIT_INSTRUCTIONS, STAT_REGION_ENTRIES, STATUS_BUDGET, STATUS_REDO, STATUS_RESUME, UOP_SIZE, Vcpu,
} from "../gen/layout";
import { OP_COLD, OP_HEAD, OP_REGION } from "../gen/decode";
import { enter } from "../decode/block";
import { uOff, uRest } from "../decode/uop";
import { nearCanonicalEnd } from "../mem/linear";
import { headStop } from "../interp/structure";
import { bump } from "../stat";
import { LONGEST } from "./plan";
import { tierUp, tierUpAgain } from "./tier";
import { following } from "./trail";

/** Budget after runRegions. */
export let budgetLeft: i64 = 0;

/** A block without its HEAD, as HEAD would do it. Returns what runRegions does. */
function withoutHead(c: Vcpu, u: usize, budget: i64): usize {
  budgetLeft = budget - load<u32>(u, 12);
  if (budgetLeft >= 0) return u + 32;
  budgetLeft = headStop(c, u, budgetLeft);
  return 0;
}

/** Whether a micro-op begins a block that has not been dropped. */
@inline function isHead(op: u32): bool { return op == OP_REGION || op == OP_HEAD || op == OP_COLD; }

/** Before the block at `u`: the outer loop follows its trail. */
function toOuterLoop(c: Vcpu, u: usize, budget: i64): usize {
  c.rip = c.ripPage + uOff(u);
  c.status = STATUS_RESUME;
  budgetLeft = budget;
  return 0;
}

/**
 * Runs regions from the block at `u` on. Returns where the interpreter goes on, 0: back to the outer loop, as c.status
 * says. What is left of the budget is in `budgetLeft`.
 */
export function runRegions(c: Vcpu, u: usize, budget: i64): usize {
  const stat = changetype<usize>(c) + STAT_JIT_INSTRUCTIONS;
  while (true) {
    const op: u32 = load<u16>(u);
    if (op != OP_REGION) {
      // Hot enough: REGION now, or HEAD for good or until the batch is compiled.
      if (op == OP_COLD && !load<u32>(u, 16)) {
        tierUp(c, u);
        // Or its trail is followed first: the outer loop does that.
        if (<u32>load<u16>(u) == OP_HEAD && following()) return toOuterLoop(c, u, budget);
        continue;
      }
      budgetLeft = budget;
      return u;
    }
    if (c.mode & MODE_CODE64 && nearCanonicalEnd(c.ripPage)) return withoutHead(c, u, budget);
    if (c.attention != 0) {
      c.rip = c.ripPage + uOff(u);
      c.status = STATUS_BUDGET;
      budgetLeft = budget;
      return 0;
    }
    const often = load<u32>(u, 4) - 1;
    store<u32>(u, often, 4);
    if (!often) {
      tierUpAgain(c, u);
      if (following()) return toOuterLoop(c, u, budget);
    }
    bump(c, STAT_REGION_ENTRIES);
    const before = budget;
    budget = call_indirect<i64>(load<u32>(u, 28), changetype<usize>(c), budget, load<u32>(u, 16));
    store<u64>(stat, load<u64>(stat) + (before - budget));
    if (c.profile) bump(c, AREA_PROFILE + PROFILE_EXITS + (<usize>c.status << 3));
    // Too little is left for the region's longest way: its first block alone, as HEAD would do it.
    const stuck = budget == before && c.attention == 0;
    if (c.status == STATUS_BUDGET && stuck) return withoutHead(c, u, budget);
    if (c.status == STATUS_REDO) {
      u = c.uop;
      budgetLeft = budget - uRest(u);
      if (budgetLeft >= LONGEST) return u;
      // Little is left, and that may be why a block was not begun.
      const begins = isHead(load<u16>(u - UOP_SIZE));
      if (budgetLeft >= 0 && !begins) return u;
      if (begins && stuck) return withoutHead(c, u - UOP_SIZE, budget);
      c.status = STATUS_BUDGET;
      budgetLeft = budget;
      return 0;
    }
    if (c.status == STATUS_RESUME) {
      u = enter(c);
      if (u) continue;
    }
    budgetLeft = budget;
    return 0;
  }
}
