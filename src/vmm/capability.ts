/** Optional behaviour of a vCPU (the seeds' `enum vm_cap_type`). */
import { cpuToggles } from "../isa/cpuModel.ts";
import { CAP, VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";
import { VmError } from "./error.ts";

/**
 * The last four are not of the seeds' enum: there, MSRs that the kernel does not know and task switches always reach the
 * caller, and tracing is asked for by vcpu_trace_exceptions and vcpu_trap_wbinvd.
 */
export const VM_CAPS = [
  "HALT_EXIT",
  "MTRAP_EXIT",
  "PAUSE_EXIT",
  "UNRESTRICTED_GUEST",
  "ENABLE_INVPCID",
  "MSR_EXIT",
  "TASK_SWITCH_EXIT",
  "TRACE_EXCEPTIONS",
  "TRAP_WBINVD",
] as const;
/** Optional behaviour, by its name (VM_CAPS). */
export type VmCap = (typeof VM_CAPS)[number];

const BIT: Partial<Record<VmCap, number>> = {
  HALT_EXIT: CAP.HALT_EXIT,
  MTRAP_EXIT: CAP.MTRAP_EXIT,
  PAUSE_EXIT: CAP.PAUSE_EXIT,
  MSR_EXIT: CAP.MSR_EXIT,
  TASK_SWITCH_EXIT: CAP.TASK_SWITCH_EXIT,
  TRACE_EXCEPTIONS: CAP.EXCEPTION_EXIT,
  TRAP_WBINVD: CAP.WBINVD_EXIT,
};

/** The feature word and bit of INVPCID, by what `-invpcid` changes; undefined: the model does not have it at all. */
function invpcid(): { word: number; bit: number } | undefined {
  let without: readonly number[];
  let all: readonly number[];
  try {
    all = cpuToggles("max");
    without = cpuToggles("max,-invpcid");
  } catch {
    return undefined;
  }
  const word = all.findIndex((w, i) => w !== without[i]);
  return word < 0 ? undefined : { word, bit: (all[word] ^ without[word]) >>> 0 };
}

/**
 * vm_get_capability.
 *
 * | capability | set: what is seen | default |
 * |---|---|---|
 * | HALT_EXIT | HLT leaves with HLT; without, `run` waits inside (inline: leaves when only the caller can end it) | clear |
 * | MTRAP_EXIT | MTRAP after every instruction, and after every event delivered | clear |
 * | PAUSE_EXIT | PAUSE leaves with PAUSE | clear |
 * | UNRESTRICTED_GUEST | real mode and no paging; without, entering them is #GP(0) and a VM entry in them fails | set |
 * | ENABLE_INVPCID | INVPCID is there; without, #UD and not in CPUID | as the CPU model has it |
 * | MSR_EXIT | an MSR that the model does not have leaves with RDMSR or WRMSR; without, #GP(0) | clear |
 * | TASK_SWITCH_EXIT | a hardware task switch leaves with TASK_SWITCH; without, it is made | clear |
 * | TRACE_EXCEPTIONS | a fault or debug trap leaves with VMX, reason 0, before its delivery; not INT n, INT1, INT3, INTO | clear |
 * | TRAP_WBINVD | WBINVD and INVD at CPL 0 leave with VMX, reason 54 | clear |
 */
export function getCapability(view: StructView, cap: VmCap): boolean {
  const caps = view.get(VCPU.caps);
  if (cap === "UNRESTRICTED_GUEST") return !(caps & CAP.RESTRICTED);
  const bit = BIT[cap];
  if (bit !== undefined) return (caps & bit) !== 0;
  if (cap !== "ENABLE_INVPCID") throw new VmError("EINVAL", `no capability is called ${String(cap)}`);
  const f = invpcid();
  if (!f) return false;
  return !((view.get(VCPU.cpuToggle, f.word) ^ cpuToggles("max")[f.word]) & f.bit);
}

/** vm_set_capability. @throws VmError EINVAL, EOPNOTSUPP if the model has no INVPCID. */
export function setCapability(view: StructView, cap: VmCap, on: boolean): void {
  const restrict = cap === "UNRESTRICTED_GUEST";
  const bit = restrict ? CAP.RESTRICTED : BIT[cap];
  if (bit !== undefined) {
    const caps = view.get(VCPU.caps);
    view.set(VCPU.caps, on !== restrict ? caps | bit : caps & ~bit);
    return;
  }
  if (cap !== "ENABLE_INVPCID") throw new VmError("EINVAL", `no capability is called ${String(cap)}`);
  const f = invpcid();
  if (!f) throw new VmError("EOPNOTSUPP", "this CPU model has no INVPCID");
  if (getCapability(view, cap) !== on) {
    view.set(VCPU.cpuToggle, (view.get(VCPU.cpuToggle, f.word) ^ f.bit) >>> 0, f.word);
  }
}
