/** Blocks that outlive a crash (src/block/journal.ts): files that lose what no flush has made safe, at every moment. */
import { describe, expect, it } from "vitest";
import { BlockError } from "../../src/block/block.ts";
import { BLOCK } from "../../src/block/blockStore.ts";
import { crc32 } from "../../src/block/crc32.ts";
import { JournalStore, type StableFile } from "../../src/block/journal.ts";
import { MemoryBlocks } from "../../src/block/memory.ts";
import { OverlayBlocks } from "../../src/block/overlay.ts";
import { Random } from "../io/fakes.ts";

class Crash extends Error {}

/** What all files of a store share: how many operations there are until the machine crashes, or the disk is full. */
interface World {
  left: number;
  full: boolean;
}

/** A file whose writes since the last flush may be lost, all or some, whole or in sectors, when it crashes. */
class CrashFile implements StableFile {
  #bytes: Uint8Array = new Uint8Array(0);
  /** Contents that are safe, and what was done since. */
  #safe: Uint8Array = new Uint8Array(0);
  #since: ({ at: number; from: Uint8Array } | { size: number })[] = [];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  get size(): number {
    return this.#bytes.length;
  }

  read(at: number, into: Uint8Array): void {
    if (at + into.length > this.#bytes.length) throw new Error("read beyond the end");
    into.set(this.#bytes.subarray(at, at + into.length));
  }

  write(at: number, from: Uint8Array): void {
    this.#step();
    if (this.#world.full) throw new Error("no room");
    this.#since.push({ at, from: from.slice() });
    this.#bytes = written(this.#bytes, at, from);
  }

  truncate(size: number): void {
    this.#step();
    this.#since.push({ size });
    this.#bytes = this.#bytes.slice(0, size);
  }

  flush(): void {
    this.#step();
    this.#safe = this.#bytes.slice();
    this.#since = [];
  }

  #step(): void {
    if (--this.#world.left < 0) throw new Crash();
  }

  /** The file as it is found after the crash. */
  found(random: Random, world: World): CrashFile {
    let bytes = this.#safe;
    for (const one of this.#since) {
      if (random.coin()) continue;
      if ("size" in one) {
        bytes = bytes.slice(0, one.size);
        continue;
      }
      for (let at = 0; at < one.from.length; at += 512) {
        if (random.below(3)) bytes = written(bytes, one.at + at, one.from.subarray(at, at + 512));
      }
    }
    const file = new CrashFile(world);
    file.#bytes = bytes.slice();
    file.#safe = bytes;
    return file;
  }
}

function written(bytes: Uint8Array, at: number, from: Uint8Array): Uint8Array {
  const grown = new Uint8Array(Math.max(bytes.length, at + from.length));
  grown.set(bytes);
  grown.set(from, at);
  return grown;
}

const SIZE = 40 * BLOCK;

/** What is in a store, as text to compare. */
function contents(store: JournalStore): string {
  const numbers = [...store.numbers()].sort((a, b) => a - b);
  return numbers.map((n) => `${n}:${store.get(n)[0]},${store.get(n)[BLOCK - 1]}`).join(" ");
}

const files = (world: World) => ({
  data: new CrashFile(world),
  logs: [new CrashFile(world), new CrashFile(world)] as [CrashFile, CrashFile],
});

describe("a journal", () => {
  it("has what the last flush has made safe, or what the one in progress would, after any crash", () => {
    let crashes = 0;
    for (let seed = 1; seed <= 120; seed++) {
      const random = new Random(seed);
      const world: World = { left: Number.POSITIVE_INFINITY, full: false };
      let disk = files(world);
      let store = new JournalStore(disk, SIZE, "disk", 100);
      /** States that a crash may bring back. */
      let allowed = [contents(store)];
      for (let round = 0; round < 4; round++) {
        world.left = random.below(60);
        try {
          for (;;) {
            if (random.below(6) === 0) {
              allowed = [allowed[0], contents(store)];
              store.flush();
              allowed = [allowed[1]];
            } else if (random.below(40) === 0) {
              allowed = [allowed[0], ""];
              store.empty();
              allowed = [""];
            } else if (random.below(8) === 0) store.clear(random.below(40));
            else store.put(random.below(40), new Uint8Array(BLOCK).fill(1 + random.below(255)));
          }
        } catch (error) {
          if (!(error instanceof Crash || (error as Error).message.includes("cannot be kept"))) throw error;
        }
        crashes++;
        world.left = Number.POSITIVE_INFINITY;
        const found = (file: CrashFile): CrashFile => file.found(random, world);
        disk = { data: found(disk.data), logs: [found(disk.logs[0]), found(disk.logs[1])] };
        store = new JournalStore(disk, SIZE, "disk", 100);
        const now = contents(store);
        expect(allowed, `seed ${seed}, crash ${round + 1}`).toContain(now);
        allowed = [now];
      }
    }
    expect(crashes).toBe(480);
  });

  it("has a stamp that changes with what is kept, and with nothing else", () => {
    const disk = files({ left: Number.POSITIVE_INFINITY, full: false });
    let store = new JournalStore(disk, SIZE, "disk", 20);
    const stamps = [store.stamp];
    for (let n = 0; n < 50; n++) {
      store.put(n % 7, new Uint8Array(BLOCK).fill(n));
      store.flush();
      stamps.push(store.stamp);
      store.flush();
      expect(store.stamp).toBe(stamps.at(-1));
      store = new JournalStore(disk, SIZE, "disk", 20);
      expect(store.stamp).toBe(stamps.at(-1));
    }
    expect(new Set(stamps).size).toBe(51);
  });

  it("takes no more room than what is kept, however often it is written", () => {
    const disk = files({ left: Number.POSITIVE_INFINITY, full: false });
    const store = new JournalStore(disk, SIZE, "disk", 300);
    for (let round = 0; round < 60; round++) {
      for (let n = 0; n < 40; n++) store.put((n * 7) % 40, new Uint8Array(BLOCK).fill(round));
      store.flush();
    }
    expect(disk.data.size).toBeLessThanOrEqual(80 * BLOCK);
    expect(disk.logs[0].size + disk.logs[1].size).toBeLessThan((300 + 2 * 41) * 24);
    expect(contents(new JournalStore(disk, SIZE, "disk"))).toBe(contents(store));
  });

  it("refuses writes when there is no room, keeps what it has, and goes on when there is", () => {
    const world: World = { left: Number.POSITIVE_INFINITY, full: false };
    const disk = files(world);
    const store = new JournalStore(disk, SIZE, "disk");
    store.put(1, new Uint8Array(BLOCK).fill(1));
    store.flush();
    store.put(2, new Uint8Array(BLOCK).fill(2));
    world.full = true;
    expect(() => store.put(3, new Uint8Array(BLOCK).fill(3))).toThrow(new BlockError("cannot be kept: no room"));
    expect(() => store.flush()).toThrow(BlockError);
    expect(contents(store)).toBe("1:1,1 2:2,2");
    world.full = false;
    store.put(2, new Uint8Array(BLOCK).fill(4));
    store.flush();
    expect(contents(new JournalStore(disk, SIZE, "disk"))).toBe("1:1,1 2:4,4");
  });

  it("belongs to one image, and says when what was kept is damaged", () => {
    const world: World = { left: Number.POSITIVE_INFINITY, full: false };
    const disk = files(world);
    const store = new JournalStore(disk, SIZE, "disk");
    store.put(1, new Uint8Array(BLOCK).fill(1));
    store.flush();
    expect(() => new JournalStore(disk, SIZE + 512, "disk")).toThrow(
      /belongs to an image of 163840 bytes, this has 164352/,
    );
    disk.data.write(100, Uint8Array.of(9));
    expect(() => store.get(1)).toThrow("block 1 of what was kept is damaged");
    for (const log of disk.logs) log.truncate(0);
    expect(() => new JournalStore(disk, SIZE, "disk")).toThrow("disk: what was kept of it cannot be read any more");
  });

  it("is where an overlay keeps its blocks", () => {
    const world: World = { left: Number.POSITIVE_INFINITY, full: false };
    const disk = files(world);
    const base = new MemoryBlocks(new Uint8Array(SIZE).fill(7), true);
    const overlay = new OverlayBlocks(base, new JournalStore(disk, SIZE, "disk"));
    overlay.write(5000, new Uint8Array(6000).fill(1));
    overlay.discard(0, 2 * BLOCK);
    overlay.flush();
    const again = new OverlayBlocks(base, new JournalStore(disk, SIZE, "disk"));
    const bytes = new Uint8Array(SIZE);
    again.read(0, bytes);
    const run = (from: number, to: number): number[] => [...new Set(bytes.subarray(from, to))];
    expect([run(0, 8192), run(8192, 11000), run(11000, SIZE)]).toEqual([[0], [1], [7]]);
  });
});

describe("crc32", () => {
  it("is the one of zlib", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf4_3926);
    expect(crc32(new TextEncoder().encode("6789"), crc32(new TextEncoder().encode("12345")))).toBe(0xcbf4_3926);
  });
});
