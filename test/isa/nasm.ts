/** The assembler beside the real nasm: over the table's rows, and over whole sources. `npm run nasm`. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { AssembleError, assemble } from "../../src/isa/assemble.ts";
import { disassemble } from "../../src/isa/disassemble.ts";
import type { Width } from "../../src/isa/operand.ts";
import type { Row } from "../../src/isa/table/grammar.ts";
import { ROWS } from "../../src/isa/table/index.ts";
import { MODES, samples } from "./samples.ts";

/** Bytes between two instructions: the longest has 15. */
const SLOT = 32;
const ORIGIN = 0x1000;

export interface Line {
  readonly text: string;
  readonly row: Row;
}

/** What became of one line or source. */
export interface Difference {
  /** The instruction, or the file's name. */
  readonly text: string;
  /** Bytes in hexadecimal, or what the assembler says. */
  readonly ours: string;
  readonly nasm: string;
  readonly reason: string;
}

export interface Comparison {
  readonly name: string;
  readonly rows: number;
  readonly total: number;
  readonly identical: number;
  readonly differences: readonly Difference[];
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/**
 * What the disassembler shows of an instruction at `origin`, with targets from `$`, as labels would give them: to a plain
 * number there is no short branch, and it is an absolute address even after REL.
 */
export function fromHere(shown: string, row: Row, origin: number | bigint): string {
  const target = (n: string): string => `$+${n}-${origin}`;
  const text = shown.replace(/(?<=\brel )0x[0-9a-f]+/, target);
  return row.operands.some((o) => o[0] === "J") ? text.replace(/0x[0-9a-f]+$/, target) : text;
}

/** The table's rows as nasm could read them, each text once. */
export function linesOf(mode: Width, only?: RegExp): Line[] {
  const lines: Line[] = [];
  const seen = new Set<string>();
  for (const row of ROWS) {
    for (const bytes of samples(row, mode)) {
      const shown = disassemble(bytes, 0, { mode, ip: BigInt(ORIGIN) }).text;
      if (shown === "(bad)" || seen.has(shown) || (only && !only.test(shown))) continue;
      seen.add(shown);
      lines.push({ text: fromHere(shown, row, ORIGIN), row });
    }
  }
  return lines;
}

/** Runs nasm over a file. Returns its bytes, or its messages by line. */
function nasm(file: string, folder: string): Uint8Array | Map<number, string> {
  const out = join(folder, "out.bin");
  try {
    execFileSync("nasm", ["-w-all", "-f", "bin", "-i", `${dirname(file)}/`, "-o", out, file], {
      stdio: ["ignore", "ignore", "pipe"],
      maxBuffer: 1 << 26,
      timeout: 300_000,
    });
    return new Uint8Array(readFileSync(out));
  } catch (error) {
    const stderr = (error as { stderr?: Buffer }).stderr?.toString();
    if (stderr === undefined) throw error;
    const messages = new Map<number, string>();
    for (const m of stderr.matchAll(/:(\d+): (?:error|fatal): (.*)/g)) {
      if (!messages.has(Number(m[1]))) messages.set(Number(m[1]), m[2]);
    }
    if (!messages.size) throw new Error(`nasm: ${stderr}`);
    return messages;
  }
}

function inFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "nasm-"));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What nasm makes of each line in its slot: bytes, or its message. */
function nasmLines(mode: Width, lines: readonly Line[]): (Uint8Array | string)[] {
  return inFolder((folder) => {
    const file = join(folder, "rows.asm");
    const refused = new Map<number, string>();
    // It names more lines once those that it could not read are gone.
    for (let pass = 0; pass < 20; pass++) {
      const slots = lines.map((l, i) => `${refused.has(i) ? "" : l.text}\ntimes ${(i + 1) * SLOT}-($-$$) db 0`);
      writeFileSync(file, `bits ${mode}\norg ${ORIGIN}\n${slots.join("\n")}\n`);
      const made = nasm(file, folder);
      if (made instanceof Uint8Array) {
        return lines.map((_, i) => refused.get(i) ?? made.subarray(i * SLOT, (i + 1) * SLOT));
      }
      for (const [line, message] of made) refused.set((line - 3) >> 1, message);
    }
    throw new Error("nasm refuses something new each time");
  });
}

/** What we make of a line in slot `i`. */
function ourLine(mode: Width, text: string, i: number): Uint8Array | string {
  try {
    return assemble(`bits ${mode}\norg ${ORIGIN + i * SLOT}\n${text}\n`).bytes;
  } catch (error) {
    if (!(error instanceof AssembleError)) throw error;
    return error.message;
  }
}

/** Why two encodings differ, from the bytes themselves: whether both are the same instruction. */
function reasonFor(mode: Width, ip: number, ours: Uint8Array | string, theirs: Uint8Array | string): string {
  if (typeof ours === "string") return typeof theirs === "string" ? "" : "refused by us";
  if (typeof theirs === "string") return `refused by nasm: ${theirs.replace(/`.*'|"[^"]*"/, "…")}`;
  if (ours.length && theirs.every((b) => b === 0)) return "unknown to nasm, which takes it for a label";
  const read = (bytes: Uint8Array) => disassemble(bytes, 0, { mode, ip: BigInt(ip) });
  const [a, b] = [read(ours), read(theirs)];
  // An index without a base may stand in for the base: the address is the same.
  if (a.text.replace(/nosplit (\w+)\*1/, "$1") === b.text && a.text !== b.text) {
    return "same address: nasm makes R12 a base, though NOSPLIT asks for an index";
  }
  if (a.text !== b.text) return b.text === "(bad)" ? "nasm's bytes are no row of the table" : "another instruction";
  if (ours.length !== b.length) return `same instruction, ${ours.length < b.length ? "shorter" : "longer"} than nasm's`;
  return "same instruction, same length, another encoding";
}

/** Assembles the table's rows, as disassembled, by both. What both refuse is no instruction to compare. */
export function compareRows(mode: Width, only?: RegExp): Comparison {
  const lines = linesOf(mode, only);
  const theirs = nasmLines(mode, lines);
  const differences: Difference[] = [];
  const rows = new Set<Row>();
  let identical = 0;
  lines.forEach(({ text, row }, i) => {
    rows.add(row);
    const ours = ourLine(mode, text, i);
    const want = theirs[i];
    const ip = ORIGIN + i * SLOT;
    if (typeof ours !== "string" && typeof want !== "string") {
      const padded = new Uint8Array(SLOT);
      padded.set(ours);
      if (Buffer.compare(padded, want) === 0) {
        identical++;
        return;
      }
    }
    const length = typeof want === "string" ? 0 : disassemble(want, 0, { mode, ip: BigInt(ip) }).length;
    differences.push({
      text,
      ours: typeof ours === "string" ? ours : hex(ours),
      nasm: typeof want === "string" ? want : hex(want.subarray(0, length)),
      reason: reasonFor(mode, ip, ours, want) || "refused by both",
    });
  });
  return { name: `${mode}-bit`, rows: rows.size, total: lines.length, identical, differences };
}

/** Assembles whole sources by both. A source that nasm refuses as well is not counted. */
export function compareSources(files: readonly string[]): Comparison {
  const differences: Difference[] = [];
  let [identical, total] = [0, 0];
  for (const file of files) {
    const want = inFolder((folder) => nasm(file, folder));
    if (!(want instanceof Uint8Array)) continue;
    total++;
    let ours: string;
    try {
      const read = (name: string): Uint8Array | undefined => {
        const path = join(dirname(file), name);
        return existsSync(path) ? readFileSync(path) : undefined;
      };
      const made = assemble(readFileSync(file, "utf8"), { name: basename(file), read }).bytes;
      if (Buffer.compare(made, want) === 0) {
        identical++;
        continue;
      }
      const at = made.findIndex((b, i) => b !== want[i]);
      ours = `${made.length} bytes, differ from ${at < 0 ? made.length : at}`;
    } catch (error) {
      if (!(error instanceof AssembleError)) throw error;
      ours = error.message;
    }
    const reason = ours.startsWith(basename(file)) ? ours.replace(/^\S+: /, "refused: ") : "other bytes";
    differences.push({ text: file, ours, nasm: `${want.length} bytes`, reason });
  }
  return { name: "sources", rows: 0, total, identical, differences };
}

/** Compares every mode. */
export const compareTable = (only?: RegExp): Comparison[] => MODES.map((mode) => compareRows(mode, only));
