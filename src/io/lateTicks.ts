/**
 * Ticks of a periodic timer that a busy host was too late for. Delivered at once they would be one interrupt; a guest that
 * counts them then has too few, and Linux, which waits for five when it looks whether the timer is wired at all, gives up.
 * So they follow one by one, closer than the timer's own.
 */
import type { Deadline, Timers } from "../shared/device.ts";

/** Of a timer's period: how far apart late ticks are, and the shortest period (ns) whose ticks are made up for. */
const PART = 4n;
const SHORTEST = 200_000n;
/** Nanoseconds of ticks that are made up for at most. */
const MOST = 1_000_000_000n;

export class LateTicks {
  private readonly timers: Timers;
  private readonly deadline: Deadline;
  private left = 0n;
  private distance = 0n;

  /** @param tick raises the interrupt once more */
  constructor(timers: Timers, name: string, tick: () => void) {
    this.timers = timers;
    this.deadline = timers.deadline(name, () => {
      this.left--;
      this.arm();
      tick();
    });
  }

  /** `missed` ticks of a timer with this period in ns have not been delivered. */
  add(missed: bigint, period: bigint): void {
    if (missed <= 0n || period < SHORTEST) return;
    const most = MOST / period;
    const left = this.left + missed;
    this.left = left < most ? left : most;
    this.distance = period / PART;
    this.arm();
  }

  /** The timer is programmed anew: what it owed does not count any more. */
  forget(): void {
    this.left = 0n;
    this.deadline.cancel();
  }

  private arm(): void {
    if (this.left > 0n) this.deadline.arm(this.timers.now() + this.distance);
  }
}
