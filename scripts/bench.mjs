/**
 * npm run bench [-- OPTIONS]: Tabhyve beside QEMU TCG (64-bit) and v86 (32-bit), measured in one run.
 *
 *   boot    from the start of the process to the shell's prompt
 *   suite   the CPU programs of test/bench, by the host's clock
 *   disk    a disk of a 32-bit guest that all three boot by firmware; only when it is asked for
 *
 * It prints medians and ratios (ours / the peer's: below 1 we are faster) and judges nothing; the status is 1 if
 * something failed or computed something else. A peer that is not installed is named, and the rest runs.
 */

import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { qemu, tabhyve, v86 } from "./bench/contenders.mjs";
import { DISK_ROWS, PROGRAMS } from "./bench/protocol.mjs";
import { bad, means, report } from "./bench/report.mjs";
import { boot, cpu, disk } from "./bench/suites.mjs";
import { preparedGuest } from "./guest/prepared.mjs";

const KINDS = ["boot", "suite", "disk"];
const BUSES = ["ide", "nvme", "virtio", "9p"];
const CONTENDERS = ["tabhyve", "qemu", "v86"];
const ENGINES = ["interp", "jit", "auto"];

const USAGE = `npm run bench [-- OPTIONS]
  --only A,B            of ${KINDS.join(", ")} (default: boot,suite)
  --bus A,B             what the disk is behind: ${BUSES.join(", ")}, a file in a shared folder (default: ide)
  --cpus N              vCPUs of the disk's guest, but v86's (default: 1)
  --bits 64|32          one of the two: 64 is against QEMU, 32 against v86 (default: both)
  --contenders A,B      of ${CONTENDERS.join(", ")} (default: all)
  --programs A,B        of the suite: ${Object.keys(PROGRAMS).join(", ")};
                        of the disk: ${Object.keys(DISK_ROWS).join(", ")}
  --scale PERCENT       how long the suite's programs take (default: 5; of the disk's, 100)
  --runs N              how often; medians are printed (default: 3)
  --engine KIND         ours: ${ENGINES.join(", ")} (default: auto)
  --json FILE           all numbers`;

function options() {
  const string = { type: "string" };
  const { values } = parseArgs({
    options: {
      ...{ only: string, bus: string, bits: string, contenders: string, programs: string, json: string },
      scale: string,
      cpus: { ...string, default: "1" },
      runs: { ...string, default: "3" },
      engine: { ...string, default: "auto" },
      help: { type: "boolean", default: false },
    },
  });
  const list = (name, from) => {
    if (values[name] === undefined) return undefined;
    const words = values[name].split(",");
    const unknown = words.find((word) => !from.includes(word));
    if (unknown !== undefined) throw new Error(`--${name} ${unknown}: one of ${from.join(", ")} is needed`);
    return words;
  };
  const count = (name) => {
    if (values[name] === undefined) return undefined;
    if (!/^[1-9]\d*$/.test(values[name]))
      throw new Error(`--${name} ${values[name]}: a whole number above 0 is needed`);
    return Number(values[name]);
  };
  return {
    help: values.help,
    only: list("only", KINDS) ?? ["boot", "suite"],
    buses: list("bus", BUSES) ?? ["ide"],
    bits: (list("bits", ["64", "32"]) ?? ["64", "32"]).map(Number),
    contenders: list("contenders", CONTENDERS) ?? CONTENDERS,
    programs: list("programs", [...Object.keys(PROGRAMS), ...Object.keys(DISK_ROWS)]),
    cpus: count("cpus"),
    engine: (list("engine", ENGINES) ?? ["auto"])[0],
    scale: count("scale"),
    runs: count("runs"),
    json: values.json,
  };
}

const say = (line) => process.stderr.write(`bench: ${line}\n`);

async function main() {
  let chosen;
  try {
    chosen = options();
  } catch (error) {
    process.stderr.write(`bench: ${error.message}\n${USAGE}\n`);
    return 2;
  }
  if (chosen.help) {
    console.log(USAGE);
    return 0;
  }
  const { only, buses, bits, runs, programs, engine } = chosen;
  const scale = chosen.scale ?? 5;
  const wants = (name) => chosen.contenders.includes(name);
  if (wants("tabhyve")) {
    const { buildCore } = await import("./build-core.mjs");
    const { buildNode } = await import("./build-node.mjs");
    await buildCore();
    await buildNode();
  }
  const peers = new Map([
    [64, wants("qemu") && (bits.includes(64) || only.includes("disk")) ? await qemu() : undefined],
    [32, wants("v86") && (bits.includes(32) || only.includes("disk")) ? await v86() : undefined],
  ]);
  const missing = [...peers.values()].flatMap((peer) => (peer?.missing ? [peer.missing] : []));
  const contenders = (width, transports) => {
    const peer = peers.get(width);
    const ours = wants("tabhyve") ? transports.map((transport) => tabhyve(transport, engine)) : [];
    return [...ours, ...(peer && !peer.missing ? [peer] : [])];
  };
  const plans = [
    { kind: "boot", width: 64, id: "cloud", transports: ["threaded", "inline"], title: "Boot, 64-bit cloud kernel" },
    { kind: "boot", width: 32, id: "i386", transports: ["threaded"], title: "Boot, 32-bit kernel" },
    { kind: "suite", width: 64, id: "bench", transports: ["threaded"], title: `CPU suite, 64-bit, scale ${scale}` },
    { kind: "suite", width: 32, id: "bench32", transports: ["threaded"], title: `CPU suite, 32-bit, scale ${scale}` },
  ];
  const tables = [];
  const failures = [];
  for (const { kind, width, id, transports, title } of plans) {
    const here = contenders(width, transports);
    if (!only.includes(kind) || !bits.includes(width) || here.length === 0) continue;
    try {
      const plan = { guest: preparedGuest(id), contenders: here, runs, say };
      tables.push(await (kind === "boot" ? boot(title, plan) : cpu(title, { ...plan, bits: width, scale, programs })));
    } catch (error) {
      failures.push(`${title}: ${error.message}`);
    }
  }

  for (const bus of only.includes("disk") ? buses : []) {
    const { cpus } = chosen;
    const title = `${bus === "9p" ? "A file by 9p" : `A disk on ${bus}`}, 32-bit${cpus > 1 ? `, ${cpus} vCPUs` : ""}`;
    const here = [...peers.values()].filter((peer) => peer && !peer.missing);
    if (wants("tabhyve")) here.unshift(tabhyve("threaded", engine));
    try {
      const plan = { guest: preparedGuest("disk32"), contenders: here, runs, say, bus, cpus, programs };
      tables.push(await disk(title, { ...plan, scale: chosen.scale ?? 100 }));
    } catch (error) {
      failures.push(`${title}: ${error.message}`);
    }
  }

  const measured = new Set(tables.flatMap((table) => table.contenders.map((c) => `${c.id} ${c.version}`)));
  const what = measured.size > 0 ? `Medians of ${runs}: ${[...measured].join(", ")}` : "Nothing was measured";
  console.log(`${what}; Node ${process.version}`);
  for (const table of tables) console.log(`\n${report(table).join("\n")}`);
  for (const line of missing) console.log(`\nNot measured: ${line}`);
  for (const line of failures) console.log(`\nFAILED ${line}`);
  if (chosen.json) {
    const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, node: process.version };
    const suites = tables.map((table) => ({ ...table, geometricMeans: means(table) }));
    const all = { version: 1, machine, runs, scale, engine, suites, missing, failures };
    writeFileSync(chosen.json, `${JSON.stringify(all, undefined, 2)}\n`);
  }
  return failures.length > 0 || tables.some(bad) || tables.length === 0 ? 1 : 0;
}

process.exitCode = await main();
