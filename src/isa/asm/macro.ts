/** Multi-line macros: their parameters, as text. */
import { Mistake } from "./error.ts";
import { quoted } from "./lexer.ts";

export interface Macro {
  readonly name: string;
  readonly min: number;
  /** Infinity: as many as there are. */
  readonly max: number;
  /** The last parameter takes the rest of the line, commas and all. */
  readonly greedy: boolean;
  /** Of the parameters from `min` on. */
  readonly defaults: readonly string[];
  readonly lines: readonly SourceLine[];
}

/** A line as it stands in its file, continued ones joined. */
export interface SourceLine {
  readonly text: string;
  readonly file: string;
  readonly line: number;
}

/** One use of a macro. */
export interface Invocation {
  readonly macro: Macro;
  params: readonly string[];
  /** What makes %%names its own. */
  readonly id: number;
}

/** `NAME MIN[-MAX|-*|+] [default, …]`. */
export function parseMacroHead(head: string, lines: readonly SourceLine[]): Macro {
  const m = /^([\w.?@$#~]+)\s+(\d+)(?:-(\d+|\*))?(\+)?(?:\s*\.nolist)?\s*(.*)$/.exec(withoutComment(head).trim());
  if (!m) throw new Mistake("%macro needs a name and a number of parameters");
  const min = Number(m[2]);
  const max = m[3] === undefined ? min : m[3] === "*" ? Number.POSITIVE_INFINITY : Number(m[3]);
  if (max < min) throw new Mistake(`${m[1]} takes ${min} to ${max} parameters`);
  return { name: m[1], min, max, greedy: m[4] === "+", defaults: m[5] ? splitParameters(m[5]) : [], lines };
}

/** The parameters of a use of `macro`, the missing ones by default. Undefined: it does not take so many. */
export function parametersOf(macro: Macro, text: string): string[] | undefined {
  const written = text.trim() === "" ? [] : splitParameters(text, macro.greedy ? macro.max : undefined);
  if (written.length < macro.min || written.length > macro.max) return undefined;
  return [...written, ...macro.defaults.slice(written.length - macro.min)];
}

/** Text up to its comment. */
export function withoutComment(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === ";") return text.slice(0, i);
    if (c === "'" || c === '"' || c === "`") i = quoted(text, i)[1] - 1;
  }
  return text;
}

/** Splits at commas outside of quotes, brackets and braces; braces go. `most`: the last takes what is left. */
export function splitParameters(text: string, most = Number.POSITIVE_INFINITY): string[] {
  const out: string[] = [];
  let from = 0;
  let depth = 0;
  const part = (to: number): void => {
    const piece = text.slice(from, to).trim();
    out.push(/^\{.*\}$/s.test(piece) ? piece.slice(1, -1) : piece);
    from = to + 1;
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "'" || c === '"' || c === "`") i = quoted(text, i)[1] - 1;
    else if (c === "{") depth++;
    else if (c === "}") depth--;
    else if (c === "," && depth === 0 && out.length < most - 1) part(i);
  }
  part(text.length);
  return out;
}

const PARAMETER = /%(?:%([a-z_.?@][\w.]*)|\{(\d+)\}|(\d+)|\{%([a-z_.?@][\w.]*)\})/iy;

/** A line of a macro's body with %1…, %0 and %%names filled in; inside quotes nothing is. */
export function substitute(text: string, { params, id }: Invocation): string {
  let out = "";
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === ";") break;
    if (c === "'" || c === '"' || c === "`") {
      const end = quoted(text, i)[1];
      out += text.slice(i, end);
      i = end - 1;
      continue;
    }
    PARAMETER.lastIndex = i;
    const m = c === "%" ? PARAMETER.exec(text) : null;
    if (!m) {
      out += c;
      continue;
    }
    const local = m[1] ?? m[4];
    const number = Number(m[2] ?? m[3]);
    out +=
      local !== undefined ? `..@${id}.${local}` : number === 0 ? String(params.length) : (params[number - 1] ?? "");
    i += m[0].length - 1;
  }
  return out;
}
