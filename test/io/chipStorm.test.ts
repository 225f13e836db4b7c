/** Random operations on the chips of a PC; `npm run soak -- chips` does millions of them. */
import { describe, expect, it } from "vitest";
import { ChipStorm } from "./chipStorm.ts";

describe("the chips of a PC", () => {
  it.each([1, 2, 3, 4])(
    "take anything in any order (seed %i)",
    async (seed) => {
      const { operations, counts } = await new ChipStorm(seed).run(100_000);
      expect(operations).toBeGreaterThanOrEqual(100_000);
      expect(Object.keys(counts)).toHaveLength(17);
    },
    60_000,
  );
});
