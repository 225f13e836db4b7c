/**
 * npm run soak -- WHAT [OPTIONS]: long runs that no test has the time for. It prints what it has seen; the status is 1 if
 * something was wrong.
 *
 *   snapshots   Linux goes through save and restore under load, its own checksums right each time
 *   load        a parallel shell load, without a lockup or a stall
 *   churn       processes, modules and patched code that come and go, at flat memory
 *   litmus      the litmus programs of test/litmus
 *   chips       random operations on the chips of a PC, with resets and changes of media in flight (test/io/chipStorm.ts)
 *   kills       the command or a tab killed in the middle of a guest's writes, the file system and what was fsynced checked
 *   virtio      the same on virtio devices and NVMe, with hostile queues, and 9p requests that want out of a shared folder
 */
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { chips, virtio } from "./soak/chips.mjs";
import { churn } from "./soak/churn.mjs";
import { prepare } from "./soak/console.mjs";
import { kills } from "./soak/kills.mjs";
import { litmus } from "./soak/litmus.mjs";
import { load } from "./soak/load.mjs";
import { snapshots } from "./soak/snapshots.mjs";

const WHAT = {
  snapshots: async (options) => snapshots(await prepare("share"), options),
  load: async (options) => load(await prepare("cloud"), options),
  churn: async (options) => churn(await prepare("virtio"), options),
  litmus,
  chips,
  virtio,
  kills,
};

const USAGE = `npm run soak -- ${Object.keys(WHAT).join("|")} [OPTIONS]
  --cycles N            of snapshots (default: 100) and kills (default: 50)
  --processes N         of churn (default: 10000)
  --threshold N         of churn: executions of code before it is compiled (default: the engine's)
  --browser             churn, load or kills in Chromium (CHROMIUM, or /usr/bin/chromium)
  --minutes N           of load and litmus (default: 20)
  --cpus N              vCPUs (default: 2 for snapshots, 4 for load)
  --transport KIND      of load and litmus: threaded (default) or inline
  --operations N        of chips and virtio (default: 10000000)
  --seed N              of chips, virtio and kills (default: 1)
  --engine KIND         interp, jit or auto (default)`;

function options() {
  const string = { type: "string" };
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...{ cycles: string, minutes: { ...string, default: "20" }, cpus: string },
      ...{ processes: { ...string, default: "10000" }, threshold: string },
      browser: { type: "boolean", default: false },
      ...{ operations: { ...string, default: "10000000" }, seed: { ...string, default: "1" } },
      transport: { ...string, default: "threaded" },
      engine: { ...string, default: "auto" },
    },
  });
  const [what] = positionals;
  if (positionals.length !== 1 || !(what in WHAT)) throw new Error(`one of ${Object.keys(WHAT).join(", ")} is needed`);
  const number = (name, otherwise) => {
    const n = Number(values[name] ?? otherwise);
    if (!(n > 0)) throw new Error(`--${name} ${values[name]}: a number above 0 is needed`);
    return n;
  };
  const { transport, engine } = values;
  return {
    what,
    cycles: number("cycles", what === "kills" ? 50 : 100),
    minutes: number("minutes"),
    processes: number("processes"),
    browser: values.browser,
    ...(values.threshold !== undefined && { threshold: number("threshold") }),
    cpus: number("cpus", what === "snapshots" ? 2 : 4),
    operations: number("operations"),
    seed: number("seed"),
    transport,
    engine,
  };
}

const say = (line) => process.stderr.write(`soak: ${line}\n`);
const hostLoad = () =>
  loadavg()
    .map((n) => n.toFixed(1))
    .join(" ");

async function main() {
  let chosen;
  try {
    chosen = options();
  } catch (error) {
    process.stderr.write(`soak: ${error.message}\n${USAGE}\n`);
    return 2;
  }
  const before = hostLoad();
  const { ok, lines } = await WHAT[chosen.what]({ ...chosen, say });
  for (const line of lines) console.log(line);
  console.log(`load of the host, before: ${before}, after: ${hostLoad()}; Node ${process.version}`);
  return ok ? 0 : 1;
}

try {
  process.exit(await main());
} catch (error) {
  say(`FAILED: ${error.message}`);
  process.exit(1);
}
