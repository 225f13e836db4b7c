/**
 * Instruction vectors: a sample of every form (test/vectors, made by scripts/sample-vectors.mjs) on the compiled core;
 * with those that once failed and have no form of their own in the sample (found), and x87, MMX and FXSAVE operands at
 * the ends of pages, segments and of the address space (x87mem), recorded in the same way.
 * test/vectors/known.json lists the vectors that are known to fail, by tier; the list must be exact, so that a new
 * failure and a repaired one both show. TABHYVE_UPDATE_KNOWN=1 writes it anew. TABHYVE_CORE names another core than
 * dist/core/core.wasm.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { readVectors, splitId, tierOf, type Vector } from "../src/cli/vectorFormat.ts";
import { VectorMachine } from "../src/cli/vectorMachine.ts";
import { compare, describeTier, replayVectors, type TierResult } from "../src/cli/vectors.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const folder = join(root, "test", "vectors");
const knownFile = join(folder, "known.json");
const corePath = process.env.TABHYVE_CORE ?? join(root, "dist", "core", "core.wasm");

const files = readdirSync(folder)
  .filter((name) => name.endsWith(".jsonl.gz"))
  .sort()
  .map((name) => join(folder, name));

let module: WebAssembly.Module;
beforeAll(() => {
  if (!existsSync(corePath)) throw new Error(`no core at ${corePath}: build it first`);
  module = new WebAssembly.Module(readFileSync(corePath));
});

describe("sample of instruction vectors", () => {
  it("fails exactly where it is known to fail", () => {
    const results = replayVectors(module, files);
    console.log(results.map((r) => describeTier(r, 0)[0]).join("\n"));
    const failing = failures(results);
    if (process.env.TABHYVE_UPDATE_KNOWN) writeFileSync(knownFile, knownText(failing));
    const known: Record<string, string[]> = JSON.parse(readFileSync(knownFile, "utf8"));
    const listed = new Set(Object.values(known).flat());
    const now = new Set(Object.values(failing).flat());
    const examples = results
      .map((r) => ({ ...r, failures: r.failures.filter((f) => f.ids.some((id) => !listed.has(id))) }))
      .filter((r) => r.failures.length)
      .flatMap((r) => describeTier(r, 10));
    expect(
      [...now].filter((id) => !listed.has(id)),
      `new failures:\n${examples.join("\n")}`,
    ).toEqual([]);
    expect(
      [...listed].filter((id) => !now.has(id)),
      "listed in known.json, but they pass or are not run",
    ).toEqual([]);
  }, 120_000);

  it("fails the same vectors when whole blocks run", () => {
    const failing = Object.values(failures(replayVectors(module, files, { blocks: true }))).flat();
    const known: Record<string, string[]> = JSON.parse(readFileSync(knownFile, "utf8"));
    expect(failing.sort()).toEqual(Object.values(known).flat().sort());
  }, 120_000);

  it("keeps each tier in the file of its name", () => {
    expect(files.length).toBeGreaterThan(30);
    for (const file of files)
      for (const vector of readVectors(file)) expect(splitId(vector.id).tier).toBe(tierOf(file));
  });
});

/** Ids of the vectors that failed, by tier. */
function failures(results: readonly TierResult[]): Record<string, string[]> {
  const out: Record<string, string[]> = {};
  for (const r of results) if (r.failed) out[r.tier] = r.failures.flatMap((f) => f.ids);
  return out;
}

/** As Biome formats JSON: a list on one line if it fits. */
function knownText(failing: Record<string, string[]>): string {
  const lists = Object.entries(failing).map(([tier, ids]) => {
    const short = `  ${JSON.stringify(tier)}: [${ids.map((id) => JSON.stringify(id)).join(", ")}]`;
    if (short.length <= 119) return short;
    return `  ${JSON.stringify(tier)}: [\n${ids.map((id) => `    ${JSON.stringify(id)}`).join(",\n")}\n  ]`;
  });
  return lists.length ? `{\n${lists.join(",\n")}\n}\n` : "{}\n";
}

describe("the replay notices", () => {
  const add: Vector = {
    id: "self:add/64/0",
    mode: 64,
    code: "4801d8", // add rax, rbx
    rip: "101000",
    before: { gpr: gpr({ 0: "1", 3: "ffffffffffffffff" }), rflags: "202", mem: [] },
    after: { rip: "101003", rflags: "257", gpr: { 0: "0" } },
  };
  const store: Vector = {
    id: "self:mov/64/0",
    mode: 64,
    code: "668903", // mov [rbx], ax
    rip: "101000",
    before: { gpr: gpr({ 0: "1234", 3: "104010" }), rflags: "202", mem: [[0x104010, "00000000"]] },
    after: { rip: "101003", rflags: "202", mem: [[0x104010, "3412"]] },
  };
  const fault: Vector = {
    ...store,
    before: { ...store.before, gpr: gpr({ 3: "107000" }), mem: [] },
    after: { rip: "101000", rflags: "202" },
    exception: { vector: 14, err: 7, cr2: "107000" },
  };
  function gpr(set: Record<number, string>): string[] {
    return Array.from({ length: 16 }, (_, i) => set[i] ?? (i === 4 ? "10a000" : "0"));
  }
  function fields(vector: Vector): string[] {
    const machine = new VectorMachine(module);
    machine.load(vector);
    return compare(machine, vector, machine.run(vector)).map((d) => d.field);
  }

  it("nothing where all is right", () => {
    expect(fields(add)).toEqual([]);
    expect(fields(store)).toEqual([]);
    expect(fields(fault)).toEqual([]);
  });

  it("a wrong register, flag, RIP or byte of memory", () => {
    expect(fields({ ...add, after: { ...add.after, gpr: { 0: "2" } } })).toEqual(["rax"]);
    expect(fields({ ...add, after: { ...add.after, gpr: { 0: "0", 5: "1" } } })).toEqual(["rbp"]);
    expect(fields({ ...add, after: { ...add.after, rflags: "256" } })).toEqual(["rflags"]);
    expect(fields({ ...add, after: { ...add.after, rip: "101004" } })).toEqual(["rip"]);
    expect(fields({ ...store, after: { ...store.after, mem: [[0x104010, "3413"]] } })).toEqual(["memory 104011"]);
    expect(fields({ ...store, after: { ...store.after, mem: [] } })).toEqual(["memory 104010"]);
  });

  it("a wrong vector unit or FPU state", () => {
    const one = "1".padStart(32, "0");
    expect(fields({ ...add, after: { ...add.after, xmm: { 3: one } } })).toEqual(["xmm3"]);
    expect(fields({ ...add, after: { ...add.after, mxcsr: 0x1fa0 } })).toEqual(["mxcsr"]);
    const fpu = { fcw: 0x37e, fsw: 1, ftw: 2, r: { 7: "3fff8000000000000000" } };
    expect(fields({ ...add, after: { ...add.after, fpu } })).toEqual(["fcw", "fsw", "ftw", "r7 (x87)"]);
  });

  it("a wrong, missing or unexpected exception", () => {
    expect(fields({ ...fault, exception: { vector: 13, err: 0 } })).toEqual(["exception"]);
    expect(fields({ ...fault, exception: { vector: 14, err: 6, cr2: "107000" } })).toEqual(["error code"]);
    expect(fields({ ...fault, exception: { vector: 14, err: 7, cr2: "107004" } })).toEqual(["cr2"]);
    expect(fields({ ...add, exception: { vector: 6 } })).toEqual(["exception"]);
    const { exception: _, ...unexpected } = fault;
    expect(fields(unexpected)).toEqual(["exception"]);
  });

  it("not what the manuals leave undefined", () => {
    expect(fields({ ...add, flagsUndefined: "10", after: { ...add.after, rflags: "247" } })).toEqual([]);
    const ignored = { ...store, memIgnore: [[0x104010, 2]] as const, after: { ...store.after, mem: [] } };
    expect(fields(ignored)).toEqual([]);
    expect(fields({ ...add, fswUndefined: 0x100, after: { ...add.after, fpu: { fsw: 0x100 } } })).toEqual([]);
  });
});
