/**
 * Operands and results of single instructions as recorded on an Intel CPU (of a packed one, each element's flags: their
 * union is what was recorded). A row is the function's arguments (control word last), the result, the flags, then for an
 * 80-bit result its sign/exponent, then a second result.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildFp, type Fp, unsigned, value } from "./build.ts";

type Rows = Record<string, (string | number)[][]>;

function load(name: string): Rows {
  return JSON.parse(readFileSync(join(import.meta.dirname, "data", name), "utf8")) as Rows;
}

const x87 = load("x87.json");
const sse = load("sse.json");
let fp: Fp;

beforeAll(async () => {
  fp = await buildFp();
}, 60_000);

function replay(name: string, row: (string | number)[], use: Fp): void {
  const f = use[name];
  const count = (f as unknown as { length: number }).length;
  const [result, flags, se, mant2, se2] = row.slice(count).map(value);
  use.clearFlags();
  const got = f(...row.slice(0, count).map(value));
  const what = `${name}(${row.slice(0, count).join(", ")})`;
  expect(unsigned(got).toString(16), what).toBe(unsigned(result).toString(16));
  expect(use.getFlags(), `${what} flags`).toBe(flags);
  if (se !== undefined) expect(use.getSe(), `${what} sign/exponent`).toBe(se);
  if (mant2 !== undefined) expect(unsigned(use.getMant2()), `${what} second`).toBe(unsigned(mant2));
  if (se2 !== undefined) expect(use.getSe2(), `${what} second`).toBe(se2);
}

describe("x87 as recorded", () => {
  it.each(Object.keys(x87))("%s", (name) => {
    expect(x87[name].length).toBeGreaterThan(0);
    for (const row of x87[name]) replay(name, row, fp);
  });
});

describe("SSE as recorded", () => {
  it.each(Object.keys(sse))("%s", (name) => {
    expect(sse[name].length).toBeGreaterThan(0);
    for (const row of sse[name]) replay(name, row, fp);
  });
});
