/**
 * vlapic: the local APIC of one vCPU (SDM vol. 3, chapter 11), in xAPIC and x2APIC mode.
 *
 * It is in two halves. The core (assembly/apic.ts, ipi.ts) does what must not wait: TPR, PPR, EOI, IRR to ISR, IPIs but
 * INIT and start-up, the timer's deadline, and reads of everything but the current count. This half, on the device
 * thread, does every other write, sends and receives messages (apicBus.ts) and keeps the modes. Registers lie in the virtual-APIC page
 * as the guest reads them: in x2APIC mode ID and LDR have 32 bits and ICR 63:32 is at 0x310.
 *
 * Not there: CMCI, thermal and performance-monitoring sources (their LVT entries can be written), SMI, level-triggered
 * LINT pins and their polarity, APR and RRD (not in processors since the Pentium 4), accept errors in ESR, errors for
 * reads of reserved xAPIC registers (the core answers them with 0), changes of the APIC id.
 */

import type { Clock, Device, InterruptPin, IoHandler, Log, Width } from "../shared/device.ts";
import { noLog } from "../shared/device.ts";
import { ATTENTION } from "../shared/layout.ts";
import { APIC_BASE_BSP, APIC_BASE_DEFAULT, APIC_BASE_ENABLE, legalTransition, validApicBase } from "./apicBase.ts";
import { type ApicBus, type ApicMessage, type ApicTarget, names } from "./apicBus.ts";
import type { ApicPage } from "./apicPage.ts";
import * as regs from "./apicRegs.ts";
import { APIC, DELIVERY, DELIVERY_SHIFT, LVT_MASKED, REGISTERS, SVR_ENABLE } from "./apicRegs.ts";
import { VlapicLint } from "./vlapicLint.ts";
import { checkVlapic, type VlapicV1 } from "./vlapicState.ts";
import { VlapicTimer } from "./vlapicTimer.ts";

const X2APIC_MSR_BASE = 0x800;

/** Outcome of RDMSR and WRMSR: done, or #GP(0) with nothing changed. */
export type MsrRead = { readonly ok: bigint } | { readonly gp: true };
export type MsrWrite = { readonly ok: true } | { readonly gp: true };
const OK: MsrWrite = { ok: true };
const GP = { gp: true } as const;

export interface VlapicOptions {
  /** Initial APIC id: 8 bits for xAPIC mode, up to 32 for x2APIC mode. Messages with 255 or all ones are broadcasts. */
  readonly id: number;
  /** Boot processor. */
  readonly bsp: boolean;
  readonly page: ApicPage;
  readonly clock: Clock;
  readonly bus: ApicBus;
  /** INIT has arrived: when the vCPU has stopped for it, reset it and call `initReset` (src/vcpu/startup.ts). */
  readonly onInit: () => void;
  /** A start-up IPI: the vCPU is to start at vector << 12 if it waits for one. */
  readonly onStartup: (vector: number) => void;
  readonly log?: Log;
  /** MAXPHYADDR of CPUID: higher bits in IA32_APIC_BASE are #GP. Default 40. */
  readonly physicalBits?: number;
}

export class Vlapic implements IoHandler, ApicTarget, Device<VlapicV1> {
  readonly name: string;
  readonly id: number;
  /** Wires: the 8259's INTR is on LINT0, NMI on LINT1. */
  readonly lint0: InterruptPin = { set: (asserted) => this.setExtint(asserted) };
  readonly lint1: InterruptPin = { set: (asserted) => this.lint.setLint1(asserted) };
  private readonly options: VlapicOptions;
  private readonly page: ApicPage;
  private readonly bus: ApicBus;
  private readonly timer: VlapicTimer;
  private readonly lint: VlapicLint;
  private readonly log: Log;
  private readonly physicalBits: number;
  /** Errors since the last write of ESR. */
  private errors = 0;

  /** Attaches itself to the bus and brings the page to the power-on state. */
  constructor(options: VlapicOptions) {
    this.name = `vlapic${options.id}`;
    this.id = options.id;
    this.options = options;
    this.page = options.page;
    this.bus = options.bus;
    this.log = options.log ?? noLog;
    this.physicalBits = options.physicalBits ?? 40;
    this.timer = new VlapicTimer(options.page, options.clock);
    this.lint = new VlapicLint(
      options.page,
      (vector) => void this.post(vector, false),
      (message) => this.log(`${this.name}: ${message}`),
    );
    this.bus.attach(this);
    this.reset();
  }

  /** Power-on or RESET (11.4.7.1): xAPIC mode, enabled in IA32_APIC_BASE, disabled by software. */
  reset(): void {
    const bsp = this.options.bsp ? APIC_BASE_BSP : 0n;
    this.page.apicBase = APIC_BASE_DEFAULT | APIC_BASE_ENABLE | bsp;
    this.initReset();
  }

  /** INIT (11.4.7.3): as power-on, but id and mode stay. The vCPU must be stopped. */
  initReset(): void {
    for (let offset = 0; offset < regs.APIC_END; offset += 16) this.page.setRegister(offset, 0);
    this.page.clearRequests();
    this.page.setRegister(APIC.VERSION, regs.VERSION_VALUE);
    this.page.setRegister(APIC.DFR, 0xffff_ffff);
    this.page.setRegister(APIC.SVR, 0xff);
    for (const offset of regs.LVT_WRITABLE.keys()) this.page.setRegister(offset, LVT_MASKED);
    this.setIds();
    this.errors = 0;
    this.timer.stop();
    this.lint.update();
  }

  /**
   * What firmware leaves on the boot processor (MP Specification 1.4, 3.6.2.2, virtual wire mode): enabled by
   * software, LINT0 = ExtINT, LINT1 = NMI. For a board that boots without firmware.
   */
  enterVirtualWireMode(): void {
    this.writeSvr(SVR_ENABLE | 0xff);
    this.writeLvt(APIC.LVT_LINT0, DELIVERY.EXTINT << DELIVERY_SHIFT);
    this.writeLvt(APIC.LVT_LINT1, DELIVERY.NMI << DELIVERY_SHIFT);
  }

  /** The xAPIC page, of 4 KiB. Outside xAPIC mode nothing decodes it. */
  read(offset: number, size: Width): number {
    const ones = size === 4 ? 0xffff_ffff : 2 ** (8 * size) - 1;
    if (!this.page.enabled || this.page.x2apic) return ones;
    const rule = REGISTERS.get(offset & ~15);
    if (rule === undefined || rule.xapic === "") {
      this.raiseError(regs.ESR_ILLEGAL_REGISTER);
      return 0;
    }
    const at = offset & 15;
    return at >= 4 || !rule.xapic.includes("r") ? 0 : ((this.readRegister(offset - at) >>> (8 * at)) & ones) >>> 0;
  }

  write(offset: number, size: Width, value: number): void {
    if (!this.page.enabled || this.page.x2apic) return;
    if (size !== 4 || (offset & 15) !== 0) {
      this.log(
        `${this.name}: write of ${size} bytes at 0x${offset.toString(16)} ignored: 4, aligned to 16, are needed`,
      );
      return;
    }
    const rule = REGISTERS.get(offset);
    if (rule === undefined || rule.xapic === "") this.raiseError(regs.ESR_ILLEGAL_REGISTER);
    else if (rule.xapic.includes("w")) this.writeRegister(offset, (value & rule.bits) >>> 0);
    else this.log(`${this.name}: write to read-only register 0x${offset.toString(16)}`);
  }

  /** RDMSR of 0x800–0x8ff. */
  readMsr(index: number): MsrRead {
    const offset = (index - X2APIC_MSR_BASE) * 16;
    if (!this.page.x2apic || !REGISTERS.get(offset)?.x2apic.includes("r")) return GP;
    const low = BigInt(this.readRegister(offset));
    return { ok: offset === APIC.ICR_LOW ? low | (BigInt(this.page.register(APIC.ICR_HIGH)) << 32n) : low };
  }

  /** WRMSR of 0x800–0x8ff. A reserved bit is #GP, as is anything but 0 in EOI and ESR. */
  writeMsr(index: number, value: bigint): MsrWrite {
    const offset = (index - X2APIC_MSR_BASE) * 16;
    const rule = REGISTERS.get(offset);
    if (!this.page.x2apic || !rule?.x2apic.includes("w")) return GP;
    const low = Number(value & 0xffff_ffffn);
    const high = Number(value >> 32n);
    const isIcr = offset === APIC.ICR_LOW;
    // Read-only bits that software may hand back as it has read them.
    const ignored = isIcr ? regs.ICR_BUSY : regs.LVT_WRITABLE.has(offset) ? regs.LVT_READ_ONLY : 0;
    if ((low & ~(rule.bits | ignored)) !== 0 || (!isIcr && high !== 0)) return GP;
    if (isIcr) this.page.setRegister(APIC.ICR_HIGH, high);
    this.writeRegister(offset, (low & rule.bits) >>> 0);
    return OK;
  }

  /** RDMSR of IA32_APIC_BASE. */
  readApicBase(): bigint {
    return this.page.apicBase;
  }

  /** WRMSR of IA32_APIC_BASE. Disabling the APIC resets it. */
  writeApicBase(value: bigint): MsrWrite {
    if (!validApicBase(value, this.physicalBits) || !legalTransition(this.page.apicBase, value)) return GP;
    const wasOn = this.page.enabled;
    const wasX2 = this.page.x2apic;
    this.page.apicBase = value;
    if (wasOn && !this.page.enabled) this.initReset();
    else if (this.page.x2apic !== wasX2) this.setIds();
    this.lint.update();
    this.bus.retry();
    return OK;
  }

  /** Level of LINT0, where the 8259's INTR is: ExtINT, if LVT LINT0 says so and is not masked. */
  setExtint(asserted: boolean): void {
    this.lint.setLint0(asserted);
  }

  setExtintMessage(asserted: boolean): void {
    this.lint.setExtintMessage(asserted);
  }

  get accepting(): boolean {
    return this.page.accepting;
  }

  get priority(): number {
    return (this.page.register(APIC.TPR) >> 4) & 15;
  }

  matches(message: ApicMessage): boolean {
    const { id, page } = this;
    return page.enabled && names(message, id, page.x2apic, page.register(APIC.LDR), page.register(APIC.DFR));
  }

  receive({ mode, vector, level }: ApicMessage): boolean {
    switch (mode) {
      case DELIVERY.FIXED:
      case DELIVERY.LOWEST_PRIORITY:
        return this.post(vector, level);
      case DELIVERY.NMI:
        this.page.postNmi();
        return true;
      case DELIVERY.INIT:
        this.options.onInit();
        return true;
      case DELIVERY.STARTUP:
        this.options.onStartup(vector);
        return true;
      default:
        this.log(`${this.name}: message with delivery mode ${mode} ignored`);
        return false;
    }
  }

  /**
   * Requests a fixed interrupt and wakes the vCPU.
   * @param level the EOI is to be reported to the IOAPIC
   * @returns false if the APIC does not accept it: disabled, or a vector below 16
   */
  post(vector: number, level: boolean): boolean {
    if (!this.page.accepting) return false;
    if (vector < regs.FIRST_VECTOR) {
      this.raiseError(regs.ESR_RECEIVE_ILLEGAL_VECTOR);
      return false;
    }
    this.page.setTrigger(vector, level);
    this.page.request(vector);
    this.page.attend(ATTENTION.POSTED);
    return true;
  }

  /** The vCPU must be stopped. Requests that it has not taken yet are in the saved IRR. */
  export(): VlapicV1 {
    const { page } = this;
    const registers = Array.from({ length: regs.APIC_END / 16 }, (_, i) => page.register(i * 16));
    for (let i = 0; i < 8; i++) registers[APIC.IRR / 16 + i] = (registers[APIC.IRR / 16 + i] | page.requested(i)) >>> 0;
    return {
      version: 1,
      id: this.id,
      apicBase: page.apicBase,
      registers,
      errors: this.errors,
      timerDueIn: page.timer === undefined ? undefined : page.timer - this.options.clock.now(),
      timerPeriod: page.timerPeriod,
      tscDeadline: page.tscDeadline,
      ...this.lint.levels,
    };
  }

  /** Import the local APICs before the IOAPIC, and both before the devices that drive their pins. */
  import(state: VlapicV1): void {
    const checked = checkVlapic(this.name, state, this.id, this.physicalBits);
    const { page } = this;
    page.apicBase = checked.apicBase;
    page.clearRequests();
    checked.registers.forEach((value, i) => {
      page.setRegister(i * 16, value);
    });
    page.timer = checked.timerDueIn === undefined ? undefined : this.options.clock.now() + checked.timerDueIn;
    page.timerPeriod = checked.timerPeriod;
    page.tscDeadline = checked.tscDeadline;
    this.errors = checked.errors;
    this.lint.levels = checked;
    page.attend(ATTENTION.POSTED | ATTENTION.EXTINT | ATTENTION.DEADLINE);
  }

  private readRegister(offset: number): number {
    return offset === APIC.CCR_TIMER ? this.timer.currentCount() : this.page.register(offset);
  }

  /** `value` has only bits that the register has. */
  private writeRegister(offset: number, value: number): void {
    switch (offset) {
      case APIC.TPR:
        this.page.setRegister(offset, value);
        this.page.attend(ATTENTION.POSTED);
        break;
      case APIC.EOI:
        this.endInterrupt();
        break;
      case APIC.DFR:
      case APIC.LDR:
        this.page.setRegister(offset, offset === APIC.DFR ? value | 0x0fff_ffff : value);
        this.bus.retry();
        break;
      case APIC.SVR:
        this.writeSvr(value);
        break;
      case APIC.ESR:
        this.page.setRegister(offset, this.errors);
        this.errors = 0;
        break;
      case APIC.ICR_LOW:
        this.page.setRegister(offset, value);
        this.sendIpi(value);
        break;
      case APIC.ICR_TIMER:
        this.timer.writeInitialCount(value);
        break;
      case APIC.DCR_TIMER:
        this.timer.writeDivide(value);
        break;
      case APIC.SELF_IPI:
        if (value < regs.FIRST_VECTOR) this.raiseError(regs.ESR_SEND_ILLEGAL_VECTOR);
        else this.post(value, false);
        break;
      default:
        if (regs.LVT_WRITABLE.has(offset)) this.writeLvt(offset, value);
        else this.page.setRegister(offset, value);
    }
  }

  /** While the APIC is disabled by software, all LVT entries are masked and stay so (11.4.7.2). */
  private writeSvr(value: number): void {
    this.page.setRegister(APIC.SVR, value);
    if ((value & SVR_ENABLE) !== 0) {
      this.bus.retry();
      return;
    }
    for (const offset of regs.LVT_WRITABLE.keys()) this.writeLvt(offset, this.page.register(offset));
  }

  private writeLvt(offset: number, value: number): void {
    const entry = (this.page.register(APIC.SVR) & SVR_ENABLE) === 0 ? value | LVT_MASKED : value;
    if (offset === APIC.LVT_TIMER) this.timer.writeEntry(entry);
    else this.page.setRegister(offset, entry);
    if (offset === APIC.LVT_LINT0) this.lint.update();
  }

  private sendIpi(icr: number): void {
    const mode = (icr >> DELIVERY_SHIFT) & 7;
    const vector = icr & 0xff;
    // INIT level de-assert set arbitration ids, long ago; processors since the Pentium 4 ignore it.
    if (mode === DELIVERY.INIT && (icr & regs.ICR_LEVEL) !== 0 && (icr & regs.ICR_ASSERT) === 0) return;
    if ((mode === DELIVERY.FIXED || mode === DELIVERY.LOWEST_PRIORITY) && vector < regs.FIRST_VECTOR) {
      this.raiseError(regs.ESR_SEND_ILLEGAL_VECTOR);
      return;
    }
    if (mode === DELIVERY.EXTINT || mode === 3) {
      this.log(`${this.name}: IPI with reserved delivery mode ${mode}`);
      return;
    }
    const high = this.page.register(APIC.ICR_HIGH);
    this.bus.sendIpi(this, (icr >> regs.ICR_SHORTHAND_SHIFT) & 3, {
      destination: this.page.x2apic ? high : high >>> 24,
      extended: this.page.x2apic,
      logical: (icr & regs.ICR_LOGICAL) !== 0,
      mode,
      vector,
      level: false, // IPIs are edge triggered whatever ICR says (11.6.1)
    });
  }

  /** EOI. The core does this by itself, too; here it is for a core that leaves the write to the device thread. */
  private endInterrupt(): void {
    for (let i = 7; i >= 0; i--) {
      const inService = this.page.register(APIC.ISR + 16 * i);
      if (inService === 0) continue;
      const bit = 31 - Math.clz32(inService);
      this.page.setRegister(APIC.ISR + 16 * i, inService & ~(1 << bit));
      this.page.attend(ATTENTION.POSTED);
      if ((this.page.register(APIC.TMR + 16 * i) >>> bit) & 1) this.bus.eoi(i * 32 + bit);
      return;
    }
  }

  /** An error sets its bit, and the first time since ESR was written it also interrupts. */
  private raiseError(bit: number): void {
    if ((this.errors & bit) !== 0) return;
    this.errors |= bit;
    const entry = this.page.register(APIC.LVT_ERROR);
    if ((entry & LVT_MASKED) === 0) this.post(entry & 0xff, false);
  }

  /** ID and LDR as the mode has them (11.12.10.2: LDR is derived from the id in x2APIC mode). */
  private setIds(): void {
    const { id, page } = this;
    page.setRegister(APIC.ID, page.x2apic ? id : id << 24);
    page.setRegister(APIC.LDR, page.x2apic ? regs.x2apicLdr(id) : 0);
  }
}
