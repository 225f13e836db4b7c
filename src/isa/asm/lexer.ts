/** Source lines to tokens, in NASM's spelling. */
import { Mistake } from "./error.ts";

/** `s`: as it is written, but a string without its quotes. `at`: its column, from 1. */
export type Token = { readonly s: string; readonly at: number } & (
  | { readonly t: "id" | "float" | "op" }
  | { readonly t: "num"; readonly n: bigint }
  | { readonly t: "str"; readonly bytes: readonly number[] }
);

const SPACE = /[ \t\r]+/y;
const FLOAT = /(?:\d[\d_]*\.\d*(?:e[+-]?\d+)?|\d[\d_]*e[+-]?\d+)(?![\w.])/iy;
const NUMBER = /\$[0-9][0-9a-f_]*|[0-9][0-9a-z_]*/iy;
const NAME = /[a-z_.?@$][\w.?@$#~]*/iy;
/** A preprocessor word, only at the start of a line: elsewhere % is an operator. */
const PREPROCESSOR = /%[a-z]+/iy;
const OPERATOR = /%\+|<<|>>|<=|>=|<>|!=|==|&&|\|\||\^\^|\/\/|%%|[-+*/%&|^~!()[\]:,<>=]/y;

/** Tokens of one line; a comment ends it. */
export function tokenize(line: string): Token[] {
  const out: Token[] = [];
  let at = 0;
  const take = (re: RegExp): string | undefined => {
    re.lastIndex = at;
    const m = re.exec(line)?.[0];
    if (m !== undefined) at += m.length;
    return m;
  };
  while (at < line.length) {
    if (take(SPACE) !== undefined) continue;
    const c = line[at];
    const column = at + 1;
    if (c === ";") break;
    if (c === "'" || c === '"' || c === "`") {
      const [text, end] = quoted(line, at);
      out.push({ t: "str", s: text, at: column, bytes: [...new TextEncoder().encode(text)] });
      at = end;
      continue;
    }
    let s = out.length ? undefined : take(PREPROCESSOR);
    if (s !== undefined) {
      out.push({ t: "id", s, at: column });
      continue;
    }
    s = take(FLOAT);
    if (s !== undefined) {
      out.push({ t: "float", s: s.replaceAll("_", ""), at: column });
      continue;
    }
    s = take(NUMBER);
    if (s !== undefined) {
      out.push({ t: "num", s, at: column, n: number(s, column) });
      continue;
    }
    s = take(NAME);
    if (s !== undefined) {
      out.push({ t: "id", s, at: column });
      continue;
    }
    s = take(OPERATOR);
    if (s === undefined) throw new Mistake(`unexpected character ${JSON.stringify(c)}`, column);
    out.push({ t: "op", s, at: column });
  }
  return out;
}

const BASES: readonly (readonly [RegExp, number])[] = [
  [/^0[xh]([0-9a-f]+)$/, 16],
  [/^\$([0-9][0-9a-f]*)$/, 16],
  [/^0[by]([01]+)$/, 2],
  [/^0[oq]([0-7]+)$/, 8],
  [/^0[dt]([0-9]+)$/, 10],
  [/^([0-9][0-9a-f]*)[hx]$/, 16],
  [/^([01]+)[by]$/, 2],
  [/^([0-7]+)[oq]$/, 8],
  [/^([0-9]+)[dt]?$/, 10],
];

function number(text: string, column: number): bigint {
  const s = text.toLowerCase().replaceAll("_", "");
  for (const [re, base] of BASES) {
    const digits = re.exec(s)?.[1];
    if (digits === undefined) continue;
    const n = base === 10 ? BigInt(digits) : BigInt(`0${base === 16 ? "x" : base === 8 ? "o" : "b"}${digits}`);
    if (n >> 64n) throw new Mistake(`number ${text} does not fit in 64 bits`, column);
    return n;
  }
  throw new Mistake(`not a number: ${text}`, column);
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  a: "\x07",
  b: "\b",
  v: "\v",
  f: "\f",
  e: "\x1b",
  "0": "\0",
};

/** A quoted string from `start`; only back quotes know escapes. Returns its text and the place after it. */
export function quoted(line: string, start: number): [string, number] {
  const quote = line[start];
  let text = "";
  for (let i = start + 1; i < line.length; i++) {
    const c = line[i];
    if (c === quote) return [text, i + 1];
    if (quote !== "`" || c !== "\\") {
      text += c;
      continue;
    }
    const code = /^x([0-9a-f]{1,2})/i.exec(line.slice(i + 1))?.[1];
    if (code) {
      text += String.fromCharCode(Number.parseInt(code, 16));
      i += 1 + code.length;
    } else {
      i++;
      text += ESCAPES[line[i]] ?? line[i] ?? "";
    }
  }
  throw new Mistake("string without an end", start + 1);
}
