/**
 * A machine: memory, board, vCPUs and the engine that runs them, with a life cycle.
 *
 *     create -> ready --start--> running <--pause/resume--> paused
 *                                   |  guest powers off, resets, faults; or powerOff(), reset()
 *                                   v
 *                              off | failed | (reset: boots again)
 */
import type { BlockSource } from "../block/block.ts";
import { DebugLog, type LogSink } from "../debug/log.ts";
import { type Profile, profile } from "../debug/profile.ts";
import { VGA_MEMORY_SIZE } from "../io/vgaMemory.ts";
import { cpuToggles, hasFeature } from "../isa/cpuModel.ts";
import { DEFAULT } from "../isa/features.ts";
import { EXIT } from "../shared/exit.ts";
import { ATTENTION, CONTROL, STATS, VCPU } from "../shared/layout.ts";
import { pack, type Snapshot, unpack } from "../snapshot/container.ts";
import { PageCopy, packMemory } from "../snapshot/ram.ts";
import { requestStop } from "../vcpu/attention.ts";
import { type CoreExports, instantiateCore, unshared } from "../vcpu/core.ts";
import type { DeviceSide, Engine } from "../vcpu/engine.ts";
import { type HostOrder, hostOrder } from "../vcpu/hostOrder.ts";
import { InlineEngine } from "../vcpu/inline.ts";
import { type EngineKind, HEAT, type RegionCompiler } from "../vcpu/jit.ts";
import { PageLoader } from "../vcpu/pages.ts";
import { drainRing, RING_EOI, RING_FERR, RING_PORT } from "../vcpu/ring.ts";
import { postInit, postSipi } from "../vcpu/startup.ts";
import { ThreadedEngine, type WorkerThread } from "../vcpu/threaded.ts";
import { getSegment, type StructView, vcpuView } from "../vcpu/view.ts";
import { VirtualClock } from "../vcpu/virtualClock.ts";
import { GuestClock } from "../vmm/clock.ts";
import { codeWidth } from "../vmm/cpuMode.ts";
import { MachineMemory, type MemoryRegion } from "../vmm/memory.ts";
import { MachineTimers } from "../vmm/timers.ts";
import { checkTopology, oneSocket } from "../vmm/topology.ts";
import { acpiOf, acpiTables } from "./acpi.ts";
import { Board } from "./board.ts";
import { applyCpuState, CPU_SIGNATURE, resetVcpu, setFirmwareMtrrs } from "./cpuReset.ts";
import {
  type DeterministicConfig,
  InputGate,
  repeatableBytes,
  repeatableRandom,
  WALL_CLOCK_SECONDS,
} from "./determinism.ts";
import { serveExit } from "./exits.ts";
import { BIOS_PORT_WRITES, placeBiosData } from "./loader/bios.ts";
import { loadKernel } from "./loader/load.ts";
import { placeRom, ROM_REGION } from "./loader/rom.ts";
import type { LoadedKernel } from "./loader/types.ts";
import { COM_PORTS, HIGH_RAM_BASE, PCI_HOLE_BASE, VGA_BASE, VGA_END } from "./memoryMap.ts";
import { mpTables } from "./mpTable.ts";
import type { Cards } from "./pciCards.ts";
import type { Drives } from "./pcParts.ts";
import { Scrollback } from "./scrollback.ts";
import { exportMachine, importMachine, type SavedConfig, type SavedParts, topologyText } from "./snapshot.ts";
import { triggerYield } from "./yield.ts";

/** Where a machine is in its life. */
export type MachineState = "ready" | "running" | "paused" | "off" | "failed";

/** Why a machine is not running any more. */
export type StopReason =
  | { readonly kind: "power-off" }
  | { readonly kind: "reset" }
  | { readonly kind: "debug-exit"; readonly status: number }
  | { readonly kind: "triple-fault"; readonly where: Record<string, string> }
  | { readonly kind: "engine-error"; readonly message: string };

/** What a machine is made of. */
export interface MachineConfig {
  /** The compiled core (dist/core/core.wasm). */
  readonly core: Uint8Array;
  /** What to boot: a kernel, or firmware, which starts at the reset vector. */
  readonly kernel?: Uint8Array;
  readonly bios?: Uint8Array;
  /** Media of a machine that boots by firmware. */
  readonly drives?: Drives;
  /** Cards in PCI slots: disks on NVMe and virtio, entropy, a console. */
  readonly cards?: Cards;
  /** What firmware finds under these names in fw_cfg: option ROMs ("pci1234,1111.rom" for the VGA), settings. */
  readonly firmwareFiles?: Readonly<Record<string, Uint8Array>>;
  readonly kernelName?: string;
  readonly initrd?: Uint8Array;
  readonly append?: string;
  /** Guest RAM in bytes, a multiple of 4 KiB. */
  readonly memoryBytes: number;
  readonly vcpus?: number;
  /** How the vCPUs are spread (src/vmm/topology.ts); default: one socket with a core for each. */
  readonly topology?: { readonly sockets: number; readonly cores: number; readonly threads: number };
  /** CPU model and features, `MODEL[,+F,-F]…` (src/isa/cpuModel.ts); default: max. */
  readonly cpu?: string;
  readonly transport: "threaded" | "inline";
  /** Default: interp. */
  readonly engine?: EngineKind;
  /** Executions of a block before it is compiled, of an engine that compiles; default: HEAT. */
  readonly jitThreshold?: number;
  /** Compiled code counts what it does, for `profile`; it is slower then. */
  readonly profile?: boolean;
  /** Makes what compiles regions for a vCPU; inline transport only. Default: one with JIT_LIMITS. */
  readonly regions?: (memory: WebAssembly.Memory) => RegionCompiler;
  /** Makes the workers of the threaded transport. */
  readonly spawn?: () => WorkerThread;
  /** The host's memory order; default: what hostOrder finds. */
  readonly hostOrder?: HostOrder;
  /** Cores of the host; default: what the browser says. */
  readonly hostCores?: number;
  /** Bytes from COM1, as they come. */
  readonly serial: (bytes: Uint8Array) => void;
  /** The PC speaker's tone has changed: Hz, 0 = silent. */
  readonly tone?: (hz: number) => void;
  /** Hears of every change of state. */
  readonly onState?: (state: MachineState, reason?: StopReason) => void;
  /** A guest that asks for a reset boots again (default), or stops with reason "reset". */
  readonly restart?: boolean;
  /** isa-debug-exit at 0xf4 and the testdev ports. */
  readonly debugExit?: boolean;
  /** The same input at the same instruction counts makes the same run; inline transport only (determinism.ts). */
  readonly deterministic?: DeterministicConfig;
  /** Seconds since 1970 for the RTC; default: now, or a fixed time in a deterministic machine. */
  readonly wallClockSeconds?: number;
  readonly log?: LogSink;
}

/** What a machine has counted, at any time. */
export interface MachineStats {
  readonly state: MachineState;
  /** Instructions retired by all vCPUs since the last boot. */
  readonly instructions: number;
  /** Seconds vCPUs have spent executing (HLT and pauses not counted). */
  readonly vcpuSeconds: number;
  /** Exits to the device models, by name. */
  readonly exits: Record<string, number>;
  /** The core's own counters (STATS in src/shared/layout.ts). */
  readonly counters: Record<string, number>;
  /** Milliseconds that the guest has stood still for the last `save`; undefined: there was none. */
  readonly standstillMs: number | undefined;
}

/** TSC and invariant clock: one tick a nanosecond, stated in CPUID 15h and 16h. */
const TSC_HZ = 1_000_000_000;
/** Feature word of CPUID leaf 1 EDX (src/isa/features.ts). */
const WORD_1_EDX = 1;
/** MAXPHYADDR of the modelled CPU (assembly/mem/walk.ts). */
const PHYSICAL_BITS = 40;

/** ACCESS_PROBE and ACCESS_QUIET of assembly/mem/walk.ts: nothing is set, no fault recorded. */
const PROBE_QUIETLY = 512 | 1024;

/** Between two chunks of a snapshot that are fetched without need. */
const FETCH_MS = 5;

function hostCores(): number {
  const { navigator } = globalThis as { navigator?: { hardwareConcurrency?: number } };
  return navigator?.hardwareConcurrency ?? 1;
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
  #state: MachineState = "ready";
  readonly #views: StructView[];
  readonly #timers: MachineTimers;
  readonly #cpuToggles: readonly number[];
  /** The host's clock, or one made of instructions; in milliseconds. */
  readonly #hostNow: () => number;
  readonly #clock: VirtualClock | undefined;
  readonly #gate: InputGate | undefined;
  readonly #time: GuestClock;
  #serialOut: number[] = [];
  #serialIn: Uint8Array[] = [];
  #stopping: StopReason | undefined;
  readonly #scrollback = new Scrollback();
  readonly #pages: PageLoader;
  /** Fetches what is absent, little by little. */
  #fetching: ReturnType<typeof setTimeout> | undefined;
  #standstillMs: number | undefined;
  /** Life-cycle operations run one after another. */
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(config: MachineConfig) {
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
    this.#views = Array.from({ length: vcpus }, (_, id) => vcpuView(this.memory.memory.buffer, id));
    if (config.deterministic) {
      this.#clock = new VirtualClock(this.#views);
      this.#gate = new InputGate(config.deterministic, this.#clock, (bytes) => this.#takeInput(bytes));
    }
    this.#hostNow = this.#clock?.now ?? (() => performance.now());
    this.#time = new GuestClock(this.#hostNow, this.memory.control, true);
    this.#timers = new MachineTimers(() => this.now());
    const log = new DebugLog(config.log);
    const { engine = "interp" } = config;
    const heat = engine === "interp" ? 0 : (config.jitThreshold ?? HEAT[engine]);
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
      serial: (byte) => this.#serialOut.push(byte),
      serialRoom: () => this.#feedSerial(),
      debugPort: log.bytes("debugport"),
      onPowerOff: () => this.#stopFor({ kind: "power-off" }),
      onReset: () => this.#stopFor({ kind: "reset" }),
      onA20: (on) => this.#setA20(on),
      // Chips raise interrupts already while they are made, before there is an engine.
      kick: (id) => (this.#engine as Engine | undefined)?.kick(id),
      onInit: (id) => this.#init(id),
      onStartup: (id, vector) => postSipi(this.#views[id], vector),
      ...(config.bios && { pc: { romSize: config.bios.length, drives: config.drives ?? {} } }),
      random: config.deterministic
        ? repeatableBytes()
        : (into) => void crypto.getRandomValues(into as Uint8Array<ArrayBuffer>),
      ...(config.cards && { cards: config.cards }),
      ...(config.firmwareFiles && { firmwareFiles: config.firmwareFiles }),
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
    const machine = new Machine(config);
    machine.#boot();
    const { vcpus = 1 } = config;
    const memory = machine.memory.memory;
    const pages = machine.#pages;
    const core = (module: WebAssembly.Module): CoreExports =>
      instantiateCore(module, memory, () => performance.now(), undefined, undefined, pages);
    if (machine.transport === "threaded") {
      if (!config.spawn) throw new TypeError("the threaded transport needs spawn");
      const module = await WebAssembly.compile(config.core as BufferSource);
      machine.#core = core(module);
      machine.#engine = await ThreadedEngine.create(
        { module, memory, vcpus, cores: config.hostCores ?? hostCores(), spawn: config.spawn, yieldTo: triggerYield },
        machine,
      );
    } else {
      const module = await WebAssembly.compile(unshared(config.core) as BufferSource);
      machine.#core = core(module);
      machine.#engine = new InlineEngine(
        {
          module,
          memory,
          vcpus,
          pages,
          now: machine.#hostNow,
          yieldTo: triggerYield,
          ...(machine.#clock && { clock: machine.#clock, random: repeatableRandom() }),
          ...(config.deterministic?.pace && { pace: config.deterministic.pace }),
          ...(config.regions && { regions: config.regions }),
        },
        machine,
      );
    }
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
      await this.#halt();
      if (!this.#stopping) this.#setState("paused");
    });
  }

  /** Goes on after a pause or a restore. */
  resume(): Promise<void> {
    return this.#serially(async () => {
      if (this.#state !== "paused") return;
      this.#go();
      this.#setState("running");
    });
  }

  /** The reset button: the guest boots again, whatever state the machine is in. */
  reset(): Promise<void> {
    return this.#serially(async () => {
      await this.#halt();
      this.#stopping = undefined;
      await this.#reboot();
    });
  }

  /** Pulls the plug. */
  powerOff(): Promise<void> {
    return this.#serially(async () => {
      await this.#halt();
      this.#stopping = undefined;
      this.#setState("off", { kind: "power-off" });
    });
  }

  /**
   * The machine's state as a file (src/snapshot/container.ts). The guest stands still while its memory is copied, and goes
   * on while that is compressed; MachineStats.standstillMs says how long it stood.
   *
   * @param progress gets the share of memory that is compressed
   * @throws Error when the machine is off or has failed
   */
  async save(progress?: (share: number) => void): Promise<Uint8Array> {
    while (this.#pages.step()) await new Promise<void>(triggerYield);
    const copy = new PageCopy(this.memory);
    let state: ReturnType<typeof exportMachine> | undefined;
    await this.#serially(async () => {
      if (this.#state === "off" || this.#state === "failed") throw new Error(`the machine is ${this.#state}`);
      // A restore may have come in between.
      while (this.#pages.step());
      const from = performance.now();
      await this.#halt();
      const console = {
        serialInput: Uint8Array.from(this.#serialIn.flatMap((bytes) => [...bytes])),
        scrollback: this.#scrollback.bytes,
      };
      state = exportMachine(this.#parts(), this.#savedConfig(), this.now(), console, copy);
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
        this.#serialIn = serialInput.length ? [serialInput] : [];
        this.#serialOut = [];
        this.#scrollback.replace(scrollback);
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
    return this.#scrollback.bytes;
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
    } else this.#takeInput(bytes.slice());
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
    const found = drive === "cdrom" ? this.board.pc?.cd : this.board.pc?.floppy;
    found?.insert(medium);
    return found !== undefined;
  }

  #takeInput(bytes: Uint8Array): void {
    this.#serialIn.push(bytes);
    this.#feedSerial();
  }

  /** RFLAGS of a vCPU. Only while the machine does not run. */
  rflags(id: number): Promise<bigint> {
    return this.#engine.rflags(id);
  }

  /** The code bytes at a vCPU's RIP, 15 at most and as far as they are mapped. Only while the machine does not run. */
  codeAtRip(id: number): Uint8Array {
    const view = this.#views[id];
    const width = codeWidth(view);
    const base = width === 64 ? 0n : getSegment(view, "CS").base;
    const from = BigInt.asUintN(width === 64 ? 64 : 32, base + view.get64(VCPU.rip));
    const bytes = new Uint8Array(15);
    for (let i = 0; i < bytes.length; i++) {
      const gpa = BigInt.asUintN(64, this.#core.gla2gpa(view.base, from + BigInt(i), PROBE_QUIETLY));
      if (gpa > 0xffff_ffffn || this.memory.hostAddress(Number(gpa)) < 0) return bytes.subarray(0, i);
      this.memory.read(Number(gpa), bytes.subarray(i, i + 1));
    }
    return bytes;
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
  profile(): Profile {
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
    this.#flushSerial();
  }

  drain(): boolean {
    const all = drainRing(this.memory.control, (kind, _vcpu, low, high) => {
      if (kind === RING_EOI) this.board.chips.apicBus.eoi(low);
      else if (kind === RING_PORT) this.board.ports.write(high, 1, low);
      else if (kind === RING_FERR) this.board.coprocessorError.ferr();
    });
    this.#flushSerial();
    return all;
  }

  serveExit(id: number): boolean {
    serveExit(this, this.#views[id], id);
    this.#flushSerial();
    return true;
  }

  failed(id: number, error?: unknown): void {
    const view = this.#views[id];
    if (error !== undefined) {
      this.#stopFor({ kind: "engine-error", message: error instanceof Error ? error.message : String(error) });
      return;
    }
    const hex = (v: bigint | number) => `0x${v.toString(16)}`;
    this.#stopFor({
      kind: "triple-fault",
      where: {
        rip: hex(view.get64(VCPU.rip)),
        cs: hex(view.data.getUint16(view.base + VCPU.seg.offset + 32 + 16, true)),
        cr2: hex(view.get64(VCPU.cr2)),
        cr3: hex(view.get64(VCPU.cr3)),
        rsp: hex(view.get64(VCPU.gpr, 4)),
        vector: String(view.get(VCPU.excVector)),
        "error code": hex(view.get(VCPU.excError)),
      },
    });
  }

  // Inside

  #serially(operation: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(operation);
    this.#queue = done.catch(() => {});
    return done;
  }

  #setState(state: MachineState, reason?: StopReason): void {
    this.#state = state;
    this.#sound(state === "running");
    this.config.onState?.(state, reason);
  }

  /** Lets the vCPUs run; guest time goes on from where it stood. */
  #go(): void {
    this.#time.go();
    this.#engine.deadlineChanged(this.#timers.next);
    this.#engine.start();
  }

  async #halt(): Promise<void> {
    await this.#engine.stop();
    // A drive's answer may be on its way; it comes by an event of the host.
    while (this.board.busy) await new Promise((resolve) => setTimeout(resolve, 1));
    if (!this.#time.stopped) this.#time.stop();
    this.drain();
  }

  /** Something ends this run. Called in the middle of an exit, so the rest happens when the vCPUs have stopped. */
  #stopFor(reason: StopReason): void {
    if (this.#stopping) return;
    this.#stopping = reason;
    for (const view of this.#views) requestStop(view);
    void this.#serially(async () => {
      // The user's own reset or power-off was before this in the queue, and has settled the matter.
      if (this.#stopping !== reason) return;
      await this.#halt();
      this.#stopping = undefined;
      if (reason.kind === "reset" && this.config.restart !== false) await this.#reboot();
      else this.#setState(reason.kind === "triple-fault" || reason.kind === "engine-error" ? "failed" : "off", reason);
    });
  }

  async #reboot(): Promise<void> {
    this.#views.forEach((view, id) => {
      resetVcpu(view, id, CPU_SIGNATURE);
    });
    this.board.reset();
    this.#setA20(true);
    this.#boot();
    await Promise.all(this.#views.map((_, id) => this.#engine.refresh(id)));
    // The other bits stay: the code that loading the kernel has overwritten is still to be dropped.
    for (const view of this.#views) view.and(VCPU.attention, ~(ATTENTION.INIT | ATTENTION.NMI));
    this.#go();
    this.#setState("running", { kind: "reset" });
  }

  /** Firmware starts as RESET leaves it. For a kernel, does what firmware does: chips, tables, kernel, entry state. */
  #boot(): void {
    const { config, memory } = this;
    if (config.bios) {
      placeRom(memory, config.bios);
      return;
    }
    if (!config.kernel) throw new TypeError("a machine needs a kernel or firmware");
    const apicIds = this.#views.map((_, id) => id);
    placeBiosData(memory, [COM_PORTS[0]]);
    for (const [port, value] of BIOS_PORT_WRITES) this.board.ports.write(port, 1, value);
    this.board.apics[0].enterVirtualWireMode();
    const acpi = acpiTables(acpiOf(this.#views.length, false));
    const mp = mpTables({
      apicIds,
      cpuSignature: CPU_SIGNATURE,
      cpuFeatures: (DEFAULT[WORD_1_EDX] ^ this.#cpuToggles[WORD_1_EDX]) >>> 0,
    });
    for (const table of [...acpi, ...mp]) memory.write(table.gpa, table.bytes);
    this.loaded = loadKernel(memory, {
      kernel: config.kernel,
      ramSize: config.memoryBytes,
      acpiRsdp: acpi[0].gpa,
      la57: hasFeature(this.#cpuToggles, "la57"),
      ...(config.kernelName !== undefined && { kernelName: config.kernelName }),
      ...(config.initrd && { initrd: config.initrd }),
      ...(config.append !== undefined && { append: config.append }),
    });
    for (const view of this.#views) setFirmwareMtrrs(view, PCI_HOLE_BASE, PHYSICAL_BITS);
    applyCpuState(this.#views[0], this.loaded.cpu);
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

  #feedSerial(): void {
    while (this.#serialIn.length) {
      const taken = this.board.com1.receive(this.#serialIn[0]);
      if (taken === 0) return;
      if (taken === this.#serialIn[0].length) this.#serialIn.shift();
      else this.#serialIn[0] = this.#serialIn[0].subarray(taken);
    }
  }

  #flushSerial(): void {
    if (!this.#serialOut.length) return;
    const bytes = Uint8Array.from(this.#serialOut);
    this.#serialOut = [];
    this.#scrollback.push(bytes);
    this.config.serial(bytes);
  }
}
