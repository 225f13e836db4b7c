/** A page walk told level by level (SDM vol. 3, chapter 4), without touching anything. */
import { type CpuState, CR0, CR4, EFER, type ReadPhysical } from "./cpuState.ts";

/** An entry that the walk has read. */
export interface WalkStep {
  /** The manual's name of the entry: PML5E, PML4E, PDPTE, PDE, PTE. */
  readonly entry: EntryName;
  /** Guest physical address of it, and its number in the table. PDPTEs of PAE paging are in registers: no address. */
  readonly at: number | undefined;
  readonly index: number;
  readonly value: bigint;
  /** Maps a page, and leads to no table. */
  readonly leaf: boolean;
  /** Lowest bit of the linear address that selects the entry. */
  readonly shift: number;
  /** Bits that are set, by the manual's names; XD last. */
  readonly flags: readonly string[];
}

export const ENTRY_NAMES = ["PTE", "PDE", "PDPTE", "PML4E", "PML5E"] as const;
export type EntryName = (typeof ENTRY_NAMES)[number];

/** The manual's names of the paging modes, and how many tables a walk passes. */
const LEVELS = { none: 0, "32-bit": 2, PAE: 3, "4-level": 4, "5-level": 5 } as const;
export type PagingMode = keyof typeof LEVELS;

export interface Walk {
  readonly mode: PagingMode;
  readonly linear: bigint;
  readonly steps: readonly WalkStep[];
  /** Where it leads to; undefined: an entry is not present, or lies outside of memory. */
  readonly gpa: number | undefined;
  /** Bytes of the page. */
  readonly pageSize: number | undefined;
}

const FRAME = 0x000f_ffff_ffff_f000n;
const P = 1n;
const PS = 1n << 7n;

const FLAGS = ["P", "R/W", "U/S", "PWT", "PCD", "A", "D", "PS", "G"] as const;

/** In an entry that is not present nothing has a meaning; in one that leads to a table, D and G; in a PTE bit 7 is PAT. */
function flagsOf(value: bigint, level: number, leaf: boolean, wide: boolean): string[] {
  if (!(value & P)) return [];
  const set = FLAGS.filter((name, bit) => (value >> BigInt(bit)) & 1n && (leaf || (name !== "D" && name !== "G")));
  const names = set.map((name) => (name === "PS" && level === 0 ? "PAT" : name));
  return wide && value >> 63n ? [...names, "XD"] : names;
}

type Paging = Pick<CpuState, "cr0" | "cr3" | "cr4" | "efer" | "pdpte">;

/** The paging mode (SDM vol. 3, 4.1.1). */
export function pagingModeOf({ cr0, cr4, efer }: Paging): PagingMode {
  if (!(cr0 & CR0.PG)) return "none";
  if (efer & EFER.LMA) return cr4 & CR4.LA57 ? "5-level" : "4-level";
  return cr4 & CR4.PAE ? "PAE" : "32-bit";
}

/** The walk that a vCPU makes for a linear address. */
export function walk(cpu: Paging, physical: ReadPhysical, linear: bigint): Walk {
  const mode = pagingModeOf(cpu);
  const levels = LEVELS[mode];
  const { cr3, cr4 } = cpu;
  if (!levels) return { mode, linear, steps: [], gpa: Number(linear & 0xffff_ffffn), pageSize: 4096 };
  const wide = levels > 2;
  const long = levels > 3;
  const bits = wide ? 9 : 10;
  const steps: WalkStep[] = [];
  const ends = (gpa?: number, pageSize?: number): Walk => ({ mode, linear, steps, gpa, pageSize });
  let table = mode === "32-bit" ? cr3 & 0xffff_f000n : cr3 & FRAME;
  for (let level = levels - 1; level >= 0; level--) {
    const shift = 12 + bits * level;
    const registers = mode === "PAE" && level === 2;
    const index = Number((linear >> BigInt(shift)) & (registers ? 3n : (1n << BigInt(bits)) - 1n));
    let at: number | undefined;
    let value: bigint;
    if (registers) value = cpu.pdpte[index];
    else {
      at = Number(table) + index * (wide ? 8 : 4);
      const raw = physical(at, wide ? 8 : 4);
      if (!raw) return ends();
      value = raw.reduceRight((all, byte) => (all << 8n) | BigInt(byte), 0n);
    }
    const large = level > 0 && (value & PS) !== 0n && (wide ? level < (long ? 3 : 2) : (cr4 & CR4.PSE) !== 0n);
    const leaf = level === 0 || large;
    steps.push({ entry: ENTRY_NAMES[level], at, index, value, leaf, shift, flags: flagsOf(value, level, leaf, wide) });
    if (!(value & P)) return ends();
    if (leaf) {
      const size = 1n << BigInt(shift);
      // A 4 MiB page has address bits 39:32 in bits 20:13 (SDM vol. 3, table 4-4).
      const high = large && !wide ? ((value >> 13n) & 0xffn) << 32n : 0n;
      const frame = (value & (wide ? FRAME : 0xffff_f000n) & ~(size - 1n)) | high;
      return ends(Number(frame | (linear & (size - 1n))), Number(size));
    }
    table = value & (wide ? FRAME : 0xffff_f000n);
  }
  return ends();
}
