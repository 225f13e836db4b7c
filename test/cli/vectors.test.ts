/** `tabhyve vectors` from outside: what it prints, and its status. */
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import { built, ROOT, Scratch, start, tabhyve } from "./command.ts";

const scratch = new Scratch();
beforeAll(built, 300_000);
afterAll(() => scratch.remove());

/** `add rax, rbx`, that leaves `sum`. */
const add = (n: number, sum: string) => ({
  id: `sums:add r64,r64/64/${n}`,
  mode: 64,
  asm: "add rax, rbx",
  code: "4801d8",
  rip: "101000",
  before: { gpr: ["1", "0", "0", "2", "10a000", ...Array(11).fill("0")], rflags: "202", mem: [] },
  after: { rip: "101003", rflags: "206", gpr: { 0: sum } },
});
const lines = (...vectors: object[]) => gzipSync(vectors.map((v) => `${JSON.stringify(v)}\n`).join(""));

it("a line per tier; 0 if all passed", async () => {
  const file = scratch.file("sums.jsonl.gz", lines(add(0, "3"), add(1, "3")));
  expect(await tabhyve(["vectors", file])).toEqual({
    status: 0,
    signal: null,
    stdout: "sums       passed 2, failed 0, skipped 0: 100 %\n",
    stderr: "",
  });
  for (const engine of ["interp", "auto", "jit"])
    expect(await tabhyve(["vectors", "--engine", engine, file])).toMatchObject({ status: 0 });
});

it("failures by instruction, and 1", async () => {
  const good = scratch.file("sums.jsonl.gz", lines(add(0, "3")));
  const bad = scratch.file("bad.jsonl.gz", lines(add(0, "3"), add(1, "4"), add(2, "5")));
  const { status, stdout, stderr } = await tabhyve(["vectors", good, bad]);
  expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
  expect(stdout.split("\n")).toEqual([
    "sums       passed 1, failed 0, skipped 0: 100 %",
    "bad        passed 1, failed 2, skipped 0: 33.33 %",
    "  add r64,r64: 2 failed; sums:add r64,r64/64/1: add rax, rbx [4801d8]",
    "      rax: expected 4, got 3",
    "",
  ]);
});

it("--json", async () => {
  const file = scratch.file("bad.jsonl.gz", lines(add(0, "3"), add(1, "4")));
  const { status, stdout, stderr } = await tabhyve(["vectors", "--json", file, file]);
  expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
  const results = JSON.parse(stdout);
  expect(results).toHaveLength(2);
  expect(results[0]).toMatchObject({ tier: "bad", file, total: 2, passed: 1, failed: 1, skipped: {} });
  expect(results[0].failures).toMatchObject([{ form: "add r64,r64", ids: ["sums:add r64,r64/64/1"] }]);
});

it("says what it skips, and why", async () => {
  const { status, stdout } = await tabhyve(["vectors", `${ROOT}/test/vectors/avx.jsonl.gz`]);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^avx +passed \d+, failed 0, skipped (0|\d+ \(CPUID lacks avx\)).*\n$/);
});

it("a file that cannot be used is 2, also after one that could", async () => {
  const good = scratch.file("sums.jsonl.gz", lines(add(0, "3")));
  const { status, stderr } = await tabhyve(["vectors", good, scratch.path("missing")]);
  expect(status).toBe(2);
  expect(stderr).toMatch(/^tabhyve: .*missing: no such file or directory\n$/);
});

it("a reader that goes away is no crash", async () => {
  const running = start(["vectors", ...["int64", "sse2", "x87"].map((t) => `${ROOT}/test/vectors/${t}.jsonl.gz`)]);
  running.closeOutput();
  const { status, stderr } = await running.result;
  expect(stderr).toBe("");
  expect(status).toBe(141);
}, 60_000);
