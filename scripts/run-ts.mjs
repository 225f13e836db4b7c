// Runs a TypeScript entry under Node without a build: node scripts/run-ts.mjs src/cli/vectorsMain.ts ARGUMENTS…
// The entry's `main(argv)` gets the arguments; what it returns (or resolves to) is the exit status.
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

const [entry, ...argv] = process.argv.slice(2);
if (!entry) {
  console.error("usage: node scripts/run-ts.mjs ENTRY.ts [ARGUMENT]…");
  process.exit(2);
}
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { module } = await runnerImport(resolve(entry), { configFile: false, logLevel: "error", root });
process.exitCode = (await module.main(argv)) ?? 0;
