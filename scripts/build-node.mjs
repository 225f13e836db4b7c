// Bundles the command for Node into dist/node: npm run build:node. Does nothing if that is newer than every source.
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { embeddedGuestImage } from "./embedded-guest.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const out = join(root, "dist/node");

function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    time = Math.max(time, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }
  return time;
}

export async function buildNode() {
  const made = join(out, "tabhyve.js");
  if (existsSync(made) && statSync(made).mtimeMs > newest(join(root, "src"))) return;
  await build({
    root,
    configFile: false,
    logLevel: "error",
    publicDir: false,
    plugins: [embeddedGuestImage()],
    build: {
      ssr: true,
      outDir: out,
      emptyOutDir: true,
      target: "node20",
      minify: false,
      rolldownOptions: {
        input: { tabhyve: join(root, "src/cli/tabhyve.ts"), worker: join(root, "src/cli/nodeWorker.ts") },
        output: {
          entryFileNames: "[name].js",
          banner: (chunk) => (chunk.name === "tabhyve" ? "#!/usr/bin/env node" : ""),
        },
      },
    },
    ssr: { noExternal: true },
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildNode();
