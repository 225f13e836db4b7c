/**
 * The real-time clock and CMOS memory of a PC: MC146818 with 128 bytes, behind ports 0x70 and 0x71.
 * (Motorola MC146818 datasheet; the day, hour and flag semantics of the PIIX3 and ICH datasheets agree with it.)
 *
 *     0x70   | NMI_DIS | index 6..0 |  write only          0x71   the byte at that index
 *
 *     0x00 seconds   0x01 seconds alarm   0x02 minutes   0x03 minutes alarm   0x04 hours   0x05 hours alarm
 *     0x06 day of week (1 = Sunday)       0x07 day of month     0x08 month     0x09 year     0x32 century
 *     0x0a  A | UIP DV2 DV1 DV0 | RS3 RS2 RS1 RS0 |        0x0b  B | SET PIE AIE UIE | SQWE DM 24/12 DSE |
 *     0x0c  C | IRQF PF AF UF | 0 0 0 0 |                  0x0d  D | VRT 0 0 0 | 0 0 0 0 |
 *
 * Nothing ticks: the registers are brought up to date when they are looked at, and one deadline stands for the next
 * event whose interrupt is enabled. An update ends on the divider chain's full second; UIP is set for the 244 µs
 * before the update cycle and the 1984 µs of the cycle itself (32.768 kHz time base).
 *
 * What it does not do: daylight saving (DSE), the square wave pin (SQWE), time bases other than 32.768 kHz, days and
 * dates in the alarm. While the registers hold no valid date, they stand still. The century byte is battery-backed
 * RAM on a PC; as in chipsets that keep it, it follows the year here.
 */

import type { Clock, Deadline, Device, InterruptPin, Log, Timers } from "../shared/device.ts";
import { noLog } from "../shared/device.ts";
import { bytePorts, type PortRange } from "./portRange.ts";
import { CENTURY, isTimeRegister, RtcCalendar } from "./rtcCalendar.ts";
import { SnapshotFields } from "./snapshotFields.ts";

const REG_A = 0x0a;
const REG_B = 0x0b;
const REG_C = 0x0c;
const REG_D = 0x0d;
const A_UIP = 0x80;
const A_DV = 0x70;
const A_RS = 0x0f;
const A_DV_32KHZ = 0x20;
const B_SET = 0x80;
const B_PIE = 0x40;
const B_AIE = 0x20;
const B_UIE = 0x10;
const B_SQWE = 0x08;
const B_24H = 0x02;
const C_IRQF = 0x80;
const C_PF = 0x40;
const C_AF = 0x20;
const C_UF = 0x10;
const D_VRT = 0x80;
const NMI_DISABLE = 0x80;

const SECOND = 1_000_000_000n;
const CRYSTAL_HZ = 32_768n;
/** UIP before the end of the update: t_BUC + t_UC. */
const UIP_NS = 244_000n + 1_984_000n;
/** "The first update cycle begins one-half second" after the divider chain was released. */
const AFTER_DIVIDER_RESET = SECOND / 2n;

const SIZE = 128;
const CHECKSUM_FIRST = 0x10;
const CHECKSUM_LAST = 0x2d;
const CHECKSUM = 0x2e;

export interface VrtcV1 {
  version: 1;
  bytes: Uint8Array;
  /** What port 0x70 holds, with the NMI bit. */
  index: number;
  /** ns from the start of the divider chain to the time of saving. */
  chain: bigint;
  /** ns from the start of the divider chain to the last time the registers were brought up to date. */
  settled: bigint;
}

export interface VrtcOptions {
  readonly timers: Timers;
  /** IRQ 8 (active high here; the board inverts it). */
  readonly irq8: InterruptPin;
  /** UTC (or local time, if the guest wants that) at guest time 0, in seconds since 1970-01-01; may have a fraction. */
  readonly wallClockSeconds: number;
  /** Bit 7 of port 0x70 changed: the machine masks NMI while it is set. */
  readonly onNmiDisable?: (disabled: boolean) => void;
  readonly log?: Log;
}

/** The MC146818 and its CMOS memory. */
export class Vrtc implements Device<VrtcV1> {
  readonly name = "vrtc";
  /** Ports for the machine to map. */
  readonly handlers: readonly PortRange[];
  private readonly clock: Clock;
  private readonly pin: InterruptPin;
  private readonly onNmiDisable: (disabled: boolean) => void;
  private readonly deadline: Deadline;
  private readonly bytes = new Uint8Array(SIZE);
  private readonly calendar: RtcCalendar;
  private index = 0;
  /** Guest time at which the divider chain started; updates end at full seconds from here. */
  private start: bigint;
  /** Up to when, from `start`, the registers and flags are right. */
  private settled: bigint;

  constructor(options: VrtcOptions) {
    this.clock = options.timers;
    this.pin = options.irq8;
    this.onNmiDisable = options.onNmiDisable ?? (() => {});
    this.deadline = options.timers.deadline("vrtc", () => this.sync());
    this.calendar = new RtcCalendar(this.bytes, options.log ?? noLog);
    this.bytes[REG_A] = A_DV_32KHZ | 6; // 1024 Hz, as every PC BIOS leaves it
    this.bytes[REG_B] = B_24H;
    this.bytes[REG_D] = D_VRT;
    const now = this.clock.now();
    const whole = Math.floor(options.wallClockSeconds);
    const wall = BigInt(whole) * SECOND + BigInt(Math.trunc((options.wallClockSeconds - whole) * 1e9)) + now;
    this.calendar.set(Number(wall / SECOND));
    this.settled = wall % SECOND;
    this.start = now - this.settled;
    this.handlers = [
      bytePorts(0x70, 2, {
        read: (offset) => (offset === 0 ? 0xff : this.read()),
        write: (offset, value) => (offset === 0 ? this.select(value) : this.write(value)),
      }),
    ];
  }

  /** RESET: interrupts off, flags clear; time, memory and divider go on (MC146818 datasheet, "RESET"). */
  reset(): void {
    this.settle();
    this.bytes[REG_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    this.bytes[REG_C] = 0;
    this.select(0);
    this.raise();
    this.arm();
  }

  /**
   * Sets a byte of the CMOS memory, as the firmware would find it; the checksum at 0x2e follows.
   * @throws RangeError for an index that is not one of memory (0x0e..0x7f without the century)
   */
  setCmos(index: number, value: number): void {
    if (!Number.isInteger(index) || index <= REG_D || index >= SIZE || index === CENTURY) {
      throw new RangeError(`vrtc: 0x${index.toString(16)} is not a byte of CMOS memory`);
    }
    this.bytes[index] = value;
    let sum = 0;
    for (let i = CHECKSUM_FIRST; i <= CHECKSUM_LAST; i++) sum += this.bytes[i];
    this.bytes[CHECKSUM] = sum >> 8;
    this.bytes[CHECKSUM + 1] = sum & 0xff;
  }

  /**
   * Writes the memory sizes where PC firmware keeps them.
   * @param below4G bytes of RAM from address 0 up; @param above4G bytes of RAM from 4 GiB up
   */
  setMemorySize(below4G: number, above4G: number): void {
    const set = (index: number, count: number, value: number) => {
      for (let i = 0; i < count; i++) this.setCmos(index + i, Math.trunc(value / 2 ** (8 * i)) & 0xff);
    };
    const units = (bytes: number, unit: number, max = 0xffff) => Math.min(Math.max(Math.trunc(bytes / unit), 0), max);
    const extended = units(below4G - 0x10_0000, 1024);
    set(0x15, 2, units(below4G, 1024, 640)); // KiB of base memory
    set(0x17, 2, extended); // KiB above 1 MiB
    set(0x30, 2, extended); // the same, as found by the power-on test
    set(0x34, 2, units(below4G - 0x100_0000, 0x1_0000)); // 64 KiB above 16 MiB
    set(0x5b, 3, units(above4G, 0x1_0000, 0xff_ffff)); // 64 KiB above 4 GiB
  }

  export(): VrtcV1 {
    const chain = this.clock.now() - this.start;
    return { version: 1, bytes: this.bytes.slice(), index: this.index, chain, settled: this.settled };
  }

  import(state: VrtcV1): void {
    const fields = new SnapshotFields(this.name, state).version(1);
    const bytes = fields.bytes("bytes", SIZE);
    const index = fields.u8("index");
    const chain = fields.bigint("chain", 0n, 1n << 63n);
    const settled = fields.bigint("settled", 0n, chain);
    this.bytes.set(bytes);
    this.index = index;
    this.start = this.clock.now() - chain;
    this.settled = settled;
    this.onNmiDisable((index & NMI_DISABLE) !== 0);
    this.pin.set((this.bytes[REG_C] & C_IRQF) !== 0);
    this.arm();
  }

  private select(value: number): void {
    const changed = (value ^ this.index) & NMI_DISABLE;
    this.index = value;
    if (changed !== 0) this.onNmiDisable((value & NMI_DISABLE) !== 0);
  }

  private read(): number {
    const index = this.index & ~NMI_DISABLE;
    this.settle();
    if (index === REG_A) return this.bytes[REG_A] | (this.updateInProgress() ? A_UIP : 0);
    const value = this.bytes[index];
    if (index === REG_C) {
      this.bytes[REG_C] = 0;
      this.pin.set(false);
      this.arm();
    }
    return value;
  }

  private write(value: number): void {
    const index = this.index & ~NMI_DISABLE;
    this.settle();
    if (index === REG_A) this.writeA(value);
    else if (index === REG_B) this.writeB(value);
    else if (index !== REG_C && index !== REG_D) this.bytes[index] = value;
    if (isTimeRegister(index)) this.calendar.written();
    this.sync();
  }

  private writeA(value: number): void {
    const held = !this.dividing();
    this.bytes[REG_A] = value & ~A_UIP;
    if (held && this.dividing()) {
      this.settled = SECOND - AFTER_DIVIDER_RESET;
      this.start = this.clock.now() - this.settled;
    }
  }

  private writeB(value: number): void {
    this.bytes[REG_B] = (value & B_SET) !== 0 ? value & ~B_UIE : value;
  }

  /** The divider chain runs (DV 000 and 001 would, with other crystals than ours; the rest is reset or test). */
  private dividing(): boolean {
    return (this.bytes[REG_A] & A_DV) <= A_DV_32KHZ;
  }

  /** Once a second the time registers are updated. */
  private updating(): boolean {
    return this.dividing() && (this.bytes[REG_B] & B_SET) === 0;
  }

  private updateInProgress(): boolean {
    return this.updating() && this.settled % SECOND >= SECOND - UIP_NS;
  }

  /** Crystal periods between two periodic interrupts, 0 if there are none. RS 1 and 2 repeat 8 and 9. */
  private period(): bigint {
    const rs = this.bytes[REG_A] & A_RS;
    return rs === 0 ? 0n : 1n << BigInt(rs < 3 ? rs + 6 : rs - 1);
  }

  /** Brings registers and flags up to now, and the pin with them. */
  private settle(): void {
    const now = this.clock.now() - this.start;
    const before = this.settled;
    this.settled = now;
    if (!this.dividing()) return;
    let flags = 0;
    const period = this.period();
    if (period > 0n) {
      const scale = SECOND * period;
      if ((now * CRYSTAL_HZ) / scale !== (before * CRYSTAL_HZ) / scale) flags |= C_PF;
    }
    const updates = Number(now / SECOND - before / SECOND);
    if (updates > 0 && this.updating()) {
      const alarm = this.calendar.secondsToAlarm();
      if (alarm !== undefined && alarm <= updates) flags |= C_AF;
      flags |= C_UF;
      this.calendar.advance(updates);
    }
    this.bytes[REG_C] |= flags;
    this.raise();
  }

  /** IRQF, and the pin with it, follows flags and enables; PIE, AIE and UIE lie where PF, AF and UF do. */
  private raise(): void {
    const flags = this.bytes[REG_C] & (C_PF | C_AF | C_UF);
    const irq = (flags & this.bytes[REG_B]) !== 0;
    this.bytes[REG_C] = irq ? flags | C_IRQF : flags;
    this.pin.set(irq);
  }

  private sync(): void {
    this.settle();
    this.raise();
    this.arm();
  }

  /** Asks for the next event whose interrupt is enabled. None is needed while the pin is up: reading C comes first. */
  private arm(): void {
    const next = (this.bytes[REG_C] & C_IRQF) === 0 && this.dividing() ? this.nextEvent() : undefined;
    if (next === undefined) this.deadline.cancel();
    else this.deadline.arm(this.start + next);
  }

  /** ns from `start`. */
  private nextEvent(): bigint | undefined {
    const b = this.bytes[REG_B];
    const events: bigint[] = [];
    const period = this.period();
    if ((b & B_PIE) !== 0 && period > 0n) {
      const scale = SECOND * period;
      const edge = (this.settled * CRYSTAL_HZ) / scale + 1n;
      events.push((edge * scale + CRYSTAL_HZ - 1n) / CRYSTAL_HZ);
    }
    if (this.updating()) {
      const second = this.settled / SECOND;
      if ((b & B_UIE) !== 0) events.push((second + 1n) * SECOND);
      const alarm = (b & B_AIE) !== 0 ? this.calendar.secondsToAlarm() : undefined;
      if (alarm !== undefined) events.push((second + BigInt(alarm)) * SECOND);
    }
    return events.reduce<bigint | undefined>((min, at) => (min === undefined || at < min ? at : min), undefined);
  }
}
