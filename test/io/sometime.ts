/** The answer of a storm's medium: at once, when the storm lets it, or an error, at once or later. */
import type { Random } from "../../src/cli/fuzz/random.ts";

/**
 * Of `many` calls one fails at once and one later, and `late` others are answered later; `waiting` gets what the storm calls
 * for an answer.
 */
export function sometime(
  random: Random,
  waiting: (() => void)[],
  { many, late }: { readonly many: number; readonly late: number },
  work: () => void,
): void | Promise<void> {
  const how = random.below(many);
  if (how === 0) throw new Error("unreadable");
  if (how > 1 + late) return work();
  return new Promise((resolve, reject) => {
    waiting.push(() => {
      if (how === 1) reject(new Error("unreadable"));
      else {
        work();
        resolve();
      }
    });
  });
}
