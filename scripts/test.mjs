// `npm test`: installs, builds, prepares the default guest, and runs every check and test that CI runs.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { checkNode, installPackages, must, root } from "./prepare.mjs";

checkNode();
installPackages();
const { buildCore } = await import("./build-core.mjs");
const { buildBrowser, buildNode } = await import("./build-node.mjs");
await buildCore();
await buildNode();
await buildBrowser();
must("node", ["scripts/guests.mjs", "--optional", "cloud", "vmlinux", "virtio", "pc"]);
must("node", ["scripts/test-tools.mjs"]);
if (!process.argv.includes("--no-lint")) must("npm", ["run", "-s", "check"]);
must(join(root, "node_modules/.bin/vitest"), ["run", ...process.argv.slice(2).filter((a) => a !== "--no-lint")]);
if (!existsSync(join(root, "guests/manifest.json"))) {
  process.stderr.write("tabhyve: NOTE: no Linux guest could be prepared, so Linux was not tested\n");
}
