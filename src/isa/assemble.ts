/**
 * A two-pass assembler for our guests and tests, in NASM's syntax, driven by the instruction table. One flat section.
 *
 * It knows: bits, org, default rel|abs, equ, times, align, alignb, db dw dd dq, resb resw resd resq, labels (a
 * leading dot makes one local), $ and $$, expressions, %define without parameters, prefixes, all operand forms of
 * the table; and it picks the shortest encoding and branch, as NASM does. It does not know macros, %if, other
 * sections, include files and the rest of NASM's directives.
 */

import { encode } from "./asm/encode.ts";
import { AssembleError, Mistake } from "./asm/error.ts";
import { evaluate, type Resolve, type Value } from "./asm/expression.ts";
import { type DataItem, parseSource, type Statement } from "./asm/parser.ts";
import type { Width } from "./operand.ts";

export { AssembleError } from "./asm/error.ts";

export interface AssembleOptions {
  /** Name of the source in error messages. */
  name?: string;
}

export interface Assembly {
  bytes: Uint8Array;
  /** Address of the first byte (ORG). */
  origin: number;
  /** Labels (addresses) and EQUs; local ones as `label.local`. */
  symbols: Map<string, bigint>;
  /** Where each statement that made bytes lies, and its line from 1. */
  lines: { offset: number; line: number }[];
}

/** Passes in which lengths may shrink again; afterwards they only grow, so that it ends. */
const FREE_PASSES = 20;
const MAX_PASSES = 200;
/** A guest larger than this is a mistake in a TIMES or ALIGN. */
const MAX_BYTES = 1 << 26;

/** Assembles `source`. Throws AssembleError with file, line and what is wrong. */
export function assemble(source: string, options: AssembleOptions = {}): Assembly {
  const file = options.name ?? "source";
  const statements = parseSource(source, file);
  const assembler = new Assembler(file, statements);
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    if (!assembler.pass(pass >= FREE_PASSES, false)) {
      assembler.pass(true, true);
      return assembler.result();
    }
  }
  throw new AssembleError(file, 1, "the lengths of instructions do not settle");
}

interface Symbol {
  n: bigint;
  rel: number;
}

class Assembler {
  readonly #file: string;
  readonly #statements: readonly Statement[];
  #symbols = new Map<string, Symbol>();
  #defined = new Set<string>();
  #bytes: number[] = [];
  #lengths: number[] = [];
  #lines: { offset: number; line: number }[] = [];
  #origin = 0n;
  #mode: Width = 16;
  #defaultRel = false;
  #changed = false;

  constructor(file: string, statements: readonly Statement[]) {
    this.#file = file;
    this.#statements = statements;
  }

  /** One pass over the source. Returns whether a symbol or a length has changed since the last one. */
  pass(grow: boolean, final: boolean): boolean {
    this.#bytes = [];
    this.#lines = [];
    this.#defined = new Set();
    this.#mode = 16;
    this.#defaultRel = false;
    this.#changed = false;
    this.#statements.forEach((s, i) => {
      const before = this.#bytes.length;
      try {
        this.#statement(s, grow ? (this.#lengths[i] ?? 0) : 0, final);
      } catch (e) {
        if (e instanceof Mistake) throw new AssembleError(this.#file, s.line, e.message);
        throw e;
      }
      const length = this.#bytes.length - before;
      if (length !== this.#lengths[i]) this.#changed = true;
      this.#lengths[i] = length;
      if (length) this.#lines.push({ offset: before, line: s.line });
    });
    return this.#changed;
  }

  result(): Assembly {
    const symbols = new Map([...this.#symbols].map(([name, s]) => [name, s.n]));
    return { bytes: Uint8Array.from(this.#bytes), origin: Number(this.#origin), symbols, lines: this.#lines };
  }

  get #here(): bigint {
    return this.#origin + BigInt(this.#bytes.length);
  }

  #define(name: string, n: bigint, rel: number): void {
    if (this.#defined.has(name)) throw new Mistake(`${name} is defined twice`);
    this.#defined.add(name);
    const old = this.#symbols.get(name);
    if (old?.n === n && old.rel === rel) return;
    this.#symbols.set(name, { n, rel });
    this.#changed = true;
  }

  #resolver(): Resolve {
    const here = this.#here;
    return (name) => {
      if (name === "$") return { n: here, rel: 1 };
      if (name === "$$") return { n: this.#origin, rel: 1 };
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
      case "label":
        this.#define(s.name, this.#here, 1);
        return;
      case "equ": {
        const v = value(s.value);
        if (!v.unknown) this.#define(s.name, v.n, v.rel);
        return;
      }
      case "bits":
        this.#mode = s.mode;
        return;
      case "default":
        this.#defaultRel = s.rel;
        return;
      case "org":
        if (this.#bytes.length) throw new Mistake("ORG after the first byte");
        this.#origin = BigInt.asUintN(64, value(s.value).n);
        return;
      case "data":
        for (const item of s.items) this.#data(item, s.bytes, value);
        return;
      case "reserve":
        this.#fill(count(s.count, "the number of bytes to reserve") * s.bytes);
        return;
      case "align": {
        const n = count(s.to, "the alignment");
        if (n & (n - 1) || (n === 0 && final)) throw new Mistake(`an alignment of ${n} is no power of two`);
        const gap = n ? (n - (this.#bytes.length % n)) % n : 0;
        this.#repeat(gap, s.filler, final);
        return;
      }
      case "times":
        this.#repeat(count(s.count, "the TIMES count"), s.body, final);
        return;
      case "instruction": {
        const ctx = { mode: this.#mode, defaultRel: this.#defaultRel, address: this.#here, resolve, final };
        this.#bytes.push(...encode(s.instruction, ctx, atLeast));
        return;
      }
    }
  }

  #repeat(times: number, body: Statement, final: boolean): void {
    const start = this.#bytes.length;
    for (let i = 0; i < times; i++) {
      this.#statement(body, 0, final);
      if (this.#bytes.length - start > MAX_BYTES) throw new Mistake("TIMES makes too many bytes");
      // What has no `$` in it need not be made again.
      const length = this.#bytes.length - start;
      if (i === 0 && times > 1 && length === 1 && body.k === "data") {
        const byte = this.#bytes[start];
        for (let j = 1; j < times; j++) this.#bytes.push(byte);
        return;
      }
    }
  }

  #fill(length: number): void {
    if (this.#bytes.length + length > MAX_BYTES) throw new Mistake("too many bytes");
    for (let i = 0; i < length; i++) this.#bytes.push(0);
  }

  #data(item: DataItem, bytes: number, value: (e: Parameters<typeof evaluate>[0]) => Value): void {
    if (item.k === "string") {
      this.#bytes.push(...item.bytes);
      this.#fill((bytes - (item.bytes.length % bytes)) % bytes);
      return;
    }
    if (item.k === "float") {
      this.#bytes.push(...floatBytes(item.n, bytes));
      return;
    }
    const v = value(item.value);
    const bits = BigInt(bytes * 8);
    if (!v.unknown && bytes < 8 && (v.n < -(1n << bits) || v.n >= 1n << bits)) {
      throw new Mistake(`${v.n} does not fit in ${bits} bits`);
    }
    for (let i = 0n; i < bits; i += 8n) this.#bytes.push(Number(BigInt.asUintN(8, v.n >> i)));
  }
}

function floatBytes(n: number, bytes: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 4) view.setFloat32(0, n, true);
  else if (bytes === 8) view.setFloat64(0, n, true);
  else throw new Mistake("a floating-point number needs DD or DQ");
  return new Uint8Array(view.buffer);
}
