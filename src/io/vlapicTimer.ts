/**
 * The local APIC's timer (SDM vol. 3, 11.5.4) as far as the guest programs it: what a write means for the deadline
 * in the vCPU page. The core fires the deadline and re-arms a periodic one (assembly/apic.ts), and it does
 * IA32_TSC_DEADLINE by itself. All state lies in the page.
 *
 * The timer counts the 25 MHz crystal that CPUID leaf 15H states, divided by 1 to 128:
 *
 *     DCR_TIMER   3  2  1:0      {bit 3, bits 1:0} = 0..6: divide by 2, 4, 8 … 128; 7: divide by 1
 */

import type { Clock } from "../shared/device.ts";
import { ATTENTION } from "../shared/layout.ts";
import type { ApicPage } from "./apicPage.ts";
import { APIC, LVT_TIMER_MODE, TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE } from "./apicRegs.ts";

/** Nanoseconds of one tick of the crystal. */
export const APIC_TICK_NS = 40n;

export class VlapicTimer {
  private readonly page: ApicPage;
  private readonly clock: Clock;

  constructor(page: ApicPage, clock: Clock) {
    this.page = page;
    this.clock = clock;
  }

  /** A write to the initial count: starts counting; 0 stops. Ignored in TSC-deadline mode. */
  writeInitialCount(count: number): void {
    const mode = this.mode();
    if (mode === TIMER_TSC_DEADLINE) return;
    this.page.setRegister(APIC.ICR_TIMER, count);
    const counts = count !== 0 && (mode === TIMER_ONE_SHOT || mode === TIMER_PERIODIC);
    this.arm(counts ? this.clock.now() + BigInt(count) * this.tick() : undefined);
  }

  /** A write to the divide configuration: the count that is left goes on at the new rate. */
  writeDivide(value: number): void {
    const left = this.currentCount();
    this.page.setRegister(APIC.DCR_TIMER, value);
    if (left !== 0) this.arm(this.clock.now() + BigInt(left) * this.tick());
  }

  /**
   * The timer's LVT entry is about to become `entry`. To or from TSC-deadline mode, the timer is disarmed; between
   * one-shot and periodic it goes on counting.
   */
  writeEntry(entry: number): void {
    const from = this.mode();
    const to = entry & LVT_TIMER_MODE;
    this.page.setRegister(APIC.LVT_TIMER, entry);
    if (from === to) return;
    if (from === TIMER_TSC_DEADLINE || to === TIMER_TSC_DEADLINE) this.stop();
    else this.arm(this.page.timer);
  }

  /** The count now; 0 when it is not running, or in TSC-deadline mode. */
  currentCount(): number {
    const mode = this.mode();
    const at = this.page.timer;
    if (at === undefined || mode === TIMER_TSC_DEADLINE) return 0;
    const now = this.clock.now();
    const period = this.page.timerPeriod;
    let left = at - now;
    // The core has yet to fire: a periodic timer has reloaded meanwhile.
    if (left <= 0n) left = mode === TIMER_PERIODIC && period > 0n ? period - (-left % period) : 0n;
    const tick = this.tick();
    return Number((left + tick - 1n) / tick);
  }

  /** Disarms, and clears both counts and IA32_TSC_DEADLINE. */
  stop(): void {
    this.page.setRegister(APIC.ICR_TIMER, 0);
    this.page.tscDeadline = 0n;
    this.arm(undefined);
  }

  private arm(at: bigint | undefined): void {
    const periodic = at !== undefined && this.mode() === TIMER_PERIODIC;
    this.page.timerPeriod = periodic ? BigInt(this.page.register(APIC.ICR_TIMER)) * this.tick() : 0n;
    this.page.timer = at;
    this.page.attend(ATTENTION.DEADLINE);
  }

  private mode(): number {
    return this.page.register(APIC.LVT_TIMER) & LVT_TIMER_MODE;
  }

  private tick(): bigint {
    const dcr = this.page.register(APIC.DCR_TIMER);
    const code = ((dcr >> 1) & 4) | (dcr & 3);
    return APIC_TICK_NS << BigInt((code + 1) & 7);
  }
}
