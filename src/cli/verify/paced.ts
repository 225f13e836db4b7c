/** A machine that is held back before each round of turns, until it is told to go on. */
import { embeddedGuest } from "../../machine/embedded/index.ts";
import { Machine, type MachineConfig, type StopReason } from "../../machine/machine.ts";
import { triggerYield } from "../../machine/yield.ts";
import type { Snapshot } from "../../snapshot/container.ts";
import type { Round } from "../../vcpu/inline.ts";

export type PacedConfig = Pick<
  MachineConfig,
  "core" | "memoryBytes" | "vcpus" | "topology" | "cpu" | "debugExit" | "engine" | "jitThreshold" | "regions" | "serial"
>;

export class Paced {
  machine!: Machine;
  /** Why it does not run any more. */
  stopped: StopReason | undefined;
  #go: ((round: Round) => void) | undefined;
  #came = (): void => {};

  private constructor() {}

  /** A machine that goes on from a snapshot, waiting before its first round. @throws SnapshotError */
  static async create(config: PacedConfig, snapshot: Snapshot): Promise<Paced> {
    const paced = new Paced();
    paced.machine = await Machine.create({
      ...config,
      // Never boots: what runs comes from the snapshot, and a reset is an end.
      kernel: embeddedGuest(),
      restart: false,
      transport: "inline",
      deterministic: { pace: () => paced.#pace() },
      onState: (state, why) => {
        if (state !== "off" && state !== "failed") return;
        paced.stopped = why ?? { kind: "power-off" };
        paced.#came();
      },
    });
    await paced.machine.restore(snapshot);
    return paced;
  }

  #pace(): Promise<Round> {
    return new Promise((resolve) => {
      this.#go = resolve;
      this.#came();
    });
  }

  /** Resolves when it waits for its next round, or has stopped. */
  async ready(): Promise<void> {
    if (!this.#go && !this.stopped) {
      await new Promise<void>((resolve) => {
        this.#came = resolve;
      });
    }
  }

  next(round: Round): void {
    const go = this.#go;
    this.#go = undefined;
    go?.(round);
  }

  /** Stops it for good where it stands; `machine` may be looked at and saved. */
  async halt(): Promise<void> {
    const halted = this.machine.pause();
    // The pause has begun when it hears that it may go on.
    await new Promise<void>(triggerYield);
    this.next({ instructions: 0n, settle: false });
    await halted;
  }
}
