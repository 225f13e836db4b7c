/**
 * vioapic: the Intel 82093AA I/O APIC: 24 interrupt inputs, each with a redirection entry that says which message it
 * sends to the local APICs (apicBus.ts).
 *
 * It reports version 0x11, that of the 82093AA, as the MP table does; so there is no EOI register at 0x40, which came
 * with version 0x20. Guests that need to end a level-triggered interrupt by hand then switch the entry to edge and
 * back, which clears Remote IRR here as they expect (the datasheet calls the bit undefined for edge).
 *
 * Not there: the INTPOL bit means nothing (a pin is told "asserted", whatever voltage that is on the board), delivery
 * status always reads idle, SMI, arbitration (the ARB register follows ID).
 *
 *     0x00  IOREGSEL    7:0 register for IOWIN           IOREGSEL  0  ID    27:24 id
 *     0x10  IOWIN       32 bits of it                              1  VER   23:16 highest entry, 7:0 version
 *                                                                  2  ARB   27:24
 *                                                          0x10 + 2n  redirection entry n, low half; + 1 high half
 *
 *     63      56 55     17  16 15  14  13  12  11  10    8 7      0
 *     +---------+---------+---+---+---+---+---+---+-------+--------+
 *     |  dest   |    0    | M |TM |IRR|POL|DS |LOG| deliv | vector |
 *     +---------+---------+---+---+---+---+---+---+-------+--------+
 */

import type { Device, InterruptPin, IoHandler, Log, Width } from "../shared/device.ts";
import { noLog } from "../shared/device.ts";
import type { ApicBus, ApicBusListener, ApicMessage } from "./apicBus.ts";
import { DELIVERY, DELIVERY_SHIFT } from "./apicRegs.ts";
import { SnapshotFields } from "./snapshotFields.ts";

export const IOAPIC_PINS = 24;
export const IOAPIC_VERSION = 0x11;

const IOREGSEL = 0x00;
const IOWIN = 0x10;
const REG_ID = 0;
const REG_VER = 1;
const REG_ARB = 2;
const REG_ENTRIES = 0x10;
const ID_MASK = 0x0f00_0000;

const RTE_LOGICAL = 1 << 11;
const RTE_REMOTE_IRR = 1 << 14;
const RTE_LEVEL = 1 << 15;
const RTE_MASKED = 1 << 16;
/** What software can write in the two halves: not DS and Remote IRR. */
const RTE_LOW_WRITABLE = 0x1_afff;
const RTE_HIGH_WRITABLE = 0xff00_0000;

export interface VioapicV1 {
  version: 1;
  /** The ID register. */
  id: number;
  select: number;
  /** Redirection entries, low and high halves. */
  low: number[];
  high: number[];
  /** Bit n: input n is asserted. */
  lines: number;
}

export class Vioapic implements IoHandler, ApicBusListener, Device<VioapicV1> {
  readonly name = "vioapic";
  private readonly bus: ApicBus;
  private readonly log: Log;
  private id = 0;
  private select = 0;
  private readonly low: number[] = new Array(IOAPIC_PINS).fill(RTE_MASKED);
  private readonly high: number[] = new Array(IOAPIC_PINS).fill(0);
  private readonly lines: boolean[] = new Array(IOAPIC_PINS).fill(false);
  /** Some local APIC has been told that ExtINT is asserted. */
  private extint = false;

  /** Listens on the bus for EOIs. */
  constructor(bus: ApicBus, log: Log = noLog) {
    this.bus = bus;
    this.log = log;
    bus.listen(this);
  }

  /**
   * Input n. Several devices on one input are OR-ed by the board.
   * @throws RangeError if there is no such input
   */
  pin(n: number): InterruptPin {
    if (!Number.isInteger(n) || n < 0 || n >= IOAPIC_PINS) throw new RangeError(`vioapic: no input ${n}`);
    return { set: (asserted) => this.setLine(n, asserted) };
  }

  /** RESET: everything masked. The inputs stay as the devices drive them. */
  reset(): void {
    this.id = 0;
    this.select = 0;
    this.low.fill(RTE_MASKED);
    this.high.fill(0);
    this.updateExtint();
  }

  read(offset: number, size: Width): number {
    const at = offset & 3;
    const register = offset - at;
    let value = 0;
    if (register === IOREGSEL) value = this.select;
    else if (register === IOWIN) value = this.readRegister();
    else this.log(`vioapic: read at 0x${offset.toString(16)}`);
    return ((value >>> (8 * at)) & (size === 4 ? 0xffff_ffff : 2 ** (8 * size) - 1)) >>> 0;
  }

  write(offset: number, size: Width, value: number): void {
    if (offset === IOREGSEL) this.select = value & 0xff;
    else if (offset === IOWIN && size === 4) this.writeRegister(value);
    else this.log(`vioapic: write of ${size} bytes at 0x${offset.toString(16)} ignored`);
  }

  /** A local APIC has ended a level-triggered interrupt; if the input is still asserted, it is sent again. */
  eoi(vector: number): void {
    for (let n = 0; n < IOAPIC_PINS; n++) {
      if ((this.low[n] & 0xff) !== vector || (this.low[n] & RTE_REMOTE_IRR) === 0) continue;
      this.low[n] &= ~RTE_REMOTE_IRR;
      this.deliverLevel(n);
    }
  }

  retry(): void {
    for (let n = 0; n < IOAPIC_PINS; n++) this.deliverLevel(n);
    this.updateExtint();
  }

  export(): VioapicV1 {
    const lines = this.lines.reduce((bits, asserted, n) => bits | (asserted ? 1 << n : 0), 0);
    return { version: 1, id: this.id, select: this.select, low: [...this.low], high: [...this.high], lines };
  }

  /** Import after the local APICs and before the devices that drive the inputs. */
  import(state: VioapicV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const id = from.int("id", 0, ID_MASK);
    if ((id & ~ID_MASK) !== 0) from.fail("id", "bits outside the field");
    const select = from.u8("select");
    const lines = from.int("lines", 0, 2 ** IOAPIC_PINS - 1);
    const low = from.intsOf("low", IOAPIC_PINS, 0, RTE_LOW_WRITABLE | RTE_REMOTE_IRR);
    const high = from.intsOf("high", IOAPIC_PINS, 0, RTE_HIGH_WRITABLE);
    low.forEach((entry, n) => {
      const writable = isLevel(entry) ? RTE_LOW_WRITABLE | RTE_REMOTE_IRR : RTE_LOW_WRITABLE;
      if ((entry & ~writable) !== 0) from.fail(`low[${n}]`, `0x${entry.toString(16)} cannot be`);
      if ((high[n] & ~RTE_HIGH_WRITABLE) !== 0) from.fail(`high[${n}]`, `0x${high[n].toString(16)} cannot be`);
    });
    this.id = id;
    this.select = select;
    for (let n = 0; n < IOAPIC_PINS; n++) {
      this.low[n] = low[n];
      this.high[n] = high[n];
      this.lines[n] = ((lines >> n) & 1) !== 0;
    }
    this.retry();
  }

  private setLine(n: number, asserted: boolean): void {
    const edge = asserted && !this.lines[n];
    this.lines[n] = asserted;
    const entry = this.low[n];
    if (modeOf(entry) === DELIVERY.EXTINT) this.updateExtint();
    else if (isLevel(entry)) this.deliverLevel(n);
    // An edge on a masked input is lost (82093AA, 3.2.4, bit 16): guests know it of the real chip.
    else if (edge && (entry & RTE_MASKED) === 0) this.bus.deliver(this.message(n));
  }

  /** Sends a level-triggered interrupt that is asserted, unmasked and not being serviced yet. */
  private deliverLevel(n: number): void {
    const entry = this.low[n];
    if (!isLevel(entry) || !this.lines[n] || (entry & (RTE_MASKED | RTE_REMOTE_IRR)) !== 0) return;
    if (this.bus.deliver(this.message(n))) this.low[n] |= RTE_REMOTE_IRR;
  }

  /** ExtINT follows the input; the vector is the 8259's, so there is neither edge nor EOI here. */
  private updateExtint(): void {
    const messages: ApicMessage[] = [];
    for (let n = 0; n < IOAPIC_PINS; n++) {
      const entry = this.low[n];
      const asserted = this.lines[n] && (entry & RTE_MASKED) === 0;
      if (asserted && modeOf(entry) === DELIVERY.EXTINT) messages.push(this.message(n));
    }
    if (messages.length !== 0 || this.extint) this.bus.setExtint(messages);
    this.extint = messages.length !== 0;
  }

  private message(n: number): ApicMessage {
    const entry = this.low[n];
    return {
      destination: this.high[n] >>> 24,
      extended: false,
      logical: (entry & RTE_LOGICAL) !== 0,
      mode: modeOf(entry),
      vector: entry & 0xff,
      level: isLevel(entry),
    };
  }

  private readRegister(): number {
    switch (this.select) {
      case REG_ID:
      case REG_ARB:
        return this.id;
      case REG_VER:
        return IOAPIC_VERSION | ((IOAPIC_PINS - 1) << 16);
      default: {
        const n = (this.select - REG_ENTRIES) >> 1;
        if (n >= 0 && n < IOAPIC_PINS) return this.select & 1 ? this.high[n] : this.low[n];
        this.log(`vioapic: read of register 0x${this.select.toString(16)}`);
        return 0;
      }
    }
  }

  private writeRegister(value: number): void {
    const n = (this.select - REG_ENTRIES) >> 1;
    if (n >= 0 && n < IOAPIC_PINS) this.writeEntry(n, (this.select & 1) !== 0, value);
    else if (this.select === REG_ID) this.id = value & ID_MASK;
    else this.log(`vioapic: write to register 0x${this.select.toString(16)}`);
  }

  private writeEntry(n: number, high: boolean, value: number): void {
    if (high) {
      this.high[n] = (value & RTE_HIGH_WRITABLE) >>> 0;
    } else {
      const serviced = isLevel(value) ? this.low[n] & RTE_REMOTE_IRR : 0;
      this.low[n] = (value & RTE_LOW_WRITABLE) | serviced;
    }
    this.deliverLevel(n);
    this.updateExtint();
  }
}

function modeOf(entry: number): number {
  return (entry >> DELIVERY_SHIFT) & 7;
}

/** NMI, INIT and ExtINT are never level triggered, whatever the entry says (82093AA, 3.2.4, bits 10:8). */
function isLevel(entry: number): boolean {
  return (entry & RTE_LEVEL) !== 0 && modeOf(entry) <= DELIVERY.LOWEST_PRIORITY;
}
