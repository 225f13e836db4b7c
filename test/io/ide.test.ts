import { describe, expect, it } from "vitest";
import type { BlockSource } from "../../src/block/block.ts";
import { MemoryBlocks } from "../../src/block/memory.ts";
import { AtaDisk } from "../../src/io/ataDisk.ts";
import { AtapiCd } from "../../src/io/atapiCd.ts";
import { IdeChannel, type IdeChannelV1, type IdeDevice } from "../../src/io/ideChannel.ts";
import { SnapshotFields } from "../../src/io/snapshotFields.ts";
import { noLog } from "../../src/shared/device.ts";
import { IDE_VALUE } from "../../src/shared/ide.ts";
import { FakeMemory, FakePin, Random } from "./fakes.ts";

const SECTORS = 20_000;

function image(sectors = SECTORS): Uint8Array {
  const bytes = new Uint8Array(sectors * 512);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < sectors; i++)
    for (let at = 0; at < 512; at += 4) view.setUint32(i * 512 + at, i * 128 + at, true);
  return bytes;
}

function setUp(first: IdeDevice | undefined, second?: IdeDevice) {
  const irq = new FakePin();
  const memory = new FakeMemory(0x10_0000);
  const channel = new IdeChannel({ drives: [first, second], irq, memory, mayMaster: () => true, log: noLog });
  const { command, control, master } = channel;
  const out = (register: number, value: number) => command.write(register, 1, value);
  const status = () => control.read(0, 1);
  const lba = (where: number, count: number) => {
    out(2, count);
    out(3, where & 0xff);
    out(4, (where >> 8) & 0xff);
    out(5, (where >> 16) & 0xff);
    out(6, 0xe0 | ((where >> 24) & 15));
  };
  const words = (count: number) => Uint16Array.from({ length: count }, () => command.read(0, 2));
  const dma = (table: [address: number, bytes: number][], write: boolean) => {
    table.forEach(([address, bytes], i) => {
      const prd = new DataView(new ArrayBuffer(8));
      prd.setUint32(0, address, true);
      prd.setUint32(4, (bytes & 0xffff) | (i === table.length - 1 ? 0x8000_0000 : 0), true);
      memory.write(0x8000 + 8 * i, new Uint8Array(prd.buffer));
    });
    master.write(4, 4, 0x8000);
    master.write(2, 1, 6);
    master.write(0, 1, write ? 1 : 9);
  };
  return { irq, memory, channel, command, control, master, out, status, lba, words, dma };
}

const disk = (bytes = image()) => new AtaDisk(new MemoryBlocks(bytes), "S1", noLog);

describe("an ATA disk", () => {
  it("asks its source once for a command's sectors, and says which one cannot be read", () => {
    const bytes = image();
    const medium = new MemoryBlocks(bytes);
    const asked: [sector: number, count: number][] = [];
    let broken = -1;
    const source: BlockSource = {
      size: medium.size,
      readOnly: false,
      read(offset, into) {
        const [sector, count] = [offset / 512, into.length / 512];
        asked.push([sector, count]);
        if (broken >= sector && broken < sector + count) throw new Error("scratched");
        return medium.read(offset, into);
      },
      write: (offset, from) => medium.write(offset, from),
      flush: () => {},
    };
    const t = setUp(new AtaDisk(source, "S1", noLog));
    const read = (where: number, count: number) => {
      t.lba(where, count);
      t.out(7, 0x20);
      const got: number[] = [];
      for (let i = 0; i < count && t.status() & 8; i++) got.push(...new Uint8Array(t.words(256).buffer));
      return got;
    };
    expect(read(100, 200)).toEqual([...bytes.subarray(100 * 512, 300 * 512)]);
    expect(asked).toEqual([[100, 200]]);
    // Of the next command nothing is known yet.
    bytes[100 * 512] ^= 0xff;
    expect(read(100, 2)[0]).toBe(bytes[100 * 512]);
    broken = 107;
    asked.length = 0;
    expect(read(105, 10)).toEqual([...bytes.subarray(105 * 512, 107 * 512)]);
    expect(t.command.read(7, 1) & 0x21).toBe(1);
    expect([t.command.read(1, 1), t.command.read(3, 1)]).toEqual([0x40, 107]);
    expect(asked.at(-1)).toEqual([107, 1]);
  });

  it("says what it is", () => {
    const t = setUp(disk());
    t.out(6, 0xa0);
    t.out(7, 0xec);
    expect(t.irq.level).toBe(true);
    expect(t.command.read(7, 1)).toBe(0x58);
    expect(t.irq.level).toBe(false);
    const id = t.words(256);
    expect(id[60] | (id[61] << 16)).toBe(SECTORS);
    expect(id[100]).toBe(SECTORS);
    expect([id[1], id[3], id[6]]).toEqual([19, 16, 63]);
    expect(id[83] & 0x0400).not.toBe(0);
    const sum = new Uint8Array(id.buffer).reduce((a, b) => (a + b) & 0xff, 0);
    expect(sum).toBe(0);
    expect(t.status()).toBe(0x50);
  });

  it("says whether there is another on the cable", () => {
    const found = (drives: [IdeDevice | undefined, IdeDevice?], which: number): number => {
      const t = setUp(...drives);
      t.out(6, 0xa0 | (which << 4));
      t.out(7, drives[which] instanceof AtapiCd ? 0xa1 : 0xec);
      return t.words(256)[93];
    };
    const cd = () => new AtapiCd(undefined, "S2", noLog);
    // ATA/ATAPI-6, 8.15.62: bit 6, drive 0 answers for drive 1; 5 and 4, it has seen it; 12:8 are drive 1's.
    expect(found([disk()], 0)).toBe(0x604b);
    expect(found([cd()], 0)).toBe(0x604b);
    expect(found([disk(), cd()], 0)).toBe(0x603b);
    expect(found([disk(), cd()], 1)).toBe(0x6b00);
    expect(found([cd(), disk()], 1)).toBe(0x6b00);
  });

  it("reads sectors by PIO, an interrupt for each block", () => {
    const t = setUp(disk());
    t.lba(0x1234, 2);
    t.out(7, 0x20);
    for (const sector of [0x1234, 0x1235]) {
      expect(t.irq.level).toBe(true);
      expect(t.command.read(7, 1) & 0x88).toBe(0x08);
      const [low, high] = t.words(256);
      expect(low | (high << 16)).toBe(sector * 128);
    }
    expect(t.irq.level).toBe(false);
    expect([t.status(), t.command.read(2, 1), t.command.read(3, 1)]).toEqual([0x50, 0, 0x35]);
  });

  it("addresses by cylinder, head and sector, and with 48 bits", () => {
    const t = setUp(disk());
    t.out(2, 1);
    t.out(3, 5);
    t.out(4, 2);
    t.out(5, 0);
    t.out(6, 0xa3);
    t.out(7, 0x20);
    expect(t.words(256)[0] | 0).toBe((((2 * 16 + 3) * 63 + 4) * 128) & 0xffff);
    for (const [count, low, mid] of [
      [0, 0, 0],
      [1, 7, 1],
    ]) {
      t.out(2, count);
      t.out(3, low);
      t.out(4, mid);
      t.out(5, 0);
    }
    t.out(6, 0xe0);
    t.out(7, 0x24);
    expect(t.words(256)[0]).toBe((0x107 * 128) & 0xffff);
    t.control.write(0, 1, 0x80);
    expect([t.command.read(2, 1), t.command.read(3, 1)]).toEqual([0, 0]);
    // Sector 0 does not exist, nor do sectors past the end.
    t.out(3, 0);
    t.out(6, 0xa0);
    t.out(7, 0x20);
    expect([t.status() & 1, t.command.read(1, 1)]).toEqual([1, 0x10]);
    t.lba(SECTORS - 1, 2);
    t.out(7, 0x20);
    expect([t.status() & 1, t.command.read(1, 1)]).toEqual([1, 0x10]);
  });

  it("writes by PIO in blocks of SET MULTIPLE MODE", () => {
    const bytes = image();
    const t = setUp(disk(bytes));
    t.out(6, 0xe0);
    t.out(7, 0xc5);
    expect(t.command.read(1, 1)).toBe(4);
    t.out(2, 2);
    t.out(7, 0xc6);
    t.lba(100, 3);
    t.command.read(7, 1);
    t.out(7, 0xc5);
    expect(t.irq.level).toBe(false);
    for (let i = 0; i < 512; i++) t.command.write(0, 2, i);
    expect(t.irq.level).toBe(true);
    expect(t.command.read(7, 1) & 0x08).toBe(0x08);
    for (let i = 0; i < 128; i++) t.command.write(0, 4, 0xabcd_0000 + i);
    expect(t.command.read(7, 1)).toBe(0x50);
    const view = new DataView(bytes.buffer);
    expect(view.getUint16(100 * 512 + 1022, true)).toBe(511);
    expect(view.getUint32(102 * 512 + 4, true)).toBe(0xabcd_0001);
    expect(view.getUint32(103 * 512, true)).toBe(103 * 128);
  });

  it("moves data by bus master along its descriptors", () => {
    const bytes = image();
    const t = setUp(disk(bytes));
    t.lba(8, 4);
    t.out(7, 0xc8);
    expect(t.irq.level).toBe(false);
    t.dma(
      [
        [0x1_0000, 600],
        [0x2_0000, 1448],
      ],
      false,
    );
    expect(t.irq.level).toBe(true);
    expect(t.master.read(2, 1) & 7).toBe(4);
    const got = new Uint8Array(1448);
    t.memory.read(0x2_0000, got);
    expect(got).toEqual(bytes.subarray(8 * 512 + 600, 12 * 512));
    t.master.write(0, 1, 0);
    // Started before the command, and to the disk.
    t.memory.write(0x3_0000, new Uint8Array(512).fill(0x5a));
    t.command.read(7, 1);
    t.dma([[0x3_0000, 512]], true);
    t.lba(9, 1);
    t.out(7, 0xca);
    expect(bytes.subarray(9 * 512, 10 * 512).every((b) => b === 0x5a)).toBe(true);
    expect(t.master.read(2, 1) & 7).toBe(4);
  });

  it("waits for a medium that takes its time, and forgets it at a reset", async () => {
    const answers: (() => void)[] = [];
    const bytes = image();
    const slow: BlockSource = {
      size: bytes.length,
      readOnly: false,
      read: (offset, into) =>
        new Promise((resolve) => {
          answers.push(() => {
            into.set(bytes.subarray(offset, offset + into.length));
            resolve();
          });
        }),
      write: () => Promise.reject(new Error("gone")),
      flush: () => Promise.reject(new Error("full")),
    };
    const t = setUp(new AtaDisk(slow, "S", noLog));
    // What is published is there when the interrupt comes, and is what the register reads as.
    let values = 0;
    t.channel.onValues = (v) => {
      values = v;
    };
    const published = () => [values & 0xff, (values & IDE_VALUE.INTRQ) !== 0];
    t.lba(3, 1);
    t.out(7, 0x20);
    expect([t.status(), t.channel.busy, t.irq.level]).toEqual([0xd0, true, false]);
    answers[0]();
    await Promise.resolve();
    expect([t.status(), t.channel.busy, t.irq.level]).toEqual([0x58, false, true]);
    expect(t.words(256)[0]).toBe(384);
    t.out(7, 0x20);
    t.control.write(0, 1, 4);
    t.control.write(0, 1, 0);
    answers[1]();
    await Promise.resolve();
    expect([t.status(), t.irq.level]).toEqual([0x50, false]);
    // A write that fails is a device fault.
    t.lba(3, 1);
    t.out(7, 0x30);
    for (let i = 0; i < 256; i++) t.command.write(0, 2, 0);
    await new Promise((resolve) => setTimeout(resolve));
    expect(published()).toEqual([0x71, true]);
    expect([t.status(), t.command.read(1, 1)]).toEqual([0x71, 4]);
    expect(t.command.read(7, 1)).toBe(0x71);
    expect(published()).toEqual([0x71, false]);
    // As is a flush.
    t.out(7, 0xe7);
    await new Promise((resolve) => setTimeout(resolve));
    expect([...published(), t.status(), t.command.read(1, 1)]).toEqual([0x71, true, 0x71, 4]);
  });

  it("publishes its registers before its interrupt is heard, and holds that until it may be", () => {
    const t = setUp(disk(), disk());
    const values: number[] = [];
    let may = true;
    t.channel.onValues = (v) => values.push(v);
    t.channel.mayInterrupt = () => {
      expect(values.at(-1)).toBe(0x0304_0950);
      return may;
    };
    t.lba(3, 1);
    may = false;
    t.dma([[0x1000, 512]], false);
    expect(values.at(-1)).toBe(0x0201_0950);
    values.length = 0;
    t.out(7, 0xc8);
    // Nobody hears of a drive that has a command and is not busy.
    expect([...new Set(values)]).toEqual([0x0304_0950]);
    expect(t.irq.level).toBe(false);
    may = true;
    t.out(2, 0);
    expect(t.irq.level).toBe(true);
    // Which drive it is, and whether it takes commands.
    t.out(6, 0xf0);
    expect((values.at(-1) ?? 0) & IDE_VALUE.DEV).toBe(IDE_VALUE.DEV);
    t.control.write(0, 1, 4);
    expect((values.at(-1) ?? 0) & (IDE_VALUE.READY | 0xff)).toBe(0x80);
  });
});

describe("an ATAPI CD", () => {
  const cd = (bytes: Uint8Array | undefined = image(400)) =>
    new AtapiCd(bytes && new MemoryBlocks(bytes, true), "C1", noLog);
  const packet = (t: ReturnType<typeof setUp>, bytes: number[], limit = 0xfffe, byDma = false) => {
    t.out(1, byDma ? 1 : 0);
    t.out(4, limit & 0xff);
    t.out(5, limit >> 8);
    t.out(7, 0xa0);
    expect(t.command.read(2, 1)).toBe(1);
    const all = [...bytes, ...new Array(12).fill(0)].slice(0, 12);
    for (let i = 0; i < 12; i += 2) t.command.write(0, 2, all[i] | (all[i + 1] << 8));
  };

  it("has its signature and refuses IDENTIFY DEVICE", () => {
    const t = setUp(cd());
    t.out(6, 0xa0);
    expect([t.command.read(4, 1), t.command.read(5, 1)]).toEqual([0x14, 0xeb]);
    t.out(7, 0xec);
    expect([t.command.read(7, 1) & 1, t.command.read(1, 1)]).toEqual([1, 4]);
    t.out(7, 0xa1);
    expect(t.words(256)[0]).toBe(0x85c0);
  });

  it("tells of a new medium once, then reads it in pieces as large as the host takes", () => {
    const bytes = image(400);
    const t = setUp(cd(bytes));
    packet(t, [0]);
    expect([t.command.read(7, 1) & 1, t.command.read(1, 1) >> 4]).toEqual([1, 6]);
    packet(t, [3, 0, 0, 0, 18]);
    expect(t.words(9)[6]).toBe(0x28);
    packet(t, [0]);
    expect(t.command.read(7, 1)).toBe(0x50);
    packet(t, [0x28, 0, 0, 0, 0, 10, 0, 0, 2], 3000);
    const got: number[] = [];
    const sizes: number[] = [];
    while (t.command.read(7, 1) & 8) {
      const size = t.command.read(4, 1) | (t.command.read(5, 1) << 8);
      expect(t.command.read(2, 1)).toBe(2);
      sizes.push(size);
      for (let i = 0; i < size; i += 2) {
        const word = t.command.read(0, 2);
        got.push(word & 0xff, word >> 8);
      }
    }
    expect(sizes).toEqual([3000, 1096]);
    expect(Uint8Array.from(got)).toEqual(bytes.subarray(10 * 2048, 12 * 2048));
    expect(t.command.read(2, 1)).toBe(3);
  });

  it("reads by DMA, says how large it is, and where its track starts", () => {
    const bytes = image(400);
    const t = setUp(cd(bytes));
    packet(t, [0]);
    packet(t, [0xa8, 0, 0, 0, 0, 4, 0, 0, 0, 3], 0, true);
    t.dma([[0x1_0000, 6144]], false);
    const got = new Uint8Array(6144);
    t.memory.read(0x1_0000, got);
    expect(got).toEqual(bytes.subarray(4 * 2048, 7 * 2048));
    expect([t.command.read(7, 1), t.irq.level]).toEqual([0x50, false]);
    packet(t, [0x25]);
    expect([...t.words(4)]).toEqual([0, 0x6300, 0, 0x0008]);
    packet(t, [0x43, 2, 0, 0, 0, 0, 0, 0, 20]);
    expect([...new Uint8Array(t.words(10).buffer)]).toEqual([
      0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0, 0, 0x14, 0xaa, 0, 0, 0, 3, 25,
    ]);
    packet(t, [0x28, 0, 0, 0, 0, 99, 0, 0, 2]);
    expect([t.command.read(7, 1) & 1, t.command.read(1, 1) >> 4]).toEqual([1, 5]);
  });

  it("may be empty, and get a disc", () => {
    const drive = new AtapiCd(undefined, "C", noLog);
    const t = setUp(drive);
    packet(t, [0]);
    expect(t.command.read(1, 1) >> 4).toBe(2);
    drive.insert(new MemoryBlocks(image(4), true));
    packet(t, [0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]);
    expect([...new Uint8Array(t.words(4).buffer)]).toEqual([0, 6, 4, 0x10, 2, 2, 0, 0]);
    packet(t, [0]);
    expect(t.command.read(1, 1) >> 4).toBe(6);
    packet(t, [0]);
    expect(t.command.read(7, 1)).toBe(0x50);
  });
});

describe("an IDE channel", () => {
  it("has a floating bus without drives, and answers for an absent second one", () => {
    const none = setUp(undefined);
    none.out(6, 0xa0);
    expect(none.status()).toBe(0x7f);
    const one = setUp(disk());
    one.out(6, 0xb0);
    expect(one.status()).toBe(0);
    one.out(7, 0x90);
    expect([one.status(), one.command.read(1, 1)]).toEqual([0x50, 1]);
  });

  it("takes anything at its registers, and goes on from its saved state", () => {
    const make = () => setUp(disk(image(64)), new AtapiCd(new MemoryBlocks(image(64), true), "C", noLog));
    const fields = (state: IdeChannelV1) => new SnapshotFields("ide", state);
    for (let seed = 1; seed <= 40; seed++) {
      const random = new Random(seed);
      const t = make();
      const step = (u: typeof t, r: Random) => {
        const where = r.below(12);
        const [handler, offset] =
          where < 8
            ? ([u.command, where] as const)
            : where === 8
              ? ([u.control, 0] as const)
              : ([u.master, r.below(9)] as const);
        const size = where === 0 ? 2 : 1;
        if (r.below(4) === 0) handler.read(offset, size);
        else {
          const commands = [0x20, 0x24, 0x30, 0xa0, 0xa1, 0xec, 0xc4, 0xc6, 0xc8, 0xca, 0x25, 0x08, 0xef];
          handler.write(offset, size, where === 7 && r.coin() ? r.pick(commands) : r.below(256));
        }
      };
      for (let i = 0; i < 3000; i++) step(t, random);
      const state = structuredClone(t.channel.export());
      const other = make();
      for (let i = 0; i < 100; i++) step(other, new Random(seed + 1000));
      other.channel.check(fields(state), state)();
      expect(other.channel.export(), `seed ${seed}`).toEqual(state);
    }
  });
});
