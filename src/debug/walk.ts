/** A page walk told level by level (SDM vol. 3, chapter 4), without touching anything. */
import type { MachineDebug } from "../machine/debug.ts";
import { VCPU } from "../shared/layout.ts";
import { pagingMode, type VmPagingMode } from "../vmm/cpuMode.ts";
import type { MachineMemory } from "../vmm/memory.ts";

/** An entry that the walk has read. */
export interface WalkStep {
  /** The manual's name of the entry: PML5E, PML4E, PDPTE, PDE, PTE. */
  readonly entry: string;
  /** Guest physical address of it, and its number in the table. PDPTEs of PAE paging are in registers: no address. */
  readonly at: number | undefined;
  readonly index: number;
  readonly value: bigint;
  /** Bits that are set, by the manual's names; XD last. */
  readonly flags: readonly string[];
}

/** The manual's names of the paging modes, and how many tables a walk passes. */
const MODES = {
  FLAT: { mode: "none", levels: 0 },
  "32": { mode: "32-bit", levels: 2 },
  PAE: { mode: "PAE", levels: 3 },
  "64": { mode: "4-level", levels: 4 },
  "64_LA57": { mode: "5-level", levels: 5 },
} as const satisfies Record<VmPagingMode, { mode: string; levels: number }>;

export interface Walk {
  readonly mode: (typeof MODES)[VmPagingMode]["mode"];
  readonly steps: readonly WalkStep[];
  /** Where it leads to; undefined: an entry is not present, or lies outside of memory. */
  readonly gpa: number | undefined;
  /** Bytes of the page. */
  readonly pageSize: number | undefined;
}

const CR4_PSE = 1n << 4n;
const FRAME = 0x000f_ffff_ffff_f000n;
const P = 1n;
const PS = 1n << 7n;

const FLAGS = ["P", "R/W", "U/S", "PWT", "PCD", "A", "D", "PS", "G"] as const;

/** In an entry that leads to a table, D and G mean nothing; in a PTE bit 7 is PAT. */
function flagsOf(value: bigint, level: number, leaf: boolean, wide: boolean): string[] {
  const set = FLAGS.filter((name, bit) => (value >> BigInt(bit)) & 1n && (leaf || (name !== "D" && name !== "G")));
  const names = set.map((name) => (name === "PS" && level === 0 ? "PAT" : name));
  return wide && value >> 63n ? [...names, "XD"] : names;
}

/** The walk that vCPU `id` makes for a linear address. It stands still. */
export function walk(debug: MachineDebug, memory: MachineMemory, id: number, linear: bigint): Walk {
  const view = debug.view(id);
  const { mode, levels } = MODES[pagingMode(view)];
  if (!levels) return { mode, steps: [], gpa: Number(linear & 0xffff_ffffn), pageSize: 4096 };
  const cr3 = view.get64(VCPU.cr3);
  const cr4 = view.get64(VCPU.cr4);
  const wide = levels > 2;
  const long = levels > 3;
  const names = ["PTE", "PDE", "PDPTE", "PML4E", "PML5E"];
  const bits = wide ? 9n : 10n;
  const steps: WalkStep[] = [];
  let table = mode === "32-bit" ? cr3 & 0xffff_f000n : cr3 & FRAME;
  for (let level = levels - 1; level >= 0; level--) {
    const shift = 12n + bits * BigInt(level);
    const registers = mode === "PAE" && level === 2;
    const index = Number((linear >> shift) & (registers ? 3n : (1n << bits) - 1n));
    let at: number | undefined;
    let value: bigint;
    if (registers) value = view.get64(VCPU.pdpte, index);
    else {
      at = Number(table) + index * (wide ? 8 : 4);
      const bytes = new Uint8Array(8);
      if (memory.hostAddress(at) < 0) return { mode, steps, gpa: undefined, pageSize: undefined };
      memory.read(at, bytes.subarray(0, wide ? 8 : 4));
      value = new DataView(bytes.buffer).getBigUint64(0, true);
    }
    const large = level > 0 && (value & PS) !== 0n && (wide ? level < (long ? 3 : 2) : (cr4 & CR4_PSE) !== 0n);
    const leaf = level === 0 || large;
    steps.push({ entry: names[level], at, index, value, flags: flagsOf(value, level, leaf, wide) });
    if (!(value & P)) return { mode, steps, gpa: undefined, pageSize: undefined };
    if (leaf) {
      const size = 1n << shift;
      // A 4 MiB page has address bits 39:32 in bits 20:13 (SDM vol. 3, table 4-4).
      const high = large && !wide ? ((value >> 13n) & 0xffn) << 32n : 0n;
      const frame = (value & (wide ? FRAME : 0xffff_f000n) & ~(size - 1n)) | high;
      return { mode, steps, gpa: Number(frame | (linear & (size - 1n))), pageSize: Number(size) };
    }
    table = value & (wide ? FRAME : 0xffff_f000n);
  }
  return { mode, steps, gpa: undefined, pageSize: undefined };
}
