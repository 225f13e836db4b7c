// `npm run nasm [-- --only PATTERN] [--examples N] [FILE…]`: the assembler against the real nasm, which must be
// installed. Without files, over every row of the instruction table, in each mode: it prints how many lines are
// identical, and the rest by reason. With files, over whole sources. The status is 1 if we make another instruction.
import { execFileSync } from "node:child_process";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { runnerImport } from "vite";

const { values, positionals } = parseArgs({
  options: { only: { type: "string" }, examples: { type: "string", default: "3" } },
  allowPositionals: true,
});
try {
  process.stdout.write(execFileSync("nasm", ["-v"]));
} catch {
  process.stderr.write("nasm is not installed (Debian's package nasm)\n");
  process.exit(2);
}
const { module } = await runnerImport(join(import.meta.dirname, "../test/isa/nasm.ts"), { logLevel: "error" });
const files = positionals.map((f) => resolve(process.env.INIT_CWD ?? ".", f));
const results = files.length
  ? [module.compareSources(files)]
  : module.compareTable(values.only === undefined ? undefined : new RegExp(values.only, "i"));
const percent = (n, of) => (of ? `${((100 * n) / of).toFixed(2)} %` : "nothing to compare");
for (const { name, rows, total, identical, differences } of results) {
  const what = rows ? `${total} lines of ${rows} rows` : `${total} sources`;
  process.stdout.write(`${name}: ${what}, ${identical} identical (${percent(identical, total)})\n`);
  for (const reason of new Set(differences.map((d) => d.reason))) {
    const all = differences.filter((d) => d.reason === reason);
    process.stdout.write(`  ${all.length}: ${reason}\n`);
    for (const d of all.slice(0, Number(values.examples))) {
      process.stdout.write(`      ${d.text}: ${d.ours} | nasm ${d.nasm}\n`);
    }
    if (["another instruction", "other bytes"].includes(reason)) process.exitCode = 1;
  }
}
