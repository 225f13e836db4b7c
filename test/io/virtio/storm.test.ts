/** Random operations on virtio devices and NVMe, a shared directory of the host among them; `npm run soak -- virtio` does millions. */
import { describe, expect, it } from "vitest";
import { MemoryFolder } from "../../../src/folder/memory.ts";
import { T } from "../../../src/folder/message.ts";
import { P9Storm } from "./p9Storm.ts";
import { StormFolder } from "./stormFolder.ts";
import { VirtioStorm } from "./virtioStorm.ts";

describe("virtio devices and NVMe", () => {
  it.each([1, 2, 3])(
    "take anything in any order, and leave alone what is not theirs (seed %i)",
    async (seed) => {
      const outside = new StormFolder();
      try {
        const { operations, counts } = await new VirtioStorm(seed, { folder: outside.folder }).run(150_000);
        expect(operations).toBeGreaterThanOrEqual(150_000);
        expect(Object.keys(counts).sort()).toEqual(
          ["balloon", "blk", "console", "directory", "folder", "nvme", "rng"].sort(),
        );
        outside.check();
      } finally {
        outside.remove();
      }
    },
    130_000,
  );
});

/** Requests that can be done; authentication and attributes are refused. */
const POSSIBLE = Object.entries(T).filter(([name]) => !["lerror", "auth", "xattrwalk", "xattrcreate"].includes(name));

describe("a shared folder", () => {
  it.each([1, 2])("cannot be left by any requests (seed %i)", async (seed) => {
    const outside = new StormFolder();
    try {
      const storm = new P9Storm(seed, outside.folder);
      await storm.run(30_000);
      outside.check();
      for (const [name, type] of POSSIBLE) expect([name, storm.done[type] > 0]).toEqual([name, true]);
    } finally {
      outside.remove();
    }
  });

  it("in memory takes any requests", async () => {
    const folder = new MemoryFolder({ limit: 1 << 20 });
    folder.makeSymlink(["link"], "..");
    folder.makeDirectory(["d"], 0o755);
    const storm = new P9Storm(3, folder);
    await storm.run(30_000);
    for (const [name, type] of POSSIBLE) expect([name, storm.done[type] > 0]).toEqual([name, true]);
  });
});
