/** Virtio's transport, both layouts of queues, and its devices, by what the specification says that a driver sees. */
import { describe, expect, it } from "vitest";
import type { BlockSource } from "../../../src/block/block.ts";
import { MemoryBlocks } from "../../../src/block/memory.ts";
import { OverlayBlocks } from "../../../src/block/overlay.ts";
import { VirtioBlk } from "../../../src/io/virtio/virtioBlk.ts";
import { VirtioConsole } from "../../../src/io/virtio/virtioConsole.ts";
import { VirtioRng } from "../../../src/io/virtio/virtioRng.ts";
import { type FakeMemory, fakeLog, Random } from "../fakes.ts";
import { BUFFERS, Driver, EVENT_IDX, INDIRECT_DESC, PACKED, RAM, type Run, SIZE, VERSION_1 } from "./driver.ts";

const SECTORS = 4096;
const HEAD = BUFFERS;
const DATA = BUFFERS + 0x1000;
const STATUS = BUFFERS + 0xff0;
const ALL = VERSION_1 | EVENT_IDX | INDIRECT_DESC;
const FLUSH = 1n << 9n;

function image(): Uint8Array {
  const bytes = new Uint8Array(SECTORS * 512);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) view.setUint32(at, at, true);
  return bytes;
}

const blk =
  (source: BlockSource, log = fakeLog(), queues = 1) =>
  (memory: FakeMemory) =>
    new VirtioBlk("disk", { memory, log, source, serial: "VBLK0001", queues });

/** The descriptors of a request, with its header written. */
function request(driver: Driver, type: number, sector: number, data: Run[]): Run[] {
  const view = new DataView(driver.memory.bytes.buffer);
  view.setUint32(HEAD, type, true);
  view.setBigUint64(HEAD + 8, BigInt(sector), true);
  driver.memory.bytes[STATUS] = 0xff;
  return [{ gpa: HEAD, length: 16 }, ...data, { gpa: STATUS, length: 1, write: true }];
}

/** One request, done: its status and the bytes that were written. */
function ask(driver: Driver, type: number, sector: number, data: Run[] = []): { status: number; written: number } {
  const id = driver.send(0, request(driver, type, sector, data));
  const [done] = driver.rings[0].take();
  if (done?.id !== id) throw new Error("the request has not come back");
  return { status: driver.memory.bytes[STATUS], written: done.written };
}

const layouts: [string, bigint][] = [
  ["split", VERSION_1],
  ["split, event index, indirect", ALL],
  ["packed", VERSION_1 | PACKED],
  ["packed, event index, indirect", ALL | PACKED],
];

describe.each(layouts)("a virtio disk, queues %s", (_name, layout) => {
  it("reads and writes, round and round the ring, with one interrupt for each wait", () => {
    const bytes = image();
    const driver = new Driver(blk(new MemoryBlocks(bytes)));
    expect(driver.start(layout | FLUSH, { messages: true })).toBe(15);
    const random = new Random(7);
    for (let i = 0; i < 200; i++) {
      const sector = random.below(SECTORS - 8);
      const halves = [
        { gpa: DATA, length: 512, write: true },
        { gpa: DATA + 0x3000, length: 1024, write: true },
      ];
      driver.messages.length = 0;
      expect(ask(driver, 0, sector, halves)).toEqual({ status: 0, written: 1537 });
      expect(driver.messages).toEqual([0x41]);
      const { memory } = driver;
      const [first, rest] = [
        memory.bytes.subarray(DATA, DATA + 512),
        memory.bytes.subarray(DATA + 0x3000, DATA + 0x3400),
      ];
      const there = bytes.subarray(sector * 512, sector * 512 + 1536);
      expect(Buffer.concat([first, rest]).equals(there)).toBe(true);
      memory.bytes.fill(i, DATA, DATA + 512);
      expect(ask(driver, 1, sector, [{ gpa: DATA, length: 512 }]).status).toBe(0);
      expect(bytes[sector * 512 + 511]).toBe(i);
    }
  });

  it("takes several requests at a time", () => {
    const driver = new Driver(blk(new MemoryBlocks(image())));
    driver.start(layout);
    const runs = request(driver, 0, 3, [{ gpa: DATA, length: 512, write: true }]);
    for (let round = 0; round < 20; round++) {
      const ids = Array.from({ length: 5 }, () => driver.rings[0].add(runs));
      expect(driver.rings[0].wanted()).toBe(true);
      driver.notify(0);
      expect(driver.rings[0].take().map(({ id }) => id)).toEqual(ids);
    }
  });

  it("goes on after being saved in the middle", () => {
    const base = new MemoryBlocks(image(), true);
    const driver = new Driver(blk(new OverlayBlocks(base)));
    driver.start(layout, { messages: true });
    driver.memory.bytes.fill(9, DATA, DATA + 512);
    for (let i = 0; i < 11; i++) ask(driver, 1, 6, [{ gpa: DATA, length: 512 }]);
    driver.rings[0].add(request(driver, 0, 6, [{ gpa: DATA + 0x1000, length: 512, write: true }]));
    const state = structuredClone(driver.card.export());
    const other = new Driver(blk(new OverlayBlocks(base)), driver.memory);
    other.rings = driver.rings;
    other.card.import(state);
    expect(other.card.export()).toEqual(state);
    other.messages.length = 0;
    other.timers.advance(1n);
    expect(other.rings[0].take().length).toBe(1);
    expect([other.memory.bytes[DATA + 0x1000], other.messages]).toEqual([9, [0x41]]);
    expect(ask(other, 8, 0, [{ gpa: DATA, length: 20, write: true }]).status).toBe(0);
    expect(new TextDecoder().decode(other.memory.bytes.subarray(DATA, DATA + 8))).toBe("VBLK0001");
  });
});

describe("a virtio disk", () => {
  it("refuses features that it has not offered, and a driver of before 1.0", () => {
    const driver = new Driver(blk(new MemoryBlocks(image())));
    expect(driver.start(VERSION_1 | (1n << 50n))).toBe(3);
    expect(driver.start(0n)).toBe(3);
    expect(driver.offered() & (VERSION_1 | EVENT_IDX | INDIRECT_DESC | PACKED)).toBe(ALL | PACKED);
  });

  it("says what cannot be read, written or understood", () => {
    const driver = new Driver(blk(new MemoryBlocks(image(), true)));
    driver.start(ALL);
    const room = [{ gpa: DATA, length: 512, write: true }];
    expect(driver.offered() & (1n << 5n)).toBe(1n << 5n);
    expect(ask(driver, 0, SECTORS, room).status).toBe(1);
    expect(ask(driver, 0, 0, [{ gpa: DATA, length: 511, write: true }]).status).toBe(1);
    expect(ask(driver, 1, 0, [{ gpa: DATA, length: 512 }]).status).toBe(1);
    expect(ask(driver, 11, 0, [{ gpa: DATA, length: 16 }]).status).toBe(2);
    expect(ask(driver, 77, 0).status).toBe(2);
  });

  it("writes zeros, and forgets where its source can", () => {
    const overlay = new OverlayBlocks(new MemoryBlocks(image(), true));
    const driver = new Driver(blk(overlay));
    driver.start(ALL);
    const view = new DataView(driver.memory.bytes.buffer);
    const range = (sector: number, sectors: number, flags: number): Run[] => {
      view.setBigUint64(DATA, BigInt(sector), true);
      view.setUint32(DATA + 8, sectors, true);
      view.setUint32(DATA + 12, flags, true);
      return [{ gpa: DATA, length: 16 }];
    };
    expect(ask(driver, 13, 0, range(8, 1, 1)).status).toBe(0);
    expect(ask(driver, 11, 0, range(16, 16, 0)).status).toBe(0);
    expect(ask(driver, 11, 0, range(16, 16, 1)).status).toBe(2);
    expect(ask(driver, 13, 0, range(SECTORS - 1, 2, 0)).status).toBe(1);
    const bytes = new Uint8Array(SECTORS * 512);
    overlay.read(0, bytes);
    const zeros = (from: number, to: number): boolean => bytes.subarray(from * 512, to * 512).every((b) => b === 0);
    expect([zeros(8, 9), zeros(9, 10), zeros(16, 32), zeros(32, 33)]).toEqual([true, false, true, false]);
    // A block that was forgotten is written like any other.
    driver.memory.bytes.fill(3, DATA, DATA + 512);
    ask(driver, 1, 17, [{ gpa: DATA, length: 512 }]);
    overlay.read(0, bytes);
    expect([zeros(16, 17), bytes[17 * 512], zeros(18, 24), zeros(24, 32)]).toEqual([true, 3, true, true]);
  });

  it("writes through when its cache is off, or the driver knows of none", () => {
    let flushes = 0;
    const source: BlockSource = {
      ...{ size: 4096, readOnly: false, read: () => {}, write: () => {} },
      flush: () => {
        flushes++;
      },
    };
    const driver = new Driver(blk(source));
    const write = (): number => {
      flushes = 0;
      ask(driver, 1, 0, [{ gpa: DATA, length: 512 }]);
      return flushes;
    };
    driver.start(ALL | FLUSH | (1n << 11n));
    expect(write()).toBe(0);
    ask(driver, 4, 0);
    expect(flushes).toBe(1);
    driver.write(0x2020, 1, 0);
    expect(write()).toBe(1);
    driver.start(ALL);
    expect(write()).toBe(1);
  });

  it("needs a reset when the driver breaks the rules, and says so", () => {
    const log = fakeLog();
    const driver = new Driver(blk(new MemoryBlocks(image()), log));
    driver.start(VERSION_1, { messages: true });
    const [desc, area] = driver.rings[0].areas;
    const view = new DataView(driver.memory.bytes.buffer);
    // A descriptor that is its own successor.
    view.setUint32(desc + 8, 16, true);
    view.setUint16(desc + 12, 1, true);
    view.setUint16(desc + 14, 0, true);
    view.setUint16(area + 2, 1, true);
    driver.notify(0);
    expect(driver.read(0x14, 1)).toBe(15 | 0x40);
    expect(driver.messages).toEqual([0x40]);
    expect(log.messages).toEqual([expect.stringMatching(/^disk: queue 0: .*; the device needs a reset$/)]);
    driver.notify(0);
    expect(driver.start(VERSION_1)).toBe(15);
    expect(ask(driver, 4, 0).status).toBe(0);
  });

  it("interrupts by its pin without MSI-X, until its status is read", () => {
    const driver = new Driver(blk(new MemoryBlocks(image())));
    driver.start(VERSION_1);
    ask(driver, 4, 0);
    expect(driver.pin.level).toBe(true);
    expect(driver.read(0x1000, 1)).toBe(1);
    expect(driver.pin.level).toBe(false);
    expect(driver.read(0x1000, 1)).toBe(0);
  });

  it("can be reached through the window in configuration space", () => {
    const driver = new Driver(blk(new MemoryBlocks(image())));
    const at = driver.capability(5);
    const aim = (offset: number, length: number): void => {
      driver.card.writeConfig(at + 4, 1, 0);
      driver.card.writeConfig(at + 8, 4, offset);
      driver.card.writeConfig(at + 12, 4, length);
    };
    aim(0x2000, 4);
    expect(driver.card.readConfig(at + 16, 4)).toBe(SECTORS);
    aim(0x14, 1);
    driver.card.writeConfig(at + 16, 1, 1);
    expect(driver.read(0x14, 1)).toBe(1);
    aim(0x15, 4);
    expect(driver.card.readConfig(at + 16, 4)).toBe(0);
  });

  it("answers later when its medium does, and forgets it with a reset", async () => {
    let answer = (): void => {};
    const source: BlockSource = {
      ...{ size: 4096, readOnly: false, write: () => {}, flush: () => {} },
      read: (_offset, into) =>
        new Promise<void>((resolve) => {
          answer = () => {
            into.fill(5);
            resolve();
          };
        }),
    };
    const driver = new Driver(blk(source));
    driver.start(ALL, { messages: true });
    const settled = async (): Promise<void> => {
      answer();
      await new Promise((resolve) => setTimeout(resolve, 0));
    };
    const runs = request(driver, 0, 0, [{ gpa: DATA, length: 512, write: true }]);
    driver.send(0, runs);
    expect([driver.card.busy, driver.messages.length]).toEqual([true, 0]);
    await settled();
    expect([driver.card.busy, driver.messages, driver.memory.bytes[DATA]]).toEqual([false, [0x41], 5]);
    driver.memory.bytes[DATA] = 0;
    driver.send(0, runs);
    driver.write(0x14, 1, 0);
    await settled();
    expect([driver.card.busy, driver.memory.bytes[DATA]]).toEqual([false, 0]);
  });
});

describe("other virtio devices", () => {
  it("entropy fills what it is given", () => {
    const fill = (into: Uint8Array): void => {
      into.fill(0x42);
    };
    const driver = new Driver((memory) => new VirtioRng("rng", { memory, log: fakeLog(), fill }));
    driver.start(ALL);
    driver.send(0, [{ gpa: DATA, length: 100, write: true }]);
    expect(driver.rings[0].take()).toEqual([{ id: 0, written: 100 }]);
    expect(driver.memory.bytes.subarray(DATA, DATA + 101).filter((b) => b === 0x42).length).toBe(100);
  });

  it("a console takes and gives bytes, holds input until there is room, and tells its size", () => {
    let output = "";
    let console: VirtioConsole | undefined;
    const driver = new Driver((memory) => {
      const take = (bytes: Uint8Array): void => {
        output += new TextDecoder().decode(bytes);
      };
      console = new VirtioConsole("console", { memory, log: fakeLog(), output: take });
      return console;
    });
    driver.start(ALL | 1n, { messages: true });
    driver.memory.write(DATA, new TextEncoder().encode("hello"));
    driver.send(1, [{ gpa: DATA, length: 5 }]);
    expect(output).toBe("hello");
    expect(console?.input(new TextEncoder().encode("0123456789"))).toBe(10);
    for (let n = 0; n < 2; n++) driver.send(0, [{ gpa: DATA + 0x100 * n, length: 7, write: true }]);
    expect(driver.rings[0].take().map(({ written }) => written)).toEqual([7, 3]);
    expect(new TextDecoder().decode(driver.memory.bytes.subarray(DATA + 0x100, DATA + 0x103))).toBe("789");
    driver.messages.length = 0;
    console?.resize(132, 43);
    expect(driver.messages).toEqual([0x40]);
    expect([driver.read(0x2000, 2), driver.read(0x2002, 2)]).toEqual([132, 43]);
  });
});

describe("a hostile driver", () => {
  it.each(layouts)("hurts only itself, queues %s", (_name, layout) => {
    for (let seed = 1; seed <= 12; seed++) fuzz(new Random(seed), layout, 1500);
  });
});

/** Random rings, descriptors, registers and resets; the device stays within memory and its medium, and comes to an end. */
function fuzz(random: Random, layout: bigint, operations: number): void {
  const bytes = image();
  const inside = (offset: number, length: number): void => {
    expect(offset >= 0 && offset + length <= bytes.length).toBe(true);
  };
  const source: BlockSource = {
    size: bytes.length,
    readOnly: false,
    read: (offset, into) => {
      inside(offset, into.length);
      into.set(bytes.subarray(offset, offset + into.length));
    },
    write: (offset, from) => {
      inside(offset, from.length);
      bytes.set(from, offset);
    },
    discard: inside,
    flush: () => {},
  };
  const driver = new Driver(blk(source));
  driver.start(layout);
  const view = new DataView(driver.memory.bytes.buffer);
  const number = () => random.pick([0, 1, 2, 16, RAM - 8, 0xffff_ffff, random.next(), random.below(RAM)]);
  for (let i = 0; i < operations; i++) {
    const [desc, area] = driver.rings[0].areas;
    switch (random.below(8)) {
      case 0:
      case 1: {
        const at = desc + 16 * random.below(SIZE);
        view.setUint32(at, random.coin() ? random.below(RAM) : number(), true);
        view.setUint32(at + 4, random.below(50) ? 0 : number(), true);
        view.setUint32(at + 8, random.pick([1, 16, 32, 512, 4096, number()]), true);
        view.setUint32(at + 12, random.coin() ? random.below(8) | (random.below(SIZE) << 16) : number(), true);
        break;
      }
      case 2:
        view.setUint16(area + 2 * random.below(SIZE + 3), random.coin() ? random.below(SIZE) : number(), true);
        break;
      case 3:
        view.setUint32(HEAD, random.pick([0, 1, 4, 8, 11, 13, number()]), true);
        view.setUint32(HEAD + 8, random.coin() ? random.below(SECTORS + 2) : number(), true);
        break;
      case 4:
        if (random.below(10) === 0) driver.write(random.below(0x40), random.pick([1, 2, 4] as const), number());
        else driver.card.writeConfig(random.below(0xc0) + 0x34, 1, random.next() & 0xff);
        break;
      case 5:
        if (driver.read(0x14, 1) !== 15) driver.start(layout);
        driver.rings[0].add(
          request(driver, random.pick([0, 1, 4, 11, 13]), random.below(SECTORS), [
            { gpa: number(), length: random.pick([0, 512, 4096, number()]), write: random.coin() },
          ]).slice(0, random.below(4)),
        );
        break;
      default:
        driver.card.writeConfig(0x04, 2, 6);
        driver.notify(random.below(3));
        driver.timers.advance(1n);
    }
    if (random.below(100) === 0) driver.start(layout);
  }
}
