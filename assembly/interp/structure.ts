/** What the dispatch switch (assembly/gen/dispatch.ts) calls for the micro-ops that hold blocks together. */
import {
  Vcpu, STATUS_BUDGET, STATUS_RESUME, STATUS_SLOW, STATUS_FAULT, STATUS_EXIT,
} from "../gen/layout";
import { raise, raiseError, GP } from "../exception";
import { enter, fetchHost, linearRip, ripMask } from "../decode/block";
import { uOff, uRest } from "../decode/uop";

/** At a block's head with no budget left, or with something to attend to: nothing of the block has run. */
export function headStop(c: Vcpu, u: usize, budget: i64): i64 {
  c.rip = (c.ripPage + uOff(u)) & ripMask(c);
  c.status = STATUS_BUDGET;
  return budget + load<u32>(u, 12);
}

/** After a micro-op that did not complete, or a branch that has left: gives back what was not retired. */
export function stop(c: Vcpu, u: usize, budget: i64): i64 {
  const status = c.status;
  // A branch, the last of its block, or a repetition that is to go on: it counts, what follows it has not run.
  if (status == STATUS_RESUME) return budget + uRest(u) - 1;
  c.uop = <u32>u;
  c.rip = (c.ripPage + uOff(u)) & ripMask(c);
  return budget + uRest(u);
}

/** End of the one-instruction path. */
export function stopUop(c: Vcpu, u: usize, budget: i64): i64 {
  c.rip = (c.ripPage + load<u16>(u, 2)) & ripMask(c);
  c.status = STATUS_RESUME;
  return budget;
}

export function enterNext(c: Vcpu, u: usize): usize {
  c.rip = (c.ripPage + load<u16>(u, 2)) & ripMask(c);
  return enter(c);
}

export function enterNextEvents(c: Vcpu, u: usize): void {
  c.rip = (c.ripPage + load<u16>(u, 2)) & ripMask(c);
  c.status = STATUS_RESUME;
}

export function enterEvents(c: Vcpu): void {
  c.status = STATUS_RESUME;
}

export function raiseUop(c: Vcpu, u: usize): void {
  const vector = load<u32>(u, 16);
  if (vector == GP) raiseError(c, GP, 0);
  else raise(c, vector);
}

/** Whether the second page of a straddling instruction is still the one it was decoded from. */
export function straddle(c: Vcpu, u: usize): bool {
  const linear = (linearRip(c, (c.ripPage + uOff(u)) & ripMask(c)) & ~0xfff) + 4096;
  if (<u32>fetchHost(c, linear, false) == load<u32>(u, 16)) return true;
  c.status = STATUS_SLOW;
  return false;
}
