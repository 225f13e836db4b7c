/**
 * npm run profile -- [OPTIONS]: each benchmark program with counters in compiled code, and a table of who has executed its
 * instructions: emitted code, handlers that emitted code has called, or the interpreter; and the rows of the instruction
 * table that were called most. The kernel's part of a program's run is in it.
 */
import { parseArgs } from "node:util";
import { Lines, PREPARE, PROGRAMS, PROMPT, Results, SAY_DONE, SHELL } from "./bench/protocol.mjs";
import { Console, prepare } from "./soak/console.mjs";

/** Seconds for one program. */
const PATIENCE = 1800;
const GUESTS = { 64: "bench", 32: "bench32" };

const USAGE = `npm run profile -- [OPTIONS]
  --only NAME,…      ${Object.keys(PROGRAMS).join(", ")}
  --bits 64|32       the guest (default: 64)
  --scale PERCENT    how long they take (default: 20)
  --engine KIND      auto (default) or jit
  --threshold N      executions of code before it is compiled (default: the engine's)`;

function options() {
  const string = { type: "string" };
  const { values } = parseArgs({
    options: {
      ...{ only: string, bits: { ...string, default: "64" }, scale: { ...string, default: "20" } },
      ...{ engine: { ...string, default: "auto" }, threshold: string },
    },
  });
  const names = values.only?.split(",") ?? Object.keys(PROGRAMS).filter((n) => (PROGRAMS[n].bits ?? 64) === 64);
  const wrong = names.find((name) => !(name in PROGRAMS));
  if (wrong !== undefined) throw new Error(`--only ${wrong}: no such program`);
  if (!(values.bits in GUESTS)) throw new Error(`--bits ${values.bits}: neither 64 nor 32`);
  const threshold = values.threshold === undefined ? undefined : Number(values.threshold);
  if (threshold !== undefined && !(threshold > 0)) throw new Error(`--threshold ${values.threshold}: not above 0`);
  return { ...values, names, threshold };
}

const percent = (part, all) => `${((part / all) * 100).toFixed(1)} %`;
const pad = (cells, widths) => cells.map((c, i) => (i ? c.padStart(widths[i]) : c.padEnd(widths[i]))).join("  ");
const WIDTHS = [10, 14, 8, 8, 11, 12];

/** What has been counted between two profiles. */
function between(before, after) {
  const { instructions: a } = before;
  const { instructions: b } = after;
  const [emitted, called, interpreted] = ["emitted", "called", "interpreted"].map((k) => b[k] - a[k]);
  const old = new Map(before.calls.map(({ row, count }) => [row, count]));
  const calls = after.calls
    .map(({ row, count }) => ({ row, count: count - (old.get(row) ?? 0) }))
    .sort((x, y) => y.count - x.count);
  return { emitted, called, interpreted, all: emitted + called + interpreted, calls };
}

async function run(vm, command) {
  const lines = new Lines();
  const results = new Results();
  vm.type(`${command}; ${SAY_DONE}\r`);
  for (;;) {
    const line = await vm.upTo("\n", PATIENCE);
    for (const l of lines.feed(`${line}\n`)) if (results.line(l, performance.now())) return results.done;
  }
}

async function main() {
  let chosen;
  try {
    chosen = options();
  } catch (error) {
    process.stderr.write(`profile: ${error.message}\n${USAGE}\n`);
    return 2;
  }
  const { bits, scale, engine, threshold, names } = chosen;
  const { lib, guest } = await prepare(GUESTS[bits]);
  const vm = await Console.create(lib, {
    ...guest,
    append: `${guest.append} ${SHELL}`,
    ...{ memoryBytes: 256 * 2 ** 20, transport: "inline", engine, profile: true },
    ...(threshold && { jitThreshold: threshold }),
  });
  await vm.machine.start();
  await vm.upTo(PROMPT, PATIENCE);
  await run(vm, PREPARE.replace(`; ${SAY_DONE}`, ""));
  console.log(
    pad(["program", "instructions", "emitted", "called", "interpreted", "TLB misses"], WIDTHS),
    " called most",
  );
  for (const name of names) {
    const before = await vm.machine.profile();
    await run(vm, PROGRAMS[name].command(scale));
    const after = await vm.machine.profile();
    const { emitted, called, interpreted, all, calls } = between(before, after);
    const misses = after.tlbMisses.read + after.tlbMisses.write - before.tlbMisses.read - before.tlbMisses.write;
    const most = calls.slice(0, 3).map(({ row, count }) => `${row} ${percent(count, all)}`);
    const shares = [emitted, called, interpreted].map((n) => percent(n, all));
    console.log(pad([name, String(all), ...shares, String(misses)], WIDTHS), "", most.join(", "));
  }
  await vm.machine.destroy();
  return 0;
}

process.exit(await main());
