/** A machine with firmware, by a ROM of our own (data/pc.asm): pictures are compared pixel by pixel. */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { MemoryBlocks } from "../../src/block/memory.ts";
import type { Picture } from "../../src/display/display.ts";
import { Machine } from "../../src/machine/machine.ts";
import type { PcParts } from "../../src/machine/pcParts.ts";
import { coreBytes } from "../core.ts";
import { cardRom } from "./cardRom.ts";
import { CARDS } from "./testCard.ts";

let core: Uint8Array;
let bios: Uint8Array;

beforeAll(async () => {
  core = await coreBytes();
  bios = cardRom();
}, 300_000);

const machines: Machine[] = [];
afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.destroy();
});

function disk(): Uint8Array {
  const bytes = new Uint8Array(64 * 512);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 7 + (i >> 9)) & 0xff;
  return bytes;
}

/** A running machine: `line` waits for the next line of the debug port, `go` lets it do the next step. */
async function boot(bytes = disk()) {
  const lines: string[] = [];
  let wake = (): void => {};
  const machine = await Machine.create({
    core,
    bios,
    drives: { disks: [new MemoryBlocks(bytes)] },
    memoryBytes: 2 ** 21,
    transport: "inline",
    serial: () => {},
    log: (channel, text) => {
      if (channel !== "debugport") return;
      lines.push(text);
      wake();
    },
  });
  machines.push(machine);
  const pc = machine.board.pc as PcParts;
  const line = async (): Promise<string> => {
    while (!lines.length) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return lines.shift() as string;
  };
  const go = (): void => machine.serialInput(Uint8Array.of(13));
  await machine.start();
  return { machine, pc, line, go };
}

/** Where a picture first differs from what it should be. */
function difference(picture: Picture, width: number, height: number, pixel: (x: number, y: number) => number): string {
  if (picture.width !== width || picture.height !== height) return `${picture.width}x${picture.height}`;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [is, should] = [picture.pixels[y * width + x], pixel(x, y) >>> 0];
      if (is !== should) return `(${x}, ${y}) is ${is.toString(16)}, not ${should.toString(16)}`;
    }
  }
  return "";
}

describe("a machine with firmware", { timeout: 120_000 }, () => {
  it("shadows its ROM, draws every kind of mode, reads and writes its disk, takes keys", async () => {
    const bytes = disk();
    const { machine, pc, line, go } = await boot(bytes);
    expect(await line()).toBe("aaaa2131");

    go();
    // Line 300 has no dots: five bytes of it are colour 3.
    expect(await line()).toBe("05");
    const shown = pc.display.picture();
    expect(difference(shown, 640, 480, CARDS.planar.pixel)).toBe("");
    expect([shown.top, shown.bottom]).toEqual([0, 480]);
    // Nothing has changed since.
    const again = pc.display.picture();
    expect([again.top, again.bottom]).toEqual([0, 0]);
    expect(pc.display.text()).toBeUndefined();

    go();
    await new Promise((resolve) => setTimeout(resolve, 1));
    go();
    const scrolled = Number.parseInt(await line(), 16);
    expect(scrolled).toBeGreaterThan(0);
    const top = Math.min(scrolled, 479);
    expect(difference(pc.display.picture(), 640, 480, (x, y) => CARDS.planar.pixel(x, Math.min(y + top, 479)))).toBe(
      "",
    );

    go();
    await line();
    expect(difference(pc.display.picture(), 320, 200, CARDS.mode13h.pixel)).toBe("");
    go();
    await line();
    expect(difference(pc.display.picture(), 320, 240, CARDS.modeX.pixel)).toBe("");
    go();
    await line();
    expect(difference(pc.display.picture(), 1024, 768, CARDS.frame.pixel)).toBe("");
    go();
    await line();
    const text = pc.display.text();
    expect(text?.length).toBe(25);
    expect(text?.[3]).toBe("  Tabhyve ░ 0");
    expect(text?.[0].slice(0x41, 0x4d)).toBe("ABCDEFGHIJKL");
    expect(difference(pc.display.picture(), 720, 400, CARDS.text.pixel)).toBe("");

    go();
    let sum = 0;
    for (const byte of bytes.subarray(5 * 512, 6 * 512)) {
      sum = (sum + byte) & 0xff;
      sum = ((sum << 1) | (sum >> 7)) & 0xff;
    }
    expect(await line()).toBe(`${sum.toString(16).padStart(2, "0")}7250`);
    expect(bytes.subarray(6 * 512, 7 * 512)).toEqual(bytes.subarray(5 * 512, 6 * 512));

    go();
    machine.type("aB\n");
    expect(await line()).toBe("1e9e2a30b0aa1c9c");
  });

  it("goes on from a snapshot, with the picture and the shadow RAM as they were", async () => {
    const first = await boot();
    await first.line();
    first.go();
    await first.line();
    const before = first.pc.display.picture();
    const file = await first.machine.save();
    const second = await boot();
    await second.line();
    await second.machine.restore(file);
    const after = second.pc.display.picture();
    expect([after.width, after.height]).toEqual([640, 480]);
    expect(after.pixels).toEqual(before.pixels);
    await second.machine.resume();
    second.go();
    await new Promise((resolve) => setTimeout(resolve, 1));
    second.go();
    expect(Number.parseInt(await second.line(), 16)).toBeGreaterThan(0);
  });
});
