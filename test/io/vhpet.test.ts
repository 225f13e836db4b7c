import { describe, expect, it } from "vitest";
import { hpetBlockId, Vhpet, type VhpetOptions } from "../../src/io/vhpet.ts";
import { SnapshotError } from "../../src/shared/device.ts";
import { FakePin, FakeTimers, fakeLog, MILLISECOND, Random, SECOND } from "./fakes.ts";

const [CAP, CONF, STA, CNT] = [0, 0x10, 0x20, 0xf0];
const conf = (n: number) => 0x100 + 0x20 * n;
const cmp = (n: number) => 0x108 + 0x20 * n;
const [LEVEL, ENB, PERIODIC, VAL_SET, M32] = [2, 4, 8, 0x40, 0x100];
const route = (pin: number) => pin << 9;

function board(options: VhpetOptions = {}) {
  const timers = new FakeTimers();
  const pins = Array.from({ length: 32 }, () => new FakePin(timers));
  const legacy = { 0: new FakePin(timers), 8: new FakePin(timers) };
  const switches: boolean[] = [];
  const log = fakeLog();
  const hpet = new Vhpet(timers, { pin: (n) => pins[n], legacyPin: (irq) => legacy[irq] }, log, {
    onLegacyReplacement: (on) => switches.push(on),
    ...options,
  });
  return { timers, pins, legacy, switches, log, hpet };
}

describe("identity and counter", () => {
  it("says what it is", () => {
    const { hpet } = board();
    const cap = hpet.read64(CAP);
    expect(cap >> 32n).toBe(100_000_000n);
    expect(Number(cap & 0xffff_ffffn)).toBe(hpetBlockId(3));
    expect(hpetBlockId(3)).toBe(0x8086_a201);
    expect([hpet.read(CAP, 4), hpet.read(CAP + 4, 4)]).toEqual([0x8086_a201, 100_000_000]);
    for (let n = 0; n < 3; n++) {
      expect(hpet.read(conf(n), 4) & 0x80f0).toBe(0x30);
      expect(hpet.read(conf(n) + 4, 4)).toBe(0x00f0_0000);
      expect(hpet.read64(cmp(n))).toBe(0xffff_ffff_ffff_ffffn);
    }
    expect(hpet.read64(conf(3))).toBe(0n);
  });

  it("wants a frequency whose period is whole nanoseconds", () => {
    expect(() => board({ frequencyHz: 14_318_180 })).toThrow(RangeError);
    expect(() => board({ frequencyHz: 1_000_000 })).toThrow(RangeError);
    const { hpet, timers } = board({ frequencyHz: 100_000_000 });
    hpet.write(CONF, 4, 1);
    timers.advance(SECOND);
    expect(hpet.counter()).toBe(100_000_000n);
    expect(hpet.read(CAP + 4, 4)).toBe(10_000_000);
  });

  it("counts only while enabled, and is written while halted", () => {
    const { hpet, timers, log } = board();
    timers.advance(SECOND);
    expect(hpet.read64(CNT)).toBe(0n);
    hpet.write(CNT, 4, 0xffff_fff0);
    hpet.write(CNT + 4, 4, 7);
    hpet.write(CONF, 4, 1);
    timers.advance(1650n);
    expect(hpet.read64(CNT)).toBe(0x8_0000_0000n);
    expect([hpet.read(CNT, 4), hpet.read(CNT + 4, 4)]).toEqual([0, 8]);
    expect(hpet.offsetNs).toBeDefined();
    expect((timers.now() + hpet.offsetNs!) / 100n).toBe(0x8_0000_0000n);
    hpet.write(CONF, 4, 0);
    timers.advance(SECOND);
    expect(hpet.read64(CNT)).toBe(0x8_0000_0000n);
    expect([hpet.offsetNs, log.messages.length]).toEqual([undefined, 0]);
    hpet.write64(CNT, 5n);
    expect(hpet.read64(CNT)).toBe(5n);
  });

  it("ignores narrow and misaligned writes", () => {
    const { hpet, log } = board();
    hpet.write(CONF, 1, 1);
    hpet.write(CONF + 2, 4, 1);
    hpet.write64(CONF + 4, 1n);
    expect([hpet.read(CONF, 4), log.messages.length]).toEqual([0, 3]);
  });
});

describe("one-shot", () => {
  it("fires once at the comparator, as an edge", () => {
    const { hpet, timers, pins } = board();
    hpet.write(conf(2), 4, ENB | route(20));
    hpet.write(CONF, 4, 1);
    hpet.write64(cmp(2), 1000n);
    timers.advance(99_999n);
    expect(pins[20].rises).toBe(0);
    timers.advance(1n);
    expect(pins[20].changes).toEqual([true, false]);
    expect(hpet.read(STA, 4)).toBe(0);
    timers.advance(1000n * SECOND);
    expect(pins[20].rises).toBe(1);
  });

  it("comes round again in 32-bit mode, and not in 64-bit mode when written too late", () => {
    const { hpet, timers, pins } = board();
    hpet.write(CONF, 4, 1);
    timers.advance(MILLISECOND);
    hpet.write(conf(0), 4, ENB | route(21));
    hpet.write(cmp(0), 4, 500);
    hpet.write(cmp(0) + 4, 4, 0);
    timers.advance(500n * SECOND);
    expect(pins[21].rises).toBe(0);
    hpet.write(conf(1), 4, ENB | M32 | route(22));
    const counter = Number(hpet.read64(CNT) & 0xffff_ffffn);
    hpet.write(cmp(1), 4, counter + 10);
    timers.advance(1000n);
    expect(pins[22].rises).toBe(1);
    timers.advance((1n << 32n) * 100n);
    expect(pins[22].rises).toBe(2);
    expect(hpet.read64(cmp(1)) >> 32n).toBe(0n);
  });

  it("is silent while the counter is halted or the timer disabled", () => {
    const { hpet, timers, pins } = board();
    hpet.write(conf(0), 4, ENB | route(20));
    hpet.write64(cmp(0), 10n);
    timers.advance(SECOND);
    hpet.write(conf(0), 4, route(20));
    hpet.write(CONF, 4, 1);
    timers.advance(SECOND);
    expect(pins[20].rises).toBe(0);
  });

  it("does not lose a match when the host is late and the guest writes first", () => {
    const { hpet, timers, pins } = board();
    hpet.write(conf(0), 4, ENB | route(20));
    hpet.write(CONF, 4, 1);
    hpet.write64(cmp(0), 10n);
    Object.assign(timers, { time: 5000n });
    hpet.write64(cmp(0), 100n);
    expect(pins[20].rises).toBe(1);
    timers.advance(5000n);
    expect(pins[20].rises).toBe(2);
  });
});

describe("level", () => {
  it("holds the line until the status bit is cleared", () => {
    const { hpet, timers, pins } = board();
    hpet.write(conf(1), 4, ENB | LEVEL | route(23));
    hpet.write(conf(2), 4, ENB | LEVEL | route(23));
    hpet.write(CONF, 4, 1);
    hpet.write64(cmp(1), 10n);
    hpet.write64(cmp(2), 20n);
    timers.advance(2000n);
    expect([hpet.read(STA, 4), pins[23].level]).toEqual([6, true]);
    hpet.write(STA, 4, 2);
    expect([hpet.read(STA, 4), pins[23].level]).toEqual([4, true]);
    hpet.write(CONF, 4, 0);
    expect(pins[23].level).toBe(false);
    hpet.write(CONF, 4, 1);
    expect(pins[23].level).toBe(true);
    hpet.write(STA, 4, 4);
    expect(pins[23].level).toBe(false);
  });

  it("sets status without the enable bit, but no interrupt", () => {
    const { hpet, timers, pins } = board();
    hpet.write(conf(0), 4, LEVEL | route(20));
    hpet.write64(cmp(0), 10n);
    hpet.write(CONF, 4, 1);
    timers.advance(2000n);
    expect([hpet.read(STA, 4), pins[20].level]).toEqual([1, false]);
  });
});

describe("periodic", () => {
  it("is set up as Linux does it: accumulator by VAL_SET, then the period", () => {
    const { hpet, timers, legacy, switches } = board();
    hpet.write(CONF, 4, 3);
    timers.advance(MILLISECOND);
    hpet.write(conf(0), 4, ENB | PERIODIC | VAL_SET | M32);
    const start = hpet.read(CNT, 4) + 40_000;
    hpet.write(cmp(0), 4, start);
    hpet.write(cmp(0), 4, 40_000);
    const from = timers.now();
    timers.advance(SECOND);
    expect(legacy[0].rises).toBe(250);
    expect(legacy[0].riseTimes[0] - from).toBe(4n * MILLISECOND);
    expect(legacy[0].riseTimes[249] - from).toBe(SECOND);
    expect(hpet.read(cmp(0), 4)).toBe(start + 250 * 40_000);
    expect(hpet.read(conf(0), 4) & VAL_SET).toBe(0);
    expect(switches).toEqual([true]);
  });

  it("takes a 64-bit accumulator in two halves, and leaves it alone without VAL_SET", () => {
    const { hpet, timers, pins } = board();
    hpet.write64(CNT, 0x1_0000_0000n);
    hpet.write(conf(1), 4, ENB | PERIODIC | VAL_SET | route(20));
    hpet.write(cmp(1), 4, 1000);
    hpet.write(cmp(1) + 4, 4, 1);
    hpet.write64(cmp(1), 2000n);
    expect(hpet.read64(cmp(1))).toBe(0x1_0000_03e8n);
    hpet.write(CONF, 4, 1);
    timers.advance(500_000n);
    expect(pins[20].riseTimes).toEqual([100_000n, 300_000n, 500_000n]);
  });

  it("wraps in 32-bit mode", () => {
    const { hpet, timers, pins } = board();
    hpet.write64(CNT, 0xffff_ff00n);
    hpet.write(conf(1), 4, ENB | PERIODIC | VAL_SET | M32 | route(20));
    hpet.write(cmp(1), 4, 0xffff_ff80);
    hpet.write(cmp(1), 4, 0x1000);
    hpet.write(CONF, 4, 1);
    timers.advance(100n * (0x80n + 0x2000n));
    expect(pins[20].rises).toBe(3);
    expect(hpet.read64(cmp(1))).toBe(0x2f80n);
  });

  /** A tick every millisecond, 4.5 ms after its start, with a host that looks for the first time. */
  function late(trigger: number) {
    const there = board();
    there.hpet.write(conf(1), 4, ENB | trigger | PERIODIC | VAL_SET | route(20));
    there.hpet.write64(cmp(1), 10_000n);
    there.hpet.write64(cmp(1), 10_000n);
    there.hpet.write(CONF, 4, 1);
    there.timers.advanceLate(4_500_000n);
    return there;
  }

  it("lets what a late host missed follow, keeping the phase", () => {
    const { hpet, timers, pins } = late(0);
    expect(pins[20].rises).toBe(1);
    expect(hpet.read64(cmp(1))).toBe(50_000n);
    // Three were missed, and come a quarter of a millisecond apart; one is due after half of one.
    timers.advance(500_000n);
    expect(pins[20].rises).toBe(4);
    timers.advance(499_999n);
    expect(pins[20].rises).toBe(5);
    timers.advance(10_000_001n);
    expect(pins[20].rises).toBe(15);
    timers.advanceLate(5_000_000n);
    hpet.write(CONF, 4, 0);
    pins[20].clear();
    timers.advance(5_000_000n);
    expect(pins[20].rises).toBe(0);
  });

  it("of a level says once that it is late", () => {
    const { hpet, timers, pins } = late(LEVEL);
    hpet.write(STA, 4, 2);
    pins[20].clear();
    timers.advance(499_999n);
    expect(pins[20].rises).toBe(0);
  });

  it("cannot flood the host", () => {
    const { hpet, timers, pins } = board();
    hpet.write(conf(1), 4, ENB | PERIODIC | VAL_SET | route(20));
    hpet.write64(cmp(1), 1n);
    hpet.write(CONF, 4, 1);
    timers.advance(MILLISECOND);
    expect(pins[20].rises).toBeGreaterThan(10);
    expect(pins[20].rises).toBeLessThanOrEqual(20);
  });
});

describe("routing", () => {
  it("keeps only offered routes", () => {
    const { hpet } = board({ routes: 0x00f0_0004 });
    hpet.write(conf(0), 4, route(2));
    expect((hpet.read(conf(0), 4) >> 9) & 31).toBe(2);
    hpet.write(conf(0), 4, route(5));
    expect((hpet.read(conf(0), 4) >> 9) & 31).toBe(2);
  });

  it("sends the first two timers to IRQ0 and IRQ8 in legacy replacement, the third where it is routed", () => {
    const { hpet, timers, legacy, pins, switches } = board();
    for (let n = 0; n < 3; n++) {
      hpet.write(conf(n), 4, ENB | route(20 + n));
      hpet.write64(cmp(n), BigInt(10 * (n + 1)));
    }
    hpet.write(CONF, 4, 3);
    timers.advance(10_000n);
    expect([legacy[0].rises, legacy[8].rises, pins[20].rises, pins[21].rises, pins[22].rises]).toEqual([1, 1, 0, 0, 1]);
    hpet.reset();
    expect(switches).toEqual([true, false]);
  });
});

describe("saved state", () => {
  const scramble = (random: Random, b: ReturnType<typeof board>) => {
    for (let i = 0; i < 40; i++) {
      const n = random.below(3);
      const kind = random.below(7);
      if (kind === 0) b.hpet.write(CONF, 4, random.below(4) | (random.below(4) ? 1 : 0));
      else if (kind === 1) b.hpet.write(conf(n), 4, (random.next() & 0x14e) | ENB | route(20 + random.below(4)));
      else if (kind === 2) b.hpet.write64(cmp(n), b.hpet.counter() + BigInt(random.below(100_000)));
      else if (kind === 3) b.hpet.write(cmp(n), 4, 1000 + random.below(100_000));
      else if (kind === 4) b.hpet.write(STA, 4, random.below(8));
      else if (kind === 5) b.timers.advance(BigInt(random.below(20_000_000)));
      else b.hpet.write(cmp(n) + 4, 4, random.below(2));
    }
  };

  it("is restored exactly on another clock, and goes on the same", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = new Random(seed);
      const a = board();
      scramble(random, a);
      const saved = a.hpet.export();
      const b = board();
      b.timers.advance(987_654_321n);
      scramble(random, b);
      expect(b.hpet.export()).not.toEqual(saved);
      b.hpet.import(structuredClone(saved));
      expect(b.hpet.export()).toEqual(saved);
      const levels = (c: ReturnType<typeof board>) => [...c.pins, c.legacy[0], c.legacy[8]].map((pin) => pin.level);
      expect(levels(b)).toEqual(levels(a));
      for (const c of [a, b]) for (const pin of [...c.pins, c.legacy[0], c.legacy[8]]) pin.clear();
      const tail = random.next();
      scramble(new Random(tail), a);
      scramble(new Random(tail), b);
      expect(b.hpet.export()).toEqual(a.hpet.export());
      expect(b.pins.map((pin) => pin.changes)).toEqual(a.pins.map((pin) => pin.changes));
    }
  });

  it("refuses nonsense and changes nothing", () => {
    const { hpet } = board();
    hpet.write64(cmp(1), 77n);
    const good = hpet.export();
    for (const bad of [{ version: 2 }, { periodNs: 50n }, { counter: -1n }, { phase: 100n }, { timers: [] }]) {
      expect(() => hpet.import({ ...good, config: 3, ...bad } as never)).toThrow(SnapshotError);
      expect(hpet.export()).toEqual(good);
    }
  });
});
