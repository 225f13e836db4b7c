/**
 * Results of one instruction that two CPUs may choose differently, with the sections of the SDM that let them. `settle`
 * puts the reference's choice into the other result where it is one of those; what differs then is a real difference.
 */

import { linearOf, place, pristine } from "../vectorMemory.ts";
import { ES, type FpuState, fswTolerable, nearSingle, resultTolerable } from "../vectorTolerance.ts";
import { type Case, fillMemory, memoryAfter, PROCESS_SIZE, type Result, X } from "./case.ts";

/** Errors below one unit in the last place (SDM vol. 1, 8.3.10). */
const TRANSCENDENTAL = /^(F2XM1|FYL2X|FYL2XP1|FPTAN|FPATAN|FSIN|FCOS|FSINCOS)$/;
/** Relative errors of at most 1.5 * 2^-12 (SDM vol. 2, RCPPS and its like). */
const ESTIMATE = /^V?R(CP|SQRT)[SP]S$/;
/** A component in its initial state may count as in use (SDM vol. 1, 13.6). */
const SAVE = /^XSAVE/;

/** True for an instruction that leaves something to the CPU. */
export const isTolerant = (mnemonic: string): boolean =>
  TRANSCENDENTAL.test(mnemonic) || ESTIMATE.test(mnemonic) || SAVE.test(mnemonic);

/** `got` of a case that is one instruction, with what `want` has instead where the manual leaves that open. */
export function settle(c: Case, mnemonic: string, want: Result, got: Result): Result {
  if (want.status !== "done" || got.status !== "done" || want.vector !== got.vector) return got;
  if (TRANSCENDENTAL.test(mnemonic)) return { ...got, xsave: transcendental(mnemonic, want.xsave, got.xsave) };
  if (ESTIMATE.test(mnemonic)) return { ...got, xsave: estimate(c.xsave, want.xsave, got.xsave) };
  return SAVE.test(mnemonic) ? { ...got, memory: saved(c, want, got) } : got;
}

const view = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.length);
const digits = (b: Uint8Array): string => Buffer.from(b).reverse().toString("hex");

/** As ./vectorTolerance.ts has it: physical registers. */
function fpu(xsave: Uint8Array): FpuState {
  const fsw = view(xsave).getUint16(X.fsw, true);
  const r = Array.from({ length: 8 }, (_, p) => {
    const at = X.st + ((p - (fsw >> 11)) & 7) * 16;
    return digits(xsave.subarray(at, at + 10));
  });
  return { fcw: view(xsave).getUint16(X.fcw, true), fsw, r };
}

function transcendental(mnemonic: string, want: Uint8Array, got: Uint8Array): Uint8Array {
  const [a, b] = [want, got].map(fpu);
  const differ = a.fsw ^ b.fsw;
  if (differ & ~fswTolerable(mnemonic, a, b)) return got;
  if (!a.r.every((value, p) => value === b.r[p] || resultTolerable(mnemonic, p, a, b))) return got;
  const out = got.slice();
  view(out).setUint16(X.fsw, a.fsw, true);
  // Only unmasked exceptions leave their opcode (SDM vol. 1, 8.1.9.1).
  if (differ & ES) out.set(want.subarray(X.fop, X.fip), X.fop);
  out.set(want.subarray(X.st, X.xmm), X.st);
  return out;
}

function estimate(before: Uint8Array, want: Uint8Array, got: Uint8Array): Uint8Array {
  const out = got.slice();
  const lanes = (from: number, to: number): void => {
    for (let at = from; at < to; at += 4) {
      const [old, w, g] = [before, want, got].map((x) => view(x).getUint32(at, true));
      if (w !== old && nearSingle(w, g)) out.set(want.subarray(at, at + 4), at);
    }
  };
  lanes(X.xmm, X.xmm + 256);
  lanes(X.ymmHigh, X.ymmHigh + 256);
  return out;
}

const XSTATE_BV = 512;
/** Ranges of an area that a component has: x87, SSE, AVX. MXCSR goes with SSE where it is saved at all. */
const COMPONENTS: readonly (readonly (readonly [number, number])[])[] = [
  [
    [0, 24],
    [32, 160],
  ],
  [
    [24, 32],
    [160, 416],
  ],
  [[576, 832]],
];

/** A byte of an area that holds nothing but initial values: FCW, MXCSR and MXCSR_MASK are not zero. */
const initial = (at: number): number => ({ 0: 0x7f, 1: 3, 24: 0x80, 25: 0x1f, 28: 0xff, 29: 0xff })[at] ?? 0;

/**
 * Memory with the reference's XSTATE_BV, if that only has more components of ours in use, and with the initial values
 * that it therefore has saved.
 */
function saved(c: Case, want: Result, got: Result): Result["memory"] {
  const before = pristine();
  fillMemory(c, before);
  const theirs = memoryAfter(want, before, new Uint8Array(PROCESS_SIZE));
  const ours = memoryAfter(got, before, new Uint8Array(PROCESS_SIZE)).slice();
  let header = -1;
  for (let at = 0; at < PROCESS_SIZE && header < 0; at++) {
    if (theirs[at] !== ours[at] && !(linearOf(at) & 63)) header = linearOf(at);
  }
  const at = place(header);
  if (header < 0 || at < 0 || (theirs[at] ^ ours[at]) & ~7 || (theirs[at] & ours[at]) !== ours[at]) return ours;
  const more = theirs[at] ^ ours[at];
  ours[at] = theirs[at];
  COMPONENTS.forEach((ranges, i) => {
    for (const [from, to] of (more >> i) & 1 ? ranges : []) {
      for (let k = from; k < to; k++) {
        const p = place(header - XSTATE_BV + k);
        if (p >= 0 && ours[p] === before[p] && theirs[p] === initial(k)) ours[p] = theirs[p];
      }
    }
  });
  return ours;
}
