/** Source text to statements. */
import type { Width } from "../operand.ts";
import { registerNamed } from "../registers.ts";
import { type Instruction, isMnemonic, isPrefix } from "./encode.ts";
import { AssembleError, Mistake } from "./error.ts";
import { Cursor, type Expression, fullName, parseExpression } from "./expression.ts";
import { type Token, tokenize } from "./lexer.ts";
import { type Operand, parseOperand, SIZE_BITS } from "./operand.ts";

export type DataItem =
  | { k: "string"; bytes: readonly number[] }
  | { k: "float"; n: number }
  | { k: "value"; value: Expression };

export type Statement = { line: number } & (
  | { k: "label"; name: string }
  | { k: "equ"; name: string; value: Expression }
  | { k: "bits"; mode: Width }
  | { k: "default"; rel: boolean }
  | { k: "org"; value: Expression }
  | { k: "data"; bytes: number; items: DataItem[] }
  | { k: "reserve"; bytes: number; count: Expression }
  | { k: "align"; to: Expression; filler: Statement }
  | { k: "times"; count: Expression; body: Statement }
  | { k: "instruction"; instruction: Instruction }
);

const DATA: Readonly<Record<string, number>> = { db: 1, dw: 2, dd: 4, dq: 8 };
const RESERVE: Readonly<Record<string, number>> = { resb: 1, resw: 2, resd: 4, resq: 8 };
const DIRECTIVES = new Set([
  ...Object.keys(DATA),
  ...Object.keys(RESERVE),
  "bits",
  "use16",
  "use32",
  "use64",
  "org",
  "default",
  "equ",
  "times",
  "align",
  "alignb",
]);

/** A word that starts a statement, so what stands before it is a label. */
const isStart = (word: string): boolean => DIRECTIVES.has(word) || isMnemonic(word) || isPrefix(word);

/** Parses a source file. Throws AssembleError. */
export function parseSource(source: string, file: string): Statement[] {
  const parser = new Parser();
  let joined = "";
  let first = 0;
  source.split("\n").forEach((text, i) => {
    if (!joined) first = i + 1;
    joined += text;
    if (/\\\r?$/.test(joined)) {
      joined = joined.replace(/\\\r?$/, " ");
      return;
    }
    try {
      parser.line(joined, first);
    } catch (e) {
      if (e instanceof Mistake) throw new AssembleError(file, first, e.message);
      throw e;
    }
    joined = "";
  });
  return parser.statements;
}

class Parser {
  readonly statements: Statement[] = [];
  #defines = new Map<string, Token[]>();
  #scope = "";

  line(text: string, line: number): void {
    const tokens = tokenize(text);
    const first = tokens[0];
    if (first?.t === "id" && first.s.startsWith("%")) {
      if (/^\s*%define\s+[\w.?@$]+\(/i.test(text)) throw new Mistake("%define with parameters is not supported");
      this.#preprocessor(first.s.toLowerCase(), tokens);
      return;
    }
    const c = new Cursor(this.#expand(tokens, new Set()), this.#scope);
    const label = this.#label(c);
    if (label !== undefined && c.takeWord("equ")) {
      this.statements.push({ k: "equ", line, name: label, value: parseExpression(c) });
      c.expectEnd();
      return;
    }
    if (label !== undefined) this.statements.push({ k: "label", line, name: label });
    if (c.done) return;
    const inside = new Cursor(c.tokens, this.#scope);
    inside.at = c.at;
    this.statements.push(this.#statement(inside, line));
    inside.expectEnd();
  }

  #preprocessor(word: string, tokens: readonly Token[]): void {
    const name = tokens[1];
    if ((word !== "%define" && word !== "%undef") || name?.t !== "id") {
      throw new Mistake(word === "%define" || word === "%undef" ? `${word} needs a name` : `${word} is not supported`);
    }
    if (word === "%undef") this.#defines.delete(name.s);
    else this.#defines.set(name.s, tokens.slice(2));
  }

  #expand(tokens: readonly Token[], busy: ReadonlySet<string>): Token[] {
    return tokens.flatMap((t) => {
      const body = t.t === "id" && !busy.has(t.s) ? this.#defines.get(t.s) : undefined;
      return body && t.t === "id" ? this.#expand(body, new Set([...busy, t.s])) : [t];
    });
  }

  /** Takes a label if the line starts with one. */
  #label(c: Cursor): string | undefined {
    const t = c.peek();
    if (t?.t !== "id") return undefined;
    const word = t.s.toLowerCase();
    const colon = c.isOp(":", 1);
    if (!colon && (isStart(word) || !isStart(c.word(1)))) {
      if (isStart(word)) return undefined;
      throw new Mistake(`${t.s} is neither an instruction nor a directive; a label alone on a line ends with a colon`);
    }
    // With its colon even a mnemonic can be a label.
    if (registerNamed(word) || word in SIZE_BITS || t.s === "$" || t.s === "$$")
      throw new Mistake(`${t.s} cannot be a label`);
    c.at += colon ? 2 : 1;
    const name = fullName(t.s, this.#scope);
    if (name === t.s && c.word() !== "equ") this.#scope = t.s;
    return name;
  }

  #statement(c: Cursor, line: number): Statement {
    // [bits 16] is NASM's primitive form of a directive.
    const bracket = c.isOp("[") && ["bits", "org", "default"].includes(c.word(1));
    if (bracket) c.at++;
    const s = this.#bare(c, line);
    if (bracket) c.expectOp("]");
    return s;
  }

  #bare(c: Cursor, line: number): Statement {
    const word = c.word();
    if (word in DATA || word in RESERVE) {
      c.at++;
      if (word in RESERVE) return { k: "reserve", line, bytes: RESERVE[word], count: parseExpression(c) };
      const items: DataItem[] = [];
      do items.push(parseData(c));
      while (c.takeOp(","));
      return { k: "data", line, bytes: DATA[word], items };
    }
    switch (word) {
      case "bits":
      case "use16":
      case "use32":
      case "use64": {
        c.at++;
        const t = word === "bits" ? c.peek() : undefined;
        if (word === "bits") c.at++;
        const mode = t?.t === "num" ? Number(t.n) : word === "bits" ? 0 : Number(word.slice(3));
        if (mode !== 16 && mode !== 32 && mode !== 64) throw new Mistake("bits is 16, 32 or 64");
        return { k: "bits", line, mode };
      }
      case "org":
        c.at++;
        return { k: "org", line, value: parseExpression(c) };
      case "default": {
        c.at++;
        const how = c.takeWord("rel", "abs");
        if (!how) throw new Mistake("default is rel or abs");
        return { k: "default", line, rel: how === "rel" };
      }
      case "align":
      case "alignb": {
        c.at++;
        const to = parseExpression(c);
        const nop: Statement = { k: "instruction", line, instruction: { mnemonic: "nop", prefixes: [], operands: [] } };
        const zero: Statement = { k: "data", line, bytes: 1, items: [{ k: "value", value: { k: "num", n: 0n } }] };
        return {
          k: "align",
          line,
          to,
          filler: c.takeOp(",") ? this.#statement(c, line) : word === "align" ? nop : zero,
        };
      }
      case "times": {
        c.at++;
        const count = parseExpression(c);
        return { k: "times", line, count, body: this.#statement(c, line) };
      }
      case "equ":
        throw new Mistake("equ needs a name before it");
    }
    return { k: "instruction", line, instruction: parseInstruction(c) };
  }
}

function parseData(c: Cursor): DataItem {
  const t = c.peek();
  // A string alone is bytes; in an expression it is a number.
  if (t?.t === "str" && (c.isOp(",", 1) || c.peek(1) === undefined || c.isOp("]", 1))) {
    c.at++;
    return { k: "string", bytes: t.bytes };
  }
  const negative = c.isOp("-") && c.peek(1)?.t === "float";
  const f = c.peek(negative ? 1 : 0);
  if (f?.t === "float") {
    c.at += negative ? 2 : 1;
    return { k: "float", n: negative ? -Number(f.s) : Number(f.s) };
  }
  return { k: "value", value: parseExpression(c) };
}

function parseInstruction(c: Cursor): Instruction {
  const prefixes: string[] = [];
  while (isPrefix(c.word())) {
    prefixes.push(c.word());
    c.at++;
  }
  if (c.done && prefixes.length) return { mnemonic: "", prefixes, operands: [] };
  const mnemonic = c.word();
  if (!isMnemonic(mnemonic)) throw new Mistake(`unknown instruction ${c.where()}`);
  c.at++;
  const operands: Operand[] = [];
  if (!c.done) {
    // FADD TO STi: the result goes to STi.
    const to = c.takeWord("to") !== "";
    do operands.push(parseOperand(c));
    while (c.takeOp(","));
    const st0 = registerNamed("st0");
    if (to && st0) operands.push({ k: "reg", reg: st0 });
  }
  return { mnemonic, prefixes, operands };
}
