/**
 * What a device test hands in instead of the machine: a clock that moves when told to, deadlines that fire in
 * order, pins that remember, memory, a log, and a seeded random generator.
 */

import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import type {
  Clock,
  Deadline,
  Device,
  GuestMemory,
  InterruptPin,
  IoHandler,
  Log,
  Timers,
  Width,
} from "../../src/shared/device.ts";
import { SnapshotError } from "../../src/shared/device.ts";

export const MICROSECOND = 1_000n;
export const MILLISECOND = 1_000_000n;
export const SECOND = 1_000_000_000n;

/** A clock that stands still until `advance`. */
export class FakeClock implements Clock {
  protected time: bigint;

  constructor(start = 0n) {
    this.time = start;
  }

  now(): bigint {
    return this.time;
  }

  /** Moves guest time forward by `ns` nanoseconds. */
  advance(ns: bigint): void {
    if (ns < 0n) throw new Error(`time does not run backwards: ${ns} ns`);
    this.time += ns;
  }
}

interface FakeDeadline {
  readonly name: string;
  readonly fire: (at: bigint) => void;
  /** Absolute guest ns, or undefined when not armed. */
  at: bigint | undefined;
  period: bigint | undefined;
}

/**
 * Timers on a fake clock. `advance` stops at every deadline on the way, in order of time (then of creation), so a
 * device sees `now() === at`. `advanceLate` moves first and fires afterwards, as a busy host would.
 */
export class FakeTimers extends FakeClock implements Timers {
  private readonly all: FakeDeadline[] = [];

  deadline(name: string, fire: (at: bigint) => void): Deadline {
    const entry: FakeDeadline = { name, fire, at: undefined, period: undefined };
    this.all.push(entry);
    return {
      arm(at: bigint, period?: bigint): void {
        if (period !== undefined && period <= 0n) throw new Error(`${name}: period ${period} ns`);
        entry.at = at;
        entry.period = period;
      },
      cancel(): void {
        entry.at = undefined;
        entry.period = undefined;
      },
    };
  }

  override advance(ns: bigint): void {
    const end = this.time + ns;
    for (let next = this.next(end); next !== undefined; next = this.next(end)) {
      if (next.at! > this.time) this.time = next.at!;
      this.fire(next);
    }
    super.advance(end - this.time);
  }

  /** Moves time first, then fires what came due, each with the time it asked for. */
  advanceLate(ns: bigint): void {
    super.advance(ns);
    for (let next = this.next(this.time); next !== undefined; next = this.next(this.time)) this.fire(next);
  }

  /** Moves time and fires nothing: the device has yet to hear what came due. The next advance fires it. */
  stall(ns: bigint): void {
    super.advance(ns);
  }

  /** Deadlines now armed, as `[name, absolute ns]`, earliest first. */
  armed(): [name: string, at: bigint][] {
    const armed = this.all.filter((entry) => entry.at !== undefined);
    armed.sort((a, b) => (a.at! < b.at! ? -1 : a.at! > b.at! ? 1 : 0));
    return armed.map((entry) => [entry.name, entry.at!]);
  }

  private next(end: bigint): FakeDeadline | undefined {
    let best: FakeDeadline | undefined;
    for (const entry of this.all) {
      if (entry.at !== undefined && entry.at <= end && (best === undefined || entry.at < best.at!)) best = entry;
    }
    return best;
  }

  private fire(entry: FakeDeadline): void {
    const at = entry.at!;
    entry.at = entry.period === undefined ? undefined : at + entry.period;
    entry.fire(at);
  }
}

/** An interrupt wire that records every change of level. Setting the level it already has is not a change. */
export class FakePin implements InterruptPin {
  level = false;
  /** Each change of level, oldest first. */
  readonly changes: boolean[] = [];
  /** Guest ns of each change, when a clock was handed in. */
  readonly times: bigint[] = [];
  private readonly clock: Clock | undefined;

  constructor(clock?: Clock) {
    this.clock = clock;
  }

  set(asserted: boolean): void {
    if (asserted === this.level) return;
    this.level = asserted;
    this.changes.push(asserted);
    if (this.clock !== undefined) this.times.push(this.clock.now());
  }

  /** Rising edges so far. */
  get rises(): number {
    return this.changes.filter((asserted) => asserted).length;
  }

  /** Guest ns of each rising edge. */
  get riseTimes(): bigint[] {
    return this.times.filter((_, index) => this.changes[index]);
  }

  clear(): void {
    this.changes.length = 0;
    this.times.length = 0;
  }
}

/** RAM from address 0. Outside it, reads give all ones and writes are ignored. */
export class FakeMemory implements GuestMemory {
  readonly bytes: Uint8Array;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  read(gpa: number, into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = this.bytes[gpa + i] ?? 0xff;
  }

  write(gpa: number, from: Uint8Array): void {
    for (let i = 0; i < from.length; i++) if (gpa + i < this.bytes.length) this.bytes[gpa + i] = from[i];
  }
}

/** A log that keeps what it was told. */
export function fakeLog(): Log & { readonly messages: string[] } {
  const messages: string[] = [];
  return Object.assign((message: string) => void messages.push(message), { messages });
}

/** Seeded random numbers (SplitMix32), the same sequence for the same seed on every host. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** An unsigned 32-bit number. */
  next(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  }

  /** An integer in [0, below). */
  below(below: number): number {
    return this.next() % below;
  }

  /** True with probability 1/2. */
  coin(): boolean {
    return (this.next() & 0x100) !== 0;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}

/** A run of ports as a chip hands it to the machine. */
export interface FakePortRange {
  readonly base: number;
  readonly length: number;
  readonly handler: IoHandler;
}

/** An I/O bus with byte, word and doubleword accesses at port numbers. */
export class FakePorts {
  private readonly ranges: readonly FakePortRange[];

  constructor(ranges: readonly FakePortRange[]) {
    this.ranges = ranges;
  }

  in(port: number, size: Width = 1): number {
    const range = this.find(port);
    return range.handler.read(port - range.base, size);
  }

  out(port: number, value: number, size: Width = 1): void {
    const range = this.find(port);
    range.handler.write(port - range.base, size, value);
  }

  private find(port: number): FakePortRange {
    const range = this.ranges.find(({ base, length }) => port >= base && port < base + length);
    if (range === undefined) throw new Error(`no chip at port 0x${port.toString(16)}`);
    return range;
  }
}

/** A device under `snapshotProperty`, on a clock of its own. */
export interface Subject<State extends { version: number }> {
  readonly device: Device<State>;
  readonly timers: FakeTimers;
  /** One random thing a guest, a wire or time may do. Returns all that was seen of the device, for comparison. */
  step(random: Random): unknown;
}

/**
 * The property every device has: save, change, restore, save gives the same state, and the change had differed;
 * and a new device, on a clock at another time, that takes over the state then behaves as the old one does.
 */
export function snapshotProperty<State extends { version: number }>(
  make: (timers: FakeTimers) => Subject<State>,
  seeds = 60,
  steps = 60,
): void {
  let changed = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const random = new Random(seed);
    const old = make(new FakeTimers());
    for (let i = random.below(steps); i > 0; i--) old.step(random);
    const saved = old.device.export();
    const copy = structuredClone(saved);

    const taker = make(new FakeTimers(987_654_321_987n));
    for (let i = random.below(steps); i > 0; i--) taker.step(random);
    taker.device.import(saved);
    expect(taker.device.export(), `seed ${seed}: taken over`).toEqual(copy);

    const [first, second] = [new Random(seed + 1000), new Random(seed + 1000)];
    for (let i = 0; i < steps; i++) {
      expect(taker.step(first), `seed ${seed}: step ${i} after taking over`).toEqual(old.step(second));
    }
    expect(taker.device.export(), `seed ${seed}: after the same steps`).toEqual(old.device.export());

    expect(saved, `seed ${seed}: a saved state is not touched later`).toEqual(copy);
    if (!isDeepStrictEqual(old.device.export(), copy)) changed++;
    old.device.import(saved);
    expect(old.device.export(), `seed ${seed}: restored`).toEqual(copy);
  }
  expect(changed, "the steps changed the state").toBeGreaterThan(seeds * 0.9);
}

/** Refused states must throw SnapshotError and leave the device as it was. */
export function refusesSnapshots<State extends { version: number }>(device: Device<State>, bad: unknown[]): void {
  const before = device.export();
  for (const state of bad) {
    expect(() => device.import(state as State), JSON.stringify(state, bigintsToo)).toThrow(SnapshotError);
    expect(device.export()).toEqual(before);
  }
}

function bigintsToo(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : value;
}
