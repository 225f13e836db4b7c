/**
 * vpmtmr: the ACPI power management timer (ACPI 6.5, section 4.8.3.3): a free-running counter of 3,579,545 Hz, 24
 * or 32 bits wide, with a status bit that is set whenever the counter's top bit changes.
 *
 * The count is a pure function of guest time, floor(now * 3579545 / 10^9), in exact integers: it needs no state,
 * never drifts against the other clocks, and the core may compute it by itself. A reset does not restart it (the
 * specification does not ask for that). The status bit and its enable live in PM1, see acpiPm.ts.
 *
 *     31            24 23                                   0
 *     +---------------+-------------------------------------+
 *     |  E_TMR_VAL    |              TMR_VAL                |   E_TMR_VAL reads 0 on a 24-bit timer
 *     +---------------+-------------------------------------+
 */

import type { Deadline, Device, IoHandler, Timers, Width } from "../shared/device.ts";
import { SnapshotFields } from "./snapshotFields.ts";

/** Counts per second (ACPI 6.5, 4.8.3.3). */
export const PM_TIMER_HZ = 3_579_545n;
const SECOND = 1_000_000_000n;

export interface VpmtmrOptions {
  /** Width of the counter; default 32. The FADT's TMR_VAL_EXT flag must say the same. */
  readonly bits?: 24 | 32;
}

/** Saved state. The width is saved to refuse a machine with another FADT. */
export interface VpmtmrV1 {
  version: 1;
  bits: 24 | 32;
  /** Changes of the top bit since power-on that TMR_STS has been cleared for. */
  acknowledged: bigint;
}

export class Vpmtmr implements IoHandler, Device<VpmtmrV1> {
  readonly name = "vpmtmr";
  readonly bits: 24 | 32;
  private readonly timers: Timers;
  private readonly deadline: Deadline;
  private acknowledged = 0n;
  private listener: (() => void) | undefined;

  constructor(timers: Timers, options: VpmtmrOptions = {}) {
    this.timers = timers;
    this.bits = options.bits ?? 32;
    this.deadline = timers.deadline(this.name, () => this.listener?.());
  }

  reset(): void {
    this.clearStatus();
  }

  /** The counter now. */
  count(): number {
    return Number(BigInt.asUintN(this.bits, this.ticks()));
  }

  /** TMR_STS: the top bit has changed since `clearStatus`. */
  get status(): boolean {
    return this.changes() > this.acknowledged;
  }

  clearStatus(): void {
    this.acknowledged = this.changes();
  }

  /** Calls `listener` when TMR_STS becomes set the next time; undefined: never. */
  watch(listener: (() => void) | undefined): void {
    this.listener = listener;
    if (listener === undefined) this.deadline.cancel();
    else this.deadline.arm(this.timeOf((this.changes() + 1n) << BigInt(this.bits - 1)));
  }

  /** The register as a port of its own; narrow reads give its low bytes from `offset` on. */
  read(offset: number, size: Width): number {
    const value = offset >= 4 ? 0 : this.count() >>> (8 * offset);
    return size === 4 ? value : value & (size === 2 ? 0xffff : 0xff);
  }

  /** TMR_VAL is read-only. */
  write(): void {}

  export(): VpmtmrV1 {
    return { version: 1, bits: this.bits, acknowledged: this.acknowledged };
  }

  /** Guest time is part of a snapshot, so the counter goes on where it was; whoever watched watches again. */
  import(state: VpmtmrV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    if (state.bits !== this.bits) from.fail("bits", `${state.bits}, this machine's timer has ${this.bits}`);
    this.acknowledged = from.bigint("acknowledged", 0n, 1n << 64n);
  }

  private ticks(): bigint {
    return (this.timers.now() * PM_TIMER_HZ) / SECOND;
  }

  private changes(): bigint {
    return this.ticks() >> BigInt(this.bits - 1);
  }

  /** First nanosecond at which the count has reached `ticks`. */
  private timeOf(ticks: bigint): bigint {
    return (ticks * SECOND + PM_TIMER_HZ - 1n) / PM_TIMER_HZ;
  }
}
