/** Runs vCPUs on this thread, each inside its `run`. */
import { RUN } from "../shared/exit.ts";
import { VCPU } from "../shared/layout.ts";
import { clearStop } from "../vcpu/attention.ts";
import type { CoreExports } from "../vcpu/core.ts";
import { VmError } from "./error.ts";
import type { VmEntry, VmExit } from "./exit.ts";
import type { Driver, RunOptions, VmContext } from "./types.ts";
import type { Vcpu } from "./vcpu.ts";

/** Instructions between looks at what other parts of the program have asked for. */
const SLICE = 100_000n;
const NEVER = 0xffff_ffff_ffff_ffffn;

/** What a driver needs of the vm beyond VmContext. */
export interface InlineServices {
  /** Answers an exit by handlers; false: it is for the caller of `run`. */
  serve(id: number): boolean;
  /** Takes coalesced writes. */
  drain(): boolean;
}

export class InlineDriver implements Driver<"inline"> {
  readonly #vm: VmContext<"inline">;
  readonly #services: InlineServices;
  /** An instance for each vCPU: the core keeps what a run has in hand in globals. */
  readonly #cores: readonly CoreExports[];
  readonly #held = new Set<number>();
  readonly #kicked = new Set<number>();

  constructor(vm: VmContext<"inline">, services: InlineServices, cores: readonly CoreExports[]) {
    this.#vm = vm;
    this.#services = services;
    this.#cores = cores;
  }

  run(vcpu: Vcpu<"inline">, entry: VmEntry, options: RunOptions): VmExit {
    if (this.#held.has(vcpu.id)) throw new VmError("EBUSY", "paused: on this thread run cannot wait for the resume");
    const { view, id } = vcpu;
    const core = this.#cores[id];
    const early = vcpu.enter(entry);
    if (early) return early;
    this.#kicked.delete(id);
    const base = view.base;
    const waited = vcpu.takeWaiting();
    clearStop(view);
    this.#run(vcpu);
    if (waited) core.answer(base);
    const end = options.instructions === undefined ? undefined : view.get64(VCPU.icount) + options.instructions;
    for (;;) {
      const gone = this.#vm.mustLeave(id);
      // An instruction that an exit has interrupted is finished first.
      if (!view.get(VCPU.slow)) {
        if (gone) return vcpu.leave(gone);
        if (this.#kicked.delete(id) || vcpu.eois.length) return vcpu.leave(this.#bogus(vcpu));
      }
      const left = end === undefined ? SLICE : end - view.get64(VCPU.icount);
      if (left <= 0n && !view.get(VCPU.slow)) return vcpu.leave(this.#bogus(vcpu));
      let why: number;
      try {
        why = core.run(base, left < SLICE ? left : SLICE);
      } catch (error) {
        vcpu.leave(this.#bogus(vcpu));
        throw error;
      }
      this.#services.drain();
      if (why === RUN.EXIT) {
        vcpu.states.set("FROZEN");
        vcpu.states.ustate("EMU_KERN");
        if (!this.#services.serve(id)) return vcpu.left();
        core.answer(base);
        this.#run(vcpu);
      } else if (why === RUN.TRIPLE_FAULT) {
        this.#vm.suspend("TRIPLEFAULT");
      } else if (why === RUN.STOP) {
        clearStop(view);
      } else if (why === RUN.HALT && !view.load(VCPU.attention)) {
        return vcpu.leave(this.#halted(vcpu));
      }
    }
  }

  #run(vcpu: Vcpu<"inline">): void {
    vcpu.states.set("RUNNING");
    vcpu.states.ustate("RUN");
  }

  #bogus(vcpu: Vcpu<"inline">): VmExit {
    return { exitcode: "BOGUS", rip: vcpu.view.get64(VCPU.rip), instLength: 0 };
  }

  /** Halted, with nothing that could end it before this thread does something else. */
  #halted(vcpu: Vcpu<"inline">): VmExit {
    const { view } = vcpu;
    const times = [view.get64(VCPU.apicTimer), view.load64(VCPU.deviceDeadline)];
    const next = times[0] < times[1] ? times[0] : times[1];
    return {
      exitcode: "HLT",
      rip: view.get64(VCPU.rip),
      instLength: 0,
      hlt: { rflags: this.#vm.core.rflags(view.base), ...(next !== NEVER && { wakeAt: next }) },
    };
  }

  kick(id: number): void {
    this.#kicked.add(id);
  }

  async hold(ids: readonly number[]): Promise<void> {
    for (const id of ids) this.#held.add(id);
  }

  release(ids: readonly number[]): void {
    for (const id of ids) this.#held.delete(id);
  }

  async abandonAll(): Promise<void> {}

  async destroy(): Promise<void> {}

  dropCode(): void {}
}
