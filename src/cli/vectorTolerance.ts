/**
 * What CPUs may differ in: the last place of transcendental x87 instructions (tier x87t), estimates of reciprocals; and
 * what a recording cannot tell. Intel promises an error below one unit in the last place (SDM vol. 1, 8.3.10), not which
 * of the two neighbours comes out, so a result may be one unit off the recorded one. C1 says to which side of the value
 * stored the unrounded result lies, and is held to that: both unrounded results must lie in the same or in adjacent
 * intervals between representable values and, when rounding to nearest, the points half-way between them. Everything
 * else must be equal.
 */
import { splitId, type Vector } from "./vectorFormat.ts";

export interface FpuState {
  readonly fcw: number;
  readonly fsw: number;
  /** Physical registers, 20 hex digits each. */
  readonly r: readonly string[];
}

/** FSW.C1: the result was rounded up. */
export const C1 = 0x200;
const UE = 0x10;
const PE = 0x20;
/** An unmasked exception is pending. */
export const ES = 0x80;
const B = 0x8000;
const RC = 0xc00;
/** Bits of an 80-bit value but for its sign: equal steps are units in the last place, across powers of two too. */
const EXPONENT_AND_FRACTION = (1n << 79n) - 1n;
const SMALLEST_NORMAL = 1n << 63n;

/** True for vectors that the tolerance is for. */
export function isTolerant(vector: Vector): boolean {
  return splitId(vector.id).tier === "x87t";
}

const NT = 0x4000n;

/**
 * RFLAGS bits that the recording of a vector has lost: NT, which POPF and IRET leave set (SDM vol. 2, POPF, table 4-16)
 * and which the next step then finds clear. The random tiers are recorded by single steps, each a signal of Linux; its
 * handler has to clear NT, for an IRET in 64-bit mode would fault (SDM vol. 2, IRET), and a return from a signal gives
 * back the status flags, DF, TF, RF and AC, but not NT. It is only lost, never added.
 *
 * @param got RFLAGS as they should be.
 */
export function flagsLost(vector: Vector, got: bigint): bigint {
  const recorded = BigInt(`0x${vector.after.rflags}`);
  return vector.steps && splitId(vector.id).tier.startsWith("rand") ? got & ~recorded & NT : 0n;
}

/** Magnitude of a finite value as a whole number that grows by 1 from one value to the next. */
function ordinal(r: string): bigint {
  const bits = BigInt(`0x${r}`) & EXPONENT_AND_FRACTION;
  // The integer bit repeats what the exponent says.
  return ((bits >> 64n) << 63n) | (bits & ((1n << 63n) - 1n));
}

const isFinite80 = (r: string): boolean => (Number.parseInt(r.slice(0, 4), 16) & 0x7fff) !== 0x7fff;
const isNegative = (r: string): boolean => Number.parseInt(r[0], 16) >= 8;

/** Magnitude of the result in register `p`, which an unmasked underflow has scaled by 2^24576 (SDM vol. 1, 8.5.5). */
const magnitude = ({ fcw, fsw, r }: FpuState, p: number): bigint =>
  ordinal(r[p]) - (fsw & ~fcw & UE ? 24576n << 63n : 0n);

/** True if two results are equal, or neighbours of one sign. */
function within1Ulp(want: FpuState, got: FpuState, p: number): boolean {
  if (![want.r[p], got.r[p]].every(isFinite80)) return want.r[p] === got.r[p];
  const d = magnitude(want, p) - magnitude(got, p);
  return d >= -1n && d <= 1n && isNegative(want.r[p]) === isNegative(got.r[p]);
}

/**
 * Physical registers that hold what a transcendental instruction has approximated: ST(0), ST(1) under FPTAN's 1.0, both
 * after FSINCOS. C1 is about the first.
 *
 * @param instruction begins with its mnemonic.
 * @param fsw FSW after it.
 */
export function approximated(instruction: string, fsw: number): readonly number[] {
  const depths = /^fptan/i.test(instruction) ? [1] : /^fsincos/i.test(instruction) ? [0, 1] : [0];
  return depths.map((i) => ((fsw >> 11) + i) & 7);
}

/**
 * True if register `p` may differ as it does: the instruction has written an inexact result there, and the other one is
 * a neighbour. That the register held one of the two before says nothing: tan x is x, or the next value, for small x.
 */
export function resultTolerable(instruction: string, p: number, want: FpuState, got: FpuState): boolean {
  return (want.fsw & got.fsw & PE) !== 0 && approximated(instruction, want.fsw).includes(p) && within1Ulp(want, got, p);
}

/**
 * FSW bits that may differ as they do. C1: the result is inexact, and the two unrounded results are neighbours. UE, and
 * with it unmasked ES and B: of two such neighbours only one is tiny (SDM vol. 1, 8.5.5), because they lie on either side
 * of the smallest normal number.
 */
export function fswTolerable(instruction: string, want: FpuState, got: FpuState): number {
  const [p] = approximated(instruction, want.fsw);
  const differ = want.fsw ^ got.fsw;
  if (!differ || !resultTolerable(instruction, p, want, got)) return 0;
  const [a, b] = [want, got].map((s) => magnitude(s, p));
  const atEdge = a === SMALLEST_NORMAL || b === SMALLEST_NORMAL;
  const underflow = differ & UE && atEdge ? (want.fcw & UE ? UE : UE | ES | B) : 0;
  if (want.fcw & RC) return C1 | underflow;
  const d = 2n * (a - b) - BigInt((want.fsw & C1) - (got.fsw & C1)) / BigInt(C1);
  return (d >= -1n && d <= 1n ? C1 : 0) | underflow;
}

/** Relative error of RCP and RSQRT (SDM vol. 2, RCPPS). */
const ESTIMATE = 1.5 * 2 ** -12;
const single = new DataView(new ArrayBuffer(8));

/** True if a single-precision number is as near to another as estimates must be. */
export function nearSingle(want: number, got: number): boolean {
  single.setUint32(0, want);
  single.setUint32(4, got);
  const [x, y] = [single.getFloat32(0), single.getFloat32(4)];
  return Number.isFinite(x) && Number.isFinite(y) && Math.abs(y - x) <= Math.abs(x) * ESTIMATE;
}
