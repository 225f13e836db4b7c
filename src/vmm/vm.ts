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
import { CONTROL, VCPU } from "../shared/layout.ts";
import { pack, unpack } from "../snapshot/container.ts";
import { PageCopy, packMemory } from "../snapshot/ram.ts";
import { exportVm, importVm, type SavedVm } from "../snapshot/vm.ts";
import { type CoreExports, instantiateCore } from "../vcpu/core.ts";
import { postDrop } from "../vcpu/drop.ts";
import { hostOrder } from "../vcpu/hostOrder.ts";
import { type StructView, vcpuView } from "../vcpu/view.ts";
import { type Chipset, needed } from "./chipset.ts";
import { GuestClock } from "./clock.ts";
import { CpuSets } from "./cpuSets.ts";
import { readData, type VmmData, type VmmDataReq, writeData } from "./data.ts";
import { VmError } from "./error.ts";
import type { VmEntry, VmExit, VmSuspendHow } from "./exit.ts";
import { translate } from "./exitRecord.ts";
import { ExitServer } from "./exitServer.ts";
import { HostGlue } from "./glue.ts";
import type { DriverServices } from "./inlineDriver.ts";
import { IoPorts, MmioRegions } from "./io.ts";
import { VMM_KSTAT_CLASS, type VmmKstats, vcpuKstats } from "./kstats.ts";
import { makeDriver } from "./makeDriver.ts";
import { MachineMemory } from "./memory.ts";
import { MemorySegments, PROT_ALL } from "./memseg.ts";
import { type ModuleMember, VmmModule } from "./module.ts";
import { PptDevices } from "./ppt.ts";
import { NEVER } from "./timers.ts";
import { checkTopology, oneSocket, type VmTopology } from "./topology.ts";
import type { Driver, Running, RunOptions, Transport, VmContext } from "./types.ts";
import { Vcpu } from "./vcpu.ts";
import { CPU_SIGNATURE, resetVcpu } from "./vcpuReset.ts";
import { VmChips } from "./vmChips.ts";
import { checkConfig, type VmConfig } from "./vmConfig.ts";
import { type VmClient, Vmspace } from "./vmspace.ts";

const TSC_HZ = 1_000_000_000n;

/** A virtual machine. */
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
  readonly #clock: GuestClock;
  readonly #sets = new CpuSets(() => this.#driver);
  readonly #server = new ExitServer(this, this.#sets.active);
  readonly #chips: VmChips | undefined;
  #topology: VmTopology;
  #how: VmSuspendHow | undefined;
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
    this.#clock = new GuestClock(this.hostNow, memory.control);
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
        onInit: (id: number) => this.#server.onInit(id),
        onStartup: (id: number, vector: number) => this.#server.onStartup(id, vector),
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
    checkConfig(config);
    const { transport } = config;
    const vmm = config.core instanceof VmmModule ? config.core : await VmmModule.load(config.core, transport);
    const module = await vmm.compiled(transport);
    const glue = new HostGlue(config);
    const vm = new Vm<T>(config, vmm, module, glue);
    try {
      const services: DriverServices = {
        serve: (id) => vm.#server.serve(id),
        drain: () => vm.#server.drain(),
        now: () => vm.now(),
        nextDeadline: () => vm.#chips?.timers.next ?? NEVER,
        fireTimers: () => vm.#chips?.timers.fire(),
      };
      vm.#driver = await makeDriver(vm, services, { module, glue, order: config.hostOrder ?? hostOrder() });
    } catch (error) {
      glue.cleanup();
      vmm.leave(vm);
      throw error;
    }
    return vm;
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
    this.#sets.reinit();
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
      for (const vcpu of this.vcpus) if (vcpu.exits.waiting) busy(`vCPU ${vcpu.id} waits for the answer to its exit`);
      const { topology } = this;
      const saved = exportVm(this.#parts, { topology, active: [...this.#sets.active], debug: [...this.#sets.debug] });
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
          this.#sets.replace(active, debug);
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
      this.#server.drain();
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
      setNow: (now) => this.#clock.set(now),
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
    if (this.#clock.stopped) throw new VmError("EALREADY", "paused");
    this.#clock.stop();
    await this.#driver.hold([...this.vcpus.keys()], "PAUSE");
    this.alive();
    this.#clock.stop();
  }

  /** vm_resume_instance. Guest time goes on from where it stood. @throws VmError EALREADY: not paused */
  resumeInstance(): void {
    this.alive();
    if (!this.#clock.stopped) throw new VmError("EALREADY", "not paused");
    this.#clock.go();
    this.#driver.release([...this.vcpus.keys()], "PAUSE");
  }

  /** vm_is_paused. */
  get isPaused(): boolean {
    return this.#clock.stopped;
  }

  /** Guest nanoseconds since creation, pauses not counted. */
  now(): bigint {
    return this.#clock.now();
  }

  /** vm_normalize_hrtime: host milliseconds to guest nanoseconds. */
  normalizeHrtime(hostMs: number): number {
    return this.#clock.guestNs(hostMs);
  }
  /** vm_denormalize_hrtime: guest nanoseconds to host milliseconds. */
  denormalizeHrtime(guestNs: number): number {
    return this.#clock.hostMs(guestNs);
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
    this.#sets.activate(id);
  }

  /** vm_active_cpus. */
  get activeCpus(): ReadonlySet<number> {
    return new Set(this.#sets.active);
  }

  /** vm_suspended_cpus: those that have left with SUSPENDED. */
  get suspendedCpus(): ReadonlySet<number> {
    return new Set(this.#sets.suspended);
  }

  /** vm_suspend_cpu: it leaves with DEBUG, now or with its next `run`; undefined: all of them. */
  suspendCpu(id?: number): void {
    this.#check(id);
    this.#sets.suspend(id);
  }

  /** vm_resume_cpu. @throws VmError EINVAL: it was not suspended */
  resumeCpu(id?: number): void {
    this.#check(id);
    this.#sets.resume(id);
  }

  /** vm_debug_cpus. */
  get debugCpus(): ReadonlySet<number> {
    return new Set(this.#sets.debug);
  }

  /**
   * vcpu_block_run: resolves when the vCPU executes nothing; it does not until unblockRun. Counts. Inline, `run` comes back
   * with REQIDLE meanwhile; threaded, it comes back later.
   */
  async blockRun(id: number): Promise<void> {
    this.#checkId(id);
    await this.#sets.block(id);
    this.alive();
  }

  /** vcpu_unblock_run. @throws VmError EINVAL: it is not blocked */
  unblockRun(id: number): void {
    this.#checkId(id);
    this.#sets.unblock(id);
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
    await this.#sets.meet(
      dest,
      (id) => {
        this.alive();
        work(this, id);
      },
      options.exit ?? false,
    );
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
    if (!this.#sets.active.has(vcpu.id)) return refuse(new VmError("EINVAL", `vCPU ${vcpu.id} is not active`));
    return this.#driver.run(vcpu, entry, options);
  }

  /** @internal */
  mustLeave(id: number): VmExit | undefined {
    const at = { rip: this.#views[id].get64(VCPU.rip), instLength: 0 };
    if (this.#how) {
      this.#sets.suspended.add(id);
      return { ...at, exitcode: "SUSPENDED", suspended: { how: this.#how } };
    }
    return this.#sets.debug.has(id) ? { ...at, exitcode: "DEBUG" } : undefined;
  }

  /** @internal */
  kick(id: number): void {
    this.#driver.kick(id);
  }

  /** @internal VmmModule.resume: host time that has not been, for the guest. */
  hostSlept(ms: number): void {
    if (!this.isPaused) this.#clock.leaveOut(ms);
  }

  /** @internal */
  shouldYield(id: number): boolean {
    return this.#driver.shouldYield(id);
  }

  /** @internal */
  rendezvousPending(id: number): boolean {
    return this.#sets.rendezvous.has(id);
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

  /** The same of one vCPU or all. */
  #check(id: number | undefined): void {
    if (id !== undefined) this.#checkId(id);
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
}
