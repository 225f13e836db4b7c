import { describe, expect, it } from "vitest";
import { DISPI, Vga } from "../../src/io/vga.ts";
import { FakeTimers, fakeLog, MILLISECOND, Random, refusesSnapshots } from "./fakes.ts";

function setUp() {
  const timers = new FakeTimers();
  const moves: boolean[] = [];
  const vga = new Vga({
    clock: timers,
    memorySize: 0x100_0000,
    onMemory: (clear) => moves.push(clear),
    log: fakeLog(),
  });
  const outb = (port: number, value: number) => vga.ports.write(port - 0x3b0, 1, value);
  const inb = (port: number) => vga.ports.read(port - 0x3b0, 1);
  const dispi = (index: number, value?: number) => {
    vga.dispiPorts.write(0, 2, index);
    if (value !== undefined) vga.dispiPorts.write(1, 2, value);
    return vga.dispiPorts.read(1, 2);
  };
  return { timers, moves, vga, outb, inb, dispi };
}

describe("vga", () => {
  it("takes index and data of the attribute controller in turn, from a read of input status 1 on", () => {
    const { outb, inb } = setUp();
    outb(0x3c2, 1);
    inb(0x3da);
    outb(0x3c0, 0x05);
    outb(0x3c0, 0x3a);
    outb(0x3c0, 0x05);
    expect(inb(0x3c1)).toBe(0x3a);
    inb(0x3da);
    // With palette access given to the CRT controller, the palette cannot be written.
    outb(0x3c0, 0x25);
    outb(0x3c0, 0x11);
    outb(0x3c0, 0x25);
    expect(inb(0x3c1)).toBe(0x3a);
    expect(inb(0x3c0)).toBe(0x25);
  });

  it("protects the CRT controller's first registers, but for the line compare bit", () => {
    const { outb, inb } = setUp();
    outb(0x3c2, 1);
    const set = (index: number, value: number) => {
      outb(0x3d4, index);
      outb(0x3d5, value);
    };
    set(0x00, 0x5f);
    set(0x07, 0x1f);
    set(0x11, 0x80);
    set(0x00, 0x11);
    set(0x07, 0xe0);
    outb(0x3d4, 0);
    expect(inb(0x3d5)).toBe(0x5f);
    outb(0x3d4, 7);
    expect(inb(0x3d5)).toBe(0x0f);
    // Monochrome: the other address.
    expect(inb(0x3b5)).toBe(0xff);
    outb(0x3c2, 0);
    expect([inb(0x3b5), inb(0x3d5)]).toEqual([0x0f, 0xff]);
  });

  it("gives the DAC three bytes for an entry, six bits each, eight where the display interface says so", () => {
    const { outb, inb, dispi } = setUp();
    outb(0x3c8, 254);
    for (const value of [0xff, 2, 3, 4, 5, 6, 7, 8, 9]) outb(0x3c9, value);
    outb(0x3c7, 254);
    expect([...Array(9)].map(() => inb(0x3c9))).toEqual([0x3f, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(inb(0x3c7)).toBe(3);
    dispi(DISPI.enable, 0x20);
    outb(0x3c8, 0);
    outb(0x3c9, 0xff);
    outb(0x3c7, 0);
    expect(inb(0x3c9)).toBe(0xff);
  });

  it("shows the beam in input status 1", () => {
    const { timers, outb, inb } = setUp();
    outb(0x3c2, 1);
    const seen = new Set<number>();
    for (let i = 0; i < 20_000; i++) {
      seen.add(inb(0x3da));
      timers.advance(1_000n);
    }
    expect([...seen].sort()).toEqual([0, 1, 9]);
    let retraces = 0;
    let before = 0;
    for (let i = 0; i < 10_000; i++) {
      timers.advance(MILLISECOND / 40n);
      const now = inb(0x3da) & 8;
      if (now && !before) retraces++;
      before = now;
    }
    // 250 ms at 59.94 Hz.
    expect(retraces).toBeGreaterThanOrEqual(14);
    expect(retraces).toBeLessThanOrEqual(15);
  });

  it("has the display interface: what it can, what is refused, virtual sizes, and a screen that starts black", () => {
    const { vga, moves, dispi } = setUp();
    expect(dispi(DISPI.id)).toBe(0xb0c5);
    expect(dispi(DISPI.id, 0xb0c2)).toBe(0xb0c2);
    expect(dispi(DISPI.id, 0xb0d0)).toBe(0xb0c2);
    dispi(DISPI.enable, 2);
    expect([dispi(DISPI.width), dispi(DISPI.height), dispi(DISPI.bpp)]).toEqual([2560, 1600, 32]);
    dispi(DISPI.enable, 0);
    dispi(DISPI.width, 1920);
    dispi(DISPI.height, 1080);
    expect(dispi(DISPI.bpp, 7)).toBe(0);
    dispi(DISPI.bpp, 32);
    moves.length = 0;
    dispi(DISPI.enable, 0x41);
    expect(moves).toEqual([true]);
    expect([dispi(DISPI.virtualWidth), dispi(DISPI.virtualHeight)]).toEqual([1920, 2184]);
    expect(dispi(DISPI.width, 640)).toBe(1920);
    dispi(DISPI.virtualWidth, 2048);
    expect(dispi(DISPI.virtualHeight)).toBe(2048);
    dispi(DISPI.enable, 0);
    dispi(DISPI.enable, 0xc1);
    expect(moves.at(-1)).toBe(false);
    expect(dispi(DISPI.memory)).toBe(256);
    // 2560x1600 in 32 bits is 16,384,000 bytes of 16,777,216.
    dispi(DISPI.enable, 0);
    dispi(DISPI.width, 2560);
    dispi(DISPI.height, 1600);
    dispi(DISPI.enable, 1);
    expect(vga.dispiEnabled).toBe(true);
  });

  it("takes anything at its ports, and goes on from its saved state", () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = new Random(seed);
      const a = setUp();
      for (let i = 0; i < 3000; i++) {
        const port = 0x3b0 + random.below(0x30);
        if (random.below(4) === 0) a.inb(port);
        else if (random.below(8) === 0) a.dispi(random.below(12), random.below(0x1_0000));
        else a.outb(port, random.below(256));
      }
      const state = structuredClone(a.vga.export());
      const b = setUp();
      b.vga.import(state);
      expect(b.vga.export()).toEqual(state);
      a.vga.reset();
      expect(a.vga.export()).toEqual(setUp().vga.export());
    }
    const { vga } = setUp();
    const good = vga.export();
    refusesSnapshots(vga, [
      { ...good, version: 2 },
      { ...good, dac: new Uint8Array(767) },
      { ...good, dispi: good.dispi.with(DISPI.width, 4000) },
      { ...good, dacAt: [0, 3, 0] },
    ]);
  });
});
