/** Source text to statements. */
import type { Width } from "../operand.ts";
import { registerNamed } from "../registers.ts";
import { type Instruction, isMnemonic, isPrefix } from "./encode.ts";
import { Mistake, type Place, placed } from "./error.ts";
import {
  Cursor,
  type Expression,
  evaluate,
  fullName,
  parseExpression,
  type Resolve,
  SECTION_LEVEL,
} from "./expression.ts";
import type { Token } from "./lexer.ts";
import { type Operand, parseOperand, SIZE_BITS } from "./operand.ts";
import { Preprocessor, type ReadFile } from "./preprocess.ts";

export type DataItem =
  | { k: "string"; bytes: readonly number[] }
  | { k: "float"; n: number }
  | { k: "value"; value: Expression };

/** What a SECTION directive says of a section; what it leaves out stays as it is. */
export interface SectionWords {
  readonly name: string;
  readonly nobits?: boolean;
  readonly align?: Expression;
  readonly start?: Expression;
  readonly vstart?: Expression;
}

export type Statement = Place &
  (
    | { k: "label"; name: string }
    | { k: "equ"; name: string; value: Expression }
    | { k: "bits"; mode: Width }
    | { k: "default"; rel: boolean }
    | { k: "org"; value: Expression }
    | { k: "data"; bytes: number; items: DataItem[] }
    | { k: "reserve"; bytes: number; count: Expression }
    | { k: "align"; to: Expression; filler: Statement }
    | { k: "times"; count: Expression; body: Statement }
    | { k: "section"; section: SectionWords }
    /** Labels from here on have addresses and no bytes; up to the next section, or the end of a structure. */
    | { k: "absolute"; at: Expression }
    | { k: "endstruc" }
    | { k: "bytes"; bytes: Uint8Array }
    | { k: "instruction"; instruction: Instruction }
  );

type Unplaced<S> = S extends unknown ? Omit<S, keyof Place> : never;

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
  "section",
  "segment",
  "absolute",
  "incbin",
  "struc",
  "endstruc",
  "istruc",
  "at",
  "iend",
  "global",
  "cpu",
]);
/** Directives that have a primitive form in brackets. */
const BRACKETED = [
  "bits",
  "org",
  "default",
  "section",
  "segment",
  "absolute",
  "global",
  "cpu",
  "warning",
  "map",
  "list",
];
/** What makes no difference to a flat binary. */
const WITHOUT_EFFECT = new Set(["global", "cpu", "warning", "map", "list"]);

export const isDirective = (word: string): boolean => DIRECTIVES.has(word);

/** A word that starts a statement, so what stands before it is a label. */
const isStart = (word: string): boolean => isDirective(word) || isMnemonic(word) || isPrefix(word);

/** Parses a source file; `read` gives the files that it includes. Throws AssembleError. */
export function parseSource(source: string, file: string, read: ReadFile): Statement[] {
  const parser = new Parser(read);
  const line = (tokens: readonly Token[], place: Place): void => placed(place, () => parser.line(tokens, place));
  new Preprocessor(line, read, parser.constant).run(source, file);
  return parser.statements;
}

class Parser {
  readonly statements: Statement[] = [];
  readonly #read: ReadFile;
  #scope = "";
  #place: Place = { file: "", line: 1, column: 1 };
  /** The structure that is described, with the scope outside of it. */
  #struc: { readonly name: string; readonly outside: string } | undefined;
  /** The structure of which an instance is filled in, and the label at its start. */
  #instance: { readonly name: string; readonly start: string } | undefined;

  /** EQUs that are numbers, which %if may ask for. */
  readonly #constants = new Map<string, bigint>();

  constructor(read: ReadFile) {
    this.#read = read;
  }

  readonly constant: Resolve = (name) => {
    const n = this.#constants.get(name);
    return n === undefined ? undefined : { n, rel: 0, section: 0 };
  };

  line(tokens: readonly Token[], place: Place): void {
    this.#place = place;
    const c = new Cursor(tokens, this.#scope);
    const label = this.#label(c);
    if (label !== undefined && c.takeWord("equ")) {
      const value = parseExpression(c);
      c.expectEnd();
      const { n, unknown, regs } = evaluate(value, this.constant, false);
      if (!unknown && !regs.length) this.#constants.set(label, n);
      this.#add({ k: "equ", name: label, value });
      return;
    }
    if (label !== undefined) this.#add({ k: "label", name: label });
    if (c.done) return;
    const inside = new Cursor(c.tokens, this.#scope);
    inside.at = c.at;
    this.#place = { ...place, column: inside.column };
    const s = this.#statement(inside);
    if (s) this.statements.push(s);
    inside.expectEnd();
  }

  #at(s: Unplaced<Statement>): Statement {
    return { ...s, ...this.#place };
  }

  #add(s: Unplaced<Statement>): void {
    this.statements.push(this.#at(s));
  }

  /** Takes a label if the line starts with one. */
  #label(c: Cursor): string | undefined {
    const t = c.peek();
    if (t?.t !== "id") return undefined;
    const word = t.s.toLowerCase();
    const colon = c.isOp(":", 1);
    if (!colon && (isStart(word) || !isStart(c.word(1)))) {
      if (isStart(word)) return undefined;
      throw new Mistake(
        `${t.s} is neither an instruction nor a directive; a label alone on a line ends with a colon`,
        t.at,
      );
    }
    // With its colon even a mnemonic can be a label.
    if (registerNamed(word) || word in SIZE_BITS || t.s === "$" || t.s === "$$")
      throw new Mistake(`${t.s} cannot be a label`, t.at);
    c.at += colon ? 2 : 1;
    const name = fullName(t.s, this.#scope);
    if (name === t.s && !name.startsWith("..") && c.word() !== "equ") this.#scope = t.s;
    return name;
  }

  /** Undefined: what the line says makes no difference. */
  #statement(c: Cursor): Statement | undefined {
    // [bits 16] is NASM's primitive form of a directive.
    const bracket = c.isOp("[") && BRACKETED.includes(c.word(1));
    if (bracket) c.at++;
    const s = this.#bare(c);
    if (bracket) c.expectOp("]");
    return s;
  }

  /** A statement after another one's words: TIMES, ALIGN. */
  #body(c: Cursor): Statement {
    const s = this.#statement(c);
    if (!s) throw new Mistake("a directive cannot be repeated", c.column);
    return s;
  }

  #bare(c: Cursor): Statement | undefined {
    const word = c.word();
    if (word in DATA || word in RESERVE) {
      c.at++;
      if (word in RESERVE) return this.#at({ k: "reserve", bytes: RESERVE[word], count: parseExpression(c) });
      const items: DataItem[] = [];
      do items.push(parseData(c));
      while (c.takeOp(","));
      return this.#at({ k: "data", bytes: DATA[word], items });
    }
    if (WITHOUT_EFFECT.has(word)) {
      c.at = c.tokens.length - (c.isOp("]", c.tokens.length - 1 - c.at) ? 1 : 0);
      return undefined;
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
        return this.#at({ k: "bits", mode });
      }
      case "org":
        c.at++;
        return this.#at({ k: "org", value: parseExpression(c) });
      case "default": {
        c.at++;
        const how = c.takeWord("rel", "abs");
        if (!how) throw new Mistake("default is rel or abs");
        return this.#at({ k: "default", rel: how === "rel" });
      }
      case "section":
      case "segment":
        c.at++;
        return this.#at({ k: "section", section: parseSection(c) });
      case "absolute":
        c.at++;
        return this.#at({ k: "absolute", at: parseExpression(c) });
      case "incbin":
        c.at++;
        return this.#incbin(c);
      case "struc":
      case "endstruc":
      case "istruc":
      case "at":
      case "iend":
        c.at++;
        return this.#structure(word, c);
      case "align":
      case "alignb": {
        c.at++;
        const to = parseExpression(c);
        const nop = this.#at({ k: "instruction", instruction: { mnemonic: "nop", prefixes: [], operands: [] } });
        const zero = this.#at({ k: "data", bytes: 1, items: [{ k: "value", value: ZERO }] });
        return this.#at({ k: "align", to, filler: c.takeOp(",") ? this.#body(c) : word === "align" ? nop : zero });
      }
      case "times": {
        c.at++;
        const count = parseExpression(c);
        return this.#at({ k: "times", count, body: this.#body(c) });
      }
      case "equ":
        throw new Mistake("equ needs a name before it");
    }
    return this.#at({ k: "instruction", instruction: parseInstruction(c) });
  }

  /** INCBIN "file"[, skip[, length]]. */
  #incbin(c: Cursor): Statement {
    const name = c.peek();
    if (name?.t !== "str") throw new Mistake("incbin needs a file's name in quotes", c.column);
    c.at++;
    const numbers: number[] = [];
    while (c.takeOp(",")) {
      const t = c.peek();
      if (t?.t !== "num") throw new Mistake("incbin takes numbers after the name", c.column);
      numbers.push(Number(t.n));
      c.at++;
    }
    const bytes = this.#read(name.s);
    if (!bytes) throw new Mistake(`${name.s}: no such file`, name.at);
    const [skip = 0, length = bytes.length] = numbers;
    return this.#at({ k: "bytes", bytes: bytes.subarray(skip, skip + length) });
  }

  /** STRUC and ISTRUC are macros in NASM; what they come to is the same. */
  #structure(word: string, c: Cursor): Statement | undefined {
    if (word === "struc" || word === "istruc") {
      const name = c.peek();
      if (name?.t !== "id") throw new Mistake(`${word} needs a name`, c.column);
      c.at++;
      if (word === "struc") {
        this.#struc = { name: name.s, outside: this.#scope };
        this.#add({ k: "absolute", at: c.takeOp(",") ? parseExpression(c) : ZERO });
        this.#scope = name.s;
      } else this.#instance = { name: name.s, start: `..@istruc.${this.statements.length}` };
      return this.#at({ k: "label", name: this.#instance?.start ?? name.s });
    }
    const here: Expression = { k: "sym", name: "$", at: c.column };
    if (word === "endstruc") {
      const struc = this.#struc;
      if (!struc) throw new Mistake("endstruc without struc");
      const start: Expression = { k: "sym", name: struc.name, at: c.column };
      this.#add({ k: "equ", name: `${struc.name}_size`, value: { k: "bin", op: "-", a: here, b: start } });
      this.#scope = struc.outside;
      this.#struc = undefined;
      return this.#at({ k: "endstruc" });
    }
    const instance = this.#instance;
    if (!instance) throw new Mistake(`${word} without istruc`);
    const done: Expression = { k: "bin", op: "-", a: here, b: { k: "sym", name: instance.start, at: c.column } };
    const fill = (to: Expression): Statement => {
      const zero = this.#at({ k: "data", bytes: 1, items: [{ k: "value", value: ZERO }] });
      return this.#at({ k: "times", count: { k: "bin", op: "-", a: to, b: done }, body: zero });
    };
    if (word === "iend") {
      this.#instance = undefined;
      return fill({ k: "sym", name: `${instance.name}_size`, at: c.column });
    }
    this.statements.push(fill(parseExpression(c)));
    c.expectOp(",");
    return this.#statement(c);
  }
}

const ZERO: Expression = { k: "num", n: 0n };

/** The words after SECTION. A quality that a flat binary has not got is let pass. */
function parseSection(c: Cursor): SectionWords {
  const name = c.peek();
  if (name?.t !== "id") throw new Mistake("a section needs a name", c.column);
  c.at++;
  const words: { -readonly [K in keyof SectionWords]: SectionWords[K] } = { name: name.s };
  while (!c.done && !c.isOp("]")) {
    const word = c.word();
    c.at++;
    if (word === "nobits" || word === "progbits") words.nobits = word === "nobits";
    else if (c.takeOp("=")) {
      const value = parseExpression(c, SECTION_LEVEL);
      if (word === "align" || word === "start" || word === "vstart") words[word] = value;
      else throw new Mistake(`a section's ${word} is not supported`, c.column);
    }
  }
  return words;
}

/** __utf16__('text') and kin, little-endian; also with the question marks of newer versions. */
const ENCODED = /^__\??utf(16|32)(?:le)?\??__$/i;

function encodedString(c: Cursor): DataItem | undefined {
  const [name, text] = [c.peek(), c.peek(2)];
  const width = name?.t === "id" ? Number(ENCODED.exec(name.s)?.[1] ?? 0) : 0;
  if (!width || !c.isOp("(", 1) || text?.t !== "str") return undefined;
  c.at += 3;
  c.expectOp(")");
  const units = width === 16 ? text.s.split("") : [...text.s];
  const bytes = units.flatMap((unit) => {
    const n = width === 16 ? unit.charCodeAt(0) : unit.codePointAt(0)!;
    return Array.from({ length: width / 8 }, (_, i) => (n >>> (8 * i)) & 0xff);
  });
  return { k: "string", bytes };
}

function parseData(c: Cursor): DataItem {
  const encoded = encodedString(c);
  if (encoded) return encoded;
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
  if (!isMnemonic(mnemonic)) throw new Mistake(`unknown instruction ${c.where()}`, c.column);
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
