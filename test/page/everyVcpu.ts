/** What a Linux with several vCPUs must show in a page. */
import { expect } from "vitest";
import { PROMPT, type Script, WORKED } from "../guests/scripted.ts";
import type { LabSite } from "./labSite.ts";

/** Asserts that Linux sees so many vCPUs, runs a process on each, has timer interrupts on each, and does not complain. */
export async function expectEveryVcpu(site: LabSite, config: Omit<Parameters<LabSite["run"]>[0], "script" | "until">) {
  const { vcpus } = config;
  const script: Script = [
    [PROMPT, "nproc; grep -c ^processor /proc/cpuinfo; grep -E 'CPU0|LOC' /proc/interrupts\r"],
    [
      PROMPT,
      `for i in $(seq 0 ${vcpus - 1}); do taskset -c $i sh -c 'echo on $(cut "-d " -f39 /proc/self/stat)'; done\r`,
    ],
    [PROMPT, "dmesg | grep -c 'detected stall\\|lockup\\|Call Trace\\|BUG:'; echo do''ne\r"],
  ];
  const { text } = await site.run({ ...config, script, until: WORKED });
  const said = text.replaceAll("\r\n", "\n");
  const columns = Array.from({ length: vcpus }, (_, i) => `CPU${i} +`).join("");
  const timers = Array(vcpus).fill(" +[1-9]\\d*").join("");
  expect(said).toMatch(new RegExp(`\n${vcpus}\n${vcpus}\n +${columns}\n *LOC:${timers} `));
  for (let i = 0; i < vcpus; i++) expect(said).toContain(`\non ${i}\n`);
  expect(said).toMatch(/\n0\ndone/);
}
