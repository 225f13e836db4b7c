import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

// Plain JavaScript modules without types: imported by a name the type checker does not see through.
const url = (name: string) => new URL(`../../scripts/bench/${name}.mjs`, import.meta.url);
const load = (name: string) => import(url(name).href);

const OURS = { id: "tabhyve", ours: true, version: "1" };
const PEER = { id: "peer", ours: false, version: "2" };
const BOTH = [OURS, PEER];
const results = (runs: Record<string, object[]>) => new Map(Object.entries(runs));

describe("statistics", () => {
  it("takes the median of odd and even numbers of runs, whatever their order", async () => {
    const { median } = await load("stats");
    expect(median([3, 1, 20])).toBe(3);
    expect(median([4, 1, 20, 2])).toBe(3);
    expect(median([10, 9, 100])).toBe(10);
    expect(() => median([])).toThrow(RangeError);
  });

  it("takes the geometric mean, and refuses what has none", async () => {
    const { geometricMean } = await load("stats");
    expect(geometricMean([2, 8])).toBeCloseTo(4, 12);
    expect(geometricMean([0.5, 2])).toBeCloseTo(1, 12);
    for (const bad of [[], [1, 0], [1, Number.NaN], [1, -1], [Number.POSITIVE_INFINITY]]) {
      expect(() => geometricMean(bad)).toThrow(RangeError);
    }
  });

  it("compares each of ours with each peer, by medians", async () => {
    const { summarise } = await load("stats");
    const inline = { id: "inline", ours: true, version: "1" };
    const runs = results({
      tabhyve: [{ host: 1 }, { host: 2 }, { host: 9 }],
      inline: [{ host: 4 }],
      peer: [{ host: 1 }, { host: 0.5 }, { host: 0.2 }],
    });
    const row = summarise("intmix", [OURS, inline, PEER], runs);
    expect(row.seconds).toEqual({ tabhyve: 2, inline: 4, peer: 0.5 });
    expect(row.ratios).toEqual([
      { ours: "tabhyve", peer: "peer", ratio: 4 },
      { ours: "inline", peer: "peer", ratio: 8 },
    ]);
    expect(row.error).toBeUndefined();
  });

  it("gives no ratio where one of the two has no time", async () => {
    const { summarise } = await load("stats");
    expect(summarise("x", BOTH, results({ tabhyve: [{ host: 1 }] })).ratios).toEqual([]);
    expect(summarise("x", BOTH, results({ tabhyve: [{ host: 1 }], peer: [{ host: 0 }] })).ratios).toEqual([]);
  });

  it("makes an error of different checksums, between contenders and between runs of one", async () => {
    const { summarise } = await load("stats");
    const run = (checksum: string) => ({ host: 1, checksum });
    const apart = summarise("x", BOTH, results({ tabhyve: [run("a")], peer: [run("b")] }));
    expect(apart.error).toBe("checksums differ: a (tabhyve), b (peer)");
    expect(apart.ratios).toEqual([]);
    const unsteady = summarise("x", BOTH, results({ tabhyve: [run("a"), run("c")], peer: [run("a")] }));
    expect(unsteady.error).toBe("checksums differ: a (tabhyve, peer), c (tabhyve)");
    const agreed = summarise("x", BOTH, results({ tabhyve: [run("a")], peer: [run("a")] }));
    expect(agreed.error).toBeUndefined();
    expect(agreed.ratios).toHaveLength(1);
  });

  it("notes a guest whose clock is off by more than 10%, but not what a line's arrival explains", async () => {
    const { clocksDisagree, summarise } = await load("stats");
    expect(clocksDisagree(1, 1.09)).toBe(false);
    expect(clocksDisagree(1, 1.11)).toBe(true);
    expect(clocksDisagree(1, 0.89)).toBe(true);
    expect(clocksDisagree(0.002, 0.006)).toBe(false);
    expect(clocksDisagree(1, undefined)).toBe(false);
    const slow = { host: 2, guest: 1 };
    const right = { host: 2, guest: 2 };
    expect(summarise("x", [OURS], results({ tabhyve: [slow, right, slow] })).notes).toEqual([
      "tabhyve: its own clock says 1.000 s",
    ]);
    expect(summarise("x", [OURS], results({ tabhyve: [slow, right, right] })).notes).toEqual([]);
  });
});

describe("the serial line", () => {
  it("gives whole lines whatever the pieces, without escape sequences and carriage returns", async () => {
    const { Lines } = await load("protocol");
    const lines = new Lines();
    expect(lines.feed("/ # \x1b[6n\x1b[Jecho\r\n@@S int")).toEqual(["/ # echo"]);
    expect(lines.feed("mix\r")).toEqual([]);
    expect(lines.feed("\n\r\nrest")).toEqual(["@@S intmix", ""]);
  });

  it("takes the host's time between start and end, and the guest's own", async () => {
    const { Results } = await load("protocol");
    const r = new Results();
    expect(r.line("noise", 5)).toBe(false);
    expect(r.line("@@S intmix", 1000)).toBe(false);
    expect(r.line("@@E intmix 1500000000 6943e8a3", 2600)).toBe(false);
    expect(r.line("@@R", 2700)).toBe(true);
    expect(r.done).toEqual([{ name: "intmix", host: 1.6, guest: 1.5, checksum: "6943e8a3" }]);
  });

  it("has no guest time where the guest took none, and counts digests as checksums", async () => {
    const { Results } = await load("protocol");
    const r = new Results();
    r.line("@@S gzip", 0);
    r.line("49ab0f817472524041e5bad34a8a5077  -", 1);
    r.line("@@E gzip 0 0", 500);
    r.line("@@S shfork", 600);
    r.line("@@E shfork 0 4", 700);
    expect(r.done).toEqual([
      { name: "gzip", host: 0.5, checksum: "0 49ab0f817472524041e5bad34a8a5077" },
      { name: "shfork", host: 0.1, checksum: "4" },
    ]);
  });

  it("does not take the echo of what was typed for an answer", async () => {
    const { PREPARE, Results, SAY_DONE } = await load("protocol");
    const r = new Results();
    for (const typed of [PREPARE, SAY_DONE, `/bin/bench all 5; ${SAY_DONE}`]) {
      expect(r.line(typed, 0)).toBe(false);
      expect(r.line(`/ # ${typed}`, 0)).toBe(false);
    }
    expect(r.done).toEqual([]);
  });

  it("refuses what does not fit together", async () => {
    const { Results } = await load("protocol");
    const fed = (...lines: string[]) => {
      const r = new Results();
      return () => {
        for (const line of lines) r.line(line, 0);
      };
    };
    expect(fed("@@S a", "@@S b")).toThrow("b starts before a has ended");
    expect(fed("@@S a", "@@E b 1 0")).toThrow("b ends, but a runs");
    expect(fed("@@E a 1 0")).toThrow("a ends, but nothing runs");
    expect(fed("@@S a", "@@R")).toThrow("a never ended");
    expect(fed("@@S a", "@@E a 12")).toThrow("not a result");
    expect(fed("@@S a", "@@E a soon 0")).toThrow("not a result");
    expect(fed("@@S")).toThrow("without a name");
  });

  it("knows every program of bench.c", async () => {
    const { PROGRAMS } = await load("protocol");
    const { readFileSync } = await import("node:fs");
    const source = readFileSync(new URL("../bench/bench.c", import.meta.url), "utf8");
    const table = /benchmarks\[\] = \{([\s\S]*?)\n\};/.exec(source)?.[1] ?? "";
    const names = [...table.matchAll(/\{"(\w+)", /g)].map((m) => m[1]);
    expect(names.length).toBeGreaterThan(10);
    expect(Object.keys(PROGRAMS)).toEqual([...names, "nbody-sse", "shell"]);
    expect(PROGRAMS.interp.command(5)).toBe("/bin/bench interp 5");
  });
});

describe("the report", () => {
  const row = (name: string, ours: number, peer: number) => ({
    name,
    seconds: { tabhyve: ours, peer },
    ratios: [{ ours: "tabhyve", peer: "peer", ratio: ours / peer }],
    notes: [],
    runs: { tabhyve: [{ host: ours }], peer: [{ host: peer }] },
  });
  const table = (rows: object[], more = {}) => ({ title: "T", contenders: BOTH, rows, failures: {}, ...more });

  it("prints seconds, ratios and their geometric mean in columns", async () => {
    const { report, bad } = await load("report");
    const t = table([row("a", 2, 1), row("long", 80, 10)]);
    expect(report(t)).toEqual([
      "T",
      "                  tabhyve     peer  tabhyve / peer",
      "  a               2.000 s  1.000 s           2.00x",
      "  long             80.0 s   10.0 s           8.00x",
      "  geometric mean                             4.00x",
    ]);
    expect(bad(t)).toBe(false);
  });

  it("shows errors, failures and runs far apart, and leaves errors out of the mean", async () => {
    const { bad, means, report } = await load("report");
    const wrong = { ...row("b", 9, 1), ratios: [], error: "checksums differ: x (tabhyve), y (peer)" };
    const noisy = { ...row("c", 2, 1), runs: { tabhyve: [{ host: 1 }, { host: 2 }], peer: [{ host: 1 }] } };
    const t = table([wrong, noisy], { failures: { peer: "it broke" } });
    const text = report(t).join("\n");
    expect(text).toMatch(/b .* ERROR\n/);
    expect(text).toContain("ERROR b: checksums differ: x (tabhyve), y (peer)");
    expect(text).toContain("tabhyve: runs more than 1.5x apart in 1 of 1 rows, at most 2.0x (c)");
    expect(text).not.toContain("peer: runs");
    expect(text).toContain("FAILED peer: it broke");
    expect(means(t)).toEqual([{ ours: "tabhyve", peer: "peer", ratio: 2, rows: 1 }]);
    expect(bad(t)).toBe(true);
    expect(bad(table([wrong]))).toBe(true);
    expect(bad(table([noisy]))).toBe(false);
  });

  it("says how fast ours ran", async () => {
    const { report } = await load("report");
    const speed = { tabhyve: { instructions: 610e6, vcpuSeconds: 5, mips: 122 } };
    expect(report(table([row("boot", 6, 2)], { speed })).at(-1)).toBe(
      "  tabhyve: 0.610 G instructions in 5.00 s of vCPU time: 122.0 MIPS",
    );
  });
});

// Processes start slowly on a busy machine.
describe("a guest process", { timeout: 60_000 }, () => {
  const script = (code: string) => [process.execPath, "-e", code];

  it("is waited for, typed to and killed", async () => {
    const { Guest } = await load("guest");
    const guest = new Guest(script("process.stdin.on('data', (d) => console.log('got ' + d)); console.log('ready')"));
    expect(await guest.waitFor("ready", 20)).toBeGreaterThan(guest.started);
    guest.type("words");
    await guest.waitFor("got words", 20);
    await guest.kill();
    await expect(guest.waitFor("more", 1)).rejects.toThrow("SIGKILL");
  });

  it("fails loudly when it ends, panics, says nothing, or cannot be run", async () => {
    const { Guest } = await load("guest");
    const ends = new Guest(script("console.log('last words'); console.error('reason'); process.exitCode = 3"));
    await expect(ends.waitFor("prompt", 20)).rejects.toThrow(/ended with status 3\n {4}reason\n[\s\S]*last words/);
    const panics = new Guest(script("console.log('Kernel panic - not syncing: why'); setInterval(() => {}, 1000)"));
    await expect(panics.waitFor("prompt", 20)).rejects.toThrow(/kernel failed[\s\S]*not syncing: why/);
    await panics.kill();
    const hangs = new Guest(script("setInterval(() => {}, 1000)"));
    await expect(hangs.waitFor("prompt", 0.2)).rejects.toThrow('no "prompt" within 0.2 s');
    await hangs.kill();
    await expect(new Guest(["/nowhere/vm"]).waitFor("prompt", 20)).rejects.toThrow("/nowhere/vm cannot be run");
  });
});

describe("the command", { timeout: 60_000 }, () => {
  const bench = (...args: string[]) =>
    spawnSync(process.execPath, [fileURLToPath(new URL("../../scripts/bench.mjs", import.meta.url)), ...args], {
      encoding: "utf8",
    });

  it("refuses what it does not know, with its usage", () => {
    for (const [args, message] of [
      [["--bus", "scsi"], "--bus scsi: one of ide, nvme, virtio, 9p is needed"],
      [["--only", "speed"], "--only speed: one of boot, suite, disk is needed"],
      [["--scale", "0"], "--scale 0: a whole number above 0 is needed"],
      [["--runs", "few"], "--runs few: a whole number above 0 is needed"],
      [["--programs", "intmix,doom"], "--programs doom: one of intmix"],
      [["--contenders", "bochs"], "--contenders bochs: one of tabhyve, qemu, v86"],
      [["--fast"], "'--fast'"],
    ] as const) {
      const { status, stderr } = bench(...args);
      expect(stderr).toContain(message);
      expect(stderr).toContain("npm run bench [-- OPTIONS]");
      expect(status).toBe(2);
    }
  });

  it("explains itself", () => {
    const { status, stdout } = bench("--help");
    expect(status).toBe(0);
    expect(stdout).toContain("--scale PERCENT");
  });
});
