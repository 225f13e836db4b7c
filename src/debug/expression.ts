/** Addresses as a person writes them: numbers, registers and names of symbols, added and subtracted. */
import { type CpuState, GPR_NAMES } from "./cpuState.ts";
import type { Symbols } from "./symbols.ts";

/** What an expression is about, which is not known. The message is one line. */
export class ExpressionError extends Error {}

/** @throws ExpressionError */
function term(text: string, cpu: CpuState, symbols: Symbols | undefined): bigint {
  const word = text.replace(/^[$%]/, "").toLowerCase();
  const gpr = GPR_NAMES.indexOf(/^e[a-ds][xpi]$/.test(word) ? word.replace("e", "r") : word);
  if (gpr >= 0) return cpu.gpr[gpr];
  if (word === "rip" || word === "eip") return cpu.rip;
  if (word === "cr2" || word === "cr3") return cpu[word];
  const base = /^([c-g]s|tr)\.?base$/.exec(word)?.[1] ?? (/^(gdt|idt)r?$/.test(word) ? word.slice(0, 3) : undefined);
  if (base === "gdt" || base === "idt") return cpu[base].base;
  if (base) return cpu.segments[base.toUpperCase() as "CS"].base;
  const named = symbols?.find(text);
  if (named !== undefined) return named;
  // Bare digits are hexadecimal, as everywhere in what is shown.
  if (/^(0x)?[0-9a-f]{1,16}$/i.test(text)) return BigInt(/^0x/i.test(text) ? text : `0x${text}`);
  throw new ExpressionError(`${text || "nothing"}: a number in hexadecimal, a register or a symbol is needed`);
}

/** @throws ExpressionError */
export function evaluate(text: string, cpu: CpuState, symbols?: Symbols): bigint {
  const parts = text.replaceAll(/[\s_`]+(?=[+-]|$)/g, "").split(/(?=[+-])/);
  const sum = parts.reduce((all, part) => {
    const sign = part.startsWith("-") ? -1n : 1n;
    return all + sign * term(part.replace(/^[+-]/, "").trim(), cpu, symbols);
  }, 0n);
  return BigInt.asUintN(64, sum);
}
