/**
 * A small board of local APICs on one bus with an IOAPIC, and a core that follows the rules of assembly/apic.ts on the
 * shared page: IRR to ISR by priority, EOI, the timer's deadline.
 */
import { expect } from "vitest";
import { ApicBus } from "../../src/io/apicBus.ts";
import { ApicPage } from "../../src/io/apicPage.ts";
import { APIC, LVT_MASKED, LVT_TIMER_MODE, TIMER_PERIODIC } from "../../src/io/apicRegs.ts";
import { Vioapic } from "../../src/io/vioapic.ts";
import { Vlapic } from "../../src/io/vlapic.ts";
import { VCPU } from "../../src/shared/layout.ts";
import { FakeTimers, fakeLog } from "./fakes.ts";

/** As much of a vCPU's area as these chips use. */
export const AREA_BYTES = 0x4000;

export class FakeCore {
  readonly page: ApicPage;
  private readonly words: Int32Array;
  private readonly onEoi: (vector: number) => void;

  /** `onEoi` stands for the ring: EOIs of level-triggered vectors. */
  constructor(page: ApicPage, area: Int32Array, onEoi: (vector: number) => void) {
    this.page = page;
    this.words = area;
    this.onEoi = onEoi;
  }

  /** The attention word, which is cleared. */
  attention(): number {
    return Atomics.exchange(this.words, VCPU.attention.offset / 4, 0);
  }

  get extint(): boolean {
    return this.page.extint;
  }

  /** Highest vector in IRR, ISR or TMR, or -1. */
  highest(set: number): number {
    for (let vector = 255; vector >= 0; vector--) if (this.bit(set, vector)) return vector;
    return -1;
  }

  /** Highest vector that waits to be taken, or -1. */
  get waiting(): number {
    this.sync();
    return this.highest(APIC.IRR);
  }

  bit(set: number, vector: number): boolean {
    return ((this.page.register(set + (vector >> 5) * 16) >>> (vector & 31)) & 1) !== 0;
  }

  /** Takes the next interrupt into service: its vector, or -1. */
  take(): number {
    this.sync();
    if (!this.page.accepting) return -1;
    const vector = this.highest(APIC.IRR);
    const inService = Math.max(this.highest(APIC.ISR), 0);
    if (vector < 16 || vector >> 4 <= Math.max(this.page.register(APIC.TPR) >> 4, inService >> 4)) return -1;
    this.change(APIC.IRR, vector, false);
    this.change(APIC.ISR, vector, true);
    return vector;
  }

  eoi(): void {
    const vector = this.highest(APIC.ISR);
    if (vector < 0) return;
    this.change(APIC.ISR, vector, false);
    if (this.bit(APIC.TMR, vector)) this.onEoi(vector);
  }

  /** Takes and ends everything that is deliverable. Not with a level-triggered input asserted: that never ends. */
  serve(): number[] {
    const vectors: number[] = [];
    for (let vector = this.take(); vector >= 0; vector = this.take()) {
      vectors.push(vector);
      this.eoi();
      if (vectors.length > 256) throw new Error(`vector ${vector} is asked for again and again`);
    }
    return vectors;
  }

  /** Fires the timer if it is due at `now`. */
  tick(now: bigint): void {
    const { page } = this;
    const at = page.timer;
    if (at === undefined || now < at) return;
    const entry = page.register(APIC.LVT_TIMER);
    const period = page.timerPeriod;
    if ((entry & LVT_TIMER_MODE) === TIMER_PERIODIC && period > 0n)
      page.timer = at + ((now - at) / period + 1n) * period;
    else page.timer = undefined;
    if ((entry & LVT_MASKED) === 0) this.change(APIC.IRR, entry & 0xff, true);
  }

  private sync(): void {
    for (let i = 0; i < 8; i++) {
      const irr = APIC.IRR + 16 * i;
      this.page.setRegister(irr, this.page.register(irr) | this.page.requested(i));
    }
    this.page.clearRequests();
  }

  private change(set: number, vector: number, on: boolean): void {
    const offset = set + (vector >> 5) * 16;
    const bit = 1 << (vector & 31);
    this.page.setRegister(offset, on ? this.page.register(offset) | bit : this.page.register(offset) & ~bit);
  }
}

/** `count` processors with ids 0, 1, …, enabled by software, and an IOAPIC. `heard` records INIT and SIPI. */
export function makeBoard(count: number, timers = new FakeTimers(), buffer?: ArrayBufferLike) {
  const memory = { buffer: buffer ?? new ArrayBuffer(count * AREA_BYTES) };
  const log = fakeLog();
  const bus = new ApicBus(log);
  const ioapic = new Vioapic(bus, log);
  const heard: string[] = [];
  const cpus = Array.from({ length: count }, (_, id) => {
    const page = new ApicPage(memory, id * AREA_BYTES);
    const area = new Int32Array(memory.buffer, id * AREA_BYTES, AREA_BYTES / 4);
    const core = new FakeCore(page, area, (vector) => bus.eoi(vector));
    const onInit = () => void heard.push(`${id} INIT`);
    const onStartup = (vector: number) => void heard.push(`${id} SIPI ${vector}`);
    const apic = new Vlapic({ id, bsp: id === 0, page, clock: timers, bus, onInit, onStartup, log });
    apic.write(APIC.SVR, 4, 0x1ff);
    core.attention();
    return { apic, core, page };
  });
  const entry = (n: number, low: number, destination = 0): void => {
    ioapic.write(0, 4, 0x11 + 2 * n);
    ioapic.write(0x10, 4, (destination << 24) >>> 0);
    ioapic.write(0, 4, 0x10 + 2 * n);
    ioapic.write(0x10, 4, low);
  };
  const readEntry = (n: number): number => {
    ioapic.write(0, 4, 0x10 + 2 * n);
    return ioapic.read(0x10, 4);
  };
  /** Logical ids 1, 2, 4 … */
  const setLogicalIds = (): void => {
    cpus.forEach(({ apic }, n) => {
      apic.write(APIC.LDR, 4, 1 << (24 + n));
    });
  };
  /** Vectors each processor has been asked for and not served. */
  const served = (): number[][] => cpus.map(({ core }) => core.serve());
  return { timers, memory, log, bus, ioapic, cpus, heard, entry, readEntry, setLogicalIds, served };
}

export const LVTS = [APIC.LVT_TIMER, APIC.LVT_THERMAL, APIC.LVT_PERF, APIC.LVT_LINT0, APIC.LVT_LINT1, APIC.LVT_ERROR];
/** Bits of IA32_APIC_BASE: enabled, in x2APIC mode. */
export const EN = 0x800n;
export const EXTD = 0x400n;
/** What an access to an MSR gives. */
export const GP = { gp: true };
export const OK = { ok: true };

/** One processor, and its registers by offset. */
export function one() {
  const board = makeBoard(1);
  const { apic, core, page } = board.cpus[0];
  const read = (offset: number) => apic.read(offset, 4);
  const write = (offset: number, value: number) => apic.write(offset, 4, value);
  return { ...board, apic, core, page, read, write };
}

/** Processors that are all in x2APIC mode. */
export function x2(count: number) {
  const board = makeBoard(count);
  for (const { apic } of board.cpus) expect(apic.writeApicBase(apic.readApicBase() | EXTD)).toEqual(OK);
  return board;
}
