/**
 * Berkeley TestFloat at level 1 through the instructions of x87, SSE, FMA and F16C (`npm run testfloat -- --generator
 * PATH`): results and exceptions, every rounding mode. Tininess is detected after rounding (SDM vol. 1, 4.9.1.5). TestFloat
 * knows no denormal-operand exception: DE is not compared.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
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

/** Bytes of a record of what is expected: result, then flags. */
const WANT_STRIDE = 20;
const WANT_FLAGS = 16;
const INVALID = 0x10;
const [NEWLINE, SPACE] = [10, 32];
/** Value of a hexadecimal digit's character. */
const DIGIT = new Uint8Array(128);
for (let i = 0; i < 16; i++) DIGIT[i.toString(16).toUpperCase().charCodeAt(0)] = i;

/** Writes the number that the digits text[from] to text[to - 1] are, little-endian. */
function put(view: DataView, at: number, text: Buffer, from: number, to: number): void {
  for (let end = to; end > from; end -= 8) {
    let value = 0;
    for (let i = Math.max(end - 8, from); i < end; i++) value = (value << 4) | DIGIT[text[i]];
    view.setUint32(at, value, true);
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

function equal(a: DataView, at: number, b: DataView, bt: number, size: number): boolean {
  let i = 0;
  for (; i + 4 <= size; i += 4) if (a.getUint32(at + i, true) !== b.getUint32(bt + i, true)) return false;
  for (; i < size; i++) if (a.getUint8(at + i) !== b.getUint8(bt + i)) return false;
  return true;
}

interface Tally {
  cases: number;
  wrong: number;
  examples: string[];
}

/** One run of the generator. Its millions of lines are read without making strings of them. */
class Run {
  readonly tally: Tally = { cases: 0, wrong: 0, examples: [] };
  readonly #way: Way;
  readonly #batch: Batch;
  readonly #wanted = new DataView(new ArrayBuffer(BATCH * WANT_STRIDE));
  #count = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(way: Way, rc: number) {
    this.#way = way;
    this.#batch = new Batch(module, way, rc);
  }

  /** The next piece of the generator's output. */
  read(chunk: Buffer): void {
    const text = this.#rest.length ? Buffer.concat([this.#rest, chunk]) : chunk;
    let at = 0;
    for (let end = text.indexOf(NEWLINE); end >= 0; end = text.indexOf(NEWLINE, at)) {
      this.#line(text, at, end);
      at = end + 1;
    }
    this.#rest = text.subarray(at);
  }

  /** The operands, the result, the flags. */
  #line(text: Buffer, from: number, to: number): void {
    const operands = this.#way.operands.length;
    const n = this.#count++;
    const want = n * WANT_STRIDE;
    this.#wanted.setUint32(want, 0);
    let at = from;
    for (let field = 0; at < to; field++) {
      let end = at;
      while (end < to && text[end] !== SPACE) end++;
      if (field < operands) put(this.#batch.operands, Batch.operandAt(n, field), text, at, end);
      else put(this.#wanted, want + (field === operands ? 0 : WANT_FLAGS), text, at, end);
      at = end + 1;
    }
    if (this.#count === BATCH) this.flush();
  }

  /** Runs and compares what has been read. */
  flush(): void {
    if (this.#count) this.#batch.run(this.#count);
    for (let i = 0; i < this.#count; i++) this.#compare(i);
    this.tally.cases += this.#count;
    this.#count = 0;
  }

  #compare(i: number): void {
    const { result, packed, sticky, instead } = this.#way;
    const { results } = this.#batch;
    // With PE set before, inexactness is there in any case.
    const inexact = sticky ? 1 : 0;
    const wantFlags = this.#wanted.getUint8(i * WANT_STRIDE + WANT_FLAGS) | inexact;
    const flags = flagsOf(results.getUint32(Batch.flagsAt(i), true)) | inexact;
    // Another answer than SoftFloat's stands for one that is invalid there.
    let same = flags === wantFlags && !(instead && wantFlags & INVALID);
    for (let k = 0; same && k < 16; k += packed ?? 16) {
      same = equal(results, Batch.resultAt(i) + k, this.#wanted, i * WANT_STRIDE, result);
    }
    if (!same) this.#judge(i, wantFlags, flags);
  }

  /** The same in text. */
  #judge(i: number, flagsThere: number, flags: number): void {
    const { operands, result, packed, instead } = this.#way;
    const { operands: given, results } = this.#batch;
    const fields = operands.map((size, k) => get(given, Batch.operandAt(i, k), size));
    const there = get(this.#wanted, i * WANT_STRIDE, result);
    const other = instead?.(fields);
    const [want, wantFlags] = other ? [other[0], other[1] | (this.#way.sticky ? 1 : 0)] : [there, flagsThere];
    const elements = Array.from({ length: packed ? 16 / packed : 1 }, (_, k) => {
      return get(results, Batch.resultAt(i) + k * (packed ?? 0), result);
    });
    const got = elements.find((e) => e !== want) ?? want;
    if (got === want && flags === wantFlags) return;
    this.tally.wrong++;
    const [a, b] = [flagsThere, flags].map((f) => f.toString(16).padStart(2, "0"));
    if (this.tally.examples.length < 5) this.tally.examples.push(`${fields.join(" ")} ${there} ${a}: got ${got} ${b}`);
  }
}

async function test(way: Way, rc: number, option: string): Promise<Tally> {
  const run = new Run(way, rc);
  const child = spawn(generator, ["-level", "1", "-tininessafter", option, ...way.generate], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const chunk of child.stdout) run.read(chunk);
  if (child.exitCode === null) await once(child, "exit");
  if (child.exitCode !== 0) throw new Error(`${generator} ended with status ${child.exitCode}`);
  run.flush();
  return run.tally;
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
