/**
 * Expressions. A value is a 64-bit number that may move with the origin (`rel`: how many times the origin is in it,
 * as for labels; NASM encodes such values in full) and, inside brackets, a sum of scaled registers.
 */
import { type Register, registerNamed } from "../registers.ts";
import { Mistake } from "./error.ts";
import type { Token } from "./lexer.ts";

export interface Value {
  n: bigint;
  rel: number;
  /** Number of the section that it lies in, where `rel` is not 0. */
  section: number;
  /** A symbol in it has no value yet: possible in all but the last pass. */
  unknown: boolean;
  regs: readonly (readonly [Register, bigint])[];
}

export type Expression =
  | { k: "num"; n: bigint }
  | { k: "reg"; reg: Register }
  /** A label or EQU; `$` (here) and `$$` (start) are symbols too. */
  | { k: "sym"; name: string; at: number }
  | { k: "un"; op: string; a: Expression }
  | { k: "bin"; op: string; a: Expression; b: Expression };

/** Gives a symbol's value; undefined if it has none yet. */
export type Resolve = (name: string) => { n: bigint; rel: number; section: number } | undefined;

/** A place in a line's tokens. */
export class Cursor {
  readonly tokens: readonly Token[];
  at = 0;
  /** The label that local labels belong to. */
  readonly scope: string;

  constructor(tokens: readonly Token[], scope: string) {
    this.tokens = tokens;
    this.scope = scope;
  }

  get done(): boolean {
    return this.at >= this.tokens.length;
  }

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.at + ahead];
  }

  isOp(s: string, ahead = 0): boolean {
    const t = this.peek(ahead);
    return t?.t === "op" && t.s === s;
  }

  takeOp(s: string): boolean {
    if (!this.isOp(s)) return false;
    this.at++;
    return true;
  }

  /** The lower-case word here, "" if there is none. */
  word(ahead = 0): string {
    const t = this.peek(ahead);
    return t?.t === "id" ? t.s.toLowerCase() : "";
  }

  takeWord(...words: string[]): string {
    const w = this.word();
    if (!w || !words.includes(w)) return "";
    this.at++;
    return w;
  }

  expectOp(s: string): void {
    if (!this.takeOp(s)) throw new Mistake(`expected ${s} ${this.where()}`, this.column);
  }

  expectEnd(): void {
    if (!this.done) throw new Mistake(`unexpected ${this.where()}`, this.column);
  }

  where(): string {
    const t = this.peek();
    return t ? `at ${t.t === "num" ? t.n : JSON.stringify(t.s)}` : "at the end of the line";
  }

  /** Column of the token here, or of the last one. */
  get column(): number {
    return (this.peek() ?? this.tokens.at(-1))?.at ?? 1;
  }
}

const LEVELS: readonly (readonly string[])[] = [
  ["||"],
  ["^^"],
  ["&&"],
  ["=", "==", "!=", "<>", "<", "<=", ">", ">="],
  ["|"],
  ["^"],
  ["&"],
  ["<<", ">>"],
  ["+", "-"],
  ["*", "/", "//", "%", "%%"],
];

/** Where a comparison is not meant: after a word and `=`. */
export const SECTION_LEVEL = LEVELS.findIndex((ops) => ops[0] === "|");

/** Full name of a label: a leading dot makes it local to the last other label. */
export const fullName = (name: string, scope: string): string =>
  name.startsWith(".") && !name.startsWith("..") ? scope + name : name;

export function parseExpression(c: Cursor, level = 0): Expression {
  if (level === LEVELS.length) return parseUnary(c);
  let a = parseExpression(c, level + 1);
  for (;;) {
    const t = c.peek();
    if (t?.t !== "op" || !LEVELS[level].includes(t.s)) return a;
    c.at++;
    a = { k: "bin", op: t.s, a, b: parseExpression(c, level + 1) };
  }
}

function parseUnary(c: Cursor): Expression {
  for (const op of ["-", "+", "~", "!"]) if (c.takeOp(op)) return { k: "un", op, a: parseUnary(c) };
  if (c.takeOp("(")) {
    const inner = parseExpression(c);
    c.expectOp(")");
    return inner;
  }
  const t = c.peek();
  if (t?.t === "num") {
    c.at++;
    return { k: "num", n: BigInt.asIntN(64, t.n) };
  }
  if (t?.t === "str") {
    c.at++;
    if (t.bytes.length > 8) throw new Mistake("a string of more than 8 bytes is no number", t.at);
    return { k: "num", n: t.bytes.reduceRight((n, b) => (n << 8n) | BigInt(b), 0n) };
  }
  if (t?.t === "id") {
    c.at++;
    const reg = registerNamed(t.s.toLowerCase());
    return reg ? { k: "reg", reg } : { k: "sym", name: fullName(t.s, c.scope), at: t.at };
  }
  throw new Mistake(`expected a value ${c.where()}`, c.column);
}

const scalar = (n: bigint, unknown: boolean): Value => ({
  n: BigInt.asIntN(64, n),
  rel: 0,
  section: 0,
  unknown,
  regs: [],
});

/** Computes an expression. In the last pass `final` makes an undefined symbol a mistake. */
export function evaluate(e: Expression, resolve: Resolve, final: boolean): Value {
  switch (e.k) {
    case "num":
      return scalar(e.n, false);
    case "reg":
      return { ...scalar(0n, false), regs: [[e.reg, 1n]] };
    case "sym": {
      const s = resolve(e.name);
      if (!s && final) throw new Mistake(`${e.name} is not defined`, e.at);
      return s ? { n: s.n, rel: s.rel, section: s.section, unknown: false, regs: [] } : scalar(0n, true);
    }
    case "un": {
      const a = evaluate(e.a, resolve, final);
      if (e.op === "+") return a;
      if (e.op === "-") return combine(scalar(0n, false), a, -1n);
      noRegisters(a);
      return scalar(e.op === "~" ? ~a.n : a.n === 0n ? 1n : 0n, a.unknown);
    }
    case "bin": {
      const a = evaluate(e.a, resolve, final);
      const b = evaluate(e.b, resolve, final);
      if (e.op === "+" || e.op === "-") return combine(a, b, e.op === "+" ? 1n : -1n);
      if (e.op === "*" && a.regs.length) return scaled(a, b);
      if (e.op === "*" && b.regs.length) return scaled(b, a);
      noRegisters(a);
      noRegisters(b);
      return scalar(arithmetic(e.op, a.n, b.n, a.unknown || b.unknown), a.unknown || b.unknown);
    }
  }
}

function noRegisters(v: Value): void {
  if (v.regs.length) throw new Mistake(`register ${v.regs[0][0].name} cannot be used like this`);
}

function combine(a: Value, b: Value, sign: bigint): Value {
  if (sign < 0n && b.regs.length) throw new Mistake(`register ${b.regs[0][0].name} cannot be subtracted`);
  return {
    n: BigInt.asIntN(64, a.n + sign * b.n),
    rel: a.rel + Number(sign) * b.rel,
    section: a.rel ? a.section : b.section,
    unknown: a.unknown || b.unknown,
    regs: [...a.regs, ...b.regs],
  };
}

function scaled(regs: Value, factor: Value): Value {
  noRegisters(factor);
  return {
    n: BigInt.asIntN(64, regs.n * factor.n),
    rel: 0,
    section: 0,
    unknown: regs.unknown || factor.unknown,
    regs: regs.regs.map(([r, s]) => [r, s * factor.n] as const),
  };
}

/** `/` and `%` are unsigned, `//` and `%%` signed, as in NASM. */
function arithmetic(op: string, a: bigint, b: bigint, unknown: boolean): bigint {
  const u = (n: bigint) => BigInt.asUintN(64, n);
  switch (op) {
    case "||":
      return a || b ? 1n : 0n;
    case "^^":
      return !a !== !b ? 1n : 0n;
    case "&&":
      return a && b ? 1n : 0n;
    case "=":
    case "==":
      return a === b ? 1n : 0n;
    case "!=":
    case "<>":
      return a !== b ? 1n : 0n;
    case "<":
      return a < b ? 1n : 0n;
    case "<=":
      return a <= b ? 1n : 0n;
    case ">":
      return a > b ? 1n : 0n;
    case ">=":
      return a >= b ? 1n : 0n;
    case "|":
      return a | b;
    case "^":
      return a ^ b;
    case "&":
      return a & b;
    case "*":
      return a * b;
    case "<<":
      return u(b) > 63n ? 0n : a << b;
    case ">>":
      return u(b) > 63n ? 0n : u(a) >> b;
  }
  if (b === 0n) {
    if (unknown) return 0n;
    throw new Mistake("division by zero");
  }
  return op === "/" ? u(a) / u(b) : op === "%" ? u(a) % u(b) : op === "//" ? a / b : a % b;
}
