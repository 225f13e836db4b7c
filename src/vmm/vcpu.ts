/**
 * A virtual CPU: its registers, its events, and `run`. It stands between two instructions whenever `run` has come back,
 * but for an exit that waits for its answer: then the instruction named by the exit is not done.
 */

import { ATTENTION, CONTROL, RUN_STATE, VCPU } from "../shared/layout.ts";
import { clearStop } from "../vcpu/attention.ts";
import { postInit, postSipi } from "../vcpu/startup.ts";
import type { StructView } from "../vcpu/view.ts";
import { getCapability, setCapability, type VmCap } from "./capability.ts";
import { type Chipset, needed } from "./chipset.ts";
import {
  type CpuidCapability,
  type CpuidConfig,
  type CpuidEntry,
  type CpuidRegisters,
  cpuidCapability,
  cpuidInit,
  emulateCpuid,
  getCpuid,
  setCpuid,
} from "./cpuid.ts";
import { cpl } from "./cpuMode.ts";
import { VmError } from "./error.ts";
import { type EventInjectState, VcpuEvents } from "./events.ts";
import type { VmEntry, VmExit, VmMsrResult } from "./exit.ts";
import { getFpu, setFpu } from "./fpu.ts";
import { copySetup, copyTeardown, gla2gpa, type Translation, type VmCopyinfo } from "./guestCopy.ts";
import { IDT } from "./intinfo.ts";
import { PROT } from "./memseg.ts";
import { getMsr, type MsrValue, setMsr } from "./msr.ts";
import { getRegister, setRegister, VM_REG_GUEST, type VmReg } from "./registers.ts";
import { getSegDesc, type SegDesc, setSegDesc } from "./segment.ts";
import type { Running, RunOptions, Transport, VmContext } from "./types.ts";
import { VcpuExits } from "./vcpuExits.ts";
import {
  runStateOf,
  runStatePending,
  type VcpuRunState,
  type VcpuState,
  VcpuStateMachine,
  type VcpuUstate,
  type VmRunState,
  VRS,
} from "./vcpuState.ts";
import type { Vie } from "./vie.ts";
import { getX2apicState, setX2apicState, type X2apicState } from "./x2apic.ts";

const DEFAULT: VmEntry = { cmd: "default" };

/** What has become of an instruction into which an exception is injected. */
export interface InjectOptions {
  /** True (a fault): it has not happened, RIP names it. False (a trap): RIP is behind it, whatever it has done. */
  readonly restartInstruction?: boolean;
}

/** Counters of a vCPU (the seeds' vcpu_stats and vmm_vcpu_kstats_t). */
export interface VcpuStats {
  readonly vcpu: number;
  readonly instructions: bigint;
  /** Exits that reached the caller, by code. */
  readonly exits: Readonly<Record<string, number>>;
  /** Host milliseconds by ustate. */
  readonly time: Readonly<Record<VcpuUstate, number>>;
}

/** A virtual CPU. */
export class Vcpu<T extends Transport = Transport> {
  readonly id: number;
  /** @internal The vCPU's page. */
  readonly view: StructView;
  /** @internal */
  readonly states: VcpuStateMachine;
  readonly #vm: VmContext<T>;
  /** @internal */
  readonly events: VcpuEvents;
  /** @internal */
  readonly exits: VcpuExits;

  /** @internal */
  constructor(vm: VmContext<T>, id: number, view: StructView) {
    this.#vm = vm;
    this.id = id;
    this.view = view;
    this.events = new VcpuEvents(view);
    this.states = new VcpuStateMachine(vm.hostNow);
    this.exits = new VcpuExits(vm, id, view, this.events, this.states);
  }

  /**
   * vm_run: answers the exit before and executes guest code until the next one. A promise when threaded.
   *
   * | | outcome |
   * |---|---|
   * | an exit that nobody attached to the vm handles | that exit |
   * | the virtual machine is suspended | SUSPENDED, every time until reinit |
   * | the state cannot be | VMX with EXIT_REASON_INVALID_GUEST_STATE |
   * | `instructions` are used up, or kicked | BOGUS |
   * | already running, or claimed with setState | VmError EBUSY, thrown (threaded: rejected) |
   * | `entry` does not answer the exit before | VmError EINVAL |
   * | destroyed; not activated | VmError ENXIO; EINVAL |
   *
   * @param entry how the exit before is completed; default: nothing was asked for
   */
  run(entry: VmEntry = DEFAULT, options: RunOptions = {}): Running<T> {
    return this.#vm.drive(this, entry, options);
  }

  /** vm_get_register. @throws VmError EINVAL, EBUSY while it runs */
  getRegister(reg: VmReg): bigint {
    this.#still();
    return getRegister(this.#vm.core, this.view, reg);
  }

  /** vm_set_register. Writing RIP lets go of an instruction that waits for its answer, and ends a halt. */
  setRegister(reg: VmReg, value: bigint): void {
    this.#still();
    setRegister(this.#vm.core, this.view, reg, value);
    if (reg === VM_REG_GUEST.RIP) {
      this.exits.letGo();
      if (this.view.get(VCPU.runState) === RUN_STATE.HALTED) this.view.set(VCPU.runState, RUN_STATE.RUNNING);
    }
    this.exits.changed();
  }

  /** vm_get_seg_desc. @throws VmError EINVAL, EBUSY */
  getSegDesc(reg: VmReg): SegDesc {
    this.#still();
    return getSegDesc(this.view, reg);
  }

  /** vm_set_seg_desc. */
  setSegDesc(reg: VmReg, desc: Readonly<SegDesc>): void {
    this.#still();
    setSegDesc(this.view, reg, desc);
    this.exits.changed();
  }

  /** vm_get_fpu: an XSAVE image (fpu.ts). */
  getFpu(): Uint8Array {
    this.#still();
    return getFpu(this.view);
  }

  /** vm_set_fpu. @throws VmError EINVAL for an image that cannot be */
  setFpu(image: Uint8Array): void {
    this.#still();
    setFpu(this.view, image);
  }

  /** An MSR's value as RDMSR would read it at CPL 0. */
  getMsr(msr: number): MsrValue {
    this.#still();
    const r = getMsr(this.#vm.core, this.view, msr);
    return r.result === "UNHANDLED" ? (this.#vm.chipset?.readMsr(this.id, msr) ?? r) : r;
  }

  /** Writes an MSR as WRMSR would at CPL 0. */
  setMsr(msr: number, value: bigint): VmMsrResult {
    this.#still();
    this.exits.changed();
    const r = setMsr(this.#vm.core, this.view, msr, value);
    return r === "UNHANDLED" ? (this.#vm.chipset?.writeMsr(this.id, msr, value) ?? r) : r;
  }

  /** vm_get_run_state. HLT counts as RUN: it ends by itself. */
  getRunState(): VmRunState {
    this.#still();
    return runStateOf(this.view);
  }

  /** vcpu_run_state_pending: an INIT or a start-up IPI has come that it has not taken. May be asked while it runs. */
  get runStatePending(): boolean {
    return runStatePending(this.view);
  }

  /**
   * vm_set_run_state.
   *
   * | state | the vCPU |
   * |---|---|
   * | HALT | stands still until another state is set |
   * | INIT | waits for a start-up IPI |
   * | RUN | executes; with a vector, from vector << 12 in real mode, as after that IPI |
   */
  setRunState(state: VcpuRunState, sipiVector?: number): void {
    this.#still();
    if (sipiVector !== undefined && !(Number.isInteger(sipiVector) && sipiVector >= 0 && sipiVector <= 0xff)) {
      throw new VmError("EINVAL", `no start-up vector ${sipiVector}`);
    }
    if (state === VRS.HALT) this.view.set(VCPU.runState, RUN_STATE.SHUTDOWN);
    else if (state === VRS.INIT) this.view.set(VCPU.runState, RUN_STATE.WAIT_FOR_SIPI);
    else if (state === VRS.RUN) {
      this.view.set(VCPU.runState, RUN_STATE.RUNNING);
      if (sipiVector !== undefined) {
        this.setRegister(VM_REG_GUEST.CS, BigInt(sipiVector) << 8n);
        this.setSegDesc(VM_REG_GUEST.CS, { base: BigInt(sipiVector) << 12n, limit: 0xffff, access: 0x9b });
        this.setRegister(VM_REG_GUEST.RIP, 0n);
      }
    } else throw new VmError("EINVAL", `no run state ${String(state)}`);
  }

  /** vm_get_capability. */
  getCapability(cap: VmCap): boolean {
    return getCapability(this.view, cap);
  }

  /** vm_set_capability; effects: the table in capability.ts. */
  setCapability(cap: VmCap, on: boolean): void {
    this.#still();
    setCapability(this.view, cap, on);
  }

  /** vm_get_x2apic_state (x2apic.ts). @throws VmError EOPNOTSUPP: the vm has no chips */
  getX2apicState(): X2apicState {
    this.#chipset();
    return getX2apicState(this.view);
  }
  /** vm_set_x2apic_state. @throws VmError EOPNOTSUPP, EINVAL, EBUSY */
  setX2apicState(state: X2apicState): void {
    this.#still();
    setX2apicState(this.#chipset(), this.view, this.id, state);
    this.exits.changed();
  }

  /** vm_get_cpuid. */
  getCpuid(): CpuidConfig {
    return getCpuid(this.view);
  }

  /** vm_set_cpuid. */
  setCpuid(config: CpuidConfig): void {
    this.#still();
    setCpuid(this.view, config);
  }

  /** vcpu_emulate_cpuid: what CPUID answers now. */
  emulateCpuid(func: number, index = 0): CpuidRegisters {
    this.#still();
    return emulateCpuid(this.#vm.core, this.view, func, index);
  }

  /** vcpu_cpuid_init: the CPU model's answers as entries, to change and to set. */
  cpuidInit(): { readonly entries: CpuidEntry[] } {
    this.#still();
    return cpuidInit(this.#vm.core, this.view);
  }

  /** vcpu_cpuid_cleanup: the entries go, the CPU model answers. */
  cpuidCleanup(): void {
    this.setCpuid({ legacy: true });
  }

  /** vm_cpuid_capability. */
  cpuidCapability(cap: CpuidCapability): boolean {
    this.#still();
    return cpuidCapability(this.#vm.core, this.view, cap);
  }

  /**
   * vm_inject_exception: the exception is delivered before the next instruction. If an instruction waits for its answer,
   * that is its end; the next entry is `default`.
   *
   * @throws VmError EINVAL, EBUSY: the table at VcpuEvents.inject
   */
  injectException(vector: number, errcode?: number, options: InjectOptions = {}): void {
    this.#still();
    this.events.inject(vector, errcode);
    this.exits.endWith(options.restartInstruction ?? true);
  }

  /** #UD. */
  injectUd(): void {
    this.injectException(IDT.UD);
  }
  /** #GP(0). */
  injectGp(): void {
    this.injectException(IDT.GP, 0);
  }
  /** #AC. */
  injectAc(errcode: number): void {
    this.injectException(IDT.AC, errcode);
  }
  /** #SS. */
  injectSs(errcode: number): void {
    this.injectException(IDT.SS, errcode);
  }
  /** #PF: CR2 gets `cr2` at once, as the seeds do it. */
  injectPf(errcode: number, cr2: bigint): void {
    if (typeof cr2 !== "bigint" || BigInt.asUintN(64, cr2) !== cr2) throw new VmError("EINVAL", "CR2 has 64 bits");
    this.injectException(IDT.PF, errcode);
    this.setRegister(VM_REG_GUEST.CR2, cr2);
  }

  /**
   * vm_inject_init: the vCPU is reset (registers, not memory) and waits for a start-up IPI; whatever it does, when it runs
   * or next runs.
   */
  injectInit(): void {
    postInit(this.view);
  }

  /** vm_inject_sipi: a vCPU that waits for it starts in real mode at vector << 12; else nothing. */
  injectSipi(vector: number): void {
    if (!(Number.isInteger(vector) && vector >= 0 && vector <= 0xff)) {
      throw new VmError("EINVAL", `no start-up vector ${vector}`);
    }
    postSipi(this.view, vector);
  }

  /** vm_inject_nmi. May be called while the vCPU runs. */
  injectNmi(): void {
    this.events.injectNmi();
  }
  /** vm_nmi_pending. */
  get nmiPending(): boolean {
    return this.events.nmiPending;
  }
  /** vm_nmi_clear. */
  clearNmi(): void {
    this.events.clearNmi();
  }

  /** vm_inject_extint: as an 8259 does. The guest takes it with an INTA exit, if no 8259 here answers that. */
  injectExtint(): void {
    this.events.injectExtint();
  }
  /** vm_extint_pending. */
  get extintPending(): boolean {
    return this.events.extintPending;
  }
  /** vm_extint_clear. */
  clearExtint(): void {
    this.events.clearExtint();
  }

  /** vm_exit_intinfo: an event whose delivery was interrupted, to be delivered (again) at the next entry. */
  exitIntinfo(info: bigint): void {
    this.#still();
    this.events.exitIntinfo(info);
  }

  /** vm_get_intinfo: interrupted event and pending exception; 0 = none. */
  getIntinfo(): { readonly exit: bigint; readonly exception: bigint } {
    return this.events.intinfo;
  }

  /** vm_entry_intinfo: takes what the next entry would inject; `run` calls it itself. A triple fault suspends the vm. */
  entryIntinfo(): bigint | undefined {
    this.#still();
    const event = this.events.takeEntryIntinfo();
    if (!event) return undefined;
    if ("inject" in event) return event.inject;
    this.#vm.suspend("TRIPLEFAULT");
    return undefined;
  }

  /** Whether an interrupt could be injected now (`enum event_inject_state`). */
  get eventInjectState(): EventInjectState {
    return this.events.injectState();
  }

  /**
   * vm_gla2gpa: the physical address of a linear one in the present mode, with accessed and dirty bits as the access sets
   * them; or the page fault it would meet.
   *
   * @param prot PROT.READ (default), PROT.WRITE, PROT.EXEC
   * @param level privilege level of the access; default: the vCPU's
   */
  gla2gpa(gla: bigint, prot: number = PROT.READ, level = cpl(this.view)): Translation {
    this.#still();
    this.exits.settle();
    return gla2gpa(this.#vm.core, this.view, gla, prot, level);
  }

  /**
   * vm_copy_setup: for copyin (PROT.READ) or copyout (PROT.WRITE). undefined: an exception was injected into the guest, #PF
   * as its own access would have met; with `copyTeardown` the memory is let go of. The table at copySetup has the rest.
   */
  copySetup(gla: bigint, len: number, prot: number, level = cpl(this.view)): VmCopyinfo[] | undefined {
    this.#still();
    this.exits.settle();
    const r = copySetup(this.#vm.core, this.view, this.#vm.segments, gla, len, prot, level);
    if ("copyinfo" in r) return r.copyinfo;
    this.injectPf(r.fault.errcode, r.fault.cr2);
    return undefined;
  }

  /** vm_copy_teardown. */
  copyTeardown(copyinfo: readonly VmCopyinfo[]): void {
    copyTeardown(this.#vm.segments, copyinfo);
  }

  /** vm_exitinfo: the exit that `run` has come back with and that is not answered. */
  get exitinfo(): VmExit | undefined {
    return this.exits.exit;
  }

  /** vm_vie_ctx: the decoded instruction of an INST_EMUL exit. */
  get vieCtx(): Vie | undefined {
    return this.exits.vie;
  }

  /** vcpu_get_state. */
  get state(): VcpuState {
    // A worker sleeps in HLT by itself.
    const s = this.states.state;
    return s === "RUNNING" && this.view.get(VCPU.runState) === 1 && this.#vm.threaded ? "SLEEPING" : s;
  }

  /** vcpu_set_state, to claim a vCPU: FROZEN from IDLE and back. `run` needs IDLE. @throws VmError EBUSY */
  setState(state: VcpuState, fromIdle = false): void {
    if (state === "RUNNING" || state === "SLEEPING") throw new VmError("EINVAL", `only run makes a vCPU ${state}`);
    this.states.set(state, fromIdle);
  }

  /** vcpu_is_running. */
  get isRunning(): boolean {
    return this.states.state === "RUNNING";
  }

  /**
   * vcpu_notify_event_type, from anywhere.
   *
   * | type | a running vCPU |
   * |---|---|
   * | NONE | sees nothing |
   * | APIC | looks for interrupts, halted or not |
   * | EXIT | leaves `run` with BOGUS |
   */
  notify(type: "NONE" | "APIC" | "EXIT" = "EXIT"): void {
    if (type === "APIC") {
      this.view.or(VCPU.attention, ATTENTION.POSTED);
      this.view.notify(VCPU.attention);
    } else if (type === "EXIT" && this.isRunning) this.#vm.kick(this.id);
  }

  /** vcpu_should_yield: a handler that takes long may ask whether `run` is to come back as soon as it can. */
  get shouldYield(): boolean {
    return this.#vm.shouldYield(this.id);
  }

  /** vcpu_rendezvous_pending: smpRendezvous waits for this vCPU, or works on it. */
  get rendezvousPending(): boolean {
    return this.#vm.rendezvousPending(this.id);
  }

  /** vcpu_trace_exceptions, vcpu_trap_wbinvd: whether these leave `run` (capability.ts). */
  get traceExceptions(): boolean {
    return this.getCapability("TRACE_EXCEPTIONS");
  }
  get trapWbinvd(): boolean {
    return this.getCapability("TRAP_WBINVD");
  }

  /**
   * vcpu_tsc_offset: what is added to the machine's TSC for this vCPU, IA32_TSC_ADJUST not counted.
   *
   * @param physAdj to the host's clock instead (hostNow in nanoseconds, of which the TSC has one a tick): with it the
   * guest's TSC is the host's clock plus this
   */
  tscOffset(physAdj = false): bigint {
    const { view } = this;
    const offset = BigInt.asIntN(64, view.get64(VCPU.tscOffset));
    return physAdj ? offset - BigInt(Math.round(this.#vm.memory.control.get(CONTROL.timeBase) * 1e6)) : offset;
  }

  /** Sets the offset. @throws VmError EINVAL: not 64 bits, signed; EBUSY */
  setTscOffset(offset: bigint): void {
    this.#still();
    if (typeof offset !== "bigint" || BigInt.asIntN(64, offset) !== offset) {
      throw new VmError("EINVAL", `${String(offset)} is not a signed value of 64 bits`);
    }
    this.view.set64(VCPU.tscOffset, offset);
  }

  /** vcpu_stats, vmm_kstat_update_vcpu. */
  stats(): VcpuStats {
    return {
      vcpu: this.id,
      instructions: this.view.get64(VCPU.icount),
      exits: this.exits.counts,
      time: this.states.times(),
    };
  }

  /** @internal Back to the state after RESET, whose registers the vm has written. */
  reset(): void {
    this.exits.forget();
    this.events.reset();
    clearStop(this.view);
  }

  #chipset(): Chipset {
    return needed(this.#vm.chipset);
  }

  #still(): void {
    this.#vm.alive();
    if (this.states.state === "RUNNING") throw new VmError("EBUSY", `vCPU ${this.id} is running`);
  }
}
