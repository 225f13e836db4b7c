/** `--snapshot-out` and `--snapshot-in`: a guest goes on in another process, by the other transport. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { built, Scratch, start, tabhyve } from "./command.ts";

const scratch = new Scratch();
beforeAll(built, 300_000);
afterAll(() => scratch.remove());

const run = (...args: string[]) => tabhyve(["run", "--timeout", "100", ...args]);
const file = (name: string): string => scratch.path(name);

describe("snapshots", { timeout: 240_000 }, () => {
  it.each([
    ["threaded", "inline"],
    ["inline", "threaded"],
  ])("from %s to %s; memory and CPUs come from the snapshot", async (first, second) => {
    const saved = await run(
      "--transport",
      first,
      "--memory",
      "16M",
      ...["--topology", "threads=2"],
      ...["--until", "> $"],
      "--snapshot-out",
      file("s"),
    );
    expect(saved).toMatchObject({ status: 0, stderr: "" });
    const two = start(["run", "--timeout", "100", "--transport", second, "--snapshot-in", file("s")]);
    two.type("machine\r");
    await two.shows(/> $/);
    two.type("poweroff\r");
    const r = await two.result;
    expect(r).toMatchObject({ status: 0, stderr: "" });
    // No boot: the first thing it says is the echo.
    expect(r.stdout).toMatch(/^machine/);
    expect(r.stdout).toMatch(/16/);
  });

  it("a guest that then resets ends the run: there is no kernel to boot", async () => {
    await run("--memory", "16M", "--until", "> $", "--snapshot-out", file("r"));
    const two = start(["run", "--timeout", "100", "--snapshot-in", file("r")]);
    two.type("reboot\r");
    const r = await two.result;
    expect(r.status).toBe(4);
  });

  it("what cannot be used is one line and status 2", async () => {
    await run("--memory", "16M", "--until", "> $", "--snapshot-out", file("b"));
    const bytes = readFileSync(file("b"));
    bytes[1000] ^= 1;
    scratch.file("flipped", bytes);
    scratch.file("text", "not this");
    for (const [args, line] of [
      [["--snapshot-in", file("nowhere")], /no such file/],
      [["--snapshot-in", file("text")], /not a snapshot/],
      [["--snapshot-in", file("flipped")], /checksum/],
      [["--snapshot-in", file("b"), "--memory", "32M"], /memoryBytes/],
      [["--snapshot-in", file("b"), "--topology", "cores=2"], /config.vcpus: 1, this machine has 2/],
      [["--snapshot-out", scratch.folder], /cannot be written/],
    ] as const) {
      const r = await run(...args);
      expect(r.status, r.stderr).toBe(2);
      expect(r.stderr).toMatch(line);
      expect(r.stderr.trim().split("\n")).toHaveLength(1);
    }
    const off = await run("--send", "> =>poweroff\\r", "--snapshot-out", file("off"));
    expect(off.status).toBe(2);
    expect(off.stderr).toMatch(/off, nothing is saved/);
  });
});
