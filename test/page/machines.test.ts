/**
 * Linux in Chromium beside Linux under Node: several vCPUs, the same deterministic run, and snapshots that go from one to the
 * other.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stateHash } from "../../src/machine/stateHash.ts";
import { PROMPT, type Script, scripted, WORK, WORKED } from "../guests/scripted.ts";
import { guest, missing } from "../guests/shell.ts";
import { cleanUp, prepare, spawn } from "../vcpu/threads.ts";
import { root } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { expectEveryVcpu } from "./everyVcpu.ts";
import { type LabSite, labSite } from "./labSite.ts";

const chromium = findChromium();
const cloud = guest("cloud");
if (!cloud) missing("cloud");

describe.skipIf(!chromium || !cloud)("machines in a page", { timeout: 600_000 }, () => {
  let site: LabSite;

  beforeAll(async () => {
    await prepare();
    const path = (file: string): string => join(root, "guests", file);
    site = await labSite(chromium!, path(cloud!.kernel.file), path(cloud!.initrd!.file));
  }, 300_000);
  afterAll(async () => {
    await site?.close();
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

  test.each([2, 4])("%d vCPUs: every one of them is there and works", (vcpus) =>
    expectEveryVcpu(site, config(vcpus, "threaded")),
  );

  test("a deterministic run is the same run as under Node: instructions, console and state", async () => {
    const page = await site.run({ ...config(2, "inline"), deterministic: true, script: WORK, until: WORKED });
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
    writeFileSync(join(site.folder, "snapshot"), await first.machine.save());
    await first.machine.destroy();
    // The prompt was shown before the snapshot, or is still to come: the shell takes a line either way.
    const check: Script = [["", "cat /tmp/sum; md5sum -c /tmp/sum; nproc; echo do''ne\r"]];
    const page = await site.run({
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
