/** Mnemonics beyond the table's: forms named by operand or address size, and synonyms. */
import { isSized, operandCode, type Width } from "./operand.ts";
import type { Row } from "./table/grammar.ts";

type Names = Readonly<Partial<Record<Width, string>>>;

/** Rows whose name tells the operand size. */
const BY_OPERAND_SIZE: Readonly<Record<string, Names>> = {
  CBW: { 16: "cbw", 32: "cwde", 64: "cdqe" },
  CWD: { 16: "cwd", 32: "cdq", 64: "cqo" },
  PUSHA: { 16: "pushaw", 32: "pushad" },
  POPA: { 16: "popaw", 32: "popad" },
  PUSHF: { 16: "pushfw", 32: "pushfd", 64: "pushfq" },
  POPF: { 16: "popfw", 32: "popfd", 64: "popfq" },
  IRET: { 16: "iretw", 32: "iretd", 64: "iretq" },
  RETF: { 16: "retfw", 32: "retfd", 64: "retfq" },
  CMPXCHG8B: { 16: "cmpxchg8b", 32: "cmpxchg8b", 64: "cmpxchg16b" },
  MOVD: { 16: "movd", 32: "movd", 64: "movq" },
  PEXTRD: { 16: "pextrd", 32: "pextrd", 64: "pextrq" },
  PINSRD: { 16: "pinsrd", 32: "pinsrd", 64: "pinsrq" },
  VMOVD: { 16: "vmovd", 32: "vmovd", 64: "vmovq" },
  VPEXTRD: { 16: "vpextrd", 32: "vpextrd", 64: "vpextrq" },
  VPINSRD: { 16: "vpinsrd", 32: "vpinsrd", 64: "vpinsrq" },
  FXSAVE: { 16: "fxsave", 32: "fxsave", 64: "fxsave64" },
  FXRSTOR: { 16: "fxrstor", 32: "fxrstor", 64: "fxrstor64" },
  XSAVE: { 16: "xsave", 32: "xsave", 64: "xsave64" },
  XRSTOR: { 16: "xrstor", 32: "xrstor", 64: "xrstor64" },
  XSAVEOPT: { 16: "xsaveopt", 32: "xsaveopt", 64: "xsaveopt64" },
  XSAVEC: { 16: "xsavec", 32: "xsavec", 64: "xsavec64" },
  XSAVES: { 16: "xsaves", 32: "xsaves", 64: "xsaves64" },
  XRSTORS: { 16: "xrstors", 32: "xrstors", 64: "xrstors64" },
};
/** Of those, the ones whose bare name means the mode's own size. */
const BARE = new Set(["PUSHA", "POPA", "PUSHF", "POPF", "IRET", "RETF"]);

const BY_ADDRESS_SIZE: Readonly<Record<string, Names>> = { JCXZ: { 16: "jcxz", 32: "jecxz", 64: "jrcxz" } };
const STRING_SUFFIX: Names = { 16: "w", 32: "d", 64: "q" };

const SYNONYMS: readonly (readonly [string, string])[] = [
  ["sal", "shl"],
  ["retn", "ret"],
  ["xlat", "xlatb"],
  ["fwait", "wait"],
  ["loopz", "loope"],
  ["loopnz", "loopne"],
  ["int1", "icebp"],
  ["ud2a", "ud2"],
];
const CONDITION_SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  b: ["c", "nae"],
  ae: ["nc", "nb"],
  e: ["z"],
  ne: ["nz"],
  be: ["na"],
  a: ["nbe"],
  p: ["pe"],
  np: ["po"],
  l: ["nge"],
  ge: ["nl"],
  le: ["ng"],
  g: ["nle"],
};

/** The bare name where it is the usual one: far returns, and everything in 16-bit code. */
export const prefersBareName = (row: Row, z: Width, mode: Width): boolean =>
  BARE.has(row.mnemonic) && (mode === 16 ? z === 16 : row.mnemonic === "RETF" && z === 32);

/** Rows that only say "undefined opcode" are no instructions, but UD0, UD1 and UD2 are. */
export const hasName = (row: Row): boolean => row.meaning !== "#UD" || /^UD\d/.test(row.mnemonic);

const isString = (row: Row): boolean => row.attrs.has("rep") || row.operands.some((o) => /^[XY][a-z]$/.test(o));
/** A string row whose mnemonic does not carry its size letter yet (`MOVS Yv,Xv` against `MOVSB Yb,Xb`). */
const STRING_STEMS = new Set(["MOVS", "CMPS", "STOS", "LODS", "SCAS", "INS", "OUTS"]);

/** Whether the row's written name changes with the operand size. */
export const nameTellsSize = (row: Row): boolean =>
  row.mnemonic in BY_OPERAND_SIZE || (isString(row) && STRING_STEMS.has(row.mnemonic));

/** Whether the operand size changes the row's name or operands. `PUSH Ib` pushes the operand size too. */
export const isSizedRow = (row: Row): boolean =>
  nameTellsSize(row) ||
  row.operands.some((o) => isSized(operandCode(o))) ||
  (row.mnemonic === "PUSH" && row.operands[0] === "Ib");

/** A branch that has no other form than that with a byte. */
export const isShortOnly = ({ mnemonic }: Row): boolean => /^(LOOP|J[ER]?CXZ)/.test(mnemonic);

/** A branch by a byte that has another form, so that NASM wants to know which is meant. */
export const isShortForm = (row: Row): boolean => row.operands.includes("Jb") && !isShortOnly(row);

/** The written name of a row at an operand and an address size. */
export function mnemonicOf(row: Row, z: Width, asize: Width): string {
  if (row.mnemonic === "MOVD" && !row.operands.some((o) => o[1] === "y")) return "movd";
  const named = BY_OPERAND_SIZE[row.mnemonic]?.[z] ?? BY_ADDRESS_SIZE[row.mnemonic]?.[asize];
  if (named) return named;
  const name = row.mnemonic.toLowerCase();
  if (!isString(row) || !STRING_STEMS.has(row.mnemonic)) return name;
  return name + (row.operands.some((o) => /^[XY]b$/.test(o)) ? "b" : stringSuffix(row, z));
}

/** INS and OUTS stop at 32 bits. */
const stringSuffix = (row: Row, z: Width): string =>
  STRING_SUFFIX[row.operands.some((o) => /^[XY]z$/.test(o)) && z === 64 ? 32 : z] ?? "";

/** One meaning of a written mnemonic. */
export interface Name {
  row: Row;
  /** The operand size the name demands, if it does. */
  z?: Width;
  /** The address size the name demands, if it does. */
  asize?: Width;
}

const SIZES: readonly Width[] = [16, 32, 64];

/** Every written (lower-case) mnemonic with the rows it can mean, in the order of the table. */
export function mnemonicIndex(rows: readonly Row[]): Map<string, Name[]> {
  const index = new Map<string, Name[]>();
  const add = (name: string, meaning: Name): void => {
    const list = index.get(name);
    if (list) list.push(meaning);
    else index.set(name, [meaning]);
  };
  for (const row of rows) {
    if (!hasName(row)) continue;
    if (row.mnemonic in BY_ADDRESS_SIZE) for (const s of SIZES) add(mnemonicOf(row, 32, s), { row, asize: s });
    else if (nameTellsSize(row)) {
      for (const z of SIZES) {
        const name = mnemonicOf(row, z, 32);
        if (name !== row.mnemonic.toLowerCase() || !BARE.has(row.mnemonic)) add(name, { row, z });
      }
      if (BARE.has(row.mnemonic)) add(row.mnemonic.toLowerCase(), { row });
    } else add(row.mnemonic.toLowerCase(), { row });
    if (row.cc >= 0) {
      for (const [cc, others] of Object.entries(CONDITION_SYNONYMS)) {
        const stem = /^(j|set|cmov)(.*)$/.exec(row.mnemonic.toLowerCase());
        if (stem?.[2] === cc) for (const other of others) add(stem[1] + other, { row });
      }
    }
  }
  // A row of that very name before one that only has it at some size (MOVQ before MOVD with 64 bits).
  for (const [name, list] of index) {
    const other = ({ row }: Name) => Number(row.mnemonic.toLowerCase() !== name);
    list.sort((a, b) => other(a) - other(b));
  }
  for (const [a, b] of SYNONYMS) {
    const [from, to] = index.has(a) ? [a, b] : [b, a];
    const list = index.get(from);
    if (list && !index.has(to)) index.set(to, list);
  }
  return index;
}
