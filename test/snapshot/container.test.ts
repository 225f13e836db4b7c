/** The snapshot file: bytes that go along, in this schema and as schema 3 had them. */
import { createHash } from "node:crypto";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { MemoryBlocks } from "../../src/block/memory.ts";
import { OverlayBlocks } from "../../src/block/overlay.ts";
import { SnapshotError } from "../../src/shared/device.ts";
import { pack, SCHEMA, unpack } from "../../src/snapshot/container.ts";

const NO_MEMORY = new Uint8Array(0);
const HEAD = 56;

/** A file of a schema with this state, as it is before it is compressed. */
function file(schema: number, state: Uint8Array): Uint8Array {
  const packed = deflateRawSync(state);
  const out = new Uint8Array(HEAD + packed.length);
  const view = new DataView(out.buffer);
  out.set(new TextEncoder().encode("TABHYVE\0"));
  view.setUint32(8, schema, true);
  view.setUint32(12, packed.length, true);
  out.set(packed, HEAD);
  const sha256 = (...parts: Uint8Array[]): Buffer => createHash("sha256").update(Buffer.concat(parts)).digest();
  out.set(sha256(out.subarray(0, 24), sha256(out.subarray(HEAD))), 24);
  return out;
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("a snapshot's state", () => {
  it("keeps bytes of every length, in their places", async () => {
    const bytes = [0, 1, 64, 65, 4096, 70_000].map((n) => Uint8Array.from({ length: n }, (_, i) => (i * 7 + n) & 0xff));
    const state = { bytes, deep: [{ a: bytes[4], n: -5n, u: undefined }], text: "$p", $p: [0, 1, 2] };
    expect((await unpack(await pack(state, NO_MEMORY))).state).toEqual(state);
  });

  it("has what was written to a disk as it is, once, not as digits", async () => {
    const overlay = new OverlayBlocks(new MemoryBlocks(new Uint8Array(1 << 20)));
    // Bytes that do not compress.
    for (let n = 0; n < 100; n++) {
      const block = createHash("sha512").update(`${n}`).digest();
      for (let i = 0; i < 64; i++)
        overlay.write(n * 8192 + i * 64, createHash("sha512").update(block).update(`${i}`).digest());
    }
    const packed = await pack({ contents: overlay.export() }, NO_MEMORY);
    expect(packed.length).toBeLessThan(100 * 4096 * 1.02);
    const { contents } = (await unpack(packed)).state as { contents: ReturnType<OverlayBlocks["export"]> };
    const other = new OverlayBlocks(new MemoryBlocks(new Uint8Array(1 << 20)));
    other.import(contents);
    expect(other.export()).toEqual(overlay.export());
  });

  it("of schema 3 had long bytes as digits, and is read", async () => {
    const bytes = Uint8Array.from({ length: 5000 }, (_, i) => i & 0xff);
    const json = JSON.stringify({ version: 2, contents: { bytes: { $b: hex(bytes) }, at: { $n: "ff" } } });
    expect((await unpack(file(3, new TextEncoder().encode(json)))).state).toEqual({
      version: 2,
      contents: { bytes, at: 255n },
    });
  });

  it("whose pieces are not there, or which ends early, is refused", async () => {
    const good = await pack({ bytes: new Uint8Array(100).fill(3) }, NO_MEMORY);
    const length = new DataView(good.buffer).getUint32(12, true);
    const state = inflateRawSync(good.subarray(HEAD, HEAD + length));
    await unpack(file(SCHEMA, state));
    const longer = Buffer.from(state.toString("latin1").replace("[0,100]", "[1,100]"), "latin1");
    for (const wrong of [longer, state.subarray(0, 20), state.subarray(0, 3), state.subarray(0, -1), Buffer.alloc(0)]) {
      await expect(unpack(file(SCHEMA, wrong))).rejects.toThrow(SnapshotError);
    }
  });
});
