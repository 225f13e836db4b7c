/** What the replay of vectors and the fuzzer's judge let pass, and what not: one unit in the last place, and where. */
import { describe, expect, it } from "vitest";
import { type Case, type Result, X, XSAVE_SIZE } from "../../src/cli/fuzz/case.ts";
import { settle } from "../../src/cli/fuzz/tolerance.ts";
import type { Vector } from "../../src/cli/vectorFormat.ts";
import { approximated, flagsLost } from "../../src/cli/vectorTolerance.ts";

const PE = 0x20;
const fswOf = (top: number, bits: number): number => (top << 11) | bits;

/** Registers by ST(i), FSW and FCW, as FXSAVE has them. */
function state(fsw: number, st: Readonly<Record<number, string>>, fcw = 0x37f): Result {
  const xsave = new Uint8Array(XSAVE_SIZE);
  const data = new DataView(xsave.buffer);
  data.setUint16(X.fcw, fcw, true);
  data.setUint16(X.fsw, fsw, true);
  for (const [i, digits] of Object.entries(st)) {
    xsave.set(Buffer.from(digits, "hex").reverse(), X.st + Number(i) * 16);
  }
  const gpr = new BigUint64Array(16);
  return {
    status: "done",
    vector: 3,
    error: 0,
    cr2: 0n,
    rip: 0x101003n,
    rflags: 0x202n,
    gpr,
    xsave,
    memory: new Uint8Array(),
  };
}

/** A case that had `st` before. */
function before(fsw: number, st: Readonly<Record<number, string>>): Case {
  const { gpr, xsave } = state(fsw, st);
  const code = Uint8Array.of(0xd9, 0xf2);
  return { mode: 64, code, rip: 0x101000, rflags: 0x202, gpr, xsave, patches: [], starts: [0], about: "fptan" };
}

const ONE = "3fff8000000000000000";
const SMALL = "3fd994f70dc481ea60c0";
const NEXT = "3fd994f70dc481ea60c1";
const AFTER_NEXT = "3fd994f70dc481ea60c2";

describe("a transcendental instruction's result", () => {
  const c = before(fswOf(6, 0), { 0: SMALL });
  const cpu = state(fswOf(5, PE), { 0: ONE, 1: SMALL });
  const settled = (mnemonic: string, want: Result, got: Result): boolean =>
    Buffer.compare(settle(c, mnemonic, want, got).xsave, want.xsave) === 0;

  it("may be the neighbour of the CPU's, which is what the register held before", () => {
    expect(settled("FPTAN", cpu, state(fswOf(5, PE), { 0: ONE, 1: NEXT }))).toBe(true);
    expect(settled("FPTAN", state(fswOf(5, PE), { 0: ONE, 1: NEXT }), cpu)).toBe(true);
  });

  it("may not be two off", () => {
    expect(settled("FPTAN", cpu, state(fswOf(5, PE), { 0: ONE, 1: AFTER_NEXT }))).toBe(false);
  });

  it("is no result of an instruction that has not been executed", () => {
    expect(settled("FPTAN", cpu, state(fswOf(6, 0), { 0: SMALL }))).toBe(false);
    // One that leaves TOP alone shows by PE.
    const sine = state(fswOf(6, PE), { 0: NEXT });
    expect(settled("FSIN", sine, state(fswOf(6, 0), { 0: SMALL }))).toBe(false);
    expect(settled("FSIN", sine, state(fswOf(6, PE), { 0: SMALL }))).toBe(true);
  });

  it("must be exact where it is, and so must every other register be", () => {
    expect(settled("FSIN", state(fswOf(6, 0), { 0: SMALL }), state(fswOf(6, 0), { 0: NEXT }))).toBe(false);
    const beside = state(fswOf(5, PE), { 0: ONE, 1: SMALL, 2: SMALL });
    expect(settled("FPTAN", beside, state(fswOf(5, PE), { 0: ONE, 1: SMALL, 2: NEXT }))).toBe(false);
    const push = state(fswOf(5, PE), { 0: "3fff8000000000000001", 1: SMALL });
    expect(settled("FPTAN", cpu, push)).toBe(false);
  });

  // Recorded from FPATAN, FYL2X and FYL2XP1, rounding to zero and up.
  it("may be tiny when its neighbour is the smallest normal number, and underflow goes with that", () => {
    const [smallest, tiny] = ["00018000000000000000", "00007fffffffffffffff"];
    expect(settled("FPATAN", state(fswOf(4, PE), { 0: smallest }, 0xc7f), state(0x2030, { 0: tiny }, 0xc7f))).toBe(
      true,
    );
    expect(settled("FYL2X", state(0x2c32, { 0: tiny }, 0xb7f), state(0x2c22, { 0: smallest }, 0xb7f))).toBe(true);
    // Unmasked: scaled, and an exception pending, whose opcode is kept.
    const pending = state(0xf9b0, { 0: "6000ffffffffffffffff" }, 0x26f);
    pending.xsave.set([0xf9, 1], X.fop);
    expect(settled("FYL2XP1", pending, state(0x7920, { 0: smallest }, 0x26f))).toBe(true);
    expect(settled("FYL2XP1", pending, state(0x7920, { 0: "00018000000000000001" }, 0x26f))).toBe(false);
  });

  it("must tell of underflow everywhere else", () => {
    const [a, b] = ["00007ffffffffffffffe", "00007fffffffffffffff"];
    expect(settled("FPATAN", state(0x2030, { 0: a }, 0xc7f), state(0x2020, { 0: b }, 0xc7f))).toBe(false);
    const masked = state(0x2030, { 0: b }, 0xc7f);
    expect(settled("FPATAN", masked, state(0xa0a0, { 0: "00018000000000000000" }, 0xc7f))).toBe(false);
  });

  it("lies where the instruction puts it", () => {
    expect(approximated("fptan D9 F2", fswOf(5, PE))).toEqual([6]);
    expect(approximated("FSINCOS", fswOf(7, PE))).toEqual([7, 0]);
    expect(approximated("fsin D9 FE", fswOf(3, PE))).toEqual([3]);
  });
});

describe("NT in a recording by single steps", () => {
  const vector = (id: string, rflags: string, steps?: number): Vector => ({
    id,
    mode: 64,
    code: "9d90",
    rip: "101000",
    ...(steps && { steps }),
    before: { gpr: [], rflags: "202", mem: [] },
    after: { rip: "101002", rflags },
  });

  it("may be lost", () => {
    expect(flagsLost(vector("rand64:random/64/1", "202", 9000), 0x4202n)).toBe(0x4000n);
  });

  it("and nothing else, nor added, nor in one step, nor where nothing sets it", () => {
    expect(flagsLost(vector("rand64:random/64/1", "202", 9000), 0x40a03n)).toBe(0n);
    expect(flagsLost(vector("rand64:random/64/1", "4202", 9000), 0x202n)).toBe(0n);
    expect(flagsLost(vector("rand64:random/64/1", "202"), 0x4202n)).toBe(0n);
    expect(flagsLost(vector("seq64:x/64/1", "202", 9000), 0x4202n)).toBe(0n);
  });
});
