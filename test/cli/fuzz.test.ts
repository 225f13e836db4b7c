/**
 * The fuzzer itself: that it finds a mistake, makes it small and says it as a vector that `tabhyve vectors` replays;
 * and a short run of our engines against each other. Against a real CPU it is run by hand: `tabhyve fuzz`.
 */
import { existsSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { type Case, type Result, XSAVE_SIZE } from "../../src/cli/fuzz/case.ts";
import { CoreEngine, type Engine } from "../../src/cli/fuzz/engine.ts";
import { Fuzzer, type FuzzOptions, pairOf, summary } from "../../src/cli/fuzz/fuzz.ts";
import { KINDS, single } from "../../src/cli/fuzz/generate.ts";
import { Random } from "../../src/cli/fuzz/random.ts";
import { Pair } from "../../src/cli/fuzz/shrink.ts";
import type { Vector } from "../../src/cli/vectorFormat.ts";
import { VectorMachine } from "../../src/cli/vectorMachine.ts";
import { compare } from "../../src/cli/vectors.ts";
import { ROWS } from "../../src/isa/table/index.ts";
import { ROOT } from "./command.ts";

const corePath = process.env.TABHYVE_CORE ?? `${ROOT}/dist/core/core.wasm`;
let core: WebAssembly.Module;
beforeAll(() => {
  if (!existsSync(corePath)) throw new Error(`no core at ${corePath}: build it first`);
  core = new WebAssembly.Module(readFileSync(corePath));
});

const OPTIONS: FuzzOptions = {
  seed: 7,
  count: 900,
  modes: [64, 32, 16],
  kinds: KINDS,
  engine: "interp",
  against: "step",
};

/** An engine that adds one to EDX whenever it has executed SAHF. */
class Mistaken implements Engine {
  readonly name = "mistaken";
  readonly #engine = new CoreEngine(core, "step");

  run(cases: readonly Case[]): Result[] {
    return cases.map((c) => {
      let met = false;
      this.#engine.trace(c, ({ bytes }, snapshot) => {
        met ||= bytes[0] === 0x9e && snapshot().status === "done";
        return met;
      });
      const [result] = this.#engine.run([c]);
      const gpr = result.gpr.slice();
      if (met) gpr[2] ^= 1n;
      return { ...result, gpr, memory: (result.memory as Uint8Array).slice() };
    });
  }
}

/** Differences between a vector and what the interpreter makes of it. */
function replayed(vector: Vector): string[] {
  const machine = new VectorMachine(core);
  machine.load(vector);
  return compare(machine, vector, machine.run(vector)).map((d) => d.field);
}

describe("a mistake in the reference", () => {
  const vectors: Vector[] = [];
  let lines: string[] = [];
  beforeAll(() => {
    const engine = new CoreEngine(core, "interp");
    const pair = new Pair(new Mistaken(), engine, new CoreEngine(core, "step"));
    const options: FuzzOptions = {
      ...OPTIONS,
      count: 450,
      kinds: ["programs"],
      rows: /^(SAHF|ADD|MOV|XOR|SHL|PADDB)$/,
    };
    const result = new Fuzzer(pair, options, (vector) => vectors.push(vector)).run();
    expect(result.found.map((f) => f.key)).toEqual(["SAHF gpr"]);
    expect(result.found[0].times).toBeGreaterThanOrEqual(3);
    lines = summary(result, options, 1);
  }, 120_000);

  it("is found, and made as small as it can be", () => {
    expect(vectors).toHaveLength(3);
    for (const v of vectors) {
      expect(v.code).toBe("9e");
      expect(v.asm).toBe("sahf");
      // But for the registers that have a meaning: RSP may be anything.
      expect(v.before.gpr.every((value) => value === "0")).toBe(true);
      expect(v.before).toMatchObject({ rflags: "202", mem: [], xmm: {}, mxcsr: 0x1f80 });
      expect(v.after.gpr).toEqual({ 2: "1" });
    }
  });

  it("is a vector that fails", () => {
    for (const v of vectors) expect(replayed(v)).toEqual([v.mode === 64 ? "rdx" : "edx"]);
  });

  it("and one that passes once it is mended", () => {
    for (const v of vectors) expect(replayed({ ...v, after: { ...v.after, gpr: {} } })).toEqual([]);
  });

  it("stands in the summary", () => {
    expect(lines[0]).toBe("seed 7, interp against step: 450 cases in 1 s");
    expect(lines.at(-1)).toMatch(/^ {2}differences: SAHF gpr \(\d+\)$/);
  });
});

describe("our engines", () => {
  it.each(["step", "jit"] as const)(
    "interp and %s agree",
    (against) => {
      const found: Vector[] = [];
      const options: FuzzOptions = { ...OPTIONS, against };
      const result = new Fuzzer(pairOf(core, options), options, (vector) => found.push(vector)).run();
      expect(found).toEqual([]);
      expect(result.cases).toBe(900);
      expect(Object.keys(result.counts)).toHaveLength(9);
    },
    120_000,
  );

  it("a trace ends where a single step does, before its handler", () => {
    // push 302h; popfq; nop; nop
    const code = Uint8Array.of(0x68, 2, 3, 0, 0, 0x9d, 0x90, 0x90);
    const rip = 0x10_1000;
    const gpr = new BigUint64Array(16).fill(0x10_9800n, 4, 5);
    const xsave = new Uint8Array(XSAVE_SIZE);
    const c: Case = { mode: 64, code, rip, rflags: 0x202, gpr, xsave, patches: [], starts: [0], about: "step" };
    const engine = new CoreEngine(core, "step");
    const seen: number[] = [];
    engine.trace(c, ({ at }) => {
      seen.push(at - rip);
      return false;
    });
    expect(seen).toEqual([0, 5, 6]);
    expect(engine.one(c)).toMatchObject({ status: "done", vector: 1, rip: BigInt(rip + 7) });
  });

  it("makes a memory form of what has no address bytes", () => {
    const row = ROWS.find(({ text }) => text.includes("MOV Dy,Ry"))!;
    const r = new Random(1, 0, 0, 64);
    const lengths = Array.from({ length: 4000 }, () => single(r, 64, row).code.length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(15);
  });

  it("the same seed makes the same cases", () => {
    const take = (seed: number) => {
      const seen: Case[] = [];
      const engine = new CoreEngine(core, "interp");
      const watch: Engine = {
        name: "watch",
        run(cases) {
          seen.push(...cases);
          return engine.run(cases);
        },
      };
      const options: FuzzOptions = { ...OPTIONS, seed, count: 90 };
      new Fuzzer(new Pair(watch, engine, engine), options, () => {}).run();
      return seen.map((c) => Buffer.from(c.code).toString("hex")).join();
    };
    expect(take(3)).toBe(take(3));
    expect(take(3)).not.toBe(take(4));
  });
});
