/** A guest's time: the host's, from creation on, without the pauses. */
import { CONTROL } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";

export class GuestClock {
  readonly #hostNow: () => number;
  readonly #control: StructView;
  /** Host time at which it was stopped. */
  #stoppedAt: number | undefined;
  /** The latest time it has told. A vCPU that finds a gap (assembly/time.ts) takes some of it back: it then stands still. */
  #told = 0n;

  /** @param stopped it stands at 0 until it is told to go */
  constructor(hostNow: () => number, control: StructView, stopped = false) {
    this.#hostNow = hostNow;
    this.#control = control;
    const now = hostNow();
    control.set(CONTROL.timeBase, now);
    if (stopped) this.#stoppedAt = now;
  }

  get stopped(): boolean {
    return this.#stoppedAt !== undefined;
  }

  /** Stops it; if it has been stopped, it has gone on until now. */
  stop(): void {
    this.#stoppedAt = this.#hostNow();
  }

  /** Goes on from where it stood. */
  go(): void {
    if (this.#stoppedAt !== undefined) this.leaveOut(this.#hostNow() - this.#stoppedAt);
    this.#stoppedAt = undefined;
  }

  /** Host milliseconds that have not been. */
  leaveOut(ms: number): void {
    this.#control.set(CONTROL.timeBase, this.#base + ms);
    this.#told = 0n;
  }

  get #base(): number {
    return this.#control.get(CONTROL.timeBase);
  }

  get #host(): number {
    return this.#stoppedAt ?? this.#hostNow();
  }

  /** Guest nanoseconds. */
  now(): bigint {
    const now = BigInt(Math.max(0, Math.floor(this.guestNs(this.#host))));
    // No vCPU runs while it is stopped; a snapshot that cannot be put in sets it and puts it back.
    if (this.stopped) return now;
    if (now > this.#told) this.#told = now;
    return this.#told;
  }

  set(now: bigint): void {
    this.#told = now;
    // Half a nanosecond more, so that rounding gives this one again.
    this.#control.set(CONTROL.timeBase, this.#host - (Number(now) + 0.5) / 1e6);
  }

  /** Host milliseconds as guest nanoseconds, and back. */
  guestNs(hostMs: number): number {
    return (hostMs - this.#base) * 1e6;
  }
  hostMs(guestNs: number): number {
    return guestNs / 1e6 + this.#base;
  }
}
