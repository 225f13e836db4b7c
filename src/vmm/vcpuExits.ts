/**
 * The border between `run` and guest code: what a vCPU has left with, whether that is answered, and what has to be done before
 * it goes on.
 *
 *     run --enter: answer, checks, event to inject--> guest code --left, leave--> the exit with which run comes back
 */
import { ATTENTION, RUN_STATE, VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";
import { abandon, answer, skip, undoRegisters } from "./answer.ts";
import { cpl } from "./cpuMode.ts";
import { invalidGuestState } from "./entryChecks.ts";
import { VmError, VmTrap } from "./error.ts";
import type { VcpuEvents } from "./events.ts";
import { EXIT_REASON_INVALID_GUEST_STATE, type VmEntry, type VmExit } from "./exit.ts";
import { exitWrites, readExit } from "./exitRecord.ts";
import { IDT, type NestedOutcome } from "./intinfo.ts";
import type { Notice, VmContext } from "./types.ts";
import { runStateOf, runStatePending, type VcpuStateMachine } from "./vcpuState.ts";
import type { Vie } from "./vie.ts";

export class VcpuExits {
  /** What it is to leave with as soon as it stands between two instructions. */
  readonly notices: Notice[] = [];
  readonly #vm: Pick<VmContext, "core" | "memory" | "mustLeave" | "suspend">;
  readonly #id: number;
  readonly #view: StructView;
  readonly #events: VcpuEvents;
  readonly #states: VcpuStateMachine;
  #trap: VmTrap | undefined;
  #exit: VmExit | undefined;
  /** Whether the core waits for the answer to it. */
  #waiting = false;
  #vie: Vie | undefined;
  /** An exit that has to wait for another to be seen first. */
  #deferred: VmExit | undefined;
  /** Registers were written: the core must look at them again. */
  #changed = true;
  readonly #counts: Record<string, number> = {};

  constructor(
    vm: Pick<VmContext, "core" | "memory" | "mustLeave" | "suspend">,
    id: number,
    view: StructView,
    events: VcpuEvents,
    states: VcpuStateMachine,
  ) {
    this.#vm = vm;
    this.#id = id;
    this.#view = view;
    this.#events = events;
    this.#states = states;
  }

  /** The exit that `run` has come back with and that is not answered. */
  get exit(): VmExit | undefined {
    return this.#exit;
  }

  /** The decoded instruction of an INST_EMUL exit. */
  get vie(): Vie | undefined {
    return this.#vie;
  }

  /** Exits that reached the caller, by code. */
  get counts(): Record<string, number> {
    return { ...this.#counts };
  }

  /** Registers were written. */
  changed(): void {
    this.#changed = true;
  }

  /** RIP was written: the instruction that waits for its answer, if one does, is let go of. */
  letGo(): void {
    if (this.#waiting && (this.#exit || this.#deferred)) this.#abandon();
  }

  /**
   * An exception is the end of an instruction that waits for its answer.
   *
   * @param restart it has not happened; else RIP is behind it
   */
  endWith(restart: boolean): void {
    const exit = this.#exit;
    if (!this.#waiting || !exit) return;
    const write = exitWrites(this.#view);
    if (restart) {
      this.#abandon();
      if (write && exit.instLength) undoRegisters(this.#view);
      this.#changed = true;
    } else if (!write) {
      skip(this.#view, exit);
      this.#exit = undefined;
    }
  }

  #abandon(): void {
    abandon(this.#view);
    this.#exit = undefined;
    this.#deferred = undefined;
  }

  /** Whether the core waits for the answer to an exit; asking takes it. */
  takeWaiting(): boolean {
    const waiting = this.#waiting;
    this.#waiting = false;
    return waiting;
  }

  get waiting(): boolean {
    return this.#waiting;
  }

  /**
   * Everything between `run` and guest code; an exit if there will be none. State IDLE becomes FROZEN, or stays
   * IDLE with an exit or when it throws.
   */
  enter(entry: VmEntry): VmExit | undefined {
    if (this.#trap) throw this.#trap;
    this.#states.set("FROZEN", true);
    try {
      const exit = this.#enter(entry);
      if (exit) return this.leave(exit);
      return undefined;
    } catch (error) {
      this.#states.set("IDLE");
      throw error;
    }
  }

  #enter(entry: VmEntry): VmExit | undefined {
    const gone = this.#vm.mustLeave(this.#id);
    if (gone) return gone;
    const answered = this.#exit;
    if (answered) {
      const done = answer(this.#view, this.#vm.memory, answered, entry);
      if (answered.exitcode === "INTA") this.#events.clearExtint();
      this.#exit = undefined;
      this.#vie = undefined;
      if (done.gp) this.#events.inject(IDT.GP, 0);
      if (done.event) this.#events.exitIntinfo(done.event);
    } else if (entry.cmd !== "default") throw new VmError("EINVAL", `${entry.cmd} answers nothing`);
    const deferred = this.#deferred;
    this.#deferred = undefined;
    if (deferred) return deferred;
    if (this.#view.get(VCPU.runState) === RUN_STATE.SHUTDOWN && !runStatePending(this.#view)) {
      return {
        exitcode: "RUN_STATE",
        rip: this.#view.get64(VCPU.rip),
        instLength: 0,
        runState: runStateOf(this.#view),
      };
    }
    const wrong = invalidGuestState(this.#view);
    if (wrong) {
      return {
        exitcode: "VMX",
        rip: this.#view.get64(VCPU.rip),
        instLength: 0,
        vmx: {
          status: 0,
          exitReason: EXIT_REASON_INVALID_GUEST_STATE,
          exitQualification: 0n,
          instType: 0,
          instError: 0,
          intInfo: 0n,
          detail: wrong,
        },
      };
    }
    const event = this.#events.takeEntryIntinfo();
    if (event && !this.#inject(event)) return this.#vm.mustLeave(this.#id);
    this.settle();
    return undefined;
  }

  /** What follows from registers that were written. */
  settle(): void {
    if (!this.#changed) return;
    this.#view.set(VCPU.cpl, cpl(this.#view));
    this.#vm.core.refresh(this.#view.base);
    this.#changed = false;
  }

  /** False: a triple fault. */
  #inject(event: NestedOutcome): boolean {
    if ("tripleFault" in event) {
      this.#vm.suspend("TRIPLEFAULT");
      return false;
    }
    this.#view.set64(VCPU.entryInfo, event.inject);
    this.#view.or(VCPU.attention, ATTENTION.INJECT);
    return true;
  }

  /** The core has left with an exit record. */
  left(): VmExit {
    this.#waiting = true;
    return this.leave(readExit(this.#vm.core, this.#view, this.#vm.memory));
  }

  /** `run` comes back with `exit`; state becomes IDLE. */
  leave(exit: VmExit): VmExit {
    let out = exit;
    const notice = exit.exitcode === "SUSPENDED" ? undefined : this.notices.shift();
    if (notice) {
      this.#deferred = exit.exitcode === "BOGUS" ? undefined : exit;
      out = { ...notice, rip: exit.rip, instLength: 0 };
    }
    if (this.#states.state !== "FROZEN") this.#states.set("FROZEN");
    this.#states.set("IDLE");
    this.#states.ustate("EMU_USER");
    this.#count(out);
    // What comes again by itself, or before something else, needs no answer.
    if (!notice && out.exitcode !== "SUSPENDED") this.#exit = out;
    this.#vie = out.exitcode === "INST_EMUL" ? out.instEmul.vie : undefined;
    return out;
  }

  /** `run` comes back with `exit` and has taken nothing. */
  turnedAway(exit: VmExit): VmExit {
    this.#count(exit);
    return exit;
  }

  /** vmm_call_trap: the host has failed in guest code; what is to be thrown, from now on by every `run`. */
  callTrap(error: unknown): VmTrap {
    this.#trap = new VmTrap(this.#id, error);
    return this.#trap;
  }

  #count(exit: VmExit): void {
    this.#counts[exit.exitcode] = (this.#counts[exit.exitcode] ?? 0) + 1;
  }

  /** Its state is replaced: what it was doing is forgotten. */
  forget(): void {
    abandon(this.#view);
    this.#exit = undefined;
    this.#deferred = undefined;
    this.#vie = undefined;
    this.#waiting = false;
    this.#changed = true;
    this.#trap = undefined;
    this.notices.length = 0;
  }
}
