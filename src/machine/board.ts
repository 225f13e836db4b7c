/**
 * The board: every chip, and the wires between them. It knows no vCPU but through the interrupt wires and the exit
 * records it answers.
 */

import { IdeFront } from "../bus/ideFront.ts";
import { MmioBus } from "../bus/mmio.ts";
import { PortBus } from "../bus/pio.ts";
import { PortHooks } from "../bus/portHooks.ts";
import { PostedRanges } from "../bus/postedRanges.ts";
import { AcpiPm } from "../io/acpiPm.ts";
import { CoprocessorError } from "../io/coprocessorError.ts";
import { DebugExit, Testdev } from "../io/debugExit.ts";
import { DebugPort } from "../io/debugPort.ts";
import { I8042 } from "../io/i8042.ts";
import type { PortRange } from "../io/portRange.ts";
import { PostCode } from "../io/postCode.ts";
import { ResetControl } from "../io/resetControl.ts";
import { Uart16550 } from "../io/uart16550.ts";
import type { Vlapic } from "../io/vlapic.ts";
import type { Device, GuestMemory, InterruptPin, Log, Timers } from "../shared/device.ts";
import { CONTROL } from "../shared/layout.ts";
import { Chipset } from "../vmm/chipset.ts";
import type { MachineMemory } from "../vmm/memory.ts";
import { FW_CFG_PORTS, FwCfg } from "./fwCfg.ts";
import { e820Map, firmwareE820 } from "./loader/e820.ts";
import * as map from "./memoryMap.ts";
import type { Parts } from "./parts.ts";
import { PciHost, type PciSpace } from "./pci.ts";
import type { PciCards } from "./pciCards.ts";
import { AcpiPiix4, HostBridge440fx, IsaBridgePiix3 } from "./pciChipset.ts";
import type { PcParts } from "./pcParts.ts";

export interface BoardOptions {
  readonly memory: MachineMemory;
  readonly timers: Timers;
  readonly vcpus: number;
  /** Bytes of RAM, as configured. */
  readonly ramSize: number;
  /** Seconds since 1970 at power-on, for the RTC. */
  readonly wallClockSeconds: number;
  /** Each byte the guest sends on COM1. */
  readonly serial: (byte: number) => void;
  /** COM1 has room again. */
  readonly serialRoom: () => void;
  /** Bytes on the debug ports 0x402 and 0xe9. */
  readonly debugPort: (byte: number) => void;
  readonly onPowerOff: () => void;
  /** Makes a vCPU look at its attention word, halted or not. */
  readonly kick: (id: number) => void;
  /** INIT and start-up IPIs for a vCPU. */
  readonly onInit: (id: number) => void;
  readonly onStartup: (id: number, vector: number) => void;
  readonly onReset: () => void;
  readonly onA20: (enabled: boolean) => void;
  /** isa-debug-exit and the testdev ports are there, and this hears of exits. */
  readonly onDebugExit?: (status: number) => void;
  /** What only some machines have. */
  readonly parts: Parts;
  /** Random bytes, for a device that gives them to the guest. */
  readonly random: (into: Uint8Array) => void;
  /** Guest addresses mean other memory now: every vCPU must drop its translations before it goes on. */
  readonly onMoved: () => void;
  /** Files for fw_cfg, by name. */
  readonly firmwareFiles?: Readonly<Record<string, Uint8Array>>;
  readonly log: (channel: string) => Log;
}

/** Maps a PCI function's memory, unless there is other memory: RAM and ROM come before the bus. */
function mapMemory(
  memory: MachineMemory,
  base: number,
  size: number,
  backing: number,
  onMoved: () => void,
): () => void {
  for (let at = 0; at < size; at += 4096) if (memory.hostAddress(base + at) >= 0) return () => {};
  memory.map(base, size, backing, true);
  onMoved();
  return () => {
    memory.unmap(base, size);
    onMoved();
  };
}

export class Board {
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  /** What the vmm itself has. */
  readonly chips: Chipset;
  readonly apics: readonly Vlapic[];
  readonly com1: Uart16550;
  readonly acpi: AcpiPm;
  /** What a machine that boots by firmware has besides. */
  readonly pc: PcParts | undefined;
  /** Cards in PCI slots, if there are any. */
  readonly cards: PciCards | undefined;
  readonly coprocessorError: CoprocessorError;
  readonly ideFront: IdeFront;
  /** Everything with state, in the order of restoring: interrupt controllers before what drives their pins. */
  readonly saved: readonly Device<{ version: number }>[];
  /** Every chip, in the order of reset. */
  readonly devices: readonly Device<{ version: number }>[];

  constructor(options: BoardOptions) {
    const { timers, log, memory, parts } = options;
    this.ports = new PortBus(log("port"));
    this.mmio = new MmioBus(log("mmio"));
    const chips = new Chipset({ ...options, memory: memory.memory });
    this.chips = chips;
    this.apics = chips.apics;
    chips.rtc.setMemorySize(
      Math.min(options.ramSize, map.PCI_HOLE_BASE),
      Math.max(0, options.ramSize - map.PCI_HOLE_BASE),
    );
    const hooks = new PortHooks(memory.control);
    this.ideFront = new IdeFront(memory.control);
    const a20 = { keyboard: true, fast: false };
    const moveA20 = () => options.onA20(a20.keyboard || a20.fast);
    const i8042 = new I8042({
      irq1: chips.isa(1),
      irq12: chips.isa(12),
      onReset: options.onReset,
      onA20: (on) => {
        a20.keyboard = on;
        moveA20();
      },
      log: log("i8042"),
    });
    const reset = new ResetControl({
      onReset: options.onReset,
      onInit: options.onReset,
      onA20: (on) => {
        a20.fast = on;
        moveA20();
      },
    });
    const post = new PostCode(log("post"));
    const { control } = memory;
    this.coprocessorError = new CoprocessorError(chips.isa(13), {
      get: () => control.get(CONTROL.ignne) !== 0,
      set: (asserted) => control.set(CONTROL.ignne, Number(asserted)),
    });
    this.acpi = new AcpiPm(chips.isa(map.SCI_IRQ), chips.pmTimer, options.onPowerOff, log("acpi"));
    this.com1 = new Uart16550(chips.isa(map.COM_IRQS[0]), options.serial, timers, log("uart"), {
      name: "com1",
      onRoom: options.serialRoom,
      publish: (register, value) => hooks.publish(map.COM_PORTS[0] + register, value),
    });
    // Nobody waits for a byte to leave.
    hooks.coalesce(map.COM_PORTS[0]);
    const fwCfg = new FwCfg(
      {
        memory: memory.bus,
        cpus: options.vcpus,
        ramSize: options.ramSize,
        nographic: parts.pc === undefined,
        e820: parts.pc ? firmwareE820(options.ramSize) : e820Map(options.ramSize),
        ...(options.firmwareFiles && { files: options.firmwareFiles }),
      },
      log("fwcfg"),
    );

    const postedRanges = new PostedRanges(memory.control);
    const space: PciSpace = {
      map: (kind, base, size, { handler, backing, posted }) => {
        if (kind === "io") return this.ports.attach(base, size, handler);
        if (backing !== undefined) return mapMemory(memory, base, size, backing, options.onMoved);
        const detach = this.mmio.attach(base, size, handler);
        const detachPosted = posted && postedRanges.attach(base, posted);
        return () => {
          detachPosted?.();
          detach();
        };
      },
    };
    const resetPorts = reset.handlers.find((r) => r.base === map.RESET_CONTROL_PORT);
    const pirqIsa = (irq: number): InterruptPin => chips.pic.pin(irq);
    const pirqs = new IsaBridgePiix3({
      gsi: (n) => chips.ioapic.pin(map.PIRQ_GSI_BASE + n),
      isa: pirqIsa,
      routes: map.PIRQ_ISA_IRQS,
    });
    const pci = new PciHost({
      space,
      pirq: (n) => pirqs.pirq(n),
      log: log("pci"),
      ...(resetPorts && { resetControl: resetPorts.handler }),
    });
    let pmPorts: (() => void) | undefined;
    const piix4 = new AcpiPiix4((base) => {
      pmPorts?.();
      pmPorts = base === undefined ? undefined : this.ports.attach(base, map.PM_SIZE, this.acpi);
    }, map.PM_BASE);
    const firmware = parts.pc?.({
      memory,
      timers,
      ports: this.ports,
      mmio: this.mmio,
      pci,
      rtc: chips.rtc,
      ideFront: this.ideFront,
      i8042,
      isa: (irq) => chips.isa(irq),
      onMoved: options.onMoved,
      log,
    });
    this.pc = firmware;
    const host = firmware?.host ?? new HostBridge440fx();
    if (!firmware) pci.add(map.PCI_SLOT_HOST, 0, host);
    pci.add(map.PCI_SLOT_ISA, map.PCI_FUNCTION_ISA, pirqs);
    pci.add(map.PCI_SLOT_ISA, map.PCI_FUNCTION_ACPI, piix4);

    this.cards = parts.cards?.({
      memory: memory.bus,
      timers,
      pci,
      vcpus: options.vcpus,
      random: options.random,
      message: (address, data) => this.#message(memory.bus, address, data),
      log,
    });

    const attach = (ranges: readonly PortRange[]) => {
      for (const r of ranges) {
        // The reset control register lies within the PCI configuration ports, whose bridge passes bytes on to it.
        if (r.base !== map.RESET_CONTROL_PORT) this.ports.attach(r.base, r.length, r.handler);
      }
    };
    attach(chips.ports);
    for (const chip of [i8042, reset, post, this.coprocessorError]) attach(chip.handlers);
    this.ports.attach(map.COM_PORTS[0], 8, this.com1);
    this.ports.attach(map.PCI_CONFIG_PORT, 8, pci);
    this.ports.attach(map.FW_CFG_PORT, FW_CFG_PORTS, fwCfg);
    this.ports.attach(map.SMI_CMD_PORT, 2, this.acpi.smi);
    this.ports.attach(map.DEBUG_CONSOLE_PORT, 1, new DebugPort(options.debugPort));
    this.ports.attach(map.BOCHS_CONSOLE_PORT, 1, new DebugPort(options.debugPort));
    for (const r of chips.mmio) this.mmio.attach(r.base, r.length, r.handler);
    if (options.onDebugExit) {
      this.ports.attach(map.DEBUG_EXIT_PORT, 4, new DebugExit(options.onDebugExit));
      const testdev = new Testdev((n) => chips.gsi(n), log("testdev"));
      this.ports.attach(map.TESTDEV_IOPORT, 4, testdev.scratch);
      this.ports.attach(map.TESTDEV_IRQ_PORT, map.IOAPIC_PINS, testdev.irq);
      this.mmio.attach(map.TESTDEV_IOMEM_BASE, 0x1_0000, testdev.iomem);
    }
    this.devices = [
      ...chips.devices,
      i8042,
      reset,
      post,
      this.coprocessorError,
      this.acpi,
      this.com1,
      fwCfg,
      pci,
    ] as readonly Device<{
      version: number;
    }>[];
    const functions = [
      ...(firmware?.devices ?? [host]),
      pirqs,
      piix4,
      ...(this.cards?.devices ?? []),
    ] as readonly Device<{
      version: number;
    }>[];
    this.saved = [...this.devices, ...functions];
    this.resetChipset = () => {
      for (const f of functions) f.reset();
    };
  }

  private readonly resetChipset: () => void;

  /** A card's write of a double word that means an interrupt, if it goes to where interrupts go. */
  #message(memory: GuestMemory, address: number, data: number): void {
    if (this.chips.apicBus.deliverMsi(address, data)) return;
    const word = new Uint8Array(4);
    new DataView(word.buffer).setUint32(0, data, true);
    memory.write(address, word);
  }

  /** Some medium has not answered yet: devices are in the middle of something. */
  get busy(): boolean {
    return (this.cards?.busy ?? false) || (this.pc?.busy ?? false);
  }

  /** The RESET line. */
  reset(): void {
    this.resetChipset();
    for (const device of this.devices) device.reset();
  }
}
