/**
 * Linux in snapshots: saved while it is busy, it goes on in another process, by the other transport, with what it had in
 * memory, and so does what is saved from there.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { built, ROOT, Scratch, start } from "../cli/command.ts";
import { guest, missing } from "../guests/shell.ts";

const scratch = new Scratch();
beforeAll(built, 300_000);
afterAll(() => scratch.remove());

const PROMPT = "tabhyve:~# ";
const entry = guest("cloud");
if (!entry) missing("cloud");

describe("Debian's cloud kernel", { timeout: 900_000 }, () => {
  it.skipIf(!entry).each([
    [1, "threaded", "inline"],
    [2, "inline", "threaded"],
  ] as const)("with %d vCPUs, from %s to %s and back", async (cpus, first, second) => {
    const file = (name: string): string => scratch.path(`${name}${cpus}`);
    const image = (name: string): string => join(ROOT, "guests", name);
    const boot = start([
      ...["run", "--timeout", "600", "--memory", entry!.memory, "--cpus", String(cpus), "--transport", first],
      ...["--kernel", image(entry!.kernel.file), ...(entry!.initrd ? ["--initrd", image(entry!.initrd.file)] : [])],
      ...["--append", entry!.append, "--until", "^saved$", "--snapshot-out", file("one")],
      // A load that goes on, and numbers that only the guest knows.
      ...["--send", `${PROMPT}=>head -c 3000000 /dev/urandom > /tmp/f; md5sum < /tmp/f > /tmp/sum; echo ready\\n`],
      ...["--send", "^ready=>(while :; do md5sum < /tmp/f; done > /tmp/load) & echo sav''ed\\n"],
    ]);
    expect(await boot.result).toMatchObject({ status: 0, stderr: "" });
    for (const [from, to, transport] of [
      ["one", "two", second],
      ["two", "three", first],
    ]) {
      const next = start([
        ...["run", "--timeout", "300", "--transport", transport, "--snapshot-in", file(from)],
        ...["--until", "^saved again$", "--snapshot-out", file(to)],
      ]);
      // Every checksum since is the one that was taken before the first snapshot.
      next.type(
        "sleep 2; wc -l < /tmp/load; cat /tmp/sum /tmp/load | sort -u | wc -l; grep -c processor /proc/cpuinfo\n",
      );
      await next.shows(new RegExp(`^\\d+\\r?\\n1\\r?\\n${cpus}\\r?$`, "m"));
      next.type("echo 'saved' again\n");
      expect(await next.result).toMatchObject({ status: 0, stderr: "" });
    }
  });
});
