/** Disks in chunks: made of an image by the command, read from a folder and from a server of plain files. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { BlockError, BlockSource } from "../../src/block/block.ts";
import { CHUNK, chunkPath, manifestText, parseManifest } from "../../src/block/chunks/manifest.ts";
import { openRemoteChunks } from "../../src/block/chunks/remote.ts";
import { TouchedBlocks } from "../../src/block/chunks/touched.ts";
import { MemoryBlocks } from "../../src/block/memory.ts";
import { Waits } from "../../src/block/waits.ts";
import { makeChunks } from "../../src/cli/chunks.ts";
import { openImage } from "../../src/cli/media.ts";
import { Scratch } from "../cli/command.ts";
import { Random } from "../io/fakes.ts";

const SIZE = 9 * CHUNK + 5 * 512;
/** Chunks 2 and 5 are zeros, 3 and 7 are the same; the last is short. */
function disk(): Uint8Array {
  const random = new Random(7);
  const bytes = Uint8Array.from(
    { length: SIZE },
    (_, i) => ((i >> 9) * 7 + (i % 512 < 64 ? random.below(256) : 0)) & 0xff,
  );
  bytes.fill(0, 2 * CHUNK, 3 * CHUNK).fill(0, 5 * CHUNK, 6 * CHUNK);
  bytes.copyWithin(7 * CHUNK, 3 * CHUNK, 4 * CHUNK);
  return bytes;
}

const scratches: Scratch[] = [];
const servers: Server[] = [];
afterEach(() => {
  for (const scratch of scratches.splice(0)) scratch.remove();
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function chunked(prefetch?: readonly number[]) {
  const scratch = new Scratch();
  scratches.push(scratch);
  const bytes = disk();
  const image = scratch.file("disk.img", bytes);
  const folder = scratch.path("chunked");
  const list = prefetch && scratch.file("list", prefetch.map((n) => `${n}\n`).join(""));
  const made = await makeChunks(image, folder, list === undefined ? {} : { prefetch: list });
  return { bytes, image, folder, made };
}

const hashOf = (bytes: Uint8Array, n: number): string =>
  createHash("sha256")
    .update(bytes.subarray(n * CHUNK, (n + 1) * CHUNK))
    .digest("hex");

async function all(source: BlockSource, step = 100_000): Promise<Uint8Array> {
  const bytes = new Uint8Array(source.size);
  for (let at = 0; at < bytes.length; at += step) await source.read(at, bytes.subarray(at, at + step));
  return bytes;
}

/** A server of plain files, which can be taken off line; `asked` are the paths in their order. */
async function serve(folder: string) {
  const asked: string[] = [];
  const state = { down: false, status: 0 };
  const server = createServer((request, response) => {
    if (state.down) return void request.socket.destroy();
    asked.push(request.url ?? "");
    if (state.status) return response.writeHead(state.status).end();
    const file = join(folder, request.url ?? "");
    if (!existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200).end(readFileSync(file));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return { url: `http://localhost:${(server.address() as AddressInfo).port}/manifest.json`, asked, state };
}

describe("tabhyve chunks", () => {
  it("keeps each content once and zeros not at all; what is there is not written again", async () => {
    const { bytes, image, folder, made } = await chunked();
    expect(made).toMatchObject({ chunks: 10, zeros: 2, written: 7, bytes: SIZE });
    expect(readdirSync(join(folder, "chunks")).sort()).toEqual(
      [...new Set([0, 1, 3, 4, 6, 7, 8, 9].map((n) => hashOf(bytes, n)))].sort(),
    );
    expect(made.stored).toBeLessThan(SIZE / 4);
    const read = await openImage(join(folder, "manifest.json"), { readOnly: true });
    // From a folder it is read at once: a deterministic machine can have it.
    expect(read.read(0, new Uint8Array(10))).toBeUndefined();
    expect(Buffer.compare(await all(read), bytes)).toBe(0);
    bytes[4 * CHUNK + 3] ^= 1;
    writeFileSync(image, bytes);
    expect((await makeChunks(image, folder, {})).written).toBe(1);
    // Of a disk in chunks as of any other.
    const again = `${folder}-again`;
    await makeChunks(join(folder, "manifest.json"), again, {});
    expect(readFileSync(join(again, "manifest.json"))).toEqual(readFileSync(join(folder, "manifest.json")));
  });

  it("refuses a list of what is not there, in a line", async () => {
    await expect(chunked([3, 10])).rejects.toThrow(/--prefetch .*list: line 2 is no chunk of 0 to 9/);
  });
});

describe("a manifest", () => {
  const good = JSON.parse(manifestText({ size: CHUNK + 1, chunks: ["0".repeat(64), null], prefetch: [1] }));
  const refused: readonly [string, object, string][] = [
    ["another format", { format: "x" }, "“format”"],
    ["a later version", { version: 2 }, "version 2"],
    ["another size of chunks", { chunkSize: 4096 }, "“chunkSize”"],
    ["a size that is none", { size: -1 }, "“size”"],
    ["too few chunks", { chunks: [null] }, "a list of 2"],
    ["a hash that is none", { chunks: [null, "../../etc/passwd"] }, "chunk 1"],
    ["a list of other chunks", { prefetch: [2] }, "“prefetch”"],
  ];
  it.each(refused)("is refused with %s", (_, change, why) => {
    expect(() => parseManifest("m", JSON.stringify({ ...good, ...change }))).toThrow(why);
    expect(() => parseManifest("m", JSON.stringify(good))).not.toThrow();
  });
  it("is refused when it is not JSON, or nothing", () => {
    for (const text of ["{", "null", "7", "[]"]) expect(() => parseManifest("m", text)).toThrow("m: not a manifest");
  });
});

describe("chunks on a server", () => {
  it("are fetched by the list first, each once, and read right", async () => {
    const { bytes, folder } = await chunked([8, 2, 0, 4]);
    const { url, asked } = await serve(folder);
    const read = await openRemoteChunks(url);
    await expect.poll(() => asked.length).toBe(4);
    expect(asked.slice(1)).toEqual([8, 0, 4].map((n) => `/${chunkPath(hashOf(bytes, n))}`));
    expect(Buffer.compare(await all(read), bytes)).toBe(0);
    await all(read);
    expect(asked.length).toBe(1 + 8);
  });

  it("that are damaged are named, and asked for once more past every cache", async () => {
    const { bytes, folder } = await chunked();
    const { url, asked } = await serve(folder);
    const file = join(folder, chunkPath(hashOf(bytes, 1)));
    const packed = readFileSync(file);
    const read = await openRemoteChunks(url);
    const chunk = () => read.read(CHUNK, new Uint8Array(512)) as Promise<void>;
    const named = (why: string) =>
      `${url}: chunk 1 (${hashOf(bytes, 1).slice(0, 16)}…, from byte 262144 on) is damaged: ${why}`;
    // Another chunk's contents; what is no frame; a frame cut off.
    writeFileSync(file, readFileSync(join(folder, chunkPath(hashOf(bytes, 4)))));
    await expect(chunk()).rejects.toThrow(named(`its SHA-256 is ${hashOf(bytes, 4).slice(0, 16)}…`));
    expect(asked.filter((path) => path.endsWith(hashOf(bytes, 1))).length).toBe(2);
    writeFileSync(file, "rubbish");
    await expect(chunk()).rejects.toThrow(named("it cannot be unpacked"));
    writeFileSync(file, packed.subarray(0, -20));
    await expect(chunk()).rejects.toThrow(named("it cannot be unpacked"));
    rmSync(file);
    await expect(chunk()).rejects.toThrow("the server answered 404");
    writeFileSync(file, packed);
    await chunk();
  });

  it("every bit of which is changed are never taken for right", async () => {
    const { bytes, folder } = await chunked();
    const file = join(folder, chunkPath(hashOf(bytes, 9)));
    const packed = readFileSync(file);
    const random = new Random(3);
    const read = await openImage(join(folder, "manifest.json"), { readOnly: true });
    const into = new Uint8Array(SIZE - 9 * CHUNK);
    let refused = 0;
    for (let round = 0; round < 200; round++) {
      const wrong = Uint8Array.from(packed);
      wrong[random.below(wrong.length)] ^= 1 << random.below(8);
      writeFileSync(file, wrong);
      const fresh = await openImage(join(folder, "manifest.json"), { readOnly: true });
      try {
        await fresh.read(9 * CHUNK, into);
        // A bit of the frame's header that means nothing.
        expect(Buffer.compare(into, bytes.subarray(9 * CHUNK))).toBe(0);
      } catch (error) {
        expect((error as BlockError).message).toContain("chunk 9 (");
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(150);
    expect(read.size).toBe(SIZE);
  });

  it("wait for a server that is gone, say so, let the machine stand still, and go on by themselves", async () => {
    const { bytes, folder } = await chunked();
    const { url, state } = await serve(folder);
    const told: string[] = [];
    const waits = new Waits((line) => told.push(line), 20);
    const machine = {
      state: "running",
      pause: async () => {
        machine.state = "paused";
      },
      resume: async () => {
        machine.state = "running";
      },
    };
    waits.machine = machine;
    const read = await openRemoteChunks(url, { waiting: waits.of(url) });
    state.down = true;
    const reading = all(read);
    await expect.poll(() => machine.state).toBe("paused");
    expect(told).toEqual([
      expect.stringMatching(/chunks\/[0-9a-f]{64}: cannot be fetched; .*\. The disk waits, and goes on by itself when/),
      `The machine stands still until ${url} can be read again.`,
    ]);
    state.down = false;
    // An overloaded server is waited for, too.
    state.status = 503;
    setTimeout(() => {
      state.status = 0;
    }, 100);
    expect(Buffer.compare(await reading, bytes)).toBe(0);
    await expect.poll(() => machine.state).toBe("running");
    expect(told).toEqual([...told.slice(0, 2), `${url}: the server is there again; the disk goes on.`]);
  });

  it("are held to the manifest's hash, if one is given", async () => {
    const { folder } = await chunked();
    const { url } = await serve(folder);
    const sha256 = createHash("sha256")
      .update(readFileSync(join(folder, "manifest.json")))
      .digest("hex");
    await openRemoteChunks(url, { sha256 });
    await expect(openRemoteChunks(url, { sha256: sha256.replace(/./, "x") })).rejects.toThrow(
      "is not what was promised",
    );
  });
});

describe("what a boot reads", () => {
  it("is noted once each, in its order", () => {
    const noted = new TouchedBlocks(new MemoryBlocks(new Uint8Array(4 * CHUNK)));
    for (const at of [3 * CHUNK, 0, 3 * CHUNK + 512]) noted.read(at, new Uint8Array(512));
    noted.read(CHUNK - 512, new Uint8Array(1024));
    expect([...noted.chunks]).toEqual([3, 0, 1]);
  });
});
