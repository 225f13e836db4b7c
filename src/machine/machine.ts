/**
 * A machine: memory, board, vCPUs and the engine that runs them, with a life cycle.
 *
 *     create -> ready --start--> running <--pause/resume--> paused
 *                                   |  guest powers off, resets, faults; or powerOff(), reset()
 *                                   v
 *                              off | failed | (reset: boots again)
 */
import type { BlockSource } from "../block/block.ts";
import { DebugLog } from "../debug/log.ts";
import type { Profile } from "../debug/profile.ts";
import { VGA_MEMORY_SIZE } from "../io/vgaMemory.ts";
import { cpuToggles } from "../isa/cpuModel.ts";
import { EXIT } from "../shared/exit.ts";
import { ATTENTION, CONTROL, STATS, VCPU } from "../shared/layout.ts";
import { RING } from "../shared/ring.ts";
import { pack, type Snapshot, unpack } from "../snapshot/container.ts";
import { PackedPages } from "../snapshot/packed.ts";
import { PageCopy, packMemory } from "../snapshot/ram.ts";
import { requestStop } from "../vcpu/attention.ts";
import type { CoreExports } from "../vcpu/core.ts";
import type { DeviceSide, Engine } from "../vcpu/engine.ts";
import { hostOrder } from "../vcpu/hostOrder.ts";
import { PageLoader } from "../vcpu/pages.ts";
import { drainRing } from "../vcpu/ring.ts";
import { postInit, postSipi } from "../vcpu/startup.ts";
import { type StructView, vcpuView } from "../vcpu/view.ts";
import { VirtualClock } from "../vcpu/virtualClock.ts";
import { GuestClock } from "../vmm/clock.ts";
import { MachineMemory, type MemoryRegion } from "../vmm/memory.ts";
import { MachineTimers } from "../vmm/timers.ts";
import { checkTopology, oneSocket } from "../vmm/topology.ts";
import { Board } from "./board.ts";
import { boot, firmwareFiles } from "./boot.ts";
import { CPU_SIGNATURE, resetVcpu } from "./cpuReset.ts";
import { type Breakpoint, type DebugStop, MachineDebug, type Resumption } from "./debug.ts";
import { InputGate, repeatableBytes, WALL_CLOCK_SECONDS } from "./determinism.ts";
import { serveExit } from "./exits.ts";
import { ROM_REGION } from "./loader/rom.ts";
import type { LoadedKernel } from "./loader/types.ts";
import { heatOf, type MachineConfig, type MachineState, type MachineStats, type StopReason } from "./machineConfig.ts";
import { makeEngine } from "./makeEngine.ts";
import { HIGH_RAM_BASE, PCI_HOLE_BASE, VGA_BASE, VGA_END } from "./memoryMap.ts";
import { loadParts, type Parts } from "./parts.ts";
import { SerialLine } from "./serialLine.ts";
import { exportMachine, importMachine, type SavedConfig, type SavedParts, topologyText } from "./snapshot.ts";
import { tripleFaultAt } from "./tripleFault.ts";
import { triggerYield } from "./yield.ts";

export type { MachineConfig, MachineState, MachineStats, StopReason } from "./machineConfig.ts";

/** TSC and invariant clock: one tick a nanosecond, stated in CPUID 15h and 16h. */
const TSC_HZ = 1_000_000_000;
/** CONTROL.longestGap: what a busy host takes a core away for. Much shorter than the 160 ms in which Linux wants five ticks. */
const LONGEST_GAP_MS = 20;
/** Between two chunks of a snapshot that are fetched without need. */
const FETCH_MS = 5;

/** Most that a pause, reset or power-off waits for drives: longer than any that is not out of reach takes. */
const ANSWER_MS = 200;

export interface SaveOptions {
  /** Gets the share of memory that is compressed. */
  readonly progress?: (share: number) => void;
  /** What the save before has left, if this is one of several, one after the other; a machine has one of these. */
  readonly packed?: PackedPages;
  /** What is to be done while the guest stands still. */
  readonly whileStill?: () => Promise<void>;
}

/** A PC with a guest in it. */
export class Machine implements DeviceSide {
  readonly memory: MachineMemory;
  readonly board: Board;
  readonly config: MachineConfig;
  /**
   * What runs the vCPUs: as configured, but several do not get threads of their own where the host's memory order is
   * weaker than x86's. There they take turns on this thread.
   */
  readonly transport: "threaded" | "inline";
  readonly exitCounts: number[] = [];
  /** How the kernel was loaded; nothing with firmware. */
  loaded: LoadedKernel | undefined;
  #engine!: Engine;
  /** A core instance on this thread, for vCPUs that do not run. */
  #core!: CoreExports;
  #debug!: MachineDebug;
  #state: MachineState = "ready";
  readonly #views: StructView[];
  readonly #timers: MachineTimers;
  readonly #cpuToggles: readonly number[];
  /** The host's clock, or one made of instructions; in milliseconds. */
  readonly #hostNow: () => number;
  readonly #clock: VirtualClock | undefined;
  readonly #gate: InputGate | undefined;
  readonly #time: GuestClock;
  readonly #line: SerialLine;
  #stopping: StopReason | DebugStop | undefined;
  /** The vCPUs that run, or ran last; undefined: all. */
  #going: readonly number[] | undefined;
  readonly #pages: PageLoader;
  /** Fetches what is absent, little by little. */
  #fetching: ReturnType<typeof setTimeout> | undefined;
  #standstillMs: number | undefined;
  /** Life-cycle operations run one after another. */
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(config: MachineConfig, parts: Parts) {
    this.config = config;
    this.#cpuToggles = cpuToggles(config.cpu ?? "max");
    const vcpus = config.vcpus ?? 1;
    const order = config.hostOrder ?? hostOrder();
    this.transport = vcpus > 1 && order === "weak" ? "inline" : config.transport;
    const low = Math.min(config.memoryBytes, PCI_HOLE_BASE);
    const regions: MemoryRegion[] = [{ gpa: 0, length: low }];
    if (config.memoryBytes > low) regions.push({ gpa: HIGH_RAM_BASE, length: config.memoryBytes - low });
    if (config.bios) regions.push(ROM_REGION);
    this.memory = new MachineMemory({
      regions,
      vcpus,
      shared: this.transport === "threaded",
      ...(config.bios && { reserve: VGA_MEMORY_SIZE }),
    });
    if (config.topology) {
      checkTopology({ ...config.topology, maxcpus: vcpus }, vcpus);
      this.memory.setTopology(config.topology.cores, config.topology.threads);
    }
    this.memory.unmap(VGA_BASE, VGA_END - VGA_BASE);
    this.#pages = new PageLoader(this.memory.memory);
    this.memory.fetchPage = this.#pages.fetchPage;
    this.memory.control.set64(CONTROL.tscHz, BigInt(TSC_HZ));
    this.memory.control.set(CONTROL.bulkIo, 1);
    // vCPUs that run at the same time share a clock: one that has had no core does not stop it for the others.
    const alone = vcpus === 1 || this.transport === "inline";
    if (alone && !config.deterministic) this.memory.control.set(CONTROL.longestGap, LONGEST_GAP_MS);
    this.memory.control.set(CONTROL.deviceThread, Number(this.transport === "threaded"));
    this.#views = Array.from({ length: vcpus }, (_, id) => vcpuView(this.memory.memory.buffer, id));
    if (config.deterministic) {
      this.#clock = new VirtualClock(this.#views);
      this.#gate = new InputGate(config.deterministic, this.#clock, (bytes) => this.#line.send(bytes));
    }
    this.#line = new SerialLine((bytes) => this.board.com1.receive(bytes), config.serial);
    this.#hostNow = this.#clock?.now ?? (() => performance.now());
    this.#time = new GuestClock(this.#hostNow, this.memory.control, true);
    this.#timers = new MachineTimers(() => this.now());
    const log = new DebugLog(config.log);
    const heat = heatOf(config);
    this.#views.forEach((view, id) => {
      resetVcpu(view, id, CPU_SIGNATURE);
      view.set(VCPU.heat, heat);
      view.set(VCPU.profile, config.profile ? 1 : 0);
      this.#cpuToggles.forEach((word, i) => {
        view.set(VCPU.cpuToggle, word, i);
      });
    });
    this.board = new Board({
      memory: this.memory,
      timers: this.#timers,
      vcpus,
      ramSize: config.memoryBytes,
      wallClockSeconds:
        config.wallClockSeconds ?? (config.deterministic ? WALL_CLOCK_SECONDS : Math.floor(Date.now() / 1000)),
      serial: (byte) => this.#line.written(byte),
      serialRoom: () => this.#line.feed(),
      debugPort: log.bytes("debugport"),
      onPowerOff: () => this.#stopFor({ kind: "power-off" }),
      onReset: () => this.#stopFor({ kind: "reset" }),
      onA20: (on) => this.#setA20(on),
      // Chips raise interrupts already while they are made, before there is an engine.
      kick: (id) => (this.#engine as Engine | undefined)?.kick(id),
      onInit: (id) => this.#init(id),
      onStartup: (id, vector) => postSipi(this.#views[id], vector),
      parts,
      random: config.deterministic
        ? repeatableBytes()
        : (into) => void crypto.getRandomValues(into as Uint8Array<ArrayBuffer>),
      ...(config.bios && { firmwareFiles: firmwareFiles(config, this.#cpuToggles) }),
      onMoved: () => this.#flushTranslations(),
      ...(config.debugExit && { onDebugExit: (status: number) => this.#stopFor({ kind: "debug-exit", status }) }),
      log: (channel) => log.channel(channel),
    });
  }

  /** Whether the speaker may be heard: a machine that stands still is silent. */
  #sound(on: boolean): void {
    if (!this.config.tone) return;
    this.board.chips.pit.onTone = on ? this.config.tone : () => {};
    this.config.tone(on ? this.board.chips.pit.heard : 0);
  }

  /**
   * Makes a machine with its kernel loaded.
   *
   * @throws LoaderError, OutOfMemoryError, CpuModelError with one line that says what to change.
   */
  static async create(config: MachineConfig): Promise<Machine> {
    if (config.deterministic && config.transport !== "inline") {
      throw new TypeError("a deterministic machine needs the inline transport");
    }
    const machine = new Machine(config, await loadParts(config));
    machine.#boot();
    ({ core: machine.#core, engine: machine.#engine } = await makeEngine({
      config,
      transport: machine.transport,
      memory: machine.memory.memory,
      pages: machine.#pages,
      now: machine.#hostNow,
      clock: machine.#clock,
      devices: machine,
    }));
    machine.#debug = new MachineDebug(machine.memory, machine.#core, machine.#views, (stop) => machine.#stopFor(stop));
    machine.#timers.onNext = (at) => machine.#engine.deadlineChanged(at);
    machine.memory.onCodeWrite = (page) => machine.#engine.dropCode(page);
    return machine;
  }

  get state(): MachineState {
    return this.#state;
  }

  /** Registers and the rest of a vCPU's page; read them only while the machine does not run. */
  view(id = 0): StructView {
    return this.#views[id];
  }

  /** Lets a machine that is ready run. */
  start(): Promise<void> {
    return this.#serially(async () => {
      if (this.#state !== "ready") return;
      this.#go();
      this.#setState("running");
    });
  }

  /** Stops the vCPUs and the guest's time. */
  pause(): Promise<void> {
    return this.#serially(async () => {
      if (this.#state !== "running") return;
      await this.#halt(ANSWER_MS);
      if (!this.#stopping) this.#setState("paused");
    });
  }

  /** Goes on after a pause, a restore or a stop for the debugger, or starts; `whom` says which vCPUs, and how. */
  resume(whom: Resumption = {}): Promise<void> {
    return this.#serially(async () => {
      if (this.#state !== "paused" && this.#state !== "ready") return;
      const untold = this.#debug.prepare(whom);
      if (untold) return this.#stoppedFor(untold);
      for (const id of this.#debug.takeChanged()) await this.#engine.refresh(id);
      this.#go(whom.vcpus);
      this.#setState("running");
    });
  }

  /** What a debugger needs beyond the machine's life cycle. */
  get debug(): MachineDebug {
    return this.#debug;
  }

  /** From now on these stop the machine, and no others. @throws RangeError: too many, or a length that is none */
  setBreakpoints(list: readonly Breakpoint[]): Promise<void> {
    return this.#serially(async () => {
      await this.#halt();
      this.#debug.setBreakpoints(list);
      await Promise.all(this.#views.map((_, id) => this.#engine.refresh(id)));
      if (this.#state === "running" && !this.#stopping) this.#go(this.#going);
    });
  }

  /** Looks at the machine, or changes what is recorded, while no vCPU runs; the guest goes on, and nobody hears of it. */
  async glance<T>(look: () => T): Promise<T> {
    let seen: T | undefined;
    await this.#serially(async () => {
      const running = this.#state === "running";
      if (running) await this.#halt(0);
      try {
        seen = look();
      } finally {
        if (running && !this.#stopping) this.#go(this.#going);
      }
    });
    return seen as T;
  }

  /** The reset button: the guest boots again, whatever state the machine is in; with `pause`, when it goes on after that. */
  reset({ pause = false } = {}): Promise<void> {
    return this.#serially(async () => {
      await this.#halt(ANSWER_MS);
      this.#stopping = undefined;
      await this.#reboot(pause);
    });
  }

  /** Pulls the plug. */
  powerOff(): Promise<void> {
    return this.#serially(async () => {
      await this.#halt(ANSWER_MS);
      this.#stopping = undefined;
      this.#setState("off", { kind: "power-off" });
    });
  }

  /**
   * The machine's state as a file (src/snapshot/container.ts). The guest stands still while its memory is copied, and goes
   * on while that is compressed; MachineStats.standstillMs says how long it stood.
   *
   * @throws Error when the machine is off or has failed
   */
  async save({ progress, packed = new PackedPages(), whileStill }: SaveOptions = {}): Promise<Uint8Array> {
    try {
      return await this.#save(packed, progress, whileStill);
    } catch (error) {
      // What has been let go of may be nowhere now.
      packed.forget();
      throw error;
    }
  }

  async #save(
    packed: PackedPages,
    progress: SaveOptions["progress"],
    whileStill: SaveOptions["whileStill"],
  ): Promise<Uint8Array> {
    while (this.#pages.step()) await new Promise<void>(triggerYield);
    const copy = new PageCopy(this.memory, packed);
    let state: ReturnType<typeof exportMachine> | undefined;
    await this.#serially(async () => {
      if (this.#state === "off" || this.#state === "failed") throw new Error(`the machine is ${this.#state}`);
      // A restore may have come in between.
      while (this.#pages.step());
      const from = performance.now();
      await this.#halt();
      await whileStill?.();
      const console = {
        serialInput: this.#line.waiting,
        scrollback: this.#line.scrollback,
      };
      state = exportMachine(this.#parts(), this.#savedConfig(), this.now(), console, copy);
      if (packed.again) {
        this.#flushTranslations();
        this.board.pc?.vgaMemory.touch();
      }
      // What has stopped the guest meanwhile is next in the queue.
      if (this.#state === "running" && !this.#stopping) this.#go();
      this.#standstillMs = performance.now() - from;
    });
    return pack(state, await packMemory(copy, progress));
  }

  /**
   * Puts a snapshot into this machine, which must have been made with the same memory, vCPUs and CPU; it is paused then.
   *
   * @throws SnapshotError: the machine is as it was before
   */
  async restore(file: Uint8Array | Snapshot): Promise<void> {
    const snapshot = file instanceof Uint8Array ? await unpack(file) : file;
    await this.#serially(async () => {
      await this.#halt();
      const running = this.#state === "running";
      try {
        if (this.board.pc) this.board.pc.restoring = true;
        const { serialInput, scrollback, pages } = importMachine(this.#parts(), this.#savedConfig(), snapshot, (now) =>
          this.#time.set(now),
        );
        this.#stopping = undefined;
        this.#line.restore(serialInput, scrollback);
        this.#pages.use(pages);
        await this.#engine.usePages(pages);
        this.board.pc?.memoryReplaced();
        this.#fetchLater();
        await Promise.all(this.#views.map((_, id) => this.#engine.refresh(id)));
        this.#setState("paused");
      } catch (error) {
        if (running && !this.#stopping) this.#go();
        throw error;
      } finally {
        if (this.board.pc) this.board.pc.restoring = false;
      }
    });
  }

  /** The last that COM1 has written, for whoever shows it next: 128 KiB at least, if there was as much. */
  get scrollback(): Uint8Array {
    return this.#line.scrollback;
  }

  /**
   * Fetches the pages that nobody has needed yet, a chunk at a time, so that the snapshot's memory can go; slow enough to
   * leave this thread to the guest.
   */
  #fetchLater(): void {
    clearTimeout(this.#fetching);
    this.#fetching = setTimeout(() => {
      try {
        if (this.#pages.step()) return this.#fetchLater();
      } catch (error) {
        return this.failed(0, error);
      }
      this.#pages.use(undefined);
      // Workers hear of it when they stop for the next time.
      void this.#engine.usePages(undefined);
    }, FETCH_MS);
  }

  #parts(): SavedParts {
    return { memory: this.memory, core: this.#core, views: this.#views, devices: this.board.saved };
  }

  #savedConfig(): SavedConfig {
    const { memoryBytes, vcpus = 1, cpu = "max", debugExit = false, bios } = this.config;
    const topology = topologyText(this.config.topology ?? oneSocket(vcpus));
    return { memoryBytes, vcpus, topology, cpu, debugExit, firmware: bios !== undefined };
  }

  /** Ends it, and its workers. */
  destroy(): Promise<void> {
    return this.#serially(async () => {
      clearTimeout(this.#fetching);
      await this.#engine.destroy();
      this.#stopping = undefined;
      this.#state = "off";
    });
  }

  /** Bytes for COM1; they wait until the guest takes them. */
  serialInput(bytes: Uint8Array): void {
    if (!bytes.length) return;
    if (this.#gate) {
      this.#gate.push(bytes.slice());
      this.#engine.kick(0);
    } else this.#line.send(bytes.slice());
  }

  /** Types a text on the keyboard of a machine that has one. */
  type(text: string): void {
    this.board.pc?.typist.type(text);
    this.#engine.kick(0);
  }

  /** Presses a key of it, or lets it go: KeyboardEvent.code (src/io/scanCodes.ts). */
  key(code: string, pressed: boolean): void {
    this.board.pc?.keyboard.key(code, pressed);
    this.#engine.kick(0);
  }

  /** Moves its mouse: pixels, y downwards; notches; buttons left 1, right 2, middle 4. */
  mouse(dx: number, dy: number, wheel: number, buttons: number): void {
    this.board.pc?.mouse.move(dx, dy, wheel, buttons);
    this.#engine.kick(0);
  }

  /** Puts another CD or floppy disk into its drive, or takes it out (undefined). False: there is no such drive. */
  insert(drive: "cdrom" | "floppy", medium: BlockSource | undefined): boolean {
    return this.board.pc?.insert(drive, medium) ?? false;
  }

  /** RFLAGS of a vCPU. Only while the machine does not run. */
  rflags(id: number): Promise<bigint> {
    return this.#engine.rflags(id);
  }

  /** What it has counted up to now. */
  stats(): MachineStats {
    let instructions = 0;
    let ms = 0;
    for (const view of this.#views) {
      instructions += view.get(VCPU.icount);
      ms += view.get(VCPU.runMs);
    }
    const exits: Record<string, number> = {};
    for (const [name, code] of Object.entries(EXIT)) if (this.exitCounts[code]) exits[name] = this.exitCounts[code];
    const counters: Record<string, number> = {};
    STATS.forEach((name, i) => {
      counters[name] = this.#views.reduce((n, view) => n + view.get(VCPU.stats, i), 0);
    });
    const standstillMs = this.#standstillMs;
    return { state: this.#state, instructions, vcpuSeconds: ms / 1000, exits, counters, standstillMs };
  }

  /** What compiled code has counted; only with MachineConfig.profile, while the machine does not run. */
  async profile(): Promise<Profile> {
    // With it comes the instruction table, which a page does without.
    const { profile } = await import("../debug/profile.ts");
    return profile(this.#views, (host) => host - this.memory.backing.byteOffset);
  }

  // DeviceSide

  now(): bigint {
    return this.#time.now();
  }

  /** @internal */
  gap(): void {
    this.#gate?.gap();
  }

  /** @internal */
  nextInput(): number | undefined {
    return this.#gate?.nextNs;
  }

  /** @internal */
  nextDeadline(): bigint {
    return this.#timers.next;
  }

  fireTimers(): void {
    this.#timers.fire();
    this.#line.flush();
  }

  drain(): boolean {
    const all = drainRing(this.memory.control, (kind, _vcpu, low, high) => {
      if (kind === RING.EOI) this.board.chips.apicBus.eoi(low);
      else if (kind === RING.PORT) this.board.ports.write(high & 0xffff, (high >>> 16) as 1 | 4, low);
      else if (kind === RING.IDE) this.#idePort(high >>> 24, high & 0xffff, (high >>> 16) & 0xff, low);
      else if (kind === RING.FERR) this.board.coprocessorError.ferr();
      else if ((kind & 0xff) === RING.MMIO) this.board.mmio.write(high, (kind >>> 8) as 2 | 4, BigInt(low));
    });
    this.#line.flush();
    return all;
  }

  #idePort(channel: number, port: number, size: number, value: number): void {
    const { ideFront, ports } = this.board;
    ideFront.take(channel, () => {
      if (size) ports.write(port, size as 1, value);
      else ports.read(port, 1);
    });
  }

  serveExit(id: number): boolean {
    if (!this.#debug.serve(id)) serveExit(this, this.#views[id], id);
    this.#line.flush();
    return true;
  }

  failed(id: number, error?: unknown): void {
    if (error === undefined) this.#stopFor({ kind: "triple-fault", where: tripleFaultAt(this.#views[id]) });
    else this.#stopFor({ kind: "engine-error", message: error instanceof Error ? error.message : String(error) });
  }

  // Inside

  #serially(operation: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(operation);
    this.#queue = done.catch(() => {});
    return done;
  }

  #setState(state: MachineState, reason?: StopReason): void {
    this.#state = state;
    if (state !== "running") this.#debug.stopped();
    this.#sound(state === "running");
    this.config.onState?.(state, reason);
  }

  /** Lets the vCPUs run; guest time goes on from where it stood. */
  #go(vcpus?: readonly number[]): void {
    this.#going = vcpus;
    this.#time.go();
    this.#engine.deadlineChanged(this.#timers.next);
    this.#engine.start(vcpus);
  }

  /**
   * Stops the vCPUs and the time. A drive's answer may be on its way, which comes by an event of the host: who looks at the
   * machine's state waits for it, others so many milliseconds, for a disk's server may be out of reach.
   */
  async #halt(patience = Number.POSITIVE_INFINITY): Promise<void> {
    await this.#engine.stop();
    // Some of it begins work of drives.
    this.drain();
    const until = performance.now() + patience;
    while (this.board.busy && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 1));
    if (!this.#time.stopped) this.#time.stop();
  }

  /**
   * Something ends this run. Called in the middle of an exit, so the rest happens when the vCPUs have stopped. False: it is
   * ending already.
   */
  #stopFor(reason: StopReason | DebugStop): boolean {
    if (this.#stopping) return false;
    this.#stopping = reason;
    for (const view of this.#views) requestStop(view);
    void this.#serially(async () => {
      // The user's own reset or power-off was before this in the queue, and has settled the matter.
      if (this.#stopping !== reason) return;
      await this.#halt(ANSWER_MS);
      this.#stopping = undefined;
      if (reason.kind === "breakpoint" || reason.kind === "exception" || reason.kind === "step")
        this.#stoppedFor(reason);
      else if (reason.kind === "reset" && this.config.restart !== false) await this.#reboot();
      else this.#setState(reason.kind === "triple-fault" || reason.kind === "engine-error" ? "failed" : "off", reason);
    });
    return true;
  }

  #stoppedFor(stop: DebugStop): void {
    this.#setState("paused");
    this.#debug.onStop(stop);
  }

  async #reboot(pause = false): Promise<void> {
    this.#views.forEach((view, id) => {
      resetVcpu(view, id, CPU_SIGNATURE);
    });
    this.board.reset();
    this.#setA20(true);
    this.#boot();
    await Promise.all(this.#views.map((_, id) => this.#engine.refresh(id)));
    // The other bits stay: the code that loading the kernel has overwritten is still to be dropped.
    for (const view of this.#views) view.and(VCPU.attention, ~(ATTENTION.INIT | ATTENTION.NMI));
    if (!pause) this.#go();
    this.#setState(pause ? "paused" : "running", { kind: "reset" });
  }

  #boot(): void {
    const { config, memory, board } = this;
    this.loaded = boot({ config, memory, board, views: this.#views, cpuToggles: this.#cpuToggles });
  }

  #setA20(on: boolean): void {
    const mask = on ? 0xffff_ffff : 0xffef_ffff;
    if (this.memory.control.get(CONTROL.a20Mask) === mask) return;
    this.memory.control.set(CONTROL.a20Mask, mask);
    this.#flushTranslations();
  }

  #flushTranslations(): void {
    for (const view of this.#views) view.or(VCPU.attention, ATTENTION.FLUSH);
  }

  /** INIT to the boot processor would take it to the firmware, which is not there: the machine is reset. */
  #init(id: number): void {
    if (id === 0) this.#stopFor({ kind: "reset" });
    else postInit(this.#views[id]);
  }
}
