/**
 * A vCPU worker: owns one core instance and runs it. Comlink carries the control plane while the worker is in its
 * event loop; while it runs, everything goes through words in shared memory.
 *
 *     running --(exit)--> posted --(device thread answers)--> running           exitWord.ts
 *     running --(HLT)--> waiting on the attention word, with the next deadline as timeout --> running     attention.ts
 *     running --(ATTENTION.STOP)--> event loop
 */
import { RUN } from "../shared/exit.ts";
import { CONTROL, VCPU } from "../shared/layout.ts";
import { sleepInHalt } from "./attention.ts";
import { type CoreExports, instantiateCore } from "./core.ts";
import { awaitAnswer, postExit } from "./exitWord.ts";
import { PageLoader, type PageSource } from "./pages.ts";
import { Spin } from "./spin.ts";
import { controlView, type StructView, vcpuBase, vcpuView } from "./view.ts";

export interface WorkerInit {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  id: number;
  /** Cores of the host. */
  cores: number;
  /** It may look for what it waits for (spin.ts). */
  spare: boolean;
  /** performance.timeOrigin of the device thread: host time counts from there in every thread. */
  origin: number;
}

/** What the worker says when it comes back from `run`. */
export type WorkerStop = { why: "stop" } | { why: "triple-fault" } | { why: "error"; message: string };

/** How long a vCPU sleeps that spins, where vCPUs share cores; less than the host's scheduler would let it spin. */
const NAP_MS = 0.05;

/** Instructions before the worker accounts for its time; well under a second. */
const SLICE = 20_000_000n;

export class VcpuWorker {
  #core!: CoreExports;
  #view!: StructView;
  #control!: StructView;
  #pages!: PageLoader;
  #base = 0;
  #now: () => number = () => performance.now();
  /** More vCPUs than the host has cores. */
  #crowded = false;
  #spin = new Spin(false);

  init(options: WorkerInit): void {
    // Node's `performance` is a getter, and the core asks for the time at every budget's end and RDTSC.
    const clock = performance;
    const shift = clock.timeOrigin - options.origin;
    this.#now = () => clock.now() + shift;
    const { module, memory } = options;
    this.#pages = new PageLoader(memory);
    this.#core = instantiateCore(module, memory, this.#now, undefined, undefined, this.#pages);
    this.#base = vcpuBase(options.id);
    this.#view = vcpuView(memory.buffer, options.id);
    this.#control = controlView(memory.buffer);
    this.#crowded = this.#control.get(CONTROL.vcpuCount) > options.cores;
    this.#spin = new Spin(options.spare);
    this.#core.init(this.#base);
  }

  refresh(): void {
    this.#core.refresh(this.#base);
  }

  rflags(): bigint {
    return this.#core.rflags(this.#base);
  }

  usePages(source: PageSource | undefined): void {
    this.#pages.use(source);
  }

  /** Runs until told to stop. */
  run(): WorkerStop {
    const view = this.#view;
    try {
      for (;;) {
        switch (this.#timed()) {
          case RUN.EXIT:
            this.#exit();
            break;
          case RUN.HALT:
            sleepInHalt(view, () => this.#now() - this.#control.get(CONTROL.timeBase));
            break;
          case RUN.SPIN:
            // What it waits for is done by a vCPU that may have no core of the host now.
            if (this.#crowded) view.wait(VCPU.attention, 0, NAP_MS);
            break;
          case RUN.TRIPLE_FAULT:
            return { why: "triple-fault" };
          case RUN.STOP:
            return { why: "stop" };
        }
      }
    } catch (error) {
      return {
        why: "error",
        message: `${error instanceof Error ? error.message : error} (RIP 0x${view.get64(VCPU.rip).toString(16)})`,
      };
    }
  }

  #timed(): number {
    const from = performance.now();
    const why = this.#core.run(this.#base, SLICE);
    this.#view.set(VCPU.runMs, this.#view.get(VCPU.runMs) + performance.now() - from);
    return why;
  }

  /** Posts the exit record and waits for its answer. */
  #exit(): void {
    const view = this.#view;
    postExit(view, this.#control);
    this.#spin.until(() => view.load(VCPU.exitState) !== 1);
    awaitAnswer(view);
    this.#spin.ended();
    this.#core.answer(this.#base);
  }
}
