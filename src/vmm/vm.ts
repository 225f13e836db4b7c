/**
 * A virtual machine: guest memory, virtual CPUs and what is attached to its ports and addresses. There is no board: what
 * nobody handles comes back from `run`.
 *
 *     create --> ready --run--> … --suspend, triple fault--> suspended --reinit--> ready
 *                  \\____________________ destroy ____________________/
 *
 *     const vm = await Vm.create({ name: "first", core, transport: "inline", memoryBytes: 1 << 20 });
 *     vm.memory.write(0x1000, code);
 */

import { cpuToggles } from "../isa/cpuModel.ts";
import type { Width } from "../shared/device.ts";
import { EXIT } from "../shared/exit.ts";
import { CONTROL, VCPU, VM_MAXCPU } from "../shared/layout.ts";
import { pack, unpack } from "../snapshot/container.ts";
import { PageCopy, packMemory } from "../snapshot/ram.ts";
import { exportVm, importVm, type SavedVm } from "../snapshot/vm.ts";
import { type CoreExports, instantiateCore } from "../vcpu/core.ts";
import { postDrop } from "../vcpu/drop.ts";
import { type HostOrder, hostOrder } from "../vcpu/hostOrder.ts";
import { drainRing, RING_EOI, RING_PORT } from "../vcpu/ring.ts";
import { finishInit, postInit, postSipi } from "../vcpu/startup.ts";
import { type StructView, vcpuView } from "../vcpu/view.ts";
import { type Chipset, needed } from "./chipset.ts";
import { readData, type VmmData, type VmmDataReq, writeData } from "./data.ts";
import { VmError } from "./error.ts";
import type { VmEntry, VmExit, VmSuspendHow } from "./exit.ts";
import { exitSize, exitWrites, translate } from "./exitRecord.ts";
import { HostGlue, type HostServices } from "./glue.ts";
import { type DriverServices, InlineDriver } from "./inlineDriver.ts";
import { IoPorts, MmioRegions } from "./io.ts";
import { VMM_KSTAT_CLASS, type VmmKstats, vcpuKstats } from "./kstats.ts";
import { MachineMemory } from "./memory.ts";
import { MemorySegments, PROT_ALL } from "./memseg.ts";
import { type ModuleMember, VmmModule } from "./module.ts";
import { PptDevices } from "./ppt.ts";
import { ThreadedDriver } from "./threadedDriver.ts";
import { NEVER } from "./timers.ts";
import { checkTopology, oneSocket, type VmTopology } from "./topology.ts";
import type { Driver, Running, RunOptions, Transport, VmContext } from "./types.ts";
import { Vcpu } from "./vcpu.ts";
import { CPU_SIGNATURE, initVcpu, resetVcpu } from "./vcpuReset.ts";
import { VmChips } from "./vmChips.ts";
import { type VmClient, Vmspace } from "./vmspace.ts";

/** Longest name (VM_MAX_NAMELEN, with the terminator). */
const VM_MAX_NAMELEN = 32;
const TSC_HZ = 1_000_000_000n;

export interface VmConfig<T extends Transport> extends HostServices {
  /** 1 to 31 characters. */
  readonly name: string;
  /** The compiled core (dist/core/core.wasm), or the module that has loaded it for several virtual machines. */
  readonly core: Uint8Array | VmmModule;
  readonly transport: T;
  readonly vcpus?: number;
  /** The host's memory order; default: what hostOrder finds. Where it is weaker than x86's, threads of vCPUs take turns. */
  readonly hostOrder?: HostOrder;
  /** CPU model and features (src/isa/cpuModel.ts); default: max. */
  readonly cpu?: string;
  /** RAM at address 0 as segment 0; default none. */
  readonly memoryBytes?: number;
  /** Bytes for segments that are allocated later; default none. */
  readonly reserveBytes?: number;
  /** The chips of a PC that a vmm has itself (vmChips.ts): interrupt controllers, timers, RTC. Default: none. */
  readonly chips?:
    | boolean
    | { /** Seconds since 1970 for the RTC; default: now. */ readonly wallClockSeconds?: number };
}

export class Vm<T extends Transport = Transport> implements VmContext<T>, ModuleMember {
  readonly name: string;
  readonly transport: T;
  /** Guest physical memory, as the host reads and writes it. */
  readonly memory: MachineMemory;
  readonly segments: MemorySegments;
  readonly ports = new IoPorts();
  readonly mmio: MmioRegions;
  readonly vcpus: readonly Vcpu<T>[];
  /** vm_get_vmspace. */
  readonly vmspace: Vmspace;
  /** Devices of the host that are passed through. */
  readonly pptdevs: PptDevices;
  /** @internal */
  readonly core: CoreExports;
  /** @internal */
  readonly hostNow: () => number;
  readonly #glue: HostGlue;
  readonly #module: VmmModule;
  readonly #instance: number;
  readonly #clients: readonly VmClient[];
  readonly #views: readonly StructView[];
  #driver!: Driver<T>;
  readonly #active = new Set<number>([0]);
  readonly #debug = new Set<number>();
  readonly #seenSuspend = new Set<number>();
  readonly #chips: VmChips | undefined;
  #topology: VmTopology;
  /** vCPUs that a rendezvous has not finished with. */
  readonly #rendezvous = new Set<number>();
  readonly #blocked = new Map<number, number>();
  /** The vCPU whose exit is being answered. */
  #serving: number | undefined;
  #how: VmSuspendHow | undefined;
  #pausedAt: number | undefined;
  #destroyed = false;

  private constructor(config: VmConfig<T>, vmm: VmmModule, module: WebAssembly.Module, glue: HostGlue) {
    const vcpus = config.vcpus ?? 1;
    this.name = config.name;
    this.transport = config.transport;
    this.#glue = glue;
    this.hostNow = glue.now;
    this.memory = new MachineMemory({
      vcpus,
      reserve: (config.memoryBytes ?? 0) + (config.reserveBytes ?? 0) + (config.memoryBytes ? 2 ** 21 : 0),
      shared: config.transport === "threaded",
    });
    const { memory } = this;
    memory.control.set64(CONTROL.tscHz, TSC_HZ);
    memory.control.set(CONTROL.timeBase, this.hostNow());
    this.core = instantiateCore(module, memory.memory, glue.now, glue.random);
    this.#views = Array.from({ length: vcpus }, (_, id) => vcpuView(memory.memory.buffer, id));
    const toggles = cpuToggles(config.cpu ?? "max");
    this.vcpus = this.#views.map((view, id) => {
      resetVcpu(view, id, CPU_SIGNATURE);
      toggles.forEach((word, i) => {
        view.set(VCPU.cpuToggle, word, i);
      });
      return new Vcpu<T>(this, id, view);
    });
    this.segments = new MemorySegments(memory, () => this.#frozen());
    this.mmio = new MmioRegions(this.segments);
    this.vmspace = new Vmspace(this.segments);
    this.#clients = this.#views.map(() => this.vmspace.clientAlloc());
    this.pptdevs = new PptDevices(() => this.chips, this.ports, memory, this.segments);
    memory.onCodeWrite = (page) => {
      for (const view of this.#views) postDrop(view, page);
    };
    if (config.memoryBytes) {
      this.segments.alloc(0, config.memoryBytes, true);
      this.segments.mmap(0, 0, 0, config.memoryBytes, PROT_ALL);
    }
    this.#topology = oneSocket(vcpus);
    if (config.chips) {
      const options = {
        ...(typeof config.chips === "object" && config.chips),
        memory: memory.memory,
        vcpus,
        now: () => this.now(),
        kick: (id: number) => this.#views[id].notify(VCPU.attention),
        onInit: (id: number) => this.#onInit(id),
        onStartup: (id: number, vector: number) => this.#onStartup(id, vector),
      };
      this.#chips = new VmChips(options, this.ports, this.mmio);
      this.#chips.timers.onNext = (at) => this.#driver.deadlineChanged(at);
    }
    this.#module = vmm;
    this.#instance = vmm.join(this);
  }

  /**
   * vm_create.
   *
   * | | outcome |
   * |---|---|
   * | name empty or 32 characters or more; vCPUs not 1 … VM_MAXCPU; memory not in pages; threaded without spawn | EINVAL |
   * | memory that this host does not have | OutOfMemoryError |
   * | else | a vm whose vCPU 0 is active and stands at the reset vector |
   */
  static async create<T extends Transport>(config: VmConfig<T>): Promise<Vm<T>> {
    const { name, vcpus = 1, transport } = config;
    if (!name || name.length >= VM_MAX_NAMELEN) throw new VmError("EINVAL", `a name of ${name.length} characters`);
    if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > VM_MAXCPU) throw new VmError("EINVAL", `${vcpus} vCPUs`);
    if (transport === "threaded" && !config.spawn) throw new VmError("EINVAL", "the threaded transport needs spawn");
    const vmm = config.core instanceof VmmModule ? config.core : await VmmModule.load(config.core, transport);
    const module = await vmm.compiled(transport);
    const glue = new HostGlue(config);
    const vm = new Vm<T>(config, vmm, module, glue);
    try {
      await vm.#drivenBy(module, config.hostOrder ?? hostOrder());
    } catch (error) {
      glue.cleanup();
      vmm.leave(vm);
      throw error;
    }
    return vm;
  }

  async #drivenBy(module: WebAssembly.Module, order: HostOrder): Promise<void> {
    const services: DriverServices = {
      serve: (id) => this.#serve(id),
      drain: () => this.#drain(),
      now: () => this.now(),
      nextDeadline: () => this.#chips?.timers.next ?? NEVER,
      fireTimers: () => this.#chips?.timers.fire(),
    };
    const glue = this.#glue;
    if (this.transport === "inline") {
      const cores = this.#views.map((view) => {
        const core = instantiateCore(module, this.memory.memory, glue.now, glue.random);
        core.init(view.base);
        return core;
      });
      this.#driver = new InlineDriver(this as unknown as VmContext<"inline">, services, cores) as unknown as Driver<T>;
      return;
    }
    this.#driver = (await ThreadedDriver.create(this as unknown as VmContext<"threaded">, services, {
      module,
      memory: this.memory.memory,
      vcpus: this.vcpus.length,
      inTurns: this.vcpus.length > 1 && order === "weak",
      spawn: () => glue.spawn(),
      yieldTo: glue.yieldTo,
    })) as unknown as Driver<T>;
  }

  /** vm_destroy. Calls of `run` that have not come back reject with ENXIO. A second time: ENXIO. */
  async destroy(): Promise<void> {
    this.alive();
    this.#destroyed = true;
    await this.#driver.destroy(this.vcpus);
    for (const client of this.#clients) client.destroy();
    await this.pptdevs.unassignAll();
    this.#glue.cleanup();
    this.#module.leave(this);
  }

  /**
   * vm_reinit: every vCPU as after RESET; memory, handlers and configuration stay.
   *
   * @throws VmError EBUSY: a vCPU runs
   */
  async reinit(): Promise<void> {
    this.alive();
    this.#frozen();
    await this.#driver.abandonAll(this.vcpus);
    this.#how = undefined;
    this.#debug.clear();
    this.#seenSuspend.clear();
    for (const vcpu of this.vcpus) {
      resetVcpu(vcpu.view, vcpu.id, CPU_SIGNATURE);
      vcpu.reset();
    }
    this.#chips?.set.reset();
  }

  /**
   * vm_suspend: every vCPU leaves with SUSPENDED, now or with its next `run`, until reinit.
   *
   * @throws VmError EINVAL: NONE; EALREADY: suspended already, the first reason stays
   */
  suspend(how: VmSuspendHow): void {
    this.alive();
    if (!["RESET", "POWEROFF", "HALT", "TRIPLEFAULT"].includes(how)) throw new VmError("EINVAL", `suspend: ${how}`);
    if (this.#how) {
      if (how === "TRIPLEFAULT") return;
      throw new VmError("EALREADY", `suspended: ${this.#how}`);
    }
    this.#how = how;
    for (const id of this.vcpus.keys()) this.#driver.kick(id);
  }

  /** Why it is suspended; undefined: it is not. */
  get suspended(): VmSuspendHow | undefined {
    return this.#how;
  }

  /**
   * The whole state as a file (src/snapshot/container.ts): classes of data, segments, memory; not handlers, nor devices that
   * are passed through. Calls of `run` go on; the guest stands still while its memory is copied, and runs while that is
   * compressed.
   *
   * @param progress gets the share of memory that is compressed
   * @throws VmError EBUSY: an exit waits for its answer (inline, a `run` with `instructions: 0n` answers it and executes
   * nothing more), or a device is passed through
   */
  async save(progress?: (share: number) => void): Promise<Uint8Array> {
    this.alive();
    const busy = (what: string): never => {
      throw new VmError("EBUSY", what);
    };
    if (this.pptdevs.assigned.length) busy("a device is passed through");
    const copy = new PageCopy(this.memory);
    const state = await this.#standing(() => {
      for (const vcpu of this.vcpus) if (vcpu.waiting) busy(`vCPU ${vcpu.id} waits for the answer to its exit`);
      const { topology } = this;
      const saved = exportVm(this.#parts, { topology, active: [...this.#active], debug: [...this.#debug] });
      copy.take(this.memory);
      return saved;
    });
    return pack(state, await packMemory(copy, progress));
  }

  /**
   * Puts a file of `save` into this vm, which must have been made with as many vCPUs and as much memory, the same CPU and
   * chips or none. What was suspended is not any more; exits that wait are forgotten.
   *
   * @throws SnapshotError: not such a file; VmError EBUSY: a vCPU is in `run`, memory is held. The vm is as it was before
   */
  async restore(file: Uint8Array): Promise<void> {
    this.alive();
    if (!(file instanceof Uint8Array)) throw new VmError("EINVAL", "a snapshot is bytes");
    const snapshot = await unpack(file);
    this.#frozen();
    if (this.pptdevs.assigned.length) throw new VmError("EBUSY", "a device is passed through");
    await this.#standing(() =>
      importVm(this.#parts, snapshot, {
        abandon: () => this.#driver.abandonAll(this.vcpus),
        commit: ({ topology, active, debug }) => {
          this.#how = undefined;
          this.#seenSuspend.clear();
          this.#active.clear();
          this.#debug.clear();
          for (const id of active) this.#active.add(id);
          for (const id of debug) this.#debug.add(id);
          this.#topology = topology;
          this.memory.setTopology(topology.cores, topology.threads);
        },
      }),
    );
  }

  /** vmm_data_read: the state of one chip or vCPU (data.ts). @throws VmError EINVAL, EOPNOTSUPP, EBUSY: a vCPU runs */
  dataRead(req: VmmDataReq): VmmData {
    this.#stopped();
    return readData(this.#parts, req);
  }

  /** vmm_data_write. @throws VmError as dataRead; SnapshotError: the data cannot be its; nothing has changed */
  dataWrite(req: VmmDataReq, data: unknown): void {
    this.#stopped();
    writeData(this.#parts, req, data);
  }

  /** With no vCPU executing. */
  async #standing<R>(work: () => R | Promise<R>): Promise<R> {
    const ids = [...this.vcpus.keys()];
    await this.#driver.hold(ids, "PAUSE");
    try {
      this.alive();
      this.#drain();
      return await work();
    } finally {
      this.#driver.release(ids, "PAUSE");
    }
  }

  get #parts(): SavedVm {
    return {
      memory: this.memory,
      core: this.core,
      vcpus: this.vcpus as readonly Vcpu[],
      chipset: this.chipset,
      segments: this.segments,
      now: () => this.now(),
      setNow: (now) => {
        const host = this.#pausedAt ?? this.hostNow();
        // Half a nanosecond more, so that rounding gives this one again.
        this.memory.control.set(CONTROL.timeBase, host - (Number(now) + 0.5) / 1e6);
      },
    };
  }

  /**
   * vm_pause_instance. When it resolves, no vCPU executes guest code and guest time stands still, until resume. Calls of
   * `run` do not come back meanwhile, unless an exit was already on its way (threaded); inline, `run` throws EBUSY.
   *
   * @throws VmError EALREADY
   */
  async pauseInstance(): Promise<void> {
    this.alive();
    if (this.#pausedAt !== undefined) throw new VmError("EALREADY", "paused");
    this.#pausedAt = this.hostNow();
    await this.#driver.hold([...this.vcpus.keys()], "PAUSE");
    this.alive();
    this.#pausedAt = this.hostNow();
  }

  /** vm_resume_instance. Guest time goes on from where it stood. @throws VmError EALREADY: not paused */
  resumeInstance(): void {
    this.alive();
    if (this.#pausedAt === undefined) throw new VmError("EALREADY", "not paused");
    const { control } = this.memory;
    control.set(CONTROL.timeBase, control.get(CONTROL.timeBase) + this.hostNow() - this.#pausedAt);
    this.#pausedAt = undefined;
    this.#driver.release([...this.vcpus.keys()], "PAUSE");
  }

  /** vm_is_paused. */
  get isPaused(): boolean {
    return this.#pausedAt !== undefined;
  }

  /** Guest nanoseconds since creation, pauses not counted. */
  now(): bigint {
    const host = this.#pausedAt ?? this.hostNow();
    return BigInt(Math.max(0, Math.floor((host - this.memory.control.get(CONTROL.timeBase)) * 1e6)));
  }

  /** vm_normalize_hrtime, vm_denormalize_hrtime: host milliseconds to guest nanoseconds and back. */
  normalizeHrtime(hostMs: number): number {
    return (hostMs - this.memory.control.get(CONTROL.timeBase)) * 1e6;
  }
  denormalizeHrtime(guestNs: number): number {
    return guestNs / 1e6 + this.memory.control.get(CONTROL.timeBase);
  }

  /** The chips. @throws VmError EOPNOTSUPP: made without */
  get chips(): VmChips {
    return needed(this.#chips);
  }

  /** @internal */
  get chipset(): Chipset | undefined {
    return this.#chips?.set;
  }

  /** vm_get_vmclient: what vCPU `id` holds of guest memory for emulation; released when the vm is destroyed. */
  vmclient(id: number): VmClient {
    this.#checkId(id);
    return this.#clients[id];
  }

  /** vmm_kstats. */
  kstats(): VmmKstats {
    return {
      module: "vmm",
      instance: this.#instance,
      class: VMM_KSTAT_CLASS,
      name: this.name,
      vcpus: this.vcpus.map((vcpu) => vcpuKstats(vcpu.stats(), vcpu.view)),
    };
  }

  /** vm_get_topology. Without setTopology: one socket, a core for each vCPU. */
  get topology(): VmTopology {
    return this.#topology;
  }

  /**
   * vm_set_topology: what CPUID's leaves 1, 4, 0Bh and 1Fh tell the guest (SDM vol. 3, 10.9). APIC ids are vCPU numbers, and are
   * taken apart by bits.
   *
   * | | outcome |
   * |---|---|
   * | sockets · cores · threads is not the number of vCPUs; maxcpus neither 0 nor that | EINVAL |
   * | threads no power of two with several cores; threads · cores neither with several sockets | EINVAL |
   * | a vCPU runs | EBUSY |
   */
  setTopology(sockets: number, cores: number, threads: number, maxcpus = 0): void {
    const count = this.vcpus.length;
    checkTopology({ sockets, cores, threads, maxcpus: maxcpus || count }, count);
    this.#frozen();
    this.#topology = { sockets, cores, threads, maxcpus: count };
    this.memory.setTopology(cores, threads);
  }

  /** vm_get_maxcpus. */
  get maxcpus(): number {
    return this.vcpus.length;
  }

  /** vm_activate_cpu: it may run. vCPU 0 is active from the start. @throws VmError EINVAL, EBUSY: it is active */
  activateCpu(id: number): void {
    this.#checkId(id);
    if (this.#active.has(id)) throw new VmError("EBUSY", `vCPU ${id} is active`);
    this.#active.add(id);
  }

  /** vm_active_cpus. */
  get activeCpus(): ReadonlySet<number> {
    return new Set(this.#active);
  }

  /** vm_suspended_cpus: those that have left with SUSPENDED. */
  get suspendedCpus(): ReadonlySet<number> {
    return new Set(this.#seenSuspend);
  }

  /** vm_suspend_cpu: it leaves with DEBUG, now or with its next `run`; undefined: all of them. */
  suspendCpu(id?: number): void {
    for (const one of this.#ids(id)) {
      this.#debug.add(one);
      this.#driver.kick(one);
    }
  }

  /** vm_resume_cpu. @throws VmError EINVAL: it was not suspended */
  resumeCpu(id?: number): void {
    for (const one of this.#ids(id)) {
      if (!this.#debug.delete(one) && id !== undefined) throw new VmError("EINVAL", `vCPU ${id} is not suspended`);
    }
  }

  /** vm_debug_cpus. */
  get debugCpus(): ReadonlySet<number> {
    return new Set(this.#debug);
  }

  /**
   * vcpu_block_run: resolves when the vCPU executes nothing; it does not until unblockRun. Counts. Inline, `run` comes back
   * with REQIDLE meanwhile; threaded, it comes back later.
   */
  async blockRun(id: number): Promise<void> {
    this.#checkId(id);
    this.#blocked.set(id, (this.#blocked.get(id) ?? 0) + 1);
    await this.#driver.hold([id], "REQIDLE");
    this.alive();
  }

  /** vcpu_unblock_run. @throws VmError EINVAL: it is not blocked */
  unblockRun(id: number): void {
    this.#checkId(id);
    const times = this.#blocked.get(id) ?? 0;
    if (times === 0) throw new VmError("EINVAL", `vCPU ${id} is not blocked`);
    this.#blocked.set(id, times - 1);
    this.#driver.release([id], "REQIDLE");
  }

  /**
   * vm_smp_rendezvous: with all of `dest` standing still, calls `work` for each. The guest sees nothing of it. A vCPU whose
   * `run` is under way goes on with it; inline, or with `exit`, it comes back from it with RENDEZVOUS.
   *
   * @param dest ids; all must be active
   * @throws VmError EINVAL; EBUSY: another rendezvous is under way for one of them
   */
  async smpRendezvous(
    dest: Iterable<number>,
    work: (vm: Vm<T>, id: number) => void,
    options: { readonly exit?: boolean } = {},
  ): Promise<void> {
    this.alive();
    const ids = [...new Set(dest)];
    for (const id of ids) {
      if (!this.#active.has(id)) throw new VmError("EINVAL", `vCPU ${id} is not active`);
      if (this.#rendezvous.has(id)) throw new VmError("EBUSY", `vCPU ${id} is in a rendezvous`);
    }
    for (const id of ids) this.#rendezvous.add(id);
    try {
      await this.#driver.hold(ids, "RENDEZVOUS");
      this.alive();
      for (const id of ids) {
        work(this, id);
        this.#rendezvous.delete(id);
      }
    } finally {
      for (const id of ids) this.#rendezvous.delete(id);
      this.#driver.release(ids, "RENDEZVOUS", options.exit ? { exitcode: "RENDEZVOUS" } : undefined);
    }
  }

  /** vm_apicid2vcpuid. @throws VmError EINVAL: nobody has it */
  apicid2vcpuid(apicid: number): number {
    this.#checkId(apicid);
    return apicid;
  }

  /**
   * vm_gla2gpa of the fault-free kind: the physical address that a linear one means for vCPU `id` now, without setting
   * accessed or dirty bits; undefined: it is not mapped.
   */
  gla2gpaNofault(id: number, gla: bigint): number | undefined {
    this.#checkId(id);
    return translate(this.core, this.#views[id], gla);
  }

  /** vm_ioport_access, as if vCPU code had done it. undefined: nobody answers. */
  ioportAccess(isIn: boolean, port: number, bytes: Width, value = 0): number | undefined {
    return this.ports.access(isIn, port, bytes, value);
  }

  // VmContext

  /** @internal */
  get threaded(): boolean {
    return this.transport === "threaded";
  }

  /** @internal */
  drive(vcpu: Vcpu<T>, entry: VmEntry, options: RunOptions): Running<T> {
    const refuse = (error: VmError): Running<T> => {
      if (!this.threaded) throw error;
      return Promise.reject(error) as Running<T>;
    };
    if (this.#destroyed) return refuse(new VmError("ENXIO", "the virtual machine is destroyed"));
    if (!this.#active.has(vcpu.id)) return refuse(new VmError("EINVAL", `vCPU ${vcpu.id} is not active`));
    return this.#driver.run(vcpu, entry, options);
  }

  /** @internal */
  mustLeave(id: number): VmExit | undefined {
    const at = { rip: this.#views[id].get64(VCPU.rip), instLength: 0 };
    if (this.#how) {
      this.#seenSuspend.add(id);
      return { ...at, exitcode: "SUSPENDED", suspended: { how: this.#how } };
    }
    return this.#debug.has(id) ? { ...at, exitcode: "DEBUG" } : undefined;
  }

  /** @internal */
  kick(id: number): void {
    this.#driver.kick(id);
  }

  /** @internal VmmModule.resume: host time that has not been, for the guest. */
  hostSlept(ms: number): void {
    if (this.isPaused) return;
    const { control } = this.memory;
    control.set(CONTROL.timeBase, control.get(CONTROL.timeBase) + ms);
  }

  /** @internal */
  shouldYield(id: number): boolean {
    return this.#driver.shouldYield(id);
  }

  /** @internal */
  rendezvousPending(id: number): boolean {
    return this.#rendezvous.has(id);
  }

  /** @internal */
  alive(): void {
    if (this.#destroyed) throw new VmError("ENXIO", "the virtual machine is destroyed");
  }

  // Inside

  #checkId(id: number): void {
    this.alive();
    if (!this.vcpus[id]) throw new VmError("EINVAL", `no vCPU ${id}`);
  }

  #ids(id: number | undefined): readonly number[] {
    if (id === undefined) return [...this.#active];
    this.#checkId(id);
    if (!this.#active.has(id)) throw new VmError("EINVAL", `vCPU ${id} is not active`);
    return [id];
  }

  /** Refuses unless no vCPU runs. */
  #stopped(): void {
    this.alive();
    for (const vcpu of this.vcpus) {
      if (vcpu.isRunning && !this.isPaused) throw new VmError("EBUSY", `vCPU ${vcpu.id} is running`);
    }
  }

  /** The same; then each will drop its translations before it goes on. */
  #frozen(): void {
    this.#stopped();
    for (const view of this.#views) this.core.refresh(view.base);
  }

  #drain(): boolean {
    return drainRing(this.memory.control, (kind, vcpu, low, high) => {
      if (kind === RING_EOI) this.#eoi(vcpu, low);
      else if (kind === RING_PORT) this.ports.access(false, high, 1, low);
    });
  }

  /** EOI of a level-triggered vector: the IOAPIC's, or the caller's of `run`. */
  #eoi(id: number, vector: number): void {
    if (this.#chips) this.#chips.set.apicBus.eoi(vector);
    else this.vcpus[id]?.notices.push({ exitcode: "IOAPIC_EOI", ioapicEoi: { vector } });
  }

  /** INIT for a vCPU. One that is not active runs nothing that could be interrupted. */
  #onInit(id: number): void {
    if (this.#active.has(id)) postInit(this.#views[id]);
    else {
      initVcpu(this.#views[id], CPU_SIGNATURE);
      this.#chips?.set.apics[id].initReset();
    }
  }

  /** A start-up IPI: whoever runs the sender hears of one for a vCPU that is not active. */
  #onStartup(id: number, vector: number): void {
    if (this.#active.has(id) || this.#serving === undefined) postSipi(this.#views[id], vector);
    else {
      this.vcpus[this.#serving].notices.push({
        exitcode: "SPINUP_AP",
        spinupAp: { vcpu: id, rip: BigInt(vector) << 12n },
      });
    }
  }

  /** Answers an exit by what is attached; false: nobody does. */
  #serve(id: number): boolean {
    this.#serving = id;
    try {
      return this.#chips?.set.serve(this.#views[id], id) || this.#attached(id);
    } finally {
      this.#serving = undefined;
    }
  }

  #attached(id: number): boolean {
    const view = this.#views[id];
    const code = view.get(VCPU.exitCode);
    if (code === EXIT.INIT) {
      initVcpu(view, CPU_SIGNATURE);
      finishInit(view);
      return true;
    }
    if (code !== EXIT.INOUT && code !== EXIT.INST_EMUL) return false;
    const where = Number(view.get64(VCPU.exitA));
    const write = exitWrites(view);
    const bytes = exitSize(view) as Width | 8;
    const value = write ? view.get64(VCPU.exitData) : 0n;
    if (code === EXIT.INOUT) {
      const answer = this.ports.access(!write, where, bytes as Width, Number(value & 0xffff_ffffn));
      if (answer !== undefined && !write) view.set64(VCPU.exitData, BigInt(answer));
      return answer !== undefined;
    }
    if (this.memory.hostAddress(where) >= 0) return false;
    if (write) return this.mmio.write(where, bytes, value);
    const answer = this.mmio.read(where, bytes);
    if (answer !== undefined) view.set64(VCPU.exitData, answer);
    return answer !== undefined;
  }
}
