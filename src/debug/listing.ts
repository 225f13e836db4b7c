/** Disassembly around an address, with names. */
import { type Disassembly, disassemble } from "../isa/disassemble.ts";
import type { Symbols } from "./symbols.ts";

/** An instruction of a listing. */
export interface Line {
  /** Linear address. */
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** "do_sys_open+0x10", where it is known. */
  readonly symbol: string | undefined;
  /** What a branch or call target, or a RIP-relative operand, is called. */
  readonly refers: string | undefined;
}

/** Reads bytes of code by linear address, as far as they are mapped. */
export type ReadCode = (linear: bigint, length: number) => Uint8Array;

const MAX_LENGTH = 15;

/** The instruction at an address. */
export const disassembleAt = (read: ReadCode, at: bigint, mode: 16 | 32 | 64): Disassembly =>
  disassemble(read(at, MAX_LENGTH), 0, { mode, ip: at });

/** The instructions from an address on: `count`, or as many as there are bytes for. */
export function linesFrom(read: ReadCode, from: bigint, mode: 16 | 32 | 64, count: number, symbols?: Symbols): Line[] {
  const bytes = read(from, count * MAX_LENGTH);
  return decode(bytes, from, mode, symbols, ({ length }) => length < count);
}

function decode(
  bytes: Uint8Array,
  from: bigint,
  mode: 16 | 32 | 64,
  symbols: Symbols | undefined,
  more: (so: Line[]) => boolean,
): Line[] {
  const lines: Line[] = [];
  for (let at = 0; at < bytes.length && more(lines); ) {
    const address = BigInt.asUintN(64, from + BigInt(at));
    const { length, text, bytes: raw } = disassemble(bytes, at, { mode, ip: address });
    lines.push({
      address,
      bytes: raw,
      text,
      symbol: symbols?.text(address),
      refers: symbols && referred(text, symbols),
    });
    at += length;
  }
  return lines;
}

/** The name of the last address in an instruction's text. */
function referred(text: string, symbols: Symbols): string | undefined {
  const found = [...text.matchAll(/0x[0-9a-f]{5,16}/g)].at(-1);
  return found && symbols.text(BigInt(found[0]));
}

/**
 * A listing with `before` instructions ahead of `around`, which is one itself. x86 cannot be read backwards: of the places
 * ahead from which decoding comes to `around`, the one is taken that most others join.
 */
export function linesAround(
  read: ReadCode,
  around: bigint,
  mode: 16 | 32 | 64,
  before: number,
  after: number,
  symbols?: Symbols,
): Line[] {
  const forward = linesFrom(read, around, mode, after, symbols);
  const start = symbols?.near(around);
  const room = start && start.offset < 0x400n ? Number(start.offset) : Math.min(before * 8, 128);
  for (let back = room; back > 0; back--) {
    const from = around - BigInt(back);
    if (from < 0n) continue;
    const bytes = read(from, back);
    if (bytes.length < back) continue;
    const lines = decode(bytes, from, mode, symbols, () => true);
    // The first instructions may be halves of others; after a few the decoding has fallen into step.
    const sure =
      start && BigInt(back) === start.offset ? lines : lines.slice(Math.min(4, Math.floor(lines.length / 2)));
    const last = lines.at(-1);
    const ends = last && last.address + BigInt(last.bytes.length) === around;
    if (ends && !sure.some(({ text }) => text === "(bad)")) return [...sure.slice(-before), ...forward];
  }
  return forward;
}

/** "ffffffff81000010  48 89 e5               mov rbp,rsp    ; start_kernel+0x10", with its bytes or without. */
export function lineText({ address, bytes, text, symbol, refers }: Line, withBytes = true): string {
  const raw = [...bytes].map((b) => b.toString(16).padStart(2, "0")).join(" ");
  const says = [symbol, refers && `-> ${refers}`].filter(Boolean).join("  ");
  const start = `${address.toString(16).padStart(8, "0")}  ${withBytes ? `${raw.padEnd(30)} ` : ""}`;
  return `${start}${says ? `${text.padEnd(36)} ; ${says}` : text}`;
}
