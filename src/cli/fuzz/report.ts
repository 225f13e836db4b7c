/** From a case and what the reference made of it to a vector (../vectorFormat.ts). */
import type { Vector, VectorBytes } from "../vectorFormat.ts";
import { pristine } from "../vectorMemory.ts";
import { type Case, defaultXmm, fillMemory, memoryAfter, PROCESS_SIZE, type Result, runs, X } from "./case.ts";
import type { Mask } from "./compare.ts";
import { hasError } from "./engine.ts";

const hex = (n: number | bigint): string => n.toString(16);
const text = (b: Uint8Array): string => Buffer.from(b).toString("hex");
const number = (b: Uint8Array): string => Buffer.from(b).reverse().toString("hex");
const KERNEL_ONLY = 0x7fff_ffff_f000n;

/** Steps after which a replay is given up, for a case that is more than one instruction. */
const STEPS = 100_000;

interface Registers {
  readonly gpr: readonly string[];
  readonly xmm: readonly string[];
  readonly mxcsr: number;
  readonly fpu: { fcw: number; fsw: number; ftw: number; r: string[] };
}

function registers(gpr: BigUint64Array, xsave: Uint8Array, mode: number): Registers {
  const v = new DataView(xsave.buffer, xsave.byteOffset, xsave.length);
  const count = mode === 64 ? 16 : 8;
  const fsw = v.getUint16(X.fsw, true);
  const r = Array.from({ length: 8 }, (_, p) => {
    const at = X.st + ((p - (fsw >> 11)) & 7) * 16;
    return number(xsave.subarray(at, at + 10));
  });
  return {
    gpr: Array.from({ length: count }, (_, i) => hex(mode === 64 ? gpr[i] : gpr[i] & 0xffff_ffffn)),
    xmm: Array.from({ length: 16 }, (_, i) => {
      const high = number(xsave.subarray(X.ymmHigh + i * 16, X.ymmHigh + i * 16 + 16));
      const low = number(xsave.subarray(X.xmm + i * 16, X.xmm + i * 16 + 16));
      return high + low;
    }),
    mxcsr: v.getUint32(X.mxcsr, true),
    fpu: { fcw: v.getUint16(X.fcw, true), fsw, ftw: xsave[X.ftw], r },
  };
}

const differing = <T>(before: readonly T[], after: readonly T[]): Record<string, T> =>
  Object.fromEntries(after.flatMap((v, i) => (v === before[i] ? [] : [[i, v]])));

/**
 * The case as a vector that `tabhyve vectors` replays.
 *
 * @param want what the reference made of it.
 */
export function toVector(c: Case, want: Result, mask: Mask, id: string, asm: string): Vector {
  const before = registers(c.gpr, c.xsave, c.mode);
  const after = registers(want.gpr, want.xsave, c.mode);
  const xmm: Record<string, string> = {};
  before.xmm.forEach((value, i) => {
    const short = /^0{32}/.test(value) ? value.slice(32) : value;
    if (short !== number(defaultXmm(i))) xmm[i] = short;
  });
  const memory = pristine();
  fillMemory(c, memory);
  const changed = runs(memory, memoryAfter(want, memory, new Uint8Array(PROCESS_SIZE)));
  const { rip, exception } = ending(c, want);
  return {
    id,
    mode: c.mode,
    asm,
    code: text(c.code),
    rip: hex(c.rip),
    steps: STEPS,
    before: {
      gpr: before.gpr,
      rflags: hex(c.rflags),
      xmm,
      mxcsr: before.mxcsr,
      fpu: before.fpu,
      mem: c.patches.map(({ address, bytes }): VectorBytes => [address, text(bytes)]),
    },
    after: {
      rip: hex(rip),
      rflags: hex(want.rflags & ~0x1_0100n),
      gpr: differing(before.gpr, after.gpr),
      xmm: differing(before.xmm, after.xmm),
      mxcsr: after.mxcsr,
      fpu: { fcw: after.fpu.fcw, fsw: after.fpu.fsw, ftw: after.fpu.ftw, r: differing(before.fpu.r, after.fpu.r) },
      mem: changed.map(({ address, bytes }): VectorBytes => [address, text(bytes)]),
    },
    ...(exception && { exception }),
    ...(mask.rflags && { flagsUndefined: hex(mask.rflags) }),
    ...(mask.fsw && { fswUndefined: mask.fsw }),
  };
}

/** A vector ends where its code does; a case goes on to the exception that lies there. */
function ending(c: Case, want: Result): { rip: bigint; exception?: NonNullable<Vector["exception"]> } {
  const outside = (rip: bigint): boolean => rip < BigInt(c.rip) || rip >= BigInt(c.rip + c.code.length);
  const { vector, rip, error, cr2 } = want;
  if (vector === 3 && outside(rip - 1n)) return { rip: rip - 1n };
  if (vector === 14 && error & 16 && outside(rip)) return { rip };
  const unreported = vector === 14 && cr2 >= KERNEL_ONLY ? ~1 : ~0;
  return {
    rip,
    exception: {
      vector,
      ...(hasError(vector) && { err: error & unreported }),
      ...(vector === 14 && { cr2: hex(cr2) }),
    },
  };
}
