/**
 * Guest time and the device deadlines, on the device thread. Nothing here waits: whoever runs the vCPUs asks for the
 * next deadline and calls `fire` when it has come.
 */
import type { Deadline, Timers } from "../shared/device.ts";

export const NEVER = 0xffff_ffff_ffff_ffffn;

interface Entry {
  at: bigint;
  period: bigint;
  readonly name: string;
  readonly fire: (at: bigint) => void;
}

export class MachineTimers implements Timers {
  readonly #now: () => bigint;
  readonly #armed = new Set<Entry>();
  #next = NEVER;
  /** Called with the earliest deadline whenever it changes; NEVER = none. */
  onNext: (at: bigint) => void = () => {};

  /** `now`: guest nanoseconds. */
  constructor(now: () => bigint) {
    this.#now = now;
  }

  now(): bigint {
    return this.#now();
  }

  get next(): bigint {
    return this.#next;
  }

  deadline(name: string, fire: (at: bigint) => void): Deadline {
    const entry: Entry = { at: 0n, period: 0n, name, fire };
    return {
      arm: (at, period = 0n) => {
        entry.at = at;
        entry.period = period;
        this.#armed.add(entry);
        this.#update();
      },
      cancel: () => {
        if (this.#armed.delete(entry)) this.#update();
      },
    };
  }

  /**
   * Fires what is due, earliest first; a periodic deadline re-arms itself without drift before it fires. If something was
   * due, the earliest deadline is another one then, and onNext has heard of it.
   */
  fire(): void {
    const now = this.#now();
    for (;;) {
      let first: Entry | undefined;
      for (const e of this.#armed) if (e.at <= now && (!first || e.at < first.at)) first = e;
      if (!first) break;
      const at = first.at;
      if (first.period > 0n) first.at += first.period;
      else this.#armed.delete(first);
      first.fire(at);
    }
    this.#update();
  }

  #update(): void {
    let next = NEVER;
    for (const e of this.#armed) if (e.at < next) next = e.at;
    if (next !== this.#next) {
      this.#next = next;
      this.onNext(next);
    }
  }
}
