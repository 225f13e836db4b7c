/** Fits written operands to the operand codes of a row. */

import { isShortOnly } from "../mnemonics.ts";
import {
  defaultWidth,
  extendsImm8,
  isSized,
  type OperandCode,
  operandBits,
  operandCode,
  type Width,
} from "../operand.ts";
import type { Register } from "../registers.ts";
import type { Row } from "../table/grammar.ts";
import type { Address } from "./address.ts";
import type { Value } from "./expression.ts";

/** An operand with its expressions computed. */
export type Resolved =
  | { k: "reg"; reg: Register }
  | { k: "mem"; bits: number; far: boolean; address: Address; value: Value }
  /** `near`: it is an address in the instruction's own section, so that it may be reached by a short branch. */
  | { k: "imm"; bits: number; strict: boolean; distance: "" | "short" | "near"; value: Value; near: boolean }
  | { k: "far"; bits: number; selector: Value; offset: Value };

/** A number that follows the opcode. */
export interface Tail {
  value: bigint;
  bits: number;
  /** It counts from the end of the instruction: `value` is the target. */
  relative: boolean;
}

export interface Match {
  row: Row;
  z: Width;
  reg: number;
  rm: Register | Address | undefined;
  plusR: number;
  vvvv: number;
  /** VEX.L. */
  l: number;
  tails: Tail[];
  needsRex: boolean;
  noRex: boolean;
  /** Bits of a memory operand whose size the source leaves open, else 0. */
  openMemory: number;
  /** A moffs, which has no ModRM but a segment and an address size. */
  moffs: Address | undefined;
}

/** Why a row does not fit; `near`: only a value is wrong, so the reason is worth telling. */
export interface Misfit {
  reason: string;
  near: boolean;
}

const NO: Misfit = { reason: "", near: false };
const near = (reason: string): Misfit => ({ reason, near: true });
export const isMisfit = (x: Match | Misfit): x is Misfit => "near" in x;

/**
 * Fits `operands` to `row` at operand size `z` and VEX.L `l`. `chosen`: the mnemonic or a prefix demands this operand size.
 * Without that, a size other than the mode's own must follow from an operand.
 */
export function matchRow(
  row: Row,
  z: Width,
  operands: readonly Resolved[],
  mode: Width,
  chosen: boolean,
  l = 0,
): Match | Misfit {
  const codes = row.operands.some((o) => /^[XY][a-z]$/.test(o)) ? [] : row.operands.map(operandCode);
  const written = withImplied(row, codes, operands);
  if (written.length !== codes.length) return NO;
  const m: Match = {
    row,
    z,
    reg: 0,
    rm: undefined,
    plusR: 0,
    vvvv: 0,
    l,
    tails: [],
    needsRex: false,
    noRex: false,
    openMemory: 0,
    moffs: undefined,
  };
  let justified = chosen || z === defaultWidth(row, mode);
  let misfit: Misfit | undefined;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    const op = written[i];
    const fit = op === undefined ? true : matchOne(m, code, op, codes, mode);
    if (fit === false) return NO;
    if (fit !== true) misfit ??= fit;
    if (op?.k === "reg" && isSized(code)) justified = true;
    // A memory operand of unknown size fits every size; the caller sees that it is ambiguous.
    if (op?.k === "mem" && isSized(code) && (op.bits || code.size !== "p")) justified = true;
    if ((op?.k === "imm" || op?.k === "far") && op.bits === z) justified = true;
  }
  return !justified ? NO : (misfit ?? m);
}

/**
 * x87 instructions may leave out ST0, and some of them ST1 too; the variable blends XMM0. `undefined` stands for an
 * implied ST0 or XMM0.
 */
function withImplied(row: Row, codes: readonly OperandCode[], operands: readonly Resolved[]): (Resolved | undefined)[] {
  if (codes.at(-1)?.text === "XMM0" && operands.length === codes.length - 1) return [...operands, undefined];
  const st = codes.findIndex((c) => c.text === "STi");
  if (st < 0 || operands.length === codes.length) return [...operands];
  const implied = codes.map((c) => (c.text === "ST0" ? undefined : operands[0]));
  if (operands.length === 1 && codes.length === 2) return implied;
  const takesNone = /P$/.test(row.mnemonic) || /^F(XCH|U?COM)$/.test(row.mnemonic);
  if (operands.length || !takesNone) return [...operands];
  const st1: Resolved = { k: "reg", reg: { name: "st1", cls: "st", num: 1, bits: 80, needsRex: false, noRex: false } };
  return codes.map((c) => (c.text === "ST0" ? undefined : st1));
}

const inRange = (n: bigint, bits: number): boolean => n >= -(1n << BigInt(bits)) && n < 1n << BigInt(bits);
const isInt = (n: bigint, bits: number): boolean => BigInt.asIntN(bits, n) === n;

/** Class of the vector registers that operands of `bits` bits lie in. */
const vector = (bits: number) => (bits === 256 ? "ymm" : "xmm");

function matchOne(
  m: Match,
  code: OperandCode,
  op: Resolved,
  all: readonly OperandCode[],
  mode: Width,
): boolean | Misfit {
  const bits = operandBits(code, m.z, m.l);
  switch (code.letter) {
    case "E":
    case "R":
    case "M":
      if (op.k === "mem") return code.letter !== "R" && matchMemory(m, code, op, bits, all);
      return code.letter !== "M" && op.k === "reg" && op.reg.cls === "gpr" && matchGpr(m, op.reg, bits, all, true);
    case "G":
    case "Z":
    case "B":
      if (op.k !== "reg" || op.reg.cls !== "gpr" || !matchGpr(m, op.reg, bits, all, false)) return false;
      if (code.letter === "G") m.reg = op.reg.num;
      else if (code.letter === "B") m.vvvv = op.reg.num;
      else m.plusR = op.reg.num;
      return true;
    case "Q":
    case "W":
    case "N":
    case "U": {
      if (op.k === "mem") return (code.letter === "Q" || code.letter === "W") && matchMemory(m, code, op, bits, all);
      const cls = code.letter === "Q" || code.letter === "N" ? "mmx" : vector(bits);
      if (op.k !== "reg" || op.reg.cls !== cls) return false;
      m.rm = op.reg;
      return true;
    }
    case "H":
    case "L":
      if (op.k !== "reg" || op.reg.cls !== vector(bits)) return false;
      if (code.letter === "H") m.vvvv = op.reg.num;
      else m.tails.push({ value: BigInt(op.reg.num << 4), bits: 8, relative: false });
      return true;
    case "P":
    case "V":
    case "S":
    case "C":
    case "D":
      if (op.k !== "reg" || op.reg.cls !== { P: "mmx", V: vector(bits), S: "seg", C: "cr", D: "dr" }[code.letter])
        return false;
      m.reg = op.reg.num;
      return true;
    case "I":
      return op.k === "imm" && matchImmediate(m, code, op, bits, all, mode);
    case "J":
      return op.k === "imm" && matchBranch(m, code, op, mode);
    case "O":
      return op.k === "mem" && matchMoffs(m, op, bits, mode);
    case "A": {
      if (op.k !== "far" || (op.bits && op.bits !== m.z)) return false;
      const size = Math.min(m.z, 32);
      m.tails.push(
        { value: op.offset.n, bits: size, relative: false },
        { value: op.selector.n, bits: 16, relative: false },
      );
      if (!inRange(op.selector.n, 16)) return near(`selector ${op.selector.n} does not fit in 16 bits`);
      return inRange(op.offset.n, size) || near(`far offset ${op.offset.n} does not fit in ${size} bits`);
    }
  }
  return matchFixed(m, code, op, bits);
}

function matchFixed(m: Match, code: OperandCode, op: Resolved, bits: number): boolean {
  if (code.text === "1" || code.text === "3") {
    return op.k === "imm" && !op.strict && op.value.rel === 0 && (op.value.unknown || op.value.n === BigInt(code.text));
  }
  if (op.k !== "reg") return false;
  if (code.text === "STi") {
    m.rm = op.reg;
    return op.reg.cls === "st";
  }
  if (code.text === "ST0") return op.reg.cls === "st" && op.reg.num === 0;
  if (code.text === "rAX" || code.text === "eAX")
    return op.reg.cls === "gpr" && op.reg.num === 0 && op.reg.bits === bits;
  return op.reg.name === code.text.toLowerCase();
}

function matchGpr(m: Match, reg: Register, bits: number, all: readonly OperandCode[], isRm: boolean): boolean {
  // MOV to a segment register, LAR and LSL take wider registers too: they read the low word.
  const wider = isRm && bits === 16 && reg.bits > 16 && (all[0].letter === "S" || /^L(AR|SL)$/.test(m.row.mnemonic));
  if (reg.bits !== bits && !wider) return false;
  if (isRm) m.rm = reg;
  m.needsRex ||= reg.needsRex || reg.num > 7;
  m.noRex ||= reg.noRex;
  return true;
}

function matchMemory(
  m: Match,
  code: OperandCode,
  op: Resolved & { k: "mem" },
  bits: number,
  all: readonly OperandCode[],
): boolean {
  if (code.size === "p" && all.length === 1) {
    if (!op.far || (op.bits && op.bits !== m.z)) return false;
  } else if (op.far || op.address.wide || (bits && op.bits && op.bits !== bits)) return false;
  // The index is a vector register exactly where the row has one, and of its size.
  const vsib = m.row.values.get("vsib");
  if (op.address.vectorIndex !== (vsib ? operandBits(operandCode(`V${vsib}`), m.z, m.l) : 0)) return false;
  if (bits && !op.bits) m.openMemory = bits;
  m.rm = op.address;
  return true;
}

function matchMoffs(m: Match, op: Resolved & { k: "mem" }, bits: number, mode: Width): boolean {
  const { address } = op;
  if (!address.direct || op.far || (op.bits && op.bits !== bits) || (mode === 64 && !address.wide)) return false;
  m.moffs = address;
  m.tails.push({ value: op.value.n, bits: address.asize, relative: false });
  return true;
}

function matchImmediate(
  m: Match,
  code: OperandCode,
  op: Resolved & { k: "imm" },
  bits: number,
  all: readonly OperandCode[],
  mode: Width,
): boolean | Misfit {
  const { n, rel, unknown } = op.value;
  if (op.distance) return false;
  if (op.bits === 8 && code.size !== "b") return false;
  if (op.strict && op.bits && op.bits !== bits) return false;
  // PUSH: only the immediate tells the operand size.
  const onlyImmediate = all.length === 1 && m.row.mnemonic === "PUSH";
  if (onlyImmediate && op.bits > 8 && op.bits !== m.z && !(mode === 64 && op.bits === 32 && m.z === 64)) return false;
  m.tails.push({ value: n, bits, relative: false });
  if (unknown) return true;
  if (code.size === "b" && extendsImm8(m.row)) {
    if (rel !== 0) return false;
    return isInt(BigInt.asIntN(m.z, n), 8) && inRange(n, m.z) ? true : near(`${n} does not fit in a signed byte`);
  }
  if (bits < m.z && code.size === "z") {
    if (rel !== 0 && m.row.mnemonic === "MOV" && m.rm && "cls" in m.rm) return false;
    return isInt(n, 32) || near(`${n} does not fit in a sign-extended 32-bit immediate`);
  }
  return inRange(n, bits) || bits === 64 || near(`${n} does not fit in ${bits} bits`);
}

/** Whether the target is in reach shows when the length is known (encode.ts). */
function matchBranch(m: Match, code: OperandCode, op: Resolved & { k: "imm" }, mode: Width): boolean {
  if (op.bits && op.bits !== m.z && !(mode === 64 && op.bits === 32)) return false;
  const short = code.size === "b";
  if (op.distance && short !== (op.distance === "short")) return false;
  // An operand size that is written asks for a displacement of that size.
  if (short && !op.distance && (op.bits || !op.near) && !isShortOnly(m.row)) return false;
  m.tails.push({ value: op.value.n, bits: short ? 8 : Math.min(m.z, 32), relative: true });
  return true;
}
