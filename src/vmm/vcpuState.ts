/**
 * Who has a vCPU (the seeds' `enum vcpu_state`), and where its time goes (`enum vcpu_ustate`).
 *
 *     IDLE <--> FROZEN <--> RUNNING          FROZEN <--> SLEEPING
 *
 *     IDLE      nobody: registers may be read and written
 *     FROZEN    somebody handles an exit or has claimed it
 *     RUNNING   executes guest code
 *     SLEEPING  waits in HLT, inside `run`
 */
import { RUN_STATE, STARTUP, VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";
import { VmError } from "./error.ts";

/** `enum vcpu_state`. */
export type VcpuState = "IDLE" | "FROZEN" | "RUNNING" | "SLEEPING";

const NEXT: Readonly<Record<VcpuState, readonly VcpuState[]>> = {
  IDLE: ["FROZEN"],
  FROZEN: ["IDLE", "RUNNING", "SLEEPING"],
  RUNNING: ["FROZEN"],
  SLEEPING: ["FROZEN"],
};

/** `enum vcpu_ustate`, in the seeds' words: EMU_KERN is emulation by the vmm, EMU_USER by whoever called `run`. */
export const VCPU_USTATES = ["INIT", "RUN", "IDLE", "EMU_KERN", "EMU_USER", "SCHED"] as const;
/** What a vCPU spends its time with. */
export type VcpuUstate = (typeof VCPU_USTATES)[number];

export class VcpuStateMachine {
  #state: VcpuState = "IDLE";
  #ustate: VcpuUstate = "INIT";
  #since: number;
  readonly #now: () => number;
  readonly #spent: Record<VcpuUstate, number> = { INIT: 0, RUN: 0, IDLE: 0, EMU_KERN: 0, EMU_USER: 0, SCHED: 0 };

  /** `now`: host milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#since = now();
  }

  get state(): VcpuState {
    return this.#state;
  }

  /**
   * vcpu_set_state.
   *
   * | from | to | fromIdle | outcome |
   * |---|---|---|---|
   * | IDLE | FROZEN | any | done |
   * | not IDLE | FROZEN | true | EBUSY (the seeds wait here) |
   * | one step in the picture above | | false | done |
   * | any other | | | EBUSY |
   */
  set(state: VcpuState, fromIdle = false): void {
    if ((fromIdle && this.#state !== "IDLE") || !NEXT[this.#state].includes(state)) {
      throw new VmError("EBUSY", `a vCPU that is ${this.#state} cannot become ${state}`);
    }
    this.#state = state;
  }

  /** vcpu_ustate_change: from now on time counts for `ustate`. */
  ustate(ustate: VcpuUstate): void {
    this.#account();
    this.#ustate = ustate;
  }

  /** Moves `ms` of what has been counted as RUN to IDLE: a worker tells afterwards how long it slept. */
  slept(ms: number): void {
    this.#spent.RUN -= ms;
    this.#spent.IDLE += ms;
  }

  /** Host milliseconds spent in each ustate, up to now. */
  times(): Readonly<Record<VcpuUstate, number>> {
    this.#account();
    return { ...this.#spent };
  }

  #account(): void {
    const now = this.#now();
    this.#spent[this.#ustate] += now - this.#since;
    this.#since = now;
  }
}

/** The seeds' VRS_*: what a vCPU waits for. PEND_* are Vcpu.runStatePending. */
export const VRS = { HALT: 0, INIT: 1, RUN: 2 } as const;
/** A value of VRS. */
export type VcpuRunState = (typeof VRS)[keyof typeof VRS];

/** The vcpu_run_state of a vCPU, and the vector of a start-up IPI that it has not taken. */
export interface VmRunState {
  readonly state: VcpuRunState;
  readonly sipiVector: number;
}

/** HLT counts as RUN: it ends by itself. */
export function runStateOf(view: StructView): VmRunState {
  const s = view.get(VCPU.runState);
  const startup = view.load(VCPU.startup);
  return {
    state: s === RUN_STATE.WAIT_FOR_SIPI ? VRS.INIT : s === RUN_STATE.SHUTDOWN ? VRS.HALT : VRS.RUN,
    sipiVector: startup & STARTUP.SIPI ? startup & STARTUP.VECTOR : 0,
  };
}

/** vcpu_run_state_pending: an INIT or a start-up IPI has come that the vCPU has not taken. */
export const runStatePending = (view: StructView): boolean => view.load(VCPU.startup) !== 0;
