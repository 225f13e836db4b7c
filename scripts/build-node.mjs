// Bundles the command and the package's entries: dist/node for Node, dist/browser for pages. npm run build:node. Does
// nothing for a folder that is newer than every source.
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isFresh, root } from "./prepare.mjs";

const NODE = {
  folder: "node",
  /** The last file to be put into its place. */
  last: "tabhyve.js",
  target: "node20",
  input: {
    tabhyve: "src/cli/tabhyve.ts",
    worker: "src/cli/nodeWorker.ts",
    lib: "src/lib/node.ts",
    vmm: "src/vmm/index.ts",
  },
};
const BROWSER = {
  folder: "browser",
  last: "lib.js",
  target: "es2022",
  input: { lib: "src/lib/browser.ts", worker: "src/ui/vcpuWorker.ts" },
};

/** Everything for Node. */
export const buildNode = () => bundle(NODE);

/** `tabhyve/browser`: a module and its worker, which load what they need from beside themselves. */
export const buildBrowser = () => bundle(BROWSER);

async function bundle({ folder, last, target, input }) {
  const out = join(root, "dist", folder);
  if (isFresh(join(out, last), ["src", "scripts/build-node.mjs"])) return;
  const from = Date.now() / 1000;
  // Loaded here, not above: that takes longer than to find that there is nothing to do.
  const { build } = await import("vite");
  const { assembledImages } = await import("./assembled-images.mjs");
  mkdirSync(out, { recursive: true });
  const made = mkdtempSync(join(root, `dist/${folder}-`));
  try {
    await build({
      root,
      configFile: false,
      logLevel: "error",
      publicDir: false,
      plugins: [assembledImages()],
      build: {
        ssr: true,
        outDir: made,
        target,
        minify: false,
        rolldownOptions: {
          input: Object.fromEntries(Object.entries(input).map(([name, file]) => [name, join(root, file)])),
          output: {
            entryFileNames: "[name].js",
            chunkFileNames: "[name]-[hash].js",
            banner: (chunk) => (chunk.name === "tabhyve" ? "#!/usr/bin/env node" : ""),
          },
        },
      },
      ssr: { noExternal: true, target: folder === "browser" ? "webworker" : "node" },
    });
    // As old as its sources when they were read: what has changed since then is newer.
    utimesSync(join(made, last), from, from);
    // File by file, the entry last: another process may be running the old one, or building, too.
    const files = readdirSync(made);
    files.sort((a, b) => Number(a === last) - Number(b === last));
    for (const file of files) renameSync(join(made, file), join(out, file));
    for (const old of readdirSync(out))
      if (!files.includes(old)) rmSync(join(out, old), { recursive: true, force: true });
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildNode();
  await buildBrowser();
}
