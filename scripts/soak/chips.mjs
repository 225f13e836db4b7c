/** The storms of test/io/chipStorm.ts and test/io/virtio/virtioStorm.ts, on new devices after each million operations. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runnerImport } from "vite";
import { buildCore } from "../build-core.mjs";
import { root } from "../prepare.mjs";

const ROUND = 1_000_000;

const load = async (path) =>
  (await runnerImport(join(root, path), { configFile: false, logLevel: "error", root })).module;

export async function chips(options) {
  await buildCore();
  const { ChipStorm } = await load("test/io/chipStorm.ts");
  const { unshared } = await load("src/vcpu/core.ts");
  const core = new WebAssembly.Module(unshared(readFileSync(join(root, "dist/core/core.wasm"))));
  return storm(options, (seed, operations) => new ChipStorm(seed, core).run(operations));
}

/** A shared directory of the host is among the devices; what is beside it must stay as it is. */
export async function virtio(options) {
  const { VirtioStorm } = await load("test/io/virtio/virtioStorm.ts");
  const { P9Storm } = await load("test/io/virtio/p9Storm.ts");
  const { StormFolder } = await load("test/io/virtio/stormFolder.ts");
  return storm(options, async (seed, operations) => {
    const shared = new StormFolder();
    try {
      const devices = await new VirtioStorm(seed, { folder: shared.folder }).run(Math.ceil(operations * 0.9));
      // The rest are requests that no broken queue keeps from the folder.
      const requests = Math.max(0, operations - devices.operations);
      await new P9Storm(seed, shared.folder).run(requests);
      shared.check();
      return {
        ...devices,
        operations: devices.operations + requests,
        counts: { ...devices.counts, "9p requests": requests },
      };
    } finally {
      shared.remove();
    }
  });
}

async function storm({ operations, seed, say }, run) {
  const totals = {};
  let longest = 0;
  let what = "";
  let done = 0;
  const from = performance.now();
  for (let round = seed; done < operations; round++) {
    let result;
    try {
      result = await run(round, Math.min(ROUND, operations - done));
    } catch (error) {
      return { ok: false, lines: [`seed ${round}: ${error.message}`] };
    }
    done += result.operations;
    if (result.longestMs > longest) [longest, what] = [result.longestMs, result.longest ?? ""];
    for (const [name, n] of Object.entries(result.counts)) totals[name] = (totals[name] ?? 0) + n;
    say(`${done} operations, the longest ${longest.toFixed(0)} ms ${what}`.trimEnd());
  }
  const each = Object.entries(totals).map(([name, n]) => `${name} ${n}`);
  const rate = Math.round((1000 * done) / (performance.now() - from));
  return {
    ok: true,
    lines: [`${done} operations from seed ${seed} on, ${rate} a second, nothing wrong: ${each.join(", ")}`],
  };
}
