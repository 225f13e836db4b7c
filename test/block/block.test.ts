import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { BlobBlocks } from "../../src/block/blob.ts";
import { BlockError, type BlockSource } from "../../src/block/block.ts";
import { cutOff, wrongSize } from "../../src/block/cutOff.ts";
import { HttpBlocks } from "../../src/block/http.ts";
import { MemoryBlocks } from "../../src/block/memory.ts";
import { OverlayBlocks } from "../../src/block/overlay.ts";
import { floppyMedium, PaddedBlocks } from "../../src/block/padded.ts";
import { ToldBlocks } from "../../src/block/told.ts";
import { SnapshotError } from "../../src/shared/device.ts";
import { Random } from "../io/fakes.ts";

const data = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 0xff);

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** A source whose answers come in any order. */
function slow(bytes: Uint8Array, random: Random): BlockSource {
  const later = async (work: () => void) => {
    for (let n = random.below(4); n >= 0; n--) await Promise.resolve();
    work();
  };
  const inner = new MemoryBlocks(bytes, true);
  return {
    size: bytes.length,
    readOnly: true,
    read: (offset, into) => later(() => inner.read(offset, into)),
    write: () => {},
    flush: () => {},
  };
}

describe("overlay", () => {
  it("reads what was written, whatever the order of the answers below; the source stays as it is", async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = new Random(seed);
      const bytes = data(40_000);
      const source = seed % 2 ? slow(bytes, random) : new MemoryBlocks(bytes, true);
      const overlay = new OverlayBlocks(source);
      const expected = bytes.slice();
      for (let round = 0; round < 30; round++) {
        const writes: (void | Promise<void>)[] = [];
        for (let i = 0; i < 5; i++) {
          const at = random.below(39_000);
          const piece = new Uint8Array(1 + random.below(900)).fill(random.below(256));
          expected.set(piece, at);
          writes.push(overlay.write(at, piece));
        }
        await Promise.all(writes);
        const at = random.below(30_000);
        const into = new Uint8Array(1 + random.below(9000));
        await overlay.read(at, into);
        expect(same(into, expected.subarray(at, at + into.length)), `seed ${seed}`).toBe(true);
      }
      expect(same(bytes, data(40_000))).toBe(true);
      const other = new OverlayBlocks(new MemoryBlocks(bytes, true));
      other.import(structuredClone(overlay.export()));
      const all = new Uint8Array(40_000);
      await other.read(0, all);
      expect(same(all, expected)).toBe(true);
    }
  });

  it("refuses another medium's contents", () => {
    const overlay = new OverlayBlocks(new MemoryBlocks(data(8192)));
    const good = overlay.export();
    expect(() => overlay.import({ ...good, size: 4096 })).toThrow(SnapshotError);
    expect(() => overlay.import({ ...good, blocks: [5], bytes: new Uint8Array(4096) })).toThrow(SnapshotError);
    expect(() => overlay.import({ ...good, blocks: [1], bytes: new Uint8Array(10) })).toThrow(SnapshotError);
  });
});

describe("padded", () => {
  it("reads zeros behind the image's end, and does not write there", () => {
    const padded = new PaddedBlocks(new MemoryBlocks(data(1000)), 2000);
    const into = new Uint8Array(600).fill(1);
    padded.read(900, into);
    expect(into.subarray(0, 100)).toEqual(data(1000).subarray(900));
    expect(into.subarray(100).every((b) => b === 0)).toBe(true);
    expect(() => padded.write(990, new Uint8Array(20))).toThrow(BlockError);
  });
});

describe("blob", () => {
  it("is read in pieces, and says when the file has changed", async () => {
    const bytes = data(5000);
    const blob = new BlobBlocks(new Blob([bytes as BlobPart]), "a.img");
    const into = new Uint8Array(100);
    await blob.read(4000, into);
    expect(into).toEqual(bytes.subarray(4000, 4100));
    const gone = new BlobBlocks(
      { size: 10, slice: () => ({ arrayBuffer: () => Promise.reject(new Error("NotReadable")) }) },
      "b.img",
    );
    await expect(gone.read(0, into)).rejects.toThrow("b.img: cannot be read any more");
  });
});

describe("http", () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  async function serve(bytes: Uint8Array, kind: "ranges" | "none" | "missing" | "changes") {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "");
      asked.push(request.headers.range ?? "");
      if (kind === "missing") return response.writeHead(404).end();
      if (kind === "none" || !range) return response.writeHead(200).end(bytes);
      if (Number(range[1]) >= bytes.length) return response.writeHead(416).end();
      const [first, last] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
      const etag = kind === "changes" && asked.length > 1 ? '"2"' : '"1"';
      const headers = { "content-range": `bytes ${first}-${last}/${bytes.length}`, etag };
      return response.writeHead(206, headers).end(bytes.subarray(first, last + 1));
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, resolve));
    return { url: `http://localhost:${(server.address() as AddressInfo).port}/x.img`, asked };
  }

  it("fetches what is read, further ahead the longer it goes on, and nothing twice", async () => {
    const bytes = data(3_000_000);
    const { url, asked } = await serve(bytes, "ranges");
    const http = await HttpBlocks.open(url);
    expect(http.size).toBe(bytes.length);
    const into = new Uint8Array(2048);
    for (let at = 0; at + 2048 <= bytes.length; at += 2048) {
      await http.read(at, into);
      if (!same(into, bytes.subarray(at, at + 2048))) throw new Error(`other bytes at ${at}`);
    }
    // A megabyte at a time in the end: far fewer requests than chunks of 64 KiB.
    expect(asked.length).toBeLessThan(20);
    const seen = asked.length;
    await http.read(1_000_000, into);
    expect(asked.length).toBe(seen);
  });

  it("says in one line what is wrong with a server", async () => {
    const bytes = data(200_000);
    await expect(HttpBlocks.open((await serve(bytes, "none")).url)).rejects.toThrow("does not send parts of a file");
    await expect(HttpBlocks.open((await serve(bytes, "missing")).url)).rejects.toThrow("answered 404");
    await expect(HttpBlocks.open((await serve(data(0), "ranges")).url)).rejects.toThrow(
      "answered 416: the file is empty",
    );
    await expect(HttpBlocks.open("http://localhost:1/x.img")).rejects.toThrow("(CORS)");
    const changing = await HttpBlocks.open((await serve(bytes, "changes")).url);
    await expect(changing.read(100_000, new Uint8Array(10))).rejects.toThrow("has changed");
  });
});

describe("a medium that fails while it is used", () => {
  it("is told of once for each message, whether it answers at once or later", async () => {
    for (const later of [false, true]) {
      let why = "";
      const fail = () => {
        if (!why) return;
        if (later) return Promise.reject(new BlockError(why));
        throw new BlockError(why);
      };
      const base: BlockSource = { size: 512, readOnly: false, read: fail, write: fail, flush: fail };
      const told: string[] = [];
      const medium = new ToldBlocks(base, (line) => told.push(line));
      await medium.read(0, new Uint8Array(1));
      for (why of ["a", "a", "b", "a"]) {
        await expect((async () => medium.read(0, new Uint8Array(1)))()).rejects.toThrow(BlockError);
        await expect((async () => medium.write(0, new Uint8Array(1)))()).rejects.toThrow(why);
        await expect((async () => medium.flush())()).rejects.toThrow(why);
      }
      expect(told).toEqual(["a", "b"]);
    }
  });
});

describe("an image whose end is missing", () => {
  it("is not a whole number of sectors, but for a CD, whose last part of one is not seen", () => {
    expect(wrongSize(512, "disk")).toBeUndefined();
    expect(wrongSize(513, "floppy")).toMatch("513 bytes are not a whole number of sectors of 512");
    expect(wrongSize(2049, "cdrom")).toBeUndefined();
    expect(wrongSize(0, "cdrom")).toBe("is empty");
  });

  const partitioned = (types: number[], sectors: number): Uint8Array => {
    const bytes = new Uint8Array(512 * 100);
    const view = new DataView(bytes.buffer);
    view.setUint16(510, 0xaa55, true);
    types.forEach((type, n) => {
      bytes[446 + 16 * n + 4] = type;
      view.setUint32(446 + 16 * n + 8, 10, true);
      view.setUint32(446 + 16 * n + 12, sectors - 10, true);
    });
    return bytes;
  };
  const disk = (bytes: Uint8Array) => cutOff(new MemoryBlocks(bytes), "disk");

  it("is found by its partition table", async () => {
    expect(await disk(partitioned([0x83], 100))).toBeUndefined();
    expect(await disk(partitioned([0, 0x83], 101))).toBe(
      "is cut off: partition 2 ends at byte 51712, the image at 51200",
    );
    // A protective entry, no entry, code where a table would be, no signature.
    expect(await disk(partitioned([0xee], 2000))).toBeUndefined();
    expect(await disk(partitioned([0], 2000))).toBeUndefined();
    const code = partitioned([0x83], 2000);
    code[446] = 0x33;
    expect(await disk(code)).toBeUndefined();
    const plain = partitioned([0x83], 2000);
    plain[510] = 0;
    expect(await disk(plain)).toBeUndefined();
  });

  it("is found by a CD's volume descriptor", async () => {
    const bytes = new Uint8Array(30 * 2048);
    const view = new DataView(bytes.buffer);
    bytes.set(new TextEncoder().encode("\x01CD001"), 0x8000);
    view.setUint16(0x8000 + 128, 2048, true);
    const cd = () => cutOff(new MemoryBlocks(bytes), "cdrom");
    view.setUint32(0x8000 + 80, 30, true);
    expect(await cd()).toBeUndefined();
    view.setUint32(0x8000 + 80, 31, true);
    expect(await cd()).toBe("is cut off: its volume ends at byte 63488, the image at 61440");
    expect(await cutOff(new MemoryBlocks(bytes.subarray(0, 0x8000)), "cdrom")).toBe(
      "is cut off: a CD's volume descriptor ends at byte 34816, the image at 32768",
    );
  });

  it("is found by a GPT's first header", async () => {
    const bytes = partitioned([0xee], 2000);
    bytes.set(new TextEncoder().encode("EFI PART"), 512);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(512 + 32, 99n, true);
    expect(await disk(bytes)).toBeUndefined();
    view.setBigUint64(512 + 32, 199n, true);
    expect(await disk(bytes)).toBe("is cut off: its second partition table ends at byte 102400, the image at 51200");
  });

  it("is found by a floppy disk's file system, which says what size the disk has", async () => {
    const bytes = new Uint8Array(700 * 1024);
    const view = new DataView(bytes.buffer);
    const floppy = () => new MemoryBlocks(bytes);
    const sizes = async () => [(await floppyMedium(floppy())).size / 1024, await cutOff(floppy(), "floppy")];
    expect(await sizes()).toEqual([720, undefined]);
    view.setUint16(510, 0xaa55, true);
    view.setUint16(11, 512, true);
    view.setUint16(19, 2880, true);
    expect(await sizes()).toEqual([1440, "is cut off: its file system ends at byte 1474560, the image at 716800"]);
    // No size of a floppy disk, and one that the image has.
    view.setUint16(19, 2881, true);
    expect(await sizes()).toEqual([720, undefined]);
    view.setUint16(19, 720, true);
    expect(await sizes()).toEqual([720, undefined]);
    await expect(floppyMedium(new MemoryBlocks(new Uint8Array(2881 * 1024)))).rejects.toThrow("2880 KiB");
  });
});
