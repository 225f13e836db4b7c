/**
 * vhpet: the high precision event timers (IA-PC HPET specification 1.0a), one block of 1 KiB of MMIO.
 *
 * The main counter is a function of guest time: base + floor((now - epoch) / period). The default of 10 MHz is a
 * period of exactly 100 ns, the longest the specification allows (2.3.1), so that counter and nanosecond clock
 * never drift against each other; other frequencies must divide 10^9 Hz as well.
 *
 * Not there: FSB (MSI) delivery, byte and word writes. Interrupts of a periodic timer whose period is shorter than
 * 50 µs, and those a busy host is late for, are merged: the accumulator stays exact, the guest sees fewer of them.
 *
 *     offset   name
 *     0x000    GCAP_ID      COUNTER_CLK_PERIOD 63:32 (fs) | VENDOR_ID 31:16 | LEG_ROUTE 15, SIZE 13, NUM_TIM 12:8, REV 7:0
 *     0x010    GEN_CONF     LEG_RT_CNF 1 | ENABLE_CNF 0
 *     0x020    GINTR_STA    bit n: level-triggered timer n is active; write 1 to clear
 *     0x0f0    MAIN_CNT
 *     0x100+   Tn_CONF      ROUTE_CAP 63:32 | FSB 15:14 = 0, ROUTE 13:9, 32MODE 8, VAL_SET 6, SIZE 5, PER_CAP 4,
 *      0x20n                TYPE 3 (periodic), INT_ENB 2, INT_TYPE 1 (level)
 *     0x108+   Tn_CMP       comparator; the accumulator when periodic
 */

import type { Deadline, Device, InterruptPin, IoHandler, Log, Timers, Width } from "../shared/device.ts";
import { allOnes } from "./byteAccess.ts";
import { LateTicks } from "./lateTicks.ts";
import { SnapshotFields } from "./snapshotFields.ts";

const GCAP_ID = 0x00;
const GEN_CONF = 0x10;
const GINTR_STA = 0x20;
const MAIN_CNT = 0xf0;
const TIMERS = 0x100;
const TN_CONF = 0x00;
const TN_CMP = 0x08;

const ENABLE_CNF = 1;
const LEG_RT_CNF = 2;

const INT_TYPE_LEVEL = 0x0002;
const INT_ENB = 0x0004;
const TYPE_PERIODIC = 0x0008;
const PER_INT_CAP = 0x0010;
const SIZE_CAP = 0x0020;
const VAL_SET = 0x0040;
const MODE_32 = 0x0100;
const ROUTE = 0x3e00;
const ROUTE_SHIFT = 9;
const CONF_WRITABLE = INT_TYPE_LEVEL | INT_ENB | TYPE_PERIODIC | MODE_32 | ROUTE;

const LOW = 0xffff_ffffn;
const HIGH = LOW << 32n;
const ALL = LOW | HIGH;
/** A match further away than this (146 years) is not armed. */
const FAR = 1n << 62n;
/** Shortest time between two interrupts of a periodic timer, ns. */
const SHORTEST = 50_000n;

/** Low half of GCAP_ID, which the ACPI HPET table repeats: Intel, legacy replacement, 64 bits, revision 1. */
export function hpetBlockId(timers: number): number {
  return (0x8086_0000 | 0x8000 | 0x2000 | ((timers - 1) << 8) | 0x01) >>> 0;
}

export interface VhpetOptions {
  /** Comparators, 3 to 32; default 3. */
  readonly timers?: number;
  /** Main counter frequency; must divide 10^9 and be 10 MHz or more. Default 10 MHz. */
  readonly frequencyHz?: number;
  /** IOAPIC inputs (bit n = input n) each timer may be routed to. Default 20–23, which nothing else uses. */
  readonly routes?: number;
  /** Called when the guest switches legacy replacement: while on, the PIT's IRQ0 and the RTC's IRQ8 are cut off. */
  readonly onLegacyReplacement?: (on: boolean) => void;
}

export interface VhpetPins {
  /** IOAPIC input n. */
  readonly pin: (input: number) => InterruptPin;
  /** Where the PIT (0) and the RTC (8) are wired: the 8259's input together with the IOAPIC's. */
  readonly legacyPin: (irq: 0 | 8) => InterruptPin;
}

interface TimerState {
  /** Tn_CONF 15:0 without the read-only bits and VAL_SET. */
  config: number;
  comparator: bigint;
  /** The value last written to Tn_CMP. */
  period: bigint;
  /** Halves of the accumulator that the next write of Tn_CMP sets directly (VAL_SET): mask of bits. */
  valSet: bigint;
  /** The comparator's present value has already matched: only a full turn of the counter matches again. */
  matched: boolean;
}

interface Timer extends TimerState {
  readonly index: number;
  readonly deadline: Deadline;
  /** Not saved: a snapshot does not pass on what its host was late with. */
  readonly late: LateTicks;
  /** Guest ns of the next match. */
  due: bigint | undefined;
}

/** Saved state. `phase` is how far into its period the counter is, `dueIn` the time to the next match, in ns. */
export interface VhpetV1 {
  version: 1;
  periodNs: bigint;
  config: number;
  interruptStatus: number;
  counter: bigint;
  phase: bigint;
  timers: (TimerState & { dueIn: bigint | undefined })[];
}

export class Vhpet implements IoHandler, Device<VhpetV1> {
  readonly name = "vhpet";
  /** Of the main counter. */
  readonly periodNs: bigint;
  private readonly timers: Timers;
  private readonly log: Log;
  private readonly routes: number;
  private readonly onLegacyReplacement: (on: boolean) => void;
  private readonly pins: InterruptPin[];
  private readonly legacyPins: readonly InterruptPin[];
  private readonly comparators: Timer[];
  private config = 0;
  private interruptStatus = 0;
  /** The counter was `base` at `epoch`; it stands at `base` while halted. */
  private base = 0n;
  private epoch = 0n;
  /** Level-triggered wires now held active. */
  private held = new Set<InterruptPin>();

  constructor(timers: Timers, pins: VhpetPins, log: Log, options: VhpetOptions = {}) {
    const frequency = options.frequencyHz ?? 10_000_000;
    if (!Number.isInteger(1e9 / frequency) || frequency < 1e7) {
      throw new RangeError(`vhpet: ${frequency} Hz does not divide 10^9 Hz or is below 10 MHz`);
    }
    const count = options.timers ?? 3;
    if (!Number.isInteger(count) || count < 3 || count > 32) throw new RangeError(`vhpet: ${count} timers, not 3–32`);
    this.periodNs = BigInt(1e9 / frequency);
    this.timers = timers;
    this.log = log;
    this.routes = (options.routes ?? 0x00f0_0000) >>> 0;
    this.onLegacyReplacement = options.onLegacyReplacement ?? (() => {});
    this.pins = Array.from({ length: 32 }, (_, n) => ((this.routes >>> n) & 1 ? pins.pin(n) : { set() {} }));
    this.legacyPins = [pins.legacyPin(0), pins.legacyPin(8)];
    this.comparators = Array.from({ length: count }, (_, index) => {
      const deadline = timers.deadline(`vhpet timer ${index}`, () => this.match(this.comparators[index]));
      const late = new LateTicks(timers, `vhpet timer ${index} late`, () => this.edge(this.comparators[index]));
      return { index, deadline, late, due: undefined, ...resetTimer() };
    });
  }

  reset(): void {
    const legacy = this.legacy();
    this.config = this.interruptStatus = 0;
    this.base = 0n;
    for (const timer of this.comparators) {
      Object.assign(timer, resetTimer());
      timer.late.forget();
      this.arm(timer);
    }
    this.drive();
    if (legacy) this.onLegacyReplacement(false);
  }

  /** Main counter now. */
  counter(): bigint {
    if (!this.enabled()) return this.base;
    return (this.base + (this.timers.now() - this.epoch) / this.periodNs) & ALL;
  }

  /**
   * While the counter runs it is floor((now + offsetNs) / periodNs): what the core needs to compute it without an
   * exit. Undefined while halted.
   */
  get offsetNs(): bigint | undefined {
    return this.enabled() ? this.base * this.periodNs - this.epoch : undefined;
  }

  read(offset: number, size: Width): number {
    const shift = BigInt(8 * (offset & 7));
    const value = Number((this.register(offset & ~7) >> shift) & LOW);
    return size === 4 ? value : value & allOnes(size);
  }

  write(offset: number, size: Width, value: number): void {
    if (size !== 4 || offset & 3) {
      this.log(`vhpet: ${size}-byte write at ${offset.toString(16)} ignored`);
      return;
    }
    const shift = offset & 4 ? 32n : 0n;
    this.writeRegister(offset & ~7, BigInt(value >>> 0) << shift, LOW << shift);
  }

  read64(offset: number): bigint {
    if ((offset & 7) === 0) return this.register(offset);
    return BigInt(this.read(offset, 4)) | (BigInt(this.read(offset + 4, 4)) << 32n);
  }

  write64(offset: number, value: bigint): void {
    if (offset & 7) this.log(`vhpet: misaligned 8-byte write at ${offset.toString(16)} ignored`);
    else this.writeRegister(offset, value & ALL, ALL);
  }

  private register(offset: number): bigint {
    this.catchUp();
    switch (offset) {
      case GCAP_ID:
        return ((this.periodNs * 1_000_000n) << 32n) | BigInt(hpetBlockId(this.comparators.length));
      case GEN_CONF:
        return BigInt(this.config);
      case GINTR_STA:
        return BigInt(this.interruptStatus >>> 0);
      case MAIN_CNT:
        return this.counter();
    }
    const timer = this.comparators[(offset - TIMERS) >> 5];
    if (timer !== undefined && (offset & 0x1f) === TN_CONF) {
      return (BigInt(this.routes) << 32n) | BigInt(timer.config | PER_INT_CAP | SIZE_CAP);
    }
    if (timer !== undefined && (offset & 0x1f) === TN_CMP) return timer.comparator;
    return 0n;
  }

  /** Writes the bits of `value` that `lanes` covers: the low half, the high half or all 64. */
  private writeRegister(offset: number, value: bigint, lanes: bigint): void {
    this.catchUp();
    const low = Number(value & LOW);
    const writesLow = (lanes & LOW) !== 0n;
    switch (offset) {
      case GEN_CONF:
        if (writesLow) this.writeGeneralConfig(low & (ENABLE_CNF | LEG_RT_CNF));
        return;
      case GINTR_STA:
        this.interruptStatus &= ~low;
        this.drive();
        return;
      case MAIN_CNT:
        this.writeCounter((this.counter() & ~lanes) | value);
        return;
    }
    const timer = this.comparators[(offset - TIMERS) >> 5];
    if (timer !== undefined && (offset & 0x1f) === TN_CONF) {
      if (writesLow) this.writeTimerConfig(timer, low);
    } else if (timer !== undefined && (offset & 0x1f) === TN_CMP) this.writeComparator(timer, value, lanes);
    else this.log(`vhpet: write to reserved or read-only ${offset.toString(16)}`);
  }

  private writeGeneralConfig(value: number): void {
    const counter = this.counter();
    const changed = value ^ this.config;
    this.config = value;
    if (changed & ENABLE_CNF) {
      this.base = counter;
      this.epoch = this.timers.now();
      for (const timer of this.comparators) {
        timer.late.forget();
        this.arm(timer);
      }
    }
    this.drive();
    if (changed & LEG_RT_CNF) this.onLegacyReplacement(this.legacy());
  }

  private writeCounter(value: bigint): void {
    if (this.enabled()) this.log("vhpet: main counter written while it runs");
    this.base = value;
    this.epoch = this.timers.now();
    for (const timer of this.comparators) {
      timer.matched = false;
      this.arm(timer);
    }
  }

  private writeTimerConfig(timer: Timer, value: number): void {
    let config = value & CONF_WRITABLE;
    // A route that is not offered does not stick: software reads back to find out (2.3.8).
    const route = (config & ROUTE) >> ROUTE_SHIFT;
    if (((this.routes >>> route) & 1) === 0) config = (config & ~ROUTE) | (timer.config & ROUTE);
    timer.config = config;
    timer.valSet = value & VAL_SET && config & TYPE_PERIODIC ? ALL : 0n;
    timer.comparator &= mask(timer);
    timer.period &= mask(timer);
    timer.late.forget();
    if ((config & INT_TYPE_LEVEL) === 0) this.interruptStatus &= ~(1 << timer.index);
    this.arm(timer);
    this.drive();
  }

  /**
   * One-shot: the comparator. Periodic: the period, and the accumulator too for each half that VAL_SET still covers
   * (2.3.9.2.2). VAL_SET lasts for one write of each half, since a 64-bit value may come as two writes.
   */
  private writeComparator(timer: Timer, value: bigint, lanes: bigint): void {
    const direct = timer.config & TYPE_PERIODIC ? lanes & timer.valSet : lanes;
    timer.valSet &= ~lanes;
    timer.comparator = ((timer.comparator & ~direct) | (value & direct)) & mask(timer);
    timer.period = ((timer.period & ~lanes) | value) & mask(timer);
    if (direct !== 0n) timer.matched = false;
    timer.late.forget();
    this.arm(timer);
  }

  // Matching

  /** Handles matches that are due but that no deadline has delivered yet, so that registers never lag behind time. */
  private catchUp(): void {
    const now = this.timers.now();
    for (const timer of this.comparators) if (timer.due !== undefined && timer.due <= now) this.match(timer);
  }

  private match(timer: Timer): void {
    timer.matched = true;
    const { period } = timer;
    if (timer.config & TYPE_PERIODIC && period > 0n) {
      const late = (this.counter() - timer.comparator) & mask(timer);
      const least = period * this.periodNs < SHORTEST ? SHORTEST / this.periodNs : 0n;
      timer.comparator = (timer.comparator + ((late + least) / period + 1n) * period) & mask(timer);
      timer.matched = false;
      // A level stays until it is acknowledged: it has no more to say.
      if (!(timer.config & INT_TYPE_LEVEL)) timer.late.add(late / period, period * this.periodNs);
    }
    this.arm(timer);
    if (timer.config & INT_TYPE_LEVEL) {
      this.interruptStatus |= 1 << timer.index;
      this.drive();
    } else this.edge(timer);
  }

  /** An edge on a timer's wire, which a level-triggered timer may be holding. */
  private edge(timer: Timer): void {
    if (!(timer.config & INT_ENB)) return;
    const wire = this.wire(timer);
    wire.set(true);
    wire.set(this.held.has(wire));
  }

  private arm(timer: Timer): void {
    const now = this.timers.now();
    timer.due = undefined;
    if (this.enabled()) {
      const elapsed = (now - this.epoch) / this.periodNs;
      let ticks = (timer.comparator - this.base - elapsed) & mask(timer);
      if (ticks === 0n && timer.matched) ticks = mask(timer) + 1n;
      if (ticks * this.periodNs < FAR) timer.due = this.epoch + (elapsed + ticks) * this.periodNs;
    }
    if (timer.due === undefined) timer.deadline.cancel();
    else timer.deadline.arm(timer.due);
  }

  /** The wire of a timer: legacy replacement overrides the routing field of the first two (2.3.4). */
  private wire(timer: Timer): InterruptPin {
    if (this.legacy() && timer.index < 2) return this.legacyPins[timer.index];
    return this.pins[(timer.config & ROUTE) >> ROUTE_SHIFT];
  }

  /** Holds the wires of active level-triggered timers; several timers may share one. */
  private drive(): void {
    const wanted = new Set<InterruptPin>();
    for (const timer of this.comparators) {
      const active = (this.interruptStatus >>> timer.index) & 1 && timer.config & INT_ENB && this.enabled();
      if (active) wanted.add(this.wire(timer));
    }
    for (const pin of this.held) if (!wanted.has(pin)) pin.set(false);
    for (const pin of wanted) pin.set(true);
    this.held = wanted;
  }

  private enabled(): boolean {
    return (this.config & ENABLE_CNF) !== 0;
  }

  private legacy(): boolean {
    return (this.config & LEG_RT_CNF) !== 0;
  }

  export(): VhpetV1 {
    const now = this.timers.now();
    return {
      version: 1,
      periodNs: this.periodNs,
      config: this.config,
      interruptStatus: this.interruptStatus >>> 0,
      counter: this.counter(),
      phase: this.enabled() ? (now - this.epoch) % this.periodNs : 0n,
      timers: this.comparators.map(({ config, comparator, period, valSet, matched, due }) => {
        const dueIn = due === undefined ? undefined : due > now ? due - now : 0n;
        return { config, comparator, period, valSet, matched, dueIn };
      }),
    };
  }

  import(state: VhpetV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const periodNs = from.bigint("periodNs", 1n, 100n);
    if (periodNs !== this.periodNs) from.fail("periodNs", `${periodNs}, this machine's counter has ${this.periodNs}`);
    const config = from.int("config", 0, ENABLE_CNF | LEG_RT_CNF);
    const interruptStatus = from.int("interruptStatus", 0, 0xffff_ffff);
    const base = from.bigint("counter", 0n, ALL);
    const phase = from.bigint("phase", 0n, this.periodNs - 1n);
    const saved = from.children("timers", this.comparators.length).map((timer, i) => ({
      config: timer.int("config", 0, 0xffff) & CONF_WRITABLE,
      comparator: timer.bigint("comparator", 0n, ALL),
      period: timer.bigint("period", 0n, ALL),
      valSet: timer.bigint("valSet", 0n, ALL),
      matched: timer.bool("matched"),
      dueIn: state.timers[i].dueIn === undefined ? undefined : timer.bigint("dueIn", 0n, FAR),
    }));
    const now = this.timers.now();
    const legacy = this.legacy();
    Object.assign(this, { config, interruptStatus, base, epoch: now - phase });
    saved.forEach(({ dueIn, ...timerState }, i) => {
      const timer = Object.assign(this.comparators[i], timerState);
      timer.late.forget();
      timer.due = dueIn === undefined ? undefined : now + dueIn;
      if (timer.due === undefined) timer.deadline.cancel();
      else timer.deadline.arm(timer.due);
    });
    this.drive();
    if (legacy !== this.legacy()) this.onLegacyReplacement(this.legacy());
  }
}

/** Reset values (2.3.8, 2.3.9): the comparator is all ones. */
function resetTimer(): TimerState {
  return { config: 0, comparator: ALL, period: 0n, valSet: 0n, matched: false };
}

function mask(timer: TimerState): bigint {
  return timer.config & MODE_32 ? LOW : ALL;
}
