/** tabhyve disk: kept disks become raw images, and raw images kept disks. */
import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OverlayBlocks } from "../../src/block/overlay.ts";
import { exportDisk, importDisk } from "../../src/cli/disk.ts";
import { keptBlocks } from "../../src/cli/keptBlocks.ts";
import { openImage } from "../../src/cli/media.ts";
import { Scratch } from "./command.ts";

const SIZE = 3 * (1 << 20) + 512;
let scratch: Scratch;
beforeEach(() => {
  scratch = new Scratch();
});
afterEach(() => scratch.remove());

const bytes = (seed: number): Uint8Array => Uint8Array.from({ length: SIZE }, (_, i) => (i >> 12) * seed + (i & 15));

describe("tabhyve disk", () => {
  it("exports what was flushed over its image, and imports it into another folder", async () => {
    const image = scratch.file("image", bytes(3));
    const folder = scratch.path("kept");
    const overlay = new OverlayBlocks(await openImage(image, { readOnly: true }), keptBlocks(folder, SIZE));
    const expected = bytes(3);
    for (const [at, fill] of [
      [SIZE - 512, 7],
      [1 << 20, 9],
      [4000, 11],
    ] as const) {
      overlay.write(at, new Uint8Array(512).fill(fill));
      expected.fill(fill, at, at + 512);
    }
    overlay.flush();
    // Not flushed: a crash would lose it, and so does an export.
    overlay.write(100_000, new Uint8Array(512).fill(1));
    const out = scratch.path("out");
    expect(await exportDisk(folder, image, out)).toBe(SIZE);
    expect(Buffer.compare(readFileSync(out), expected)).toBe(0);
    await expect(exportDisk(folder, image, out)).rejects.toThrow(`${out}: file already exists`);

    const second = scratch.path("second");
    expect(await importDisk(second, image, out)).toBe(3 * 4096 + 512);
    expect(await importDisk(second, image, out)).toBe(0);
    rmSync(out);
    await exportDisk(second, image, out);
    expect(Buffer.compare(readFileSync(out), expected)).toBe(0);
    expect(statSync(join(second, "data")).size).toBe(4 * 4096);
  });

  it("says in a line what cannot be used", async () => {
    const image = scratch.file("image", bytes(3));
    const nowhere = scratch.path("nowhere");
    await expect(exportDisk(nowhere, image, scratch.path("out"))).rejects.toThrow(`${nowhere}: nothing is kept there`);
    const short = scratch.file("short", bytes(3).subarray(512));
    await expect(importDisk(scratch.path("kept"), image, short)).rejects.toThrow(
      `${short}: ${SIZE - 512} bytes; ${image} has ${SIZE}`,
    );
    await expect(importDisk(scratch.path("kept"), image, nowhere)).rejects.toThrow(`${nowhere}: no such file`);
  });
});
