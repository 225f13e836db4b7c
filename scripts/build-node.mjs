// Bundles the command and the package's entries for Node into dist/node: npm run build:node. Does nothing if that is newer than every source.
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isFresh, root } from "./prepare.mjs";

const out = join(root, "dist/node");
const ENTRY = "tabhyve.js";

export async function buildNode() {
  if (isFresh(join(out, ENTRY), ["src", "scripts/build-node.mjs"])) return;
  const from = Date.now() / 1000;
  // Loaded here, not above: that takes longer than to find that there is nothing to do.
  const { build } = await import("vite");
  const { embeddedGuestImage } = await import("./embedded-guest.mjs");
  mkdirSync(out, { recursive: true });
  const made = mkdtempSync(join(root, "dist/node-"));
  try {
    await build({
      root,
      configFile: false,
      logLevel: "error",
      publicDir: false,
      plugins: [embeddedGuestImage()],
      build: {
        ssr: true,
        outDir: made,
        target: "node20",
        minify: false,
        rolldownOptions: {
          input: {
            tabhyve: join(root, "src/cli/tabhyve.ts"),
            worker: join(root, "src/cli/nodeWorker.ts"),
            lib: join(root, "src/lib/node.ts"),
            vmm: join(root, "src/vmm/index.ts"),
          },
          output: {
            entryFileNames: "[name].js",
            chunkFileNames: "[name]-[hash].js",
            banner: (chunk) => (chunk.name === "tabhyve" ? "#!/usr/bin/env node" : ""),
          },
        },
      },
      ssr: { noExternal: true },
    });
    // As old as its sources when they were read: what has changed since then is newer.
    utimesSync(join(made, ENTRY), from, from);
    // File by file, the entry last: another process may be running the old one, or building, too.
    const files = readdirSync(made);
    files.sort((a, b) => Number(a === ENTRY) - Number(b === ENTRY));
    for (const file of files) renameSync(join(made, file), join(out, file));
    for (const old of readdirSync(out))
      if (!files.includes(old)) rmSync(join(out, old), { recursive: true, force: true });
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildNode();
