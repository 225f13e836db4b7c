// `npm run testfloat -- --generator PATH [--threshold N] [--only TEXT]`: Berkeley TestFloat at level 1 through the instructions of the
// core. PATH is a testfloat_gen built with SPECIALIZE_TYPE=8086-SSE; TEXT chooses instructions or functions by name.
import { join, resolve } from "node:path";
import { checkNode, installPackages, must, root } from "./prepare.mjs";

checkNode();
installPackages();
const words = process.argv.slice(2);
const value = (name) => (words.includes(name) ? words[words.indexOf(name) + 1] : undefined);
const generator = value("--generator");
if (!generator) {
  process.stderr.write("usage: npm run testfloat -- --generator PATH [--threshold N] [--only TEXT]\n");
  process.exit(2);
}
process.env.TESTFLOAT_GENERATOR = resolve(process.env.INIT_CWD ?? ".", generator);
process.env.TESTFLOAT_THRESHOLD = value("--threshold") ?? "";
process.env.TESTFLOAT_ONLY = value("--only") ?? "";
const { buildCore } = await import("./build-core.mjs");
await buildCore();
must(join(root, "node_modules/.bin/vitest"), ["run", "--mode", "testfloat"]);
