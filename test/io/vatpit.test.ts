import { describe, expect, it } from "vitest";
import { PIT_HZ, Vatpit } from "../../src/io/vatpit.ts";
import {
  FakePin,
  FakePorts,
  FakeTimers,
  MICROSECOND,
  MILLISECOND,
  type Random,
  refusesSnapshots,
  SECOND,
  snapshotProperty,
} from "./fakes.ts";

const HZ = BigInt(PIT_HZ);
/** The first nanosecond of a CLK pulse. */
const pulseTime = (pulse: number | bigint) => (BigInt(pulse) * SECOND + HZ - 1n) / HZ;

function make(timers = new FakeTimers()) {
  const irq = new FakePin(timers);
  const pit = new Vatpit(timers, irq);
  const ports = new FakePorts(pit.handlers);
  const start = (timers.now() * HZ) / SECOND;
  return {
    timers,
    irq,
    pit,
    ports,
    /** Moves to the start of this CLK pulse, counted from the making. */
    to: (pulse: number) => timers.advance(pulseTime(start + BigInt(pulse)) - timers.now()),
    program: (counter: number, mode: number, count: number, bcd = 0) => {
      ports.out(0x43, (counter << 6) | 0x30 | (mode << 1) | bcd);
      ports.out(0x40 + counter, count & 0xff);
      ports.out(0x40 + counter, count >> 8);
    },
    count: (counter: number) => {
      ports.out(0x43, counter << 6);
      return ports.in(0x40 + counter) | (ports.in(0x40 + counter) << 8);
    },
    status: (counter: number) => {
      ports.out(0x43, 0xe0 | (2 << counter));
      return ports.in(0x40 + counter);
    },
    out2: () => (ports.in(0x61) & 0x20) !== 0,
    gate2: (high: boolean) => ports.out(0x61, high ? 1 : 0),
  };
}

/** OUT of counter 2 in each of the pulses [from, to). */
function wave(m: ReturnType<typeof make>, from: number, to: number): string {
  let text = "";
  for (let pulse = from; pulse < to; pulse++) {
    m.to(pulse);
    text += m.out2() ? "H" : "L";
  }
  return text;
}

/** Counts of counter 2 in each of the pulses [from, to). */
function counts(m: ReturnType<typeof make>, from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => {
    m.to(from + i);
    return m.count(2);
  });
}

describe("vatpit: the six modes, pulse by pulse", () => {
  it("mode 0: low for N + 1 pulses after the write, then high; the count wraps", () => {
    const m = make();
    m.gate2(true);
    m.program(2, 0, 4);
    expect(wave(m, 0, 8)).toBe("LLLLLHHH");
    expect(counts(m, 8, 10)).toEqual([0xfffd, 0xfffc]);
  });

  it("mode 0: GATE low holds the count, a new count restarts, its first byte stops the counting", () => {
    const m = make();
    m.program(2, 0, 4); // loaded although GATE is low
    m.to(6);
    expect(m.count(2)).toBe(4);
    m.gate2(true);
    m.to(8);
    m.gate2(false);
    expect(counts(m, 9, 11)).toEqual([2, 2]);
    m.gate2(true);
    expect(wave(m, 11, 14)).toBe("LHH");
    m.ports.out(0x42, 5);
    expect([m.out2(), m.count(2)]).toEqual([false, 0xffff]);
    expect(counts(m, 15, 17)).toEqual([0xffff, 0xffff]);
    m.ports.out(0x42, 0);
    expect(wave(m, 17, 24)).toBe("LLLLLHH");
  });

  it("mode 1: a one-shot of N pulses from the trigger, retriggerable, deaf to GATE falling", () => {
    const m = make();
    m.program(2, 1, 3);
    expect(wave(m, 0, 3)).toBe("HHH");
    m.gate2(true);
    expect(wave(m, 2, 8)).toBe("HLLLHH");
    m.gate2(false);
    m.gate2(true);
    m.to(9);
    m.gate2(false);
    m.gate2(true);
    expect(wave(m, 9, 15)).toBe("LLLLHH");
  });

  it("mode 2: low for one pulse in N; a new count waits for the end of the period", () => {
    const m = make();
    m.gate2(true);
    m.program(2, 2, 4);
    expect(wave(m, 0, 10)).toBe("HHHHLHHHLH");
    expect(counts(m, 9, 14)).toEqual([4, 3, 2, 1, 4]);
    m.ports.out(0x42, 3);
    m.ports.out(0x42, 0);
    expect(m.status(2) & 0x40).toBe(0x40);
    expect(counts(m, 13, 21)).toEqual([4, 3, 2, 1, 3, 2, 1, 3]);
    expect(m.status(2) & 0x40).toBe(0);
  });

  it("mode 2: GATE low forces OUT high, GATE rising reloads on the next pulse", () => {
    const m = make();
    m.gate2(true);
    m.program(2, 2, 4);
    m.to(4);
    expect(m.out2()).toBe(false);
    m.gate2(false);
    expect(m.out2()).toBe(true);
    m.to(9);
    m.gate2(true);
    expect(wave(m, 9, 15)).toBe("HHHHLH");
  });

  it("mode 2: a new count does not get in while GATE is low", () => {
    const m = make();
    m.gate2(true);
    m.program(2, 2, 4);
    m.to(2);
    m.ports.out(0x42, 6);
    m.ports.out(0x42, 0);
    m.gate2(false);
    m.to(20);
    expect([m.count(2), m.status(2) & 0x40]).toEqual([3, 0x40]);
    m.gate2(true);
    expect(counts(m, 21, 23)).toEqual([6, 5]);
  });

  it("mode 3: even counts are square, odd ones one pulse longer high, counting by two", () => {
    const even = make();
    even.gate2(true);
    even.program(2, 3, 4);
    expect(wave(even, 1, 9)).toBe("HHLLHHLL");
    expect(counts(even, 9, 13)).toEqual([4, 2, 4, 2]);
    const odd = make();
    odd.gate2(true);
    odd.program(2, 3, 5);
    expect(wave(odd, 1, 11)).toBe("HHHLLHHHLL");
    expect(counts(odd, 11, 16)).toEqual([4, 2, 0, 4, 2]);
  });

  it("mode 3: a new count is taken at the end of the half period", () => {
    const m = make();
    m.gate2(true);
    m.program(2, 3, 6);
    m.to(2);
    m.ports.out(0x42, 4);
    m.ports.out(0x42, 0);
    expect(wave(m, 2, 12)).toBe("HHLLHHLLHH");
  });

  it("mode 4: one low pulse N + 1 pulses after the write, once", () => {
    const m = make();
    m.gate2(true);
    m.program(2, 4, 3);
    expect(wave(m, 0, 7)).toBe("HHHHLHH");
    m.to(0x10004);
    expect(m.out2()).toBe(true);
  });

  it("mode 5: the same, from a trigger", () => {
    const m = make();
    m.program(2, 5, 3);
    m.to(5);
    m.gate2(true);
    expect(wave(m, 5, 12)).toBe("HHHHLHH");
  });

  it("modes 6 and 7 are 2 and 3", () => {
    const m = make();
    m.program(0, 6, 100);
    m.program(1, 7, 100);
    expect([m.status(0) & 0x0e, m.status(1) & 0x0e]).toEqual([4, 6]);
  });
});

describe("vatpit: registers", () => {
  it("counts in BCD, 0 being 10000", () => {
    const m = make();
    m.gate2(true);
    m.program(2, 0, 0x1000, 1);
    m.to(2);
    expect(m.count(2)).toBe(0x0999);
    m.program(2, 2, 0, 1);
    m.to(4);
    expect(m.count(2)).toBe(0x9999);
    m.to(10_002);
    expect(m.count(2)).toBe(0x0001);
  });

  it("takes and gives single bytes as the access mode says", () => {
    const m = make();
    m.ports.out(0x43, 0x14); // counter 0, low byte, mode 2
    m.ports.out(0x40, 0x80);
    m.to(1);
    expect([m.ports.in(0x40), m.ports.in(0x40)]).toEqual([0x80, 0x80]);
    m.ports.out(0x43, 0x24); // high byte
    m.ports.out(0x40, 0x12);
    m.to(2);
    expect(m.ports.in(0x40)).toBe(0x12);
    expect(m.count(0) & 0xff).toBe(0x12);
  });

  it("holds a latched count until it is read, and ignores a second latch", () => {
    const m = make();
    m.program(0, 2, 1000);
    m.to(101);
    m.ports.out(0x43, 0x00);
    m.to(201);
    m.ports.out(0x43, 0x00);
    expect(m.ports.in(0x40) | (m.ports.in(0x40) << 8)).toBe(900);
    expect(m.ports.in(0x40) | (m.ports.in(0x40) << 8)).toBe(800);
  });

  it("reads back status before count, for all counters at once", () => {
    const m = make();
    m.program(0, 2, 1000);
    m.ports.out(0x43, 0xc6); // count and status of 0 and 1
    expect(m.ports.in(0x40)).toBe(0x80 | 0x40 | 0x34); // OUT high, NULL COUNT, both bytes, mode 2
    m.to(1);
    m.ports.in(0x40);
    m.ports.in(0x40);
    expect(m.status(0)).toBe(0x80 | 0x34);
    m.ports.out(0x43, 0xc2);
    m.to(5);
    expect([m.ports.in(0x40), m.ports.in(0x40), m.ports.in(0x40)]).toEqual([0xb4, 1000 & 0xff, 1000 >> 8]);
    expect(m.ports.in(0x41)).toBe(0x40 | 0x30); // latched above and still there
  });

  it("reads nothing at the control port", () => {
    expect(make().ports.in(0x43)).toBe(0xff);
  });

  it("port 0x61: keeps its low four bits, toggles refresh every 18 pulses", () => {
    const m = make();
    m.ports.out(0x61, 0xff);
    expect(m.ports.in(0x61) & 0xcf).toBe(0x0f);
    let toggles = 0;
    for (let last = m.ports.in(0x61) & 0x10, pulse = 1; pulse <= 1800; pulse++) {
      m.to(pulse);
      const now = m.ports.in(0x61) & 0x10;
      if (now !== last) toggles++;
      last = now;
    }
    expect(toggles).toBe(100);
  });

  it("times a 50 ms one-shot of counter 2 to the nanosecond, as TSC calibration does", () => {
    const m = make();
    m.timers.advance(123_456_789n);
    m.ports.out(0x61, 0x01);
    m.ports.out(0x43, 0xb0);
    const count = Math.trunc(PIT_HZ / 20);
    m.ports.out(0x42, count & 0xff);
    const written = (m.timers.now() * HZ) / SECOND;
    m.ports.out(0x42, count >> 8);
    const due = pulseTime(written + 1n + BigInt(count));
    m.timers.advance(due - m.timers.now() - 1n);
    expect(m.out2()).toBe(false);
    m.timers.advance(1n);
    expect(m.out2()).toBe(true);
  });
});

describe("vatpit: IRQ 0", () => {
  it("ticks in mode 2 without drift: after five minutes still on the exact pulse", () => {
    const m = make();
    m.program(0, 2, 1193);
    m.timers.advance(SECOND);
    expect(m.irq.riseTimes.slice(0, 3)).toEqual([0n, pulseTime(1194), pulseTime(1194 + 1193)]);
    expect(m.irq.rises).toBe(1 + 1000);
    m.irq.clear();
    m.timers.advance(300n * SECOND);
    const last = m.irq.riseTimes.at(-1)!;
    const periods = (m.timers.now() * HZ) / SECOND / 1193n;
    expect(last).toBe(pulseTime(1n + 1193n * periods));
  });

  it("ticks 18.2 times a second in mode 3 with count 0", () => {
    const m = make();
    m.program(0, 3, 0);
    m.irq.clear();
    m.timers.advance(10n * SECOND);
    expect(m.irq.riseTimes.slice(0, 2)).toEqual([pulseTime(65537), pulseTime(131073)]);
    expect(m.irq.rises).toBe(182);
  });

  it("fires once in mode 0 and stays up until the next count", () => {
    const m = make();
    m.program(0, 0, 1000);
    m.timers.advance(SECOND);
    expect(m.irq.riseTimes).toEqual([pulseTime(1001)]);
    expect(m.irq.level).toBe(true);
    m.ports.out(0x40, 0x10);
    expect(m.irq.level).toBe(false);
  });

  it("fires once in mode 4, as Linux's one-shot clock event uses it", () => {
    const m = make();
    m.ports.out(0x43, 0x38);
    for (const byte of [0xe8, 0x03]) m.ports.out(0x40, byte);
    m.irq.clear();
    m.timers.advance(SECOND);
    expect(m.irq.riseTimes).toEqual([pulseTime(1002)]);
    expect(m.timers.armed()).toEqual([]);
  });

  it("takes a new period at the end of the running one", () => {
    const m = make();
    m.program(0, 2, 1000);
    m.to(500);
    m.ports.out(0x40, 100);
    m.ports.out(0x40, 0);
    m.irq.clear();
    m.to(1250);
    expect(m.irq.riseTimes).toEqual([pulseTime(1001), pulseTime(1101), pulseTime(1201)]);
  });

  it("is late when the host is, loses no tick, and gets back on the exact pulse", () => {
    const m = make();
    m.program(0, 2, 1193);
    m.irq.clear();
    m.timers.advanceLate(10n * MILLISECOND + 1000n);
    // All at once they would be one interrupt: the others follow.
    expect(m.irq.rises).toBe(1);
    m.timers.advance(990_000n);
    expect(m.irq.rises).toBe(4);
    m.timers.advance(3n * MILLISECOND);
    // 10 to 13 ms have a tick each, on its pulse, besides the nine that were late.
    expect(m.irq.rises).toBe(13);
    m.irq.clear();
    m.timers.advance(MILLISECOND);
    expect(m.irq.riseTimes).toEqual([pulseTime(1 + 1193 * 14)]);
  });

  it("does not make up for what it owed before it was programmed anew, nor for more than a second", () => {
    const m = make();
    m.program(0, 2, 1193);
    m.timers.advanceLate(10n * MILLISECOND);
    m.program(0, 0, 0);
    m.irq.clear();
    m.timers.advance(20n * MILLISECOND);
    expect(m.irq.rises).toBe(0);
    m.program(0, 2, 11932);
    m.irq.clear();
    m.timers.advanceLate(60n * SECOND);
    m.timers.advance(SECOND);
    // One that was due, 99 late ones, as a second has no more, and those of the second that has passed.
    expect(m.irq.rises).toBe(1 + 99 + 100);
  });

  it("delivers an edge that was due when counter 0 is reprogrammed", () => {
    const m = make();
    m.program(0, 0, 1000);
    m.timers.stall(2n * MILLISECOND);
    m.program(0, 0, 500);
    expect(m.irq.changes).toEqual([true, false]);
  });

  it("merges edges closer than 20 µs", () => {
    const m = make();
    m.program(0, 2, 2);
    m.irq.clear();
    m.timers.advance(MILLISECOND);
    expect(m.irq.rises).toBeGreaterThan(40);
    expect(m.irq.rises).toBeLessThanOrEqual(51);
    m.program(0, 2, 1); // illegal: never rises
    m.irq.clear();
    m.timers.advance(MILLISECOND);
    expect(m.irq.rises).toBe(0);
  });

  it("reset stops everything", () => {
    const m = make();
    m.program(0, 3, 1000);
    m.ports.out(0x61, 3);
    m.pit.reset();
    expect([m.irq.level, m.timers.armed(), m.ports.in(0x61) & 0x0f]).toEqual([false, [], 0]);
  });
});

describe("vatpit: snapshots", () => {
  it("goes on to the nanosecond on a clock at another time", () => {
    const m = make();
    m.program(0, 2, 1193);
    m.timers.advance(777_777_777n);
    const taker = make(new FakeTimers(5n));
    taker.pit.import(m.pit.export());
    expect(taker.irq.level).toBe(true);
    const [start, other] = [m.timers.now(), taker.timers.now()];
    m.irq.clear();
    taker.irq.clear();
    m.timers.advance(SECOND);
    taker.timers.advance(SECOND);
    expect(taker.irq.riseTimes.map((at) => at - other)).toEqual(m.irq.riseTimes.map((at) => at - start));
    expect(taker.irq.rises).toBeGreaterThan(990);
  });

  it("saves and restores", () => {
    snapshotProperty((timers) => {
      const { pit, ports, irq } = make(timers);
      const step = (random: Random) => {
        const counter = random.below(3);
        irq.clear();
        switch (random.below(7)) {
          case 0:
            ports.out(0x43, (counter << 6) | (random.below(4) << 4) | (random.below(8) << 1) | random.below(2));
            break;
          case 1:
          case 2:
            ports.out(0x40 + counter, random.below(256));
            break;
          case 3:
            ports.out(0x43, 0xc0 | (random.below(8) << 1) | (random.below(4) << 4));
            break;
          case 4:
            ports.out(0x61, random.below(4));
            break;
          default:
            timers.advance(BigInt(random.below(200)) * BigInt(random.below(2000)) * MICROSECOND);
        }
        const seen = [irq.rises, irq.level, ports.in(0x61)];
        return random.coin() ? [...seen, ports.in(0x40), ports.in(0x41), ports.in(0x42)] : seen;
      };
      return { device: pit, timers, step };
    });
  });

  it("tells the tone of counter 2 while its gate and the speaker are on", () => {
    const m = make();
    const tones: number[] = [];
    m.pit.onTone = (hz) => tones.push(Math.round(hz));
    m.program(2, 3, 1193);
    m.ports.out(0x61, 2);
    m.ports.out(0x61, 3);
    m.program(2, 3, 2386);
    expect(Math.round(m.pit.heard)).toBe(500);
    m.ports.out(0x61, 1);
    m.ports.out(0x61, 3);
    m.program(2, 0, 1000);
    // A control word silences it until there is a count.
    expect(tones).toEqual([1000, 0, 500, 0, 500, 0]);
    m.program(2, 3, 1193);
    m.pit.reset();
    expect(m.pit.heard).toBe(0);
  });

  it("refuses states that cannot be its own", () => {
    const m = make();
    m.program(0, 2, 1193);
    const good = m.pit.export();
    const counter = (change: object) => ({
      ...good,
      counters: [{ ...good.counters[0], ...change }, ...good.counters.slice(1)],
    });
    refusesSnapshots(m.pit, [
      { ...good, version: 0 },
      { ...good, oscillator: 5 },
      { ...good, counters: good.counters.slice(1) },
      counter({ mode: 6 }),
      counter({ running: true, loaded: 0 }),
      counter({ count: 0 }), // a load is pending
      counter({ start: Number.NaN }),
    ]);
  });
});
