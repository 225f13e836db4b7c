/**
 * The attention word: why a vCPU should come back to its outer loop, from any thread. Bits: ATTENTION in
 * src/shared/layout.ts.
 *
 *     anybody:  what the bit stands for (PIR, drop queue, deadline, …) · bit set · vCPU woken
 *     vCPU:     word exchanged for 0 · what each bit stands for is taken · instructions, or sleep while the word is 0
 *
 * Nothing is lost: a bit that comes after the exchange is found before the next block of instructions, or keeps the
 * sleep from beginning (Atomics.wait compares once more under its lock). All bits of one exchange are acted on, STOP
 * last, because it leaves the loop (assembly/index.ts, run).
 *
 * STOP:
 *
 *     running or halted --requestStop--> stopping --end of instruction, exits included--> stopped --clearStop--> running
 *
 * A vCPU may come back by itself (triple fault) while it is being told to stop; its STOP is then still set, which is
 * why it is cleared before the vCPU runs again. A vCPU that does not run keeps every other bit until it does.
 *
 * Device deadline (vCPU 0 looks at the clock for the device thread), NEVER = none:
 *
 *     device thread:  armDeadline: word = time · DEADLINE · woken
 *     vCPU:           time has come: word compared and exchanged, time -> NEVER · doorbell
 *     device thread:  on the doorbell: fires what is due by its own clock; if something is armed but the word says
 *                     NEVER, armDeadline again
 *
 * The compare-and-exchange keeps a deadline written meanwhile; the last step covers two clocks that differ by a little,
 * and a new deadline that happens to be the old one. So on every doorbell the word names the next deadline again.
 */
import { ATTENTION, VCPU } from "../shared/layout.ts";
import type { StructView } from "./view.ts";

const NEVER = 0xffff_ffff_ffff_ffffn;

/** Sets bits and wakes the vCPU. */
function attend(view: StructView, bits: number): void {
  view.or(VCPU.attention, bits);
  view.notify(VCPU.attention);
}

/** Tells a vCPU to stop at the end of its instruction. */
export function requestStop(view: StructView): void {
  attend(view, ATTENTION.STOP);
}

/** Before a stopped vCPU runs again. */
export function clearStop(view: StructView): void {
  view.and(VCPU.attention, ~ATTENTION.STOP);
}

/** The earliest device deadline is now `at` (guest ns, NEVER for none). */
export function armDeadline(view: StructView, at: bigint): void {
  view.store64(VCPU.deviceDeadline, at);
  attend(view, ATTENTION.DEADLINE);
}

/** The doorbell has rung and nothing is due before `next`: makes sure that the vCPU knows of it. */
export function keepDeadline(view: StructView, next: bigint): void {
  if (next !== NEVER && view.load64(VCPU.deviceDeadline) === NEVER) armDeadline(view, next);
}

/**
 * HLT: sleeps until there is attention or the earliest deadline has come.
 *
 * @param now guest time in milliseconds
 */
export function sleepInHalt(view: StructView, now: () => number): void {
  const timer = view.get64(VCPU.apicTimer);
  let next = view.load64(VCPU.deviceDeadline);
  if (timer < next) next = timer;
  const ms = next === NEVER ? Number.POSITIVE_INFINITY : Number(next) / 1e6 - now();
  if (ms > 0) view.wait(VCPU.attention, 0, ms);
}
