/**
 * Short lives: processes started and ended, kernel modules loaded and unloaded, the kernel's own code patched. What the
 * JIT has made of code that is gone must go, too: resident memory and what is alive of compiled code are logged, and
 * neither may grow once the caches are as full as they get. In this process, or in a page of Chromium.
 */
import { inChromium } from "./chromium.mjs";
import { linux, PROMPT, TROUBLE } from "./console.mjs";

/** Processes between two looks. */
const LOT = 250;
/** Most that the largest resident size of the last quarter may be of the second's. */
const GROWTH = 1.1;

const MiB = (bytes) => `${Math.round(bytes / 2 ** 20)} MiB`;

/** Machines in this process. */
function inNode({ lib, guest }) {
  const compilers = [];
  const regions = (memory) => {
    compilers.push(new lib.RegionCompiler(memory));
    return compilers.at(-1);
  };
  const create = (config) => lib.Machine.create({ ...config, regions });
  return {
    prepared: { lib: { ...lib, Machine: { create } }, guest },
    alive: async () => compilers.map((c) => c.alive),
    resident: async () => {
      globalThis.gc?.();
      return process.memoryUsage().rss;
    },
    close: async () => {},
  };
}

const SETUP = [
  "load() { for m in /lib/modules/*.ko; do insmod $m; done; }",
  // /proc/modules has those that need others first.
  "unload() { for m in $(cut -d' ' -f1 /proc/modules); do rmmod $m; done; }",
  // Each `env true` is a fork and an exec; sched_schedstats is a static key: branches are patched in the kernel's text.
  "some() { i=0; while [ $i -lt $1 ]; do env true; i=$((i+1)); done; }",
  "patch() { for v in 1 0; do echo $v > /proc/sys/kernel/sched_schedstats; done; }",
];

export async function churn(prepared, { processes, engine, threshold, browser, say }) {
  const where = browser ? await inChromium(prepared) : inNode(prepared);
  const vm = await linux(where.prepared, {
    ...{ transport: "inline", engine },
    ...(threshold && { jitThreshold: threshold }),
  });
  await vm.machine.start();
  await vm.upTo(PROMPT, 1200);
  const listed = async () => (await vm.command("cut -d' ' -f1 /proc/modules")).trim().split(/\s+/);
  const modules = await listed();
  for (const line of SETUP) await vm.command(line);
  const samples = [];
  for (let done = LOT; done < processes + LOT; done += LOT) {
    await vm.command(`some ${LOT}; patch; unload; load`, 1200);
    const alive = (await where.alive()).reduce((a, b) => ({
      modules: a.modules + b.modules,
      functions: a.functions + b.functions,
      bytes: a.bytes + b.bytes,
    }));
    const resident = await where.resident();
    const { counters } = await vm.machine.stats();
    samples.push({ resident, ...alive });
    say(
      `${done} processes: resident ${MiB(resident)}; alive ${alive.modules} modules, ${alive.functions} functions, ` +
        `${(alive.bytes / 2 ** 20).toFixed(1)} MiB; ${counters.regions} regions made, ${counters.regionsEvicted} evicted`,
    );
  }
  const same = (await listed()).join() === modules.join();
  const complaints = (await vm.command(`dmesg | ${TROUBLE}`)).trim();
  const { instructions, counters } = await vm.machine.stats();
  await vm.machine.destroy();
  await where.close();
  const most = (from, to, name) =>
    Math.max(...samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to)).map((s) => s[name]));
  const [early, late] = [most(0.25, 0.5, "resident"), most(0.75, 1, "resident")];
  const limits = prepared.lib.JIT_LIMITS;
  const bounded = ["modules", "functions", "bytes"].every((name) => most(0, 1, name) <= limits[name]);
  return {
    ok: complaints === "0" && same && late <= early * GROWTH && bounded,
    lines: [
      `${samples.length * LOT} processes, ${samples.length} times ${modules.length} modules and the kernel's text, ` +
        `engine ${engine}, in ${browser ? "Chromium" : "Node"}`,
      `resident: at most ${MiB(early)} in the second quarter, ${MiB(late)} in the last`,
      `alive at most: ${most(0, 1, "modules")} of ${limits.modules} modules, ${most(0, 1, "functions")} of ` +
        `${limits.functions} functions, ${MiB(most(0, 1, "bytes"))} of ${MiB(limits.bytes)}`,
      `${instructions} instructions, ${counters.modules} modules made, ${counters.regions} regions, ` +
        `${counters.regionsEvicted} evicted, ${counters.codeWrites} writes to code; kernel complaints: ${complaints}`,
    ],
  };
}
