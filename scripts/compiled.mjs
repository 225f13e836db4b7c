/**
 * npm run compiled -- [OPTIONS]: what judges the interpreter, with code compiled at its first execution and at its second:
 * the repository's instruction vectors, the tests of the core (test/sys), Linux to its shell; and suites from outside, if
 * it is told where they are. One line for each; the status is 1 if one failed.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildCore } from "./build-core.mjs";
import { buildNode } from "./build-node.mjs";
import { preparedGuest } from "./guest/prepared.mjs";
import { checkNode, installPackages, root } from "./prepare.mjs";

const USAGE = `npm run compiled -- [OPTIONS]
  --threshold N,…     executions of code before it is compiled (default: 1,2)
  --only NAME,…       vectors, core, linux64, linux32, fex, testfloat
  --fex PATH          FEX's unittests/ASM
  --testfloat PATH    a testfloat_gen`;
const PROMPT = "tabhyve:~# ";
const MINUTES = 60;

function options() {
  const string = { type: "string" };
  const { values } = parseArgs({ options: { threshold: string, only: string, fex: string, testfloat: string } });
  const thresholds = (values.threshold ?? "1,2").split(",").map(Number);
  if (thresholds.some((n) => !Number.isInteger(n) || n < 1)) throw new Error("--threshold: whole numbers from 1 on");
  return { ...values, thresholds, only: values.only?.split(",") };
}

function* suites(chosen, threshold) {
  const cli = (...args) => [join(root, "dist/node/tabhyve.js"), ...args];
  const jit = ["--engine", "jit", "--jit-threshold", String(threshold)];
  const folder = join(root, "test/vectors");
  const files = readdirSync(folder).filter((f) => f.endsWith(".jsonl.gz"));
  yield ["vectors", cli("vectors", ...jit, "--examples", "3", ...files.map((f) => join(folder, f)))];
  yield ["core", [join(root, "node_modules/.bin/vitest"), "run", "test/sys"], { TABHYVE_HEAT: String(threshold) }];
  for (const [name, id] of [
    ["linux64", "cloud"],
    ["linux32", "i386"],
  ]) {
    if (chosen.only && !chosen.only.includes(name)) continue;
    const { kernel, initrd, append, memory } = preparedGuest(id);
    const guest = ["--kernel", kernel, "--initrd", initrd, "--append", append, "--memory", memory];
    const end = ["--until", PROMPT, "--timeout", String(MINUTES * 60), "--no-restart", "--transport", "inline"];
    yield [name, cli("run", ...jit, ...guest, ...end)];
  }
  const script = (name, ...args) => [join(root, `scripts/${name}.mjs`), ...args, "--threshold", String(threshold)];
  if (chosen.fex) yield ["fex", script("fex", "--engine", "jit", "--suite", chosen.fex)];
  if (chosen.testfloat) yield ["testfloat", script("testfloat", "--generator", chosen.testfloat)];
}

let chosen;
try {
  chosen = options();
} catch (error) {
  process.stderr.write(`compiled: ${error.message}\n${USAGE}\n`);
  process.exit(2);
}
checkNode();
installPackages();
await buildCore();
await buildNode();
let failed = 0;
for (const threshold of chosen.thresholds) {
  for (const [name, args, env] of suites(chosen, threshold)) {
    if (chosen.only && !chosen.only.includes(name)) continue;
    const from = performance.now();
    const options = { cwd: root, env: { ...process.env, ...env }, encoding: "utf8", maxBuffer: 2 ** 30 };
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      stdio: ["ignore", "pipe", "pipe"],
      ...options,
    });
    const seconds = Math.round((performance.now() - from) / 1000);
    console.log(
      `threshold ${threshold}: ${name} ${status === 0 ? "passes" : `FAILS with status ${status}`}, ${seconds} s`,
    );
    if (status === 0) continue;
    failed++;
    console.log([...stdout.split("\n").slice(-40), ...stderr.split("\n").slice(-10)].map((l) => `    ${l}`).join("\n"));
  }
}
process.exit(failed ? 1 : 0);
