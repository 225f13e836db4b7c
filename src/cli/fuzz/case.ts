/**
 * A case of the fuzzer: the state of a process (../vectorMemory.ts) and code for it to run until its first exception,
 * and what an engine made of it. Both have the layout that ./native.c reads and writes.
 */
import type { Width } from "../../isa/operand.ts";
import { CODE_BASE16, linearOf, PROCESS_SIZE, place, put } from "../vectorMemory.ts";

/** FXSAVE area, XSAVE header, upper halves of the YMM registers (SDM vol. 1, 13.4). */
export const XSAVE_SIZE = 832;
export const X = {
  fcw: 0,
  fsw: 2,
  ftw: 4,
  fop: 6,
  fip: 8,
  fdp: 16,
  mxcsr: 24,
  st: 32,
  xmm: 160,
  ymmHigh: 576,
} as const;

/** Bytes at a linear address. */
export interface Patch {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export interface Case {
  readonly mode: Width;
  /** The code lies at `rip` (in 16-bit mode, an offset from the base of CS) and is followed by INT3. */
  readonly code: Uint8Array;
  readonly rip: number;
  readonly rflags: number;
  /** In encoding order; 16 whatever the mode. */
  readonly gpr: BigUint64Array;
  readonly xsave: Uint8Array;
  /** What memory holds beyond its initial pattern. */
  readonly patches: readonly Patch[];
  /** Offsets in `code` at which its instructions start, where they are known. */
  readonly starts: readonly number[];
  /** What it is about: the mnemonic of a single instruction, else the kind of case. */
  readonly about: string;
}

export type Status = "done" | "crashed" | "hung" | "system call";
const STATUS: readonly Status[] = ["done", "crashed", "hung", "system call"];

/** The state that the handler of the first exception sees. */
export interface Result {
  readonly status: Status;
  readonly vector: number;
  readonly error: number;
  readonly cr2: bigint;
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly gpr: BigUint64Array;
  readonly xsave: Uint8Array;
  /** Memory: what differs from before, or all of the process's pages. */
  readonly memory: readonly Patch[] | Uint8Array;
}

export const linearStart = (c: Case): number => c.rip + (c.mode === 16 ? CODE_BASE16 : 0);

/** Memory before the case; `into` holds the pattern that no case has changed. */
export function fillMemory(c: Case, into: Uint8Array): void {
  put(into, linearStart(c), c.code);
  for (const { address, bytes } of c.patches) put(into, address, bytes);
}

/** Memory after it, for a case whose memory before was `before`. */
export function memoryAfter(result: Result, before: Uint8Array, into: Uint8Array): Uint8Array {
  if (result.memory instanceof Uint8Array) return result.memory;
  into.set(before);
  for (const { address, bytes } of result.memory) into.set(bytes, place(address));
  return into;
}

/** A batch as ./native.c reads it. */
export function serialize(cases: readonly Case[]): Uint8Array {
  const IN = 160 + XSAVE_SIZE;
  let size = 0;
  for (const c of cases) size += IN + c.patches.reduce((n, p) => n + 8 + p.bytes.length, 8 + c.code.length);
  const out = new Uint8Array(size);
  const data = new DataView(out.buffer);
  let at = 0;
  for (const c of cases) {
    const start = at;
    data.setUint32(at + 4, c.mode, true);
    data.setUint32(at + 8, 1 + c.patches.length, true);
    data.setBigUint64(at + 16, BigInt(c.rip), true);
    data.setBigUint64(at + 24, BigInt(c.rflags), true);
    for (let i = 0; i < 16; i++) data.setBigUint64(at + 32 + 8 * i, c.gpr[i], true);
    out.set(c.xsave, at + 160);
    at += IN;
    for (const { address, bytes } of [{ address: linearStart(c), bytes: c.code }, ...c.patches]) {
      data.setUint32(at, address, true);
      data.setUint32(at + 4, bytes.length, true);
      out.set(bytes, at + 8);
      at += 8 + bytes.length;
    }
    data.setUint32(start, at - start, true);
  }
  return out;
}

/** The results that ./native.c wrote for `count` cases. */
export function parseResults(bytes: Uint8Array, count: number): Result[] {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out: Result[] = [];
  for (let at = 0; at < bytes.length; at += data.getUint32(at, true)) {
    const gpr = new BigUint64Array(16);
    for (let i = 0; i < 16; i++) gpr[i] = data.getBigUint64(at + 40 + 8 * i, true);
    const tail = at + 168 + XSAVE_SIZE;
    const memory: Patch[] = [];
    let p = tail + 8;
    for (let n = data.getUint32(tail, true); n > 0; n--) {
      const length = data.getUint32(p + 4, true);
      memory.push({ address: data.getUint32(p, true), bytes: bytes.subarray(p + 8, p + 8 + length) });
      p += 8 + length;
    }
    out.push({
      status: STATUS[data.getUint32(at + 4, true)],
      vector: data.getUint32(at + 8, true),
      error: data.getUint32(at + 12, true),
      cr2: data.getBigUint64(at + 16, true),
      rip: data.getBigUint64(at + 24, true),
      rflags: data.getBigUint64(at + 32, true),
      gpr,
      xsave: bytes.subarray(at + 168, at + 168 + XSAVE_SIZE),
      memory,
    });
  }
  if (out.length !== count) throw new Error(`the native runner returned ${out.length} of ${count} results`);
  return out;
}

/** The runs of bytes in which two images of the process's memory differ; a run ends with its page. */
export function runs(before: Uint8Array, after: Uint8Array): Patch[] {
  const out: Patch[] = [];
  if (Buffer.compare(before, after) === 0) return out;
  for (let at = 0; at < before.length; at++) {
    if (before[at] === after[at]) continue;
    const from = at;
    while (at < before.length && before[at] !== after[at] && (at === from || at & 0xfff)) at++;
    out.push({ address: linearOf(from), bytes: after.slice(from, at) });
    at--;
  }
  return out;
}

/** The XMM registers that a vector need not list. */
export const defaultXmm = (i: number): Uint8Array => new Uint8Array(16).fill(i * 0x11);

/** Bytes of the process's memory. */
export { PROCESS_SIZE };
