/**
 * The PC's interval timer: an 8254 with three counters, and port 0x61 (NMI status and control), through which
 * software gates counter 2 and sees its OUT. `i8254.ts` is the counter itself.
 * (Intel 8254 datasheet; ICH datasheet, "NMI_SC — NMI Status and Control Register".)
 *
 *     0x40..0x42   counters 0 (IRQ 0), 1 (DRAM refresh), 2 (speaker)      0x43   control word, write only
 *
 *     control word   | SC1 SC0 RW1 RW0 | M2 M1 M0 BCD |   SC = 11: read-back, RW = 00: counter latch
 *     read-back      |  1   1  /COUNT /STATUS | CNT2 CNT1 CNT0 0 |
 *
 *     port 0x61      | SERR IOCHK OUT2 REF | IOCHK_EN SERR_EN SPKR GATE2 |   upper half read only; *_EN: 0 = enabled
 *
 * What it does not do: report SERR# or IOCHK# (nothing on this board raises them), sound but the square waves of counter 2
 * (software that moves the speaker itself by port 0x61 is not heard), couple the refresh
 * bit to counter 1 (as in ICH, it toggles every 18 pulses, 15.085 µs, whatever counter 1 does).
 *
 * IRQ 0 gets each rising edge of OUT0 on time, and OUT0's level whenever counter 0 is written. Falling edges between
 * are left out (in modes 2 and 3 they come with the next rise), which an edge-triggered receiver cannot see.
 */

import type { Deadline, Device, InterruptPin, Timers } from "../shared/device.ts";
import { I8254Counter, type I8254CounterV1 } from "./i8254.ts";
import { LateTicks } from "./lateTicks.ts";
import { bytePorts, type PortRange } from "./portRange.ts";
import { SnapshotFields } from "./snapshotFields.ts";

/** CLK of all three counters: 14.31818 MHz / 12. */
export const PIT_HZ = 1_193_182;

const HZ = BigInt(PIT_HZ);
const SECOND = 1_000_000_000n;
const CONTROL = 3;
const READ_BACK = 3;
const READ_BACK_NO_COUNT = 0x20;
const READ_BACK_NO_STATUS = 0x10;

const GATE2 = 0x01;
const PORT61_WRITABLE = 0x0f;
/** Gate and speaker. */
const AUDIBLE = 0x03;
const REFRESH = 0x10;
const OUT2 = 0x20;
const REFRESH_PULSES = 18;

/** Interrupts come no closer than 20 µs: a faster wave is merged, no guest could serve each edge. */
const IRQ_SPACING = 24;

export interface VatpitV1 {
  version: 1;
  /** The oscillator's phase at the time of saving, in units of 1/(10^9) CLK pulse since power-on. */
  oscillator: bigint;
  counters: I8254CounterV1[];
  /** Writable bits of port 0x61. */
  port61: number;
  /** CLK pulse of the next interrupt, -1 if none is to come. */
  rise: number;
  /** Level of IRQ 0. */
  irq: boolean;
}

/** The 8254 and port 0x61. Counts and OUT are computed from the clock when they are read. */
export class Vatpit implements Device<VatpitV1> {
  readonly name = "vatpit";
  /** Ports for the machine to map. */
  readonly handlers: readonly PortRange[];
  private readonly timers: Timers;
  private readonly pin: InterruptPin;
  private readonly deadline: Deadline;
  /** Not saved: a snapshot does not pass on what its host was late with. */
  private readonly late: LateTicks;
  private readonly counters = [new I8254Counter(true), new I8254Counter(true), new I8254Counter(false)];
  /** Added to now * HZ: the oscillator's phase when the clock read 0. */
  private phase = 0n;
  private port61 = 0;
  /** Called when the speaker's tone changes: Hz, 0 = silent. */
  onTone: (hz: number) => void = () => {};
  private tone = 0;
  private rise = -1;
  private irq = false;

  /** @param irq0 input 0 of the 8259A (and of the I/O APIC, as the board wires it) */
  constructor(timers: Timers, irq0: InterruptPin) {
    this.timers = timers;
    this.pin = irq0;
    this.deadline = timers.deadline("vatpit", () => this.fire());
    this.late = new LateTicks(timers, "vatpit late", () => this.pulse());
    this.handlers = [
      bytePorts(0x40, 4, {
        read: (offset) => (offset === CONTROL ? 0xff : this.counters[offset].read(this.now())),
        write: (offset, value) => (offset === CONTROL ? this.writeControl(value) : this.writeCount(offset, value)),
      }),
      bytePorts(0x61, 1, { read: () => this.readPort61(), write: (_, value) => this.writePort61(value) }),
    ];
  }

  reset(): void {
    for (const counter of this.counters) counter.reset();
    this.port61 = 0;
    this.rise = -1;
    this.deadline.cancel();
    this.late.forget();
    this.setIrq(false);
    this.sound();
  }

  export(): VatpitV1 {
    return {
      version: 1,
      oscillator: this.oscillator(),
      counters: this.counters.map((counter) => counter.export()),
      port61: this.port61,
      rise: this.rise,
      irq: this.irq,
    };
  }

  import(state: VatpitV1): void {
    const fields = new SnapshotFields(this.name, state).version(1);
    const limit = BigInt(Number.MAX_SAFE_INTEGER) * SECOND;
    const oscillator = fields.bigint("oscillator", 0n, limit);
    const counters = fields.children("counters", 3).map((child, index) => this.counters[index].check(child));
    const port61 = fields.int("port61", 0, PORT61_WRITABLE);
    const rise = fields.int("rise", -1, Number.MAX_SAFE_INTEGER);
    const irq = fields.bool("irq");
    this.phase = oscillator - this.timers.now() * HZ;
    counters.forEach((checked, index) => {
      this.counters[index].import(checked);
    });
    this.port61 = port61;
    this.irq = irq;
    this.late.forget();
    this.pin.set(irq);
    this.arm(rise < 0 ? undefined : rise);
    this.sound();
  }

  private oscillator(): bigint {
    return this.timers.now() * HZ + this.phase;
  }

  /** CLK pulses since power-on. */
  private now(): number {
    return Number(this.oscillator() / SECOND);
  }

  private writeControl(value: number): void {
    const select = value >> 6;
    const access = (value >> 4) & 3;
    const t = this.now();
    if (select === READ_BACK) {
      this.counters.forEach((counter, index) => {
        if ((value & (2 << index)) === 0) return;
        if ((value & READ_BACK_NO_COUNT) === 0) counter.latchCount(t);
        if ((value & READ_BACK_NO_STATUS) === 0) counter.latchStatus(t);
      });
    } else if (access === 0) {
      this.counters[select].latchCount(t);
    } else {
      const mode = (value >> 1) & 7;
      // M2 is "don't care" in modes 2 and 3.
      this.counters[select].program(t, access, mode > 5 ? mode - 4 : mode, (value & 1) !== 0);
      if (select === 0) this.sync(t);
      else if (select === 2) this.sound();
    }
  }

  private writeCount(index: number, value: number): void {
    const t = this.now();
    this.counters[index].write(t, value);
    if (index === 0) this.sync(t);
    else if (index === 2) this.sound();
  }

  /** The tone that is on, in Hz; 0 = silent. */
  get heard(): number {
    return this.tone;
  }

  /** Counter 2 is heard while its gate and the speaker are on. */
  private sound(): void {
    const { period } = this.counters[2];
    const tone = (this.port61 & AUDIBLE) === AUDIBLE && period !== undefined ? PIT_HZ / period : 0;
    if (tone === this.tone) return;
    this.tone = tone;
    this.onTone(tone);
  }

  private readPort61(): number {
    const t = this.now();
    const refresh = Math.trunc(t / REFRESH_PULSES) % 2 === 1;
    return this.port61 | (refresh ? REFRESH : 0) | (this.counters[2].out(t) ? OUT2 : 0);
  }

  private writePort61(value: number): void {
    this.port61 = value & PORT61_WRITABLE;
    this.counters[2].setGate(this.now(), (value & GATE2) !== 0);
    this.sound();
  }

  /** Counter 0 was written: deliver an edge the timer has not got to yet, then follow OUT and look for the next. */
  private sync(t: number): void {
    if (this.rise >= 0 && this.rise <= t) this.pulse();
    this.late.forget();
    this.setIrq(this.counters[0].out(t));
    this.arm(this.counters[0].nextRise(t));
  }

  private fire(): void {
    const [counter] = this.counters;
    const { rise } = this;
    this.pulse();
    const next = counter.nextRise(Math.max(rise, this.now()), IRQ_SPACING);
    this.arm(next);
    if (next === undefined || counter.cycle === undefined) return;
    const missed = Math.ceil((next - rise) / counter.cycle) - 1;
    this.late.add(BigInt(missed), (BigInt(counter.cycle) * SECOND) / HZ);
  }

  private pulse(): void {
    this.setIrq(false);
    this.setIrq(true);
  }

  private setIrq(asserted: boolean): void {
    this.irq = asserted;
    this.pin.set(asserted);
  }

  private arm(rise: number | undefined): void {
    this.rise = rise ?? -1;
    if (rise === undefined) this.deadline.cancel();
    else this.deadline.arm((BigInt(rise) * SECOND - this.phase + HZ - 1n) / HZ);
  }
}
