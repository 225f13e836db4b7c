/** The front of IDE channels (assembly/ide.ts): which accesses go through the ring, and what is read meanwhile. */
import { beforeAll, expect, test } from "vitest";
import { IdeFront } from "../../src/bus/ideFront.ts";
import { IDE_VALUE } from "../../src/shared/ide.ts";
import { CONTROL } from "../../src/shared/layout.ts";
import { RING } from "../../src/shared/ring.ts";
import { drainRing } from "../../src/vcpu/ring.ts";
import { guestMemory, loadCore, runGuest } from "./guest.ts";
import { realGuest } from "./realGuest.ts";

beforeAll(loadCore, 180_000);

const { INTRQ, READY, DEV } = IDE_VALUE;
/** Where reads are told, by exits. */
const TOLD = 0x10;
const MASTER = 0xc008;

const values = (status: number, command: number, master: number, flags: number = READY): number =>
  status | (command << IDE_VALUE.COMMAND_SHIFT) | (master << IDE_VALUE.STATUS_SHIFT) | flags;
const IDLE = values(0x50, 0, 0x60);
const ENDED = values(0x50, 0x09, 0x64, READY | INTRQ);

/** The second channel of two; accesses in order: through the ring, by exits, and what was read. */
function run(body: string, published: number, { thread = true, place = true } = {}) {
  const memory = guestMemory();
  memory.control.set(CONTROL.deviceThread, Number(thread));
  const front = new IdeFront(memory.control);
  if (place) {
    front.place(1, "command", 0x170);
    front.place(1, "control", 0x376);
    front.place(1, "master", MASTER);
  }
  front.publish(1, published);
  const asked: string[] = [];
  const input = (port: number): number => {
    asked.push(port.toString(16));
    return 0xee;
  };
  const { out, end } = runGuest(realGuest({ body: `${body}\n  cli\n  hlt\n` }), { memory, input });
  expect(end).toBe("HALT");
  const ring: string[] = [];
  drainRing(memory.control, (kind, _vcpu, low, high) => {
    const size = (high >>> 16) & 0xff;
    if (kind === RING.IDE) expect(high >>> 24).toBe(1);
    else expect(kind).toBe(RING.PORT);
    const what = size ? `/${size}=${low.toString(16)}` : "?";
    ring.push(`${kind === RING.IDE ? "!" : ""}${(high & 0xffff).toString(16)}${what}`);
  });
  const told = `${TOLD.toString(16)}=`;
  const read = out.filter((line) => line.startsWith(told)).map((line) => line.slice(told.length));
  return { ring, out: out.filter((line) => !line.startsWith(told)), read, asked };
}

const out = (port: number, value: number, register = "al"): string =>
  `  mov dx,${port}\n  mov eax,${value}\n  out dx,${register}\n`;
const read = (port: number): string => `  mov eax,0\n  mov dx,${port}\n  in al,dx\n  mov dx,${TOLD}\n  out dx,al\n`;

test("a transfer is begun without an exit, and the registers read as if it were done", () => {
  const body = [
    out(0x172, 8) + out(0x173, 1) + out(0x174, 2) + out(0x175, 3) + out(0x176, 0xe0),
    out(MASTER + 4, 0x1234560, "eax") + out(MASTER, 8) + out(MASTER, 8),
    out(0x177, 0xc8) + read(0x376) + read(MASTER) + out(MASTER, 9) + read(MASTER + 2) + read(MASTER),
  ].join("");
  expect(run(body, IDLE)).toEqual({
    ring: [
      ...["172/1=8", "173/1=1", "174/1=2", "175/1=3", "176/1=e0"],
      ...["c00c/4=1234560", "!c008/1=8", "c008/1=8", "!177/1=c8", "!c008/1=9"],
    ],
    out: [],
    read: ["80", "8", "61", "9"],
    asked: [],
  });
});

test("nor does its end take one: the status is read and the interrupt taken back", () => {
  const body = [
    read(MASTER + 2) + out(MASTER, 8) + read(MASTER) + read(0x376) + read(0x177),
    out(MASTER + 2, 0x64) + read(MASTER + 2) + read(0x177),
  ].join("");
  expect(run(body, ENDED)).toEqual({
    ring: ["!c008/1=8", "!177?", "!c00a/1=64"],
    out: [],
    read: ["64", "8", "50", "50", "60", "50"],
    asked: [],
  });
});

test("the next one may follow at once", () => {
  const body = `${out(MASTER, 0) + out(MASTER + 2, 4) + out(0x177, 0x35) + out(MASTER, 1)}${read(0x177) + read(MASTER + 2)}`;
  const { ring, read: got } = run(body, ENDED);
  expect(ring).toEqual(["!c008/1=0", "!c00a/1=4", "!177/1=35", "!c008/1=1"]);
  expect(got).toEqual(["80", "1"]);
});

test.each<[string, string, number, string[]]>([
  ["a command that is not DMA", out(0x177, 0xec), IDLE, ["177=ec"]],
  ["a command while data is asked for", out(0x177, 0xc8), values(0x58, 0, 0x60), ["177=c8"]],
  ["a command while the drive is busy", out(0x177, 0xc8), values(0xd0, 0, 0x60), ["177=c8"]],
  ["a command for a drive that is not there, or in reset", out(0x177, 0xc8), values(0x50, 0, 0x60, 0), ["177=c8"]],
  ["the other drive", out(0x176, 0xf0) + out(0x176, 0xe0), IDLE, ["176=f0"]],
  [
    "the other drive, of the second",
    out(0x176, 0xf0) + out(0x176, 0xe0),
    values(0x50, 0, 0x60, READY | DEV),
    ["176=e0"],
  ],
  ["a stop before the end", out(MASTER, 8), values(0xd0, 9, 0x61), ["c008=8"]],
  ["an interrupt bit that is not set", out(MASTER + 2, 0x66), IDLE, ["c00a=66"]],
  ["words", out(0x172, 0x1234, "ax") + out(MASTER + 4, 0x1230, "ax"), IDLE, ["172=1234", "c00c=1230"]],
  ["data", out(0x170, 0x12), IDLE, ["170=12"]],
  ["the control register", out(0x376, 4), IDLE, ["376=4"]],
])("waited for: %s", (_name, body, published, left) => {
  expect(run(body, published).out).toEqual(left);
});

test("a guest that polls what is under way waits for the device thread", () => {
  const { read: got, asked } = run(out(0x177, 0xc8) + read(0x376).repeat(10), IDLE);
  expect(got).toEqual([...Array.from({ length: 8 }, () => "80"), "ee", "ee"]);
  expect(asked).toEqual(["376", "376"]);
  // Nothing is under way: as often as it likes.
  expect(run(read(0x376).repeat(20), IDLE).asked).toEqual([]);
});

test("without a thread that reads the ring, nothing goes there that changes what is read", () => {
  const body = out(0x172, 8) + out(MASTER, 0) + out(MASTER, 8) + out(0x177, 0xc8) + out(MASTER, 9) + read(0x376);
  expect(run(body, IDLE, { thread: false })).toEqual({
    ring: ["172/1=8", "c008/1=0"],
    out: ["c008=8", "177=c8", "c008=9"],
    read: ["50"],
    asked: [],
  });
  expect(run(read(0x177) + read(MASTER + 2), ENDED, { thread: false })).toMatchObject({
    asked: ["177"],
    read: ["ee", "64"],
  });
});

test("ports where no channel is go to whoever is there", () => {
  const { ring, asked } = run(out(0x172, 8) + read(0x177) + read(0), IDLE, { place: false });
  expect([ring, asked]).toEqual([[], ["177", "0"]]);
});
