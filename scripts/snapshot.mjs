/**
 * What a snapshot of the booted Linux (256 MB) costs: npm run snapshot [-- OPTIONS]
 *   --runs N               medians of so many (default: 5)
 *   --transport KIND       threaded or inline (default: both)
 *   --engine KIND          interp, jit or auto (default)
 *   --browser              in Chromium instead of Node
 *   --v86                  v86 as well, with Debian's 32-bit kernel; it needs SeaBIOS, as npm run bench does
 * Prints, in ms: how long the guest stands still, how long it takes until the file is compressed, and from the beginning of a
 * restore, and from that of making the machine for it, to the shell's first answer; and the size. v86 does not compress: its
 * state is compressed as ours is for the comparison, and restored as it was before.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { loadavg } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { runnerImport } from "vite";
import { assembledImages } from "./assembled-images.mjs";
import { firmware } from "./bench/contenders.mjs";
import { aligned } from "./bench/report.mjs";
import { preparedGuest } from "./guest/prepared.mjs";
import { root } from "./prepare.mjs";
import { prepare } from "./soak/console.mjs";

const string = { type: "string" };
const flag = { type: "boolean", default: false };
const { values } = parseArgs({
  options: { runs: { ...string, default: "5" }, transport: string, engine: string, browser: flag, v86: flag },
});
const { engine = "auto" } = values;
if (!/^[1-9]\d*$/.test(values.runs)) throw new Error(`--runs ${values.runs}: a whole number above 0 is needed`);
const runs = Number(values.runs);
const transports = values.transport ? [values.transport] : ["threaded", "inline"];
const memoryBytes = 256 * 2 ** 20;

const load = async (path) => {
  const plugins = [assembledImages()];
  return (await runnerImport(join(root, path), { configFile: false, logLevel: "error", root, plugins })).module;
};

/** Costs of `transport` in Node, or "v86"; files are given by path. */
async function inNode(transport, { kernel, initrd, append }, roms) {
  const { cost, tabhyve, v86 } = await load("test/snapshot/cost.ts");
  if (transport !== "v86") {
    const config = { kernel: readFileSync(kernel), initrd: readFileSync(initrd), append, memoryBytes, engine };
    const host = { core: lib.coreBytes(), spawn: lib.spawnWorker };
    return cost(tabhyve(transport, { ...config, ...host, transport }), runs);
  }
  const main = createRequire(import.meta.url).resolve("v86");
  const { V86 } = await import(pathToFileURL(main).href);
  const file = (path) => {
    const { buffer, byteOffset, length } = readFileSync(path);
    return { buffer: buffer.slice(byteOffset, byteOffset + length) };
  };
  const wasm_path = join(dirname(main), "v86.wasm");
  const options = { wasm_path, bios: file(roms[0]), vga_bios: file(roms[1]), memory_size: memoryBytes };
  return cost(v86(V86, options, { bzimage: file(kernel), initrd: file(initrd), cmdline: append }), runs);
}

/** The same in Chromium. */
async function inChromium(transport, { kernel, initrd, append }, roms) {
  const { findChromium } = await load("test/page/chromium.ts");
  const { labSite } = await load("test/page/labSite.ts");
  const chromium = findChromium();
  if (!chromium) throw new Error("no Chromium on the path");
  const site = await labSite(chromium, kernel, initrd, roms && { bios: roms[0], vgabios: roms[1] });
  try {
    return await site.cost({ append, memoryBytes, transport, engine, runs });
  } finally {
    await site.close();
  }
}

const { lib } = await prepare("cloud");
const measure = values.browser ? inChromium : inNode;
const costs = [];
for (const transport of transports) costs.push(await measure(transport, preparedGuest("cloud")));
if (values.v86) costs.push(await measure("v86", preparedGuest("i386"), await firmware()));

const ms = (n) => n.toFixed(0);
const rows = [["", "standstill", "save", "MB", "restore to answer", "create to answer"]];
for (const c of costs) {
  rows.push([c.name, ms(c.standstill), ms(c.save), (c.bytes / 1e6).toFixed(1), ms(c.restored), ms(c.created)]);
}
if (values.v86) {
  const theirs = costs.pop();
  for (const c of costs) {
    const part = (what) => `${(c[what] / theirs[what]).toFixed(2)}x`;
    rows.push([`${c.name} / v86`, ...["standstill", "save", "bytes", "restored", "created"].map(part)]);
  }
}
for (const line of aligned(rows)) console.log(line);
const where = values.browser ? "Chromium" : `Node ${process.version}`;
console.log(`Medians of ${runs}; load of the host ${loadavg()[0].toFixed(1)}; ${where}`);
process.exit(0);
