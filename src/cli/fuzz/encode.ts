/** From a row of the instruction table to one encoding of it, with operands that the state has been arranged for. */
import { disassemble } from "../../isa/disassemble.ts";
import { hasName, isSizedRow } from "../../isa/mnemonics.ts";
import { defaultWidth, operandBits, operandCode, type Width } from "../../isa/operand.ts";
import type { Row } from "../../isa/table/grammar.ts";
import { arrange } from "./arrange.ts";
import { DATA, type Kind, littleEndian, type Segment, type State } from "./state.ts";

/** What the generator has chosen for an instruction. */
export interface Chosen {
  readonly row: Row;
  /** Operand and address size. */
  readonly z: Width;
  readonly asize: Width;
  /** ModRM.reg and ModRM.rm with REX. */
  readonly reg: number;
  readonly rm: number;
  readonly vvvv: number;
  /** Linear address of the memory operand. */
  readonly address?: bigint;
  /** Bytes after ModRM, SIB and displacement: immediates, and more than there can be. To be changed. */
  readonly tail: Uint8Array;
}

/** Registers that code in a program leaves to addresses and to counting. */
export const POINTERS = [3, 5, 6, 7];
/** Those that it may change. */
const FREE = [0, 2, 1, 8, 9, 10, 11, 12, 13, 14];

const SEGMENT_PREFIXES = [0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];
const MEMORY = /^[EMQW]./;
/** Fields that name a register only, and a memory operand only. */
const REGISTER_ONLY = /^[RNU]./;
const MEMORY_ONLY = /^M./;

/**
 * One encoding of `row`.
 *
 * @param inProgram other code runs before and after: registers keep what they are for, faults are rare.
 */
export function encode(s: State, row: Row, inProgram = false): Uint8Array {
  const { r, mode } = s;
  const prefixes: number[] = [];
  const often = (percent: number): boolean => r.percent(inProgram ? percent / 3 : percent);
  const mandatory = row.prefix === "" || row.prefix === "np" ? 0 : Number.parseInt(row.prefix, 16);
  const sized = isSizedRow(row);
  if (!row.vex) {
    if (mandatory) prefixes.push(mandatory);
    if (row.prefix !== "66" && (row.prefix === "np" ? often(1) : r.percent(sized ? 25 : 3))) prefixes.push(0x66);
    if (row.attrs.has("rep") ? r.percent(60) : !mandatory && often(row.prefix === "np" ? 1 : 3)) {
      prefixes.push(r.pick([0xf2, 0xf3]));
    }
  }
  let segment: Segment = "";
  if (often(8)) {
    const prefix = r.pick(SEGMENT_PREFIXES);
    prefixes.push(prefix);
    if (prefix >= 0x64) segment = prefix === 0x64 ? "fs" : "gs";
  }
  let asize: Width = mode;
  if (often(8)) {
    prefixes.push(0x67);
    asize = mode === 32 ? 16 : 32;
  }
  const memory = row.modrm && wantsMemory(s, row, inProgram);
  if (!row.vex && (memory && row.attrs.has("lock") && !inProgram ? r.percent(12) : often(1))) prefixes.push(0xf0);
  // A lock across cache lines is slow (./judge.ts).
  const locks = prefixes.includes(0xf0) || row.mnemonic === "XCHG";
  shuffle(s, prefixes);
  let rex = 0;
  if (mode === 64 && !row.vex && r.percent(sized ? 70 : 35)) rex = 0x40 | (r.percent(50) ? 8 : 0) | r.below(8);
  let reg = row.reg >= 0 ? row.reg : registerField(s, row, rex, inProgram);
  let rm = row.rm >= 0 ? row.rm : inProgram ? free(s, row, rex & 1) : r.below(8);
  if (row.vex && mode === 64) rex = r.below(16);
  // In a program a pointer stays one: the opcode's own register, too.
  const plus = row.plusR ? (inProgram ? free(s, row, rex & 1) : r.below(8)) : 0;
  if (row.plusR) rm = plus;
  const z = operandSize(row, mode, prefixes, rex);
  const vvvv =
    row.operands.some((o) => o[0] === "B" || o[0] === "H" || o[0] === "L") || r.percent(1)
      ? r.below(mode === 64 ? 16 : 8)
      : 0;
  const body: number[] = [];
  let address: bigint | undefined;
  let relativeAt = -1;
  let modrm = -1;
  if (memory) {
    const size = memorySize(row, z);
    address = inProgram && r.percent(97) ? BigInt(DATA + 0xfe0 + r.below(64)) : s.target(size, size >= 16 || locks);
    if (locks && r.percent(98)) address &= ~15n;
    const place = addressing(s, address, asize, segment, inProgram);
    modrm = place.modrm | (reg << 3);
    body.push(...place.rest);
    if (place.relative) relativeAt = place.rest.length - 4;
    rex = (rex & ~3) | place.rex | (place.rex && mode === 64 ? 0x40 : 0);
    s.poke(address, s.bytes(kindOf(s, row), Math.max(8, Math.min(size, 64))));
  } else if (row.modrm) modrm = 0xc0 | (reg << 3) | rm;
  reg |= rex & 4 ? 8 : 0;
  rm |= rex & 1 ? 8 : 0;
  const tail = tailOf(s, row);
  if (row.operands.some((o) => o[0] === "O")) {
    tail.set(littleEndian(BigInt.asUintN(64, s.target(8, false) - BigInt(s.base(segment))), asize / 8));
  }
  const chosen: Chosen = { row, z, asize, reg, rm, vvvv, ...(address !== undefined && { address }), tail };
  arrange(s, chosen);
  const head = row.vex ? vexPrefix(s, row, rex, vvvv) : [...(rex ? [rex] : []), ...opcodeMap(row.map)];
  const before = [...prefixes, ...head, row.opcode + plus, ...(modrm < 0 ? [] : [modrm])];
  const bytes = Uint8Array.from([...before, ...body, ...tail]);
  const { length, row: found } = disassemble(bytes, 0, { mode, ip: 0n });
  // What is no instruction (a LOCK that is not allowed) is followed by whatever there is.
  const code = bytes.slice(0, found ? length : Math.min(bytes.length, 15));
  // MOV to a control or debug register takes no address bytes, whatever ModRM.mod says: it has no displacement then.
  if (relativeAt >= 0 && address !== undefined && before.length + relativeAt + 4 <= code.length) {
    const next = BigInt(s.start + code.length);
    code.set(littleEndian(address - next - BigInt(s.base(segment)), 4), before.length + relativeAt);
  }
  return code;
}

const opcodeMap = (map: number): number[] => [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][map];

function shuffle(s: State, list: number[]): void {
  for (let i = list.length - 1; i > 0; i--) {
    const k = s.r.below(i + 1);
    [list[i], list[k]] = [list[k], list[i]];
  }
}

function wantsMemory(s: State, row: Row, inProgram: boolean): boolean {
  if (row.mod === "reg" || row.rm >= 0 || (inProgram && row.mnemonic === "XCHG")) return false;
  if (row.mod === "mem" || row.operands.some((o) => MEMORY_ONLY.test(o))) return !s.r.percent(1) || row.mod === "mem";
  if (row.operands.some((o) => REGISTER_ONLY.test(o))) return s.r.percent(1);
  return s.r.percent(row.operands.some((o) => MEMORY.test(o)) ? 60 : 20);
}

function registerField(s: State, row: Row, rex: number, inProgram: boolean): number {
  const segment = row.operands.some((o) => /^S[a-z]$/.test(o));
  if (segment) return s.r.percent(90) ? s.r.below(6) : s.r.below(8);
  return inProgram ? free(s, row, rex & 4) : s.r.below(8);
}

/** A register field that names none of the pointers. */
function free(s: State, row: Row, extended: number): number {
  if (row.attrs.has("sse") || row.attrs.has("mmx") || row.attrs.has("fpu") || row.vex || s.r.percent(3))
    return s.r.below(8);
  return s.r.pick(FREE.filter((n) => n < 8 === !extended)) & 7;
}

export function operandSize(row: Row, mode: Width, prefixes: readonly number[], rex: number): Width {
  const toggled = prefixes.includes(0x66) && row.prefix !== "66";
  const normal = defaultWidth(row, mode);
  if (mode === 64 && (rex & 8 || row.attrs.has("f64"))) return 64;
  return toggled ? (normal === 16 ? 32 : 16) : normal;
}

/** Bytes of the memory operand, or enough for what has no single size. */
function memorySize(row: Row, z: Width): number {
  const code = row.operands.map(operandCode).find((o) => /^[EMQW]$/.test(o.letter));
  return code ? operandBits(code, z) / 8 || 64 : 8;
}

function kindOf(s: State, row: Row): Kind {
  if (s.r.percent(10)) return "integer";
  if (row.attrs.has("fpu")) {
    const size = row.operands.map((o) => o.slice(1)).find((o) => o === "d" || o === "q" || o === "t");
    if (/^F(BLD|BSTP)/.test(row.mnemonic)) return "bcd";
    if (/^FI/.test(row.mnemonic)) return "integer";
    return size === "d" ? "single" : size === "t" ? "extended" : "double";
  }
  if (!row.attrs.has("sse") && !row.vex) return "integer";
  if (/PCMP[EI]STR/.test(row.mnemonic)) return "text";
  return /(PS|SS|PS2.*)$/.test(row.mnemonic) ? "single" : /(PD|SD|PD2.*)$/.test(row.mnemonic) ? "double" : "integer";
}

/** Immediates: for branches, a little ahead or behind. */
function tailOf(s: State, row: Row): Uint8Array {
  const { r } = s;
  const tail = r.bytes(10);
  if (row.operands.some((o) => o[0] === "J")) {
    const near = r.percent(85) ? BigInt(r.below(0x60)) : -BigInt(r.below(0x60));
    if (r.percent(95)) tail.set(littleEndian(BigInt.asUintN(64, near), 8));
  } else if (r.percent(50)) tail.set(littleEndian(r.integer(), 8));
  return tail;
}

function vexPrefix(s: State, row: Row, rex: number, vvvv: number): number[] {
  const pp = ["np", "66", "f3", "f2"].indexOf(row.prefix || "np");
  const l = row.l >= 0 && s.r.percent(98) ? row.l : s.r.below(2);
  const w = row.w >= 0 && s.r.percent(98) ? row.w : s.r.below(2);
  const last = ((~vvvv & 15) << 3) | (l << 2) | pp;
  const outside = s.mode === 64 ? 0 : 0x40;
  if (row.map === 1 && !w && !(rex & 3) && s.r.percent(50)) return [0xc5, ((~rex & 4) << 5) | outside | last];
  return [0xc4, ((~rex & 7) << 5) | (s.mode === 64 ? 0 : 0xc0) | row.map, (w << 7) | last];
}

interface Place {
  /** ModRM without ModRM.reg. */
  readonly modrm: number;
  /** SIB and displacement. */
  readonly rest: number[];
  /** REX.X and REX.B. */
  readonly rex: number;
  /** The displacement is to be one from the end of the instruction. */
  readonly relative?: boolean;
}

const BASES16: readonly (readonly number[])[] = [[3, 6], [3, 7], [5, 6], [5, 7], [6], [7], [5], [3]];

/** A way to address `linear`; sets the registers that it uses, in a program only while they point to nothing yet. */
function addressing(s: State, linear: bigint, asize: Width, segment: Segment, inProgram: boolean): Place {
  const { r } = s;
  const wanted = linear - BigInt(s.base(segment));
  if (asize === 16) return addressing16(s, wanted, inProgram);
  const bytes = (value: bigint, size: number): number[] => [...littleEndian(BigInt.asUintN(64, value), size)];
  const count = s.mode === 64 ? 16 : 8;
  const small = BigInt.asIntN(32, wanted) === BigInt.asIntN(64, wanted) || asize === 32;
  const form = inProgram ? (r.percent(85) ? 0 : 2) : r.below(small ? 8 : 6);
  if (form === 6 || (inProgram && form === 2 && small)) {
    // Absolute; relative to RIP in 64-bit mode.
    return { modrm: 5, rest: bytes(wanted, 4), rex: 0, relative: s.mode === 64 };
  }
  const scale = r.below(4);
  const index = form >= 3 && !inProgram ? r.below(count) : 4;
  let part = 0n;
  if (index !== 4) {
    s.set(index, r.percent(70) ? BigInt(r.below(64)) : r.integer(), asize);
    part = BigInt.asUintN(asize, s.gpr[index]) << BigInt(scale);
  }
  if (form === 7) {
    const sib = (scale << 6) | ((index & 7) << 3) | 5;
    return { modrm: 4, rest: [sib, ...bytes(wanted - part, 4)], rex: index & 8 ? 2 : 0 };
  }
  const base = inProgram ? r.pick(POINTERS) : r.below(count);
  const mod = (base & 7) === 5 ? 1 + r.below(2) : r.below(3);
  let displacement = mod === 0 ? 0n : BigInt.asIntN(mod === 1 ? 8 : 32, r.percent(50) ? BigInt(r.below(256)) : r.u64());
  if (inProgram && mod) displacement = BigInt(r.below(64));
  // The base may be the index, too: then the address is what comes out.
  if (base !== index && !inProgram) s.set(base, wanted - displacement - part, asize);
  const rest = mod === 0 ? [] : bytes(displacement, mod === 1 ? 1 : 4);
  const rexB = base & 8 ? 1 : 0;
  if (index === 4 && (base & 7) !== 4 && r.percent(90)) return { modrm: (mod << 6) | (base & 7), rest, rex: rexB };
  const sib = (scale << 6) | ((index & 7) << 3) | (base & 7);
  return { modrm: (mod << 6) | 4, rest: [sib, ...rest], rex: rexB | (index & 8 ? 2 : 0) };
}

function addressing16(s: State, wanted: bigint, inProgram: boolean): Place {
  const { r } = s;
  const mod = r.below(3);
  const rm = r.below(8);
  if (mod === 0 && rm === 6) return { modrm: 6, rest: [...littleEndian(BigInt.asUintN(64, wanted), 2)], rex: 0 };
  const bits = mod * 8;
  let displacement = bits ? BigInt.asIntN(bits, r.u64()) : 0n;
  if (inProgram && bits) displacement = BigInt(r.below(64));
  else if (!inProgram) {
    const [base, index] = BASES16[rm];
    if (index !== undefined) s.set(index, r.percent(50) ? BigInt(r.below(64)) : r.u64(), 16);
    const part = index === undefined ? 0n : s.gpr[index];
    s.set(base, wanted - displacement - part, 16);
  }
  return { modrm: (mod << 6) | rm, rest: [...littleEndian(BigInt.asUintN(64, displacement), mod)], rex: 0 };
}

/** True if the row is an instruction in that mode. */
export const existsIn = (row: Row, mode: Width): boolean => !row.attrs.has(mode === 64 ? "i64" : "o64") && hasName(row);
