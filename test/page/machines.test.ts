/**
 * Linux in Chromium beside Linux under Node: several vCPUs, the same deterministic run, and snapshots that go from one to the
 * other.
 */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stateHash } from "../../src/machine/stateHash.ts";
import { PROMPT, type Script, scripted, WORK, WORKED } from "../guests/scripted.ts";
import { guest, missing } from "../guests/shell.ts";
import { cleanUp, prepare, spawn } from "../vcpu/threads.ts";
import { findChromium, type Host, host, launch, root } from "./browser.ts";
import type { Lab } from "./lab/lab.ts";

const chromium = findChromium();
const cloud = guest("cloud");
if (!cloud) missing("cloud");

describe.skipIf(!chromium || !cloud)("machines in a page", { timeout: 600_000 }, () => {
  let folder: string;
  let served: Host;
  let browser: Browser;

  beforeAll(async () => {
    await prepare();
    folder = mkdtempSync(join(tmpdir(), "tabhyve-lab-"));
    const outDir = join(folder, "site");
    await build({
      root: join(root, "test/page/lab"),
      base: "./",
      configFile: false,
      logLevel: "error",
      publicDir: false,
      worker: { format: "es" },
      build: { outDir, target: "esnext" },
    });
    symlinkSync(join(root, "guests", cloud!.kernel.file), join(outDir, "kernel"));
    symlinkSync(join(root, "guests", cloud!.initrd!.file), join(outDir, "initrd"));
    served = await host(outDir, true);
    browser = await launch(chromium!);
  }, 300_000);
  afterAll(async () => {
    await browser?.close();
    await served?.close();
    if (folder) rmSync(folder, { recursive: true });
    cleanUp();
  });

  const config = (vcpus: number, transport: "threaded" | "inline") => ({
    append: `${cloud!.append} tabhyve.size=200x50`,
    memoryBytes: 128 * 2 ** 20,
    vcpus,
    transport,
    engine: "auto" as const,
  });
  const inNode = (vcpus: number, transport: "threaded" | "inline") => ({
    ...config(vcpus, transport),
    core: readFileSync(join(root, "dist/core/core.wasm")),
    kernel: readFileSync(join(root, "guests", cloud!.kernel.file)),
    initrd: readFileSync(join(root, "guests", cloud!.initrd!.file)),
    spawn,
  });

  /** Runs a job of the lab in a page of its own. */
  async function inPage(job: Omit<Parameters<Lab["run"]>[0], "kernel" | "initrd">): ReturnType<Lab["run"]> {
    const page: Page = await browser.newPage();
    try {
      await page.goto(served.base);
      await page.waitForFunction(() => "lab" in globalThis);
      return await page.evaluate(
        (j) => (globalThis as unknown as { lab: Lab }).lab.run({ ...j, kernel: "kernel", initrd: "initrd" }),
        job,
      );
    } finally {
      await page.close();
    }
  }

  test.each([2, 4])("%d vCPUs: every one of them is there and works", async (vcpus) => {
    const script: Script = [
      [PROMPT, "nproc; grep -c ^processor /proc/cpuinfo; cat /proc/interrupts | head -n 1\r"],
      [
        PROMPT,
        `for i in $(seq 0 ${vcpus - 1}); do taskset -c $i sh -c 'echo on $(cut "-d " -f39 /proc/self/stat)'; done\r`,
      ],
      [PROMPT, "dmesg | grep -c 'detected stall\\|lockup\\|Call Trace\\|BUG:'; echo do''ne\r"],
    ];
    const { text } = await inPage({ ...config(vcpus, "threaded"), script, until: WORKED });
    const said = text.replaceAll("\r\n", "\n");
    const columns = Array.from({ length: vcpus }, (_, i) => `CPU${i} +`).join("");
    expect(said).toMatch(new RegExp(`\n${vcpus}\n${vcpus}\n +${columns}\n`));
    for (let i = 0; i < vcpus; i++) expect(said).toContain(`\non ${i}\n`);
    expect(said).toMatch(/\n0\ndone/);
  });

  test("a deterministic run is the same run as under Node: instructions, console and state", async () => {
    const page = await inPage({ ...config(2, "inline"), deterministic: true, script: WORK, until: WORKED });
    const { machine, text } = await scripted({ ...inNode(2, "inline"), deterministic: {} }, WORK, WORKED);
    expect(page.text).toBe(text);
    expect(page.instructions).toBe(machine.stats().instructions);
    expect(page.hash).toBe(await stateHash(machine));
    await machine.destroy();
  });

  test("a snapshot goes from Node to the page and back", async () => {
    const sum: Script = [[PROMPT, "head -c 500000 /dev/urandom > /tmp/f; md5sum /tmp/f | tee /tmp/sum; echo do''ne\r"]];
    const first = await scripted(inNode(2, "threaded"), sum, WORKED);
    const line = /[0-9a-f]{32} {2}\/tmp\/f/.exec(first.text)?.[0];
    expect(line).toBeDefined();
    writeFileSync(join(folder, "site/snapshot"), await first.machine.save());
    await first.machine.destroy();
    // The prompt was shown before the snapshot, or is still to come: the shell takes a line either way.
    const check: Script = [["", "cat /tmp/sum; md5sum -c /tmp/sum; nproc; echo do''ne\r"]];
    const page = await inPage({
      ...config(2, "threaded"),
      script: check,
      until: WORKED,
      snapshot: "snapshot",
      save: true,
    });
    const answer = new RegExp(`\n${line}\r\n/tmp/f: OK\r\n2\r\ndone`);
    expect(page.text).toMatch(answer);
    const snapshot = Uint8Array.from(Buffer.from(page.saved, "base64"));
    const back = await scripted(inNode(2, "inline"), check, WORKED, { snapshot });
    expect(back.text).toMatch(answer);
    await back.machine.destroy();
  });
});
