/**
 * A parallel shell load on several vCPUs: jobs that fork, pipe, sort, compress and compare, one more than there are vCPUs,
 * for so many minutes. A vCPU that stands still or a lost interrupt shows as a lockup or stall in the kernel's log, or as
 * jobs that do not come to an end.
 */
import { inChromium } from "./chromium.mjs";
import { linux, PROMPT, TROUBLE } from "./console.mjs";

/** Seconds between two looks. */
const LOOK = 20;
/** Rounds that no job may be behind another, and seconds in which one of them must have come further: a host may be busy. */
const BEHIND = 10;
const STILL = 900;

export async function load(here, { minutes, cpus, engine, transport, browser, say }) {
  const page = browser && (await inChromium(here));
  const { prepared } = page || { prepared: here };
  const vm = await linux(prepared, { vcpus: cpus, transport, engine });
  await vm.machine.start();
  await vm.upTo(PROMPT);
  const online = (await vm.command("nproc")).trim();
  await vm.command("head -c 400000 /dev/urandom > /tmp/f; md5sum < /tmp/f > /tmp/sum");
  await vm.command("sorted() { seq 1 3000 | sort -r | sort -n | md5sum; }; sorted > /tmp/sorted");
  await vm.command("one() { gzip -c /tmp/f | gunzip -c | md5sum | cmp - /tmp/sum; sorted | cmp - /tmp/sorted; }");
  await vm.command("two() { for i in 1 2 3 4 5 6 7 8; do echo $i | cat | cat > /dev/null & done; wait; sleep 0.01; }");
  for (let id = 0; id <= cpus; id++) {
    await vm.command(`: > /tmp/n${id}`);
    await vm.command(`(while :; do one; two; echo >> /tmp/n${id}; done) > /tmp/said${id} 2>&1 &`);
  }
  const end = performance.now() + minutes * 60_000;
  let rounds = Array(cpus + 1).fill(0);
  let moved = performance.now();
  const counts = () => rounds.join(" ");
  while (performance.now() < end) {
    await new Promise((done) => setTimeout(done, Math.min(LOOK * 1000, Math.max(0, end - performance.now()))));
    const answer = await vm.command(`for i in $(seq 0 ${cpus}); do wc -l < /tmp/n$i; done; cat /tmp/said*`);
    const now = answer.trim().split("\n").map(Number);
    // What is more than the numbers is what a job has said: something was not as it should be.
    if (now.length !== rounds.length || now.some(Number.isNaN)) throw new Error(`after ${counts()} rounds: ${answer}`);
    if (now.some((n, i) => n > rounds[i])) moved = performance.now();
    rounds = now;
    if (Math.min(...now) + BEHIND < Math.max(...now)) throw new Error(`a job stands still: ${counts()} rounds`);
    if (performance.now() - moved > STILL * 1000) throw new Error(`no job comes further: ${counts()} rounds`);
    say(`${((end - performance.now()) / 60_000).toFixed(1)} minutes left, rounds ${counts()}`);
  }
  const complaints = (await vm.command(`dmesg | ${TROUBLE}`)).trim();
  const clock = (await vm.command("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")).trim();
  const { counters } = await vm.machine.stats();
  await vm.machine.destroy();
  await page?.close();
  return {
    ok: complaints === "0" && online === String(cpus),
    lines: [
      `${minutes} minutes, ${cpus + 1} jobs on ${online} vCPUs (${transport}, ${engine}, ${browser ? "Chromium" : "Node"}):`,
      `rounds ${counts()}`,
      `kernel complaints: ${complaints}; clock source: ${clock}; IPIs ${counters.ipis}, page words asked ${counters.unwrites}`,
    ],
  };
}
