/**
 * npm run qcow2 [-- --seed N]
 *
 * Images that qemu-img makes, of every cluster size, version and compression, with holes, with a backing file, with internal
 * snapshots, written to after they were made: the disk must be what qemu-img makes of them itself. Images that the tests make are
 * read by qemu-img, too. Status: 0 all are the same, 1 some are not, 2 there is no qemu-img (Debian: qemu-utils).
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createServer } from "vite";

const { values } = parseArgs({ options: { seed: { type: "string", default: "1" } } });
const vite = await createServer({ configFile: false, logLevel: "error", server: { middlewareMode: true, ws: false } });
const load = (file) => vite.ssrLoadModule(join(import.meta.dirname, "..", file));
const { openImage } = await load("src/cli/media.ts");
const { makeQcow2 } = await load("test/block/qcow2Image.ts");

const folder = mkdtempSync(join(tmpdir(), "tabhyve-qcow2-"));
const at = (name) => join(folder, name);
const qemu = (tool, ...args) => execFileSync(tool, args, { stdio: ["ignore", "ignore", "pipe"] });
const sum = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

/** Compressible pieces, noise and holes. */
function contents(size, seed) {
  const bytes = Buffer.alloc(size);
  let x = seed >>> 0 || 1;
  const random = (n) => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return Math.floor((x / 2 ** 32) * n);
  };
  for (let place = 0; place < size; ) {
    const length = Math.min(size - place, 512 * (1 + random(400)));
    const kind = random(3);
    if (kind === 1) for (let i = 0; i < length; i++) bytes[place + i] = random(256);
    if (kind === 2) bytes.fill(`piece ${place} `, place, place + length);
    place += length;
  }
  return bytes;
}

async function read(image, backing) {
  const disk = await openImage(image, { readOnly: true, backing });
  const bytes = new Uint8Array(disk.size);
  const step = 1_000_448;
  for (let from = 0; from < bytes.length; from += step) await disk.read(from, bytes.subarray(from, from + step));
  return bytes;
}

/** What qemu-img itself makes of an image. */
function converted(image) {
  qemu("qemu-img", "convert", "-O", "raw", image, at("converted"));
  return readFileSync(at("converted"));
}

let failed = 0;
async function compare(what, image, backing) {
  const [ours, theirs] = [await read(image, backing), converted(image)];
  const same = Buffer.compare(ours, theirs) === 0;
  if (!same) failed++;
  console.log(`${same ? "same     " : "DIFFERENT"} ${what}: ${ours.length} bytes, ${sum(ours)}`);
}

try {
  qemu("qemu-img", "--version");
} catch {
  console.error("qcow2: no qemu-img on the path (Debian: qemu-utils)");
  process.exit(2);
}
const seed = Number(values.seed);
const SIZE = 6 * 2 ** 20 + 1536;
writeFileSync(at("raw"), contents(SIZE, seed));
for (let bits = 9; bits <= 21; bits++) {
  for (const compat of ["0.10", "1.1"]) {
    for (const compression of compat === "1.1" ? ["none", "zlib", "zstd"] : ["none", "zlib"]) {
      const options = `cluster_size=${2 ** bits},compat=${compat}${compression === "zstd" ? ",compression_type=zstd" : ""}`;
      const packed = compression === "none" ? [] : ["-c"];
      qemu("qemu-img", "convert", "-f", "raw", "-O", "qcow2", ...packed, "-o", options, at("raw"), at("q"));
      await compare(`2^${bits}, compat ${compat}, ${compression}`, at("q"));
      if (compression === "none") continue;
      // Clusters that were compressed and are written to, zeroed and thrown away.
      const [a, b] = [`write -P 0x5a ${512 * 33} 70k`, `write -z 1M 300k`];
      qemu("qemu-io", "-f", "qcow2", "-c", a, "-c", b, "-c", "discard 3M 512k", at("q"));
      await compare(`2^${bits}, compat ${compat}, ${compression}, then written`, at("q"));
    }
  }
}
for (const preallocation of ["off", "metadata", "falloc", "full"]) {
  qemu("qemu-img", "create", "-f", "qcow2", "-o", `preallocation=${preallocation}`, at("q"), "20M");
  qemu("qemu-io", "-f", "qcow2", "-c", "write -P 7 5M 100k", at("q"));
  await compare(`preallocation ${preallocation}`, at("q"));
}
qemu("qemu-img", "create", "-f", "qcow2", "-F", "raw", "-b", at("raw"), at("over"), "8M");
qemu("qemu-io", "-f", "qcow2", "-c", "write -P 9 100k 200k", "-c", "write -z 2M 1M", at("over"));
await compare("over a raw image that is shorter", at("over"), at("raw"));
qemu("qemu-img", "snapshot", "-c", "before", at("q"));
qemu("qemu-io", "-f", "qcow2", "-c", "write -P 3 5M 50k", at("q"));
await compare("with an internal snapshot", at("q"));
for (const bits of [9, 13, 16, 21]) {
  const bytes = contents(3 * 2 ** 20 + 512, seed + bits);
  const kind = (n) => ["data", "compressed", "zeros", "none"][(n * 5 + (n >> 3)) % 4];
  writeFileSync(at("ours"), makeQcow2(bytes, { version: 3, clusterBits: bits, kind }));
  await compare(`made by the tests, 2^${bits}`, at("ours"));
}
rmSync(folder, { recursive: true });
console.log(failed ? `${failed} are different` : "all are the same");
process.exit(failed ? 1 : 0);
