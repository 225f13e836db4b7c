/**
 * The default guest as it is when it has booted, for the built site: a page that goes on from there has a prompt at once. The
 * page tells it its terminal and the time (src/ui/prepared.ts), for which it waits (scripts/guest/profile).
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Console, prepare } from "../soak/console.mjs";
import { DEFAULT } from "./recipes.mjs";

/** What scripts/guest/profile says when it waits. */
const READY = "\x1b]tabhyve;prepared\x07";

/** Bytes of "256M". */
const megabytes = (text) => Number(/^(\d+)M$/.exec(text)[1]) * 2 ** 20;

/**
 * Boots the guest and puts its snapshot into a built site, beside its files.
 *
 * @param site folder of the site
 * @returns bytes of the snapshot, or undefined: the site has no such guest
 */
export async function addSnapshot(site) {
  const path = join(site, "guests/manifest.json");
  const manifest = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : { guests: [] };
  const entry = manifest.guests.find(({ id }) => id === DEFAULT);
  if (!entry) return undefined;
  const { lib, guest } = await prepare(DEFAULT);
  const append = `${guest.append} tabhyve.prepared`;
  const config = { ...guest, append, memoryBytes: megabytes(entry.memory), transport: "inline", engine: "auto" };
  const console = await Console.create(lib, config);
  await console.machine.start();
  await console.upTo(READY);
  const snapshot = await console.machine.save();
  await console.machine.destroy();
  const file = `${DEFAULT}.tabhyve`;
  writeFileSync(join(site, "guests", file), snapshot);
  entry.snapshot = { file, bytes: snapshot.length, sha256: createHash("sha256").update(snapshot).digest("hex") };
  writeFileSync(path, JSON.stringify(manifest));
  return snapshot.length;
}
