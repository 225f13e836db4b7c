// Makes test/vectors: a sample of a folder of instruction vectors (files *.jsonl.gz, see src/cli/vectorFormat.ts):
//
//     node scripts/sample-vectors.mjs DIR
//
// Of every form in every mode it takes the first vector that completes and the first that faults, or two of a kind;
// of tiers that have no forms (random bytes, sequences) every n-th, for about 150. The same input gives the same files.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";

/** Vectors of each form and mode, and of a form that stands for a whole tier. */
const EACH = 2;
const WHOLE = 150;

const [from] = process.argv.slice(2);
if (!from) {
  console.error("usage: node scripts/sample-vectors.mjs DIR");
  process.exit(2);
}
const to = join(dirname(fileURLToPath(import.meta.url)), "..", "test", "vectors");
mkdirSync(to, { recursive: true });
// What has been found by fuzzing and by further seeds stays: it comes from no such folder.
const KEPT = /^(fuzz|found|x87mem)\./;
for (const old of readdirSync(to)) if (old.endsWith(".jsonl.gz") && !KEPT.test(old)) rmSync(join(to, old));

let bytes = 0;
let count = 0;
for (const name of readdirSync(from)
  .filter((n) => n.endsWith(".jsonl.gz"))
  .sort()) {
  const forms = new Map();
  for (const line of gunzipSync(readFileSync(join(from, name)))
    .toString("utf8")
    .split("\n")) {
    if (!line) continue;
    const vector = JSON.parse(line);
    const key = vector.id.slice(0, vector.id.lastIndexOf("/"));
    if (!forms.has(key)) forms.set(key, []);
    forms.get(key).push({ line, faults: vector.exception !== undefined });
  }
  const lines = [...forms.values()].flatMap((vectors) => choose(vectors, forms.size));
  const packed = gzipSync(`${lines.join("\n")}\n`, { level: 9 });
  writeFileSync(join(to, basename(name)), packed);
  bytes += packed.length;
  count += lines.length;
}
console.log(`${count} vectors, ${(bytes / 2 ** 20).toFixed(2)} MiB in ${to}`);

function choose(vectors, forms) {
  if (forms === 1) {
    const step = Math.max(1, Math.floor(vectors.length / WHOLE));
    return vectors.filter((_, i) => i % step === 0).map((v) => v.line);
  }
  const good = vectors.filter((v) => !v.faults);
  const bad = vectors.filter((v) => v.faults);
  // One of each kind first, then more of the kind that is commoner.
  const rest = good.length >= bad.length ? [...good.slice(1), ...bad.slice(1)] : [...bad.slice(1), ...good.slice(1)];
  return [...good.slice(0, 1), ...bad.slice(0, 1), ...rest].slice(0, EACH).map((v) => v.line);
}
