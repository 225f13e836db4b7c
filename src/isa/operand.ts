/** Operand codes of the instruction table (./table/grammar.ts), taken apart for the disassembler and the assembler. */
import type { Row } from "./table/grammar.ts";

/** Bits of the running mode, of an operand or of an address. */
export type Width = 16 | 32 | 64;

export interface OperandCode {
  /** The code as the table has it. */
  readonly text: string;
  /** Addressing letter of SDM vol. 2 appendix A; "" for a fixed register or constant. */
  readonly letter: string;
  /** Size letter, "" if there is none. */
  readonly size: string;
}

const known = new Map<string, OperandCode>();

export function operandCode(text: string): OperandCode {
  let code = known.get(text);
  if (!code) {
    const m = /^([A-Z])([a-z])?$/.exec(text);
    code = { text, letter: m?.[1] ?? "", size: m?.[2] ?? "" };
    known.set(text, code);
  }
  return code;
}

const FIXED_BITS: Readonly<Record<string, number>> = {
  AL: 8,
  CL: 8,
  AX: 16,
  DX: 16,
  ES: 16,
  CS: 16,
  SS: 16,
  DS: 16,
  FS: 16,
  GS: 16,
  "1": 8,
  "3": 8,
};

/** Width in bits of an operand when the operand size is `z` and VEX.L is `l`; 0 where it has none (addresses, images, pointers). */
export function operandBits(code: OperandCode, z: Width, l = 0): number {
  if (code.text === "rAX") return z;
  if (code.text === "eAX") return Math.min(z, 32);
  // CRC32: 32 bits, 64 with REX.W, whatever the size of its source.
  if (code.text === "Gn") return z === 64 ? 64 : 32;
  switch (code.size) {
    case "b":
      return 8;
    case "w":
      return 16;
    case "d":
      return 32;
    case "q":
      return 64;
    case "t":
      return 80;
    case "o":
      return 128;
    case "x":
      return 128 << l;
    case "v":
      return z;
    case "z":
      return Math.min(z, 32);
    case "y":
      return z === 64 ? 64 : 32;
    default:
      return FIXED_BITS[code.text] ?? 0;
  }
}

/** Whether the operand size changes what this operand is. */
export const isSized = (code: OperandCode): boolean =>
  code.text === "rAX" || code.text === "eAX" || /[vzyp]/.test(code.size) || code.letter === "J";

/** The operand size without prefixes. */
export function defaultWidth(row: Row, mode: Width): Width {
  if (mode !== 64) return mode;
  return row.attrs.has("d64") || row.attrs.has("f64") ? 64 : 32;
}

/** MOV to and from control and debug registers takes ModRM.rm as a register whatever ModRM.mod says. */
export const ignoresMod = (row: Row): boolean => row.operands.some((o) => /^[CD][a-z]$/.test(o));

const SIGN_EXTENDED = new Set(["ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP", "IMUL", "PUSH"]);

/** Whether the row's Ib is sign-extended to the operand size (SDM: imm8 of 83, 6B and 6A). */
export const extendsImm8 = (row: Row): boolean =>
  SIGN_EXTENDED.has(row.mnemonic) && !row.operands.some((o) => o === "Eb" || o === "AL");
