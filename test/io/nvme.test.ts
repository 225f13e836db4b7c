/** The NVMe controller (src/io/nvme), by what its specification says that a host sees. */
import { describe, expect, it } from "vitest";
import { BlockError, type BlockSource } from "../../src/block/block.ts";
import { MemoryBlocks } from "../../src/block/memory.ts";
import { OverlayBlocks } from "../../src/block/overlay.ts";
import { Random } from "./fakes.ts";
import { DATA, ENTRIES, NvmeHost, RAM, sqBase } from "./nvmeHost.ts";

const SECTORS = 8192;
const FLUSH = 0;
const WRITE = 1;
const READ = 2;
const ZEROES = 8;
const READY = 1;

function image(): Uint8Array {
  const bytes = new Uint8Array(SECTORS * 512);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) view.setUint32(at, at, true);
  return bytes;
}

function running(source: BlockSource = new MemoryBlocks(image()), queues = 1): NvmeHost {
  const host = new NvmeHost(source);
  host.start();
  for (let n = 1; n <= queues; n++) host.makeQueues(n);
  return host;
}

/** A medium that answers when it is told to. */
class SlowBlocks implements BlockSource {
  readonly size = SECTORS * 512;
  readonly readOnly = false;
  readonly waiting: (() => void)[] = [];
  flushes = 0;
  read(offset: number, into: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(() => {
        into.set(image().subarray(offset, offset + into.length));
        resolve();
      });
    });
  }
  write(): void {}
  flush(): void {
    this.flushes++;
  }
  async answer(): Promise<void> {
    for (const done of this.waiting.splice(0)) done();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

describe("an NVMe controller", () => {
  it("is enabled with its admin queues, and forgets them when it is disabled", () => {
    const host = new NvmeHost(new MemoryBlocks(image()));
    host.start();
    expect(host.read(0x1c)).toBe(READY);
    expect(host.read(0x08)).toBe(0x0001_0400);
    host.makeQueues(1);
    host.write(0x14, 0x0046_0000);
    expect(host.read(0x1c)).toBe(0);
    expect(host.read(0x28)).toBe(sqBase(0));
    host.write(0x1008, 1);
    expect(host.log.messages.at(-1)).toMatch(/doorbell 2 rung with 1/);
  });

  it("says with CFS that it cannot be enabled as it was asked to", () => {
    const host = new NvmeHost(new MemoryBlocks(image()));
    host.start();
    host.write(0x14, 0);
    host.write(0x14, 0x0046_0011);
    expect(host.read(0x1c)).toBe(2);
  });

  it("identifies itself and its namespace", () => {
    const host = running();
    const view = new DataView(host.memory.bytes.buffer);
    expect(host.admin(6, { cdw10: 1, prp1: DATA }).status).toBe(0);
    expect(new TextDecoder().decode(host.memory.bytes.subarray(DATA + 4, DATA + 24)).trim()).toBe("NVME0001");
    expect(view.getUint32(DATA + 516, true)).toBe(1);
    expect(host.admin(6, { cdw10: 0, nsid: 1, prp1: DATA }).status).toBe(0);
    expect(view.getBigUint64(DATA, true)).toBe(BigInt(SECTORS));
    expect(view.getUint8(DATA + 130)).toBe(9);
    expect(host.admin(6, { cdw10: 2, prp1: DATA }).status).toBe(0);
    expect([view.getUint32(DATA, true), view.getUint32(DATA + 4, true)]).toEqual([1, 0]);
    expect(host.admin(6, { cdw10: 0, nsid: 2, prp1: DATA })).toMatchObject({ status: 0x0b, retry: false });
    expect(host.admin(6, { cdw10: 0x77, prp1: DATA }).status).toBe(2);
  });

  it("gives log pages and features", () => {
    const host = running();
    expect(host.admin(2, { cdw10: 2 | (127 << 16), prp1: DATA }).status).toBe(0);
    expect(host.memory.bytes[DATA + 3]).toBe(100);
    expect(host.admin(2, { cdw10: 0x55, prp1: DATA }).status).toBe(0x109);
    expect(host.admin(0x0a, { cdw10: 6 }).result).toBe(1);
    expect(host.admin(9, { cdw10: 6, cdw11: 0 }).status).toBe(0);
    expect(host.admin(0x0a, { cdw10: 6 }).result).toBe(0);
    expect(host.admin(0x0a, { cdw10: 0x106 }).result).toBe(1);
    expect(host.admin(9, { cdw10: 0x8000_0006 }).status).toBe(0x10d);
    expect(host.admin(9, { cdw10: 7, cdw11: 0x0001_0001 }).status).toBe(0x0c);
    expect(host.admin(9, { cdw10: 0xee }).status).toBe(2);
    expect(host.admin(0x7f).status).toBe(1);
  });

  it("grants as many queues as it has", () => {
    const host = running(undefined, 0);
    expect(host.admin(9, { cdw10: 7, cdw11: 0x0063_0002 })).toMatchObject({ status: 0, result: 0x000f_0002 });
  });

  it("keeps events waiting, four at most", () => {
    const host = running();
    for (let n = 0; n < 4; n++) host.submit(0, 0x0c);
    expect(host.take(0)).toEqual([]);
    expect(host.admin(0x0c).status).toBe(0x105);
  });

  it("makes and deletes queues by the rules", () => {
    const host = running();
    const size = (ENTRIES - 1) << 16;
    expect(host.admin(5, { cdw10: size | 1, cdw11: 3, prp1: DATA }).status).toBe(0x101);
    expect(host.admin(5, { cdw10: size | 17, cdw11: 3, prp1: DATA }).status).toBe(0x101);
    expect(host.admin(5, { cdw10: 2, cdw11: 3, prp1: DATA }).status).toBe(0x102);
    expect(host.admin(5, { cdw10: (4095 << 16) | 2, cdw11: 3, prp1: DATA }).status).toBe(0x102);
    expect(host.admin(5, { cdw10: size | 2, cdw11: 2, prp1: DATA }).status).toBe(2);
    expect(host.admin(5, { cdw10: size | 2, cdw11: (17 << 16) | 3, prp1: DATA }).status).toBe(0x108);
    expect(host.admin(5, { cdw10: size | 2, cdw11: 3, prp1: DATA + 8 }).status).toBe(0x13);
    expect(host.admin(1, { cdw10: size | 2, cdw11: (5 << 16) | 1, prp1: DATA }).status).toBe(0x100);
    expect(host.admin(4, { cdw10: 1 }).status).toBe(0x10c);
    expect(host.admin(0, { cdw10: 0 }).status).toBe(0x101);
    expect(host.admin(0, { cdw10: 1 }).status).toBe(0);
    expect(host.admin(4, { cdw10: 1 }).status).toBe(0);
    expect(host.admin(4, { cdw10: 1 }).status).toBe(0x101);
  });

  it("reads and writes along PRP lists, from an offset and over several lists", () => {
    const bytes = image();
    const host = running(new MemoryBlocks(bytes));
    const memory = host.memory.bytes;
    // One page and a bit, from an offset on.
    expect(host.io(READ, { cdw10: 3, cdw12: 8, prp1: DATA + 0x200, prp2: DATA + 0x4000 }).status).toBe(0);
    expect(memory.subarray(DATA + 0x200, DATA + 0x1000)).toEqual(bytes.subarray(0x600, 0x1400));
    expect(memory.subarray(DATA + 0x4000, DATA + 0x4400)).toEqual(bytes.subarray(0x1400, 0x1800));
    // 100 pages, last first, by a list of three entries that goes on in another.
    const pages = Array.from({ length: 100 }, (_, n) => DATA + 0x10_0000 + (99 - n) * 4096);
    const view = new DataView(memory.buffer);
    const list = (at: number, entries: number[]) => {
      entries.forEach((gpa, n) => {
        view.setBigUint64(at + 8 * n, BigInt(gpa), true);
      });
    };
    list(DATA + 0xfe8, [pages[1], pages[2], DATA + 0x2000]);
    list(DATA + 0x2000, pages.slice(3));
    expect(host.io(READ, { cdw10: 16, cdw12: 799, prp1: pages[0], prp2: DATA + 0xfe8 }).status).toBe(0);
    pages.forEach((gpa, n) => {
      expect(
        Buffer.compare(memory.subarray(gpa, gpa + 4096), bytes.subarray(0x2000 + n * 4096, 0x3000 + n * 4096)),
      ).toBe(0);
    });
    memory.fill(0x5a, pages[1], pages[1] + 512);
    expect(host.io(WRITE, { cdw10: 100, cdw12: 0, prp1: pages[1] }).status).toBe(0);
    expect(bytes.subarray(51200, 51712).every((b) => b === 0x5a)).toBe(true);
    expect(host.io(ZEROES, { cdw10: 100, cdw12: 0 }).status).toBe(0);
    expect(bytes.subarray(51200, 51712).every((b) => b === 0)).toBe(true);
  });

  it("forgets ranges where its source can, and says whether it can", () => {
    const view = (host: NvmeHost) => new DataView(host.memory.bytes.buffer);
    const plain = running();
    plain.admin(6, { cdw10: 1, prp1: DATA });
    expect(view(plain).getUint16(DATA + 520, true)).toBe(8);
    expect(plain.io(9, { prp1: DATA, cdw11: 4 }).status).toBe(1);

    const overlay = new OverlayBlocks(new MemoryBlocks(image(), true));
    const host = running(overlay);
    host.admin(6, { cdw10: 1, prp1: DATA });
    expect(view(host).getUint16(DATA + 520, true)).toBe(12);
    const range = (n: number, lba: number, sectors: number): void => {
      view(host).setUint32(DATA + 16 * n + 4, sectors, true);
      view(host).setBigUint64(DATA + 16 * n + 8, BigInt(lba), true);
    };
    range(0, 8, 8);
    range(1, 32, 16);
    expect(host.io(9, { prp1: DATA, cdw10: 1, cdw11: 0 }).status).toBe(0);
    const zeros = (lba: number): boolean => {
      const sector = new Uint8Array(512);
      overlay.read(lba * 512, sector);
      return sector.every((b) => b === 0);
    };
    expect(zeros(8)).toBe(false);
    expect(host.io(9, { prp1: DATA, cdw10: 1, cdw11: 4 }).status).toBe(0);
    expect([7, 8, 15, 16, 31, 32, 47, 48].map(zeros)).toEqual([false, true, true, false, false, true, true, false]);
    range(1, SECTORS - 1, 2);
    expect(host.io(9, { prp1: DATA, cdw10: 1, cdw11: 4 }).status).toBe(0x80);
  });

  it("refuses what is beyond its end, misplaced or not there", () => {
    const host = running();
    expect(host.io(READ, { cdw10: SECTORS, prp1: DATA })).toMatchObject({ status: 0x80, retry: false });
    expect(host.io(READ, { cdw10: 0, cdw11: 1, prp1: DATA }).status).toBe(0x80);
    expect(host.io(READ, { cdw10: 0, cdw12: 2048, prp1: DATA }).status).toBe(2);
    expect(host.io(READ, { prp1: DATA + 1 }).status).toBe(0x13);
    expect(host.io(READ, { cdw12: 8, prp1: DATA, prp2: DATA + 8 }).status).toBe(0x13);
    expect(host.io(READ, { nsid: 2, prp1: DATA }).status).toBe(0x0b);
    expect(host.io(0x44).status).toBe(1);
    expect(running(new MemoryBlocks(image(), true)).io(WRITE, { prp1: DATA }).status).toBe(0x182);
  });

  it("reports a medium that fails", () => {
    const host = running({
      size: 4096,
      readOnly: false,
      read: () => Promise.reject(new BlockError("gone")),
      write: () => {
        throw new BlockError("full");
      },
      flush: () => {},
    });
    expect(host.io(WRITE, { prp1: DATA }).status).toBe(0x280);
    expect(host.log.messages).toEqual(["nvme: full"]);
  });

  it("flushes when it is asked to, with FUA, without a cache and when it is shut down", () => {
    const source = new SlowBlocks();
    const host = running(source);
    host.io(WRITE, { prp1: DATA });
    expect(source.flushes).toBe(0);
    host.io(FLUSH);
    host.io(WRITE, { prp1: DATA, cdw12: 1 << 30 });
    expect(source.flushes).toBe(2);
    host.admin(9, { cdw10: 6, cdw11: 0 });
    host.io(WRITE, { prp1: DATA });
    expect(source.flushes).toBe(3);
    host.write(0x14, 0x0046_4001);
    expect([source.flushes, host.read(0x1c)]).toEqual([4, READY | 8]);
  });

  it("holds completions back while their queue is full, and loses none", () => {
    const host = running();
    for (let n = 0; n < ENTRIES - 1; n++) host.submit(1, READ, { nsid: 1, prp1: DATA }, n === ENTRIES - 2);
    const first = host.take(1, false);
    for (let n = 0; n < 10; n++) host.submit(1, READ, { nsid: 1, prp1: DATA });
    expect(host.take(1, false)).toEqual([]);
    expect(first.length).toBe(ENTRIES - 1);
    host.write(0x100c, ENTRIES - 1);
    expect(host.take(1).length).toBe(10);
  });

  it("need not hear of what was taken from a completion queue, but while one is full", () => {
    const host = running();
    const { doorbells } = host;
    expect([doorbells?.offset, doorbells?.length, doorbells?.quiet]).toEqual([0x1000, 0x1000, 4]);
    for (let n = 0; n < ENTRIES - 1; n++) host.submit(1, READ, { nsid: 1, prp1: DATA }, n === ENTRIES - 2);
    expect(doorbells?.quiet).toBe(4);
    host.take(1, false);
    host.submit(1, READ, { nsid: 1, prp1: DATA });
    expect(doorbells?.quiet).toBe(0);
    const clone = new NvmeHost(new MemoryBlocks(image()));
    clone.card.import(host.card.export());
    expect(clone.doorbells?.quiet).toBe(0);
    host.write(0x100c, ENTRIES - 1);
    expect(doorbells?.quiet).toBe(4);
    clone.write(0x14, 0);
    expect(clone.doorbells?.quiet).toBe(4);
  });

  it("interrupts by its pin until the queue is empty, and by messages as soon as they are on", () => {
    const host = running();
    host.submit(1, FLUSH, { nsid: 1 });
    expect(host.pin.level).toBe(true);
    host.write(0x0c, 1);
    expect(host.pin.level).toBe(false);
    host.write(0x10, 1);
    expect(host.pin.level).toBe(true);
    host.take(1);
    expect(host.pin.level).toBe(false);
    host.useMessages(2);
    host.submit(1, FLUSH, { nsid: 1 });
    expect(host.pin.level).toBe(false);
    expect(host.messages).toEqual([[0xfee0_0000, 0x41]]);
  });

  it("sends a masked message when it is unmasked", () => {
    const host = running();
    host.useMessages(2);
    host.card.writeConfig(0x42, 2, 0xc000);
    host.submit(1, FLUSH, { nsid: 1 });
    expect(host.messages).toEqual([]);
    expect(host.card.msix.read(0x800, 4)).toBe(2);
    host.card.writeConfig(0x42, 2, 0x8000);
    expect(host.messages).toEqual([[0xfee0_0000, 0x41]]);
    expect(host.card.msix.read(0x800, 4)).toBe(0);
  });

  it("goes on while the medium is slow, and forgets it all with a reset", async () => {
    const source = new SlowBlocks();
    const host = running(source, 2);
    host.submit(1, READ, { nsid: 1, prp1: DATA });
    host.submit(2, READ, { nsid: 1, prp1: DATA + 0x1000, cdw10: 1 });
    expect(host.card.busy).toBe(true);
    expect(host.io(FLUSH, {}, 2).status).toBe(0);
    await source.answer();
    expect([host.take(1).length, host.take(2).length, host.card.busy]).toEqual([1, 1, false]);

    host.submit(1, READ, { nsid: 1, prp1: DATA + 0x2000 });
    host.submit(2, READ, { nsid: 1, prp1: DATA + 0x3000, cdw10: 1 });
    // A deleted queue's commands are ended first; their data does not come any more.
    expect(host.admin(0, { cdw10: 1 }).status).toBe(0);
    expect(host.take(1)).toMatchObject([{ status: 8, retry: true }]);
    host.write(0x14, 0);
    await source.answer();
    expect(host.card.busy).toBe(false);
    expect(host.memory.bytes.subarray(DATA + 0x2000, DATA + 0x4000).every((b) => b === 0)).toBe(true);
  });

  it("moves a great deal in slices, so that others have their turn", () => {
    const host = running();
    for (let n = 0; n < 10; n++) host.submit(1, ZEROES, { nsid: 1, cdw12: 4095 }, n === 9);
    expect(host.take(1).length).toBe(2);
    for (let n = 0; n < 4; n++) host.timers.advance(1n);
    expect(host.take(1).length).toBe(8);
  });

  it("is saved and restored between commands, overlay included", () => {
    const base = new MemoryBlocks(image(), true);
    const host = running(new OverlayBlocks(base));
    host.useMessages(2);
    host.memory.bytes.fill(7, DATA, DATA + 512);
    host.io(WRITE, { cdw10: 5, prp1: DATA });
    host.submit(1, READ, { nsid: 1, cdw10: 5, prp1: DATA + 0x1000 }, false);
    const state = structuredClone(host.card.export());
    const other = new NvmeHost(new OverlayBlocks(base));
    other.memory.bytes.set(host.memory.bytes);
    other.card.import(state);
    expect(other.card.export()).toEqual(state);
    other.write(0x1008, 2);
    expect(other.memory.bytes[DATA + 0x1000]).toBe(7);
    expect(other.messages).toEqual([[0xfee0_0000, 0x41]]);
    const before = other.card.export();
    const bad = structuredClone(state);
    bad.nvme.submission[0].cq = 9;
    expect(() => other.card.import(bad)).toThrow(/submission\[0\].cq: is not there/);
    expect(other.card.export()).toEqual(before);
  });
});

describe("a hostile guest", () => {
  it("hurts only itself: random registers, doorbells and commands", () => {
    for (let seed = 1; seed <= 40; seed++) fuzz(new Random(seed), 1500);
  });
});

/** Random accesses; whatever they are, the card stays within memory and its medium, and answers. */
function fuzz(random: Random, operations: number): void {
  const bytes = image();
  const source: BlockSource = {
    size: bytes.length,
    readOnly: false,
    read: (offset, into) => {
      expect(offset >= 0 && offset + into.length <= bytes.length).toBe(true);
      into.set(bytes.subarray(offset, offset + into.length));
    },
    write: (offset, from) => {
      expect(offset >= 0 && offset + from.length <= bytes.length).toBe(true);
      bytes.set(from, offset);
    },
    flush: () => {},
  };
  const host = running(source, 3);
  const number = () => random.pick([0, 1, 0xffff_ffff, RAM, random.next(), random.below(RAM), random.below(64) * 4096]);
  for (let i = 0; i < operations; i++) {
    const register = random.pick([0x0c, 0x10, 0x14, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x1000 + 4 * random.below(40)]);
    switch (random.below(12)) {
      case 0:
        host.write(register, register === 0x14 && random.coin() ? 0x0046_0001 : number());
        break;
      case 1:
        host.read(random.below(0x2000) & ~3);
        break;
      case 2:
        host.card.writeConfig(random.pick([0x04, 0x42]), 2, random.next() | 6);
        break;
      case 3:
        host.card.msix.write(random.below(0x400) & ~3, 4, number());
        break;
      case 4:
        switch (random.below(40)) {
          case 0:
            host.write(0x14, 0);
            host.start();
            break;
          case 1:
            host.card.reset();
        }
        host.timers.advance(1n);
        break;
      default:
        if (!host.ranges.size) host.start();
        host.submit(random.below(4), random.pick([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 12, random.below(256)]), {
          nsid: random.pick([0, 1, 1, 1, 2, 0xffff_ffff]),
          prp1: number(),
          prp2: number(),
          cdw10: random.coin() ? random.below(SECTORS + 4) : (63 << 16) | random.below(5),
          cdw11: random.pick([0, 1, 3, 0x1_0003, number()]),
          cdw12: random.pick([0, 7, random.below(3000), number()]),
        });
    }
    if (!host.ranges.size) host.start();
  }
}
