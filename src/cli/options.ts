/** The command line's words, read and checked. */
import { readFileSync } from "node:fs";

/** Something about the command line or a file it names that cannot be used: one line, exit status 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

const UNITS: Record<string, number> = { "": 2 ** 20, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** `512M`, `1G`, `262144K`; a bare number is MiB. Bytes. */
export function parseMemory(text: string): number {
  const m = /^(\d+)([KMG]?)(?:i?B)?$/i.exec(text);
  if (!m) throw new UsageError(`--memory ${text}: not a size; write it as 256M or 1G`);
  const bytes = Number(m[1]) * UNITS[m[2].toUpperCase()];
  if (bytes % 4096) throw new UsageError(`--memory ${text}: RAM must be a multiple of 4 KiB`);
  if (bytes < 2 ** 20) throw new UsageError(`--memory ${text}: a machine needs at least 1 MiB`);
  if (bytes > 3 * 2 ** 30) throw new UsageError(`--memory ${text}: at most 3G (a Wasm memory has 4 GiB, the guest's share is 3)`);
  return bytes;
}

export interface Send {
  readonly pattern: RegExp;
  readonly text: Uint8Array;
}

/** `PATTERN=>TEXT`, with \n, \r, \t, \\ and \xHH in TEXT. */
export function parseSend(option: string): Send {
  const at = option.indexOf("=>");
  if (at < 0) throw new UsageError(`--send '${option}': write it as 'PATTERN=>TEXT'`);
  return { pattern: parsePattern("--send", option.slice(0, at)), text: unescape(option.slice(at + 2)) };
}

export function parsePattern(option: string, text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new UsageError(`${option} '${text}': not a regular expression (${(error as Error).message})`);
  }
}

function unescape(text: string): Uint8Array {
  const plain: Record<string, string> = { n: "\n", r: "\r", t: "\t", "\\": "\\", e: "\x1b", 0: "\0" };
  const out: number[] = [];
  const encoder = new TextEncoder();
  for (let i = 0; i < text.length; i++) {
    const hex = /^\\x([0-9a-fA-F]{2})/.exec(text.slice(i, i + 4));
    if (hex) {
      out.push(Number.parseInt(hex[1], 16));
      i += 3;
    } else if (text[i] === "\\" && text[i + 1] in plain) out.push(...encoder.encode(plain[text[++i]]));
    else out.push(...encoder.encode(text[i]));
  }
  return Uint8Array.from(out);
}

export function parseSeconds(option: string, text: string): number {
  const n = Number(text);
  if (!(n > 0)) throw new UsageError(`${option} ${text}: not a number of seconds`);
  return n;
}

export function readInput(option: string, file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === "ENOENT" ? "no such file" : code === "EISDIR" ? "is a directory" : code === "EACCES" ? "may not be read" : String(code);
    throw new UsageError(`${option} ${file}: ${why}`);
  }
}
