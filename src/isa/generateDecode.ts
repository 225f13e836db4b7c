/** Text of assembly/gen/decode.ts: the decoder's tables. */
import { buildDecodeTree, NODE } from "./decodeTree.ts";
import { featureNamed, featureNumber } from "./features.ts";
import { ignoresMod } from "./operand.ts";
import { SEMANTICS } from "./semantics.ts";
import { ADDRESS, STRUCTURE, specialise } from "./specialise.ts";
import type { Row } from "./table/grammar.ts";

/** How the decoder treats an operand (assembly/decode/operands.ts has one case each). */
export const ACTION = {
  NONE: 0,
  GPR: 1,
  RM: 2,
  OPREG: 3,
  IMM: 4,
  REL: 5,
  MOFFS: 6,
  FIXED: 7,
  CONST: 8,
  NUMBER: 9,
  MMX: 10,
  MMXRM: 11,
  XMM: 12,
  XMMRM: 13,
  FAR: 14,
  STI: 15,
  MEM: 16,
  GPRRM: 17,
  NUMBERCONST: 18,
  VVVV: 19,
  VEXXMM: 20,
  IS4: 21,
} as const;

/** Operand sizes as the decoder knows them; up to 3 they are log2 of bytes. */
export const OPSIZE = {
  B: 0,
  W: 1,
  D: 2,
  Q: 3,
  V: 4,
  Z: 5,
  Y: 6,
  O: 7,
  P: 8,
  S: 9,
  T: 10,
  E: 11,
  N: 12,
  X: 13,
} as const;

/** Row attributes as bits of the row's word. */
export const ATTR = {
  D64: 1,
  F64: 2,
  LOCK: 4,
  END: 8,
  BR: 16,
  EV: 32,
  PROT: 64,
  FPU: 128,
  MMX: 256,
  SSE: 512,
  REP: 1024,
  MODRM: 2048,
  MEMW: 4096,
  I64: 8192,
  O64: 16384,
  ALIAS: 32768,
  LOCKED: 65536,
  AVX: 131072,
  OWN: 262144,
  /** The index of the memory operand is a vector register: of 128 bits, or as VEX.L says. */
  VSIBO: 524288,
  VSIBX: 1048576,
  ALIGNED: 2097152,
  LATE: 4194304,
  /** ModRM.rm is a register whatever ModRM.mod says. */
  NOMOD: 8388608,
} as const;

/** Where an operand goes in the micro-op. */
export const SLOT = { NONE: 0, D: 1, S: 2, IMM: 3, IMM2: 4, LEFT: 5 } as const;

const FIXED: Record<string, [number, number]> = {
  AL: [0, OPSIZE.B],
  CL: [1, OPSIZE.B],
  AX: [0, OPSIZE.W],
  DX: [2, OPSIZE.W],
  rAX: [0, OPSIZE.V],
  eAX: [0, OPSIZE.Z],
};
const SREGS = ["ES", "CS", "SS", "DS", "FS", "GS"];
const LETTER: Record<string, number> = {
  E: ACTION.RM,
  G: ACTION.GPR,
  B: ACTION.VVVV,
  R: ACTION.GPRRM,
  M: ACTION.MEM,
  Z: ACTION.OPREG,
  I: ACTION.IMM,
  J: ACTION.REL,
  O: ACTION.MOFFS,
  A: ACTION.FAR,
  S: ACTION.NUMBER,
  C: ACTION.NUMBER,
  D: ACTION.NUMBER,
  P: ACTION.MMX,
  Q: ACTION.MMXRM,
  N: ACTION.MMXRM,
  V: ACTION.XMM,
  W: ACTION.XMMRM,
  U: ACTION.XMMRM,
  H: ACTION.VEXXMM,
  L: ACTION.IS4,
  X: ACTION.NONE,
  Y: ACTION.NONE,
};

interface Operand {
  action: number;
  param: number;
  size: number;
  slot: number;
}

function operand(text: string, role: string, index: number): Operand {
  const slot =
    role === "D"
      ? SLOT.D
      : role === "S" || role === "M"
        ? SLOT.S
        : role
          ? SLOT.IMM
          : [SLOT.D, SLOT.S, SLOT.IMM, SLOT.IMM2][index];
  if (text in FIXED) return { action: ACTION.FIXED, param: FIXED[text][0], size: FIXED[text][1], slot };
  if (text === "1" || text === "3")
    return { action: ACTION.CONST, param: Number(text), size: OPSIZE.B, slot: SLOT.IMM };
  if (text === "ST0" || text === "XMM0") return { action: ACTION.NONE, param: 0, size: OPSIZE.N, slot };
  if (text === "STi") return { action: ACTION.STI, param: 0, size: OPSIZE.N, slot };
  const sreg = SREGS.indexOf(text);
  if (sreg >= 0) return { action: ACTION.NUMBERCONST, param: sreg, size: OPSIZE.W, slot };
  const action = LETTER[text[0]];
  const size = OPSIZE[(text[1] ?? "n").toUpperCase() as keyof typeof OPSIZE];
  if (action === undefined || size === undefined) throw new Error(`instruction table: unknown operand ${text}`);
  // An immediate that is not the second operand's source goes to imm; a second one (ENTER) to imm2.
  const isImm = action === ACTION.IMM || action === ACTION.REL || action === ACTION.FAR;
  return {
    action,
    param: 0,
    size,
    slot: isImm ? (role || index < 1 || slot !== SLOT.IMM2 ? SLOT.IMM : SLOT.IMM2) : slot,
  };
}

const READS_ONLY = new Set(["cmp", "test", "bt", "mul", "imul", "div", "idiv", "push", "jmpE", "callE", "nop"]);

/** Meanings of the encodings without VEX that take 16 bytes of memory at any alignment. */
/** Meanings that take aligned vectors in the encodings with VEX, too. */
const ALIGNED = /^@movaps(Store)?$/;
const UNALIGNED = /^@(movups(Store)?|pcmp[ei]str[im])$/;

/** Meanings beside those of x87 and MMX that find the place of their memory operand themselves, when other checks have been made. */
const LATE =
  /^@(popE|bt[src]?Mem|cvtt?p[sd]2pi|vcvtps2ph|l[defgs]s|(call|jmp)FarM|bound|[ls][gi]dt|lldt|ltr|lmsw|invlpg|invpcid)$/;

function rowBytes(row: Row): number[] {
  const roles = SEMANTICS[row.meaning]?.roles ?? "";
  // A B operand behind the first goes to the immediate, an H operand (or what follows one that is the destination) has a
  // place of its own: they take none from the others.
  const aside = /^H/.test(row.operands[0] ?? "") ? 1 : row.operands.findIndex((o, i) => i > 0 && /^[BH][a-z]$/.test(o));
  const operands = row.operands.map((o, i) => {
    if (i === aside) return { ...operand(o, "", i), slot: o[0] === "B" ? SLOT.IMM : SLOT.LEFT };
    return operand(o, roles[i] ?? "", aside >= 0 && i > aside ? i - 1 : i);
  });
  const k = row.values.get("k");
  if (k !== undefined) operands.push({ action: ACTION.CONST, param: Number(k), size: OPSIZE.B, slot: SLOT.IMM });
  let imms = 0;
  for (const o of operands) if (o.slot === SLOT.IMM && o.action === ACTION.IMM && imms++) o.slot = SLOT.IMM2;
  // The port in DX and a segment register by name do not tell the operand size.
  const sized = operands.find(
    (o, i) =>
      o.size <= OPSIZE.Y &&
      row.operands[i] !== "DX" &&
      o.action !== ACTION.NUMBERCONST &&
      o.action !== ACTION.REL &&
      o.action !== ACTION.IMM &&
      o.action !== ACTION.CONST,
  );
  let attr = row.modrm ? ATTR.MODRM : 0;
  for (const [name, bit] of Object.entries(ATTR)) if (row.attrs.has(name.toLowerCase())) attr |= bit;
  const vsib = row.values.get("vsib");
  if (vsib) attr |= vsib === "x" ? ATTR.VSIBX : ATTR.VSIBO;
  const first = operands[0]?.action;
  const memoryFirst =
    first === ACTION.RM ||
    first === ACTION.MEM ||
    first === ACTION.XMMRM ||
    first === ACTION.MMXRM ||
    first === ACTION.MOFFS;
  const readsOnly = row.meaning.startsWith("@") ? row.attrs.has("mr") : READS_ONLY.has(row.meaning);
  if (memoryFirst && !readsOnly) attr |= ATTR.MEMW;
  const mayBeUnaligned = row.vex ? !ALIGNED.test(row.meaning) : UNALIGNED.test(row.meaning);
  if (row.operands.some((o) => /^[WM][ox]$/.test(o)) && !mayBeUnaligned) attr |= ATTR.ALIGNED;
  if (row.attrs.has("fpu") || row.attrs.has("mmx") || LATE.test(row.meaning)) attr |= ATTR.LATE;
  if (ignoresMod(row)) attr |= ATTR.NOMOD;
  const feature = row.values.get("cpuid");
  const bytes = [
    operands.length,
    sized?.size ?? OPSIZE.V,
    feature === undefined ? 0 : featureNumber(featureNamed(feature)) + 1,
    0,
    attr & 255,
    (attr >> 8) & 255,
    (attr >> 16) & 255,
    attr >>> 24,
  ];
  for (let i = 0; i < 4; i++) {
    const o = operands[i] ?? { action: 0, param: 0, size: OPSIZE.N, slot: 0 };
    bytes.push(o.action, o.param, o.size, o.slot);
  }
  return bytes;
}

export const ROW_BYTES = 24;

const numbers = (name: string, type: string, values: readonly number[]): string => {
  const lines: string[] = [];
  for (let i = 0; i < values.length; i += 32) lines.push(`  ${values.slice(i, i + 32).join(",")},`);
  return `export const ${name}: StaticArray<${type}> = [\n${lines.join("\n")}\n];\n`;
};

const constants = (prefix: string, type: string, values: Record<string, number>): string =>
  Object.entries(values)
    .map(([k, v]) => `export const ${prefix}_${k}: ${type} = ${v};\n`)
    .join("");

export function decodeText(rows: readonly Row[]): string {
  const tree = buildDecodeTree(rows);
  const { slots, ops } = specialise(rows);
  const locked = ops.filter((op) => op.lockedOf);
  const lockedOf = new Array<number>(Math.max(...locked.map((op) => op.lockedOf)) + 1).fill(0);
  for (const op of locked) lockedOf[op.lockedOf] = op.id;
  const structure = Object.fromEntries([...STRUCTURE, ...ADDRESS].map((n, i) => [n, i]));
  return [
    constants("NODE", "u32", NODE),
    constants("ACT", "u32", ACTION),
    constants("SZ", "u32", OPSIZE),
    constants("ATTR", "u32", ATTR),
    constants("SLOT", "u32", SLOT),
    constants("OP", "u32", structure),
    `export const ROW_BYTES: usize = ${ROW_BYTES};\n`,
    numbers("ROOTS", "u16", tree.roots),
    numbers("NODES", "u16", tree.nodes),
    numbers("SLOTS", "u16", [0, 0, 0, 0, 0, 0, 0, 0, ...rows.flatMap((r) => slots.get(r.id) ?? [])]),
    "/** By micro-op: its locked form, 0 if there is none. */",
    numbers("LOCKED_FORM", "u16", lockedOf),
    numbers("ROWINFO", "u8", [...new Array(ROW_BYTES).fill(0), ...rows.flatMap(rowBytes)]),
  ].join("\n");
}
