/**
 * The chips that a vmm itself has, as bhyve's kernel part does: local APICs, IOAPIC, 8259 pair, PIT, HPET, PM timer, RTC,
 * and the interrupt wires between them. A board (src/machine/board.ts) puts the rest around it; a Vm has it on request
 * (VmConfig.chips).
 *
 *     ISA interrupt n  ──┬── 8259 pair ── INTR ── LINT0 of the boot processor (virtual wire mode)
 *                        └── IOAPIC input n (interrupt 0: input 2)
 */

import { APIC_BASE_BSP, APIC_BASE_ENABLE } from "../io/apicBase.ts";
import { ApicBus } from "../io/apicBus.ts";
import { ApicPage } from "../io/apicPage.ts";
import type { PortRange } from "../io/portRange.ts";
import { CASCADE_IR, Vatpic } from "../io/vatpic.ts";
import { Vatpit } from "../io/vatpit.ts";
import { Vhpet } from "../io/vhpet.ts";
import { Vioapic } from "../io/vioapic.ts";
import { Vlapic } from "../io/vlapic.ts";
import { Vpmtmr } from "../io/vpmtmr.ts";
import { Vrtc } from "../io/vrtc.ts";
import type { Device, InterruptPin, Log, Timers, Width } from "../shared/device.ts";
import { EXIT } from "../shared/exit.ts";
import { RUN_STATE, VCPU } from "../shared/layout.ts";
import { finishInit } from "../vcpu/startup.ts";
import { type StructView, vcpuBase } from "../vcpu/view.ts";
import { VmError } from "./error.ts";
import type { VmMsrResult } from "./exit.ts";
import type { MsrValue } from "./msr.ts";
import { CPU_SIGNATURE, initVcpu } from "./vcpuReset.ts";

/** The IOAPIC, in guest physical addresses, where a PC has it. */
export const IOAPIC_BASE = 0xfec0_0000;
export const IOAPIC_SIZE = 0x1000;
/** The HPET. */
export const HPET_BASE = 0xfed0_0000;
export const HPET_SIZE = 0x400;
/** Local APICs, each vCPU its own. */
export const LAPIC_BASE = 0xfee0_0000;
export const LAPIC_SIZE = 0x1000;
/** The timer's interrupt reaches the IOAPIC on input 2. */
export const PIT_GSI = 2;
export const RTC_IRQ = 8;
export const IOAPIC_PINS = 24;

/** IA32_APIC_BASE (SDM vol. 3, 11.4.4), and the MSRs of an x2APIC. */
const MSR_APIC_BASE = 0x1b;
const MSR_X2APIC = 0x800;
const MSR_X2APIC_END = 0x900;
const APIC_BASE_ADDRESS = 0xf_ffff_f000n;
/** Answers to an MSR write (assembly/sys/msr.ts). */
const MSR_OK = 0n;
const MSR_GP = 1n;

/** The chips of a vm, or its set of them. @throws VmError EOPNOTSUPP: it was made without */
export function needed<T>(chips: T | undefined): T {
  if (!chips) throw new VmError("EOPNOTSUPP", "this virtual machine was made without chips");
  return chips;
}

export interface ChipsetOptions {
  /** The machine's memory, with the virtual-APIC pages in it. */
  readonly memory: { readonly buffer: ArrayBufferLike };
  readonly timers: Timers;
  readonly vcpus: number;
  /** Seconds since 1970 at power-on, for the RTC. */
  readonly wallClockSeconds: number;
  /** Makes a vCPU look at its attention word, halted or not. */
  readonly kick: (id: number) => void;
  /** INIT and start-up IPIs for a vCPU. */
  readonly onInit: (id: number) => void;
  readonly onStartup: (id: number, vector: number) => void;
  readonly log: (channel: string) => Log;
}

/** An input that several outputs drive: asserted while any of them is. */
class SharedWire {
  readonly #to: readonly InterruptPin[];
  #count = 0;

  constructor(to: readonly InterruptPin[]) {
    this.#to = to;
  }

  /** One more output. */
  output(): InterruptPin {
    let mine = false;
    return {
      set: (asserted) => {
        if (asserted === mine) return;
        mine = asserted;
        this.#count += asserted ? 1 : -1;
        if (this.#count === (asserted ? 1 : 0)) for (const pin of this.#to) pin.set(asserted);
      },
    };
  }
}

/** A wire with a switch in it. */
class SwitchedWire implements InterruptPin {
  readonly #to: InterruptPin;
  #level = false;
  #on = true;

  constructor(to: InterruptPin) {
    this.#to = to;
  }

  set(asserted: boolean): void {
    this.#level = asserted;
    if (this.#on) this.#to.set(asserted);
  }

  connect(on: boolean): void {
    if (on === this.#on) return;
    this.#on = on;
    this.#to.set(on && this.#level);
  }
}

export class Chipset {
  readonly apicBus: ApicBus;
  readonly apics: readonly Vlapic[];
  readonly ioapic: Vioapic;
  readonly pic: Vatpic;
  readonly pit: Vatpit;
  readonly hpet: Vhpet;
  readonly pmTimer: Vpmtmr;
  readonly rtc: Vrtc;
  /** All of them, in the order of reset and of restoring: interrupt controllers before what drives their pins. */
  readonly devices: readonly Device<{ version: number }>[];
  /** Ports of the 8259 pair, PIT and RTC; the PM timer's are the board's to choose. */
  readonly ports: readonly PortRange[];
  /** IOAPIC and HPET. */
  readonly mmio: readonly PortRange[];
  readonly #isa: readonly SharedWire[];
  readonly #gsi: readonly SharedWire[];

  constructor(options: ChipsetOptions) {
    const { timers, log, memory } = options;
    this.apicBus = new ApicBus(log("apic"));
    const bus = this.apicBus;
    this.apics = Array.from(
      { length: options.vcpus },
      (_, id) =>
        new Vlapic({
          id,
          bsp: id === 0,
          page: new ApicPage(memory, vcpuBase(id), () => options.kick(id)),
          clock: timers,
          bus,
          onInit: () => options.onInit(id),
          onStartup: (vector) => options.onStartup(id, vector),
          log: log("vlapic"),
        }),
    );
    this.ioapic = new Vioapic(bus, log("vioapic"));
    this.pic = new Vatpic(this.apics[0].lint0, log("vatpic"));
    this.#isa = Array.from({ length: 16 }, (_, irq) => {
      if (irq === CASCADE_IR) return new SharedWire([]);
      return new SharedWire([this.pic.pin(irq), this.ioapic.pin(irq === 0 ? PIT_GSI : irq)]);
    });
    this.#gsi = Array.from({ length: IOAPIC_PINS }, (_, n) => new SharedWire([this.ioapic.pin(n)]));
    const pitOut = new SwitchedWire(this.isa(0));
    const rtcOut = new SwitchedWire(this.isa(RTC_IRQ));
    this.pit = new Vatpit(timers, pitOut);
    this.rtc = new Vrtc({ timers, irq8: rtcOut, wallClockSeconds: options.wallClockSeconds, log: log("vrtc") });
    this.pmTimer = new Vpmtmr(timers);
    this.hpet = new Vhpet(timers, { pin: (n) => this.gsi(n), legacyPin: (irq) => this.isa(irq) }, log("vhpet"), {
      onLegacyReplacement: (on) => {
        pitOut.connect(!on);
        rtcOut.connect(!on);
      },
    });
    this.devices = [
      ...this.apics,
      this.ioapic,
      this.pic,
      this.pit,
      this.rtc,
      this.pmTimer,
      this.hpet,
    ] as readonly Device<{ version: number }>[];
    this.ports = [this.pic, this.pit, this.rtc].flatMap((chip) => chip.handlers);
    this.mmio = [
      { base: IOAPIC_BASE, length: IOAPIC_SIZE, handler: this.ioapic },
      { base: HPET_BASE, length: HPET_SIZE, handler: this.hpet },
    ];
  }

  /** One more output on an ISA interrupt, 0 to 15: the 8259 pair and the IOAPIC both see it. */
  isa(irq: number): InterruptPin {
    return this.#isa[irq].output();
  }

  /** One more output on an IOAPIC input. */
  gsi(n: number): InterruptPin {
    return this.#gsi[n].output();
  }

  /** The RESET line. */
  reset(): void {
    for (const device of this.devices) device.reset();
  }

  /** RDMSR and WRMSR of a local APIC's registers; undefined: another MSR. */
  readMsr(id: number, msr: number): MsrValue | undefined {
    if (!isApicMsr(msr)) return undefined;
    const lapic = this.apics[id];
    const r = msr === MSR_APIC_BASE ? { ok: lapic.readApicBase() } : lapic.readMsr(msr);
    return "ok" in r ? { result: "OK", value: r.ok } : { result: "GP" };
  }
  writeMsr(id: number, msr: number, value: bigint): VmMsrResult | undefined {
    if (!isApicMsr(msr)) return undefined;
    const lapic = this.apics[id];
    const r = msr === MSR_APIC_BASE ? lapic.writeApicBase(value) : lapic.writeMsr(msr, value);
    return "ok" in r ? "OK" : "GP";
  }

  /**
   * Carries out an exit that is the interrupt controllers' own: the local APIC's page and MSRs, an interrupt acknowledge
   * cycle, INIT. False: it is somebody else's. (The IOAPIC's registers are among `mmio`.)
   */
  serve(view: StructView, id: number): boolean {
    const where = view.get(VCPU.exitA);
    const how = view.get(VCPU.exitB);
    const lapic = this.apics[id];
    const answer = (value: bigint): true => {
      view.set64(VCPU.exitData, value);
      return true;
    };
    switch (view.get(VCPU.exitCode)) {
      case EXIT.INST_EMUL: {
        const base = view.get64(VCPU.apicBase);
        const offset = where - Number(base & APIC_BASE_ADDRESS);
        const size = (how >> 8) & 15;
        if (!(base & APIC_BASE_ENABLE) || offset < 0 || offset >= LAPIC_SIZE || size > 4) return false;
        if (!(how & 1)) return answer(BigInt(lapic.read(offset, size as Width) >>> 0));
        lapic.write(offset, size as Width, view.data.getUint32(view.base + VCPU.exitData.offset, true));
        return true;
      }
      case EXIT.RDMSR: {
        const r = this.readMsr(id, where);
        return r !== undefined && answer(r.result === "OK" ? r.value : 0n);
      }
      case EXIT.WRMSR: {
        const r = this.writeMsr(id, where, view.get64(VCPU.exitData));
        return r !== undefined && answer(r === "OK" ? MSR_OK : MSR_GP);
      }
      case EXIT.INTA:
        return answer(BigInt(this.pic.acknowledge()));
      case EXIT.INIT:
        initVcpu(view, CPU_SIGNATURE);
        lapic.initReset();
        // The boot processor does not wait for a start-up IPI, but goes to the reset vector (SDM vol. 3, 9.4.2).
        if (lapic.readApicBase() & APIC_BASE_BSP) view.set(VCPU.runState, RUN_STATE.RUNNING);
        finishInit(view);
        return true;
      default:
        return false;
    }
  }
}

function isApicMsr(msr: number): boolean {
  return msr === MSR_APIC_BASE || (msr >= MSR_X2APIC && msr < MSR_X2APIC_END);
}
