/** The balloon: pages given back, free pages told of, statistics; by a driver in both layouts of queues. */
import { describe, expect, it } from "vitest";
import { VirtioBalloon } from "../../../src/io/virtio/virtioBalloon.ts";
import { type FakeMemory, fakeLog } from "../fakes.ts";
import { BUFFERS, Driver, EVENT_IDX, INDIRECT_DESC, PACKED, RAM, VERSION_1 } from "./driver.ts";

const FEATURES = 0x3fn;
const POISON = 1n << 4n;
const PAGE = 4096;
const AREA = 0x20_0000;
const [INFLATE, DEFLATE, STATS, HINTS, REPORTS] = [0, 1, 2, 3, 4];

function balloon(features: bigint, target = 0): { driver: Driver; device: VirtioBalloon } {
  let device: VirtioBalloon | undefined;
  const driver = new Driver((memory: FakeMemory) => {
    device = new VirtioBalloon("balloon", { memory, log: fakeLog(), target });
    return device;
  });
  expect(driver.start(features, { messages: true })).toBe(15);
  driver.memory.bytes.fill(7, AREA, RAM);
  return { driver, device: device as VirtioBalloon };
}

function numbers(driver: Driver, list: readonly number[]): { gpa: number; length: number } {
  const view = new DataView(driver.memory.bytes.buffer);
  list.forEach((n, i) => {
    view.setUint32(BUFFERS + 4 * i, n, true);
  });
  return { gpa: BUFFERS, length: 4 * list.length };
}

function stats(driver: Driver, list: readonly [tag: number, value: bigint][]): { gpa: number; length: number } {
  const view = new DataView(driver.memory.bytes.buffer);
  list.forEach(([tag, value], i) => {
    view.setUint16(BUFFERS + 10 * i, tag, true);
    view.setBigUint64(BUFFERS + 10 * i + 2, value, true);
  });
  return { gpa: BUFFERS, length: 10 * list.length };
}

/** Which pages from AREA on are zeros. */
const zeros = (driver: Driver, count: number): number[] =>
  Array.from({ length: count }, (_, n) => n).filter((n) =>
    driver.memory.bytes.subarray(AREA + n * PAGE, AREA + (n + 1) * PAGE).every((byte) => byte === 0),
  );

const layouts: [string, bigint][] = [
  ["split", VERSION_1],
  ["packed, event index, indirect", VERSION_1 | EVENT_IDX | INDIRECT_DESC | PACKED],
];

describe.each(layouts)("a balloon, queues %s", (_name, layout) => {
  it("clears what is given back, and says how much it wants", () => {
    const { driver, device } = balloon(layout | FEATURES, 3 * PAGE + 5);
    expect([driver.read(0x2000, 4), device.target]).toEqual([3, 3 * PAGE]);
    const first = AREA / PAGE;
    driver.send(INFLATE, [numbers(driver, [first + 1, first + 2, first + 5])]);
    driver.write(0x2004, 4, 3);
    expect(zeros(driver, 8)).toEqual([1, 2, 5]);
    expect([device.actual, driver.read(0x2004, 4)]).toEqual([3 * PAGE, 3]);
    driver.messages.length = 0;
    device.target = PAGE;
    expect([driver.messages, driver.read(0x2000, 4)]).toEqual([[0x40], 1]);
    driver.memory.bytes.fill(9, AREA + PAGE, AREA + 2 * PAGE);
    driver.send(DEFLATE, [numbers(driver, [first + 1])]);
    expect(driver.memory.bytes[AREA + PAGE]).toBe(9);
    // Pages that are not there, and a number that is cut off.
    driver.send(INFLATE, [numbers(driver, [0xffff_ffff, RAM / PAGE, 0x8000_0000])]);
    driver.send(INFLATE, [{ ...numbers(driver, [first]), length: 3 }]);
    expect(zeros(driver, 1)).toEqual([]);
    expect(driver.rings[INFLATE].take().length).toBe(3);
  });

  it("clears free pages that it is told of, unless they are to be something else", () => {
    const { driver, device } = balloon(layout | FEATURES);
    const run = (page: number, pages: number) => ({ gpa: AREA + page * PAGE, length: pages * PAGE, write: true });
    driver.send(REPORTS, [run(0, 2), run(6, 1)]);
    expect([zeros(driver, 8), device.reported]).toEqual([[0, 1, 6], 3 * PAGE]);
    driver.send(REPORTS, [{ gpa: AREA + 7 * PAGE + 1, length: PAGE, write: true }]);
    driver.send(REPORTS, [{ gpa: AREA + 7 * PAGE, length: 0xffff_f000, write: true }]);
    expect(zeros(driver, 8)).toEqual([0, 1, 6]);
    driver.write(0x200c, 4, 0xaaaa_aaaa);
    driver.send(REPORTS, [run(3, 1)]);
    expect(zeros(driver, 8)).toEqual([0, 1, 6]);
    driver.start(layout | (FEATURES & ~POISON));
    driver.write(0x200c, 4, 0xaaaa_aaaa);
    driver.send(REPORTS, [run(3, 1)]);
    expect(zeros(driver, 8)).toEqual([0, 1, 3, 6]);
    // Hints nobody has asked for change nothing.
    driver.send(HINTS, [run(4, 1)]);
    expect([zeros(driver, 8), driver.rings[HINTS].take().length]).toEqual([[0, 1, 3, 6], 1]);
  });

  it("asks for statistics when it is asked, and again after it was saved", () => {
    const { driver, device } = balloon(layout | FEATURES);
    const heard: unknown[] = [];
    device.askStats((now) => heard.push(now));
    const unknown = 0xffff_ffff_ffff_ffffn;
    driver.send(STATS, [
      stats(driver, [
        [4, 1000n],
        [5, 5000n],
        [7, unknown],
        [99, 1n],
      ]),
    ]);
    expect([heard, driver.rings[STATS].take()]).toEqual([[{ free: 1000, total: 5000 }], []]);
    device.askStats((now) => heard.push(now));
    expect(driver.rings[STATS].take().length).toBe(1);
    driver.send(STATS, [stats(driver, [[6, 77n]])]);
    expect(heard.at(-1)).toEqual({ available: 77 });
    // The buffer that is held is the new device's to give back.
    const state = structuredClone(driver.card.export());
    let other: VirtioBalloon | undefined;
    const next = new Driver((memory) => {
      other = new VirtioBalloon("balloon", { memory, log: fakeLog() });
      return other;
    }, driver.memory);
    next.rings = driver.rings;
    next.card.import(state);
    expect(next.card.export()).toEqual(state);
    next.timers.advance(1n);
    other?.askStats((now) => heard.push(now));
    expect(next.rings[STATS].take().length).toBe(1);
    next.send(STATS, [stats(next, [[0, 3n]])]);
    expect(heard.at(-1)).toEqual({ swapIn: 3 });
  });

  it("lets others have their turn, however much it is told of", () => {
    const { driver } = balloon(layout | FEATURES);
    let writes = 0;
    driver.memory.write = () => {
      writes++;
    };
    const page = { gpa: RAM, length: 100 << 20, write: true };
    for (let i = 0; i < 3; i++) driver.rings[REPORTS].add([page]);
    driver.notify(REPORTS);
    const first = writes;
    expect(first).toBeGreaterThan(0);
    driver.timers.advance(1n);
    expect(writes).toBeGreaterThan(first);
  });
});
