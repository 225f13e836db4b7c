/**
 * The disassembler, driven by the instruction table. Its text is NASM's dialect of Intel syntax, so that it can be
 * assembled again; numbers are hexadecimal, branch targets absolute.
 *
 * It shows what the decoder of the core sees: an opcode without a row is `(bad)`, LOCK where it is not allowed too.
 * It does not know CPUID features or the privilege level.
 */
import { lookup, type MandatoryPrefix } from "./lookup.ts";
import { hasName, isShortForm, isSizedRow, mnemonicOf, prefersBareName } from "./mnemonics.ts";
import {
  defaultWidth,
  extendsImm8,
  ignoresMod,
  type OperandCode,
  operandBits,
  operandCode,
  type Width,
} from "./operand.ts";
import { gprName, SEGMENT_NAMES, vectorName } from "./registers.ts";
import type { Row } from "./table/grammar.ts";

export interface DisassembleOptions {
  /** Width of the code segment: CS.D clear, CS.D set, or 64-bit mode. */
  mode: Width;
  /** Instruction pointer of the first byte, for branch targets and RIP-relative operands. */
  ip: bigint;
  syntax?: "intel";
}

export interface Disassembly {
  /** Bytes taken. 1 for `(bad)`. */
  length: number;
  text: string;
  /** The row it was decoded with; absent for `(bad)`. */
  row?: Row;
  bytes: Uint8Array;
}

/** SDM vol. 2, 2.3.11: a longer instruction is #GP. */
const MAX_LENGTH = 15;
const SIZE_WORDS: Readonly<Record<number, string>> = {
  8: "byte",
  16: "word",
  32: "dword",
  64: "qword",
  80: "tword",
  128: "oword",
  256: "yword",
};
const SEGMENT_OF_PREFIX: Readonly<Record<number, string>> = {
  38: "es",
  46: "cs",
  54: "ss",
  62: "ds",
  100: "fs",
  101: "gs",
};
const EA16 = ["bx+si", "bx+di", "bp+si", "bp+di", "si", "di", "bp", "bx"];

/** Thrown inside when the bytes end, or are no instruction. */
const BAD = Symbol("no instruction");

const hex = (n: bigint): string => (n < 0n ? `-0x${(-n).toString(16)}` : `0x${n.toString(16)}`);

/** Disassembles the instruction at `offset`. Never throws: what is no instruction, or is cut off, is `(bad)`. */
export function disassemble(bytes: Uint8Array, offset: number, options: DisassembleOptions): Disassembly {
  try {
    const one = new Instruction(bytes, offset, options);
    return { length: one.length, text: one.text, row: one.row, bytes: bytes.slice(offset, offset + one.length) };
  } catch (e) {
    if (e !== BAD) throw e;
    return { length: 1, text: "(bad)", bytes: bytes.slice(offset, offset + 1) };
  }
}

class Instruction {
  readonly row: Row;
  readonly text: string;
  #at: number;
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #mode: Width;
  readonly #ip: bigint;
  #rex = 0;
  #osizePrefix = false;
  #asizePrefix = false;
  #segment = "";
  #lock = false;
  /** Last of F3 and F2, 0 if neither. */
  #rep = 0;
  #opcode = 0;
  #vex: { l: number; w: number; vvvv: number } | undefined;
  /** Number of a vector register that is the index of the memory operand. */
  #vectorIndex = -1;
  #modrm = -1;
  #z: Width = 32;
  #asize: Width = 32;
  /** Inside the brackets of the memory operand: NASM's keyword, the address without segment. */
  #keyword = "";
  #memory = "";
  /** Displacement from the end of the instruction, if that is how the operand is addressed. */
  #relative: bigint | undefined;
  #segmentShown = false;

  constructor(bytes: Uint8Array, start: number, options: DisassembleOptions) {
    this.#bytes = bytes;
    this.#start = this.#at = start;
    this.#mode = options.mode;
    this.#ip = options.ip;
    this.#prefixes();
    this.row = this.#findRow();
    if (this.#modrm >= 0 && (this.#modrm >> 6 !== 3 || ignoresMod(this.row))) {
      if (ignoresMod(this.row)) this.#modrm |= 0xc0;
      else this.#readMemory();
    }
    this.#checkForm();
    const operands = this.#operands();
    const head = this.#head();
    this.text = operands ? `${head} ${operands}` : head;
  }

  get length(): number {
    return this.#at - this.#start;
  }

  #u8(): number {
    if (this.#at >= this.#bytes.length || this.length >= MAX_LENGTH) throw BAD;
    return this.#bytes[this.#at++];
  }

  /** Little-endian number of `bits` bits. */
  #unsigned(bits: number): bigint {
    let value = 0n;
    for (let i = 0; i < bits; i += 8) value |= BigInt(this.#u8()) << BigInt(i);
    return value;
  }

  #signed(bits: number): bigint {
    return BigInt.asIntN(bits, this.#unsigned(bits));
  }

  #prefixes(): void {
    for (;;) {
      const b = this.#u8();
      if (b in SEGMENT_OF_PREFIX) {
        // 64-bit mode ignores the other four overrides.
        if (this.#mode !== 64 || b >= 0x64) this.#segment = SEGMENT_OF_PREFIX[b];
      } else if (b === 0x66) this.#osizePrefix = true;
      else if (b === 0x67) this.#asizePrefix = true;
      else if (b === 0xf0) this.#lock = true;
      else if (b === 0xf2 || b === 0xf3) this.#rep = b;
      else if (this.#mode === 64 && (b & 0xf0) === 0x40) {
        this.#rex = b;
        continue;
      } else {
        this.#at--;
        return;
      }
      // A REX prefix counts only immediately before the opcode.
      this.#rex = 0;
    }
  }

  #findRow(): Row {
    let map = 0;
    let pp = this.#rep === 0xf3 ? 2 : this.#rep === 0xf2 ? 3 : this.#osizePrefix ? 1 : 0;
    let opcode = this.#u8();
    if ((opcode & 0xfe) === 0xc4 && (this.#mode === 64 || (this.#bytes[this.#at] ?? 0) >= 0xc0)) {
      ({ map, pp } = this.#readVex(opcode));
      opcode = this.#u8();
    } else if (opcode === 0x0f) {
      map = 1;
      opcode = this.#u8();
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? 2 : 3;
        opcode = this.#u8();
      }
    }
    const prefix = (["np", "66", "f3", "f2"] satisfies MandatoryPrefix[])[pp];
    const modrm = this.length < MAX_LENGTH ? (this.#bytes[this.#at] ?? -1) : -1;
    const row = lookup({ map, vex: this.#vex, opcode, prefix, mode: this.#mode, modrm });
    if (!row || !hasName(row)) throw BAD;
    this.#opcode = opcode;
    if (row.modrm) this.#modrm = this.#u8();
    const normal = defaultWidth(row, this.#mode);
    const toggled = this.#osizePrefix && row.prefix !== "66";
    if (this.#mode === 64) {
      this.#z = row.attrs.has("f64") || this.#rex & 8 ? 64 : toggled ? 16 : normal;
      this.#asize = this.#asizePrefix ? 32 : 64;
    } else {
      this.#z = toggled ? (normal === 16 ? 32 : 16) : normal;
      this.#asize = this.#asizePrefix ? (this.#mode === 16 ? 32 : 16) : this.#mode;
    }
    return row;
  }

  /** What follows C4 or C5 (SDM vol. 2, 2.3.5). */
  #readVex(first: number): { map: number; pp: number } {
    if (this.#osizePrefix || this.#rep || this.#lock || this.#rex) throw BAD;
    const one = this.#u8();
    const last = first === 0xc5 ? one & 0x7f : this.#u8();
    const map = first === 0xc5 ? 1 : one & 31;
    if (map < 1 || map > 3) throw BAD;
    const w = last >> 7;
    if (this.#mode === 64) {
      this.#rex = (first === 0xc5 ? (~one & 0x80) >> 5 : (~one & 0xe0) >> 5) | (w << 3);
    }
    this.#vex = { l: (last >> 2) & 1, w, vvvv: (~last >> 3) & 15 };
    return { map, pp: last & 3 };
  }

  /** ModRM, SIB and displacement of a memory operand (SDM vol. 2, tables 2-1 to 2-3). */
  #readMemory(): void {
    const mod = this.#modrm >> 6;
    const rm = this.#modrm & 7;
    if (this.row.values.has("vsib") && (this.#asize === 16 || rm !== 4)) throw BAD;
    if (this.#asize === 16) {
      if (mod === 0 && rm === 6) this.#absolute(this.#unsigned(16));
      else this.#memory = EA16[rm] + this.#displacement(mod === 1 ? 8 : mod === 2 ? 16 : 0);
      return;
    }
    if (rm !== 4) {
      if (mod !== 0 || rm !== 5) {
        this.#memory = this.#addressRegister(rm, 1) + this.#displacement(mod === 1 ? 8 : mod === 2 ? 32 : 0);
      } else if (this.#mode === 64) this.#relative = this.#signed(32);
      else this.#absolute(this.#unsigned(32));
      return;
    }
    const sib = this.#u8();
    const indexNumber = ((sib >> 3) & 7) | (this.#rex & 2 ? 8 : 0);
    const scale = 1 << (sib >> 6);
    const vsib = this.row.values.get("vsib");
    const indexed = vsib !== undefined || indexNumber !== 4;
    const noBase = (sib & 7) === 5 && mod === 0;
    let text = noBase ? "" : this.#addressRegister(sib & 7, 1);
    if (vsib) this.#vectorIndex = indexNumber;
    if (indexed) {
      const wide = vsib === "x" && this.#vex?.l;
      const name = vsib ? vectorName(indexNumber, wide ? 256 : 128) : gprName(indexNumber, this.#asize, false);
      // Without a base, NASM would turn x*1 and x*2 into x and x+x.
      if (noBase && scale <= 2 && !vsib) this.#keyword = "nosplit ";
      if (noBase) text = `${name}*${scale}`;
      else text += scale === 1 ? `+${name}` : `+${name}*${scale}`;
    }
    if (noBase && !indexed) this.#absolute(this.#signed(32));
    else this.#memory = text + this.#displacement(mod === 1 ? 8 : mod === 2 || noBase ? 32 : 0);
  }

  #addressRegister(number: number, rexBit: number): string {
    return gprName(number | (this.#rex & rexBit ? 8 : 0), this.#asize, false);
  }

  #displacement(bits: number): string {
    const value = bits ? this.#signed(bits) : 0n;
    return value === 0n ? "" : value < 0n ? hex(value) : `+${hex(value)}`;
  }

  /** An address without registers needs a size word where its size is not the mode's. */
  #absolute(value: bigint): void {
    this.#memory = hex(BigInt.asUintN(this.#asize, value));
    if (this.#asize !== this.#mode) this.#keyword = `${SIZE_WORDS[this.#asize]} `;
  }

  /** What ModRM could encode but the row's operands cannot be. */
  #checkForm(): void {
    const memory = this.#hasMemory();
    if (this.#vex?.vvvv && !this.row.operands.some((o) => /^[BH][a-z]$/.test(o))) throw BAD;
    if (this.#vectorIndex >= 0) {
      // Destination, mask and index of a gather are three registers.
      const reg = ((this.#modrm >> 3) & 7) | (this.#rex & 4 ? 8 : 0);
      if (new Set([reg, this.#vvvv, this.#vectorIndex]).size < 3) throw BAD;
    }
    for (const o of this.row.operands) {
      const { letter } = operandCode(o);
      if (letter === "M" && !memory) throw BAD;
      if ((letter === "R" || letter === "N" || letter === "U") && memory) throw BAD;
    }
    if (this.#lock && !(this.row.attrs.has("lock") && memory)) throw BAD;
  }

  /** Width of an operand. */
  #bits(code: OperandCode): number {
    return operandBits(code, this.#z, this.#vex?.l);
  }

  /** The register in VEX.vvvv: outside 64-bit mode there are eight. What names none must be 1111 in any mode. */
  get #vvvv(): number {
    return (this.#vex?.vvvv ?? 0) & (this.#mode === 64 ? 15 : 7);
  }

  #hasMemory(): boolean {
    return this.#modrm >= 0 && this.#modrm >> 6 !== 3;
  }

  /** Prefixes that are not part of an operand, and the mnemonic. */
  #head(): string {
    const { row } = this;
    const out: string[] = [];
    const isString = row.operands.some((o) => /^[XY][a-z]$/.test(o)) || row.attrs.has("rep");
    if (this.#lock) out.push("lock");
    if (this.#rep && row.prefix !== (this.#rep === 0xf3 ? "f3" : "f2")) {
      const compares = /^(CMPS|SCAS)/.test(row.mnemonic);
      out.push(this.#rep === 0xf2 ? "repne" : compares ? "repe" : "rep");
    }
    const usesX = row.operands.some((o) => /^X[a-z]$/.test(o));
    if (this.#segment && !this.#segmentShown && usesX) out.push(this.#segment);
    // A hint (PREFETCHh and the like) has no operand size.
    if ((!isSizedRow(row) || isShortForm(row)) && !isString && row.meaning !== "nop") {
      if (this.#mode === 64 && this.#rex & 8 && !row.vex && !row.attrs.has("d64") && !row.attrs.has("f64"))
        out.push("o64");
      else if (this.#osizePrefix && row.prefix !== "66") out.push(this.#mode === 16 ? "o32" : "o16");
    }
    const addressless = !this.#memory && this.#relative === undefined && !row.operands.some((o) => o[0] === "O");
    if (
      this.#asizePrefix &&
      (this.#relative !== undefined || (addressless && (usesX || isString || row.mnemonic.startsWith("LOOP"))))
    ) {
      out.push(`a${this.#asize}`);
    }
    if (this.#isNop()) return [...out, "nop"].join(" ");
    const bare = prefersBareName(row, this.#z, this.#mode);
    return [...out, bare ? row.mnemonic.toLowerCase() : mnemonicOf(row, this.#z, this.#asize)].join(" ");
  }

  #operands(): string {
    const { row } = this;
    // String operands are implied by the mnemonic.
    if (row.operands.some((o) => /^[XY][a-z]$/.test(o))) return "";
    const codes = row.operands.map(operandCode);
    // Immediates come last in the bytes; the ones before them do not read.
    const texts = codes.map((code) => this.#operand(code, codes));
    if (this.#isNop()) return "";
    // NASM puts the first register of XCHG into ModRM.reg.
    if (row.mnemonic === "XCHG" && row.modrm && !this.#hasMemory()) texts.reverse();
    return texts.map((t) => t()).join(",");
  }

  /** XCHG of the accumulator with itself, at the size of the mode, is NOP. */
  #isNop(): boolean {
    return (
      this.row.map === 0 &&
      this.#opcode === 0x90 &&
      this.row.plusR &&
      !(this.#rex & 1) &&
      this.#z === defaultWidth(this.row, this.#mode)
    );
  }

  /** Reads an operand's bytes; the text is made later, when the length of the instruction is known. */
  #operand(code: OperandCode, all: readonly OperandCode[]): () => string {
    const bits = this.#bits(code);
    const reg = ((this.#modrm >> 3) & 7) | (this.#rex & 4 ? 8 : 0);
    const rm = (this.#modrm & 7) | (this.#rex & 1 ? 8 : 0);
    const fixed = (text: string) => () => text;
    switch (code.letter) {
      case "E":
      case "R":
        return this.#hasMemory() ? () => this.#memoryText(code, all) : fixed(gprName(rm, bits, this.#rex !== 0));
      case "M":
        return () => this.#memoryText(code, all);
      case "Q":
      case "N":
        return this.#hasMemory() ? () => this.#memoryText(code, all) : fixed(`mm${rm & 7}`);
      case "W":
      case "U":
        return this.#hasMemory() ? () => this.#memoryText(code, all) : fixed(vectorName(rm, bits));
      case "H":
        return fixed(vectorName(this.#vvvv, bits));
      case "L":
        return fixed(vectorName((this.#u8() >> 4) & (this.#mode === 64 ? 15 : 7), bits));
      case "G":
        return fixed(gprName(reg, bits, this.#rex !== 0));
      case "B":
        return fixed(gprName(this.#vvvv, bits, true));
      case "P":
        return fixed(`mm${reg & 7}`);
      case "V":
        return fixed(vectorName(reg, bits));
      case "Z":
        return fixed(gprName((this.#opcode & 7) | (this.#rex & 1 ? 8 : 0), bits, this.#rex !== 0));
      case "S":
        if ((reg & 7) > 5) throw BAD;
        return fixed(SEGMENT_NAMES[reg & 7]);
      case "C":
        if (![0, 2, 3, 4, 8].includes(reg)) throw BAD;
        return fixed(`cr${reg}`);
      case "D":
        if (reg > 7) throw BAD;
        return fixed(`dr${reg}`);
      case "I":
        return fixed(this.#immediate(code, all));
      case "J":
        return this.#branchTarget(code);
      case "O":
        return fixed(this.#moffs());
      case "A": {
        const size = Math.min(this.#z, 32);
        const target = this.#unsigned(size);
        const word = this.#z !== this.#mode ? `${SIZE_WORDS[size]} ` : "";
        return fixed(`${word}${hex(this.#unsigned(16))}:${hex(target)}`);
      }
    }
    if (code.text === "STi") return fixed(`st${this.#modrm & 7}`);
    if (code.text === "rAX" || code.text === "eAX") return fixed(gprName(0, bits, false));
    return fixed(code.text.toLowerCase());
  }

  #immediate(code: OperandCode, all: readonly OperandCode[]): string {
    const { row } = this;
    const bits = operandBits(code, this.#z);
    let value = this.#unsigned(bits);
    const extended = bits < this.#z && (code.size === "z" || (code.size === "b" && extendsImm8(row)));
    if (extended) value = BigInt.asUintN(this.#z, BigInt.asIntN(bits, value));
    const onlyImmediate =
      all.length === 1 && (code.size === "z" || extended) && this.#z !== defaultWidth(row, this.#mode);
    return (onlyImmediate ? `${SIZE_WORDS[this.#z]} ` : "") + hex(value);
  }

  #branchTarget(code: OperandCode): () => string {
    // 64-bit mode has no 16-bit branches (f64); elsewhere the operand size cuts the target.
    const bits = code.size === "b" ? 8 : Math.min(this.#z, 32);
    const distance = this.#signed(bits);
    // A size would ask for a near branch.
    const word = isShortForm(this.row)
      ? "short "
      : this.#z !== defaultWidth(this.row, this.#mode)
        ? `${SIZE_WORDS[this.#z]} `
        : "";
    return () => word + hex(BigInt.asUintN(this.#z, this.#ip + BigInt(this.length) + distance));
  }

  #moffs(): string {
    const word = this.#mode === 64 || this.#asize !== this.#mode ? `${SIZE_WORDS[this.#asize]} ` : "";
    return `[${word}${this.#segmentText()}${hex(this.#unsigned(this.#asize))}]`;
  }

  #segmentText(): string {
    if (!this.#segment) return "";
    this.#segmentShown = true;
    return `${this.#segment}:`;
  }

  #memoryText(code: OperandCode, all: readonly OperandCode[]): string {
    // LEA uses no segment.
    let inside = this.#keyword + (this.row.mnemonic === "LEA" ? "" : this.#segmentText()) + this.#memory;
    if (this.#relative !== undefined) {
      const target = BigInt.asUintN(this.#asize, this.#ip + BigInt(this.length) + this.#relative);
      inside = `rel ${this.#segmentText()}${hex(target)}`;
    }
    return `${this.#sizeWord(code, all)}[${inside}]`;
  }

  /** The size of a memory operand, where no register beside it tells. */
  #sizeWord(code: OperandCode, all: readonly OperandCode[]): string {
    const { row } = this;
    if (code.size === "p") {
      // LDS and its like name a register; far JMP and CALL do not.
      if (all.length > 1) return "";
      return this.#z === this.#mode ? "far " : `${SIZE_WORDS[this.#z]} far `;
    }
    const bits = this.#bits(code);
    if (!bits) return "";
    // These also exist with a source of another size.
    const told =
      !/^(MOV[SZ]X|CRC32|VCVTT?PD2(PS|DQ))$/.test(row.mnemonic) &&
      all.some((o) => {
        if (o === code || !/^[GBRPVZNUSH]$|^$/.test(o.letter) || ["CL", "1", "3"].includes(o.text)) return false;
        return this.#bits(o) === bits;
      });
    return told ? "" : `${SIZE_WORDS[bits]} `;
  }
}
