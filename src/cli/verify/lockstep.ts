/**
 * Machines that run the same guest side by side, each one round of turns at a time:
 *
 *     round --both have come--> compared --equal--> input enters, next round
 *                                       \--not, or one has stopped--> the end
 *
 * They start from one snapshot with empty caches, and everything in them goes by instruction counts. So the same
 * snapshot, input and turns make the same run again, in which the same regions are compiled at the same points.
 */
import type { StopReason } from "../../machine/machine.ts";
import type { Snapshot } from "../../snapshot/container.ts";
import type { EngineKind } from "../../vcpu/jit.ts";
import { Paced, type PacedConfig } from "./paced.ts";
import { Comparison, type Difference } from "./state.ts";

/** What the machines are. */
export interface Setup extends Omit<PacedConfig, "engine" | "jitThreshold" | "serial"> {
  /** What is compared with the interpreter; it compiles from `threshold` executions on (default: HEAT). */
  readonly engine: EngineKind;
  readonly threshold?: number;
}

/** How a run goes. Rounds count from 0: `round` have been when it is asked. */
export interface Plan {
  /** Instructions of a turn. */
  turn(round: number): bigint;
  /** Whether the clock goes on from the round before; default: always. */
  settles?(round: number): boolean;
  /** Whether memory and chips are compared, too. */
  thorough(round: number): boolean;
  /** Bytes for COM1. */
  input(round: number): readonly Uint8Array[];
  /** The run is over. */
  over(round: number): boolean;
  /** Nothing will happen without input: resolves when there is some, or the run is over. */
  idle(): Promise<void>;
  /** Output of COM1. */
  serial?(bytes: Uint8Array): void;
}

export type End =
  | { readonly kind: "differ"; readonly differences: readonly Difference[] }
  | { readonly kind: "stopped"; readonly reason: StopReason }
  | { readonly kind: "over" };

export class Lockstep {
  /** The interpreter's machine, and the other engine's if there are two. */
  readonly sides: readonly Paced[];
  round = 0;
  readonly #plan: Plan;
  readonly #comparison: Comparison | undefined;
  #progress = "";

  private constructor(sides: readonly Paced[], plan: Plan) {
    this.sides = sides;
    this.#plan = plan;
    if (sides.length === 2) this.#comparison = new Comparison(sides[0].machine, sides[1].machine);
  }

  /** `alone`: only the interpreter's. @throws SnapshotError */
  static async create(setup: Setup, snapshot: Snapshot, plan: Plan, alone = false): Promise<Lockstep> {
    const { engine, threshold, ...config } = setup;
    const sides = [
      await Paced.create({ ...config, engine: "interp", serial: (bytes) => plan.serial?.(bytes) }, snapshot),
    ];
    const other = { engine, ...(threshold !== undefined && { jitThreshold: threshold }), serial: () => {} };
    if (!alone) sides.push(await Paced.create({ ...config, ...other }, snapshot));
    return new Lockstep(sides, plan);
  }

  /** Instructions that the guest's vCPUs have retired. */
  get instructions(): number {
    return this.sides[0].machine.stats().instructions;
  }

  /** Runs until the plan's end or a difference; the machines are halted then. */
  async run(): Promise<End> {
    const { sides } = this;
    const plan = this.#plan;
    for (const side of sides) await side.machine.resume();
    for (;;) {
      for (const side of sides) await side.ready();
      const end = await this.#end();
      if (end) {
        for (const side of sides) await side.halt();
        return end;
      }
      const input = plan.input(this.round);
      const round = { instructions: plan.turn(this.round), settle: plan.settles?.(this.round) ?? true };
      this.round++;
      for (const side of sides) {
        for (const bytes of input) side.machine.serialInput(bytes);
        side.next(round);
      }
    }
  }

  /** How the run ends here, if it does. */
  async #end(): Promise<End | undefined> {
    const hows = this.sides.map(({ stopped }) => (stopped ? JSON.stringify(stopped) : "goes on"));
    if (hows.some((how) => how !== hows[0])) {
      return { kind: "differ", differences: [{ name: "the machine", want: hows[0], got: hows[1] }] };
    }
    const { stopped } = this.sides[0];
    const thorough = stopped !== undefined || this.#plan.thorough(this.round);
    const differences = (await this.#comparison?.registers()) ?? [];
    if (thorough && this.#comparison) differences.push(...this.#comparison.rest());
    if (differences.length) return { kind: "differ", differences };
    if (stopped) return { kind: "stopped", reason: stopped };
    if (this.#plan.over(this.round)) return { kind: "over" };
    if (!this.#stuck()) return undefined;
    await this.#plan.idle();
    return this.#plan.over(this.round) ? { kind: "over" } : undefined;
  }

  /** Whether nothing has happened since the last round: every vCPU is halted and no time has passed. */
  #stuck(): boolean {
    const { machine } = this.sides[0];
    const progress = `${this.instructions} ${machine.now()}`;
    const stuck = progress === this.#progress;
    this.#progress = progress;
    return stuck;
  }

  async destroy(): Promise<void> {
    for (const side of this.sides) await side.machine.destroy();
  }
}
