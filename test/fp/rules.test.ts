/** Rules a guest relies on that a random sample may miss: priorities, unmasked results, NaN choice, the fast path. */
import { beforeAll, describe, expect, it } from "vitest";
import { buildFp, type Fp, unsigned } from "./build.ts";

const IE = 1;
const DE = 2;
const ZE = 4;
const OE = 8;
const UE = 16;
const PE = 32;
const C1 = 0x200;
const C2 = 0x400;
const ONE = 0x8000000000000000n;
const INDEFINITE = 0xc000000000000000n;

let fp: Fp;
beforeAll(async () => {
  fp = await buildFp();
}, 60_000);

/** Runs a function with cleared flags: [result, sign/exponent, flags]. */
function run(name: string, ...args: (bigint | number)[]): [bigint, number, number] {
  fp.clearFlags();
  const r = unsigned(fp[name](...args));
  return [r, fp.getSe() as number, fp.getFlags() as number];
}

describe("x87", () => {
  it("rounds to the precision in force and says which way", () => {
    const third = run("fxDiv", ONE, 0x3fff, 0xc000000000000000n, 0x4000, 0x37f);
    expect(third).toEqual([0xaaaaaaaaaaaaaaabn, 0x3ffd, PE | C1]);
    expect(run("fxDiv", ONE, 0x3fff, 0xc000000000000000n, 0x4000, 0x27f)).toEqual([0xaaaaaaaaaaaaa800n, 0x3ffd, PE]);
    expect(run("fxDiv", ONE, 0x3fff, 0xc000000000000000n, 0x4000, 0x07f)[0]).toBe(0xaaaaab0000000000n);
    expect(run("fxDiv", ONE, 0x3fff, 0xc000000000000000n, 0x4000, 0xf7f)).toEqual([0xaaaaaaaaaaaaaaaan, 0x3ffd, PE]);
  });

  it("wraps the exponent of an unmasked overflow and underflow by 24576", () => {
    const big = [ONE, 0x7ffe, ONE, 0x4001] as const;
    expect(run("fxMul", ...big, 0x37f)).toEqual([ONE, 0x7fff, OE | PE | C1]);
    expect(run("fxMul", ...big, 0x377)).toEqual([ONE, 0x8000 - 24576, OE]);
    const small = [ONE, 0x0001, ONE, 0x3ffd] as const;
    expect(run("fxMul", ...small, 0x37f)).toEqual([0x2000000000000000n, 0, 0]);
    expect(run("fxMul", ...small, 0x36f)).toEqual([ONE, 24576 - 1, UE]);
  });

  it("subtracts neighbours without losing the last bit", () => {
    expect(run("fxSub", ONE, 0x3fff, 0xffffffffffffffffn, 0x3ffe, 0x37f)).toEqual([ONE, 0x3fff - 64, 0]);
    expect(run("fxSub", ONE, 0x3fff, ONE, 0x3fff, 0x77f)).toEqual([0n, 0x8000, 0]);
  });

  it("chooses the NaN with the larger significand, a quiet one before a signaling one", () => {
    const big = 0xc000000000000009n;
    const small = 0xc000000000000001n;
    expect(run("fxAdd", small, 0x7fff, big, 0xffff, 0x37f)).toEqual([big, 0xffff, 0]);
    expect(run("fxAdd", small, 0x7fff, 0x8fffffffffffffffn, 0x7fff, 0x37f)).toEqual([small, 0x7fff, IE]);
    expect(run("fxAdd", big, 0xffff, big, 0x7fff, 0x37f)).toEqual([big, 0x7fff, 0]);
  });

  it("refuses unnormals, pseudo-NaNs and pseudo-infinities, and takes pseudo-denormals", () => {
    for (const [m, se] of [
      [1n, 0x3fff],
      [0x4000000000000001n, 0x7fff],
      [0n, 0x7fff],
    ] as const) {
      expect(run("fxAdd", m, se, ONE, 0x3fff, 0x37f)).toEqual([INDEFINITE, 0xffff, IE]);
    }
    expect(run("fxAdd", ONE, 0, 0n, 0, 0x37f)).toEqual([ONE, 1, DE]);
  });

  it("stops at an unmasked denormal before the numeric exceptions, but lets division by zero come first", () => {
    expect(run("fxMul", 3n, 0, 3n, 0, 0x37d)[2]).toBe(DE);
    expect(run("fxMul", 3n, 0, 3n, 0, 0x37f)[2]).toBe(DE | UE | PE);
    expect(run("fxDiv", 3n, 0, 0n, 0, 0x37f)).toEqual([ONE, 0x7fff, ZE]);
  });

  it("keeps a signaling m32 signaling for the choice, and raises DE for an m32 denormal", () => {
    expect(run("fxArithF32", 0, 0xc000000000000001n, 0x7fff, 0x7fbfffff, 0x37f)).toEqual([
      0xc000000000000001n,
      0x7fff,
      IE,
    ]);
    expect(run("fxArithF32", 0, ONE, 0x3fff, 1, 0x37f)[2]).toBe(DE | PE);
    expect(run("fxArithF32", 0, ONE, 0x3fff, 1, 0x37d)[2]).toBe(DE);
  });

  it("reduces a distant FPREM in steps with C2, to the exact remainder", () => {
    let [m, se, f] = run("fxRem", ONE, 0x3fff + 1000, 0xa000000000000000n, 0x4001, 0, 0x37f);
    expect(f).toBe(C2);
    let steps = 1;
    while ((f & C2) !== 0) {
      [m, se, f] = run("fxRem", m, se, 0xa000000000000000n, 0x4001, 0, 0x37f);
      steps++;
    }
    const want = 2n ** 1000n % 5n;
    expect(steps).toBeGreaterThan(10);
    expect(m >> (63n - BigInt(se - 0x3fff))).toBe(want);
  });

  it("leaves C0 and C3 alone when FPREM has no quotient", () => {
    run("fxRem", ONE, 0x3fff, 0n, 0, 0, 0x37f);
    expect((fp.fxRemCc as unknown as { value: number }).value).toBe(0x600);
    run("fxRem", ONE, 0x3fff, ONE, 0x3fff, 0, 0x37f);
    expect((fp.fxRemCc as unknown as { value: number }).value).toBe(0x4700);
  });

  it("gives C2 for a trigonometric argument of 2^63 and none below", () => {
    expect(run("fxSin", ONE, 0x403e, 0x37f)).toEqual([ONE, 0x403e, C2]);
    expect(run("fxSin", 0xffffffffffffffffn, 0x403d, 0x37f)[2] & C2).toBe(0);
  });

  it("reduces by the 66-bit pi", () => {
    // sin of the 64-bit pi is pi66 - pi64: -1/4 unit in its last place.
    const [m, se] = run("fxSin", 0xc90fdaa22168c235n, 0x4000, 0x37f);
    expect([m, se]).toEqual([ONE, 0xbfff - 64]);
  });
});

describe("SSE", () => {
  it("takes the first NaN operand, quieted", () => {
    expect(run("f64Add", 0x7ff0000000000001n, 0xfff8000000000002n, 0x1f80)).toEqual([
      0x7ff8000000000001n,
      expect.anything(),
      IE,
    ]);
    expect(run("f32Mul", 0x3f800000, 0xff800001 | 0, 0x1f80)[0]).toBe(0xffc00001n);
  });

  it("flushes a tiny result only when it is tiny after rounding and UE is masked", () => {
    // (2^-1022) (1 - 2^-53) rounds to the smallest normal: tiny with a bounded exponent only.
    const a = 0x0010000000000000n;
    expect(run("f64Mul", a, 0x3fefffffffffffffn, 0x1f80)).toEqual([a, expect.anything(), UE | PE]);
    expect(run("fmul64", a, 0x3fefffffffffffffn, 0x1fa0)).toEqual([a, expect.anything(), UE | PE]);
    expect(run("f64Mul", a, 0x3fe0000000000000n, 0x1f80)).toEqual([0x0008000000000000n, expect.anything(), 0]);
    expect(run("f64Mul", a, 0x3fe0000000000000n, 0x9f80)).toEqual([0n, expect.anything(), UE | PE]);
    expect(run("f64Mul", a, 0x3fe0000000000000n, 0x9780)[2]).toBe(UE);
  });

  it("takes a denormal as zero under DAZ without DE", () => {
    expect(run("f64Add", 1n, 0x3ff0000000000000n, 0x1fc0)).toEqual([0x3ff0000000000000n, expect.anything(), 0]);
    expect(run("f32Min", 1, 0x3f800000, 0x1fc0)).toEqual([0n, expect.anything(), 0]);
  });

  it("answers all 32 predicates for each relation", () => {
    const nan = 0x7ff8000000000000n;
    const pairs: [bigint, bigint][] = [
      [1n << 62n, 2n << 62n],
      [0n, 1n << 63n],
      [0x4010000000000000n, 0x4000000000000000n],
      [nan, 0n],
    ];
    const rel = ["lt", "eq", "gt", "un"];
    const names = ["eq", "lt", "lt eq", "un", "lt gt un", "eq gt un", "gt un", "lt eq gt"];
    names.push("eq un", "lt un", "lt eq un", "", "lt gt", "eq gt", "gt", "lt eq gt un");
    pairs[0] = [0x4000000000000000n, 0x4010000000000000n];
    for (let p = 0; p < 32; p++) {
      for (let k = 0; k < 4; k++) {
        const [r, , f] = run("f64Cmp", ...pairs[k], p, 0x1f80);
        expect(r === 1n, `predicate ${p} ${rel[k]}`).toBe(names[p & 15].split(" ").includes(rel[k]));
        const signaling = [1, 2, 5, 6, 9, 10, 13, 14].includes(p & 15) !== p > 15;
        expect(f, `predicate ${p} ${rel[k]}`).toBe(k === 3 && signaling ? IE : 0);
      }
    }
  });

  it("multiplies and adds with one rounding, and lets a NaN addend silence zero times infinity", () => {
    const x = 0x3ff0000000000001n;
    expect(run("f64Fma", x, x, 0xbff0000000000002n, 0x1f80)).toEqual([BigInt(1023 - 104) << 52n, expect.anything(), 0]);
    const nan = 0x7ff8000000000005n;
    expect(run("f64Fma", 0n, 0x7ff0000000000000n, nan, 0x1f80)).toEqual([nan, expect.anything(), 0]);
    expect(run("f64Fma", 0n, 0x7ff0000000000000n, x, 0x1f80)[2]).toBe(IE);
    expect(run("f32Fma", 0x3f800001, 0x3f800001, 0xbf800002 | 0, 0x1f80)[0]).toBe(BigInt((127 - 46) << 23));
  });

  it("fast entry points equal the exact ones, flags but PE included", () => {
    let seed = 12345n;
    const next = (): bigint => {
      seed = BigInt.asUintN(64, seed * 6364136223846793005n + 1442695040888963407n);
      return seed;
    };
    const special = [0n, 1n << 63n, 1n, 0x7ff0000000000000n, 0x7ff4000000000000n, 0x0010000000000000n];
    const operand = (): bigint => {
      const r = next();
      if (r >> 60n < 3n) return special[Number((r >> 20n) % 6n)];
      // Half the exponents near the ends of the range, where results overflow and underflow.
      const e = (r >> 59n) & 1n ? (r >> 40n) & 0x7ffn : 0x1f0n + ((r >> 40n) & 0x1fn);
      return (((r >> 33n) & 1n) << 63n) | (e << 52n) | (next() >> 12n);
    };
    let taken = 0;
    for (let i = 0; i < 10_000; i++) {
      const a = operand();
      const b = operand();
      const mxcsr = [0x1fa0, 0x9fe0, 0x1f80, 0x3fa0][i & 3];
      for (const [fast, exact] of [
        ["fadd64", "f64Add"],
        ["fsub64", "f64Sub"],
        ["fmul64", "f64Mul"],
        ["fdiv64", "f64Div"],
      ]) {
        const [r, , f] = run(fast, a, b, mxcsr);
        const [s, , g] = run(exact, a, b, mxcsr);
        if (r !== s || (f | PE) !== (g | PE)) expect.fail(`${fast} ${a.toString(16)} ${b.toString(16)} ${mxcsr}`);
        if (f !== g) taken++;
      }
    }
    expect(taken).toBeGreaterThan(100);
  });
});
