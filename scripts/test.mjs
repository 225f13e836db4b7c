// `npm test`: installs, builds, prepares the default guest, and runs every check and test that CI runs.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checkNode, installPackages, must, root } from "./prepare.mjs";

checkNode();
installPackages();
const { buildCore } = await import("./build-core.mjs");
const { buildBrowser, buildNode } = await import("./build-node.mjs");
await buildCore();
await buildNode();
await buildBrowser();
const GUESTS = ["cloud", "vmlinux", "virtio", "share", "pc"];
must("node", ["scripts/guests.mjs", "--optional", ...GUESTS]);
must("node", ["scripts/test-tools.mjs"]);
if (!process.argv.includes("--no-lint")) must("npm", ["run", "-s", "check"]);
must(join(root, "node_modules/.bin/vitest"), ["run", ...process.argv.slice(2).filter((a) => a !== "--no-lint")]);
// The tests of a guest that is not there are skipped, which a green run would hide.
const manifest = join(root, "guests/manifest.json");
const there = existsSync(manifest) ? JSON.parse(readFileSync(manifest, "utf8")).guests.map(({ id }) => id) : [];
const absent = GUESTS.filter((id) => !there.includes(id));
if (absent.length) {
  process.stderr.write(`tabhyve: NOTE: not tested, for they could not be prepared: guests ${absent.join(", ")}\n`);
}
