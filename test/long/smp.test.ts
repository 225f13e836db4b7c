/** Debian's cloud kernel with eight vCPUs, by both transports. */
import { afterEach, beforeAll, describe, it } from "vitest";
import { expectCpus } from "../guests/several.ts";
import { buildCommand, guest, missing, Shell } from "../guests/shell.ts";

const cloud = guest("cloud");
if (!cloud) missing("cloud");

const open: Shell[] = [];
afterEach(async () => {
  for (const shell of open.splice(0)) await shell.kill();
});

describe.skipIf(!cloud).each(["threaded", "inline"] as const)("cloud kernel, %s", { timeout: 600_000 }, (transport) => {
  beforeAll(buildCommand, 300_000);

  it.each([8])("with --cpus %d", async (cpus) => {
    const shell = new Shell(cloud!, transport, { args: ["--cpus", String(cpus), "--engine", "auto"] });
    open.push(shell);
    await shell.boot(400);
    await expectCpus(shell, cpus);
  });
});
