// How long a typed key takes to come back as its echo while the guest is idle at its shell: npm run latency.
//   node scripts/latency.mjs [--keys N] [--transport threaded|inline]
// Needs dist/ (npm run build:core, build:node) and the default guest. Prints median, 95th percentile and maximum in ms.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import { runnerImport } from "vite";
import { assembledImages } from "./assembled-images.mjs";
import { buildCore } from "./build-core.mjs";
import { buildNode } from "./build-node.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const PROMPT = "tabhyve:~# ";
/** Pause before each key, so that the guest is in HLT when it comes: between these, ms, to hit no period. */
const PAUSE = [40, 120];
/** Ctrl-U empties the line before it wraps. */
const LINE = 40;

const { values } = parseArgs({ options: { keys: { type: "string", default: "200" }, transport: { type: "string" } } });
const keys = Number(values.keys);
const transports = values.transport ? [values.transport] : ["threaded", "inline"];

const manifest = join(root, "guests/manifest.json");
if (!existsSync(manifest)) {
  console.error("latency: there is no Linux guest in guests/; prepare it: npm run guests");
  process.exit(2);
}
const guest = JSON.parse(readFileSync(manifest, "utf8")).guests.find((one) => one.id === "cloud");
const file = (name) => readFileSync(join(root, "guests", name));

await buildCore();
await buildNode();
const source = join(root, "src/machine/machine.ts");
const plugins = [assembledImages()];
const { module } = await runnerImport(source, { configFile: false, logLevel: "error", root, plugins });

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const spawn = () => {
  const worker = new Worker(join(root, "dist/node/worker.js"));
  return { endpoint: nodeEndpoint(worker), terminate: () => void worker.terminate() };
};

async function measure(transport) {
  let text = "";
  let heard = () => {};
  const machine = await module.Machine.create({
    core: readFileSync(join(root, "dist/core/core.wasm")),
    kernel: file(guest.kernel.file),
    initrd: file(guest.initrd.file),
    append: guest.append,
    memoryBytes: 256 * 2 ** 20,
    transport,
    spawn,
    serial: (bytes) => {
      text += Buffer.from(bytes).toString("latin1");
      heard();
    },
  });
  const until = async (found, what) => {
    const end = performance.now() + 120_000;
    while (!found()) {
      if (performance.now() > end) throw new Error(`latency: ${transport}: no ${what} within two minutes`);
      await Promise.race([
        new Promise((done) => {
          heard = done;
        }),
        sleep(1000),
      ]);
    }
  };
  const type = (keys) => machine.serialInput(Buffer.from(keys));
  await machine.start();
  await until(() => text.includes(PROMPT), "prompt");
  await sleep(1000);
  const times = [];
  for (let i = 0; i < keys; i++) {
    if (i % LINE === LINE - 1) {
      type("\x15");
      await sleep(200);
    }
    await sleep(PAUSE[0] + Math.random() * (PAUSE[1] - PAUSE[0]));
    const key = String.fromCharCode(97 + (i % 26));
    text = "";
    const from = performance.now();
    type(key);
    await until(() => text.includes(key), `echo of “${key}”`);
    times.push(performance.now() - from);
  }
  await machine.destroy();
  return times.sort((a, b) => a - b);
}

for (const transport of transports) {
  const times = await measure(transport);
  const at = (part) => times[Math.min(times.length - 1, Math.floor(times.length * part))].toFixed(2).padStart(8);
  console.log(`${transport.padEnd(9)} ${keys} keys  median${at(0.5)} ms   95%${at(0.95)} ms   max${at(1)} ms`);
}
process.exit(0);
