/** A page walk told level by level (SDM vol. 3, chapter 4), without touching anything. */
import type { MachineDebug } from "../machine/debug.ts";
import { VCPU } from "../shared/layout.ts";
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

export interface Walk {
  readonly mode: "none" | "32-bit" | "PAE" | "4-level" | "5-level";
  readonly steps: readonly WalkStep[];
  /** Where it leads to; undefined: an entry is not present, or lies outside of memory. */
  readonly gpa: number | undefined;
  /** Bytes of the page. */
  readonly pageSize: number | undefined;
}

const CR0_PG = 1n << 31n;
const CR4_PSE = 1n << 4n;
const CR4_PAE = 1n << 5n;
const CR4_LA57 = 1n << 12n;
const EFER_LMA = 1n << 10n;
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
  const [cr0, cr3, cr4, efer] = [VCPU.cr0, VCPU.cr3, VCPU.cr4, VCPU.efer].map((f) => view.get64(f));
  if (!(cr0 & CR0_PG)) return { mode: "none", steps: [], gpa: Number(linear & 0xffff_ffffn), pageSize: 4096 };
  const long = (efer & EFER_LMA) !== 0n;
  const wide = (cr4 & CR4_PAE) !== 0n;
  const mode = !wide ? "32-bit" : !long ? "PAE" : cr4 & CR4_LA57 ? "5-level" : "4-level";
  const names = ["PTE", "PDE", "PDPTE", "PML4E", "PML5E"];
  const levels = { "32-bit": 2, PAE: 3, "4-level": 4, "5-level": 5 }[mode];
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
