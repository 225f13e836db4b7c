/**
 * The threaded transport: one worker per vCPU over shared memory, device models here. This thread sleeps in
 * Atomics.waitAsync on the doorbell word; it never blocks. The protocols are those of exitWord.ts (exits), ring.ts
 * (coalesced writes), attention.ts (stop, deadlines) and drop.ts (code).
 */
import { type Endpoint, type Remote, wrap } from "comlink";
import { CONTROL, VCPU } from "../shared/layout.ts";
import { armDeadline, clearStop, keepDeadline, requestStop } from "./attention.ts";
import { postDrop } from "./drop.ts";
import type { DeviceSide, Engine } from "./engine.ts";
import { answerExit, postAgain, ringDoorbell, takeExits } from "./exitWord.ts";
import type { PageSource } from "./pages.ts";
import { Spin, spareCores } from "./spin.ts";
import { Turns } from "./turns.ts";
import { controlView, type StructView, vcpuView } from "./view.ts";
import type { VcpuWorker, WorkerStop } from "./worker.ts";

/** A started worker that exposes VcpuWorker through Comlink. */
export interface WorkerThread {
  readonly endpoint: Endpoint;
  /** Ends it, whatever it does. */
  terminate(): void;
}

export interface ThreadedOptions {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly vcpus: number;
  /** Cores of the host; default: enough for the vCPUs, and none to waste. */
  readonly cores?: number;
  readonly spawn: () => WorkerThread;
  /** Which vCPUs look at the clock for the device thread: the first (default), or all, where the first may be out. */
  readonly deadlines?: "first" | "all";
  /** vCPUs execute one at a time (turns.ts); default: all at once. */
  readonly inTurns?: boolean;
  /** Runs `callback` after pending events. */
  readonly yieldTo: (callback: () => void) => void;
}

/** Longest time the doorbell is answered without letting other events in. */
const BURST_MS = 2;

interface Thread {
  readonly worker: WorkerThread;
  readonly remote: Remote<VcpuWorker>;
  readonly view: StructView;
  running: Promise<void> | undefined;
}

type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
  timeout?: number,
) => { async: boolean; value: Promise<string> | string };

export class ThreadedEngine implements Engine {
  readonly #threads: Thread[];
  /** vCPUs that look at the clock for this thread. */
  readonly #clocks: readonly StructView[];
  readonly #control: StructView;
  readonly #devices: DeviceSide;
  readonly #options: ThreadedOptions;
  readonly #turns: Turns | undefined;
  /** Threads may look for what they wait for (spin.ts). */
  readonly #spare: boolean;
  /** Each start lets another vCPU go first: who is stopped again and again gets on all the same. */
  #starts = 0;
  #alive = true;
  #pump: Promise<void>;

  private constructor(options: ThreadedOptions, devices: DeviceSide) {
    this.#options = options;
    this.#devices = devices;
    this.#control = controlView(options.memory.buffer);
    this.#spare = spareCores(options.vcpus, options.cores);
    this.#threads = Array.from({ length: options.vcpus }, (_, id) => {
      const worker = options.spawn();
      return {
        worker,
        remote: wrap<VcpuWorker>(worker.endpoint),
        view: vcpuView(options.memory.buffer, id),
        running: undefined,
      };
    });
    const views = this.#threads.map((t) => t.view);
    if (options.inTurns) this.#turns = new Turns(views);
    this.#clocks = options.deadlines === "all" ? views : views.slice(0, 1);
    this.#pump = this.#serve();
  }

  /** Starts the workers and waits until each has its core. */
  static async create(options: ThreadedOptions, devices: DeviceSide): Promise<ThreadedEngine> {
    const engine = new ThreadedEngine(options, devices);
    const { module, memory, cores = Number.POSITIVE_INFINITY } = options;
    const spare = engine.#spare;
    const origin = performance.timeOrigin;
    await Promise.all(engine.#threads.map((t, id) => t.remote.init({ module, memory, id, cores, spare, origin })));
    return engine;
  }

  start(ids: readonly number[] = [...this.#threads.keys()]): void {
    const first = this.#starts++;
    ids.forEach((_, i) => {
      this.startVcpu(ids[(first + i) % ids.length]);
    });
  }

  /** Lets one vCPU run, if it does not. */
  startVcpu(id: number): void {
    const t = this.#threads[id];
    if (t.running) return;
    clearStop(t.view);
    const run = (): Promise<WorkerStop> => t.remote.run();
    t.running = (this.#turns ? this.#turns.take(id).then(run) : run()).then(
      (stop) => this.#stopped(id, stop),
      (error) => this.#stopped(id, { why: "error", message: String(error) }),
    );
  }

  /** Answers an exit that `serveExit` has kept. */
  answer(id: number): void {
    const go = (): void => answerExit(this.#threads[id].view);
    if (this.#turns) void this.#turns.take(id).then(go);
    else go();
  }

  #stopped(id: number, stop: WorkerStop): void {
    this.#threads[id].running = undefined;
    this.#turns?.give(id);
    if (stop.why === "triple-fault") this.#devices.failed(id);
    else if (stop.why === "error") this.#devices.failed(id, new Error(stop.message));
    else this.#devices.stopped?.(id);
  }

  async stop(): Promise<void> {
    for (const t of this.#threads) if (t.running) requestStop(t.view);
    // A vCPU that waits for an exit gets its answer from the pump, and then sees STOP.
    await Promise.all(this.#threads.map((t) => t.running));
  }

  kick(id: number): void {
    this.#threads[id].view.notify(VCPU.attention);
  }

  deadlineChanged(at: bigint): void {
    for (const view of this.#clocks) armDeadline(view, at);
  }

  dropCode(hostPage: number): void {
    for (const t of this.#threads) postDrop(t.view, hostPage);
  }

  async refresh(id: number): Promise<void> {
    await this.#threads[id].remote.refresh();
  }

  rflags(id: number): Promise<bigint> {
    return this.#threads[id].remote.rflags();
  }

  async usePages(source: PageSource | undefined): Promise<void> {
    await Promise.all(this.#threads.map((t) => t.remote.usePages(source)));
  }

  async destroy(): Promise<void> {
    await this.stop();
    this.#alive = false;
    ringDoorbell(this.#control);
    await this.#pump;
    for (const t of this.#threads) t.worker.terminate();
  }

  /** Answers the doorbell until the engine is destroyed. */
  async #serve(): Promise<void> {
    const words = this.#control.words;
    const bell = this.#control.index(CONTROL.doorbell);
    const waitAsync = (Atomics as unknown as { waitAsync: WaitAsync }).waitAsync;
    const spin = new Spin(this.#spare);
    let since = performance.now();
    while (this.#alive) {
      const seen = Atomics.load(words, bell);
      this.#answer();
      if (performance.now() - since > BURST_MS) {
        await new Promise<void>(this.#options.yieldTo);
        since = performance.now();
      }
      if (!spin.until(() => Atomics.load(words, bell) !== seen)) {
        const wait = waitAsync(words, bell, seen);
        if (wait.async) {
          await wait.value;
          since = performance.now();
        }
      }
      spin.ended();
    }
  }

  #answer(): void {
    const devices = this.#devices;
    const posted = takeExits(this.#control);
    if (this.#guarded(0, () => devices.drain()) ?? true) {
      for (let id = 0; posted >>> id; id++) {
        if (!(posted & (1 << id))) continue;
        // A model that throws has answered, too: the vCPU must be able to stop.
        if (this.#guarded(id, () => devices.serveExit(id)) ?? true) answerExit(this.#threads[id].view);
        else this.#turns?.give(id);
      }
    } else if (posted) postAgain(this.#control, posted);
    const next = devices.nextDeadline();
    if (next <= devices.now()) this.#guarded(0, () => devices.fireTimers());
    else for (const view of this.#clocks) keepDeadline(view, next);
  }

  /** A device model that throws ends the machine, not this loop: vCPUs still get their answers, so that they stop. */
  #guarded<T>(id: number, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#devices.failed(id, error);
      return undefined;
    }
  }
}
