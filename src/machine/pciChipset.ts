/**
 * The functions a PC guest expects to find on PCI bus 0: the 440FX host bridge, the PIIX3 ISA bridge and the PIIX4
 * ACPI function. They are what they are on QEMU's "pc" board, since SeaBIOS and Linux's quirks look for exactly these.
 *
 * Not there: DRAM timing and row registers, bus arbitration, SMM (SMRAM can be written and does nothing), the
 * PIIX4's SMBus and device monitors. Where no firmware runs (direct boot), the board hands in what firmware would have
 * programmed; a reset brings that back.
 *
 * Sources: 82441FX datasheet 290549, PIIX3 290550, PIIX4 290562.
 */

import type { Device, InterruptPin } from "../shared/device.ts";
import { SCI_IRQ } from "./memoryMap.ts";
import { COMMAND, COMMAND_IO, COMMAND_MASTER, COMMAND_MEMORY, type PciConfigV1, PciFunction } from "./pciFunction.ts";

const INTEL = 0x8086;
/** SeaBIOS takes a board for QEMU's (and looks for fw_cfg) only when the host bridge has this subsystem id. */
export const SUBSYSTEM = { subsystemVendor: 0x1af4, subsystem: 0x1100 };

/** A function that has no state besides its configuration space. */
export class ChipsetFunction extends PciFunction implements Device<PciConfigV1> {
  export(): PciConfigV1 {
    return this.exportConfig();
  }

  import(state: PciConfigV1): void {
    this.applyConfig(this.checkConfig(state));
  }
}

/** One of the 13 areas between 0xc0000 and 0xfffff: where reads and writes go. */
export interface PamSegment {
  readonly base: number;
  readonly size: number;
  /** Reads come from RAM instead of ROM. */
  readonly readRam: boolean;
  /** Writes go to RAM; else they go nowhere. */
  readonly writeRam: boolean;
}

const PAM0 = 0x59;
const PAM_COUNT = 7;
const SMRAM = 0x72;

/**
 * 82441FX: Programmable Attribute Map at 0x59–0x5f, two areas per register:
 *
 *      7  6   5    4    3  2   1    0
 *     | 0 0 | WE | RE | 0 0 | WE | RE |     PAM0 7:4 is 0xf0000; PAM1 3:0 is 0xc0000, PAM1 7:4 0xc4000 …
 */
export class HostBridge440fx extends ChipsetFunction {
  private readonly onPam: ((segments: PamSegment[]) => void) | undefined;

  /** `onPam` is called with all areas whenever the guest changes one. */
  constructor(onPam?: (segments: PamSegment[]) => void) {
    super("440fx", { vendor: INTEL, device: 0x1237, classCode: 0x06_0000, revision: 2, ...SUBSYSTEM });
    this.onPam = onPam;
    // Memory and bus mastering cannot be turned off.
    this.define(COMMAND, 2, COMMAND_MEMORY | COMMAND_MASTER, 0x0100);
    this.define(PAM0, 1, 0, 0x30);
    for (let i = 1; i < PAM_COUNT; i++) this.define(PAM0 + i, 1, 0, 0x33);
    this.define(SMRAM, 1, 0x02, 0x78);
  }

  pam(): PamSegment[] {
    const segment = (base: number, size: number, bits: number): PamSegment => {
      return { base, size, readRam: (bits & 1) !== 0, writeRam: (bits & 2) !== 0 };
    };
    const segments = [segment(0xf_0000, 0x1_0000, this.config[PAM0] >> 4)];
    for (let i = 0; i < 12; i++) {
      segments.push(segment(0xc_0000 + i * 0x4000, 0x4000, this.config[PAM0 + 1 + (i >> 1)] >> (4 * (i & 1))));
    }
    return segments;
  }

  protected override configChanged(offset: number, size: number): void {
    if (offset < PAM0 + PAM_COUNT && offset + size > PAM0) this.onPam?.(this.pam());
  }
}

const PIRQRC = 0x60;
const PIRQ_DISABLED = 0x80;

export interface Piix3Options {
  /** Where PIRQA#–PIRQD# go when the guest runs on the IOAPIC: its inputs 16–19. */
  readonly gsi: (n: number) => InterruptPin;
  /** 8259 input for the ISA interrupt that a PIRQ is steered to. Not the IOAPIC's: it would see it twice. */
  readonly isa: (irq: number) => InterruptPin;
  /** What firmware would have programmed: ISA interrupt of each PIRQ. Default: not steered. */
  readonly routes?: readonly number[];
}

/**
 * PIIX3 ISA bridge, with interrupt steering:
 *
 *     0x60–0x63  PIRQRC[A:D]   disabled 7 | 0 0 0 | ISA interrupt 3:0
 */
export class IsaBridgePiix3 extends ChipsetFunction {
  private readonly piix: Piix3Options;
  private readonly levels = [false, false, false, false];
  /** ISA interrupts held active by a PIRQ. */
  private held = new Set<number>();

  constructor(options: Piix3Options) {
    super("piix3", { vendor: INTEL, device: 0x7000, classCode: 0x06_0100, ...SUBSYSTEM });
    this.piix = options;
    this.define(COMMAND, 2, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER, 0x0108);
    // I/O recovery, X-bus chip select, top of memory: kept for software, of no effect.
    this.define(0x4c, 1, 0x4d, 0xff);
    this.define(0x4e, 2, 0x0003, 0x01ff);
    this.define(0x69, 1, 0x02, 0xff);
    for (let n = 0; n < 4; n++) this.define(PIRQRC + n, 1, options.routes?.[n] ?? PIRQ_DISABLED, 0x8f);
  }

  /** Wire PIRQA# (0) … PIRQD# (3). */
  pirq(n: number): InterruptPin {
    return {
      set: (asserted) => {
        this.levels[n] = asserted;
        this.piix.gsi(n).set(asserted);
        this.steer();
      },
    };
  }

  protected override configChanged(offset: number, size: number): void {
    if (offset < PIRQRC + 4 && offset + size > PIRQRC) this.steer();
  }

  private steer(): void {
    const wanted = new Set<number>();
    for (let n = 0; n < 4; n++) {
      const route = this.config[PIRQRC + n];
      if (this.levels[n] && (route & PIRQ_DISABLED) === 0) wanted.add(route & 0x0f);
    }
    for (const irq of this.held) if (!wanted.has(irq)) this.piix.isa(irq).set(false);
    for (const irq of wanted) this.piix.isa(irq).set(true);
    this.held = wanted;
  }
}

const PMBASE = 0x40;
const PMBASE_MASK = 0xffc0;
const DEVACTB = 0x58;
/** DEVACTB: writes to the SMI command port raise an SMI. */
const APMC_EN = 0x0200_0000;
const PMREGMISC = 0x80;
const PMIOSE = 0x01;

/**
 * PIIX4 power management function: says where the ACPI ports are.
 *
 *     0x40  PMBASE      base 15:6 | 0 … | 1
 *     0x58  DEVACTB     APMC_EN 25
 *     0x80  PMREGMISC   PMIOSE 0: the ports at PMBASE answer
 *
 * APMC_EN is on from reset: SeaBIOS takes that for a machine whose firmware has set up SMM, and leaves SMM alone.
 */
export class AcpiPiix4 extends ChipsetFunction {
  private readonly onPmBase: (base: number | undefined) => void;
  private placed: number | undefined;

  /** `onPmBase` is called when the ports move (undefined: they are off). `base` is what firmware would have set. */
  constructor(onPmBase: (base: number | undefined) => void, base?: number) {
    super("piix4pm", {
      vendor: INTEL,
      device: 0x7113,
      classCode: 0x06_8000,
      revision: 3,
      interruptPin: 1,
      ...SUBSYSTEM,
    });
    this.onPmBase = onPmBase;
    this.define(COMMAND, 2, base === undefined ? 0 : COMMAND_IO, COMMAND_IO);
    this.define(0x3c, 1, SCI_IRQ);
    this.define(PMBASE, 4, (base ?? 0) | 1, PMBASE_MASK);
    this.define(DEVACTB, 4, APMC_EN, 0xffff_ffff & ~APMC_EN);
    this.define(PMREGMISC, 1, base === undefined ? 0 : PMIOSE, PMIOSE);
    this.announce();
  }

  protected override configChanged(): void {
    this.announce();
  }

  private announce(): void {
    const base = this.readConfig(PMBASE, 2) & PMBASE_MASK;
    const wanted = this.config[PMREGMISC] & PMIOSE && base !== 0 ? base : undefined;
    if (wanted === this.placed) return;
    this.placed = wanted;
    this.onPmBase(wanted);
  }
}
