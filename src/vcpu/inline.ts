/**
 * The inline transport: cores and device models on one thread. vCPUs take turns, round robin; a turn ends early when the
 * vCPU halts, or spins. The loop gives way to the event loop after every slice, so that input arrives; a machine in which
 * every vCPU is halted sleeps until its next deadline or a kick.
 *
 * With a virtual clock everything goes by instruction counts: turns, slices, time; and a machine in which every vCPU is
 * halted does not sleep until its next deadline, but skips to it.
 */
import { RUN } from "../shared/exit.ts";
import { VCPU } from "../shared/layout.ts";
import { clearStop } from "./attention.ts";
import { type CoreExports, type HostNow, type HostRandom, instantiateCore } from "./core.ts";
import { postDrop } from "./drop.ts";
import type { DeviceSide, Engine } from "./engine.ts";
import type { RegionCompiler } from "./jit.ts";
import type { PageLoader, PageSource } from "./pages.ts";
import { type StructView, vcpuBase, vcpuView } from "./view.ts";
import type { VirtualClock } from "./virtualClock.ts";

/** Instructions before the event loop gets its turn; about 5 ms, or as long as exits make it. */
const SLICE = 600_000n;
const SLICE_MS = 8;
/** Instructions of a turn, where there are several vCPUs: one waits for another no longer than that. */
const TURN = 20_000n;
const NEVER = 0xffff_ffff_ffff_ffffn;

/** Virtual nanoseconds of an access to a device, as an ISA bus takes: who polls a port waits for less of them. */
const EXIT_NS = 1000;

/** One round of turns, as a machine's pace has it. */
export interface Round {
  /** Instructions of each vCPU's turn. */
  readonly instructions: bigint;
  /** The clock goes on from the round before; without, this one is part of that. */
  readonly settle: boolean;
}

/**
 * Holds a machine with a virtual clock back, so that another one can keep up with it (src/cli/verify): asked before each
 * round of turns. Such a machine's turns have exactly so many instructions, whatever the engine, and within one the clock
 * stands still: an engine may look at it whenever it likes.
 */
export type Pace = () => Promise<Round>;

export interface InlineOptions {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly vcpus: number;
  /** Fetches absent pages for every vCPU. */
  readonly pages: PageLoader;
  readonly now: HostNow;
  /** Time by instructions; `now` is its. */
  readonly clock?: VirtualClock;
  readonly pace?: Pace;
  /** Makes what compiles regions for a vCPU; default: one with the usual limits. */
  readonly regions?: (memory: WebAssembly.Memory) => RegionCompiler;
  /** What RDRAND reads; default: the host's generator. */
  readonly random?: HostRandom;
  /** Runs `callback` after pending events: setImmediate, or a MessageChannel in a browser. */
  readonly yieldTo: (callback: () => void) => void;
}

export class InlineEngine implements Engine {
  /** An instance for each vCPU: the core keeps what a run has in hand in globals. */
  readonly #cores: CoreExports[];
  readonly #views: StructView[];
  readonly #options: InlineOptions;
  readonly #devices: DeviceSide;
  /** The vCPUs that take turns. */
  #ids: readonly number[] = [];
  /**
   * Where `stop` has cut a round of turns: with whom it goes on. With a virtual clock that is the same vCPU up to the end of
   * its turn, as if nothing had been; else the next one, so that who stops the machine again and again does not keep the
   * others from their turns.
   */
  #cut: { readonly at: number; readonly end: bigint | undefined } | undefined;
  #running = false;
  #loop: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  constructor(options: InlineOptions, devices: DeviceSide) {
    this.#options = options;
    this.#devices = devices;
    this.#views = Array.from({ length: options.vcpus }, (_, id) => vcpuView(options.memory.buffer, id));
    this.#cores = this.#views.map((_, id) => {
      const { module, memory, now, random, pages, regions } = options;
      const core = instantiateCore(module, memory, now, random, regions?.(memory), pages);
      core.init(vcpuBase(id));
      return core;
    });
  }

  start(ids: readonly number[] = [...this.#views.keys()]): void {
    if (this.#running) return;
    if (ids.join() !== this.#ids.join()) this.#cut = undefined;
    this.#ids = ids;
    for (const id of ids) clearStop(this.#views[id]);
    this.#running = true;
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.#wake?.();
    await this.#loop;
  }

  kick(): void {
    this.#wake?.();
  }

  deadlineChanged(): void {
    this.#wake?.();
  }

  dropCode(hostPage: number): void {
    for (const view of this.#views) postDrop(view, hostPage);
  }

  async refresh(id: number): Promise<void> {
    this.#cores[id].refresh(vcpuBase(id));
  }

  async rflags(id: number): Promise<bigint> {
    return this.#cores[id].rflags(vcpuBase(id));
  }

  async usePages(source: PageSource | undefined): Promise<void> {
    this.#options.pages.use(source);
  }

  async destroy(): Promise<void> {
    await this.stop();
  }

  async #run(): Promise<void> {
    const devices = this.#devices;
    const { clock, pace, yieldTo } = this.#options;
    const ids = this.#ids;
    let turn = ids.length === 1 ? SLICE : TURN;
    while (this.#running) {
      // A slice: rounds of turns.
      const late = clock ? Number.POSITIVE_INFINITY : performance.now() + SLICE_MS;
      let halted = false;
      for (let done = 0n; done < SLICE && this.#running && !halted && performance.now() < late; done += turn) {
        let idle = 0;
        if (pace) {
          const round = await pace();
          if (!this.#running) return;
          turn = round.instructions;
          if (round.settle) clock?.settle();
        }
        const cut = this.#cut;
        this.#cut = undefined;
        if (clock && !cut) this.#guarded(0, () => devices.gap?.());
        for (let at = cut?.at ?? 0; at < ids.length && this.#running; at++) {
          const id = ids[at];
          const end = (at === cut?.at && cut.end) || this.#views[id].get64(VCPU.icount) + turn;
          this.#guarded(id, () => {
            if (this.#turn(id, end, late) === RUN.HALT) idle++;
          });
          if (!this.#running) this.#cut = clock ? { at, end } : { at: (at + 1) % ids.length, end: undefined };
        }
        this.#guarded(0, () => {
          devices.drain();
          devices.fireTimers();
        });
        halted = idle === ids.length;
      }
      if (!this.#running) return;
      if (!halted) await new Promise<void>(yieldTo);
      else if (clock) await this.#skip(clock);
      else await this.#sleep();
    }
  }

  /** What throws ends the machine. */
  #guarded(id: number, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#running = false;
      this.#devices.failed(id, error);
    }
  }

  /** Runs one vCPU up to the end of its turn, a count of instructions, serving its exits. */
  #turn(id: number, end: bigint, late: number): number {
    const devices = this.#devices;
    const base = vcpuBase(id);
    const core = this.#cores[id];
    const view = this.#views[id];
    while (this.#running) {
      const from = performance.now();
      const left = from > late ? 0n : end - view.get64(VCPU.icount);
      // With nothing left, the core still ends the instruction that an exit has interrupted: after `stop` every vCPU
      // stands between two.
      if (left <= 0n && !view.get(VCPU.slow)) return RUN.SLICE;
      const why = core.run(base, left);
      view.set(VCPU.runMs, view.get(VCPU.runMs) + performance.now() - from);
      if (why === RUN.EXIT) {
        devices.drain();
        devices.serveExit(id);
        core.answer(base);
        this.#options.clock?.skip(EXIT_NS);
      } else if (why === RUN.TRIPLE_FAULT) {
        this.#running = false;
        devices.failed(id);
        return why;
      } else if (why === RUN.HALT) {
        devices.drain();
        devices.fireTimers();
        if (!view.load(VCPU.attention)) return why;
      } else if (why === RUN.STOP) {
        // The machine is ending this run and calls `stop` when its turn comes; the guest gets no further.
        this.#running = false;
        return why;
      } else if (why === RUN.SLICE || (why === RUN.SPIN && !this.#options.pace)) return why;
      // A device deadline has passed (the core rang the doorbell and cleared it).
      if (devices.nextDeadline() <= devices.now()) devices.fireTimers();
    }
    return RUN.STOP;
  }

  /** The earliest deadline, the LAPIC timers included; undefined if a vCPU has something to attend to. */
  #next(): bigint | undefined {
    let next = this.#devices.nextDeadline();
    for (const id of this.#ids) {
      const view = this.#views[id];
      if (view.load(VCPU.attention)) return undefined;
      const timer = view.get64(VCPU.apicTimer);
      if (timer < next) next = timer;
    }
    return next;
  }

  /** Every vCPU is halted: lets virtual time pass until the next deadline or recorded input; without one, waits for input. */
  async #skip(clock: VirtualClock): Promise<void> {
    const next = this.#next();
    if (next === undefined) return;
    const input = this.#devices.nextInput?.();
    const left = Math.min(
      next === NEVER ? Number.POSITIVE_INFINITY : Number(next - this.#devices.now()),
      input === undefined ? Number.POSITIVE_INFINITY : input - clock.ns,
    );
    if (left === Number.POSITIVE_INFINITY) {
      // Its pace lets it wait.
      if (!this.#options.pace) return this.#wait();
    } else if (left > 0) clock.skip(left);
    await new Promise<void>(this.#options.yieldTo);
  }

  /** Waits for a kick, at most `ms`. */
  async #wait(ms?: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, Math.min(Math.floor(ms), 0x7fff_ffff));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** Waits for the earliest deadline or a kick. */
  async #sleep(): Promise<void> {
    const next = this.#next();
    if (next === undefined) return;
    const now = this.#devices.now();
    if (next <= now) return;
    const ms = Number(next - now) / 1e6;
    // Timers of the host are a millisecond coarse or more; what is closer is waited for by going round the event loop.
    if (ms < 1) return new Promise<void>(this.#options.yieldTo);
    await this.#wait(ms);
  }
}
