/** What the hash of a machine's state covers. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MemoryBlocks } from "../../src/block/memory.ts";
import { Machine } from "../../src/machine/machine.ts";
import { stateHash } from "../../src/machine/stateHash.ts";
import { corePath } from "../core.ts";
import { cleanUp, prepare } from "../vcpu/threads.ts";

beforeAll(prepare, 300_000);
afterAll(cleanUp);

const PCI_ADDRESS = 0xcf8;
const PCI_DATA = 0xcfc;
/** Command register of the VGA, function 0 of device 2. */
const VGA_COMMAND = 0x8000_1004;

/** Its frame buffer's base address register, and what that gets. */
const VGA_BAR = 0x8000_1010;
const FRAME_BUFFER = 0xe000_0000;
/** Command register and primary channel's timing of the IDE controller, function 1 of device 1. */
const IDE_COMMAND = 0x8000_0904;
const IDE_TIMING = 0x8000_0940;

/** A machine with firmware that has not begun. */
const pc = (): Promise<Machine> =>
  Machine.create({
    core: new Uint8Array(readFileSync(corePath)),
    bios: new Uint8Array(0x1_0000),
    drives: {
      disks: [new MemoryBlocks(new Uint8Array(64 * 512))],
      floppy: new MemoryBlocks(new Uint8Array(1_474_560)),
    },
    memoryBytes: 2 ** 21,
    transport: "inline",
    wallClockSeconds: 0,
    serial: () => {},
  });

describe("the state's hash", () => {
  it("tells of each part of a PC, and of memory that no address means now", async () => {
    const machine = await pc();
    const { ports } = machine.board;
    // The IDE function answers when its command register and its timing register say so.
    for (const [register, bytes, value] of [
      [IDE_COMMAND, 1, 1],
      [IDE_TIMING, 2, 0x8000],
      [VGA_BAR, 4, FRAME_BUFFER],
    ] as const) {
      ports.write(PCI_ADDRESS, 4, register);
      ports.write(PCI_DATA, bytes, value);
    }
    ports.write(PCI_ADDRESS, 4, VGA_COMMAND);
    const changes: readonly (readonly [what: string, change: () => void])[] = [
      ["a drive's sector count", () => ports.write(0x1f2, 1, 0x55)],
      ["the floppy controller's motors", () => ports.write(0x3f2, 1, 0x1c)],
      ["a page of the DMA controller", () => ports.write(0x81, 1, 0x12)],
      ["an index of the VGA", () => ports.write(0x3c4, 1, 2)],
      ["the VGA's PCI command register", () => ports.write(PCI_DATA, 1, 2)],
      ["a key on its way", () => machine.type("a")],
      ["the frame buffer", () => machine.memory.write(FRAME_BUFFER, Uint8Array.of(0x41))],
      ["RAM", () => machine.memory.write(0x1000, Uint8Array.of(1))],
    ];
    const seen = new Set([await stateHash(machine)]);
    for (const [what, change] of changes) {
      change();
      const hash = await stateHash(machine);
      expect(seen.has(hash), what).toBe(false);
      seen.add(hash);
    }
    const clone = await pc();
    await clone.restore(await machine.save());
    expect(await stateHash(clone)).toBe(await stateHash(machine));
    // RAM beneath the VGA ROM: the 440FX lets it be read and written, and hides it again.
    ports.write(PCI_ADDRESS, 4, 0x8000_0058);
    const pam1 = (value: number): void => ports.write(PCI_DATA + 2, 1, value);
    pam1(0x33);
    machine.memory.write(0xc_0000, Uint8Array.of(1));
    pam1(0);
    const one = await stateHash(machine);
    pam1(0x33);
    machine.memory.write(0xc_0000, Uint8Array.of(2));
    pam1(0);
    expect(await stateHash(machine)).not.toBe(one);
    await machine.destroy();
    await clone.destroy();
  });
});
