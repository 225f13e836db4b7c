import { describe, expect, it } from "vitest";
import { Vrtc } from "../../src/io/vrtc.ts";
import {
  FakePin,
  FakePorts,
  FakeTimers,
  fakeLog,
  MICROSECOND,
  MILLISECOND,
  type Random,
  refusesSnapshots,
  SECOND,
  snapshotProperty,
} from "./fakes.ts";

/** 2024-02-28 23:59:50 UTC, a Wednesday. */
const LEAP_EVE = Date.UTC(2024, 1, 28, 23, 59, 50) / 1000;
const A = 0x0a;
const B = 0x0b;
const C = 0x0c;

function make(wallClockSeconds = LEAP_EVE, timers = new FakeTimers()) {
  const irq = new FakePin(timers);
  const log = fakeLog();
  const nmi: boolean[] = [];
  const onNmiDisable = (disabled: boolean) => void nmi.push(disabled);
  const rtc = new Vrtc({ timers, irq8: irq, wallClockSeconds, onNmiDisable, log });
  const ports = new FakePorts(rtc.handlers);
  const read = (index: number) => {
    ports.out(0x70, index);
    return ports.in(0x71);
  };
  const write = (index: number, value: number) => {
    ports.out(0x70, index);
    ports.out(0x71, value);
  };
  /** Century, year, month, day, weekday, hours, minutes, seconds as the bytes are, in hex. */
  const now = () => [0x32, 9, 8, 7, 6, 4, 2, 0].map((index) => read(index).toString(16).padStart(2, "0")).join(" ");
  return { rtc, timers, irq, log, nmi, ports, read, write, now };
}

describe("vrtc: the calendar", () => {
  it("starts at the wall clock, in BCD and 24 hours, and goes on by guest time", () => {
    const m = make();
    expect(m.now()).toBe("20 24 02 28 04 23 59 50");
    m.timers.advance(9_999n * MILLISECOND);
    expect(m.now()).toBe("20 24 02 28 04 23 59 59");
    m.timers.advance(MILLISECOND);
    expect(m.now()).toBe("20 24 02 29 05 00 00 00");
    m.timers.advance(86_400n * SECOND);
    expect(m.now()).toBe("20 24 03 01 06 00 00 00");
  });

  it("counts from power-on, whatever the clock reads when it is made, and keeps a fraction of a second", () => {
    const m = make(LEAP_EVE + 0.25, new FakeTimers(1_500_000_000n));
    expect(m.now().slice(-2)).toBe("51");
    m.timers.advance(249n * MILLISECOND);
    expect(m.now().slice(-2)).toBe("51");
    m.timers.advance(MILLISECOND);
    expect(m.now().slice(-2)).toBe("52");
  });

  it("turns the century", () => {
    const m = make(Date.UTC(2099, 11, 31, 23, 59, 59) / 1000);
    m.timers.advance(SECOND);
    expect(m.now()).toBe("21 00 01 01 06 00 00 00");
  });

  it("shows binary and 12 hours where register B asks for it", () => {
    const m = make();
    m.write(B, 0x80 | 0x04); // SET, binary, 12 hours
    for (const [index, value] of [
      [0, 59],
      [2, 59],
      [4, 0x80 | 11],
      [7, 31],
      [8, 12],
      [9, 24],
    ]) {
      m.write(index, value);
    }
    m.write(B, 0x04);
    m.timers.advance(SECOND);
    expect([4, 2, 0].map(m.read)).toEqual([12, 0, 0]); // midnight is 12 AM
    m.timers.advance(12n * 3600n * SECOND);
    expect(m.read(4)).toBe(0x8c); // noon is 12 PM
    expect([7, 8, 9].map(m.read)).toEqual([1, 1, 25]);
  });

  it("stands still under SET and goes on from what was written", () => {
    const m = make();
    m.write(B, 0x82);
    m.timers.advance(5n * SECOND);
    expect(m.now()).toBe("20 24 02 28 04 23 59 50");
    m.write(0, 0x10);
    m.write(B, 0x02);
    m.timers.advance(2n * SECOND);
    expect(m.read(0)).toBe(0x12);
  });

  it("takes a write without SET at once", () => {
    const m = make();
    m.timers.advance(3n * SECOND);
    m.write(4, 0x12);
    expect(m.now()).toBe("20 24 02 28 04 12 59 53");
  });

  it("first updates half a second after the divider is released", () => {
    const m = make();
    m.timers.advance(123n * MILLISECOND);
    m.write(A, 0x76);
    m.timers.advance(5n * SECOND);
    expect(m.read(0)).toBe(0x50);
    m.write(A, 0x26);
    m.timers.advance(499n * MILLISECOND);
    expect(m.read(0)).toBe(0x50);
    m.timers.advance(MILLISECOND);
    expect(m.read(0)).toBe(0x51);
    m.timers.advance(SECOND);
    expect(m.read(0)).toBe(0x52);
  });

  it("holds an invalid date and says so once", () => {
    const m = make();
    m.write(8, 0x13);
    m.timers.advance(5n * SECOND);
    m.read(0);
    m.timers.advance(5n * SECOND);
    expect(m.read(8)).toBe(0x13);
    expect(m.log.messages).toHaveLength(1);
    m.write(8, 0x01);
    m.timers.advance(SECOND);
    expect(m.read(0)).toBe(0x51);
  });

  it("shows UIP for 2228 µs before the second, not under SET", () => {
    const m = make();
    const uip = () => (m.read(A) & 0x80) !== 0;
    m.timers.advance(SECOND - 2229n * MICROSECOND);
    expect(uip()).toBe(false);
    m.timers.advance(MICROSECOND);
    expect(uip()).toBe(true);
    m.timers.advance(2227n * MICROSECOND);
    expect([uip(), m.read(0)]).toEqual([true, 0x50]);
    m.timers.advance(MICROSECOND);
    expect([uip(), m.read(0)]).toEqual([false, 0x51]);
    m.timers.advance(999n * MILLISECOND);
    m.write(B, 0x82);
    expect(uip()).toBe(false);
  });
});

describe("vrtc: interrupts", () => {
  it("periodic: at the rate of register A, once per reading of C, without drift", () => {
    const m = make();
    m.write(A, 0x26);
    m.write(B, 0x42);
    for (let i = 1; i <= 2048; i++) {
      m.timers.advance((BigInt(i) * SECOND) / 1024n + 1n - m.timers.now());
      expect(m.irq.level).toBe(true);
      expect(m.read(C) & 0xc0).toBe(0xc0);
      expect(m.irq.level).toBe(false);
    }
    expect(m.irq.rises).toBe(2048);
    m.timers.advance(SECOND);
    expect(m.irq.rises).toBe(2049); // C was not read
    m.write(A, 0x20);
    m.read(C);
    m.timers.advance(SECOND);
    expect(m.irq.rises).toBe(2049);
  });

  it("periodic: every rate", () => {
    const hz = [0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2];
    for (let rs = 1; rs < 16; rs++) {
      const m = make();
      m.write(A, 0x20 | rs);
      m.write(B, 0x42);
      m.timers.advance(SECOND / BigInt(hz[rs]) - MICROSECOND);
      expect(m.irq.rises, `RS ${rs}`).toBe(0);
      m.timers.advance(2n * MICROSECOND);
      expect(m.irq.rises, `RS ${rs}`).toBe(1);
    }
  });

  it("update-ended: each second, cleared by reading C", () => {
    const m = make();
    m.write(B, 0x12);
    m.timers.advance(SECOND);
    expect(m.irq.riseTimes).toEqual([SECOND]);
    expect([m.read(C) & 0xb0, m.read(C)]).toEqual([0x90, 0]);
    m.timers.advance(SECOND);
    expect(m.irq.riseTimes).toEqual([SECOND, 2n * SECOND]);
  });

  it("SET clears UIE", () => {
    const m = make();
    m.write(B, 0x92);
    expect(m.read(B)).toBe(0x82);
  });

  it("alarm: at the time of day, every minute, every hour", () => {
    const alarm = (h: number, min: number, s: number) => {
      const m = make();
      m.write(5, h);
      m.write(3, min);
      m.write(1, s);
      m.write(B, 0x22);
      for (let i = 0; i < 125; i++) {
        m.timers.advance(60n * SECOND);
        m.read(C);
      }
      return m.irq.riseTimes.slice(0, 3).map((at) => Number(at / SECOND));
    };
    expect(alarm(0x00, 0x01, 0x05)).toEqual([75]);
    expect(alarm(0xff, 0x01, 0x05)).toEqual([75, 3675, 7275]);
    expect(alarm(0xff, 0xff, 0x00)).toEqual([10, 70, 130]);
    expect(alarm(0x23, 0xc0, 0x55)).toEqual([5]);
    expect(alarm(0x25, 0xff, 0xff)).toEqual([]);
  });

  it("flags events that are not enabled, and interrupts when they get enabled", () => {
    const m = make();
    m.timers.advance(1500n * MILLISECOND);
    expect(m.irq.rises).toBe(0);
    m.write(B, 0x12);
    expect(m.irq.level).toBe(true);
    expect(m.read(C)).toBe(0x80 | 0x40 | 0x10);
  });

  it("reset turns interrupts off and keeps time and memory", () => {
    const m = make();
    m.write(0x40, 0x5a);
    m.write(B, 0x72);
    m.timers.advance(SECOND);
    m.rtc.reset();
    expect([m.irq.level, m.read(B), m.read(C), m.read(0x40), m.read(0)]).toEqual([false, 0x02, 0, 0x5a, 0x51]);
    expect(m.timers.armed()).toEqual([]);
  });
});

describe("vrtc: CMOS", () => {
  it("tells the machine about the NMI bit, and only of changes", () => {
    const m = make();
    m.ports.out(0x70, 0x8f);
    m.ports.out(0x70, 0x80);
    m.ports.out(0x70, 0x0f);
    expect(m.nmi).toEqual([true, false]);
  });

  it("has 128 bytes; C and D are read only, D says the battery is good", () => {
    const m = make();
    m.write(0x7f, 0x12);
    m.write(0x0d, 0x00);
    m.write(C, 0xff);
    expect([m.read(0x7f), m.read(0x0d), m.read(C), m.ports.in(0x70)]).toEqual([0x12, 0x80, 0, 0xff]);
    m.ports.out(0x70, 0x347f, 2); // index and data in one word
    expect(m.read(0x7f)).toBe(0x34);
  });

  it("holds the memory sizes with their checksum", () => {
    const m = make();
    const word = (index: number) => m.read(index) | (m.read(index + 1) << 8);
    m.rtc.setMemorySize(3 * 2 ** 30, 2 ** 30);
    expect([0x15, 0x17, 0x30, 0x34].map(word)).toEqual([640, 0xffff, 0xffff, (3 * 2 ** 30 - 2 ** 24) / 65536]);
    expect([0x5b, 0x5c, 0x5d].map(m.read)).toEqual([0x00, 0x40, 0x00]);
    let sum = 0;
    for (let i = 0x10; i <= 0x2d; i++) sum += m.read(i);
    expect((m.read(0x2e) << 8) | m.read(0x2f)).toBe(sum);
    m.rtc.setMemorySize(2 ** 20, 0);
    expect([0x15, 0x17, 0x34].map(word)).toEqual([640, 0, 0]);
    expect(() => m.rtc.setCmos(0x0b, 0)).toThrow(RangeError);
  });
});

describe("vrtc: snapshots", () => {
  it("raises the interrupt again", () => {
    const m = make();
    m.write(B, 0x12);
    m.timers.advance(SECOND);
    const other = make(0, new FakeTimers(77n));
    other.rtc.import(m.rtc.export());
    expect(other.irq.level).toBe(true);
    expect(other.now()).toBe(m.now());
  });

  it("saves and restores", () => {
    snapshotProperty((timers) => {
      const { rtc, irq, ports } = make(LEAP_EVE, timers);
      const step = (random: Random) => {
        irq.clear();
        switch (random.below(6)) {
          case 0:
            ports.out(0x70, random.below(256));
            break;
          case 1:
            ports.out(0x70, random.below(14) | (random.below(8) === 0 ? 0x80 : 0));
            ports.out(0x71, random.below(256));
            break;
          case 2:
            ports.out(0x70, B);
            ports.out(0x71, (random.below(8) << 4) | random.pick([0, 2, 4, 6]));
            break;
          case 3:
            timers.advance(BigInt(random.below(100)) * SECOND);
            break;
          default:
            timers.advance(BigInt(random.below(3000)) * MICROSECOND);
        }
        return [irq.rises, irq.level, random.coin() ? ports.in(0x71) : undefined];
      };
      return { device: rtc, timers, step };
    });
  });

  it("refuses states that cannot be its own", () => {
    const { rtc, timers } = make();
    timers.advance(SECOND);
    const good = rtc.export();
    refusesSnapshots(rtc, [
      { ...good, version: 2 },
      { ...good, bytes: new Uint8Array(64) },
      { ...good, bytes: [...good.bytes] },
      { ...good, index: -1 },
      { ...good, chain: 3 },
      { ...good, settled: good.chain + 1n },
    ]);
  });
});
