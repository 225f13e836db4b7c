/** Sample encodings of a row of the instruction table, made without the assembler. */

import { hasName, isSizedRow } from "../../src/isa/mnemonics.ts";
import type { Width } from "../../src/isa/operand.ts";
import { ignoresMod } from "../../src/isa/operand.ts";
import type { Row } from "../../src/isa/table/grammar.ts";

export const MODES: readonly Width[] = [16, 32, 64];

/** ModRM.rm with what follows (SIB, displacement), by address size; ModRM.reg is still 0. */
const MEMORY: Readonly<Record<Width, readonly number[][]>> = {
  16: [[0x00], [0x46, 0x80], [0x87, 0x34, 0x12], [0x06, 0x78, 0x56]],
  32: [
    [0x03],
    [0x45, 0xf0],
    [0x04, 0x4b],
    [0x84, 0xc7, 0x78, 0x56, 0x34, 0x12],
    [0x44, 0x24, 0x08],
    [0x05, 0, 0, 0x34, 0x12],
    [0x04, 0x85, 4, 0, 0, 0],
  ],
  64: [
    [0x03],
    [0x45, 0xf0],
    [0x04, 0x4b],
    [0x84, 0xc7, 0x78, 0x56, 0x34, 0x92],
    [0x44, 0x24, 0x08],
    [0x05, 0, 1, 0, 0],
    [0x04, 0x25, 0, 0x10, 0, 0],
  ],
};
const TAILS: readonly number[][] = [
  [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0x0f, 0x11],
  [0xf1, 0xff, 0xff, 0x81, 0x22, 0x33, 0x44, 0x55, 0x66],
];

/** Encodings of `row` in `mode`: every operand size, register and memory forms, REX bits, segment and address prefixes. */
export function* samples(row: Row, mode: Width): Generator<Uint8Array> {
  if (row.attrs.has(mode === 64 ? "i64" : "o64") || !hasName(row)) return;
  if (row.vex) {
    yield* vexSamples(row, mode);
    return;
  }
  const mandatory = row.prefix === "" || row.prefix === "np" ? [] : [Number.parseInt(row.prefix, 16)];
  const opcode = [...(row.map ? [0x0f] : []), ...(row.map > 1 ? [row.map === 2 ? 0x38 : 0x3a] : [])];
  const sized = isSizedRow(row);
  const sizes: number[][] = [[]];
  if (sized && row.prefix !== "66" && row.prefix !== "np" && !(mode === 64 && row.attrs.has("f64"))) sizes.push([0x66]);
  // Most numbers of control and debug registers do not exist.
  const rexes =
    mode !== 64 || ignoresMod(row)
      ? [0]
      : sized && !row.attrs.has("d64") && !row.attrs.has("f64")
        ? [0, 0x45, 0x48, 0x4d]
        : [0, 0x45];
  let n = 0;
  for (const size of sizes) {
    for (const rex of rexes) {
      if (rex & 8 && size.length) continue;
      const start = [...size, ...mandatory, ...(rex ? [rex] : []), ...opcode];
      for (const rest of bodies(row, mode)) {
        const tail = TAILS[n++ % TAILS.length];
        yield Uint8Array.from([...start, ...rest, ...tail]);
      }
    }
  }
  const memory = row.operands.some((o) => /^[EMQWOX]/.test(o)) && row.mod !== "reg";
  if (!memory) return;
  const body = [...bodies(row, mode)].at(-1)!;
  yield Uint8Array.from([0x64, ...mandatory, ...opcode, ...body, ...TAILS[0]]);
  const other = mode === 16 ? 32 : mode === 32 ? 16 : 32;
  const last = [...bodies(row, mode, other)].at(-2);
  if (row.modrm && last) yield Uint8Array.from([0x67, ...mandatory, ...opcode, ...last, ...TAILS[0]]);
}

/**
 * VEX encodings: R, X, B and W in 64-bit mode, both lengths, some values of vvvv, and a two-byte prefix where it is
 * possible.
 */
function* vexSamples(row: Row, mode: Width): Generator<Uint8Array> {
  const pp = ["np", "66", "f3", "f2"].indexOf(row.prefix);
  const usesVvvv = row.operands.some((o) => /^[BH][a-z]$/.test(o));
  const sized = row.operands.some((o) => /^[A-Z]y$/.test(o));
  const long = row.operands.some((o) => /^[A-Z]x$/.test(o));
  let n = 0;
  for (const rxb of mode === 64 ? [0, 5, 7] : [0]) {
    for (const w of row.w >= 0 ? [row.w] : mode === 64 && sized ? [0, 1] : [0]) {
      for (const l of row.l >= 0 ? [row.l] : long ? [0, 1] : [0]) {
        for (const rest of row.values.has("vsib") ? vsibBodies(row, mode) : bodies(row, mode)) {
          const vvvv = usesVvvv ? [1, 5, mode === 64 ? 12 : 3][n % 3] : 0;
          const last = (w << 7) | ((~vvvv & 15) << 3) | (l << 2) | pp;
          // A register in the immediate leaves its low bits without meaning.
          const tail = TAILS[n++ % TAILS.length].map((b) =>
            row.operands.some((o) => /^L[a-z]$/.test(o)) ? b & 0xf0 : b,
          );
          yield Uint8Array.from([0xc4, ((~rxb & 7) << 5) | row.map, last, ...rest, ...tail]);
          if (row.map === 1 && w === 0 && rxb === 0) yield Uint8Array.from([0xc5, 0x80 | last, ...rest, ...tail]);
        }
      }
    }
  }
}

/** The opcode with the memory operands of a gather, whose index (2 or 6) is neither the register (0, 7) nor in vvvv. */
function* vsibBodies(row: Row, mode: Width): Generator<number[]> {
  if (mode === 16) return;
  const modrm = (mod: number, reg: number): number => (mod << 6) | (reg << 3) | 4;
  yield [row.opcode, modrm(0, 0), 0x93];
  yield [row.opcode, modrm(1, 7), 0x36, 0xf0];
  yield [row.opcode, modrm(2, 7), 0x71, 0x78, 0x56, 0x34, 0x12];
  yield [row.opcode, modrm(0, 0), 0x35, 0x00, 0x10, 0x00, 0x00];
}

/** Opcode byte and ModRM with what belongs to it. */
function* bodies(row: Row, mode: Width, asize: Width = mode): Generator<number[]> {
  if (!row.modrm) {
    for (const r of row.plusR ? [0, 3, 6] : [0]) yield [row.opcode + r];
    return;
  }
  const regs = row.reg >= 0 ? [row.reg] : (segmentOrControl(row) ?? [0, 2, 5]);
  const registers = row.mod !== "mem" && !row.operands.some((o) => o[0] === "M");
  const memory =
    row.mod !== "reg" && row.rm < 0 && !row.operands.some((o) => /^[RNU][a-z]$/.test(o)) && !ignoresMod(row);
  for (const reg of regs) {
    if (registers)
      for (const rm of row.rm >= 0 ? [row.rm] : row.operands.length ? [1, 6] : [0, 6])
        yield [row.opcode, 0xc0 | (reg << 3) | rm];
  }
  if (!memory) return;
  let n = 0;
  for (const m of MEMORY[asize]) yield [row.opcode, m[0] | (regs[n++ % regs.length] << 3), ...m.slice(1)];
}

function segmentOrControl(row: Row): number[] | undefined {
  if (row.operands.some((o) => o[0] === "S" && o.length === 2 && /[a-z]/.test(o[1])))
    return row.operands[0][0] === "S" ? [0, 2, 3, 5] : [0, 1, 5];
  if (row.operands.some((o) => /^C[a-z]$/.test(o))) return [0, 2, 3, 4];
  if (row.operands.some((o) => /^D[a-z]$/.test(o))) return [0, 7];
  return undefined;
}
