/**
 * What a PC has that boots its own disks, besides the chips of every board: RAM below the firmware, drives, display and
 * input. A machine that is given a kernel does without.
 */

import type { BlockSource } from "../block/block.ts";
import type { IdeFront } from "../bus/ideFront.ts";
import type { MmioBus } from "../bus/mmio.ts";
import type { PortBus } from "../bus/pio.ts";
import { Display } from "../display/display.ts";
import { AtaDisk } from "../io/ataDisk.ts";
import { AtapiCd } from "../io/atapiCd.ts";
import { Dma8237 } from "../io/dma8237.ts";
import { Floppy } from "../io/floppy.ts";
import type { I8042 } from "../io/i8042.ts";
import { IdeChannel, type IdeDevice } from "../io/ideChannel.ts";
import { Ps2Keyboard } from "../io/ps2Keyboard.ts";
import { Ps2Mouse } from "../io/ps2Mouse.ts";
import { Typist } from "../io/typist.ts";
import { DISPI, Vga } from "../io/vga.ts";
import { FRAME_BUFFER_SIZE, VgaMemory } from "../io/vgaMemory.ts";
import type { Vrtc } from "../io/vrtc.ts";
import type { Device, InterruptPin, Log, Timers } from "../shared/device.ts";
import type { MachineMemory } from "../vmm/memory.ts";
import * as map from "./memoryMap.ts";
import type { PciHost } from "./pci.ts";
import { HostBridge440fx } from "./pciChipset.ts";
import { IDE_PORTS, IdePiix3 } from "./pciIde.ts";
import { PciVga } from "./pciVga.ts";
import { ShadowRam } from "./shadowRam.ts";

/** Media, by drive. */
export interface Drives {
  /** Hard disks: at most four, with the CD three. */
  readonly disks?: readonly BlockSource[];
  /** A CD drive, with a disc or empty (null). */
  readonly cdrom?: BlockSource | null;
  /** Floppy drive A. */
  readonly floppy?: BlockSource | null;
}

export interface PcOptions {
  /** Bytes of firmware. */
  readonly romSize: number;
  readonly drives: Drives;
  readonly vgaRom?: Uint8Array | undefined;
}

export interface PcBoard {
  readonly memory: MachineMemory;
  readonly timers: Timers;
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly pci: PciHost;
  readonly rtc: Vrtc;
  readonly ideFront: IdeFront;
  readonly i8042: I8042;
  readonly isa: (irq: number) => InterruptPin;
  /** Every vCPU must drop its translations before it goes on. */
  readonly onMoved: () => void;
  readonly log: (channel: string) => Log;
}

const FLOPPY_IRQ = 6;
const FLOPPY_DMA = 2;
/** CMOS: floppy drive types, A in the upper half; equipment: drives, a VGA, an FPU, keyboard and display. */
const CMOS_FLOPPY = 0x10;
const CMOS_EQUIPMENT = 0x14;
/** CMOS, as SeaBIOS reads it (src/boot.c): what is booted third, in the upper half; second and first. */
const CMOS_BOOT_THIRD = 0x38;
const CMOS_BOOT = 0x3d;
const BOOT_CODES = { floppy: 1, disk: 2, cdrom: 3 } as const;

/** What firmware reads of the drives in CMOS memory (IBM PC/AT Technical Reference, "Real-time clock"). */
function setCmos(rtc: Vrtc, floppyType: number): void {
  rtc.setCmos(CMOS_FLOPPY, floppyType << 4);
  rtc.setCmos(CMOS_EQUIPMENT, 0x0e | (floppyType ? 1 : 0));
}

/** What has a medium is booted first: the CD before the floppy disk before the hard disk. */
function setBootOrder(rtc: Vrtc, there: Readonly<Record<keyof typeof BOOT_CODES, boolean>>): void {
  const [first, second, third] = (["cdrom", "floppy", "disk"] as const)
    .toSorted((a, b) => Number(there[b]) - Number(there[a]))
    .map((drive) => BOOT_CODES[drive]);
  rtc.setCmos(CMOS_BOOT, first | (second << 4));
  rtc.setCmos(CMOS_BOOT_THIRD, third << 4);
}

/** Drive places on the two channels: the CD is the second channel's first, as firmware and guests expect it. */
function places({ disks = [], cdrom }: Drives): (BlockSource | "cdrom" | undefined)[] {
  const all: (BlockSource | "cdrom" | undefined)[] = [undefined, undefined, undefined, undefined];
  if (cdrom !== undefined) all[2] = "cdrom";
  for (const disk of disks) {
    const free = all.indexOf(undefined);
    if (free < 0) throw new RangeError("ide: there is room for four drives, the CD drive included");
    all[free] = disk;
  }
  return all;
}

export class PcParts {
  readonly host: HostBridge440fx;
  readonly ide: IdePiix3;
  readonly floppy: Floppy | undefined;
  readonly cd: AtapiCd | undefined;
  readonly display: Display;
  readonly keyboard: Ps2Keyboard;
  readonly mouse: Ps2Mouse;
  readonly typist: Typist;
  /** Contents of memory come from a snapshot: nothing is moved between the VGA's memories. */
  #restoring = false;
  readonly vga: Vga;
  readonly vgaMemory: VgaMemory;
  readonly #rtc: Vrtc;
  /** Which drives have a medium. */
  readonly #there: Record<keyof typeof BOOT_CODES, boolean>;
  /** In the order of restoring and of reset. */
  readonly devices: readonly Device<{ version: number }>[];

  constructor(options: PcOptions, board: PcBoard) {
    const { memory, ports, mmio, pci, log } = board;
    const shadow = new ShadowRam(memory, options.romSize, board.onMoved);
    mmio.attach(map.OPTION_ROM_BASE, map.BIOS_AREA_END - map.OPTION_ROM_BASE, shadow);
    this.host = new HostBridge440fx((segments) => shadow.apply(segments));
    shadow.apply(this.host.pam());

    const { drives } = options;
    const devices = places(drives).map((medium, n): IdeDevice | undefined => {
      const serial = `TBHV${String(n + 1).padStart(5, "0")}`;
      if (medium === "cdrom") return new AtapiCd(drives.cdrom ?? undefined, serial, log("ide"));
      return medium && new AtaDisk(medium, serial, log("ide"));
    });
    this.cd = devices.find((device) => device instanceof AtapiCd);
    const channel = (n: 0 | 1): IdeChannel =>
      new IdeChannel({
        drives: [devices[2 * n], devices[2 * n + 1]],
        irq: board.isa(IDE_PORTS[n].irq),
        memory: memory.bus,
        mayMaster: () => this.ide.busMaster,
        log: log("ide"),
      });
    this.ide = new IdePiix3(
      [channel(0), channel(1)],
      (base, length, handler) => ports.attach(base, length, handler),
      board.ideFront,
    );
    pci.add(map.PCI_SLOT_HOST, 0, this.host);
    pci.add(map.PCI_SLOT_ISA, map.PCI_FUNCTION_IDE, this.ide);

    const dma = new Dma8237(memory.bus);
    const floppy =
      drives.floppy === undefined
        ? undefined
        : new Floppy({
            medium: drives.floppy ?? undefined,
            irq: board.isa(FLOPPY_IRQ),
            dma: dma.channel(FLOPPY_DMA),
            timers: board.timers,
            log: log("floppy"),
          });
    this.floppy = floppy;
    dma.onReady = (channel) => {
      if (channel === FLOPPY_DMA) floppy?.dmaReady();
    };
    for (const chip of [dma, ...(floppy ? [floppy] : [])]) {
      for (const { base, length, handler } of chip.handlers) ports.attach(base, length, handler);
    }
    setCmos(board.rtc, floppy?.driveType ?? 0);
    this.#rtc = board.rtc;
    this.#there = {
      cdrom: Boolean(drives.cdrom),
      floppy: Boolean(drives.floppy),
      disk: Boolean(drives.disks?.length),
    };
    setBootOrder(this.#rtc, this.#there);

    const vgaMemory = new VgaMemory(memory, board.onMoved);
    this.vgaMemory = vgaMemory;
    const vga: Vga = new Vga(
      {
        clock: board.timers,
        memorySize: FRAME_BUFFER_SIZE,
        onMemory: (clear) => {
          vgaMemory.follow(vga, this.#restoring);
          if (clear && !this.#restoring) vgaMemory.clear(vga.dispi[DISPI.bpp] === 4);
        },
        log: log("vga"),
      },
      vgaMemory.latch,
    );
    this.vga = vga;
    ports.attach(0x3b0, 0x30, vga.ports);
    ports.attach(0x1ce, 3, vga.dispiPorts);
    const pciVga = new PciVga(vgaMemory.frameBuffer, options.vgaRom);
    pci.add(map.PCI_SLOT_VGA, 0, pciVga);
    this.display = new Display(vga, vgaMemory, board.timers);

    this.keyboard = new Ps2Keyboard();
    this.mouse = new Ps2Mouse();
    this.typist = new Typist(this.keyboard, board.timers);
    this.keyboard.onData = board.i8042.attach("keyboard", this.keyboard);
    this.mouse.onData = board.i8042.attach("mouse", this.mouse);
    this.devices = [
      this.host,
      this.ide,
      dma,
      ...(floppy ? [floppy] : []),
      pciVga,
      vga,
      this.keyboard,
      this.mouse,
      this.typist,
    ] as readonly Device<{
      version: number;
    }>[];
  }

  /** Puts another medium into a drive, or takes it out. False: there is no such drive. */
  insert(drive: "cdrom" | "floppy", medium: BlockSource | undefined): boolean {
    const found = drive === "cdrom" ? this.cd : this.floppy;
    if (!found) return false;
    found.insert(medium);
    this.#there[drive] = medium !== undefined;
    setBootOrder(this.#rtc, this.#there);
    return true;
  }

  /** While a snapshot's states are put in. */
  set restoring(on: boolean) {
    this.#restoring = on;
  }

  /** The machine's memory was replaced. */
  memoryReplaced(): void {
    this.vgaMemory.touch();
  }

  /** Some medium has not answered yet. */
  get busy(): boolean {
    return this.ide.busy || (this.floppy?.busy ?? false);
  }
}
