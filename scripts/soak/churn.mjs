/**
 * Short lives: processes started and ended, kernel modules loaded and unloaded, the kernel's own code patched. What the
 * JIT has made of code that is gone must go, too: the process's memory and what is alive of compiled code are logged, and
 * neither may grow once the caches are as full as they get.
 */
import { linux, PROMPT, TROUBLE } from "./console.mjs";

/** Processes between two looks. */
const LOT = 250;
/** What is compared: the largest resident size in the second quarter, and in the last one. */
const GROWTH = 1.1;

const MiB = (bytes) => `${Math.round(bytes / 2 ** 20)} MiB`;

export async function churn(prepared, { processes, engine, threshold, say }) {
  const compilers = [];
  const vm = await linux(prepared, {
    transport: "inline",
    engine,
    ...(threshold && { jitThreshold: threshold }),
    regions: (memory) => {
      const compiler = new prepared.lib.RegionCompiler(memory);
      compilers.push(compiler);
      return compiler;
    },
  });
  await vm.machine.start();
  await vm.upTo(PROMPT);
  const modules = (await vm.command("cut -d' ' -f1 /proc/modules")).trim().split(/\s+/);
  await vm.command("load() { for m in /lib/modules/*.ko; do insmod $m; done; }");
  // /proc/modules has those that need others first.
  await vm.command("unload() { for m in $(cut -d' ' -f1 /proc/modules); do rmmod $m; done; }");
  // Each `env true` is a fork and an exec; sched_schedstats is a static key, whose branches are patched in the kernel's text.
  await vm.command("some() { i=0; while [ $i -lt $1 ]; do env true; i=$((i+1)); done; }");
  await vm.command("patch() { for v in 1 0; do echo $v > /proc/sys/kernel/sched_schedstats; done; }");
  const samples = [];
  for (let done = 0; done < processes; done += LOT) {
    await vm.command(`some ${LOT}; patch; unload; load`, 1200);
    globalThis.gc?.();
    const alive = compilers
      .map((c) => c.alive)
      .reduce((a, b) => ({
        modules: a.modules + b.modules,
        functions: a.functions + b.functions,
        bytes: a.bytes + b.bytes,
      }));
    const { rss, external } = process.memoryUsage();
    const { counters } = vm.machine.stats();
    samples.push({ done: done + LOT, rss, ...alive, evicted: counters.regionsEvicted });
    say(
      `${done + LOT} processes: resident ${MiB(rss)}, external ${MiB(external)}; alive ${alive.modules} modules, ` +
        `${alive.functions} functions, ${MiB(alive.bytes)}; ${counters.regions} regions made, ${counters.regionsEvicted} evicted`,
    );
  }
  const loaded = (await vm.command("cut -d' ' -f1 /proc/modules")).trim().split(/\s+/);
  const complaints = (await vm.command(`dmesg | ${TROUBLE}`)).trim();
  const { instructions, counters } = vm.machine.stats();
  await vm.machine.destroy();
  const most = (from, to, name) =>
    Math.max(...samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to)).map((s) => s[name]));
  const same = loaded.join() === modules.join();
  const [early, late] = [most(0.25, 0.5, "rss"), most(0.75, 1, "rss")];
  const limits = prepared.lib.JIT_LIMITS;
  const bounded = ["modules", "functions", "bytes"].every((name) => most(0, 1, name) <= limits[name]);
  return {
    ok: complaints === "0" && same && late <= early * GROWTH && bounded,
    lines: [
      `${processes} processes, ${samples.length} times ${modules.length} modules and the kernel's text, engine ${engine}`,
      `resident: at most ${MiB(early)} in the second quarter, ${MiB(late)} in the last`,
      `alive at most: ${most(0, 1, "modules")} of ${limits.modules} modules, ${most(0, 1, "functions")} of ` +
        `${limits.functions} functions, ${MiB(most(0, 1, "bytes"))} of ${MiB(limits.bytes)}`,
      `${instructions} instructions, ${counters.modules} modules made, ${counters.regions} regions, ` +
        `${counters.regionsEvicted} evicted, ${counters.codeWrites} writes to code; kernel complaints: ${complaints}`,
    ],
  };
}
