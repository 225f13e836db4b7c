/**
 * Linux goes through save and restore again and again, on either transport by turns, while it works: it copies a file and
 * compares checksums, and has a long text in a shell's memory, whose checksum it took before the first snapshot. With them go
 * an NVMe disk, a virtio disk and a shared folder, to which it writes and from which it reads, so that snapshots come in the
 * middle of that.
 */
import { join } from "node:path";
import { runnerImport } from "vite";
import { median } from "../bench/stats.mjs";
import { root } from "../prepare.mjs";
import { linux, PROMPT, TROUBLE } from "./console.mjs";

const DISK = 16 << 20;
/** Bytes of the file that is copied. */
const FILE = 3_000_000;

const load = async (path) =>
  (await runnerImport(join(root, "src", path), { configFile: false, logLevel: "error", root })).module;

/** Makes the cards of a machine: media in memory, whose contents go along in a snapshot. */
async function media() {
  const { MemoryBlocks } = await load("block/memory.ts");
  const { OverlayBlocks } = await load("block/overlay.ts");
  const { MemoryFolder } = await load("folder/memory.ts");
  const disk = () => new OverlayBlocks(new MemoryBlocks(new Uint8Array(DISK), true));
  return () => ({
    nvme: [disk()],
    virtioBlk: [disk()],
    folders: [{ tag: "share", folder: new MemoryFolder() }],
    rng: true,
    balloon: 0,
  });
}

/** A job for each: writes the file, reads it back past the cache, compares. */
const IO = [
  `io() { dd if=/tmp/f of=$1 bs=64k conv=fsync 2>/dev/null; echo 1 > /proc/sys/vm/drop_caches; compare $1 $2; }`,
  `compare() { head -c ${FILE} $1 | md5sum | cmp - /tmp/sum || echo bad >> /tmp/bad; echo >> /tmp/n$2; }`,
];
const PLACES = ["/dev/nvme0n1", "/dev/vda", "/s/f"];

export async function snapshots(prepared, { cycles, cpus, engine, say }) {
  const cards = await media();
  const create = (transport) => linux(prepared, { vcpus: cpus, transport, engine, cards: cards() });
  let now = await create("threaded");
  await now.machine.start();
  await now.upTo(PROMPT);
  await now.command("mkdir /s; mount -t 9p -o trans=virtio share /s; ls /dev/nvme0n1 /dev/vda");
  await now.command(`head -c ${FILE} /dev/urandom > /tmp/f; md5sum < /tmp/f > /tmp/sum`);
  await now.command('V=$(head -c 200000 /dev/urandom | base64); S=$(echo "$V" | md5sum)');
  // A job for each vCPU: a new copy each time, and what its checksum is.
  await now.command("job() { cp /tmp/f /tmp/c$1; md5sum < /tmp/c$1 | cmp - /tmp/sum || echo bad >> /tmp/bad; }");
  for (let id = 0; id < cpus; id++) {
    await now.command(`(while :; do job ${id}; echo >> /tmp/n${id}; done) > /tmp/said${id} 2>&1 &`);
  }
  for (const line of IO) await now.command(line);
  for (const place of PLACES) {
    const id = place.replaceAll("/", "");
    await now.command(`(while :; do io ${place} ${id}; done) > /tmp/said${id} 2>&1 &`);
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
    if (cycle === 1 || cycle % 10 === 0) say(`${cycle} cycles, ${done} copies compared`);
  }
  const each = [];
  for (const place of PLACES) {
    const rounds = (await now.command(`cat /tmp/n${place.replaceAll("/", "")} | wc -l`)).trim();
    each.push(`${place} ${rounds}`);
  }
  const complaints = (await now.command(`dmesg | ${TROUBLE}`)).trim();
  await now.machine.destroy();
  const of = (list, scale = 1, digits = 0) =>
    `${(median(list) / scale).toFixed(digits)} (${(Math.min(...list) / scale).toFixed(digits)} to ${(Math.max(...list) / scale).toFixed(digits)})`;
  return {
    ok: complaints === "0" && done > 0 && each.every((text) => Number(text.split(" ")[1]) > 0),
    lines: [
      `${cycles} cycles on ${cpus} vCPUs, threaded and inline by turns; every checksum right: ${done} copies, and before and`,
      `after each cycle the file's and the shell's own text; kernel complaints: ${complaints}`,
      `files written to disks and the shared folder and read back, right each time: ${each.join(", ")}`,
      `median (least to most): standstill ${of(numbers.standstill)} ms, save ${of(numbers.save)} ms, size ${of(numbers.size, 1e6, 1)} MB,`,
      `restore ${of(numbers.restore)} ms, from the beginning of the restore to the first answer ${of(numbers.answer)} ms`,
    ],
  };
}
