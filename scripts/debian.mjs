/**
 * npm run debian [-- --bus nvme|virtio|ide] [--engine auto|interp] [--inserts N]
 *
 * Boots Debian from its disk (npm run guests -- debian) to the login prompt, through each bus or one: NVMe and virtio with the
 * kernel beside the disk, IDE by SeaBIOS and GRUB. There it compiles and runs a C program, inserts rows by SQLite, runs
 * Python, and switches off. What it writes stays in memory. Status: 0 all was right.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildCore } from "./build-core.mjs";
import { buildNode } from "./build-node.mjs";
import { must, root } from "./prepare.mjs";
import { Command } from "./soak/command.mjs";

const string = { type: "string" };
const { values } = parseArgs({
  options: { bus: string, engine: { ...string, default: "auto" }, inserts: { ...string, default: "100000" } },
});
const inserts = Number(values.inserts);
const BUSES = ["nvme", "virtio", "ide"].filter((bus) => !values.bus || values.bus === bus);
if (!BUSES.length || !(inserts > 0)) throw new Error("--bus is nvme, virtio or ide, --inserts a number above 0");
const SECONDS = 900;

await buildCore();
await buildNode();
must("node", ["scripts/guests.mjs", "debian", "pc"]);
const { guests } = JSON.parse(readFileSync(join(root, "guests/manifest.json"), "utf8"));
const file = (name) => join(root, "guests", name);
const { kernel, initrd, disk, append, memory } = guests.find(({ id }) => id === "debian");
const { bios } = guests.find(({ id }) => id === "pc");

const C = String.raw`#include <stdio.h>\nint main() { long s = 0; for (int i = 1; i <= 1000; i++) s += i; printf("sum %%ld\\n", s); }\n`;
const SQL = `(echo 'create table t(a integer primary key, b text); begin;'; seq ${inserts} | sed "s/.*/insert into t values(&,'text &');/"; echo 'commit; select count(*), sum(a) from t; pragma integrity_check;')`;
/** What is done, and what must be among the answer's lines. */
const TASKS = [
  ["C", `printf '${C}' >a.c; gcc -O2 a.c -o a && ./a`, ["sum 500500"]],
  ["SQLite", `${SQL} | sqlite3 t.db`, [`${inserts}|${(inserts * (inserts + 1)) / 2}`, "ok"]],
  ["Python", "python3 -c 'print(sum(i * i for i in range(100000)))'", ["333328333350000"]],
  ["root", "sync; findmnt -n -o FSTYPE / || grep ' / ext4' /proc/mounts | cut -d' ' -f3", ["ext4"]],
];

/** A line without what the shell says to the terminal before a command's output. */
const plain = (line) =>
  line
    .split("\x1b")
    .at(-1)
    .replace(/^\[\?2004[hl]/, "")
    .trim();
const since = (from) => `${((performance.now() - from) / 1000).toFixed(1)} s`;

async function boot(bus) {
  const medium = file(disk.file);
  const how =
    bus === "ide"
      ? ["--bios", file(bios.file), "--disk", `${medium},overlay`]
      : [
          ...["--kernel", file(kernel.file), "--initrd", file(initrd.file), "--append", append],
          ...["--disk", `${medium},${bus},overlay`],
        ];
  const common = ["--memory", memory, "--engine", values.engine, "--timeout", `${SECONDS * 3}`, "--serial", "stdio"];
  const vm = new Command([...how, ...common]);
  const results = [];
  try {
    const from = performance.now();
    await vm.upTo("debian login:", SECONDS);
    results.push(`login ${since(from)}`);
    vm.type("root\r");
    await vm.upTo("debian:~# ", SECONDS);
    for (const [name, line, expected] of TASKS) {
      const begin = performance.now();
      const answer = (await vm.command(line, SECONDS)).split("\n").map(plain);
      const missing = expected.find((text) => !answer.includes(text));
      if (missing !== undefined) throw new Error(`${name}: no ${missing} in ${answer.join("\n").slice(-500)}`);
      results.push(`${name} ${since(begin)}`);
    }
    vm.type("poweroff\r");
    const status = await vm.ended;
    if (status !== 0) throw new Error(`status ${status} after poweroff`);
  } finally {
    await vm.kill();
  }
  return results.join(", ");
}

let failed = 0;
for (const bus of BUSES) {
  try {
    console.log(`${bus}: ${await boot(bus)}`);
  } catch (error) {
    failed++;
    console.log(`${bus}: FAILED: ${error.message}`);
  }
}
process.exit(failed ? 1 : 0);
