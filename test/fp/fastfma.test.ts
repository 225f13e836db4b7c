/** Fused multiply-add by the host's arithmetic gives what the exact one gives, whatever the operands. */
import { beforeAll, describe, expect, it } from "vitest";
import { buildFp, type Fp, unsigned } from "./build.ts";

/** Round to nearest, all masked, PE set: what lets the host's arithmetic be used. */
const FAST = 0x1fa0;

let fp: Fp;
beforeAll(async () => {
  fp = await buildFp();
}, 60_000);

/** Bits that repeat from run to run (xorshift64*). */
function random(): () => bigint {
  let state = 0x9e37_79b9_7f4a_7c15n;
  return () => {
    state ^= state >> 12n;
    state ^= (state << 25n) & 0xffff_ffff_ffff_ffffn;
    state ^= state >> 27n;
    return BigInt.asUintN(64, state * 0x2545_f491_4f6c_dd1dn);
  };
}

/** A number of {bits} bits with an exponent near `exponent`; its significand is random, or mostly zeros or ones. */
function operand(next: () => bigint, bits: 32 | 64, exponent: bigint): bigint {
  const frac = bits === 64 ? 52n : 23n;
  const mask = (1n << frac) - 1n;
  const shape = next() & 7n;
  const few = next() & mask & (next() & next() & next());
  const significand = shape < 4n ? next() & mask : shape < 6n ? few : ~few & mask;
  return ((next() & 1n) << BigInt(bits - 1)) | (exponent << frac) | significand;
}

describe.each([32, 64] as const)("%i bits", (bits) => {
  const bias = bits === 64 ? 1023n : 127n;
  const [fast, exact] = bits === 64 ? ["ffma64", "f64Fma"] : ["ffma32", "f32Fma"];
  const argument = (v: bigint) => (bits === 64 ? BigInt.asIntN(64, v) : Number(BigInt.asIntN(32, v)));

  it.each([
    ["an addend about as large as the product", 0n, 4n],
    ["any distance up to twice the precision", 0n, 2n * (bits === 64 ? 60n : 28n)],
    ["all exponents", -1n, 0n],
  ])("%s", (_, near, spread) => {
    const next = random();
    const all = 2n * bias + 2n;
    for (let n = 0; n < 40_000; n++) {
      const wide = near < 0n;
      const ea = wide ? next() % all : bias - 20n + (next() % 40n);
      const eb = wide ? next() % all : bias - 20n + (next() % 40n);
      const ec = wide ? next() % all : ea + eb - bias - spread / 2n + (next() % (spread + 1n));
      const [a, b, c] = [ea, eb, ec].map((e) => argument(operand(next, bits, e < 0n ? 0n : e)));
      fp.clearFlags();
      const want = unsigned(fp[exact](a, b, c, FAST));
      const got = unsigned(fp[fast](a, b, c, FAST));
      if (got !== want) expect(`${a} * ${b} + ${c} = ${got.toString(16)}`).toBe(want.toString(16));
    }
  });

  it("cancels exactly", () => {
    const next = random();
    for (let n = 0; n < 10_000; n++) {
      const a = argument(operand(next, bits, bias));
      const b = argument(operand(next, bits, bias));
      // The rounded product, negated: what is left is its rounding error.
      const product = unsigned(fp[bits === 64 ? "f64Mul" : "f32Mul"](a, b, FAST)) ^ (1n << BigInt(bits - 1));
      const c = argument(product);
      expect(unsigned(fp[fast](a, b, c, FAST))).toBe(unsigned(fp[exact](a, b, c, FAST)));
    }
  });
});
