/** Two results of one case, side by side. */
import { linearOf, pristine } from "../vectorMemory.ts";
import { type Case, fillMemory, memoryAfter, PROCESS_SIZE, type Result, X } from "./case.ts";
import { hasError } from "./engine.ts";

export interface Difference {
  readonly field: string;
  readonly want: string;
  readonly got: string;
}

/** What is not compared. */
export interface Mask {
  /** RFLAGS bits. */
  readonly rflags?: number;
  /** FSW bits. */
  readonly fsw?: number;
}

/** Linux's TASK_SIZE_MAX: 2^47 less a page. It reports P for every page fault from there on. */
const KERNEL_ONLY = 0x7fff_ffff_f000n;
const blank = pristine();
const before = new Uint8Array(PROCESS_SIZE);
const scratch = new Uint8Array(PROCESS_SIZE);
const other = new Uint8Array(PROCESS_SIZE);
const hex = (n: number | bigint): string => n.toString(16);
const bytesHex = (b: Uint8Array): string => Buffer.from(b).toString("hex");
/** The register that the bytes hold, most significant digit first. */
const numberHex = (b: Uint8Array): string => Buffer.from(b).reverse().toString("hex");

/** What differs; nothing if the two agree. */
export function differences(c: Case, want: Result, got: Result, mask: Mask = {}): Difference[] {
  const out: Difference[] = [];
  const check = (field: string, a: number | bigint | string, b: number | bigint | string): void => {
    if (a !== b) out.push({ field, want: typeof a === "string" ? a : hex(a), got: typeof b === "string" ? b : hex(b) });
  };
  check("status", want.status, got.status);
  if (want.status !== "done" || got.status !== "done") return out;
  check("exception", want.vector, got.vector);
  if (want.vector === got.vector && hasError(want.vector)) {
    const unreported = want.vector === 14 && want.cr2 >= KERNEL_ONLY ? 1 : 0;
    if (want.vector === 14) check("cr2", want.cr2, got.cr2);
    check("error", want.error | unreported, got.error | unreported);
  }
  check("rip", want.rip, got.rip);
  const flags = ~BigInt(mask.rflags ?? 0);
  check("rflags", want.rflags & flags, got.rflags & flags);
  const [registers, wide] = c.mode === 64 ? [16, ~0n] : [8, 0xffff_ffffn];
  for (let i = 0; i < registers; i++) {
    if (want.gpr[i] !== got.gpr[i]) check(`gpr${i}`, want.gpr[i] & wide, got.gpr[i] & wide);
  }
  compareXsave(want.xsave, got.xsave, registers, mask.fsw ?? 0, check);
  const at = memoryDifference(c, want, got);
  if (at >= 0) check(`memory ${hex(linearOf(at))}`, bytesHex(scratchAt(at, 0)), bytesHex(scratchAt(at, 1)));
  return out;
}

type Check = (field: string, a: number | bigint | string, b: number | bigint | string) => void;

function compareXsave(want: Uint8Array, got: Uint8Array, xmms: number, fswMask: number, check: Check): void {
  const a = new DataView(want.buffer, want.byteOffset, want.length);
  const b = new DataView(got.buffer, got.byteOffset, got.length);
  check("fcw", a.getUint16(X.fcw, true), b.getUint16(X.fcw, true));
  check("fsw", a.getUint16(X.fsw, true) & ~fswMask, b.getUint16(X.fsw, true) & ~fswMask);
  check("ftw", want[X.ftw], got[X.ftw]);
  check("fop", a.getUint16(X.fop, true), b.getUint16(X.fop, true));
  check("fip", a.getBigUint64(X.fip, true), b.getBigUint64(X.fip, true));
  check("fdp", a.getBigUint64(X.fdp, true), b.getBigUint64(X.fdp, true));
  check("mxcsr", a.getUint32(X.mxcsr, true), b.getUint32(X.mxcsr, true));
  const run = (field: string, at: number, length: number): void => {
    for (let i = 0; i < length; i++) {
      if (want[at + i] === got[at + i]) continue;
      check(field, numberHex(want.subarray(at, at + length)), numberHex(got.subarray(at, at + length)));
      return;
    }
  };
  for (let i = 0; i < 8; i++) run(`st${i}`, X.st + i * 16, 10);
  for (let i = 0; i < xmms; i++) {
    run(`xmm${i}`, X.xmm + i * 16, 16);
    run(`ymm${i} (upper half)`, X.ymmHigh + i * 16, 16);
  }
}

/** Offset of the first byte of memory that differs, -1 if none does; both memories are then in scratch. */
function memoryDifference(c: Case, want: Result, got: Result): number {
  before.set(blank);
  fillMemory(c, before);
  scratches = [memoryAfter(want, before, scratch), memoryAfter(got, before, other)];
  const [a, b] = scratches;
  if (Buffer.compare(a, b) === 0) return -1;
  let at = 0;
  while (a[at] === b[at]) at++;
  return at;
}

let scratches: readonly Uint8Array[] = [scratch, other];
const scratchAt = (at: number, which: number): Uint8Array => scratches[which].subarray(at, at + 16);
