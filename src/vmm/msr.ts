/** A vCPU's MSRs (the seeds' vmm_ops vmgetmsr, vmsetmsr): the core's own RDMSR and WRMSR, without the privilege check. */
import { VCPU } from "../shared/layout.ts";
import type { CoreExports } from "../vcpu/core.ts";
import type { StructView } from "../vcpu/view.ts";
import { VmError } from "./error.ts";
import type { VmMsrResult } from "./exit.ts";

/** Outcome of reading an MSR: VMR_OK with a value, VMR_GP, VMR_UNHANLDED (the local APIC's, when there is one). */
export type MsrValue = { readonly result: "OK"; readonly value: bigint } | { readonly result: "GP" | "UNHANDLED" };

const RESULTS: readonly VmMsrResult[] = ["OK", "GP", "UNHANDLED"];

function check(msr: number): void {
  if (!(Number.isInteger(msr) && msr >= 0 && msr <= 0xffff_ffff)) throw new VmError("EINVAL", `no MSR ${msr}`);
}

export function getMsr(core: CoreExports, view: StructView, msr: number): MsrValue {
  check(msr);
  // The exit record may hold an exit that waits for its answer.
  const kept = view.get64(VCPU.exitData);
  const result = RESULTS[core.getMsr(view.base, msr)];
  const value = view.get64(VCPU.exitData);
  view.set64(VCPU.exitData, kept);
  return result === "OK" ? { result, value } : { result };
}

export function setMsr(core: CoreExports, view: StructView, msr: number, value: bigint): VmMsrResult {
  check(msr);
  if (value < 0n || value >> 64n) throw new VmError("EINVAL", "an MSR has 64 bits");
  return RESULTS[core.setMsr(view.base, msr, value)];
}
