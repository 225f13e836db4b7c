/** Debian's cloud kernel with `--cpus N`, by both transports. Eight are tested in test/long. */
import { afterEach, beforeAll, describe, it } from "vitest";
import { expectCpus, expectTopology } from "./several.ts";
import { buildCommand, guest, missing, Shell } from "./shell.ts";

const cloud = guest("cloud");
if (!cloud) missing("cloud");

const open: Shell[] = [];
afterEach(async () => {
  for (const shell of open.splice(0)) await shell.kill();
});

describe.skipIf(!cloud).each(["threaded", "inline"] as const)("cloud kernel, %s", { timeout: 300_000 }, (transport) => {
  beforeAll(buildCommand, 300_000);

  async function boot(...args: string[]): Promise<Shell> {
    const shell = new Shell(cloud!, transport, { args: [...args, "--engine", "auto"] });
    open.push(shell);
    await shell.boot(200);
    return shell;
  }

  it.each([1, 2])("with --cpus %d", async (cpus) => {
    const shell = await boot("--cpus", String(cpus));
    await expectCpus(shell, cpus);
    await expectTopology(shell, { sockets: 1, cores: cpus, threads: 1 });
  });

  it("with --cpus 4 --topology sockets=2,threads=2", async () => {
    const shell = await boot("--cpus", "4", "--topology", "sockets=2,threads=2");
    await expectCpus(shell, 4);
    await expectTopology(shell, { sockets: 2, cores: 1, threads: 2 });
  });
});
