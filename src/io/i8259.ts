/**
 * One Intel 8259A programmable interrupt controller, as built into PIIX3 and ICH: `vatpic.ts` makes the pair of it.
 * (Intel 8259A datasheet, order number 231468; PIIX3 datasheet, 4.2 and "Interrupt Controller Registers".)
 *
 * What it does not do: MCS-80 mode (vectors are always 8086 vectors; logged), buffered mode (no bus buffers here),
 * LTIM in ICW1 (these chipsets replace it by the ELCR).
 *
 * Deviation: an edge stays latched in IRR until it is acknowledged. By the datasheet it goes away with the input,
 * and the acknowledge then finds IR7. Our pins pulse in no time at all (an HPET comparator routed to IRQ 0 does),
 * so a pulse would only ever be seen as spurious. The cascade input is our own wire and does follow the slave.
 */

import type { Log } from "../shared/device.ts";
import type { SnapshotFields } from "./snapshotFields.ts";

// ICW1 (A0 = 0, D4 = 1)   |  -  -  -  1 | LTIM  ADI  SNGL  IC4 |
const ICW1 = 0x10;
const ICW1_SNGL = 0x02;
const ICW1_IC4 = 0x01;
// ICW2 (A0 = 1)           | T7 T6 T5 T4 |   T3    -     -    - |   vector bits 7..3
const ICW2_T = 0xf8;
// ICW4 (A0 = 1)           |  -  -  - SFNM | BUF  M/S  AEOI  uPM |
const ICW4_SFNM = 0x10;
const ICW4_AEOI = 0x02;
const ICW4_UPM = 0x01;
// OCW2 (A0 = 0, D4..3=00) |  R SL EOI 0 |    0   L2    L1   L0 |
const OCW2_R = 0x80;
const OCW2_SL = 0x40;
const OCW2_EOI = 0x20;
const OCW2_L = 0x07;
// OCW3 (A0 = 0, D4..3=01) |  - ESMM SMM 0 |  1    P    RR  RIS |
const OCW3 = 0x08;
const OCW3_ESMM = 0x40;
const OCW3_SMM = 0x20;
const OCW3_P = 0x04;
const OCW3_RR = 0x02;
const OCW3_RIS = 0x01;
/** Poll word: | I - - - | - W2 W1 W0 | */
const POLL_I = 0x80;

/** Which initialization word the data port takes next; `ready` makes it OCW1. */
type Phase = (typeof PHASES)[number];
const PHASES = ["reset", "icw2", "icw3", "icw4", "ready"] as const;

/** Saved state of one 8259A. Bit n of a mask is input IRn. */
export interface I8259V1 {
  /** Levels of the inputs now. */
  lines: number;
  /** Edges seen and not yet acknowledged. */
  edges: number;
  imr: number;
  isr: number;
  elcr: number;
  phase: Phase;
  icw1: number;
  icw2: number;
  icw3: number;
  icw4: number;
  /** IR number that has the lowest priority. */
  lowest: number;
  rotateOnAeoi: boolean;
  specialMask: boolean;
  poll: boolean;
  readIsr: boolean;
}

/** What the chip's surroundings decide. */
export interface I8259Options {
  readonly name: string;
  /** Inputs that may be level triggered: the bits of the ELCR that can be set. */
  readonly elcrMask: number;
  /** Inputs with a slave's INT output on them. */
  readonly cascade: number;
  readonly log: Log;
}

/** One 8259A. Whoever owns it reads `interrupt()` after each call and drives INT with it. */
export class I8259 {
  private readonly options: I8259Options;
  private state: I8259V1 = powerOn();

  constructor(options: I8259Options) {
    this.options = options;
  }

  /** RESET line: forgets everything but the levels of the inputs. */
  reset(): void {
    this.state = { ...powerOn(), lines: this.state.lines };
  }

  /** The input `ir` (0..7) takes this level. */
  setLine(ir: number, asserted: boolean): void {
    const s = this.state;
    const bit = 1 << ir;
    if (!asserted) {
      s.lines &= ~bit;
      if ((this.options.cascade & bit) !== 0) s.edges &= ~bit;
    } else if ((s.lines & bit) === 0) {
      s.lines |= bit;
      s.edges |= bit & ~s.elcr;
    }
  }

  /** The INT output: a request that may interrupt what is in service. */
  interrupt(): boolean {
    return this.highest() !== undefined;
  }

  /** INTA: the request that wins goes into service. Undefined if it has gone: the chip then answers as IR7. */
  acknowledge(): number | undefined {
    const ir = this.highest();
    if (ir === undefined) return undefined;
    const s = this.state;
    s.edges &= ~(1 << ir);
    if ((s.icw4 & ICW4_AEOI) === 0) s.isr |= 1 << ir;
    else if (s.rotateOnAeoi) s.lowest = ir;
    return ir;
  }

  /** The vector of an input; undefined (nothing was left to acknowledge) is the spurious one, IR7. */
  vector(ir: number | undefined): number {
    return this.state.icw2 | (ir ?? 7);
  }

  /** True if ICW1 and ICW3 say that a slave answers for this input. */
  hasSlave(ir: number): boolean {
    const s = this.state;
    return (s.icw1 & ICW1_SNGL) === 0 && (s.icw3 & this.options.cascade & (1 << ir)) !== 0;
  }

  /** Reads port A0 = 0 (IRR, ISR) or A0 = 1 (IMR); after a poll command, either is the poll word and acknowledges. */
  read(a0: number): number {
    const s = this.state;
    if (s.poll) {
      s.poll = false;
      const ir = this.acknowledge();
      return ir === undefined ? 0 : POLL_I | ir;
    }
    if (a0 === 1) return s.imr;
    return s.readIsr ? s.isr : this.irr();
  }

  write(a0: number, value: number): void {
    if (a0 === 1) this.writeData(value);
    else if ((value & ICW1) !== 0) this.writeIcw1(value);
    else if ((value & OCW3) !== 0) this.writeOcw3(value);
    else this.writeOcw2(value);
  }

  readElcr(): number {
    return this.state.elcr;
  }

  writeElcr(value: number): void {
    const s = this.state;
    s.elcr = value & this.options.elcrMask;
    s.edges &= ~s.elcr;
  }

  export(): I8259V1 {
    return { ...this.state };
  }

  /** Checks a saved state and returns what `import` takes. */
  check(fields: SnapshotFields): I8259V1 {
    const elcr = fields.u8("elcr");
    if ((elcr & ~this.options.elcrMask) !== 0) fields.fail("elcr", `${elcr} has bits this chip does not`);
    return {
      lines: fields.u8("lines"),
      edges: fields.u8("edges"),
      imr: fields.u8("imr"),
      isr: fields.u8("isr"),
      elcr,
      phase: fields.oneOf("phase", PHASES),
      icw1: fields.u8("icw1"),
      icw2: fields.u8("icw2") & ICW2_T,
      icw3: fields.u8("icw3"),
      icw4: fields.u8("icw4"),
      lowest: fields.int("lowest", 0, 7),
      rotateOnAeoi: fields.bool("rotateOnAeoi"),
      specialMask: fields.bool("specialMask"),
      poll: fields.bool("poll"),
      readIsr: fields.bool("readIsr"),
    };
  }

  import(checked: I8259V1): void {
    this.state = { ...checked };
  }

  private irr(): number {
    return this.state.edges | (this.state.lines & this.state.elcr);
  }

  /** The first input of the mask in order of priority, undefined if it is empty. */
  private first(mask: number): number | undefined {
    for (let i = 1; i <= 8; i++) {
      const ir = (this.state.lowest + i) & 7;
      if ((mask & (1 << ir)) !== 0) return ir;
    }
    return undefined;
  }

  /**
   * The request INTA would take. Inputs in service hold back those of their own and of lower priority; in the
   * special mask mode the masked ones of them do not; in the special fully nested mode a slave may come again.
   */
  private highest(): number | undefined {
    const s = this.state;
    if (s.phase !== "ready") return undefined;
    const request = this.first(this.irr() & ~s.imr);
    if (request === undefined) return undefined;
    const serving = this.first(s.specialMask ? s.isr & ~s.imr : s.isr);
    if (serving === undefined) return request;
    if (request === serving) return (s.icw4 & ICW4_SFNM) !== 0 && this.hasSlave(request) ? request : undefined;
    return this.rank(request) < this.rank(serving) ? request : undefined;
  }

  /** 0 for the highest priority, 7 for the lowest. */
  private rank(ir: number): number {
    return (ir - this.state.lowest - 1) & 7;
  }

  /** ICW1 forgets edges, mask and modes; a new low-to-high edge is needed then (8259A datasheet, "ICW1 and ICW2"). */
  private writeIcw1(value: number): void {
    const { lines, elcr, icw2, icw3 } = this.state;
    this.state = { ...powerOn(), lines, elcr, icw1: value, icw2, icw3, imr: 0, phase: "icw2" };
  }

  private writeData(value: number): void {
    const s = this.state;
    const needs4 = (s.icw1 & ICW1_IC4) !== 0;
    switch (s.phase) {
      case "icw2":
        s.icw2 = value & ICW2_T;
        if ((s.icw1 & ICW1_SNGL) === 0) s.phase = "icw3";
        else this.finish(needs4);
        break;
      case "icw3":
        s.icw3 = value;
        this.finish(needs4);
        break;
      case "icw4":
        s.icw4 = value;
        this.finish(false);
        break;
      default:
        s.imr = value;
    }
  }

  private finish(needs4: boolean): void {
    const s = this.state;
    s.phase = needs4 ? "icw4" : "ready";
    if (!needs4 && (s.icw4 & ICW4_UPM) === 0) {
      this.options.log(`${this.options.name}: MCS-80 mode asked for; it delivers 8086 vectors`);
    }
  }

  private writeOcw2(value: number): void {
    const s = this.state;
    const rotate = (value & OCW2_R) !== 0;
    const level = value & OCW2_L;
    if ((value & OCW2_EOI) !== 0) {
      // A non-specific EOI passes over what the special mask mode has masked.
      const served = s.specialMask ? s.isr & ~s.imr : s.isr;
      const ir = (value & OCW2_SL) !== 0 ? level : this.first(served);
      if (ir === undefined) return;
      s.isr &= ~(1 << ir);
      if (rotate) s.lowest = ir;
    } else if ((value & OCW2_SL) === 0) {
      s.rotateOnAeoi = rotate;
    } else if (rotate) {
      s.lowest = level;
    }
  }

  private writeOcw3(value: number): void {
    const s = this.state;
    if ((value & OCW3_ESMM) !== 0) s.specialMask = (value & OCW3_SMM) !== 0;
    if ((value & OCW3_P) !== 0) s.poll = true;
    else if ((value & OCW3_RR) !== 0) s.readIsr = (value & OCW3_RIS) !== 0;
  }
}

/** Before ICW1 the chip asks for nothing, whatever its inputs do. */
function powerOn(): I8259V1 {
  return {
    lines: 0,
    edges: 0,
    imr: 0xff,
    isr: 0,
    elcr: 0,
    phase: "reset",
    icw1: 0,
    icw2: 0,
    icw3: 0,
    icw4: 0,
    lowest: 7,
    rotateOnAeoi: false,
    specialMask: false,
    poll: false,
    readIsr: false,
  };
}
