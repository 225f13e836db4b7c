/** A machine's standstills: those that are asked for, and short ones to look at it, of which nobody need hear. */
import type { Machine } from "../machine/machine.ts";

export class Standstill {
  readonly #machine: Machine;
  #queue: Promise<unknown> = Promise.resolve();
  /** Whether it stands still to be looked at: that it pauses and goes on is not to be told. */
  looking = false;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** One after the other, so that no look ends with a machine going on that was paused meanwhile. */
  inTurn<T>(operation: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(operation);
    this.#queue = done.catch(() => {});
    return done;
  }

  /** Runs something while no vCPU runs; afterwards the machine is in the state it was in, unless the guest has left that. */
  look<T>(operation: () => T | Promise<T>): Promise<T> {
    return this.inTurn(async () => {
      const stops = this.#machine.state === "running";
      this.looking = stops;
      try {
        if (stops) await this.#machine.pause();
        return await operation();
      } finally {
        if (stops) await this.#machine.resume();
        this.looking = false;
      }
    });
  }
}
