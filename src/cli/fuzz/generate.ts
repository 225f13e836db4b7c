/** Cases: single instructions of the table, bytes at random, and small programs. */
import type { Width } from "../../isa/operand.ts";
import type { Row } from "../../isa/table/grammar.ts";
import type { Case } from "./case.ts";
import { encode, POINTERS } from "./encode.ts";
import type { Random } from "./random.ts";
import { DATA, littleEndian, READ_ONLY, State } from "./state.ts";

export const KINDS = ["rows", "bytes", "programs"] as const;
export type Kind = (typeof KINDS)[number];

/** One instruction of `row`. */
export function single(r: Random, mode: Width, row: Row): Case {
  const s = new State(r, mode);
  return s.finish(encode(s, row), [0], row.mnemonic.toLowerCase());
}

const PREFIXES = [0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf2, 0xf3, 0xf0];

/** Bytes at random, with the prefixes and maps of opcodes more often than chance would have them. */
export function bytes(r: Random, mode: Width): Case {
  const s = new State(r, mode);
  const code: number[] = [];
  while (r.percent(30)) code.push(r.pick(PREFIXES));
  if (mode === 64 && r.percent(50)) code.push(0x40 | r.below(16));
  if (r.percent(6)) code.push(0xc4, (r.below(8) << 5) | (1 + r.below(3)));
  else if (r.percent(3)) code.push(0xc5);
  else if (r.percent(45)) {
    code.push(0x0f);
    if (r.percent(20)) code.push(r.pick([0x38, 0x3a]));
  }
  for (const b of r.bytes(8 + r.below(8))) code.push(b);
  return s.finish(Uint8Array.from(code.slice(0, 15)), [0], "bytes");
}

/** How often a row is in a program. */
function weight(row: Row): number {
  if (row.attrs.has("hot") || row.attrs.has("hotr")) return 8;
  if (row.attrs.has("sse") || row.attrs.has("mmx") || row.attrs.has("fpu") || row.vex) return 1;
  return row.meaning.startsWith("@") ? 1 : 3;
}

/** What would end a program, or take its control away. */
const ENDS = new Set(
  "HLT IN OUT INS OUTS CLI STI INT INT1 INT3 INTO UD0 UD1 UD2 IRET RETF INVD WBINVD CLTS RET BOUND".split(" "),
);

/** The rows that programs are made of, each as often as it is to be taken. */
export function programRows(rows: readonly Row[]): Row[] {
  return rows.flatMap((row) => {
    if (row.attrs.has("br") || row.attrs.has("end") || row.attrs.has("prot") || ENDS.has(row.mnemonic)) return [];
    if (row.operands.some((o) => /^([CDS][a-z]|[C-GS]S)$/.test(o))) return [];
    return Array<Row>(weight(row)).fill(row);
  });
}

/** A program of some instructions with branches, loops, calls and memory that aliases. */
export function program(r: Random, mode: Width, rows: readonly Row[]): Case {
  const s = new State(r, mode);
  s.rflags &= ~0x4_0000;
  s.start = 0x10_1800 + r.below(0x100);
  const first = s.start;
  // All pointers lead to the same few bytes, which lie across two pages; now and then to pages of less use.
  for (const p of POINTERS) {
    const at = r.percent(97) ? DATA + 0xfe0 + r.below(32) : r.percent(50) ? READ_ONLY + 8 : DATA + 0x1fe8;
    s.gpr[p] = BigInt(s.offset(at));
  }
  s.gpr[1] = BigInt(1 + r.below(20));
  s.poke(DATA + 0xfc0, s.bytes(r.pick(["integer", "single", "double"] as const), 128));
  const code: number[] = [];
  const starts: number[] = [];
  const emit = (bytes: Iterable<number>): void => {
    starts.push(code.length);
    code.push(...bytes);
    s.start = first + code.length;
  };
  const some = (count: number): void => {
    for (let i = 0; i < count; i++) emit(encode(s, r.pick(rows), true));
  };
  const parts = 1 + r.below(4);
  for (let part = 0; part < parts && code.length < 400; part++) {
    some(1 + r.below(4));
    const shape = r.below(6);
    if (shape === 0) skipped(r, emit, code, () => some(1 + r.below(3)));
    else if (shape === 1) loop(s, emit, code, () => some(1 + r.below(3)));
    else if (shape === 2) call(s, emit, code, () => some(1 + r.below(2)));
  }
  s.start = first;
  return s.finish(Uint8Array.from(code), starts, "program");
}

type Emit = (bytes: Iterable<number>) => void;

/** Code under a forward branch. */
function skipped(r: Random, emit: Emit, code: number[], body: () => void): void {
  const at = code.length;
  emit([0x70 | r.below(16), 0]);
  body();
  code[at + 1] = Math.min(code.length - at - 2, 127);
}

/** A loop that ECX, which the body may change, ends soon. */
function loop(s: State, emit: Emit, code: number[], body: () => void): void {
  const { r } = s;
  if (r.percent(80)) emit([0xb9, ...littleEndian(BigInt(1 + r.below(12)), s.mode === 16 ? 2 : 4)]);
  const top = code.length;
  body();
  if (code.length - top > 110) return;
  if (r.percent(50)) emit([r.pick([0xe0, 0xe1, 0xe2]), (top - code.length - 2) & 0xff]);
  else {
    // DEC ECX; JNZ
    emit([0xff, 0xc9]);
    emit([0x75, (top - code.length - 2) & 0xff]);
  }
}

/** A call of code that lies behind a jump, and its return. */
function call(s: State, emit: Emit, code: number[], body: () => void): void {
  const size = s.mode === 16 ? 2 : 4;
  emit([0xe8, ...littleEndian(2n, size)]);
  const at = code.length;
  emit([0xeb, 0]);
  body();
  emit([0xc3]);
  code[at + 1] = Math.min(code.length - at - 2, 127);
}
