/** Disk images in files. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { FileBlocks } from "../../src/cli/fileBlocks.ts";

const folder = mkdtempSync(join(tmpdir(), "tabhyve-blocks-"));
const image = join(folder, "disk.img");

afterAll(() => rmSync(folder, { recursive: true }));

const opened = (options: { readOnly: boolean; repeatable?: boolean }): FileBlocks => {
  writeFileSync(image, new Uint8Array(4096).fill(7));
  return new FileBlocks(image, options);
};

describe("a disk image in a file", () => {
  it("is read and written at once, and nothing waits for a flush", async () => {
    const disk = opened({ readOnly: false });
    expect(disk.write(512, Uint8Array.of(1, 2, 3))).toBeUndefined();
    const flushed = disk.flush();
    expect(flushed).toBeInstanceOf(Promise);
    const into = new Uint8Array(4);
    expect(disk.read(511, into)).toBeUndefined();
    expect([...into]).toEqual([7, 1, 2, 3]);
    await flushed;
    expect([...readFileSync(image).subarray(511, 515)]).toEqual([7, 1, 2, 3]);
    disk.close();
    await expect(disk.flush()).rejects.toThrow("EBADF");
  });

  it("is flushed at once where a run is to be repeatable", () => {
    const disk = opened({ readOnly: false, repeatable: true });
    disk.write(0, Uint8Array.of(9));
    expect(disk.flush()).toBeUndefined();
    disk.close();
    expect(() => disk.flush()).toThrow("EBADF");
  });
});
