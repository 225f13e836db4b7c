// What a snapshot of the booted Linux (256 MB) costs: npm run snapshot [-- --runs N --transport threaded|inline --engine KIND].
// Prints medians, in ms: how long the guest stands still, how long saving takes, and from the beginning of a restore, and from
// that of making the machine for it, to the shell's first answer; and the file's size.
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { aligned } from "./bench/report.mjs";
import { median } from "./bench/stats.mjs";
import { Console, PROMPT, prepare } from "./soak/console.mjs";

const string = { type: "string" };
const { values } = parseArgs({ options: { runs: { ...string, default: "5" }, transport: string, engine: string } });
const { runs, engine = "auto" } = values;
if (!/^[1-9]\d*$/.test(runs)) throw new Error(`--runs ${runs}: a whole number above 0 is needed`);
const transports = values.transport ? [values.transport] : ["threaded", "inline"];
const { lib, guest } = await prepare("cloud");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const create = (transport) => Console.create(lib, { ...guest, memoryBytes: 256 * 2 ** 20, transport, engine });

const rows = [["", "standstill", "save", "MB", "restore to answer", "create to answer"]];
for (const transport of transports) {
  const one = await create(transport);
  await one.machine.start();
  await one.upTo(PROMPT);
  // The shell is idle.
  await sleep(1000);
  const seen = [[], [], [], [], []];
  for (let run = 0; run < Number(runs); run++) {
    const begin = performance.now();
    const file = await one.machine.save();
    const saved = performance.now();
    const two = await create(transport);
    const made = performance.now();
    await two.machine.restore(file);
    await two.machine.resume();
    two.type("echo $((6*7))\r");
    await two.upTo("\r\n42\r\n");
    const answered = performance.now();
    await two.machine.destroy();
    const numbers = [
      one.machine.stats().standstillMs,
      saved - begin,
      file.length / 1e6,
      answered - made,
      answered - saved,
    ];
    numbers.forEach((n, i) => void seen[i].push(n));
  }
  await one.machine.destroy();
  rows.push([transport, ...seen.map((list, i) => median(list).toFixed(i === 2 ? 1 : 0))]);
}
for (const line of aligned(rows)) console.log(line);
console.log(`Medians of ${runs}; load of the host ${loadavg()[0].toFixed(1)}; Node ${process.version}`);
process.exit(0);
