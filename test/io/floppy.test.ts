import { describe, expect, it } from "vitest";
import { MemoryBlocks } from "../../src/block/memory.ts";
import { Dma8237 } from "../../src/io/dma8237.ts";
import { Floppy } from "../../src/io/floppy.ts";
import { floppyFormat } from "../../src/io/floppyFormat.ts";
import { noLog } from "../../src/shared/device.ts";
import { FakeMemory, FakePin, FakeTimers, MILLISECOND, Random, refusesSnapshots, SECOND } from "./fakes.ts";

function disk(kib = 1440): Uint8Array {
  const bytes = new Uint8Array(kib * 1024);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) view.setUint32(at, at, true);
  return bytes;
}

function setUp(bytes: Uint8Array | undefined = disk(), readOnly = false) {
  const timers = new FakeTimers();
  const irq = new FakePin();
  const memory = new FakeMemory(0x10_0000);
  const dma = new Dma8237(memory);
  const medium = bytes && new MemoryBlocks(bytes, readOnly);
  const floppy = new Floppy({ medium, irq, dma: dma.channel(2), timers, log: noLog });
  dma.onReady = (channel) => {
    if (channel === 2) floppy.dmaReady();
  };
  const all = [...floppy.handlers, ...dma.handlers];
  const at = (port: number) => {
    const range = all.find((r) => port >= r.base && port < r.base + r.length);
    if (!range) throw new Error(`port ${port}`);
    return { handler: range.handler, offset: port - range.base };
  };
  const inb = (port: number) => at(port).handler.read(at(port).offset, 1);
  const outb = (port: number, value: number) => at(port).handler.write(at(port).offset, 1, value);
  const send = (...command: number[]) => {
    for (const byte of command) {
      expect(inb(0x3f4) & 0xc0).toBe(0x80);
      outb(0x3f5, byte);
    }
  };
  const results = () => {
    const out: number[] = [];
    while ((inb(0x3f4) & 0xc0) === 0xc0) out.push(inb(0x3f5));
    return out;
  };
  const setDma = (address: number, count: number, toMemory: boolean) => {
    // The cascade, then the channel while it is set up.
    outb(0xd4, 0);
    outb(0x0a, 6);
    outb(0x0c, 0);
    outb(0x0b, toMemory ? 0x46 : 0x4a);
    outb(0x04, address & 0xff);
    outb(0x04, (address >> 8) & 0xff);
    outb(0x81, address >> 16);
    outb(0x05, (count - 1) & 0xff);
    outb(0x05, (count - 1) >> 8);
    outb(0x0a, 2);
  };
  const start = (rate = 0) => {
    outb(0x3f2, 0);
    outb(0x3f2, 0x1c);
    timers.advance(MILLISECOND);
    for (let n = 0; n < 4; n++) {
      send(8);
      expect(results()).toEqual([0xc0 | n, 0]);
    }
    outb(0x3f7, rate);
    send(3, 0xdf, 2);
  };
  const seek = (track: number) => {
    send(15, 0, track);
    timers.advance(100n * MILLISECOND);
    send(8);
    expect(results()).toEqual([0x20, track]);
  };
  return { timers, irq, memory, dma, floppy, inb, outb, send, results, setDma, start, seek };
}

describe("floppy", () => {
  it("knows formats by their size", () => {
    expect(floppyFormat(1_474_560)).toMatchObject({ cylinders: 80, heads: 2, sectors: 18, rate: 0 });
    expect(floppyFormat(737_280)).toMatchObject({ sectors: 9, rate: 2 });
    expect(floppyFormat(368_640)).toMatchObject({ cylinders: 40, sectors: 9 });
    expect(floppyFormat(2_949_120)).toMatchObject({ sectors: 36, rate: 3 });
    expect(floppyFormat(1000)).toBeUndefined();
  });

  it("comes out of reset with an interrupt that four SENSE INTERRUPT STATUS take", () => {
    const t = setUp();
    t.outb(0x3f2, 0);
    expect(t.inb(0x3f4)).toBe(0);
    t.outb(0x3f2, 0x1c);
    t.timers.advance(MILLISECOND);
    expect(t.irq.level).toBe(true);
    t.send(8);
    expect(t.irq.level).toBe(false);
    expect(t.results()).toEqual([0xc0, 0]);
    for (let n = 1; n < 4; n++) {
      t.send(8);
      t.results();
    }
    t.send(8);
    expect(t.results()).toEqual([0x80]);
    t.send(16);
    expect(t.results()).toEqual([0x90]);
    t.send(0x1f);
    expect(t.results()).toEqual([0x80]);
  });

  it("reads over both heads by DMA, to terminal count", () => {
    const bytes = disk();
    const t = setUp(bytes);
    t.start();
    t.seek(3);
    t.setDma(0x2_1000, 3 * 512, true);
    t.send(0xe6, 0, 3, 0, 17, 2, 18, 0x1b, 0xff);
    expect(t.inb(0x3f4) & 0xd0).toBe(0x10);
    t.timers.advance(10n * MILLISECOND);
    expect(t.irq.level).toBe(true);
    // Two sectors under head 0, one under head 1: the next is its second.
    expect(t.results()).toEqual([0, 0, 0, 3, 1, 2, 2]);
    const from = (3 * 36 + 16) * 512;
    expect(t.memory.bytes.subarray(0x2_1000, 0x2_1000 + 1536)).toEqual(bytes.subarray(from, from + 1536));
    expect(t.inb(8) & 4).toBe(4);
  });

  it("writes by DMA, and refuses on a protected disk", () => {
    const bytes = disk();
    const t = setUp(bytes);
    t.start();
    t.seek(1);
    t.memory.bytes.fill(0x77, 0x1000, 0x1200);
    t.setDma(0x1000, 512, false);
    t.send(0xc5, 4, 1, 1, 18, 2, 18, 0x1b, 0xff);
    t.timers.advance(10n * MILLISECOND);
    expect(t.results()).toEqual([4, 0, 0, 2, 0, 1, 2]);
    const place = (1 * 36 + 35) * 512;
    expect(bytes.subarray(place, place + 512).every((b) => b === 0x77)).toBe(true);
    const p = setUp(disk(), true);
    p.start();
    p.seek(0);
    p.setDma(0x1000, 512, false);
    p.send(0xc5, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    expect(p.results().slice(0, 2)).toEqual([0x40, 2]);
  });

  it("moves bytes through the FIFO, and ends at the end of the track with an error", () => {
    const bytes = disk();
    const t = setUp(bytes);
    t.start();
    t.send(3, 0xdf, 3);
    t.send(0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
    t.timers.advance(MILLISECOND);
    const got: number[] = [];
    while ((t.inb(0x3f4) & 0xa0) === 0xa0) got.push(t.inb(0x3f5));
    expect(Uint8Array.from(got)).toEqual(bytes.subarray(17 * 512, 18 * 512));
    expect(t.results()).toEqual([0x40, 0x80, 0, 1, 0, 1, 2]);
    t.send(0x45, 0, 0, 0, 2, 2, 2, 0x1b, 0xff);
    t.timers.advance(MILLISECOND);
    for (let i = 0; i < 512; i++) t.outb(0x3f5, 0x11);
    t.results();
    expect(bytes.subarray(512, 1024).every((b) => b === 0x11)).toBe(true);
  });

  it("finds nothing at another data rate, in another cylinder, without a disk", () => {
    const t = setUp(disk(720));
    t.start(0);
    t.send(0x4a, 0);
    t.timers.advance(SECOND);
    expect(t.results().slice(0, 2)).toEqual([0x40, 1]);
    t.outb(0x3f7, 2);
    t.send(0x4a, 0);
    t.timers.advance(SECOND);
    expect(t.results()).toEqual([0, 0, 0, 0, 0, 1, 2]);
    t.send(0xe6, 0, 5, 0, 1, 2, 9, 0x1b, 0xff);
    t.timers.advance(SECOND);
    expect(t.results().slice(0, 2)).toEqual([0x40, 4]);
    expect(t.inb(0x3f7) & 0x80).toBe(0x80);
    t.seek(1);
    expect(t.inb(0x3f7) & 0x80).toBe(0);
    t.floppy.insert(undefined);
    expect(t.inb(0x3f7) & 0x80).toBe(0x80);
    t.seek(2);
    expect(t.inb(0x3f7) & 0x80).toBe(0x80);
    t.send(0xe6, 0, 2, 0, 1, 2, 9, 0x1b, 0xff);
    t.timers.advance(SECOND);
    expect(t.results().slice(0, 2)).toEqual([0x40, 1]);
  });

  it("formats a track", () => {
    const bytes = disk();
    const t = setUp(bytes);
    t.start();
    const names = Array.from({ length: 18 }, (_, i) => [0, 0, i + 1, 2]).flat();
    t.memory.write(0x3000, Uint8Array.from(names));
    t.setDma(0x3000, names.length, false);
    t.send(0x4d, 0, 2, 18, 0x1b, 0xf6);
    t.timers.advance(10n * MILLISECOND);
    expect(t.results().slice(0, 3)).toEqual([0, 0, 0]);
    expect(bytes.subarray(0, 18 * 512).every((b) => b === 0xf6)).toBe(true);
    expect(bytes[18 * 512]).not.toBe(0xf6);
  });

  it("takes anything at its registers, and goes on from its saved state", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const t = setUp(disk(360));
      const random = new Random(seed);
      const step = (u: typeof t, r: Random) => {
        const port = r.pick([0x3f0, 0x3f1, 0x3f2, 0x3f4, 0x3f5, 0x3f5, 0x3f5, 0x3f5, 0x3f7, 0x0a, 0x0b]);
        if (r.below(3) === 0) u.inb(port);
        else
          u.outb(
            port,
            port === 0x3f2 && r.coin()
              ? 0x1c
              : port === 0x3f5 && r.coin()
                ? r.pick([6, 0xe6, 0xc5, 8, 15, 7, 0x4a, 2])
                : r.below(256),
          );
        if (r.below(8) === 0) u.timers.advance(BigInt(r.below(1_000_000)));
      };
      for (let i = 0; i < 2000; i++) step(t, random);
      const state = structuredClone(t.floppy.export());
      const other = setUp(disk(360));
      for (let i = 0; i < 50; i++) step(other, new Random(seed + 500));
      other.floppy.import(state);
      expect(other.floppy.export(), `seed ${seed}`).toEqual(state);
      other.dma.import(structuredClone(t.dma.export()));
      expect(other.dma.export()).toEqual(t.dma.export());
    }
  });

  it("refuses states that cannot be its own", () => {
    const t = setUp();
    const good = t.floppy.export();
    refusesSnapshots(t.floppy, [
      { ...good, version: 2 },
      { ...good, tracks: [0, 0, 0] },
      { ...good, phase: "execution", command: [6, 0] },
      { ...good, buffer: new Uint8Array(513) },
    ]);
  });
});

describe("dma8237", () => {
  it("wraps in its page, loads itself again, and moves words in the second controller", () => {
    const memory = new FakeMemory(0x10_0000);
    const dma = new Dma8237(memory);
    const out = (port: number, value: number) => {
      const r = dma.handlers.find((h) => port >= h.base && port < h.base + h.length);
      r?.handler.write(port - r.base, 1, value);
    };
    const read = (port: number) => {
      const r = dma.handlers.find((h) => port >= h.base && port < h.base + h.length);
      return r?.handler.read(port - r.base, 1);
    };
    out(0x0b, 0x55);
    for (const [port, value] of [
      [0x02, 0xfe],
      [0x02, 0xff],
      [0x83, 3],
      [0x03, 3],
      [0x03, 0],
      [0xd4, 0],
      [0x0a, 1],
    ]) {
      out(port, value);
    }
    const one = dma.channel(1);
    expect(one.ready(true)).toBe(4);
    expect(one.ready(false)).toBe(0);
    expect(one.write(Uint8Array.of(1, 2, 3, 4))).toBe(true);
    expect([...memory.bytes.subarray(0x3_fffe, 0x4_0000)]).toEqual([1, 2]);
    expect([...memory.bytes.subarray(0x3_0000, 0x3_0002)]).toEqual([3, 4]);
    // Auto-initialised: the same again, not masked.
    expect(one.ready(true)).toBe(4);
    expect([read(0x02), read(0x02)]).toEqual([0xfe, 0xff]);
    expect(read(0x08)).toBe(2);
    expect(read(0x08)).toBe(0);
    out(0xd6, 0x49);
    for (const [port, value] of [
      [0xc4, 0],
      [0xc4, 0x10],
      [0x8b, 2],
      [0xc6, 1],
      [0xc6, 0],
      [0xd4, 1],
    ]) {
      out(port, value);
    }
    memory.write(0x2_2000, Uint8Array.of(9, 8, 7, 6));
    const into = new Uint8Array(4);
    expect(dma.channel(5).read(into)).toBe(true);
    expect([...into]).toEqual([9, 8, 7, 6]);
    expect(dma.channel(5).ready(false)).toBe(0);
  });
});
