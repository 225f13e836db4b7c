/** Posted writes (assembly/posted.ts): which writes to device memory go through the ring, and whom they wake. */
import { beforeAll, expect, test } from "vitest";
import { PostedRanges } from "../../src/bus/postedRanges.ts";
import { EXIT } from "../../src/shared/exit.ts";
import { CONTROL, RING_SIZE } from "../../src/shared/layout.ts";
import { PostedWrites } from "../../src/shared/postedWrites.ts";
import { RING } from "../../src/shared/ring.ts";
import { drainRing } from "../../src/vcpu/ring.ts";
import { setSegment } from "../../src/vcpu/view.ts";
import { guestMemory, loadCore, runGuest } from "./guest.ts";
import { realGuest } from "./realGuest.ts";

beforeAll(loadCore, 180_000);

/** Where the device's registers are, by FS; its doorbells begin 1000h behind that. */
const BASE = 0xfe00_0000;
const DOORBELLS = 0x1000;
const ENTRIES = RING_SIZE / 16;

/** What went through the ring as "address/bytes=value" in hexadecimal, in order, how it ended, and how often the doorbell rang. */
function run(body: string, { thread = true, quiet = 0, attach = (_: PostedRanges): void => {} } = {}) {
  const memory = guestMemory();
  memory.control.set(CONTROL.deviceThread, Number(thread));
  const ranges = new PostedRanges(memory.control);
  ranges.attach(BASE, new PostedWrites(DOORBELLS, 0x10, quiet));
  attach(ranges);
  const before = memory.control.get(CONTROL.doorbell);
  const { end } = runGuest(realGuest({ body: `${body}\n  cli\n  hlt\n` }), {
    memory,
    setup: (view) => setSegment(view, "FS", { selector: 0, base: BigInt(BASE), limit: 0xffff, ar: 0x93 }),
  });
  const rung = memory.control.get(CONTROL.doorbell) - before;
  const ring: string[] = [];
  drainRing(memory.control, (kind, _vcpu, low, high) => {
    expect(kind & 0xff).toBe(RING.MMIO);
    ring.push(`${high.toString(16)}/${kind >>> 8}=${low.toString(16)}`);
  });
  return { ring, end, rung };
}

const store = (at: number, value: number, size = "dword"): string => `  mov ${size} [fs:${at}],${value}\n`;
const EXITS = `exit ${EXIT.INST_EMUL}`;

test("words and double words within the range go through the ring, in order, and the vCPU goes on", () => {
  const body = store(0x1000, 0xdead_beef) + store(0x100c, 1) + store(0x1002, 0x1234, "word") + store(0x1000, 2);
  expect(run(body)).toMatchObject({
    ring: ["fe001000/4=deadbeef", "fe00100c/4=1", "fe001002/2=1234", "fe001000/4=2"],
    end: "HALT",
  });
});

test("other places, other widths and reads are exits, and what came before them is in the ring", () => {
  for (const line of [store(0xffc, 1), store(0x1010, 1), store(0x1000, 1, "byte"), "  mov eax,[fs:0x1000]\n"]) {
    expect(run(store(0x1004, 7) + line)).toMatchObject({ ring: ["fe001004/4=7"], end: EXITS });
  }
});

test("so is every write where the ring is read on the same thread", () => {
  expect(run(store(0x1000, 1), { thread: false })).toMatchObject({ ring: [], end: EXITS });
});

test("a quiet doorbell rings for nobody; the others do", () => {
  const times = (at: number, quiet: number): number => run(store(at, 1), { quiet }).rung;
  expect([times(0x1004, 0), times(0x1000, 4), times(0x1004, 4)]).toEqual([2, 2, 1]);
});

test("a ring that is nearly full takes no more: the write leaves", () => {
  const { ring, end } = run(`  mov cx,${ENTRIES}\nagain:\n  mov [fs:0x1000],cx\n  loop again\n`);
  expect(end).toBe(EXITS);
  expect(ring.length).toBeGreaterThan(ENTRIES / 2);
  expect(ring).toEqual(ring.map((_, n) => `fe001000/2=${(ENTRIES - n).toString(16)}`));
});

test("ranges come and go; beyond the last that there is room for, and beyond 4 GiB, writes are exits", () => {
  const other = (at: number, ranges: PostedRanges): (() => void) => ranges.attach(at, new PostedWrites(0, 0x10));
  const attach = (ranges: PostedRanges): void => {
    for (let n = 0; n < 100; n++) other(BASE, ranges)();
    other(2 ** 32 - 8, ranges);
    // All that are left: the first of the test is one of 32.
    for (let n = 0; n < 31; n++) other(BASE + 0x2000 + 0x100 * n, ranges);
    other(BASE + 0x8000, ranges);
  };
  expect(run(store(0, 1), { attach })).toMatchObject({ ring: [], end: EXITS });
  expect(run(store(0x3e00, 1), { attach })).toMatchObject({ ring: ["fe003e00/4=1"], end: "HALT" });
  expect(run(store(0x8000, 1), { attach })).toMatchObject({ ring: [], end: EXITS });
});
