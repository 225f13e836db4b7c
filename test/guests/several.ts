/** What a Linux with several vCPUs must show at its shell. */
import { expect } from "vitest";
import type { Shell } from "./shell.ts";

/** Kernel messages that must not be there. */
const TROUBLE =
  /detected stall|soft lockup|hard LOCKUP|Call Trace|\bBUG:|\bOops|WARNING:|TSC unstable|failed to come up|not responding/;

/** A row of /proc/interrupts, by its name: a count for each vCPU. */
function row(interrupts: string, name: string, cpus: number): number[] {
  const words = new RegExp(`^ *${name}: +(.*)$`, "m").exec(interrupts)?.[1].split(/ +/) ?? [];
  return words.slice(0, cpus).map(Number);
}

/** Asserts that every vCPU is online, runs processes, takes timer interrupts and answers IPIs. */
export async function expectCpus(shell: Shell, cpus: number): Promise<void> {
  expect(await shell.command("nproc")).toBe(`${cpus}\n`);
  expect(await shell.command("grep -c ^processor /proc/cpuinfo")).toBe(`${cpus}\n`);
  expect(await shell.command("cat /sys/devices/system/cpu/online")).toBe(cpus > 1 ? `0-${cpus - 1}\n` : "0\n");
  const before = await shell.command("cat /proc/interrupts");
  const names = Array.from({ length: cpus }, (_, i) => `CPU${i}`);
  expect(before.split("\n")[0].trim().split(/ +/)).toEqual(names);
  // A process on each, which says where it is and works for a while.
  await shell.command("on() { taskset -c $1 sh -c 'cut \"-d \" -f39 /proc/self/stat; seq 2000 | md5sum >/dev/null'; }");
  const ran = await shell.command(`for i in $(seq 0 ${cpus - 1}); do on $i & done; wait`);
  expect(
    ran
      .match(/^\d+$/gm)
      ?.map(Number)
      .sort((a, b) => a - b),
  ).toEqual(names.map((_, i) => i));
  await shell.command("sleep 0.5");
  const after = await shell.command("cat /proc/interrupts");
  const timers = [row(before, "LOC", cpus), row(after, "LOC", cpus)];
  for (let i = 0; i < cpus; i++) expect(timers[1][i], `timer interrupts of CPU ${i}`).toBeGreaterThan(timers[0][i]);
  if (cpus > 1) {
    const ipis = ["RES", "CAL"].map((name) => row(after, name, cpus).reduce((sum, n) => sum + n, 0));
    expect(ipis[0] + ipis[1]).toBeGreaterThan(0);
    expect((await shell.command("dmesg")).match(/Brought up 1 node, (\d+) CPUs?/)?.[1]).toBe(String(cpus));
  }
  for (const line of (await shell.command("dmesg")).split("\n")) expect(line).not.toMatch(TROUBLE);
}

/** Asserts that Linux sees the vCPUs spread so. */
export async function expectTopology(
  shell: Shell,
  { sockets, cores, threads }: { readonly sockets: number; readonly cores: number; readonly threads: number },
): Promise<void> {
  const info = await shell.command("grep -E '^(physical id|core id|siblings|cpu cores)' /proc/cpuinfo");
  const of = (name: string): number[] =>
    [...info.matchAll(new RegExp(`^${name}\\s*: (\\d+)$`, "gm"))].map((m) => Number(m[1]));
  const all = sockets * cores * threads;
  const packages = of("physical id");
  expect([packages.length, new Set(packages).size]).toEqual([all, sockets]);
  expect(new Set(of("core id").map((core, i) => `${packages[i]},${core}`)).size).toBe(sockets * cores);
  expect(new Set(of("siblings"))).toEqual(new Set([cores * threads]));
  expect(new Set(of("cpu cores"))).toEqual(new Set([cores]));
}
