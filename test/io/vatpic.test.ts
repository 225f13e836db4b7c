import { describe, expect, it } from "vitest";
import { Vatpic } from "../../src/io/vatpic.ts";
import { FakePin, FakePorts, fakeLog, type Random, refusesSnapshots, snapshotProperty } from "./fakes.ts";

const IRQS = [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

function make() {
  const intr = new FakePin();
  const log = fakeLog();
  const pic = new Vatpic(intr, log);
  const ports = new FakePorts(pic.handlers);
  const raise = (irq: number) => pic.pin(irq).set(true);
  const lower = (irq: number) => pic.pin(irq).set(false);
  const pulse = (irq: number) => {
    raise(irq);
    lower(irq);
  };
  return { pic, intr, log, ports, raise, lower, pulse };
}

/** As Linux and the BIOSes do: vectors 0x30 and 0x38, cascade on IR2, all unmasked. */
function initialized(master4 = 0x01, slave4 = 0x01) {
  const m = make();
  for (const [base, vector, cascade, icw4] of [
    [0x20, 0x30, 0x04, master4],
    [0xa0, 0x38, 0x02, slave4],
  ]) {
    m.ports.out(base, 0x11);
    m.ports.out(base + 1, vector);
    m.ports.out(base + 1, cascade);
    m.ports.out(base + 1, icw4);
  }
  return m;
}

const isr = (ports: FakePorts, base = 0x20) => {
  ports.out(base, 0x0b);
  return ports.in(base);
};
const irr = (ports: FakePorts, base = 0x20) => {
  ports.out(base, 0x0a);
  return ports.in(base);
};

describe("vatpic", () => {
  it("asks for nothing before it is initialized, and keeps the mask Linux probes it with", () => {
    const { ports, intr, raise } = make();
    ports.out(0x21, 0xfb);
    expect(ports.in(0x21)).toBe(0xfb);
    ports.out(0x21, 0x00);
    raise(4);
    expect(intr.level).toBe(false);
  });

  it("delivers an edge with its vector, holds equal and lower back until EOI", () => {
    const { pic, ports, intr, pulse } = initialized();
    pulse(4);
    expect(intr.level).toBe(true);
    expect(irr(ports)).toBe(0x10);
    expect(pic.acknowledge()).toBe(0x34);
    expect([irr(ports), isr(ports), intr.level]).toEqual([0, 0x10, false]);
    pulse(4);
    pulse(5);
    expect(intr.level).toBe(false);
    pulse(1);
    expect(pic.acknowledge()).toBe(0x31);
    ports.out(0x20, 0x20);
    expect(isr(ports)).toBe(0x10);
    ports.out(0x20, 0x20);
    expect(pic.acknowledge()).toBe(0x34);
    ports.out(0x20, 0x64); // specific EOI of 4
    expect(pic.acknowledge()).toBe(0x35);
  });

  it("keeps requests while they are masked", () => {
    const { pic, ports, pulse } = initialized();
    ports.out(0x21, 0x02);
    pulse(1);
    expect(pic.pending()).toBe(false);
    expect(irr(ports)).toBe(0x02);
    ports.out(0x21, 0x00);
    expect(pic.acknowledge()).toBe(0x31);
  });

  it("sees a held edge-triggered line once, a level-triggered one as long as it is high", () => {
    const { pic, ports, intr, raise, lower } = initialized();
    raise(5);
    expect(pic.acknowledge()).toBe(0x35);
    ports.out(0x20, 0x20);
    expect(intr.level).toBe(false);
    ports.out(0x4d0, 0xff);
    expect(ports.in(0x4d0)).toBe(0xf8); // 0, 1, 2 stay edge triggered
    expect(intr.level).toBe(true);
    expect(pic.acknowledge()).toBe(0x35);
    expect(intr.level).toBe(false);
    ports.out(0x20, 0x20);
    expect(intr.level).toBe(true);
    lower(5);
    expect(intr.level).toBe(false);
    ports.out(0x4d0, 0xffff, 2);
    expect(ports.in(0x4d0, 2)).toBe(0xdef8);
  });

  it("cascades: the slave's vector, both in service, INT again after both EOIs in either order", () => {
    for (const order of [
      [0xa0, 0x20],
      [0x20, 0xa0],
    ]) {
      const { pic, ports, intr, pulse } = initialized();
      pulse(8);
      pulse(14);
      expect(pic.acknowledge()).toBe(0x38);
      expect([isr(ports), isr(ports, 0xa0)]).toEqual([0x04, 0x01]);
      expect(intr.level).toBe(false);
      for (const port of order) ports.out(port, 0x20);
      expect(pic.acknowledge()).toBe(0x3e);
    }
  });

  it("does not lose a level-triggered slave request in AEOI mode, where INT never rests low", () => {
    const { pic, ports, raise } = initialized(0x03, 0x03);
    ports.out(0x4d1, 0x08);
    raise(11);
    expect([pic.acknowledge(), pic.acknowledge()]).toEqual([0x3b, 0x3b]);
  });

  it("lets a higher slave request through only in the special fully nested mode", () => {
    for (const [icw4, through] of [
      [0x01, false],
      [0x11, true],
    ] as const) {
      const { pic, intr, pulse } = initialized(icw4);
      pulse(12);
      expect(pic.acknowledge()).toBe(0x3c);
      pulse(13);
      expect(intr.level).toBe(false);
      pulse(9);
      expect(intr.level).toBe(through);
      pulse(3); // below the slave: held back in both
      if (through) expect(pic.acknowledge()).toBe(0x39);
      expect(intr.level).toBe(false);
    }
  });

  it("answers a request that went away as IR7 of the master, with nothing in service", () => {
    const { pic, ports, raise, lower } = initialized();
    ports.out(0x4d0, 0x20);
    raise(5);
    lower(5);
    expect(pic.acknowledge()).toBe(0x37);
    expect(isr(ports)).toBe(0);
  });

  it("answers a slave request that went away before INTA as spurious, and keeps the cascade free", () => {
    const { pic, ports, intr, raise, lower, pulse } = initialized();
    ports.out(0x4d1, 0x02);
    raise(9);
    expect(intr.level).toBe(true);
    lower(9);
    expect(intr.level).toBe(false);
    expect(pic.acknowledge()).toBe(0x37);
    pulse(10);
    expect(pic.acknowledge()).toBe(0x3a);
  });

  it("takes the request away from the master when the slave is polled", () => {
    const { pic, ports, pulse } = initialized();
    pulse(10);
    ports.out(0xa0, 0x0c);
    expect(ports.in(0xa0)).toBe(0x82);
    expect(pic.pending()).toBe(false);
    expect(isr(ports, 0xa0)).toBe(0x04);
  });

  it("rotates: by EOI, by set priority, and automatically", () => {
    const { pic, ports, pulse } = initialized();
    pulse(3);
    expect(pic.acknowledge()).toBe(0x33);
    ports.out(0x20, 0xa0); // rotate on non-specific EOI: 3 is lowest, 4 highest
    pulse(0);
    pulse(4);
    expect(pic.acknowledge()).toBe(0x34);
    ports.out(0x20, 0xe4); // rotate on specific EOI of 4: 5 is highest
    pulse(5);
    expect(pic.acknowledge()).toBe(0x35);
    ports.out(0x20, 0x20);
    ports.out(0x20, 0xc7); // set priority: 7 lowest, 0 highest
    pulse(1);
    expect([pic.acknowledge()]).toEqual([0x30]);

    const aeoi = initialized(0x03);
    aeoi.ports.out(0x20, 0x80);
    aeoi.pulse(1);
    expect(aeoi.pic.acknowledge()).toBe(0x31);
    expect(isr(aeoi.ports)).toBe(0);
    aeoi.pulse(1);
    aeoi.pulse(6);
    expect([aeoi.pic.acknowledge(), aeoi.pic.acknowledge()]).toEqual([0x36, 0x31]);
    aeoi.ports.out(0x20, 0x00); // no more rotation: 1 stays lowest
    aeoi.pulse(3);
    expect(aeoi.pic.acknowledge()).toBe(0x33);
    aeoi.pulse(1);
    aeoi.pulse(3);
    expect(aeoi.pic.acknowledge()).toBe(0x33);
  });

  it("in special mask mode, lets lower requests through a masked one in service; EOI passes over it", () => {
    const { pic, ports, intr, pulse } = initialized();
    pulse(3);
    expect(pic.acknowledge()).toBe(0x33);
    pulse(6);
    expect(intr.level).toBe(false);
    ports.out(0x21, 0x08);
    expect(intr.level).toBe(false);
    ports.out(0x20, 0x68);
    expect(pic.acknowledge()).toBe(0x36);
    ports.out(0x20, 0x20);
    expect(isr(ports)).toBe(0x08);
    ports.out(0x20, 0x48);
    ports.out(0x20, 0x20);
    expect(isr(ports)).toBe(0);
  });

  it("polls: acknowledges, names the level, and reads as usual afterwards", () => {
    const { ports, intr, pulse } = initialized();
    ports.out(0x20, 0x0c);
    expect(ports.in(0x20) & 0x80).toBe(0);
    pulse(6);
    ports.out(0x20, 0x0c);
    expect(ports.in(0x20)).toBe(0x86);
    expect(intr.level).toBe(false);
    expect(isr(ports)).toBe(0x40);
  });

  it("ICW1 forgets edges, service, mask and modes; a line still high needs a new edge", () => {
    const { pic, ports, intr, raise, lower, pulse } = initialized();
    raise(4);
    pulse(1);
    expect(pic.acknowledge()).toBe(0x31);
    ports.out(0x21, 0xff);
    ports.out(0x20, 0x68);
    ports.out(0x20, 0x0b);
    ports.out(0x20, 0x13); // single, with ICW4: no ICW3
    ports.out(0x21, 0x47);
    ports.out(0x21, 0x01);
    expect([ports.in(0x20), isr(ports), ports.in(0x21), intr.level]).toEqual([0, 0, 0, false]);
    lower(4);
    raise(4);
    expect(pic.acknowledge()).toBe(0x44);
  });

  it("reports MCS-80 mode, which ICW1 without ICW4 asks for", () => {
    const { ports, log } = make();
    ports.out(0x20, 0x10);
    ports.out(0x21, 0x30);
    ports.out(0x21, 0x04);
    expect(log.messages).toHaveLength(1);
    ports.out(0x21, 0xaa);
    expect(ports.in(0x21)).toBe(0xaa);
  });

  it("lowers INTR in every INTA, so that a receiver of edges sees the next request", () => {
    const { pic, intr, pulse } = initialized(0x03);
    pulse(3);
    pulse(4);
    intr.clear();
    pic.acknowledge();
    expect(intr.changes).toEqual([false, true]);
  });

  it("has no pin for the cascade", () => {
    const { pic } = make();
    for (const irq of [2, -1, 16, 1.5]) expect(() => pic.pin(irq)).toThrow(RangeError);
  });

  it("reset asks for nothing until it is initialized again", () => {
    const { pic, ports, intr, raise } = initialized();
    raise(4);
    pic.reset();
    expect(intr.level).toBe(false);
    expect(ports.in(0x4d0)).toBe(0);
  });

  it("raises INTR again on import", () => {
    const { pic, pulse } = initialized();
    pulse(9);
    const other = make();
    other.pic.import(pic.export());
    expect(other.intr.level).toBe(true);
    expect(other.pic.acknowledge()).toBe(0x39);
  });

  it("saves and restores", () => {
    snapshotProperty((timers) => {
      const { pic, ports, intr } = initialized();
      const step = (random: Random) => {
        const irq = random.pick(IRQS);
        const base = random.pick([0x20, 0xa0]);
        const seen: unknown[] = [];
        switch (random.below(8)) {
          case 0:
          case 1:
            pic.pin(irq).set(random.coin());
            break;
          case 2:
            if (pic.pending() || random.below(8) === 0) seen.push(pic.acknowledge());
            break;
          case 3:
            ports.out(base, random.below(256) & (random.below(6) === 0 ? 0xff : 0xef));
            break;
          case 4:
            ports.out(base, 0x20);
            break;
          case 5:
            ports.out(base + 1, random.below(256) & random.below(256));
            break;
          case 6:
            ports.out(0x4d0 + random.below(2), random.below(256));
            break;
          default:
            seen.push(ports.in(base + random.below(2)), ports.in(0x4d0, 2));
        }
        return [...seen, intr.level, pic.pending()];
      };
      return { device: pic, timers, step };
    });
  });

  it("refuses states that cannot be its own", () => {
    const { pic } = initialized();
    const good = pic.export();
    refusesSnapshots(pic, [
      undefined,
      { ...good, version: 2 },
      { ...good, slave: undefined },
      { ...good, slave: { ...good.slave, imr: 256 } },
      { ...good, slave: { ...good.slave, phase: "icw5" } },
      { ...good, master: { ...good.master, elcr: 1 } },
      { ...good, master: { ...good.master, poll: 1 } },
    ]);
  });
});
