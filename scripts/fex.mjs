// `npm run fex -- --suite PATH [--engine interp|auto|jit] [--threshold N] [--only TEXT]`: FEX's unit tests on the core, and on this
// machine's CPU, which decides which of them count. PATH is unittests/ASM of a checkout of FEX; TEXT chooses tests by
// name. Needs NASM and gcc.
import { join, resolve } from "node:path";
import { checkNode, installPackages, must, root } from "./prepare.mjs";

checkNode();
installPackages();
const words = process.argv.slice(2);
const value = (name) => (words.includes(name) ? words[words.indexOf(name) + 1] : undefined);
const suite = value("--suite");
const engine = value("--engine") ?? "interp";
if (!suite || !["interp", "auto", "jit"].includes(engine)) {
  process.stderr.write("usage: npm run fex -- --suite PATH [--engine interp|auto|jit] [--threshold N] [--only TEXT]\n");
  process.exit(2);
}
process.env.FEX_SUITE = resolve(process.env.INIT_CWD ?? ".", suite);
process.env.FEX_ENGINE = engine;
process.env.FEX_THRESHOLD = value("--threshold") ?? "";
process.env.FEX_ONLY = value("--only") ?? "";
const { buildCore } = await import("./build-core.mjs");
await buildCore();
must(join(root, "node_modules/.bin/vitest"), ["run", "--mode", "fex"]);
