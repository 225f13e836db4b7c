/**
 * A two-pass assembler for guests, lessons and tests, in NASM's syntax, driven by the instruction table. What it makes is
 * what `nasm -f bin` makes: the shortest encoding and branch, sections one behind the other.
 *
 * docs/assembler.md says which part of NASM it knows.
 */

import { encode } from "./asm/encode.ts";
import { AssembleError, Mistake, placed } from "./asm/error.ts";
import { evaluate, type Resolve, type Value } from "./asm/expression.ts";
import { type DataItem, parseSource, type SectionWords, type Statement } from "./asm/parser.ts";
import type { ReadFile } from "./asm/preprocess.ts";
import { layOutSections, MAX_BYTES, type Placed, Section } from "./asm/section.ts";
import type { Width } from "./operand.ts";

export { AssembleError } from "./asm/error.ts";

export interface AssembleOptions {
  /** Name of the source in error messages. */
  readonly name?: string;
  /** Gives the files that %include and INCBIN name; default: there are none. */
  readonly read?: ReadFile;
}

export interface Assembly {
  bytes: Uint8Array;
  /** Address of the first byte (ORG). */
  origin: number;
  /** Labels (addresses) and EQUs; local ones as `label.local`. */
  symbols: Map<string, bigint>;
  /** Where each statement that made bytes lies, and its line from 1, by offset. What a macro made is at its use. */
  lines: { offset: number; line: number; file: string }[];
}

/** Passes in which lengths may shrink again; afterwards they only grow, so that it ends. */
const FREE_PASSES = 20;
const MAX_PASSES = 200;

/** Assembles `source`. Throws AssembleError with file, line, column and what is wrong. */
export function assemble(source: string, options: AssembleOptions = {}): Assembly {
  const file = options.name ?? "source";
  const statements = parseSource(source, file, options.read ?? (() => undefined));
  const assembler = new Assembler(statements);
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    if (!assembler.pass(pass >= FREE_PASSES, false)) {
      assembler.pass(true, true);
      return assembler.result();
    }
  }
  throw new AssembleError({ file, line: 1, column: 1 }, "the lengths of instructions do not settle");
}

interface Symbol {
  n: bigint;
  rel: number;
  section: number;
}

/** A statement that made bytes. */
interface Made {
  readonly section: Section;
  readonly offset: number;
  readonly statement: Statement;
}

class Assembler {
  readonly #statements: readonly Statement[];
  readonly #symbols = new Map<string, Symbol>();
  #defined = new Set<string>();
  readonly #sections: Section[] = [new Section(".text", 0)];
  #section = this.#sections[0];
  /** The section that an ABSOLUTE has left. */
  #outside = this.#sections[0];
  #placed: readonly Placed[] = [];
  #lengths: number[] = [];
  #made: Made[] = [];
  #origin = 0n;
  #mode: Width = 16;
  #defaultRel = false;
  #changed = false;

  constructor(statements: readonly Statement[]) {
    this.#statements = statements;
  }

  /** One pass over the source. Returns whether a symbol, a length or an address has changed since the last one. */
  pass(grow: boolean, final: boolean): boolean {
    this.#made = [];
    this.#defined = new Set();
    this.#mode = 16;
    this.#defaultRel = false;
    this.#changed = false;
    for (const section of this.#sections) section.empty();
    this.#section = this.#outside = this.#sections[0];
    this.#statements.forEach((s, i) => {
      const section = this.#section;
      const offset = section.length;
      placed(s, () => this.#statement(s, grow ? (this.#lengths[i] ?? 0) : 0, final));
      const length = section.length - offset;
      if (length !== this.#lengths[i]) this.#changed = true;
      this.#lengths[i] = length;
      if (length && !section.nobits) this.#made.push({ section, offset, statement: s });
    });
    const { placed: places, moved } = layOutSections(this.#sections, this.#origin);
    this.#placed = places;
    return this.#changed || moved;
  }

  /** @throws AssembleError: sections overlap */
  result(): Assembly {
    const symbols = new Map([...this.#symbols].map(([name, s]) => [name, s.n]));
    const inFile = this.#placed.filter(({ section }) => section.length).sort((a, b) => a.offset - b.offset);
    const bytes = new Uint8Array(inFile.reduce((n, { section, offset }) => Math.max(n, offset + section.length), 0));
    let end = 0;
    for (const { section, offset } of inFile) {
      const first = this.#made.find((m) => m.section === section);
      if (offset < end && first) {
        throw new AssembleError(first.statement, `section ${section.name} overlaps another one`);
      }
      bytes.set(section.bytes, offset);
      end = offset + section.length;
    }
    const start = new Map(this.#placed.map(({ section, offset }) => [section, offset]));
    const lines = this.#made
      .map(({ section, offset, statement: { line, file } }) => ({
        offset: offset + (start.get(section) ?? 0),
        line,
        file,
      }))
      .sort((a, b) => a.offset - b.offset);
    return { bytes, origin: Number(this.#origin), symbols, lines };
  }

  #define(name: string, n: bigint, rel: number, section: number): void {
    if (this.#defined.has(name)) throw new Mistake(`${name} is defined twice`);
    this.#defined.add(name);
    const old = this.#symbols.get(name);
    if (old?.n === n && old.rel === rel && old.section === section) return;
    this.#symbols.set(name, { n, rel, section });
    this.#changed = true;
  }

  /** An address in the present section. */
  #address(n: bigint): Symbol {
    return { n, rel: this.#section.relocates ? 1 : 0, section: this.#section.number };
  }

  #resolver(): Resolve {
    const here = this.#address(this.#section.here);
    return (name) => {
      if (name === "$") return here;
      if (name === "$$") return this.#address(this.#section.address);
      return this.#symbols.get(name);
    };
  }

  #statement(s: Statement, atLeast: number, final: boolean): void {
    const resolve = this.#resolver();
    const value = (e: Parameters<typeof evaluate>[0]): Value => {
      const v = evaluate(e, resolve, final);
      if (v.regs.length) throw new Mistake(`register ${v.regs[0][0].name} cannot be used like this`);
      return v;
    };
    /** A number of bytes or repetitions. */
    const count = (e: Parameters<typeof evaluate>[0], what: string): number => {
      const { n, unknown } = value(e);
      if (unknown) return 0;
      // A negative count may only come from symbols that have not settled.
      if (n < 0n && !final) return 0;
      if (n < 0n || n > BigInt(MAX_BYTES)) throw new Mistake(`${what} is ${n}`);
      return Number(n);
    };
    switch (s.k) {
      case "label": {
        const { n, rel, section } = this.#address(this.#section.here);
        this.#define(s.name, n, rel, section);
        return;
      }
      case "equ": {
        const v = value(s.value);
        // The same again is no mistake, as in NASM.
        const same = this.#defined.has(s.name) && this.#symbols.get(s.name)?.n === v.n;
        if (!v.unknown && !same) this.#define(s.name, v.n, v.rel, v.section);
        return;
      }
      case "bits":
        this.#mode = s.mode;
        return;
      case "default":
        this.#defaultRel = s.rel;
        return;
      case "org":
        if (this.#sections.some((section) => section.bytes.length)) throw new Mistake("ORG after the first byte");
        this.#origin = BigInt.asUintN(64, value(s.value).n);
        this.#sections[0].address = this.#origin;
        return;
      case "section":
        this.#enter(s.section, (e) => value(e).n);
        return;
      case "absolute":
        this.#section = new Section("", -1, false);
        this.#section.address = value(s.at).n;
        return;
      case "endstruc":
        this.#section = this.#outside;
        return;
      case "bytes":
        this.#section.push(s.bytes);
        return;
      case "data":
        for (const item of s.items) this.#data(item, s.bytes, value);
        return;
      case "reserve":
        this.#section.reserve(count(s.count, "the number of bytes to reserve") * s.bytes);
        return;
      case "align": {
        const n = count(s.to, "the alignment");
        if (n & (n - 1) || (n === 0 && final)) throw new Mistake(`an alignment of ${n} is no power of two`);
        const section = this.#section;
        const gap = n ? (n - (section.length % n)) % n : 0;
        if (section.number > 0 && BigInt(n) > section.align) section.align = BigInt(n);
        if (section.nobits) section.reserve(gap);
        else this.#repeat(gap, s.filler, final);
        return;
      }
      case "times":
        this.#repeat(count(s.count, "the TIMES count"), s.body, final);
        return;
      case "instruction": {
        const { here: address, number: section } = this.#section;
        const ctx = { mode: this.#mode, defaultRel: this.#defaultRel, address, section, resolve, final };
        this.#section.push(encode(s.instruction, ctx, atLeast));
        return;
      }
    }
  }

  #enter(words: SectionWords, value: (e: NonNullable<SectionWords["align"]>) => bigint): void {
    let section = this.#sections.find((s) => s.name === words.name);
    if (!section) {
      section = new Section(words.name, this.#sections.length);
      this.#sections.push(section);
      this.#changed = true;
    }
    if (words.nobits !== undefined) section.nobits = words.nobits;
    if (words.align) section.align = value(words.align) || 1n;
    if (words.start) section.start = value(words.start);
    if (words.vstart) section.vstart = value(words.vstart);
    this.#section = this.#outside = section;
  }

  #repeat(times: number, body: Statement, final: boolean): void {
    const section = this.#section;
    const start = section.length;
    for (let i = 0; i < times; i++) {
      this.#statement(body, 0, final);
      // What has no `$` in it need not be made again.
      if (i === 0 && times > 1 && section.length - start === 1 && body.k === "data") {
        section.push(new Uint8Array(times - 1).fill(section.bytes[start]));
        return;
      }
    }
  }

  #data(item: DataItem, bytes: number, value: (e: Parameters<typeof evaluate>[0]) => Value): void {
    const section = this.#section;
    if (item.k === "string") {
      section.push(item.bytes);
      section.push(new Uint8Array((bytes - (item.bytes.length % bytes)) % bytes));
      return;
    }
    if (item.k === "float") {
      section.push(floatBytes(item.n, bytes));
      return;
    }
    const v = value(item.value);
    const bits = BigInt(bytes * 8);
    if (!v.unknown && bytes < 8 && (v.n < -(1n << bits) || v.n >= 1n << bits)) {
      throw new Mistake(`${v.n} does not fit in ${bits} bits`);
    }
    const out: number[] = [];
    for (let i = 0n; i < bits; i += 8n) out.push(Number(BigInt.asUintN(8, v.n >> i)));
    section.push(out);
  }
}

function floatBytes(n: number, bytes: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 4) view.setFloat32(0, n, true);
  else if (bytes === 8) view.setFloat64(0, n, true);
  else throw new Mistake("a floating-point number needs DD or DQ");
  return new Uint8Array(view.buffer);
}
