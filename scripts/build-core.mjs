// Compiles assembly/ to dist/core/core.wasm: npm run build:core. Does nothing if that is newer than every source.
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
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

function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    time = Math.max(time, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }
  return time;
}

export async function buildCore() {
  if (existsSync(out) && statSync(out).mtimeMs > newest(join(root, "assembly"))) return;
  process.stderr.write("tabhyve: compiling the core to Wasm (about half a minute, once) … ");
  const from = performance.now();
  mkdirSync(dirname(out), { recursive: true });
  const asc = await import("assemblyscript/asc");
  const { error, stderr } = await asc.main([
    join(root, "assembly/index.ts"),
    "--baseDir",
    root,
    "-o",
    out,
    ...ASC_OPTIONS,
  ]);
  if (error) {
    process.stderr.write(`failed\n${stderr.toString()}\n`);
    throw new Error("the core does not compile");
  }
  process.stderr.write(`${((performance.now() - from) / 1000).toFixed(0)} s\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildCore();
