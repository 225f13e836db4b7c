/** What `tabhyve run` tells of a guest that has triple-faulted. */
import { autopsy, autopsyText, shutDown } from "../debug/autopsy.ts";
import { parseSymbols, type Symbols, SymbolsError } from "../debug/symbols.ts";
import { recordedOf } from "../debug/trace.ts";
import type { Machine } from "../machine/machine.ts";
import { readInput, UsageError } from "./options.ts";

/** `--symbols`: an ELF file or a System.map. @throws UsageError */
export function readSymbols(option: string, file: string): Symbols {
  try {
    return parseSymbols(readInput(option, file));
  } catch (error) {
    if (error instanceof SymbolsError) throw new UsageError(`${option} ${file}: ${error.message}`);
    throw error;
  }
}

/** The autopsy of a machine that stands still, as text; undefined: no vCPU of it has shut down. */
export function autopsyOf({ debug, memory }: Machine, symbols: Symbols | undefined): string | undefined {
  const id = shutDown(debug);
  if (id === undefined) return undefined;
  const found = autopsy(debug, memory, id, { recorded: recordedOf(debug, id), ...(symbols && { symbols }) });
  return found && autopsyText(found);
}
