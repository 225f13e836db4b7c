/**
 * NASM's preprocessor, as far as OS teaching code uses it: %define and kin, %macro, %if and kin, %rep, %include. It gives
 * the parser one line of tokens after the other.
 */
import { isMnemonic } from "./encode.ts";
import { Mistake, type Place, placed } from "./error.ts";
import { Cursor, evaluate, parseExpression, type Resolve } from "./expression.ts";
import { type Token, tokenize } from "./lexer.ts";
import {
  type Invocation,
  type Macro,
  parametersOf,
  parseMacroHead,
  type SourceLine,
  splitParameters,
  substitute,
  withoutComment,
} from "./macro.ts";

/** Gives the bytes of a file that %include or INCBIN names, as it is written there; undefined: there is none. */
export type ReadFile = (name: string) => Uint8Array | undefined;

/** Lines that come from a file, a macro or a %rep. */
interface Frame {
  readonly lines: readonly SourceLine[];
  at: number;
  /** How often it comes again. */
  again: number;
  readonly kind: "file" | "macro" | "rep";
  readonly invocation: Invocation | undefined;
  /** Open conditions when it began. */
  readonly conditions: number;
}

/** A %if: whether its present branch is taken, and whether any has been. */
interface Condition {
  taken: boolean;
  done: boolean;
  readonly line: SourceLine;
}

interface Define {
  /** Undefined: it has none, not even (). */
  readonly params: readonly string[] | undefined;
  readonly body: readonly Token[];
}

/** More lines than this come from a macro that uses itself, or a %rep without an end. */
const MAX_LINES = 2_000_000;
const MAX_DEPTH = 200;

const IF = /^%(el)?if(n)?(def|idni|idn|macro|num|id|str|empty)?$/;
/** Words that begin and end what is collected as it stands. */
const ENDS: Readonly<Record<string, readonly [RegExp, RegExp]>> = {
  macro: [/^%i?macro$/, /^%endmacro$|^%endm$/],
  rep: [/^%rep$/, /^%endrep$/],
};
const IGNORED = new Set(["%pragma", "%line", "%warning", "%note", "%use"]);

export class Preprocessor {
  readonly #emit: (tokens: readonly Token[], place: Place) => void;
  readonly #read: ReadFile;
  readonly #frames: Frame[] = [];
  readonly #conditions: Condition[] = [];
  readonly #defines = new Map<string, Define>();
  readonly #anyCase = new Map<string, Define>();
  readonly #macros = new Map<string, Macro[]>();
  #uses = 0;
  #lines = 0;

  readonly #constant: Resolve;

  /** `emit` takes each line that is left, with its tokens; `read` gives other files, `constant` what EQU has named so far. */
  constructor(emit: (tokens: readonly Token[], place: Place) => void, read: ReadFile, constant: Resolve) {
    this.#emit = emit;
    this.#read = read;
    this.#constant = constant;
  }

  /** @throws AssembleError */
  run(source: string, file: string): void {
    this.#push("file", linesOf(source, file), undefined);
    for (;;) {
      const line = this.#next();
      if (!line) break;
      placed(this.#placeOf(line), () => {
        if (++this.#lines > MAX_LINES) throw new Mistake("macros make too many lines");
        this.#line(line);
      });
    }
    const open = this.#conditions[0];
    if (open) placed(placeAt(open.line), () => fail("this %if has no %endif"));
  }

  #push(kind: Frame["kind"], lines: readonly SourceLine[], invocation: Invocation | undefined, times = 1): void {
    if (this.#frames.length >= MAX_DEPTH) throw new Mistake("files that include one another");
    const conditions = this.#conditions.length;
    this.#frames.push({ lines, at: 0, again: times - 1, kind, invocation, conditions });
  }

  /** The next line as it stands; what is at its end goes. */
  #next(): SourceLine | undefined {
    for (;;) {
      const frame = this.#frames.at(-1);
      if (!frame) return undefined;
      if (frame.at < frame.lines.length) return frame.lines[frame.at++];
      if (frame.again-- > 0) frame.at = 0;
      else this.#frames.pop();
    }
  }

  /** Where a person wrote it: a macro's lines are at the macro's use. */
  #placeOf(line: SourceLine): Place {
    const outer = this.#frames.findIndex((f) => f.kind === "macro");
    if (outer < 1) return placeAt(line);
    const use = this.#frames[outer - 1];
    return placeAt(use.lines[use.at - 1]);
  }

  get #skips(): boolean {
    return this.#conditions.some((c) => !c.taken);
  }

  #line(line: SourceLine): void {
    const invocation = this.#frames.at(-1)?.invocation;
    const text = invocation ? substitute(line.text, invocation) : line.text;
    const word = /^\s*(%[a-z]+)(?![\w(])/i.exec(text)?.[1].toLowerCase();
    if (word && this.#condition(word, text, line)) return;
    if (this.#skips) return;
    if (word) {
      this.#directive(word, text);
      return;
    }
    if (this.#use(text, line)) return;
    const tokens = this.#expand(tokenize(text));
    if (!tokens.length) return;
    const place = this.#placeOf(line);
    // Columns of a macro's body say nothing where it is used.
    const inMacro = this.#frames.some((f) => f.kind === "macro");
    if (inMacro)
      this.#emit(
        tokens.map((t) => ({ ...t, at: place.column })),
        place,
      );
    else this.#emit(tokens, { ...place, column: tokens[0].at });
  }

  // %if and kin

  /** True: the line is one of them. */
  #condition(word: string, text: string, line: SourceLine): boolean {
    const top = this.#conditions.at(-1);
    if (word === "%else" || word === "%endif") {
      if (!top) throw new Mistake(`${word} without %if`);
      if (word === "%endif") this.#conditions.pop();
      else {
        top.taken = !top.done;
        top.done = true;
      }
      return true;
    }
    const m = IF.exec(word);
    if (!m) return false;
    const holds = (): boolean => this.#test(m[3] ?? "", text) !== (m[2] !== undefined);
    if (m[1]) {
      if (!top) throw new Mistake(`${word} without %if`);
      top.taken = false;
      if (top.done) return true;
      top.taken = holds();
      top.done = top.taken;
      return true;
    }
    // Inside what is left out nothing is looked at.
    const skips = this.#skips;
    const taken = !skips && holds();
    this.#conditions.push({ taken, done: taken || skips, line });
    return true;
  }

  #test(kind: string, text: string): boolean {
    const rest = withoutComment(text.replace(/^\s*%\w+/, "")).trim();
    const column = text.length - text.trimStart().length + 1;
    const names = rest.split(/\s*,\s*|\s+/);
    switch (kind) {
      case "def":
        return names.some((n) => this.#defines.has(n) || this.#anyCase.has(n.toLowerCase()));
      case "macro":
        return this.#macros.has(names[0]) || this.#macros.has(names[0].toLowerCase());
      case "idn":
      case "idni": {
        const same = (s: string) => textOf(this.#expand(tokenize(s)));
        const [a, b] = splitParameters(rest).map(same);
        return kind === "idn" ? a === b : a?.toLowerCase() === b?.toLowerCase();
      }
      case "empty":
        return this.#expand(tokenize(rest)).length === 0;
      case "num":
      case "id":
      case "str":
        return this.#expand(tokenize(rest))[0]?.t === kind;
    }
    return this.#number(this.#expand(tokenize(text).slice(1)), column) !== 0n;
  }

  /** What a preprocessor's expression comes to: there are no labels in it. */
  #number(tokens: readonly Token[], column: number): bigint {
    const c = new Cursor(tokens, "");
    if (c.done) throw new Mistake("expected a value at the end of the line", column);
    const e = parseExpression(c);
    c.expectEnd();
    return evaluate(e, this.#constant, true).n;
  }

  // The others

  #directive(word: string, text: string): void {
    if (IGNORED.has(word)) return;
    const rest = text.replace(/^\s*%\w+\s*/, "");
    switch (word) {
      case "%macro":
      case "%imacro":
        this.#macro(word, rest);
        return;
      case "%unmacro":
        this.#macros.delete(rest.split(/\s/)[0]);
        return;
      case "%rep": {
        const times = this.#number(this.#expand(tokenize(text).slice(1)), 1);
        if (times > BigInt(MAX_LINES)) throw new Mistake(`%rep ${times} makes too many lines`);
        const lines = this.#collect("rep");
        if (times > 0n) this.#push("rep", lines, this.#frames.at(-1)?.invocation, Number(times));
        return;
      }
      case "%exitrep":
      case "%exitmacro":
        this.#exit(word === "%exitrep" ? "rep" : "macro");
        return;
      case "%rotate": {
        const use = this.#frames.at(-1)?.invocation;
        if (!use) throw new Mistake("%rotate outside of a macro");
        const n = Number(this.#number(this.#expand(tokenize(text).slice(1)), 1));
        const count = use.params.length || 1;
        const by = ((n % count) + count) % count;
        use.params = [...use.params.slice(by), ...use.params.slice(0, by)];
        return;
      }
      case "%include":
        this.#include(text);
        return;
      case "%error":
      case "%fatal":
        throw new Mistake(withoutComment(rest).trim() || word);
    }
    this.#single(word, tokenize(text));
  }

  #macro(word: string, head: string): void {
    const macro = parseMacroHead(head, this.#collect("macro"));
    const name = word === "%imacro" ? macro.name.toLowerCase() : macro.name;
    const others = (this.#macros.get(name) ?? []).filter((m) => m.min !== macro.min || m.max !== macro.max);
    this.#macros.set(name, [macro, ...others]);
  }

  /** The lines up to the end of a %macro or %rep, as they stand. */
  #collect(kind: "macro" | "rep"): SourceLine[] {
    const [begin, end] = ENDS[kind];
    const frame = this.#frames.at(-1) as Frame;
    const lines: SourceLine[] = [];
    for (let depth = 0; frame.at < frame.lines.length; ) {
      const line = frame.lines[frame.at++];
      const word = /^\s*(%[a-z]+)/i.exec(line.text)?.[1].toLowerCase() ?? "";
      if (end.test(word) && depth-- === 0) return lines;
      if (begin.test(word)) depth++;
      lines.push(line);
    }
    throw new Mistake(kind === "macro" ? "this %macro has no %endmacro" : "this %rep has no %endrep");
  }

  #exit(kind: "rep" | "macro"): void {
    const at = this.#frames.findLastIndex((f) => f.kind === kind);
    if (at < 0) throw new Mistake(`%exit${kind} outside of one`);
    this.#conditions.length = this.#frames[at].conditions;
    this.#frames.length = at;
  }

  #include(text: string): void {
    const name = tokenize(text)[1];
    if (name?.t !== "str") throw new Mistake("%include needs a file's name in quotes");
    const bytes = this.#read(name.s);
    if (!bytes) throw new Mistake(`${name.s}: no such file`, name.at);
    this.#push("file", linesOf(new TextDecoder().decode(bytes), name.s), undefined);
  }

  /** %define, %xdefine, %assign, %strlen and those for any case; %undef. */
  #single(word: string, tokens: readonly Token[]): void {
    const m = /^%(i?)(define|xdefine|assign|strlen|undef)$/.exec(word);
    if (!m) throw new Mistake(`${word} is not supported`, tokens[0].at);
    const name = tokens[1];
    if (name?.t !== "id") throw new Mistake(`${word} needs a name`, name?.at ?? tokens[0].at);
    const any = m[1] === "i";
    const table = any ? this.#anyCase : this.#defines;
    const key = any ? name.s.toLowerCase() : name.s;
    const rest = tokens.slice(2);
    const number = (n: bigint): Define => ({
      params: undefined,
      body: [{ t: "num", s: String(n), at: name.at, n: BigInt.asUintN(64, n) }],
    });
    switch (m[2]) {
      case "undef":
        table.delete(key);
        return;
      case "assign":
        table.set(key, number(this.#number(this.#expand(rest), name.at)));
        return;
      case "strlen": {
        const string = this.#expand(rest)[0];
        if (string?.t !== "str") throw new Mistake("%strlen needs a string", name.at);
        table.set(key, number(BigInt(string.bytes.length)));
        return;
      }
    }
    // Parameters follow the name at once; what is in brackets further on is the body's.
    const params: string[] = [];
    let body = rest;
    const open = rest[0];
    const has = open?.t === "op" && open.s === "(" && open.at === name.at + name.s.length;
    if (has) {
      const end = rest.findIndex((t) => t.t === "op" && t.s === ")");
      if (end < 0) throw new Mistake("the parameters have no )", open.at);
      for (const t of rest.slice(1, end)) {
        if (t.t === "id") params.push(t.s);
        else if (t.s !== ",") throw new Mistake(`${t.s} is no parameter`, t.at);
      }
      body = rest.slice(end + 1);
    }
    table.set(key, { params: has ? params : undefined, body: m[2] === "xdefine" ? this.#expand(body) : body });
  }

  // Uses

  /** True: the line was the use of a macro. */
  #use(text: string, line: SourceLine): boolean {
    const m = /^(\s*(?:[\w.?@$#~]+\s*:\s*|[\w.?@$#~]+\s+)?)([\w.?@$#~]+)(?=\s|$|;)(.*)$/s.exec(text);
    if (!m) return false;
    // `name args`, or `label: name args`.
    const plain = /^\s*([\w.?@$#~]+)(?=\s|$|;)(.*)$/s.exec(text);
    const found = (plain && this.#find(plain[1], plain[2])) || this.#find(m[2], m[3]);
    if (!found) return false;
    const [name, macro, params] = found;
    if (!plain || plain[1] !== name) {
      const label = tokenize(m[1]);
      if (label.length === 1) label.push({ t: "op", s: ":", at: label[0].at });
      this.#emit(label, { ...this.#placeOf(line), column: label[0].at });
    }
    this.#push("macro", macro.lines, { macro, params: params.map((p) => this.#expandText(p)), id: ++this.#uses });
    return true;
  }

  #find(name: string, rest: string): [string, Macro, readonly string[]] | undefined {
    const list = this.#macros.get(name) ?? this.#macros.get(name.toLowerCase());
    if (!list) return undefined;
    const text = withoutComment(rest);
    for (const macro of list) {
      // In its own body its name is what it was before.
      if (this.#frames.some((f) => f.kind === "macro" && f.invocation?.macro === macro)) return undefined;
      const params = parametersOf(macro, text);
      if (params) return [name, macro, params];
    }
    if (isMnemonic(name.toLowerCase())) return undefined;
    const counts = list.map((m) => (m.min === m.max ? m.min : `${m.min} to ${m.max}`)).join(" or ");
    throw new Mistake(`the macro ${name} takes ${counts} parameters`);
  }

  /** Single-line macros put in; `busy` are those that are being put in already. */
  #expand(tokens: readonly Token[], busy: ReadonlySet<string> = new Set()): Token[] {
    const out: Token[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const t = tokens[i];
      const define = t.t === "id" ? this.#lookUp(t.s, busy) : undefined;
      if (!define) {
        out.push(t);
        continue;
      }
      let body = define.body;
      if (define.params) {
        // Without its brackets it is only a name.
        if (tokens[i + 1]?.s !== "(" || tokens[i + 1]?.t !== "op") {
          out.push(t);
          continue;
        }
        const [args, end] = argumentsAt(tokens, i + 2);
        const { params } = define;
        if (args.length !== params.length && !(params.length === 0 && args.length === 1 && !args[0].length)) {
          throw new Mistake(`${t.s} takes ${params.length} parameters, not ${args.length}`, t.at);
        }
        body = body.flatMap((b) => {
          const n = b.t === "id" ? params.indexOf(b.s) : -1;
          return n < 0 ? [b] : args[n];
        });
        i = end;
      }
      const inside = this.#expand(body, new Set([...busy, t.s]));
      out.push(...inside.map((b) => ({ ...b, at: t.at })));
    }
    return out.some((t) => t.s === "%+" && t.t === "op") ? this.#paste(out, busy) : out;
  }

  /** A macro's parameter, in which single-line macros have the value that they have at its use. */
  #expandText(text: string): string {
    const tokens = tokenize(text);
    const any = tokens.some((t) => t.t === "id" && this.#lookUp(t.s, new Set()));
    return any ? this.#expand(tokens).map(spelled).join(" ") : text;
  }

  #lookUp(name: string, busy: ReadonlySet<string>): Define | undefined {
    if (busy.has(name)) return undefined;
    return this.#defines.get(name) ?? this.#anyCase.get(name.toLowerCase());
  }

  /** `a %+ b` is one token, which may be a macro in turn. */
  #paste(tokens: readonly Token[], busy: ReadonlySet<string>): Token[] {
    const out: Token[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const t = tokens[i];
      const before = out.at(-1);
      const after = tokens[i + 1];
      if (t.t !== "op" || t.s !== "%+" || !before || !after) out.push(t);
      else {
        out.splice(-1, 1, ...tokenize(before.s + after.s).map((p) => ({ ...p, at: before.at })));
        i++;
      }
    }
    return this.#expand(out, busy);
  }
}

/** The arguments in brackets from `from` on, and where the bracket closes. */
function argumentsAt(tokens: readonly Token[], from: number): [Token[][], number] {
  const args: Token[][] = [[]];
  let depth = 0;
  for (let i = from; i < tokens.length; i++) {
    const t = tokens[i];
    if (t.t === "op") {
      if (t.s === ")" && depth-- === 0) return [args, i];
      if (t.s === "(") depth++;
      if (t.s === "," && depth === 0) {
        args.push([]);
        continue;
      }
    }
    (args.at(-1) as Token[]).push(t);
  }
  throw new Mistake("expected ) at the end of the line", tokens.at(-1)?.at);
}

/** A token as it could be written. */
function spelled(t: Token): string {
  if (t.t !== "str") return t.s;
  // What is neither plain nor printable is written by its number.
  const hex = (byte: number): string => `\\x${byte.toString(16).padStart(2, "0")}`;
  return `\`${t.bytes.map((b) => (b > 32 && b < 127 && b !== 0x5c && b !== 0x60 ? String.fromCharCode(b) : hex(b))).join("")}\``;
}

const textOf = (tokens: readonly Token[]): string => tokens.map((t) => t.s).join(" ");

const placeAt = ({ file, line, text }: SourceLine): Place => ({
  file,
  line,
  column: text.length - text.trimStart().length + 1,
});

function fail(message: string): never {
  throw new Mistake(message);
}

/** A file's lines; one that ends in a backslash goes on in the next. */
function linesOf(source: string, file: string): SourceLine[] {
  const lines: SourceLine[] = [];
  let joined = "";
  let first = 0;
  source.split("\n").forEach((text, i) => {
    if (!joined) first = i + 1;
    joined += text;
    if (/\\\r?$/.test(joined)) {
      joined = joined.replace(/\\\r?$/, " ");
      return;
    }
    lines.push({ text: joined, file, line: first });
    joined = "";
  });
  return lines;
}
