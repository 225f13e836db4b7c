/** Calling a compiled region. */
import { STAT_JIT_INSTRUCTIONS, STATUS_BUDGET, Vcpu } from "../gen/layout";
import { uOff } from "../decode/uop";

/** Runs the region whose entry the micro-op is; c.status says why it came back, RESUME: RIP is right, go on. */
export function enterRegion(c: Vcpu, u: usize, budget: i64): i64 {
  if (c.attention != 0) {
    c.rip = c.ripPage + uOff(u);
    c.status = STATUS_BUDGET;
    return budget;
  }
  const left = call_indirect<i64>(load<u32>(u, 28), changetype<usize>(c), budget, load<u32>(u, 16));
  const stat = changetype<usize>(c) + STAT_JIT_INSTRUCTIONS;
  store<u64>(stat, load<u64>(stat) + (budget - left));
  return left;
}
