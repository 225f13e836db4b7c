/** Guests for scripts that run them. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../prepare.mjs";

/** A guest's files and command line from the manifest, prepared if need be. */
export function preparedGuest(id) {
  const { status } = spawnSync(process.execPath, [join(root, "scripts/guests.mjs"), id], { stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error(`the guest "${id}" could not be prepared (see above)`);
  const { guests } = JSON.parse(readFileSync(join(root, "guests/manifest.json"), "utf8"));
  const { kernel, initrd, append, memory } = guests.find((g) => g.id === id);
  return { kernel: join(root, "guests", kernel.file), initrd: join(root, "guests", initrd.file), append, memory };
}
