/** qcow2 images, made here; `npm run qcow2` compares with qemu-img. */
import { Zstd } from "@hpcc-js/wasm-zstd";
import { beforeAll, describe, expect, it } from "vitest";
import { BlockError, type BlockSource } from "../../src/block/block.ts";
import { MemoryBlocks } from "../../src/block/memory.ts";
import { inflateRaw, Qcow2Blocks, type Qcow2Options } from "../../src/block/qcow2/qcow2.ts";
import { openImage } from "../../src/cli/media.ts";
import { Scratch } from "../cli/command.ts";
import { Random } from "../io/fakes.ts";
import { type ClusterKind, makeQcow2, type Qcow2Shape } from "./qcow2Image.ts";

let zstd: (bytes: Uint8Array) => Uint8Array;
beforeAll(async () => {
  const library = await Zstd.load();
  zstd = (bytes) => library.compress(bytes, 3);
});

const data = (size: number, seed: number): Uint8Array => {
  const random = new Random(seed);
  // Compressible, and different everywhere.
  return Uint8Array.from({ length: size }, (_, i) => (i & 63 ? i >> 9 : random.below(256)) & 0xff);
};
const KINDS: readonly ClusterKind[] = ["data", "compressed", "zeros", "none"];
const mixed = (n: number): ClusterKind => KINDS[(n * 7 + (n >> 2)) % 4];

const open = (image: Uint8Array, options: Qcow2Options = {}): Promise<Qcow2Blocks> =>
  Qcow2Blocks.open(new MemoryBlocks(image, true), "d.qcow2", options);

/** What the disk has: `bytes` where they are kept, else what is below, or zeros. */
function expected(bytes: Uint8Array, { clusterBits, kind }: Qcow2Shape, below?: Uint8Array): Uint8Array {
  const all = new Uint8Array(bytes.length);
  const cluster = 2 ** clusterBits;
  for (let at = 0; at < bytes.length; at += cluster) {
    const is = kind(at / cluster);
    const from = is === "data" || is === "compressed" ? bytes : is === "none" ? below : undefined;
    if (from) all.set(from.subarray(at, at + cluster), at);
  }
  return all;
}

async function same(disk: BlockSource, bytes: Uint8Array, seed: number): Promise<void> {
  const random = new Random(seed);
  const whole = new Uint8Array(disk.size);
  await disk.read(0, whole);
  expect(Buffer.compare(whole, bytes)).toBe(0);
  for (let i = 0; i < 60; i++) {
    const at = random.below(bytes.length - 1);
    const into = new Uint8Array(1 + random.below(Math.min(100_000, bytes.length - at)));
    await disk.read(at, into);
    expect(Buffer.compare(into, bytes.subarray(at, at + into.length))).toBe(0);
  }
}

describe("qcow2", () => {
  const shapes = [9, 12, 16, 21].flatMap((clusterBits) =>
    (["2", "3", "3, zstd"] as const).map((is) => [is, clusterBits] as const),
  );
  it.each(shapes)("version %s, clusters of 2^%d bytes: every kind of them", async (is, clusterBits) => {
    // Several L2 tables where they are small; a last cluster that is not whole.
    const bytes = data(clusterBits === 9 ? 200_000 : 2 ** clusterBits * 5 + 1536, clusterBits);
    const version = is === "2" ? 2 : 3;
    const kind = version === 2 ? (n: number) => (mixed(n) === "zeros" ? "none" : mixed(n)) : mixed;
    const shape: Qcow2Shape = { version, clusterBits, kind, ...(is === "3, zstd" && { zstd }) };
    const image = makeQcow2(bytes, shape);
    expect((await open(image)).size).toBe(bytes.length);
    await same(await open(image), expected(bytes, shape), 1);
  });

  it("is read at once from a file, and by a page's means the same", async () => {
    const bytes = data(300_000, 5);
    const shape: Qcow2Shape = { version: 3, clusterBits: 12, kind: mixed };
    const scratch = new Scratch();
    try {
      const disk = await openImage(scratch.file("x.img", makeQcow2(bytes, shape)), { readOnly: false });
      expect(disk.readOnly).toBe(true);
      expect(disk.read(0, new Uint8Array(60_000))).toBeUndefined();
      await same(disk, expected(bytes, shape), 2);
    } finally {
      scratch.remove();
    }
    expect(await inflateRaw(new Uint8Array(20).fill(0xff), 4096)).toBeUndefined();
  });

  it("lies over what is given, which may be shorter, and is refused without it", async () => {
    const [bytes, below] = [data(400_000, 6), data(250_000, 7)];
    const shape: Qcow2Shape = {
      ...{ version: 3, clusterBits: 12, kind: mixed },
      backing: { name: "base.raw", format: "raw" },
    };
    const image = makeQcow2(bytes, shape);
    const padded = new Uint8Array(bytes.length);
    padded.set(below);
    await same(await open(image, { backing: new MemoryBlocks(below) }), expected(bytes, shape, padded), 3);
    await expect(open(image)).rejects.toThrow("d.qcow2: lies over a backing file, base.raw, which was not given");
  });

  const shape: Qcow2Shape = { version: 3, clusterBits: 12, kind: () => "data" };
  const refused: readonly [string, Partial<Qcow2Shape>, string][] = [
    ["AES", { version: 2, encryption: 1 }, "qcow2 with AES encryption, which is not read"],
    ["LUKS", { encryption: 2 }, "qcow2 with LUKS encryption, which is not read"],
    ["a dirty bit", { features: 1n }, "qcow2 with dirty bit, which is not read: "],
    ["a corrupt bit", { features: 2n }, "qcow2 with corrupt bit, which is not read: "],
    ["an external data file", { features: 4n }, "qcow2 with external data file, which is not read: "],
    ["extended L2 entries", { features: 16n }, "qcow2 with extended L2 entries, which is not read: "],
    ["what it names itself", { features: 64n, featureNames: { 6: "time travel" } }, "qcow2 with time travel, which"],
    ["what has no name", { features: 1n << 63n }, "qcow2 with incompatible feature 63, which"],
  ];
  it.each(refused)("with %s is refused by its name", async (_, change, why) => {
    const bytes = data(40_000, 8);
    await expect(open(makeQcow2(bytes, { ...shape, ...change }))).rejects.toThrow(`d.qcow2: ${why}`);
  });

  it("that is damaged anywhere never gives more than an error, or another disk's bytes", async () => {
    const bytes = data(60_000, 9);
    for (const codec of [{}, { zstd }]) {
      const image = makeQcow2(bytes, { version: 3, clusterBits: 9, kind: mixed, ...codec });
      const random = new Random(4);
      let refused = 0;
      for (let round = 0; round < 300; round++) {
        const wrong = image.slice(0, random.below(8) ? image.length : random.below(image.length));
        // Header and tables more often than data.
        for (let i = random.below(4); i >= 0; i--)
          wrong[random.below(random.below(2) ? Math.min(2048, wrong.length) : wrong.length)] = random.below(256);
        try {
          const disk = await open(wrong);
          if (disk.size > 1 << 20) continue;
          await disk.read(0, new Uint8Array(disk.size));
        } catch (error) {
          expect(error).toBeInstanceOf(BlockError);
          expect((error as Error).message).toMatch(/^d\.qcow2: [^\n]+$/);
          refused++;
        }
      }
      expect(refused).toBeGreaterThan(30);
    }
  });
});
