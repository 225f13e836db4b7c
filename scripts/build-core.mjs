// Compiles assembly/ to dist/core/core.wasm: npm run build:core. Does nothing if that is newer than every source.
import { mkdirSync, renameSync, rmSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isFresh, root } from "./prepare.mjs";

const out = join(root, "dist/core/core.wasm");

/** Where AssemblyScript's static data begins: STATIC_BASE of src/shared/layout.ts. */
const STATIC_BASE = 4096;

export const ASC_OPTIONS = [
  "--importMemory",
  "--sharedMemory",
  "--initialMemory",
  "64",
  "--maximumMemory",
  "65536",
  "--memoryBase",
  String(STATIC_BASE),
  "--enable",
  "threads",
  "--enable",
  "simd",
  "--exportTable",
  "--runtime",
  "stub",
  "-O3",
  "--noAssert",
];

export async function buildCore() {
  if (isFresh(out, ["assembly", "scripts/build-core.mjs"])) return;
  process.stderr.write("tabhyve: compiling the core to Wasm (about half a minute, once) … ");
  const from = Date.now();
  mkdirSync(dirname(out), { recursive: true });
  // Under another name until it is whole: another process may be reading the old one, or compiling, too.
  const made = join(dirname(out), `core.${process.pid}.wasm`);
  const asc = await import("assemblyscript/asc");
  const { error, stderr } = await asc.main([
    join(root, "assembly/index.ts"),
    "--baseDir",
    root,
    "-o",
    made,
    ...ASC_OPTIONS,
  ]);
  if (error) {
    rmSync(made, { force: true });
    process.stderr.write(`failed\n${stderr.toString()}\n`);
    throw new Error("the core does not compile");
  }
  // As old as its sources when they were read: what has changed since then is newer.
  utimesSync(made, from / 1000, from / 1000);
  renameSync(made, out);
  process.stderr.write(`${((Date.now() - from) / 1000).toFixed(0)} s\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildCore();
