/** Mode and paging of a vCPU (the seeds' vm_cpu_mode, vm_paging_mode and `struct vm_guest_paging`). */
import { VCPU } from "../shared/layout.ts";
import { getSegment, type StructView } from "../vcpu/view.ts";

/** `enum vm_cpu_mode`. */
export type VmCpuMode = "REAL" | "PROTECTED" | "COMPATIBILITY" | "64BIT";
/** `enum vm_paging_mode`. */
export type VmPagingMode = "FLAT" | "32" | "PAE" | "64" | "64_LA57";

/** `struct vm_guest_paging`: what an access to a linear address depends on. */
export interface VmGuestPaging {
  readonly cr3: bigint;
  readonly cpl: number;
  readonly cpuMode: VmCpuMode;
  readonly pagingMode: VmPagingMode;
}

export const CR0_PE = 1n;
export const CR0_PG = 1n << 31n;
export const CR4_PAE = 1n << 5n;
export const CR4_LA57 = 1n << 12n;
export const EFER_LMA = 1n << 10n;
export const RFLAGS_IF = 1n << 9n;
export const RFLAGS_VM = 1n << 17n;
const AR_L = 0x2000;

export function cpuMode(view: StructView): VmCpuMode {
  if (view.get64(VCPU.efer) & EFER_LMA) return getSegment(view, "CS").ar & AR_L ? "64BIT" : "COMPATIBILITY";
  return view.get64(VCPU.cr0) & CR0_PE ? "PROTECTED" : "REAL";
}

export function pagingMode(view: StructView): VmPagingMode {
  const cr4 = view.get64(VCPU.cr4);
  if (!(view.get64(VCPU.cr0) & CR0_PG)) return "FLAT";
  if (view.get64(VCPU.efer) & EFER_LMA) return cr4 & CR4_LA57 ? "64_LA57" : "64";
  return cr4 & CR4_PAE ? "PAE" : "32";
}

/** The privilege level as the seeds take it: DPL of SS, 3 in virtual-8086 mode, 0 in real mode. */
export function cpl(view: StructView): number {
  if (!(view.get64(VCPU.cr0) & CR0_PE)) return 0;
  return view.get64(VCPU.rflags) & RFLAGS_VM ? 3 : (getSegment(view, "SS").ar >> 5) & 3;
}

export const guestPaging = (view: StructView): VmGuestPaging => ({
  cr3: view.get64(VCPU.cr3),
  cpl: cpl(view),
  cpuMode: cpuMode(view),
  pagingMode: pagingMode(view),
});

/** Width of code, for decoding: CS.L, CS.D. */
export function codeWidth(view: StructView): 16 | 32 | 64 {
  if (cpuMode(view) === "64BIT") return 64;
  return getSegment(view, "CS").ar & 0x4000 ? 32 : 16;
}
