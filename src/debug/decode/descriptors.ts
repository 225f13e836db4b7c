/** Segment descriptors, gates and task-state segments, decoded (SDM vol. 3, 3.4.5, 3.5, 6.11, 8.2.1, 8.7). */
import { hex } from "../cpuState.ts";

/** System segment and gate types, in legacy mode and in IA-32e mode (SDM vol. 3, table 3-2). */
const SYSTEM: readonly (readonly [legacy: string, long: string])[] = [
  ["reserved", "reserved"],
  ["16-bit TSS, available", "reserved"],
  ["LDT", "LDT"],
  ["16-bit TSS, busy", "reserved"],
  ["16-bit call gate", "reserved"],
  ["task gate", "reserved"],
  ["16-bit interrupt gate", "reserved"],
  ["16-bit trap gate", "reserved"],
  ["reserved", "reserved"],
  ["32-bit TSS, available", "64-bit TSS, available"],
  ["reserved", "reserved"],
  ["32-bit TSS, busy", "64-bit TSS, busy"],
  ["32-bit call gate", "64-bit call gate"],
  ["reserved", "reserved"],
  ["32-bit interrupt gate", "64-bit interrupt gate"],
  ["32-bit trap gate", "64-bit trap gate"],
];

/** The type field with the S bit, in words (SDM vol. 3, tables 3-1 and 3-2). */
export function typeText(type: number, system: boolean, long: boolean): string {
  if (system) return SYSTEM[type & 15][long ? 1 : 0];
  const accessed = type & 1 ? ", accessed" : "";
  if (type & 8)
    return `code, ${type & 2 ? "execute and read" : "execute only"}${type & 4 ? ", conforming" : ""}${accessed}`;
  return `data, ${type & 2 ? "read and write" : "read only"}${type & 4 ? ", expand down" : ""}${accessed}`;
}

export interface Descriptor {
  readonly raw: bigint;
  readonly base: bigint;
  /** In bytes, whatever G says. */
  readonly limit: number;
  readonly type: number;
  readonly system: boolean;
  readonly dpl: number;
  readonly present: boolean;
  readonly avl: boolean;
  readonly l: boolean;
  readonly db: boolean;
  readonly g: boolean;
}

/** A descriptor of 8 bytes; of a system segment in IA-32e mode the upper half of its base is in `high`. */
export function decodeDescriptor(raw: bigint, high = 0n): Descriptor {
  const at = (bit: number): boolean => ((raw >> BigInt(bit)) & 1n) !== 0n;
  const limit = Number((raw & 0xffffn) | ((raw >> 32n) & 0xf0000n));
  return {
    raw,
    base: ((raw >> 16n) & 0xff_ffffn) | ((raw >> 32n) & 0xff00_0000n) | ((high & 0xffff_ffffn) << 32n),
    limit: at(55) ? limit * 4096 + 4095 : limit,
    type: Number((raw >> 40n) & 15n),
    system: !at(44),
    dpl: Number((raw >> 45n) & 3n),
    present: at(47),
    avl: at(52),
    l: at(53),
    db: at(54),
    g: at(55),
  };
}

/** Its width and privilege level as a line: "code, execute and read; 64-bit, DPL 0, base 0x0, limit 0xffffffff". */
export function descriptorText(d: Descriptor, long: boolean): string {
  if (d.raw === 0n) return "null";
  const width = d.system
    ? ""
    : d.type & 8
      ? long && d.l
        ? "; 64-bit"
        : d.db
          ? "; 32-bit"
          : "; 16-bit"
      : d.db
        ? "; 32-bit"
        : "; 16-bit";
  const place = `base ${hex(d.base)}, limit ${hex(d.limit)}`;
  return `${typeText(d.type, d.system, long)}${width}, DPL ${d.dpl}${d.present ? "" : ", not present"}, ${place}`;
}

/** A segment register's hidden part, whose rights are in the VMX format (SDM vol. 3, table 25-2). */
export function rightsText(ar: number, long: boolean): string {
  if (ar & 0x1_0000) return "unusable: a null selector was loaded";
  const type = typeText(ar & 15, !(ar & 0x10), long);
  const width = !(ar & 0x10) ? "" : ar & 8 && long && ar & 0x2000 ? ", 64-bit" : ar & 0x4000 ? ", 32-bit" : ", 16-bit";
  return `${type}${width}, DPL ${(ar >> 5) & 3}${ar & 0x80 ? "" : ", not present"}`;
}

/** "0x23: GDT entry 4, RPL 3". */
export function selectorText(selector: number): string {
  if (!(selector & 0xfffc)) return `${hex(selector)}: null`;
  return `${hex(selector)}: ${selector & 4 ? "LDT" : "GDT"} entry ${selector >> 3}, RPL ${selector & 3}`;
}

/** A gate of the IDT. */
export interface Gate {
  readonly raw: bigint;
  readonly high: bigint;
  /** The type field with the S bit above it, which must be 0. */
  readonly type: number;
  readonly dpl: number;
  readonly present: boolean;
  readonly selector: number;
  readonly offset: bigint;
  /** Interrupt stack table entry, IA-32e mode only; 0: none. */
  readonly ist: number;
}

/** A gate of 8 bytes, or of 16 in IA-32e mode (SDM vol. 3, figures 6-2 and 6-8). */
export function decodeGate(raw: bigint, high: bigint, long: boolean): Gate {
  const type = Number((raw >> 40n) & 31n);
  const wide = type & 8 ? ((raw >> 32n) & 0xffff_0000n) | (raw & 0xffffn) : raw & 0xffffn;
  return {
    raw,
    high,
    type,
    dpl: Number((raw >> 45n) & 3n),
    present: ((raw >> 47n) & 1n) !== 0n,
    selector: Number((raw >> 16n) & 0xffffn),
    offset: long ? wide | ((high & 0xffff_ffffn) << 32n) : wide,
    ist: long ? Number((raw >> 32n) & 7n) : 0,
  };
}

/** "64-bit interrupt gate, DPL 0, to 0x10:0xffffffff81001000, IST 1". */
export function gateText(gate: Gate, long: boolean): string {
  if (gate.raw === 0n && gate.high === 0n) return "empty: every bit is 0";
  const type = typeText(gate.type & 15, !(gate.type & 16), long);
  const ist = gate.ist ? `, IST ${gate.ist}` : "";
  return `${type}, DPL ${gate.dpl}${gate.present ? "" : ", not present"}, to ${hex(gate.selector)}:${hex(gate.offset)}${ist}`;
}

/** A field of a TSS by its name. */
export interface TssField {
  readonly name: string;
  readonly value: bigint;
}

/** The fields of a TSS that are within its limit: 64-bit (SDM vol. 3, figure 8-11), 32-bit (8-2) or 16-bit (8-10). */
export function decodeTss(bytes: Uint8Array, kind: 16 | 32 | 64): TssField[] {
  const out: TssField[] = [];
  const field = (name: string, at: number, size: number): void => {
    if (at + size > bytes.length) return;
    const value = bytes.subarray(at, at + size).reduceRight((all, byte) => (all << 8n) | BigInt(byte), 0n);
    out.push({ name, value });
  };
  if (kind === 64) {
    for (let i = 0; i < 3; i++) field(`RSP${i}`, 4 + 8 * i, 8);
    for (let i = 1; i < 8; i++) field(`IST${i}`, 28 + 8 * i, 8);
    field("I/O map base", 0x66, 2);
    return out;
  }
  const size = kind / 8;
  field("previous task", 0, 2);
  for (let i = 0; i < 3; i++) {
    field(`${kind === 32 ? "ESP" : "SP"}${i}`, size + 2 * size * i, size);
    field(`SS${i}`, 2 * size + 2 * size * i, 2);
  }
  if (kind === 32) {
    for (const [name, at] of [
      ["CR3", 0x1c],
      ["EIP", 0x20],
      ["EFLAGS", 0x24],
    ] as const)
      field(name, at, 4);
    field("LDT", 0x60, 2);
    field("I/O map base", 0x66, 2);
  } else {
    for (const [name, at] of [
      ["IP", 0x0e],
      ["FLAGS", 0x10],
      ["LDT", 0x2a],
    ] as const)
      field(name, at, 2);
  }
  return out;
}
