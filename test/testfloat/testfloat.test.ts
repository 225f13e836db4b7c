/**
 * Berkeley TestFloat at level 1 through the instructions of x87, SSE, FMA and F16C (`npm run testfloat -- --generator
 * PATH`): results and exceptions, every rounding mode. Tininess is detected after rounding (SDM vol. 1, 4.9.1.5). TestFloat
 * knows no denormal-operand exception: DE is not compared.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { beforeAll, describe, expect, it } from "vitest";
import { BATCH, Batch } from "./batch.ts";
import { ROUNDING, WAYS, type Way } from "./functions.ts";

const generator = process.env.TESTFLOAT_GENERATOR ?? "";
const only = process.env.TESTFLOAT_ONLY ?? "";
const HOURS = 3_600_000;

let module: WebAssembly.Module;
beforeAll(() => {
  module = new WebAssembly.Module(readFileSync("dist/core/core.wasm"));
});

/** TestFloat's exceptions, from bit 0: inexact, underflow, overflow, infinite, invalid. */
const flagsOf = (found: number): number =>
  ((found >> 5) & 1) | ((found >> 3) & 2) | ((found >> 1) & 4) | ((found << 1) & 8) | ((found << 4) & 16);

function put(view: DataView, at: number, digits: string): void {
  for (let i = digits.length; i > 0; i -= 8) {
    const from = Math.max(i - 8, 0);
    view.setUint32(at, Number.parseInt(digits.slice(from, i), 16), true);
    at += 4;
  }
}

function get(view: DataView, at: number, size: number): string {
  let out = "";
  for (let i = size - 1; i >= 0; i--)
    out += view
      .getUint8(at + i)
      .toString(16)
      .padStart(2, "0");
  return out.toUpperCase();
}

interface Tally {
  cases: number;
  wrong: number;
  examples: string[];
}

async function test(way: Way, rc: number, option: string): Promise<Tally> {
  const batch = new Batch(module, way, rc);
  const tally: Tally = { cases: 0, wrong: 0, examples: [] };
  let lines: string[] = [];
  const flush = (): void => {
    batch.run(lines.length);
    lines.forEach((line, i) => {
      compare(way, batch, line, i, tally);
    });
    tally.cases += lines.length;
    lines = [];
  };
  const child = spawn(generator, ["-level", "1", "-tininessafter", option, ...way.generate], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const fields = line.split(" ");
    way.operands.forEach((_, k) => {
      put(batch.operands, Batch.operandAt(lines.length, k), fields[k]);
    });
    if (lines.push(line) === BATCH) flush();
  }
  if (child.exitCode === null) await once(child, "exit");
  if (child.exitCode !== 0) throw new Error(`${generator} ended with status ${child.exitCode}`);
  if (lines.length) flush();
  return tally;
}

function compare(way: Way, batch: Batch, line: string, i: number, tally: Tally): void {
  const fields = line.split(" ");
  const instead = way.instead?.(fields.slice(0, way.operands.length));
  const want = (instead?.[0] ?? fields[way.operands.length]).padStart(way.result * 2, "0");
  // With PE set before, inexactness is there in any case.
  const inexact = way.sticky ? 1 : 0;
  const wantFlags = (instead?.[1] ?? Number.parseInt(fields[way.operands.length + 1], 16)) | inexact;
  const at = Batch.resultAt(i);
  const flags = flagsOf(batch.results.getUint32(Batch.flagsAt(i), true)) | inexact;
  let got = get(batch.results, at, way.result);
  for (let k = way.packed ?? 16; k < 16; k += way.result) {
    const other = get(batch.results, at + k, way.result);
    if (other !== want) got = other;
  }
  if (got === want && flags === wantFlags) return;
  tally.wrong++;
  if (tally.examples.length < 5) tally.examples.push(`${line}: got ${got} ${flags.toString(16).padStart(2, "0")}`);
}

describe("TestFloat, level 1", () => {
  for (const way of WAYS) {
    if (!`${way.name} ${way.generate.join(" ")}`.includes(only)) continue;
    it(`${way.name} as ${way.generate.at(-1)}`, { timeout: HOURS }, async () => {
      let cases = 0;
      const problems: string[] = [];
      for (const { rc, option } of way.once ? [way.once] : ROUNDING) {
        const tally = await test(way, rc, option);
        cases += tally.cases;
        if (tally.wrong) problems.push(`${option}: ${tally.wrong} of ${tally.cases}`, ...tally.examples);
      }
      console.log([`${way.name}: ${cases} cases`, ...problems].join("\n  "));
      expect(problems).toEqual([]);
      expect(cases).toBeGreaterThan(0);
    });
  }
});
