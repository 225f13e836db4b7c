// Writes assembly/gen from the instruction table and the memory layout: npm run generate.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { module } = await runnerImport(join(root, "src/isa/generate.ts"), {
  configFile: false,
  logLevel: "error",
  root,
});
for (const [path, text] of module.generate(root)) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
