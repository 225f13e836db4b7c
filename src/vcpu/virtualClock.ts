/**
 * Time that is made of instructions, for runs that can be repeated: each instruction of any vCPU takes a nanosecond, an
 * access to a device a microsecond, and a machine in which every vCPU is halted skips to its next deadline. It stands in
 * for the host's clock.
 */
import { VCPU } from "../shared/layout.ts";
import type { StructView } from "./view.ts";

export class VirtualClock {
  readonly #views: readonly StructView[];
  #skipped = 0;
  /** Instructions at the last `settle`. */
  #settled: number | undefined;

  constructor(views: readonly StructView[]) {
    this.#views = views;
  }

  /** Instructions retired by all vCPUs. */
  get instructions(): number {
    let n = 0;
    for (const view of this.#views) n += view.get(VCPU.icount);
    return n;
  }

  /** Nanoseconds since the machine was made. */
  get ns(): number {
    return this.#skipped + (this.#settled ?? this.instructions);
  }

  /** From now on instructions take time only at the next `settle`: what reads the clock in between reads the same. */
  settle(): void {
    this.#settled = this.instructions;
  }

  /** What the host's clock would say, in milliseconds. */
  readonly now = (): number => this.ns / 1e6;

  /** Lets `ns` nanoseconds pass in which nothing happens. */
  skip(ns: number): void {
    this.#skipped += ns;
  }
}
