/**
 * Instruction vectors: one JSON object per line of a gzip file, one file per tier. A vector is the state of a CPU in
 * ring 3 before one instruction (or a short run of them) and what a real CPU made of it. Numbers called hex are
 * strings of digits without 0x; bytes of memory are hex digits in address order.
 */
import { basename } from "node:path";
import { gunzipSync } from "node:zlib";
import { readInput, UsageError } from "./options.ts";

/** The x87 state. `ftw` is FXSAVE's abridged tag byte; `r` has physical registers, 20 hex digits each. */
export interface VectorFpu<Registers> {
  readonly fcw: number;
  readonly fsw: number;
  readonly ftw: number;
  readonly r: Registers;
}

/** Linear address and hex bytes. */
export type VectorBytes = readonly [address: number, bytes: string];

export interface Vector {
  /** `tier:form/mode/n`. */
  readonly id: string;
  /** Code segment: 64-bit, 32-bit, or 16-bit protected mode. */
  readonly mode: 64 | 32 | 16;
  /** A disassembler's text, for information; may be missing. */
  readonly asm?: string;
  readonly code: string;
  /** Instruction pointer: an offset in CS, which 16-bit mode adds to CODE_BASE16. */
  readonly rip: string;
  /** Keep executing until RIP leaves `code`; without it, one instruction. */
  readonly steps?: number;
  readonly before: {
    /** 16 registers, 8 outside 64-bit mode, in encoding order. */
    readonly gpr: readonly string[];
    readonly rflags: string;
    readonly xmm?: Readonly<Record<string, string>>;
    readonly mxcsr?: number;
    readonly fpu?: Partial<VectorFpu<readonly string[]>>;
    readonly mem: readonly VectorBytes[];
  };
  /** `rip` and `rflags`, and what else differs from `before`. */
  readonly after: {
    readonly rip: string;
    readonly rflags: string;
    readonly gpr?: Readonly<Record<string, string>>;
    readonly xmm?: Readonly<Record<string, string>>;
    readonly mxcsr?: number;
    readonly fpu?: Partial<VectorFpu<Readonly<Record<string, string>>>>;
    readonly mem?: readonly VectorBytes[];
  };
  /** `after` is then what the handler sees. `err` is a number, `cr2` hex. */
  readonly exception?: { readonly vector: number; readonly err?: number; readonly cr2?: string };
  /** RFLAGS bits, hex, that the manuals leave undefined. */
  readonly flagsUndefined?: string;
  /** FSW bits left undefined. */
  readonly fswUndefined?: number;
  /** Runs of bytes that are not compared: last instruction and operand pointers of the FPU. */
  readonly memIgnore?: readonly (readonly [address: number, length: number])[];
  /** RCP and RSQRT: relative error up to 1.5 * 2^-12. */
  readonly approx?: boolean;
}

/** The parts of an id. The form may have slashes of its own. */
export function splitId(id: string): { readonly tier: string; readonly form: string; readonly mode: string } {
  const colon = id.indexOf(":");
  const last = id.lastIndexOf("/");
  const mode = id.lastIndexOf("/", last - 1);
  return { tier: id.slice(0, colon), form: id.slice(colon + 1, mode), mode: id.slice(mode + 1, last) };
}

/** Name of the tier that a file holds. */
export const tierOf = (file: string): string => basename(file).replace(/\.jsonl(\.gz)?$/, "");

/**
 * The vectors of one file, gzip or plain.
 *
 * @throws UsageError with the file's name and line if it cannot be read or is not a file of vectors.
 */
export function* readVectors(file: string): Generator<Vector> {
  const bytes = readInput("", file);
  let text: string;
  try {
    text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : Buffer.from(bytes)).toString("utf8");
  } catch (error) {
    throw new UsageError(`${file}: not a whole gzip file (${(error as Error).message})`);
  }
  if (!text) throw new UsageError(`${file}: is empty; need instruction vectors, one JSON object on each line`);
  let line = 0;
  for (let at = 0; at < text.length; ) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    line++;
    if (end > at) {
      let vector: unknown;
      try {
        vector = JSON.parse(text.slice(at, end));
      } catch {
        throw new UsageError(`${file}, line ${line}: not JSON; need instruction vectors, one JSON object on each line`);
      }
      if (!isVector(vector)) throw new UsageError(`${file}, line ${line}: JSON, but not an instruction vector`);
      yield vector;
    }
    at = end + 1;
  }
}

/** True if everything is there that every vector has, in its type. */
function isVector(value: unknown): value is Vector {
  const { id, mode, code, rip, before, after } = (value ?? {}) as Partial<Vector>;
  const hex = (text: unknown): boolean => typeof text === "string" && /^[0-9a-f]+$/i.test(text);
  return (
    typeof id === "string" &&
    (mode === 64 || mode === 32 || mode === 16) &&
    hex(code) &&
    hex(rip) &&
    Array.isArray(before?.gpr) &&
    before.gpr.every(hex) &&
    hex(before.rflags) &&
    Array.isArray(before.mem) &&
    hex(after?.rip) &&
    hex(after?.rflags)
  );
}
