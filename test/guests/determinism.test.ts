/**
 * Linux in runs that can be repeated (src/machine/determinism.ts): from the command line, typed to, twice; and once more from
 * the record of what was typed. The page's run is compared in test/page/machines.test.ts.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { built, ROOT, Scratch, tabhyve } from "../cli/command.ts";
import { WORK } from "./scripted.ts";
import { guest, missing } from "./shell.ts";

const scratch = new Scratch();
beforeAll(built, 300_000);
afterAll(() => scratch.remove());
const cloud = guest("cloud");
if (!cloud) missing("cloud");

interface Stats {
  readonly instructions: number;
  readonly stateHash: string;
}

describe.skipIf(!cloud)("deterministic Linux", { timeout: 1_200_000 }, () => {
  const image = (name: string): string => join(ROOT, "guests", name);
  const run = async (name: string, vcpus: number, args: string[]): Promise<Stats & { stdout: string }> => {
    const stats = scratch.path(`${name}.json`);
    const { status, stdout, stderr } = await tabhyve([
      ...["run", "--transport", "inline", "--engine", "auto", "--cpus", String(vcpus), "--timeout", "240"],
      ...["--kernel", image(cloud!.kernel.file), "--initrd", image(cloud!.initrd!.file), "--append", cloud!.append],
      ...["--memory", "128M", "--until", "^done", "--stats", stats, ...args],
    ]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const { instructions, stateHash } = JSON.parse(readFileSync(stats, "utf8")) as Stats;
    return { instructions, stateHash, stdout };
  };
  const typed = WORK.flatMap(([mark, text]) => ["--send", `${mark}=>${text}`]);

  it("states are equal at equal instruction counts, typed to or replayed; another byte makes another run", async () => {
    const record = scratch.path("record");
    const one = await run("one", 1, ["--deterministic", "--record", record, ...typed]);
    expect(one.stdout).toMatch(/\r\ndone/);
    expect(await run("two", 1, ["--deterministic", ...typed])).toEqual(one);
    expect(await run("replayed", 1, ["--deterministic", "--replay", record])).toEqual(one);
    const lines = readFileSync(record, "utf8");
    expect(lines.split("\n").filter(Boolean)).toHaveLength(WORK.length);
    const other = lines.replace(Buffer.from("2000").toString("hex"), Buffer.from("2001").toString("hex"));
    expect(other).not.toBe(lines);
    scratch.file("other", Buffer.from(other));
    expect((await run("changed", 1, ["--deterministic", "--replay", scratch.path("other")])).stateHash).not.toBe(
      one.stateHash,
    );
  });

  it("with three vCPUs, too", async () => {
    const record = scratch.path("record3");
    const one = await run("one3", 3, ["--deterministic", "--record", record, ...typed]);
    expect(await run("replayed3", 3, ["--deterministic", "--replay", record])).toEqual(one);
  });
});
