import { describe, expect, it } from "vitest";
import { I8042, type Ps2Device } from "../../src/io/i8042.ts";
import { FakePin, FakePorts, fakeLog, type Random, refusesSnapshots, snapshotProperty } from "./fakes.ts";

function make() {
  const irq1 = new FakePin();
  const irq12 = new FakePin();
  const log = fakeLog();
  const a20: boolean[] = [];
  let resets = 0;
  const onReset = () => {
    resets++;
  };
  const kbc = new I8042({ irq1, irq12, onReset, onA20: (enabled) => void a20.push(enabled), log });
  const ports = new FakePorts(kbc.handlers);
  const command = (value: number, ...data: number[]) => {
    ports.out(0x64, value);
    for (const byte of data) ports.out(0x60, byte);
  };
  return { kbc, irq1, irq12, log, a20, resets: () => resets, ports, command };
}

/** A device that answers every byte with 0xfa and the byte. */
class Echo implements Ps2Device {
  readonly queue: number[] = [];
  received: number[] = [];

  receive(value: number): void {
    this.received.push(value);
    this.queue.push(0xfa, value);
  }

  next(): number | undefined {
    return this.queue.shift();
  }
}

describe("i8042", () => {
  it("passes its self test and sets SYS", () => {
    const { ports, command } = make();
    expect(ports.in(0x64)).toBe(0x10);
    command(0xaa);
    expect(ports.in(0x64)).toBe(0x10 | 0x08 | 0x04 | 0x01);
    expect(ports.in(0x60)).toBe(0x55);
    expect(ports.in(0x64) & 0x01).toBe(0);
    expect(ports.in(0x60)).toBe(0x55); // the last byte again
  });

  it("passes both port tests", () => {
    const { ports, command } = make();
    for (const test of [0xab, 0xa9]) {
      command(test);
      expect(ports.in(0x60)).toBe(0x00);
    }
  });

  it("keeps the configuration byte and the rest of its RAM", () => {
    const { ports, command } = make();
    command(0x60, 0x47);
    expect(ports.in(0x64) & 0x0c).toBe(0x04); // data was the last write; SYS from the configuration
    command(0x20);
    expect(ports.in(0x60)).toBe(0x47);
    command(0x7f, 0x99);
    command(0x3f);
    expect(ports.in(0x60)).toBe(0x99);
  });

  it("shows in the configuration which ports commands turn off", () => {
    const { ports, command } = make();
    const config = () => {
      command(0x20);
      return ports.in(0x60) & 0x30;
    };
    expect(config()).toBe(0x30);
    command(0xae);
    command(0xa8);
    expect(config()).toBe(0x00);
    command(0xad);
    expect(config()).toBe(0x10);
    command(0xa7);
    expect(config()).toBe(0x30);
  });

  it("times out where no keyboard and no mouse are", () => {
    const { ports, command, irq1, irq12 } = make();
    command(0x60, 0x03);
    ports.out(0x60, 0xff);
    expect(ports.in(0x64) & 0x61).toBe(0x41);
    expect([irq1.level, irq12.level]).toEqual([true, false]);
    expect(ports.in(0x60)).toBe(0xfe);
    expect([ports.in(0x64) & 0x61, irq1.level]).toEqual([0, false]);
    command(0xd4, 0xf2);
    expect(ports.in(0x64) & 0x61).toBe(0x61);
    expect([irq1.level, irq12.level]).toEqual([false, true]);
    expect(ports.in(0x60)).toBe(0xfe);
  });

  it("loops bytes back as the keyboard's and as the mouse's, as Linux looks for a mouse port", () => {
    const { ports, command } = make();
    command(0xd2, 0x12);
    expect([ports.in(0x64) & 0x21, ports.in(0x60)]).toEqual([0x01, 0x12]);
    command(0xd3, 0x5a);
    expect([ports.in(0x64) & 0x21, ports.in(0x60)]).toEqual([0x21, 0x5a]);
  });

  it("resets the machine by 0xfe and by the output port, not by other pulses", () => {
    const { command, resets } = make();
    command(0xff);
    command(0xf1);
    expect(resets()).toBe(0);
    command(0xfe);
    expect(resets()).toBe(1);
    command(0xd1, 0xdf);
    expect(resets()).toBe(1);
    command(0xd1, 0xde);
    expect(resets()).toBe(2);
  });

  it("gates A20 by the output port and by 0xdd and 0xdf", () => {
    const { ports, command, a20 } = make();
    command(0xd1, 0xdd);
    command(0xd0);
    expect(ports.in(0x60) & 0x03).toBe(0x01);
    command(0xdf);
    command(0xd0);
    expect(ports.in(0x60) & 0x03).toBe(0x03);
    command(0xdd);
    expect(a20).toEqual([false, true, false]);
  });

  it("gives replies in order, with an edge for each", () => {
    const { ports, command, irq1 } = make();
    command(0x60, 0x01);
    command(0xaa);
    command(0xab);
    command(0xc0);
    expect([ports.in(0x60), ports.in(0x60), ports.in(0x60)]).toEqual([0x55, 0x00, 0xa0]);
    expect(irq1.changes).toEqual([true, false, true, false, true, false]);
  });

  it("logs an unknown command, and drops what a guest never reads", () => {
    const { command, log } = make();
    command(0xbb);
    expect(log.messages).toHaveLength(1);
    for (let i = 0; i < 18; i++) command(0xaa);
    expect(log.messages).toHaveLength(2);
  });

  it("carries bytes of attached devices, each with its interrupt and AUXB", () => {
    const { kbc, ports, command, irq1, irq12 } = make();
    const keyboard = new Echo();
    const mouse = new Echo();
    const ready = kbc.attach("keyboard", keyboard);
    kbc.attach("mouse", mouse);
    expect(() => kbc.attach("mouse", mouse)).toThrow("taken");
    keyboard.queue.push(0x1c);
    ready();
    expect(ports.in(0x64) & 0x01).toBe(0); // its port is off
    command(0x60, 0x03); // both on, both interrupts
    expect([ports.in(0x64) & 0x21, irq1.level]).toEqual([0x01, true]);
    expect(ports.in(0x60)).toBe(0x1c);
    command(0xd4, 0xf4);
    expect([mouse.received, irq12.level, ports.in(0x64) & 0x21]).toEqual([[0xf4], true, 0x21]);
    expect([ports.in(0x60), ports.in(0x60)]).toEqual([0xfa, 0xf4]);
    ports.out(0x60, 0xed);
    expect([ports.in(0x60), ports.in(0x60), ports.in(0x64) & 0x01]).toEqual([0xfa, 0xed, 0]);
  });

  it("reset and import put the pins right", () => {
    const { kbc, command, irq1, a20 } = make();
    command(0x60, 0x01);
    command(0xdd);
    command(0xaa);
    const other = make();
    other.kbc.import(kbc.export());
    expect([other.irq1.level, other.a20]).toEqual([true, [false]]);
    kbc.reset();
    expect([irq1.level, a20.at(-1)]).toEqual([false, true]);
  });

  it("saves and restores", () => {
    snapshotProperty((timers) => {
      const { kbc, ports, irq1, irq12, a20, resets } = make();
      const step = (random: Random) => {
        const before = resets();
        if (random.coin()) ports.out(0x64, random.pick([random.below(256), 0x60, 0x20, 0xd1, 0xd3, 0xd4, 0xaa, 0xc0]));
        else ports.out(0x60, random.below(256));
        const status = ports.in(0x64);
        const data = random.coin() ? ports.in(0x60) : undefined;
        return [status, data, irq1.level, irq12.level, a20.at(-1), resets() - before];
      };
      kbc.reset(); // reports A20
      return { device: kbc, timers, step };
    });
  });

  it("refuses states that cannot be its own", () => {
    const { kbc } = make();
    const good = kbc.export();
    refusesSnapshots(kbc, [
      { ...good, version: 3 },
      { ...good, ram: good.ram.slice(1) },
      { ...good, command: 256 },
      { ...good, a20: 1 },
      { ...good, replies: Array(17).fill(0) },
      { ...good, replies: [-1] },
    ]);
  });
});
