/** The measurements themselves. Contenders take turns, so that a noisy machine hits all alike. */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bootDisk, dataDisk } from "./bootDisk.mjs";
import { TAG } from "./contenders.mjs";
import { Guest } from "./guest.mjs";
import {
  DATA_FILE,
  DISK_BYTES,
  DISK_ROWS,
  DONE,
  Lines,
  PREPARE,
  PROGRAMS,
  PROMPT,
  prepareDisks,
  Results,
  SAY_DONE,
  SHELL,
} from "./protocol.mjs";
import { median, summarise } from "./stats.mjs";

/** Seconds after which something hangs; generous, for a busy machine. */
const BOOT_LIMIT = 180;
const PROGRAM_LIMIT = 600;

/** The prompt of the shell guests (scripts/guest/profile). */
const LOGIN = "tabhyve:~# ";

/** `list` as turn number `turn` goes through it: each is first equally often. */
export const rotated = (list, turn) => list.map((_, i) => list[(i + turn) % list.length]);

/** @typedef {{guest: object, contenders: import("./contenders.mjs").Contender[], runs: number,
 *   say: (line: string) => void}} Plan */

/** Groups results that arrive one by one, and what went wrong. */
class Record {
  runs = new Map();
  failed = new Map();

  add(row, contender, result) {
    if (!this.runs.has(row)) this.runs.set(row, new Map());
    const byContender = this.runs.get(row);
    if (!byContender.has(contender)) byContender.set(contender, []);
    byContender.get(contender).push(result);
  }

  table(title, contenders) {
    const rows = [...this.runs].map(([name, runs]) => ({
      ...summarise(name, contenders, runs),
      runs: Object.fromEntries(runs),
    }));
    const failures = Object.fromEntries(this.failed);
    return { title, contenders: contenders.map(({ id, ours, version }) => ({ id, ours, version })), rows, failures };
  }
}

/**
 * From the start of the process to the shell's prompt.
 * @param {string} title
 * @param {Plan} plan
 */
export async function boot(title, { guest, contenders, runs, say }) {
  const record = new Record();
  const counted = new Map();
  const stats = join(tmpdir(), `tabhyve-bench-${process.pid}.json`);
  for (let turn = 0; turn < runs; turn++) {
    for (const contender of rotated(contenders, turn)) {
      if (record.failed.has(contender.id)) continue;
      const vm = new Guest(contender.command(guest, { until: LOGIN, stats }));
      try {
        const host = ((await vm.waitFor(LOGIN, BOOT_LIMIT)) - vm.started) / 1000;
        record.add("boot to shell", contender.id, { host });
        say(`${title}, ${contender.id}: ${host.toFixed(2)} s`);
        if (contender.ours) {
          const status = await vm.ended(30);
          if (status !== 0) throw new Error(`ended with status ${status} after the shell's prompt`);
          if (!counted.has(contender.id)) counted.set(contender.id, []);
          counted.get(contender.id).push(JSON.parse(readFileSync(stats, "utf8")));
        }
      } catch (error) {
        record.failed.set(contender.id, error.message);
        say(`${title}, ${contender.id}: FAILED`);
      } finally {
        await vm.kill();
        rmSync(stats, { force: true });
      }
    }
  }
  const speed = {};
  for (const [id, all] of counted) {
    const of = (what) => median(all.map(what));
    speed[id] = {
      instructions: of((s) => s.instructions),
      vcpuSeconds: of((s) => s.vcpuSeconds),
      mips: of((s) => s.mips),
    };
  }
  return { ...record.table(title, contenders), speed };
}

/**
 * Every contender boots once; then each row runs on one after the other. The others idle meanwhile in the guest's HLT.
 *
 * @param {string} title
 * @param {{contenders: import("./contenders.mjs").Contender[], runs: number, say: (line: string) => void,
 *   command: (contender: object) => string[] | Promise<string[]>, prepare: string,
 *   rows: {name: string, gives: string[], text: string}[]}} plan  what starts each, what is typed first, and for each row
 */
async function turns(title, { contenders, runs, say, command, prepare, rows }) {
  const record = new Record();
  const machines = new Map();
  const fail = async (contender, error) => {
    record.failed.set(contender.id, error.message);
    say(`${title}, ${contender.id}: FAILED`);
    await machines.get(contender.id)?.vm.kill();
    machines.delete(contender.id);
  };
  const typed = (vm, lines, text, limit, what) => {
    const results = new Results();
    vm.type(`${text}\n`);
    return vm.wait(
      (output, at) => {
        for (const line of lines.feed(output)) if (results.line(line, at)) return results.done;
        return undefined;
      },
      limit,
      `end (${DONE}) of ${what}`,
    );
  };
  try {
    for (const contender of contenders) {
      const vm = new Guest(await command(contender));
      const lines = new Lines();
      machines.set(contender.id, { vm, lines });
      try {
        await vm.waitFor(PROMPT, BOOT_LIMIT);
        await typed(vm, lines, prepare, 60, "the preparation");
        say(`${title}, ${contender.id}: ready`);
      } catch (error) {
        await fail(contender, error);
      }
    }
    for (let turn = 0; turn < runs; turn++) {
      for (const { name, gives, text } of rows) {
        for (const contender of rotated(contenders, turn)) {
          const machine = machines.get(contender.id);
          if (!machine) continue;
          try {
            const results = await typed(machine.vm, machine.lines, `${text}; ${SAY_DONE}`, PROGRAM_LIMIT, name);
            const got = results.map((r) => r.name).join(" ");
            if (got !== gives.join(" "))
              throw new Error(`${name} reported on "${got}" instead of "${gives.join(" ")}"`);
            for (const result of results) {
              record.add(gives.length > 1 ? result.name : name, contender.id, result);
              say(`${title}, ${contender.id}: ${result.name} ${result.host.toFixed(3)} s`);
            }
          } catch (error) {
            await fail(contender, new Error(`${name}: ${error.message}`));
          }
        }
      }
    }
  } finally {
    for (const { vm } of machines.values()) await vm.kill();
  }
  return record.table(title, contenders);
}

/**
 * The CPU suite.
 *
 * @param {string} title
 * @param {Plan & {bits: 32 | 64, scale: number, programs?: string[]}} plan
 */
export function cpu(title, { guest, bits, scale, programs, ...plan }) {
  const all = Object.keys(PROGRAMS).filter((name) => !PROGRAMS[name].bits || PROGRAMS[name].bits === bits);
  const rows = all
    .filter((name) => !programs || programs.includes(name))
    .map((name) => ({ name, gives: PROGRAMS[name].gives, text: PROGRAMS[name].command(scale) }));
  const command = (contender) => contender.command({ ...guest, append: `${guest.append} ${SHELL}` });
  return turns(title, { ...plan, command, prepare: PREPARE, rows });
}

/** Where Linux keeps files in memory. */
const IN_MEMORY = "/dev/shm";

/**
 * A disk on a bus, or a file in a shared folder. All boot the same image by firmware, from IDE; each has data of its own that
 * is measured, with the same contents. The files are in memory where the host has such a folder, as v86's always are: the
 * host's own disk is not what is compared.
 *
 * @param {string} title
 * @param {Plan & {bus: import("./contenders.mjs").Bus, scale: number, cpus: number, programs?: string[]}} plan
 */
export async function disk(title, { guest, contenders, bus, scale, cpus, programs, ...plan }) {
  const folder = mkdtempSync(join(existsSync(IN_MEMORY) ? IN_MEMORY : tmpdir(), "tabhyve-bench-"));
  try {
    const boot = join(folder, "boot.img");
    writeFileSync(boot, await bootDisk({ ...guest, append: `${guest.append} ${SHELL}` }));
    const bytes = dataDisk(DISK_BYTES);
    const commands = new Map();
    for (const [n, contender] of contenders.entries()) {
      const own = join(folder, String(n));
      const data = join(own, DATA_FILE);
      const command = await contender.fromDisk({ boot, folder: own, data, memory: guest.memory, cpus }, bus);
      if (!command) continue;
      mkdirSync(own);
      writeFileSync(data, bytes);
      commands.set(contender, command);
    }
    const names = Object.keys(DISK_ROWS).filter((name) => !programs || programs.includes(name));
    const rows = names.map((name) => ({
      name,
      gives: [name],
      text: `/bin/disk "$disk" ${name} ${scale}`,
    }));
    const command = (contender) => commands.get(contender);
    const table = await turns(title, {
      ...{ ...plan, contenders: [...commands.keys()], command, prepare: prepareDisks(bus, TAG), rows },
    });
    for (const row of table.rows) {
      const { amount, unit } = DISK_ROWS[row.name];
      const done = Math.max(1, Math.floor((amount * scale) / 100));
      const each = Object.entries(row.seconds).map(([id, s]) => `${id} ${(done / s).toFixed(0)} ${unit}`);
      row.notes.unshift(each.join(", "));
    }
    return table;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
