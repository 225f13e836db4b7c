/** Descriptor tables in memory, entry by entry. */

import { codeReader } from "./autopsy.ts";
import { isLong, isReal, type Sight } from "./cpuState.ts";
import {
  decodeDescriptor,
  decodeGate,
  decodeTss,
  descriptorText,
  gateText,
  type TssField,
} from "./decode/descriptors.ts";
import { mnemonicOf } from "./decode/exceptions.ts";
import type { Symbols } from "./symbols.ts";

export interface TableEntry {
  readonly index: number;
  readonly address: bigint;
  readonly raw: bigint;
  /** Upper half of an entry of 16 bytes. */
  readonly high: bigint | undefined;
  readonly says: string;
  /** Registers whose selector names it, or the exception whose gate it is. */
  readonly used: string;
}

export interface Tables {
  readonly gdt: readonly TableEntry[];
  readonly ldt: readonly TableEntry[];
  readonly idt: readonly TableEntry[];
  readonly tss: readonly TssField[];
}

/** Entries that are decoded of a table of descriptors. */
const MOST = 512;

const word = (bytes: Uint8Array, at: number): bigint =>
  bytes.subarray(at, at + 8).reduceRight((all, byte) => (all << 8n) | BigInt(byte), 0n);

function descriptors(sight: Sight, base: bigint, limit: number, local: boolean): TableEntry[] {
  const { cpu } = sight;
  const long = isLong(cpu);
  const bytes = codeReader(sight)(base, Math.min(limit + 1, MOST * 8));
  const out: TableEntry[] = [];
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    const raw = word(bytes, at);
    // In IA-32e mode system segments and call gates take two places.
    const wide = long && !((raw >> 44n) & 1n) && raw !== 0n && at + 16 <= bytes.length;
    const high = wide ? word(bytes, at + 8) : undefined;
    const selectors = Object.entries(cpu.segments).filter(
      ([, { selector }]) => selector >> 3 === at / 8 && ((selector & 4) !== 0) === local && selector & 0xfffc,
    );
    const says = descriptorText(decodeDescriptor(raw, high), long);
    out.push({
      index: at / 8,
      address: base + BigInt(at),
      raw,
      high,
      says,
      used: selectors.map(([name]) => name).join(" "),
    });
    if (wide) at += 8;
  }
  return out;
}

function gates(sight: Sight, symbols: Symbols | undefined): TableEntry[] {
  const { cpu } = sight;
  const { base, limit } = cpu.idt;
  const read = codeReader(sight);
  const used = (vector: number): string => (vector < 32 ? mnemonicOf(vector) : "");
  if (isReal(cpu)) {
    const bytes = read(base, Math.min(limit + 1, 1024));
    return Array.from({ length: bytes.length >> 2 }, (_, index) => {
      const raw = word(bytes, index * 4) & 0xffff_ffffn;
      const says = `to 0x${(raw >> 16n).toString(16).padStart(4, "0")}:0x${(raw & 0xffffn).toString(16).padStart(4, "0")}`;
      return { index, address: base + BigInt(index * 4), raw, high: undefined, says, used: used(index) };
    });
  }
  const long = isLong(cpu);
  const size = long ? 16 : 8;
  const bytes = read(base, Math.min(limit + 1, 256 * size));
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, index) => {
    const raw = word(bytes, index * size);
    const high = long ? word(bytes, index * size + 8) : undefined;
    const gate = decodeGate(raw, high ?? 0n, long);
    const name = gate.present ? symbols?.text(gate.offset) : undefined;
    const says = `${gateText(gate, long)}${name ? ` (${name})` : ""}`;
    return { index, address: base + BigInt(index * size), raw, high, says, used: used(index) };
  });
}

/** The name of the routine that a vector's gate leads to. */
export function handlerName(sight: Sight, vector: number, symbols: Symbols): string | undefined {
  const { cpu } = sight;
  if (isReal(cpu)) return undefined;
  const long = isLong(cpu);
  const size = long ? 16 : 8;
  const bytes = codeReader(sight)(cpu.idt.base + BigInt(vector * size), size);
  if (bytes.length < size) return undefined;
  const { present, offset } = decodeGate(word(bytes, 0), long ? word(bytes, 8) : 0n, long);
  return present ? symbols.text(offset) : undefined;
}

/** The tables that a vCPU's registers name, as far as they are mapped. */
export function readTables(sight: Sight, symbols?: Symbols): Tables {
  const { cpu } = sight;
  const { LDTR, TR } = cpu.segments;
  const real = isReal(cpu);
  const kind = isLong(cpu) ? 64 : TR.ar & 8 ? 32 : 16;
  const tss =
    !real && TR.selector & 0xfffc ? codeReader(sight)(TR.base, Math.min(TR.limit + 1, 104)) : new Uint8Array();
  return {
    gdt: descriptors(sight, cpu.gdt.base, cpu.gdt.limit, false),
    ldt: real || !(LDTR.selector & 0xfffc) ? [] : descriptors(sight, LDTR.base, LDTR.limit, true),
    idt: gates(sight, symbols),
    tss: decodeTss(tss, kind),
  };
}
