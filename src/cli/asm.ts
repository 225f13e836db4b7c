/** `tabhyve asm`: a source in NASM's syntax to a flat binary. */
import { existsSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { AssembleError, assemble } from "../isa/assemble.ts";
import { readInput, reason, UsageError } from "./options.ts";

export interface AsmWords {
  /** Where the bytes go; the source's name without its ending, as nasm has it, if it is not given. */
  readonly output?: string;
  /** Takes labels and EQUs, as System.map has them. */
  readonly symbols?: string;
}

/**
 * Assembles `file` and writes what it makes; the number of bytes. Nothing is written when the source is wrong.
 *
 * @throws UsageError with one line: FILE:LINE:COLUMN: what is wrong, or which file cannot be used.
 */
export function asm(file: string, words: AsmWords): number {
  const source = new TextDecoder().decode(readInput("", file));
  const output = words.output ?? basename(file, extname(file));
  if (output === file) throw new UsageError(`${file}: has no ending to leave out; name the output with --output`);
  let made: ReturnType<typeof assemble>;
  try {
    made = assemble(source, { name: file, read: (name) => beside(file, name) });
  } catch (error) {
    if (error instanceof AssembleError) throw new UsageError(error.message);
    throw error;
  }
  write("--output", output, made.bytes);
  if (words.symbols !== undefined) write("--symbols", words.symbols, symbolMap(made.symbols));
  return made.bytes.length;
}

/** A file that the source names: beside it, or else in the present folder. */
function beside(source: string, name: string): Uint8Array | undefined {
  const path = [join(dirname(source), name), name].find((p) => existsSync(p));
  return path === undefined ? undefined : readInput("", path);
}

/** A line for each symbol, by address: `0000000000007c00 t start`. */
function symbolMap(symbols: ReadonlyMap<string, bigint>): string {
  return [...symbols]
    .map(([name, n]) => [BigInt.asUintN(64, n), name] as const)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([n, name]) => `${n.toString(16).padStart(16, "0")} t ${name}\n`)
    .join("");
}

function write(option: string, file: string, data: Uint8Array | string): void {
  try {
    writeFileSync(file, data);
  } catch (error) {
    throw new UsageError(`${option} ${file}: ${reason(error)}`);
  }
}
