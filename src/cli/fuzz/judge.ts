/**
 * What a difference is worth. Two CPUs may differ where the manuals let them (flags left undefined), in what they are
 * (CPUID, time, descriptor tables), and in instructions that only one of them has.
 */
import { disassemble } from "../../isa/disassemble.ts";
import { lookup, type MandatoryPrefix } from "../../isa/lookup.ts";
import type { Width } from "../../isa/operand.ts";
import type { Row } from "../../isa/table/grammar.ts";
import { CODE_BASE16 } from "../vectorMemory.ts";
import { type Case, linearStart, type Result } from "./case.ts";
import type { Mask } from "./compare.ts";
import type { CoreEngine, Step } from "./engine.ts";
import { isTolerant } from "./tolerance.ts";

/** Instructions whose results tell one machine from another. */
export const OF_THE_HOST = new Set(
  (
    "CPUID RDTSC RDTSCP RDPID RDPMC RDRAND RDSEED XGETBV SGDT SIDT SLDT STR SMSW LAR LSL VERR VERW SYSCALL SYSENTER " +
    "MONITOR MWAIT RDPKRU WRPKRU XSAVES XRSTORS"
  ).split(" "),
);
/** Shifts leave flags as they are when the count is zero: what was undefined stays so. */
const CONDITIONAL = /^(ROL|ROR|RCL|RCR|SHL|SHR|SAR|SHLD|SHRD|CMPS|SCAS)$/;

const FLAG: Readonly<Record<string, number>> = { c: 1, p: 4, a: 0x10, z: 0x40, s: 0x80, o: 0x800 };
const flags = (letters: string | undefined): number => [...(letters ?? "")].reduce((n, f) => n | (FLAG[f] ?? 0), 0);

export interface Executed extends Step {
  readonly row: Row | undefined;
  readonly text: string;
  readonly length: number;
}

export interface Judgement {
  /** Why the difference does not count. */
  readonly drop?: string;
  readonly mask: Mask;
  /** The one instruction of the path, if it leaves something to the CPU (./tolerance.ts). */
  readonly tolerant?: string;
  readonly path: readonly Executed[];
}

/** Looks at every instruction of the case as the engine runs it, one by one. */
export function judge(c: Case, engine: CoreEngine, want: Result, got: Result): Judgement {
  const path: Executed[] = [];
  if (got.status === "hung") return { drop: "does not end", mask: {}, path };
  let drop: string | undefined;
  let undefinedFlags = 0;
  let tolerant: string | undefined;
  let previous: Row | undefined;
  const start = linearStart(c);
  engine.trace(c, (step, snapshot) => {
    // The INT3 that every case ends with.
    if (step.bytes[0] === 0xcc && (step.at < start || step.at >= start + c.code.length)) return true;
    const { row, text, length } = disassemble(step.bytes, 0, { mode: c.mode, ip: BigInt(step.at) });
    path.push({ ...step, row, text, length });
    // Not of an instruction that has faulted: the one before has completed when this one comes.
    undefinedFlags = after(undefinedFlags, previous);
    previous = row;
    if (!row) return false;
    if (OF_THE_HOST.has(row.mnemonic)) drop ??= `${row.mnemonic.toLowerCase()} depends on the host`;
    if (/^INT$/.test(row.mnemonic) && step.bytes.subarray(0, length).includes(0x80)) drop ??= "int 0x80";
    if (isTolerant(row.mnemonic)) tolerant = row.mnemonic;
    // EDX:EAX: state components that one CPU may not have, and what XCR0 has of them (SDM vol. 1, 13.3).
    if (/^X(SAVE|RSTOR)/.test(row.mnemonic)) {
      const { gpr } = snapshot();
      if (gpr[0] & 0xffff_fff8n || gpr[2] & 0xffff_ffffn) drop ??= "further state components";
    }
    if (undefinedFlags & flags(row.values.get("fr")) && !CONDITIONAL.test(row.mnemonic)) {
      drop ??= "depends on undefined flags";
    }
    return false;
  });
  const last = path.at(-1);
  if (last && linearRip(c, want) !== last.at) undefinedFlags = after(undefinedFlags, previous);
  if (want.status === "system call") drop ??= "system call";
  // Linux slows down a process that locks across cache lines (split_lock_detect), for longer than a case may take.
  if (want.status === "hung" && path.some((p) => locks(p))) drop ??= "split lock";
  if (last && !last.row && got.vector === 6 && (want.vector !== 6 || want.rip !== got.rip)) {
    const opcode = opcodeOf(last.bytes, c.mode);
    if (!opcode.row) drop ??= `not in the table: ${opcode.text}`;
  }
  // What another instruction has made of a result that one CPU may choose cannot be told from a mistake.
  if (tolerant && path.length > 1) drop ??= `works with results of ${tolerant.toLowerCase()}`;
  return {
    ...(drop !== undefined && { drop }),
    mask: { rflags: undefinedFlags },
    ...(tolerant && { tolerant }),
    path,
  };
}

/** The flags that are undefined after an instruction, of which `before` were so before it. */
function after(before: number, row: Row | undefined): number {
  if (!row) return before;
  const kept = CONDITIONAL.test(row.mnemonic) ? before : before & ~flags(row.values.get("fw"));
  return kept | flags(row.values.get("fu"));
}

const linearRip = (c: Case, result: Result): number => Number(result.rip) + (c.mode === 16 ? CODE_BASE16 : 0);

const locks = ({ row, bytes, length }: Executed): boolean =>
  row?.mnemonic === "XCHG" || bytes.subarray(0, length).includes(0xf0);

/** Opcode map, prefix and opcode, and the row that they select with the ModRM byte. */
export function opcodeOf(bytes: Uint8Array, mode: Width): { text: string; row: Row | undefined } {
  let at = 0;
  let rep = 0;
  let size = false;
  for (; ; at++) {
    const b = bytes[at];
    if (b === 0xf2 || b === 0xf3) rep = b;
    else if (b === 0x66) size = true;
    else if (![0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf0].includes(b) && !(mode === 64 && b >> 4 === 4)) break;
  }
  let prefix: MandatoryPrefix = rep === 0xf3 ? "f3" : rep === 0xf2 ? "f2" : size ? "66" : "np";
  let opcode = bytes[at++];
  let map = 0;
  let vex: { l: number; w: number } | undefined;
  const extended = mode === 64 || bytes[at] >= 0xc0;
  if (opcode === 0x62 && extended) return { text: "EVEX", row: undefined };
  if ((opcode & 0xfe) === 0xc4 && extended) {
    const one = bytes[at++];
    const last = opcode === 0xc4 ? bytes[at++] : one & 0x7f;
    map = opcode === 0xc4 ? one & 31 : 1;
    vex = { l: (last >> 2) & 1, w: last >> 7 };
    prefix = (["np", "66", "f3", "f2"] as const)[last & 3];
    opcode = bytes[at++];
    if (map < 1 || map > 3) return { text: `VEX map ${map}`, row: undefined };
  } else if (opcode === 0x0f) {
    map = 1;
    opcode = bytes[at++];
    if (opcode === 0x38 || opcode === 0x3a) {
      map = opcode === 0x38 ? 2 : 3;
      opcode = bytes[at++];
    }
  }
  const row = lookup({ map, ...(vex && { vex }), opcode, prefix, mode, modrm: bytes[at] ?? -1 });
  const name = [vex ? "VEX" : "", prefix, ["", "0f", "0f38", "0f3a"][map], opcode.toString(16)]
    .filter(Boolean)
    .join(" ");
  return { text: name, row };
}
