// Speed of the two engines on three small programs: node test/bench/engine.mjs [core.wasm]
// Prints million guest instructions per second (median of five) and the ratio; the engines take turns, so that noise of
// the machine hits both. Exit status 1 if they disagree.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const load = async (path) =>
  (await runnerImport(join(root, path), { configFile: false, logLevel: "error", root })).module;
const { TestMachine, CODE, STACK, DATA, HANDLERS } = await load("test/jit/machine.ts");
const { assemble } = await load("src/isa/assemble.ts");
const file = process.argv[2] ?? join(root, "dist/core/core.wasm");
const core = new WebAssembly.Module(readFileSync(file));
const { bytes, symbols } = assemble(readFileSync(join(root, "test/bench/engine.asm"), "utf8"), { name: "engine.asm" });

const rounds = 5;
const machines = { interp: new TestMachine(core), jit: new TestMachine(core) };
let failed = false;
for (const m of Object.values(machines)) {
  m.memory.write(CODE, bytes);
  m.memory.write(
    DATA,
    Uint8Array.from({ length: 65536 }, (_, i) => i * 7 + (i >> 8)),
  );
}

function run(m, name, n) {
  const gpr = new Array(16).fill(0n);
  gpr[4] = BigInt(STACK - 8);
  gpr[7] = BigInt(n);
  m.put64(STACK - 8, BigInt(HANDLERS));
  m.set({ gpr, rflags: 2n, rip: symbols.get(name) });
  const from = performance.now();
  m.run();
  const ms = performance.now() - from;
  const s = m.get();
  return {
    mips: s.icount / ms / 1000,
    state: JSON.stringify(s, (_, v) => (typeof v === "bigint" ? v.toString(16) : v)),
  };
}
const median = (xs) => xs.sort((a, b) => a - b)[xs.length >> 1];

console.log("program   interp MIPS   jit MIPS   ratio");
for (const [name, n] of [
  ["crc", 200],
  ["sieve", 150],
  ["fib", 29],
]) {
  run(machines.interp, name, 2);
  run(machines.jit, name, 2);
  const region = machines.jit.compile(symbols.get(name));
  if (!region) throw new Error(`no region at ${name}`);
  run(machines.jit, name, Math.min(n, 20));
  const speed = { interp: [], jit: [], ratio: [] };
  for (let i = 0; i < rounds; i++) {
    const a = run(machines.interp, name, n);
    const b = run(machines.jit, name, n);
    speed.interp.push(a.mips);
    speed.jit.push(b.mips);
    speed.ratio.push(b.mips / a.mips);
    if (a.state !== b.state) {
      failed = true;
      console.error(`${name}: the engines disagree\n  interp ${a.state}\n  jit    ${b.state}`);
    }
  }
  console.log(
    `${name.padEnd(9)} ${median(speed.interp).toFixed(0).padStart(11)} ${median(speed.jit).toFixed(0).padStart(10)} ${median(speed.ratio).toFixed(2).padStart(7)}   module ${region.length} bytes`,
  );
}
process.exitCode = failed ? 1 : 0;
