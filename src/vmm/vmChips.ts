/**
 * The chips of a Vm that has them (VmConfig.chips): each by the seeds' name, and interrupts from the host (the seeds'
 * vm_lapic_irq, vm_ioapic_assert_irq, vm_isa_assert_irq and their kin).
 *
 * They stand at a PC's ports and addresses; the PM timer's port is PM_TIMER_PORT. Guest accesses to them do not reach
 * the caller of `run`, nor do interrupt acknowledge cycles and EOIs.
 */
import { LEVEL_IRQS, type Vatpic } from "../io/vatpic.ts";
import type { Vatpit } from "../io/vatpit.ts";
import type { Vhpet } from "../io/vhpet.ts";
import type { Vioapic } from "../io/vioapic.ts";
import type { Vlapic } from "../io/vlapic.ts";
import type { Vpmtmr } from "../io/vpmtmr.ts";
import type { Vrtc } from "../io/vrtc.ts";
import { type InterruptPin, noLog } from "../shared/device.ts";
import { Chipset, type ChipsetOptions, IOAPIC_PINS } from "./chipset.ts";
import { VmError } from "./error.ts";
import type { IoPorts, MmioRegions } from "./io.ts";
import { MachineTimers } from "./timers.ts";

/** Port of the PM timer, 4 bytes wide: what bhyve's board has. */
export const PM_TIMER_PORT = 0x408;

/** `enum vm_intr_trigger`. */
export type VmIntrTrigger = "EDGE" | "LEVEL";

export interface VmChipsOptions extends Pick<ChipsetOptions, "memory" | "vcpus" | "kick" | "onInit" | "onStartup"> {
  /** Guest nanoseconds. */
  readonly now: () => bigint;
  readonly wallClockSeconds?: number;
}

/** The chips of a vm. */
export class VmChips {
  /** @internal */
  readonly set: Chipset;
  /** @internal */
  readonly timers: MachineTimers;
  readonly #isa: readonly InterruptPin[];
  readonly #gsi: readonly InterruptPin[];

  /** @internal */
  constructor(options: VmChipsOptions, ports: IoPorts, mmio: MmioRegions) {
    this.timers = new MachineTimers(options.now);
    this.set = new Chipset({
      ...options,
      timers: this.timers,
      wallClockSeconds: options.wallClockSeconds ?? Math.floor(Date.now() / 1000),
      log: () => noLog,
    });
    this.#isa = Array.from({ length: 16 }, (_, irq) => this.set.isa(irq));
    this.#gsi = Array.from({ length: IOAPIC_PINS }, (_, n) => this.set.gsi(n));
    for (const r of this.set.ports) ports.attachRange(r.base, r.length, r.handler);
    ports.attachRange(PM_TIMER_PORT, 4, this.set.pmTimer);
    for (const r of this.set.mmio) mmio.map(r.base, r.length, r.handler);
  }

  /** vm_lapic. @throws VmError EINVAL: no such vCPU */
  lapic(vcpuid: number): Vlapic {
    const apic = this.set.apics[vcpuid];
    if (!apic) throw new VmError("EINVAL", `no vCPU ${vcpuid}`);
    return apic;
  }

  /** vm_ioapic. */
  get ioapic(): Vioapic {
    return this.set.ioapic;
  }

  /** vm_hpet. */
  get hpet(): Vhpet {
    return this.set.hpet;
  }

  /** vm_atpic. */
  get atpic(): Vatpic {
    return this.set.pic;
  }

  /** vm_atpit. */
  get atpit(): Vatpit {
    return this.set.pit;
  }

  /** vm_pmtmr. */
  get pmtmr(): Vpmtmr {
    return this.set.pmTimer;
  }

  /** vm_rtc. */
  get rtc(): Vrtc {
    return this.set.rtc;
  }

  /** vm_lapic_irq: a fixed, edge-triggered interrupt for one local APIC. @throws VmError EINVAL: vectors are 16 to 255 */
  lapicIrq(vcpuid: number, vector: number): void {
    const apic = this.lapic(vcpuid);
    if (!(Number.isInteger(vector) && vector >= 16 && vector <= 255)) throw new VmError("EINVAL", `vector ${vector}`);
    apic.post(vector, false);
  }

  /** vm_lapic_msi: a device's message (SDM vol. 3, 11.11). @throws VmError EINVAL: not an address for messages */
  lapicMsi(address: number, data: number): void {
    if (!this.set.apicBus.deliverMsi(address, data)) {
      throw new VmError("EINVAL", `0x${address.toString(16)} is no address of interrupt messages`);
    }
  }

  /** vm_ioapic_pincount. */
  get ioapicPincount(): number {
    return IOAPIC_PINS;
  }

  /** vm_ioapic_assert_irq: an input of the IOAPIC. @throws VmError EINVAL */
  ioapicAssertIrq(input: number): void {
    this.#input(this.#gsi, input).set(true);
  }
  /** vm_ioapic_deassert_irq. */
  ioapicDeassertIrq(input: number): void {
    this.#input(this.#gsi, input).set(false);
  }

  /** vm_isa_assert_irq: an ISA interrupt, at the 8259 pair and the IOAPIC. @throws VmError EINVAL */
  isaAssertIrq(irq: number): void {
    this.#input(this.#isa, irq).set(true);
  }
  /** vm_isa_deassert_irq. */
  isaDeassertIrq(irq: number): void {
    this.#input(this.#isa, irq).set(false);
  }

  /** vm_isa_pulse_irq: up and down, for an edge-triggered input. */
  isaPulseIrq(irq: number): void {
    this.isaAssertIrq(irq);
    this.isaDeassertIrq(irq);
  }

  /**
   * vm_isa_set_irq_trigger: the 8259's ELCR bit.
   *
   * @throws VmError EINVAL: no such interrupt, or LEVEL for one that is always edge triggered (0, 1, 2, 8, 13)
   */
  isaSetIrqTrigger(irq: number, trigger: VmIntrTrigger): void {
    this.#input(this.#isa, irq);
    if (trigger !== "EDGE" && trigger !== "LEVEL") throw new VmError("EINVAL", `trigger ${String(trigger)}`);
    if (trigger === "LEVEL" && !(LEVEL_IRQS & (1 << irq))) {
      throw new VmError("EINVAL", `interrupt ${irq} is always edge triggered`);
    }
    this.set.pic.setLevelTriggered(irq, trigger === "LEVEL");
  }

  #input(wires: readonly InterruptPin[], n: number): InterruptPin {
    const wire = wires[n];
    if (!wire) throw new VmError("EINVAL", `no interrupt input ${n}`);
    return wire;
  }
}
