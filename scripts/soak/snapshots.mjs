/**
 * Linux goes through save and restore again and again, on either transport by turns, while it works: it copies a file and
 * compares checksums, and has a long text in a shell's memory, whose checksum it took before the first snapshot.
 */
import { median } from "../bench/stats.mjs";
import { linux, PROMPT, TROUBLE } from "./console.mjs";

export async function snapshots(prepared, { cycles, cpus, engine, say }) {
  const create = (transport) => linux(prepared, { vcpus: cpus, transport, engine });
  let now = await create("threaded");
  await now.machine.start();
  await now.upTo(PROMPT);
  await now.command("head -c 3000000 /dev/urandom > /tmp/f; md5sum < /tmp/f > /tmp/sum");
  await now.command('V=$(head -c 200000 /dev/urandom | base64); S=$(echo "$V" | md5sum)');
  // A job for each vCPU: a new copy each time, and what its checksum is.
  await now.command("job() { cp /tmp/f /tmp/c$1; md5sum < /tmp/c$1 | cmp - /tmp/sum || echo bad >> /tmp/bad; }");
  for (let id = 0; id < cpus; id++) {
    await now.command(`(while :; do job ${id}; echo >> /tmp/n${id}; done) > /tmp/said${id} 2>&1 &`);
  }
  const numbers = { standstill: [], save: [], size: [], restore: [], answer: [] };
  let done = 0;
  for (let cycle = 1; cycle <= cycles; cycle++) {
    const begin = performance.now();
    const file = await now.machine.save();
    const saved = performance.now();
    numbers.standstill.push(now.machine.stats().standstillMs);
    numbers.save.push(saved - begin);
    numbers.size.push(file.length);
    const next = await create(cycle % 2 ? "inline" : "threaded");
    const made = performance.now();
    await next.machine.restore(file);
    const restored = performance.now();
    await next.machine.resume();
    await next.command("echo");
    numbers.restore.push(restored - made);
    numbers.answer.push(performance.now() - made);
    await now.machine.destroy();
    now = next;
    const check = '[ "$(echo "$V" | md5sum)" = "$S" ] && echo same; md5sum < /tmp/f | cmp - /tmp/sum && echo equal';
    const answer = await now.command(check);
    if (answer !== "same\nequal\n") throw new Error(`cycle ${cycle}: ${answer}`);
    const bad = await now.command("cat /tmp/bad /tmp/said*; cat /tmp/n* | wc -l");
    const rounds = /^cat: can't open '\/tmp\/bad'.*\n(\d+)\n$/.exec(bad)?.[1];
    if (rounds === undefined || Number(rounds) < done) throw new Error(`cycle ${cycle}: ${bad}`);
    done = Number(rounds);
    if (cycle % 10 === 0) say(`${cycle} cycles, ${done} copies compared`);
  }
  const complaints = (await now.command(`dmesg | ${TROUBLE}`)).trim();
  await now.machine.destroy();
  const of = (list, scale = 1, digits = 0) =>
    `${(median(list) / scale).toFixed(digits)} (${(Math.min(...list) / scale).toFixed(digits)} to ${(Math.max(...list) / scale).toFixed(digits)})`;
  return {
    ok: complaints === "0" && done > 0,
    lines: [
      `${cycles} cycles on ${cpus} vCPUs, threaded and inline by turns; every checksum right: ${done} copies, and before and`,
      `after each cycle the file's and the shell's own text; kernel complaints: ${complaints}`,
      `median (least to most): standstill ${of(numbers.standstill)} ms, save ${of(numbers.save)} ms, size ${of(numbers.size, 1e6, 1)} MB,`,
      `restore ${of(numbers.restore)} ms, from the beginning of the restore to the first answer ${of(numbers.answer)} ms`,
    ],
  };
}
