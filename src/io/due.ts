/** A deadline that knows when it is due, for devices that save it as the time that is left. */

import type { Deadline, Timers } from "../shared/device.ts";

export class Due {
  private readonly timers: Timers;
  private readonly deadline: Deadline;
  private time: bigint | undefined;

  /** `fire` gets the guest ns that was asked for; the deadline is not armed any more by then. */
  constructor(timers: Timers, name: string, fire: (at: bigint) => void) {
    this.timers = timers;
    this.deadline = timers.deadline(name, (at) => {
      this.time = undefined;
      fire(at);
    });
  }

  get armed(): boolean {
    return this.time !== undefined;
  }

  /** Arms it for a guest ns; undefined cancels. */
  set(at: bigint | undefined): void {
    this.time = at;
    if (at === undefined) this.deadline.cancel();
    else this.deadline.arm(at);
  }

  /** Arms it `ns` from now; undefined cancels. */
  setIn(ns: bigint | undefined): void {
    this.set(ns === undefined ? undefined : this.timers.now() + ns);
  }

  /** Nanoseconds left, 0 when it is due but has not fired yet, undefined when not armed. */
  get left(): bigint | undefined {
    if (this.time === undefined) return undefined;
    const left = this.time - this.timers.now();
    return left > 0n ? left : 0n;
  }
}
