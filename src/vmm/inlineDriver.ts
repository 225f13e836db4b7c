/** Runs vCPUs on this thread, each inside its `run`. */
import { RUN } from "../shared/exit.ts";
import { RUN_STATE, VCPU } from "../shared/layout.ts";
import { clearStop } from "../vcpu/attention.ts";
import type { CoreExports } from "../vcpu/core.ts";
import { VmError } from "./error.ts";
import type { VmEntry, VmExit } from "./exit.ts";
import { NEVER } from "./timers.ts";
import type { Driver, HoldReason, RunOptions, VmContext } from "./types.ts";
import type { Vcpu } from "./vcpu.ts";
import { runStateOf } from "./vcpuState.ts";

/** Instructions between looks at what other parts of the program have asked for. */
const SLICE = 100_000n;

/** What a driver needs of the vm beyond VmContext. */
export interface DriverServices {
  /** Answers an exit by handlers; false: it is for the caller of `run`. */
  serve(id: number): boolean;
  /** Takes coalesced writes. */
  drain(): boolean;
  /** Guest nanoseconds; the chips' earliest deadline, all ones for none; fires those that are due. */
  now(): bigint;
  nextDeadline(): bigint;
  fireTimers(): void;
}

export class InlineDriver implements Driver<"inline"> {
  readonly #vm: VmContext<"inline">;
  readonly #services: DriverServices;
  /** An instance for each vCPU: the core keeps what a run has in hand in globals. */
  readonly #cores: readonly CoreExports[];
  readonly #held = new Map<number, HoldReason[]>();
  readonly #kicked = new Set<number>();
  /** Host time at which a `run` with a limit is to come back. */
  readonly #until = new Map<number, number>();

  constructor(vm: VmContext<"inline">, services: DriverServices, cores: readonly CoreExports[]) {
    this.#vm = vm;
    this.#services = services;
    this.#cores = cores;
  }

  run(vcpu: Vcpu<"inline">, entry: VmEntry, options: RunOptions): VmExit {
    const { view, id } = vcpu;
    const held = this.#heldBy(id);
    if (held === "PAUSE") throw new VmError("EBUSY", "paused: on this thread run cannot wait for the resume");
    if (held && vcpu.state === "IDLE") return vcpu.exits.turnedAway(this.#vm.mustLeave(id) ?? this.#plain(vcpu, held));
    const early = vcpu.exits.enter(entry);
    if (early) return early;
    this.#kicked.delete(id);
    const base = view.base;
    const core = this.#cores[id];
    if (vcpu.exits.takeWaiting()) core.answer(base);
    clearStop(view);
    this.#run(vcpu);
    const { instructions, milliseconds } = options;
    const end = instructions === undefined ? undefined : view.get64(VCPU.icount) + instructions;
    if (milliseconds === undefined) this.#until.delete(id);
    else this.#until.set(id, this.#vm.hostNow() + milliseconds);
    for (;;) {
      if (this.#due()) this.#services.fireTimers();
      const gone = this.#mustLeave(vcpu);
      const left = gone ? 0n : end === undefined ? SLICE : end - view.get64(VCPU.icount);
      // An instruction that an exit has interrupted is finished first, which the core does with nothing left.
      if (left <= 0n && !view.get(VCPU.slow)) return vcpu.exits.leave(gone ?? this.#plain(vcpu));
      let why: number;
      try {
        why = core.run(base, left < SLICE ? left : SLICE);
      } catch (error) {
        vcpu.exits.leave(this.#plain(vcpu));
        throw vcpu.exits.callTrap(error);
      }
      this.#services.drain();
      if (why === RUN.EXIT) {
        vcpu.states.set("FROZEN");
        vcpu.states.ustate("EMU_KERN");
        if (!this.#serve(vcpu)) return vcpu.exits.left();
        core.answer(base);
        this.#run(vcpu);
      } else if (why === RUN.TRIPLE_FAULT) {
        this.#vm.suspend("TRIPLEFAULT");
      } else if (why === RUN.STOP) {
        clearStop(view);
      } else if (why === RUN.HALT && !view.load(VCPU.attention)) {
        // What is due now is fired first.
        if (!this.#due()) return vcpu.exits.leave(this.#halted(vcpu));
      }
    }
  }

  /** Whether a deadline of the chips has come. */
  #due(): boolean {
    const next = this.#services.nextDeadline();
    return next !== NEVER && next <= this.#services.now();
  }

  /** A handler that throws has not answered: the exit stays with the caller. */
  #serve(vcpu: Vcpu<"inline">): boolean {
    try {
      return this.#services.serve(vcpu.id);
    } catch (error) {
      vcpu.exits.left();
      throw error;
    }
  }

  /** The exit with which a vCPU leaves that stands between two instructions; undefined: it goes on. */
  #mustLeave(vcpu: Vcpu<"inline">): VmExit | undefined {
    const gone = this.#vm.mustLeave(vcpu.id);
    if (gone) return gone;
    const held = this.#heldBy(vcpu.id);
    if (held) return this.#plain(vcpu, held === "PAUSE" ? "BOGUS" : held);
    return this.shouldYield(vcpu.id) || vcpu.exits.notices.length ? this.#plain(vcpu) : undefined;
  }

  shouldYield(id: number): boolean {
    const until = this.#until.get(id);
    return this.#kicked.has(id) || (until !== undefined && this.#vm.hostNow() >= until);
  }

  #run(vcpu: Vcpu<"inline">): void {
    vcpu.states.set("RUNNING");
    vcpu.states.ustate("RUN");
  }

  #plain(vcpu: Vcpu<"inline">, exitcode: "BOGUS" | "REQIDLE" | "RENDEZVOUS" = "BOGUS"): VmExit {
    return { exitcode, rip: vcpu.view.get64(VCPU.rip), instLength: 0 };
  }

  /** Halted, with nothing that could end it before this thread does something else. */
  #halted(vcpu: Vcpu<"inline">): VmExit {
    const { view } = vcpu;
    const head = { rip: view.get64(VCPU.rip), instLength: 0 };
    if (view.get(VCPU.runState) === RUN_STATE.WAIT_FOR_SIPI) {
      return { ...head, exitcode: "RUN_STATE", runState: runStateOf(view) };
    }
    const times = [view.get64(VCPU.apicTimer), this.#services.nextDeadline()];
    const next = times[0] < times[1] ? times[0] : times[1];
    return {
      ...head,
      exitcode: "HLT",
      hlt: { rflags: this.#vm.core.rflags(view.base), ...(next !== NEVER && { wakeAt: next }) },
    };
  }

  kick(id: number): void {
    this.#kicked.add(id);
  }

  /** The strongest reason for which a vCPU is held. */
  #heldBy(id: number): HoldReason | undefined {
    const all = this.#held.get(id);
    if (!all?.length) return undefined;
    return (["PAUSE", "REQIDLE", "RENDEZVOUS"] as const).find((why) => all.includes(why));
  }

  async hold(ids: readonly number[], why: HoldReason): Promise<void> {
    for (const id of ids) this.#held.set(id, [...(this.#held.get(id) ?? []), why]);
  }

  release(ids: readonly number[], why: HoldReason): void {
    for (const id of ids) {
      const all = this.#held.get(id) ?? [];
      const at = all.indexOf(why);
      if (at >= 0) all.splice(at, 1);
    }
  }

  async abandonAll(): Promise<void> {}

  async destroy(): Promise<void> {}

  deadlineChanged(): void {}
}
