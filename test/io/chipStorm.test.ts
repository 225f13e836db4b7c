/** Random operations on the chips of a PC; `npm run soak -- chips` does millions of them. */
import { beforeAll, describe, expect, it } from "vitest";
import { unshared } from "../../src/vcpu/core.ts";
import { coreBytes } from "../core.ts";
import { ChipStorm } from "./chipStorm.ts";

let core: WebAssembly.Module;
beforeAll(async () => {
  core = new WebAssembly.Module(unshared(await coreBytes()) as BufferSource);
}, 180_000);

describe("the chips of a PC", () => {
  it.each([1, 2, 3, 4])(
    "take anything in any order (seed %i)",
    async (seed) => {
      const { operations, counts } = await new ChipStorm(seed, core).run(100_000);
      expect(operations).toBeGreaterThanOrEqual(100_000);
      expect(Object.keys(counts)).toHaveLength(21);
      expect(counts.planar).toBeGreaterThan(20);
    },
    60_000,
  );
});
