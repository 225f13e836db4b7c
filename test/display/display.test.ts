/** What is drawn, beside a model that goes by the hardware's counters (crt.ts), with registers and memory at random. */
import { describe, expect, it } from "vitest";
import { Random } from "../../src/cli/fuzz/random.ts";
import { Display } from "../../src/display/display.ts";
import { DISPI, Vga } from "../../src/io/vga.ts";
import { FRAME_BUFFER_SIZE, VGA_MEMORY_SIZE, VgaMemory } from "../../src/io/vgaMemory.ts";
import { MachineMemory } from "../../src/vmm/memory.ts";
import { FakeTimers, fakeLog } from "../io/fakes.ts";
import { scanLines } from "./crt.ts";

/** Half of a cursor's period, and more than that of blinking characters. */
const CURSOR_OFF = 17n * 16_683_333n;
const BLINK_OFF = 33n * 16_683_333n;

function setUp() {
  const timers = new FakeTimers();
  const memory = new MachineMemory({
    regions: [{ gpa: 0, length: 2 ** 21 }],
    vcpus: 1,
    shared: false,
    reserve: VGA_MEMORY_SIZE,
  });
  const vgaMemory = new VgaMemory(memory, () => {});
  const vga: Vga = new Vga({
    clock: timers,
    memorySize: FRAME_BUFFER_SIZE,
    onMemory: () => vgaMemory.follow(vga, false),
    log: fakeLog(),
  });
  const out = (port: number, value: number) => vga.ports.write(port - 0x3b0, 1, value);
  const set = (port: number, index: number, value: number) => {
    out(port, index);
    out(port + 1, value);
  };
  const attribute = (index: number, value: number) => {
    vga.ports.read(0x3da - 0x3b0, 1);
    out(0x3c0, index);
    out(0x3c0, value);
  };
  const dispi = (index: number, value: number) => {
    vga.dispiPorts.write(0, 2, index);
    vga.dispiPorts.write(1, 2, value);
  };
  const display = new Display(vga, vgaMemory, timers);
  return { timers, vga, vgaMemory, display, out, set, attribute, dispi };
}

type Machine = ReturnType<typeof setUp>;
const KINDS = ["text", "planar", "cga", "bytes"] as const;

/** A small screen of a kind, everything else at random; how many scan lines make a line of the picture. */
function registers(machine: Machine, random: Random, kind: (typeof KINDS)[number]): number {
  const { set, attribute, out } = machine;
  const crtc = (index: number, value: number) => set(0x3d4, index, value);
  out(0x3c2, 0x01); // no window, so that the planes are what they are
  set(0x3c4, 1, random.below(2));
  set(0x3c4, 3, random.below(64));
  set(0x3ce, 5, { text: 0x10, planar: 0, cga: 0x20, bytes: 0x40 }[kind]);
  set(0x3ce, 6, kind === "text" ? 0x0e : 5);

  const scans = random.pick(kind === "text" ? [8, 14, 16, 5] : [1, 2, 2, 4]);
  const doubled = random.percent(30);
  // Bits of the row scan counter in the address keep lines apart that are the same else.
  const fromScan = kind !== "text" && random.percent(40) ? random.pick([1, 2, 0]) : 3;
  const apart = kind === "text" || (fromScan !== 3 && scans > 1);
  const repeat = (doubled ? 2 : 1) * (apart ? 1 : scans);
  const lines = repeat * (20 + random.below(40));
  const compare = random.percent(50) ? repeat * (1 + random.below(70)) - 1 : 0x3ff;
  crtc(0x11, 0);
  crtc(0x01, 3 + random.below(12));
  crtc(0x12, (lines - 1) & 0xff);
  crtc(0x07, (((lines - 1) >> 7) & 2) | ((compare >> 4) & 0x10));
  crtc(0x18, compare & 0xff);
  crtc(0x09, (scans - 1) | (doubled ? 0x80 : 0) | ((compare >> 3) & 0x40));
  crtc(0x08, (random.percent(30) ? random.below(4) << 5 : 0) | (apart && random.percent(40) ? random.below(scans) : 0));
  const start = random.percent(30) ? 0xffff - random.below(200) : random.below(0x1_0000);
  crtc(0x0c, start >> 8);
  crtc(0x0d, start & 0xff);
  crtc(0x13, random.below(256));
  const chain = random.pick(["bytes", "words", "double words"]);
  crtc(0x14, (chain === "double words" ? 0x40 : 0) | random.below(32));
  crtc(0x17, 0xa0 | (chain === "bytes" ? 0x40 : 0) | fromScan);
  crtc(0x0a, random.percent(20) ? 0x20 : random.below(scans));
  crtc(0x0b, random.below(32));
  const cursor = random.percent(60) ? start + random.below(8) : random.below(8);
  crtc(0x0e, (cursor >> 8) & 0xff);
  crtc(0x0f, cursor & 0xff);

  for (let i = 0; i < 16; i++) attribute(i, random.below(64));
  attribute(0x10, random.pick([0x00, 0x04, 0x08, 0x0c, 0x02]) | random.pick([0, 0x20]) | random.pick([0, 0x80]));
  attribute(0x12, random.percent(70) ? 15 : random.below(16));
  attribute(0x13, random.percent(50) ? 0 : random.below(kind === "text" ? 9 : 8));
  attribute(0x14, random.below(16));
  machine.vga.ports.read(0x3da - 0x3b0, 1);
  out(0x3c0, 0x20);
  for (let i = 0; i < 256; i++) {
    out(0x3c8, i);
    for (let part = 0; part < 3; part++) out(0x3c9, random.below(64));
  }
  out(0x3c6, random.percent(80) ? 0xff : random.below(256));
  return repeat;
}

/** Where the picture first differs from the scan lines. */
function difference({ vga, vgaMemory, display }: Machine, repeat: number, cursor: boolean, blink: boolean): string {
  const lines = scanLines(vga, vgaMemory.planes, { cursor, blink });
  const { width, height, pixels } = display.picture();
  if (width !== lines[0].length || height !== Math.floor(lines.length / repeat)) return `${width}x${height}`;
  for (let y = 0; y < height; y++) {
    const line = lines[y * repeat];
    for (let x = 0; x < width; x++) {
      const is = pixels[y * width + x];
      if (is !== line[x]) return `(${x}, ${y}) is ${is.toString(16)}, not ${line[x].toString(16)}`;
    }
  }
  return "";
}

describe("the display", () => {
  it.each(KINDS)("draws %s as the counters lead, with any start, panning, split and mapping of addresses", (kind) => {
    const machine = setUp();
    const random = new Random(7 + KINDS.indexOf(kind));
    const { planes } = machine.vgaMemory;
    for (let round = 0; round < 150; round++) {
      if (round % 10 === 0) for (let i = 0; i < planes.length; i++) planes[i] = random.u32();
      const what = `round ${round}`;
      // A text screen has no lines that are drawn for several.
      const repeat = registers(machine, random, kind);
      const [cursor, blink] = [
        (machine.timers.now() / (16n * 16_683_333n)) % 2n === 0n,
        (machine.timers.now() / (32n * 16_683_333n)) % 2n === 0n,
      ];
      expect(difference(machine, repeat, cursor, blink), what).toBe("");
      // Of the same registers, what has changed in memory only is drawn, and what blinks.
      for (let i = 0; i < 200; i++) planes[random.below(0x1_0000)] = random.u32();
      machine.timers.advance(random.pick([0n, CURSOR_OFF, BLINK_OFF]));
      const later = machine.timers.now();
      const on = (frames: bigint) => (later / (frames * 16_683_333n)) % 2n === 0n;
      expect(difference(machine, repeat, on(16n), on(32n)), `${what}, later`).toBe("");
    }
  });

  it("draws the frame buffer of every depth, from any place of a wider one, to its end and on", () => {
    const machine = setUp();
    const { dispi, display, vgaMemory, vga } = machine;
    const random = new Random(3);
    const { frame } = vgaMemory;
    const [width, height] = [64, 24];
    const five = (v: number) => (v << 3) | (v >> 2);
    const six = (v: number) => (v << 2) | (v >> 4);
    for (const bpp of [8, 15, 16, 24, 32]) {
      for (let round = 0; round < 12; round++) {
        dispi(DISPI.enable, 0);
        dispi(DISPI.width, width);
        dispi(DISPI.height, height);
        dispi(DISPI.bpp, bpp);
        dispi(DISPI.enable, 0xc1);
        dispi(DISPI.virtualWidth, width + 8 * random.below(40));
        const bytes = (bpp + 7) >> 3;
        const pitch = vga.dispi[DISPI.virtualWidth] * bytes;
        const most = Math.floor(frame.length / pitch);
        dispi(DISPI.x, random.below(100));
        dispi(DISPI.y, round % 3 ? random.below(1000) : most - 10);
        const start = vga.dispi[DISPI.y] * pitch + vga.dispi[DISPI.x] * bytes;
        for (let i = 0; i < height * pitch; i++) frame[(start + i) % frame.length] = random.below(256);
        machine.out(0x3c8, 0);
        for (let i = 0; i < 768; i++) machine.out(0x3c9, random.below(64));
        const picture = display.picture();
        expect([picture.width, picture.height]).toEqual([width, height]);
        const wrong = picture.pixels.findIndex((pixel, n) => {
          const at = start + Math.floor(n / width) * pitch + (n % width) * bytes;
          const byte = (i: number) => frame[(at + i) % frame.length];
          const word = byte(0) + 256 * byte(1);
          const [r, g, b] =
            bpp === 8
              ? [0, 1, 2].map((part) => six(vga.dac[3 * byte(0) + part]))
              : bpp === 15
                ? [five((word >> 10) & 31), six(2 * ((word >> 5) & 31) + ((word >> 9) & 1)), five(word & 31)]
                : bpp === 16
                  ? [five(word >> 11), six((word >> 5) & 63), five(word & 31)]
                  : [byte(2), byte(1), byte(0)];
          return pixel !== (0xff00_0000 | (b << 16) | (g << 8) | r) >>> 0;
        });
        expect(wrong, `${bpp} bits, round ${round}`).toBe(-1);
      }
    }
  });

  it("draws the display interface's sixteen colours from 256 KiB of each plane, from any dot on", () => {
    const machine = setUp();
    const { dispi, display, vgaMemory, attribute, set, out } = machine;
    const random = new Random(4);
    const { planes } = vgaMemory;
    for (let i = 0; i < planes.length; i++) planes[i] = random.u32();
    out(0x3c2, 0x01);
    set(0x3ce, 6, 5);
    for (let i = 0; i < 16; i++) attribute(i, i);
    attribute(0x12, 15);
    machine.vga.ports.read(0x3da - 0x3b0, 1);
    out(0x3c0, 0x20);
    out(0x3c8, 0);
    for (let i = 0; i < 768; i++) out(0x3c9, Math.floor(i / 3) & 63);
    for (let round = 0; round < 20; round++) {
      dispi(DISPI.enable, 0);
      dispi(DISPI.width, 800);
      dispi(DISPI.height, 60);
      dispi(DISPI.bpp, 4);
      dispi(DISPI.enable, 0xc1);
      const [x, y] = [random.below(100), random.below(2600)];
      dispi(DISPI.x, x);
      dispi(DISPI.y, y);
      const { pixels } = display.picture();
      const wrong = pixels.findIndex((pixel, n) => {
        const [column, line] = [x + (n % 800), y + Math.floor(n / 800)];
        const four = planes[(line * 100 + (column >> 3)) % planes.length];
        const colour = [0, 8, 16, 24].reduce(
          (sum, shift, p) => sum + (((four >>> (shift + 7 - (column & 7))) & 1) << p),
          0,
        );
        return (pixel & 0xff) !== ((colour << 2) | (colour >> 4));
      });
      expect(wrong, `round ${round}`).toBe(-1);
    }
  });
});
