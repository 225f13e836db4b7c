/**
 * npm run links [-- --count N --seed N]
 *
 * Random and mutated boot links and manifests (test/page/linkFuzz.ts): each must be a machine within the caps, or be refused in a sentence.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runnerImport } from "vite";

const string = { type: "string" };
const { values } = parseArgs({
  options: { count: { ...string, default: "100000" }, seed: { ...string, default: "1" } },
});
const { module } = await runnerImport(join(import.meta.dirname, "../test/page/linkFuzz.ts"), { logLevel: "error" });
const { links, followed, refused } = await module.fuzzLinks(
  Number(values.count),
  Number(values.seed),
  "http://localhost",
);
console.log(
  `${links} links of seed ${values.seed}: ${followed} name a machine within the caps, ${refused} are refused`,
);
