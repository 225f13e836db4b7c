/** One instruction to bytes: every row that fits is laid out, the shortest encoding is taken. */
import { isSizedRow, mnemonicIndex, type Name } from "../mnemonics.ts";
import { defaultWidth, extendsImm8, type Width } from "../operand.ts";
import { type Register, registerNamed } from "../registers.ts";
import type { Row } from "../table/grammar.ts";
import { ROWS } from "../table/index.ts";
import { type Address, layOut } from "./address.ts";
import { Mistake } from "./error.ts";
import { evaluate, type Resolve } from "./expression.ts";
import { isMisfit, type Match, type Misfit, matchRow, type Resolved } from "./match.ts";
import type { Operand } from "./operand.ts";

export interface Context {
  mode: Width;
  defaultRel: boolean;
  /** Address of the instruction's first byte. */
  address: bigint;
  /** Number of its section. */
  section: number;
  resolve: Resolve;
  /** In the last pass every symbol must have a value. */
  final: boolean;
}

export interface Instruction {
  mnemonic: string;
  /** Prefixes written before it, lower case. */
  prefixes: readonly string[];
  operands: readonly Operand[];
}

const names = mnemonicIndex(ROWS);
names.set("movsx", [
  ...(names.get("movsx") ?? []),
  ...(names.get("movsxd") ?? []).map((n) => ({ ...n, z: 64 as Width })),
]);

/** x87 instructions that wait for pending errors first: WAIT, then the one that does not. */
const WAITING: Readonly<Record<string, string>> = Object.fromEntries(
  ["init", "clex", "stcw", "stsw", "stenv", "save"].map((name) => [`f${name}`, `fn${name}`]),
);
const WAIT = 0x9b;

/** NOP is XCHG of the accumulator with itself. */
export const isMnemonic = (word: string): boolean => names.has(word) || word === "nop" || word in WAITING;

const PREFIX_BYTES: Readonly<Record<string, number>> = {
  rep: 0xf3,
  repe: 0xf3,
  repz: 0xf3,
  repne: 0xf2,
  repnz: 0xf2,
  lock: 0xf0,
  es: 0x26,
  cs: 0x2e,
  ss: 0x36,
  ds: 0x3e,
  fs: 0x64,
  gs: 0x65,
};
const WIDTH_PREFIX: Readonly<Record<string, Width>> = { o16: 16, o32: 32, o64: 64, a16: 16, a32: 32, a64: 64 };
export const isPrefix = (word: string): boolean => word in PREFIX_BYTES || word in WIDTH_PREFIX;

/** Encodes `i`. Throws Mistake if no row fits. `atLeast`: length it had before, once lengths may only grow. */
export function encode(i: Instruction, ctx: Context, atLeast = 0): number[] {
  if (i.mnemonic === "") return i.prefixes.map((p) => prefixByte(p, ctx.mode));
  if (i.mnemonic === "nop" && !i.operands.length) return encodeNop(i, ctx);
  if (i.mnemonic in WAITING) {
    const rest = { ...i, mnemonic: WAITING[i.mnemonic] };
    return [WAIT, ...encode(rest, { ...ctx, address: ctx.address + 1n }, atLeast - 1)];
  }
  const asizePrefix = widthPrefix(i, "a");
  let operands = i.operands.map((o) => resolveOperand(o, ctx, asizePrefix, widthPrefix(i, "o")));
  let asize = asizePrefix;
  if (/^loop/.test(i.mnemonic) && operands.length === 2) {
    const count = operands[1];
    if (count.k !== "reg" || count.reg.num !== 1 || count.reg.bits === 8)
      throw new Mistake("LOOP counts in CX, ECX or RCX");
    asize = count.reg.bits as Width;
    operands = [operands[0]];
  }
  sizeFromImmediate(i.mnemonic, operands);
  const found: { bytes: number[]; match: Match }[] = [];
  let reason = "";
  const invalid = ctx.mode === 64 ? "i64" : "o64";
  const consider = (name: Name, ops: readonly Resolved[]): void => {
    if (name.row.attrs.has(invalid)) return;
    const chosen = name.z ?? widthPrefix(i, "o");
    for (const z of widths(name.row, ctx.mode, chosen)) {
      for (const l of lengths(name.row)) {
        const m = matchRow(name.row, z, ops, ctx.mode, chosen !== undefined, l);
        const done = isMisfit(m) ? m : layBytes(m, i, ctx, name.asize ?? asize);
        if ("bytes" in done) found.push(done);
        else if (done.near) reason ||= done.reason;
      }
    }
  };
  const list = names.get(i.mnemonic) ?? [];
  for (const ops of variants(i.mnemonic, operands, ctx.mode)) for (const name of list) consider(name, ops);
  if (!found.length)
    throw new Mistake(reason || `no form of ${i.mnemonic} takes ${describe(operands)} in ${ctx.mode}-bit mode`);
  const open = new Set(found.filter((f) => f.match.openMemory).map((f) => f.match.openMemory));
  const branch = found[0].match.row.attrs.has("br");
  if (open.size > 1 && !branch)
    throw new Mistake("operation size not specified: write byte, word, dword or qword before [");
  const fitting = found.filter((f) => f.bytes.length >= atLeast);
  const pool = fitting.length ? fitting : found;
  return pool.reduce((best, f) => (better(f, best) ? f : best)).bytes;
}

/** Shorter wins; among equals the sign-extended byte, then the order of the table. */
function better(a: { bytes: number[]; match: Match }, b: { bytes: number[]; match: Match }): boolean {
  if (a.bytes.length !== b.bytes.length) return a.bytes.length < b.bytes.length;
  const short = (m: Match) => m.row.operands.includes("Ib") && extendsImm8(m.row);
  return short(a.match) && !short(b.match) && !b.match.row.operands.includes("Ib");
}

function widthPrefix(i: Instruction, letter: "o" | "a"): Width | undefined {
  const p = i.prefixes.findLast((w) => w in WIDTH_PREFIX && w[0] === letter);
  return p ? WIDTH_PREFIX[p] : undefined;
}

function prefixByte(word: string, mode: Width): number {
  if (word in PREFIX_BYTES) return PREFIX_BYTES[word];
  if (word === "o64") return 0x48;
  return word[0] === "o" ? 0x66 : WIDTH_PREFIX[word] === mode ? 0x90 : 0x67;
}

/** Values of VEX.L to try for a row. */
const lengths = (row: Row): number[] =>
  row.l >= 0 ? [row.l] : row.operands.some((o) => /^[A-Z]x$/.test(o)) ? [0, 1] : [0];

/** Operand sizes to try for a row, the mode's own first. */
function widths(row: Row, mode: Width, chosen: Width | undefined): Width[] {
  const normal = defaultWidth(row, mode);
  const sized = isSizedRow(row);
  if (!sized) return [normal];
  const all: Width[] =
    mode !== 64 ? [16, 32] : row.attrs.has("f64") ? [64] : row.attrs.has("d64") ? [64, 16] : [32, 16, 64];
  const taken = row.vex || row.prefix === "66" || row.prefix === "np";
  return all
    .filter((z) => (chosen === undefined || z === chosen) && !(taken && z !== normal && z !== 64))
    .sort((a, b) => Number(b === normal) - Number(a === normal));
}

function resolveOperand(
  op: Operand,
  ctx: Context,
  asizePrefix: Width | undefined,
  osizePrefix: Width | undefined,
): Resolved {
  switch (op.k) {
    case "reg":
      return op;
    case "imm": {
      const value = evaluate(op.value, ctx.resolve, ctx.final);
      if (value.regs.length) throw new Mistake(`register ${value.regs[0][0].name} cannot be used like this`);
      const near = value.unknown || (value.rel === 1 && value.section === ctx.section);
      return { k: "imm", bits: op.bits, strict: op.strict, distance: op.distance, value, near };
    }
    case "far": {
      const [selector, offset] = [op.selector, op.offset].map((e) => evaluate(e, ctx.resolve, ctx.final));
      return { k: "far", bits: op.bits, selector, offset };
    }
    case "mem": {
      const value = evaluate(op.address, ctx.resolve, ctx.final);
      const address = layOut(op, value, ctx.mode, ctx.defaultRel, asizePrefix);
      // NASM takes a far pointer in 64-bit code for m16:64 unless it is told otherwise.
      const bits = op.far && !op.bits && ctx.mode === 64 && !osizePrefix ? 64 : op.bits;
      return { k: "mem", bits, far: op.far, address, value };
    }
  }
}

const SAME_SIZE = new Set(["mov", "add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "test"]);

/** `mov [x], dword 1`: the immediate tells the size of the memory operand. */
function sizeFromImmediate(mnemonic: string, operands: readonly Resolved[]): void {
  const [a, b] = operands;
  if (SAME_SIZE.has(mnemonic) && a?.k === "mem" && !a.bits && b?.k === "imm" && b.bits) a.bits = b.bits;
}

/** Other ways to write the same instruction that can be shorter or are the only encoding. */
function variants(mnemonic: string, operands: readonly Resolved[], mode: Width): (readonly Resolved[])[] {
  const [a, b] = operands;
  if (operands.length === 2 && (mnemonic === "xchg" || mnemonic === "test") && b.k !== "imm") {
    return mnemonic === "xchg" ? [[b, a], operands] : [operands, [b, a]];
  }
  if (mnemonic === "imul" && operands.length === 2 && b.k === "imm") return [[a, a, b]];
  // Decimal adjustment unless a base is written.
  if ((mnemonic === "aam" || mnemonic === "aad") && !operands.length) {
    const ten = { n: 10n, rel: 0, section: 0, unknown: false, regs: [] };
    return [[{ k: "imm", bits: 0, strict: false, distance: "", value: ten, near: false }]];
  }
  // A write to 32 bits clears the upper half.
  const low = mode === 64 && a?.k === "reg" && a.reg.cls === "gpr" && a.reg.bits === 64 ? lowHalf(a.reg) : undefined;
  if (low && mnemonic === "mov" && b?.k === "imm") {
    const { n, rel, unknown } = b.value;
    if (!b.bits && rel === 0 && (unknown || (n >= 0n && n < 1n << 32n))) return [operands, [{ k: "reg", reg: low }, b]];
  }
  if (low && mnemonic === "mov" && b?.k === "reg" && b.reg.cls === "seg") return [[{ k: "reg", reg: low }, b]];
  if (low && mnemonic === "sldt") return [[{ k: "reg", reg: low }]];
  return [operands];
}

const lowHalf = (r: Register): Register | undefined => registerNamed(r.num < 8 ? `e${r.name.slice(1)}` : `${r.name}d`);

function encodeNop(i: Instruction, ctx: Context): number[] {
  const z = widthPrefix(i, "o");
  const size = z === 64 ? [0x48] : z !== undefined && z !== (ctx.mode === 64 ? 32 : ctx.mode) ? [0x66] : [];
  const others = i.prefixes.filter((p) => p in PREFIX_BYTES);
  if (others.includes("lock")) throw new Mistake("LOCK is not allowed here");
  return [...others.map((p) => PREFIX_BYTES[p]), ...size, 0x90];
}

/** Prefixes, REX, opcode, ModRM, SIB, displacement, immediates. */
function layBytes(
  m: Match,
  i: Instruction,
  ctx: Context,
  asizeWanted: Width | undefined,
): { bytes: number[]; match: Match } | Misfit {
  const { row, z } = m;
  const { mode } = ctx;
  const memory = m.rm && "asize" in m.rm ? m.rm : m.moffs;
  const rmRegister = m.rm && "cls" in m.rm ? m.rm : undefined;
  if ((row.mod === "mem" && !memory) || (row.mod === "reg" && memory)) return { reason: "", near: false };
  const out: number[] = [];
  for (const p of ["rep", "repe", "repz", "repne", "repnz"]) if (i.prefixes.includes(p)) out.push(PREFIX_BYTES[p]);
  if (i.prefixes.includes("lock")) {
    if (!row.attrs.has("lock") || !memory) return { reason: "LOCK is not allowed here", near: true };
    out.push(0xf0);
  }
  const segment = memory?.segment?.name ?? i.prefixes.find((p) => registerNamed(p)?.cls === "seg");
  if (segment) out.push(PREFIX_BYTES[segment]);
  const normal = defaultWidth(row, mode);
  const sized = isSizedRow(row);
  const wanted = sized ? z : (widthPrefix(i, "o") ?? normal);
  const rexW = wanted === 64 && normal !== 64;
  if (!rexW && wanted !== normal && row.prefix !== "66") out.push(0x66);
  const asize = memory?.asize ?? asizeWanted ?? mode;
  if (asize !== mode) {
    if (asize === 64 || (asize === 16 && mode === 64)) {
      return { reason: `a ${asize}-bit address size is not possible in ${mode}-bit mode`, near: true };
    }
    out.push(0x67);
  }
  if (!row.vex && (row.prefix === "66" || row.prefix === "f3" || row.prefix === "f2"))
    out.push(Number.parseInt(row.prefix, 16));
  const rex = rexOf(m, rexW, rmRegister);
  if (rex && mode !== 64) return { reason: "that register or size exists only in 64-bit mode", near: true };
  if (rex && m.noRex)
    return { reason: "AH, BH, CH and DH cannot be used in an instruction with a REX prefix", near: true };
  if (isAccumulatorNop(m, rex, mode)) return { reason: "", near: false };
  if (row.vex) out.push(...vexBytes(m, rex));
  else {
    if (rex) out.push(rex);
    if (row.map) out.push(0x0f);
    if (row.map > 1) out.push(row.map === 2 ? 0x38 : 0x3a);
  }
  out.push(row.opcode | (row.plusR ? m.plusR & 7 : 0));
  if (row.modrm) {
    const reg = row.reg >= 0 ? row.reg : m.reg & 7;
    const field = row.rm >= 0 ? row.rm : rmRegister ? rmRegister.num & 7 : memory ? memory.rm & 7 : 0;
    out.push(((memory ? memory.mod : 3) << 6) | (reg << 3) | field);
    if (memory?.sib) out.push((memory.sib.scale << 6) | ((memory.sib.index & 7) << 3) | (memory.sib.base & 7));
  }
  const dispBits = row.modrm && memory ? memory.dispBits : 0;
  const length = out.length + (dispBits + m.tails.reduce((n, t) => n + t.bits, 0)) / 8;
  const end = ctx.address + BigInt(length);
  if (dispBits && memory) {
    const disp = memory.relative ? memory.disp - end : memory.disp;
    const wrong = ctx.final ? displacementMisfit(memory, disp) : undefined;
    if (wrong) return { reason: wrong, near: true };
    put(out, disp, dispBits);
  }
  for (const t of m.tails) {
    const value = t.relative ? BigInt.asIntN(z, t.value - end) : t.value;
    if (t.relative && BigInt.asIntN(t.bits, value) !== value && !isUnknown(i, ctx)) {
      return { reason: `the target is ${value} bytes away, too far for this branch`, near: true };
    }
    put(out, value, t.bits);
  }
  return { bytes: out, match: m };
}

/** Whether a branch target has no value yet, so that its distance says nothing. */
const isUnknown = (i: Instruction, ctx: Context): boolean => {
  const op = i.operands[0];
  return !ctx.final && op?.k === "imm" && evaluate(op.value, ctx.resolve, false).unknown;
};

function displacementMisfit(a: Address, disp: bigint): string | undefined {
  const n = a.asize === 64 ? BigInt.asIntN(64, disp) : disp;
  const bits = BigInt(a.dispBits);
  // A shorter address wraps; a 64-bit one takes the displacement sign-extended.
  const low = a.asize === 64 || a.dispBits === 8 ? -(1n << (bits - 1n)) : -(1n << bits);
  const high = a.asize === 64 ? 1n << (bits - 1n) : 1n << bits;
  return n >= low && n < high
    ? undefined
    : `displacement ${n} does not fit in ${a.dispBits}${a.asize === 64 ? " signed" : ""} bits`;
}

function rexOf(m: Match, w: boolean, rm: Register | undefined): number {
  const memory = m.rm && "asize" in m.rm ? m.rm : undefined;
  const b =
    rm && rm.cls !== "st" && rm.cls !== "mmx" ? rm.num : memory ? (memory.sib ? memory.sib.base : memory.rm) : m.plusR;
  const rm8 = memory && !memory.sib ? memory.rm : b;
  const high = (rm?.noRex ? 0 : rm8) > 7;
  const bits = (w ? 8 : 0) | (m.reg > 7 ? 4 : 0) | ((memory?.sib?.index ?? 0) > 7 ? 2 : 0) | (high ? 1 : 0);
  return bits || m.needsRex ? 0x40 | bits : 0;
}

/** The VEX prefix (SDM vol. 2, 2.3.5), of two bytes where that suffices. */
function vexBytes(m: Match, rex: number): number[] {
  const { row } = m;
  const w = row.w >= 0 ? row.w : (rex >> 3) & 1;
  const last = ((~m.vvvv & 15) << 3) | (m.l << 2) | ["np", "66", "f3", "f2"].indexOf(row.prefix);
  if (row.map === 1 && !w && !(rex & 3)) return [0xc5, ((~rex & 4) << 5) | last];
  return [0xc4, ((~rex & 7) << 5) | row.map, (w << 7) | last];
}

/** 90 is NOP in 64-bit mode: XCHG EAX,EAX, which clears the upper half there, needs the long form. */
const isAccumulatorNop = (m: Match, rex: number, mode: Width): boolean =>
  mode === 64 && m.row.plusR && m.row.opcode === 0x90 && m.row.map === 0 && m.plusR === 0 && m.z === 32 && !(rex & 1);

function put(out: number[], value: bigint, bits: number): void {
  for (let i = 0; i < bits; i += 8) out.push(Number(BigInt.asUintN(8, value >> BigInt(i))));
}

function describe(operands: readonly Resolved[]): string {
  if (!operands.length) return "no operands";
  return operands
    .map((o) => {
      if (o.k === "reg") return o.reg.name;
      if (o.k === "mem") return o.bits ? `${o.bits}-bit memory` : "memory";
      return o.k === "imm" ? "an immediate" : "a far address";
    })
    .join(", ");
}
