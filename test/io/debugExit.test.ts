import { describe, expect, it } from "vitest";
import { DebugExit, Testdev } from "../../src/io/debugExit.ts";
import { DebugPort } from "../../src/io/debugPort.ts";
import { SnapshotError } from "../../src/shared/device.ts";
import { FakePin, fakeLog, Random } from "./fakes.ts";

function board() {
  const pins = Array.from({ length: 24 }, () => new FakePin());
  const log = fakeLog();
  return { pins, log, dev: new Testdev((n) => pins[n], log) };
}

describe("isa-debug-exit", () => {
  it("ends with (value << 1) | 1, at any width", () => {
    const statuses: number[] = [];
    const exit = new DebugExit((status) => statuses.push(status));
    exit.write(0, 1, 0);
    exit.write(0, 4, 0x21);
    exit.write(0, 2, 0xff);
    expect(statuses).toEqual([1, 0x43, 0xff]);
    expect(exit.read(0, 2)).toBe(0xffff);
  });
});

describe("testdev", () => {
  it("keeps four bytes for any width", () => {
    const { dev } = board();
    dev.scratch.write(0, 4, 0x8765_4321);
    dev.scratch.write(1, 1, 0xaa);
    dev.scratch.write(2, 2, 0xbeef);
    expect(dev.scratch.read(0, 4)).toBe(0xbeef_aa21);
    expect([dev.scratch.read(1, 1), dev.scratch.read(2, 2)]).toEqual([0xaa, 0xbeef]);
  });

  it("drives interrupt lines", () => {
    const { dev, pins, log } = board();
    dev.irq.write(14, 1, 1);
    dev.irq.write(23, 1, 0x80);
    expect(pins.map((pin) => pin.level).lastIndexOf(true)).toBe(23);
    expect(pins[14].level).toBe(true);
    dev.irq.write(14, 1, 0);
    expect(pins[14].changes).toEqual([true, false]);
    expect(log.messages).toEqual([]);
    dev.irq.write(0, 4, 1);
    expect([pins[0].level, log.messages.length]).toEqual([false, 1]);
  });

  it("drives each line through one output, however often", () => {
    const outputs: number[] = [];
    const dev = new Testdev((n) => {
      outputs.push(n);
      return new FakePin();
    }, fakeLog());
    for (const value of [1, 0, 1, 0]) dev.irq.write(14, 1, value);
    expect(outputs.filter((n) => n === 14)).toEqual([14]);
  });

  it("has memory of 64 KiB", () => {
    const { dev } = board();
    dev.iomem.write(0, 4, 0xdead_beef);
    dev.iomem.write(0xfffe, 2, 0x1234);
    expect([dev.iomem.read(0, 4), dev.iomem.read(1, 1), dev.iomem.read(0xfffe, 2)]).toEqual([
      0xdead_beef, 0xbe, 0x1234,
    ]);
  });

  it("restores its state, and refuses another's", () => {
    const random = new Random(5);
    const a = board();
    const change = (b: ReturnType<typeof board>) => {
      for (let i = 0; i < 40; i++) {
        b.dev.scratch.write(random.below(4), 1, random.below(256));
        b.dev.irq.write(random.below(24), 1, random.below(2));
        b.dev.iomem.write(random.below(0xfff0), 4, random.next());
      }
    };
    change(a);
    const saved = a.dev.export();
    const b = board();
    change(b);
    expect(b.dev.export()).not.toEqual(saved);
    expect(() => b.dev.import({ ...saved, lines: [1] })).toThrow(SnapshotError);
    expect(() => b.dev.import({ ...saved, iomem: new Uint8Array(3) })).toThrow(SnapshotError);
    expect(b.dev.export()).not.toEqual(saved);
    b.dev.import(structuredClone(saved));
    expect(b.dev.export()).toEqual(saved);
    expect(b.pins.map((pin) => pin.level)).toEqual(a.pins.map((pin) => pin.level));
    b.dev.reset();
    expect(b.pins.some((pin) => pin.level)).toBe(false);
  });
});

describe("debug port", () => {
  it("passes bytes on and says it is there", () => {
    const got: number[] = [];
    const port = new DebugPort((byte) => got.push(byte));
    expect(port.read()).toBe(0xe9);
    for (const char of "ok") port.write(0, 1, char.charCodeAt(0));
    port.write(0, 2, 0x0a21);
    expect(String.fromCharCode(...got)).toBe("ok!\n");
  });
});
