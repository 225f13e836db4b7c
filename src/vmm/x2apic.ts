/** The mode of a vCPU's local APIC, from the host (the seeds' vm_get_x2apic_state and vm_set_x2apic_state). */
import { APIC_BASE_ENABLE, APIC_BASE_X2APIC } from "../io/apicBase.ts";
import { featureNamed } from "../isa/features.ts";
import { VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";
import type { Chipset } from "./chipset.ts";
import { VmError } from "./error.ts";

/** `enum x2apic_state`. */
export type X2apicState = "DISABLED" | "ENABLED";

export function getX2apicState(view: StructView): X2apicState {
  return view.get64(VCPU.apicBase) & APIC_BASE_X2APIC ? "ENABLED" : "DISABLED";
}

/**
 * vm_set_x2apic_state.
 *
 * | state | the vCPU |
 * |---|---|
 * | ENABLED | is in x2APIC mode, as if its guest had written IA32_APIC_BASE; CPUID has x2APIC |
 * | DISABLED | is in xAPIC mode, its APIC reset if it was in the other; CPUID has no x2APIC, and the guest cannot enable it |
 * | any other | VmError EINVAL |
 */
export function setX2apicState(chips: Chipset, view: StructView, id: number, state: X2apicState): void {
  if (state !== "ENABLED" && state !== "DISABLED") throw new VmError("EINVAL", `x2APIC state ${String(state)}`);
  const { word, bit } = featureNamed("x2apic");
  const toggle = view.get(VCPU.cpuToggle, word);
  // A bit of cpuToggle is a difference from the default, which has x2APIC.
  view.set(VCPU.cpuToggle, (state === "ENABLED" ? toggle & ~(1 << bit) : toggle | (1 << bit)) >>> 0, word);
  if (getX2apicState(view) === state) return;
  const apic = chips.apics[id];
  const rest = apic.readApicBase() & ~(APIC_BASE_ENABLE | APIC_BASE_X2APIC);
  // Out of x2APIC mode the way leads over a disabled APIC, into it over xAPIC mode (SDM vol. 3, figure 11-27).
  if (state === "DISABLED") apic.writeApicBase(rest);
  apic.writeApicBase(rest | APIC_BASE_ENABLE);
  if (state === "ENABLED") apic.writeApicBase(rest | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
}
