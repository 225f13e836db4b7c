/** The litmus programs of test/litmus, each again and again until the time is over. */
import { join } from "node:path";
import { runnerImport } from "vite";
import { buildCore } from "../build-core.mjs";
import { buildNode } from "../build-node.mjs";
import { root } from "../prepare.mjs";

/** Batches of one machine: a second or so. */
const BATCHES = 400;

export async function litmus({ minutes, transport, engine, say }) {
  await buildCore();
  await buildNode();
  const lib = await import(join(root, "dist/node/lib.js"));
  const load = async (path) =>
    (await runnerImport(join(root, path), { configFile: false, logLevel: "error", root })).module;
  const { PROGRAMS, litmusGuest, seen } = await load("test/litmus/programs.ts");
  const { DONE } = await load("test/vcpu/smpGuest.ts");
  const totals = new Map(PROGRAMS.map((p) => [p.name, { rounds: 0, forbidden: 0, outcomes: new Map() }]));
  const end = performance.now() + minutes * 60_000;
  for (let pass = 1; performance.now() < end; pass++) {
    for (const program of PROGRAMS) {
      const machine = await lib.Machine.create({
        core: lib.coreBytes(),
        kernel: lib.assemble(litmusGuest(program, BATCHES)).bytes,
        memoryBytes: 8 * 2 ** 20,
        vcpus: program.threads.length,
        ...{ transport, engine, spawn: lib.spawnWorker, serial: () => {} },
      });
      const word = new Uint8Array(4);
      const read32 = (gpa) => {
        machine.memory.read(gpa, word);
        return new DataView(word.buffer).getUint32(0, true);
      };
      await machine.start();
      while (!read32(DONE)) await new Promise((done) => setTimeout(done, 20));
      const { rounds, forbidden, outcomes } = seen(program, read32);
      await machine.destroy();
      const total = totals.get(program.name);
      total.rounds += rounds;
      total.forbidden += forbidden;
      for (const [outcome, n] of outcomes) total.outcomes.set(outcome, (total.outcomes.get(outcome) ?? 0) + n);
    }
    say(`pass ${pass}, ${Math.max(0, (end - performance.now()) / 60_000).toFixed(1)} minutes left`);
  }
  const lines = [...totals].map(([name, { rounds, forbidden, outcomes }]) => {
    const all = [...outcomes].map(([outcome, n]) => `${outcome}: ${n}`).join(", ");
    return `${name}: ${rounds} rounds, forbidden ${forbidden} (${all})`;
  });
  return { ok: [...totals.values()].every((t) => t.forbidden === 0 && t.rounds > 0), lines };
}
