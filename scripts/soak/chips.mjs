/** The storm of test/io/chipStorm.ts, on new chips after each million operations. */
import { join } from "node:path";
import { runnerImport } from "vite";
import { root } from "../prepare.mjs";

const ROUND = 1_000_000;

export async function chips({ operations, seed, say }) {
  const path = join(root, "test/io/chipStorm.ts");
  const { ChipStorm } = (await runnerImport(path, { configFile: false, logLevel: "error", root })).module;
  const totals = {};
  let longest = 0;
  let done = 0;
  for (let round = seed; done < operations; round++) {
    let result;
    try {
      result = await new ChipStorm(round).run(Math.min(ROUND, operations - done));
    } catch (error) {
      return { ok: false, lines: [`seed ${round}: ${error.message}`] };
    }
    done += result.operations;
    longest = Math.max(longest, result.longestMs);
    for (const [name, n] of Object.entries(result.counts)) totals[name] = (totals[name] ?? 0) + n;
    say(`${done} operations, the longest ${longest.toFixed(0)} ms`);
  }
  const each = Object.entries(totals).map(([name, n]) => `${name} ${n}`);
  return { ok: true, lines: [`${done} operations from seed ${seed} on, nothing wrong: ${each.join(", ")}`] };
}
