/**
 * What CPUs may differ in: the last place of transcendental x87 instructions (tier x87t), estimates of reciprocals.
 * Intel promises an error below one unit in the last
 * place (SDM vol. 1, 8.3.10), not which of the two neighbours comes out, so a result may be one unit off the recorded
 * one. C1 says to which side of the value stored the unrounded result lies, and is held to that: both unrounded results
 * must lie in the same or in adjacent intervals between representable values and, when rounding to nearest, the points
 * half-way between them. Everything else must be equal.
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
const PE = 0x20;
const RC = 0xc00;
/** Bits of an 80-bit value but for its sign: equal steps are units in the last place, across powers of two too. */
const EXPONENT_AND_FRACTION = (1n << 79n) - 1n;

/** True for vectors that the tolerance is for. */
export function isTolerant(vector: Vector): boolean {
  return splitId(vector.id).tier === "x87t";
}

/** Magnitude of a finite value as a whole number that grows by 1 from one value to the next. */
function ordinal(r: string): bigint {
  const bits = BigInt(`0x${r}`) & EXPONENT_AND_FRACTION;
  // The integer bit repeats what the exponent says.
  return ((bits >> 64n) << 63n) | (bits & ((1n << 63n) - 1n));
}

const isFinite80 = (r: string): boolean => (Number.parseInt(r.slice(0, 4), 16) & 0x7fff) !== 0x7fff;
const isNegative = (r: string): boolean => Number.parseInt(r[0], 16) >= 8;

/** True if two register contents are equal, or neighbours of one sign. */
export function within1Ulp(want: string, got: string): boolean {
  if (want === got) return true;
  if (!isFinite80(want) || !isFinite80(got) || isNegative(want) !== isNegative(got)) return false;
  const d = ordinal(want) - ordinal(got);
  return d === 1n || d === -1n;
}

/**
 * True if C1 may differ as it does: the result is inexact, and the two unrounded results are neighbours.
 *
 * @param instruction FPTAN's C1 is that of ST(1), all others' that of ST(0).
 */
export function c1Tolerable(instruction: string, want: FpuState, got: FpuState): boolean {
  if (!(want.fsw & PE) || !(got.fsw & PE)) return false;
  const p = (((want.fsw >> 11) & 7) + (/^fptan/i.test(instruction) ? 1 : 0)) & 7;
  if (!within1Ulp(want.r[p], got.r[p])) return false;
  if (want.fcw & RC) return true;
  const interval = (s: FpuState): bigint => 2n * ordinal(s.r[p]) - (s.fsw & C1 ? 1n : 0n);
  const d = interval(want) - interval(got);
  return d >= -1n && d <= 1n;
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
