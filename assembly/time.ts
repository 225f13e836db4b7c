/**
 * Guest time and the TSC, computed in the core from the host's clock and {base, frequency} on the control page.
 * `performance.now()` moves in steps of several microseconds; the TSC is made strictly monotonic, over all vCPUs,
 * through Control.tscFloor.
 */
import { Vcpu, CONTROL_BASE, C_LONGEST_GAP, C_TIME_BASE, C_TSC_HZ, C_TSC_FLOOR } from "./gen/layout";

/** 64 bits of the host's randomness. */
@external("env", "random")
export declare function random(): u64;

/** Host time in milliseconds (performance.now). */
@external("env", "now")
declare function now(): f64;

/** A gap of this many milliseconds is the host's sleep: the guest's clock goes with the host's then, as when it is halted. */
const ASLEEP: f64 = 1000;

/** So much faster than the host's goes a clock that has something to catch up: what the guest measures stays about right. */
const CATCHING_UP: f64 = 0.1;

/** Host time when it was last looked at, and whether the vCPU has run since then. */
let looked: f64 = 0;
let running: bool = false;
/** Milliseconds that have been left out and not been made up for. */
let behind: f64 = 0;

/** The vCPU begins to run, or has ended. */
export function clockRuns(on: bool): void {
  if (on) adjust(now());
  running = on;
}

/**
 * A vCPU looks at the clock every few microseconds. If it has not for longer than `longestGap`, the host had no core for it, or
 * stood still, and the guest gets that time little by little. Linux gives 160 ms by the TSC to five ticks of the timer,
 * and panics if they have not come; two such gaps were enough for that, though every tick followed.
 */
function adjust(host: f64): void {
  const longest = load<f64>(CONTROL_BASE, C_LONGEST_GAP);
  if (!longest) return;
  const gap = host - looked;
  looked = host;
  let out: f64 = 0;
  if (running && gap > longest && gap < ASLEEP) out = gap - longest;
  else if (behind > 0) out = -min(behind, gap * CATCHING_UP);
  if (!out) return;
  behind += out;
  store<f64>(CONTROL_BASE, load<f64>(CONTROL_BASE, C_TIME_BASE) + out, C_TIME_BASE);
}

/** Guest nanoseconds since power-on. Never backwards on one vCPU. */
export function guestNs(c: Vcpu): u64 {
  const host = now();
  adjust(host);
  const ms = host - load<f64>(CONTROL_BASE, C_TIME_BASE);
  const ns: u64 = ms <= 0 ? 0 : <u64>(ms * 1e6);
  if (ns > c.lastNow) c.lastNow = ns;
  return c.lastNow;
}

export function tscHz(): u64 { return load<u64>(CONTROL_BASE, C_TSC_HZ); }

/** Ticks of the TSC's clock in `ns` nanoseconds. */
export function nsToTicks(ns: u64): u64 {
  const hz = tscHz();
  if (hz == 1000000000) return ns;
  return ns / 1000000000 * hz + ns % 1000000000 * hz / 1000000000;
}

/** Nanoseconds that `ticks` of the TSC's clock take, rounded up. */
export function ticksToNs(ticks: u64): u64 {
  const hz = tscHz();
  if (hz == 1000000000) return ticks;
  return ticks / hz * 1000000000 + (ticks % hz * 1000000000 + hz - 1) / hz;
}

/** What RDTSC reads. */
export function tsc(c: Vcpu): u64 {
  const ticks = nsToTicks(guestNs(c));
  while (true) {
    const floor = atomic.load<u64>(CONTROL_BASE + C_TSC_FLOOR);
    const next = ticks > floor ? ticks : floor + 1;
    if (atomic.cmpxchg<u64>(CONTROL_BASE + C_TSC_FLOOR, floor, next) == floor) return next + c.tscOffset + c.tscAdjust;
  }
}

/** Whether the TSC has come to `value`: what has been read of it may be a little ahead of the clock. */
export function tscReached(c: Vcpu, value: u64): bool {
  const at = <i64>(value - c.tscOffset - c.tscAdjust);
  return <i64>atomic.load<u64>(CONTROL_BASE + C_TSC_FLOOR) >= at || <i64>nsToTicks(guestNs(c)) >= at;
}

/** Guest time at which the TSC reads `value`. */
export function tscToNs(c: Vcpu, value: u64): u64 {
  return ticksToNs(value - c.tscOffset - c.tscAdjust);
}
