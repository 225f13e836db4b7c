/** Where a vCPU has shut down: what is said of it in one line. The rest is an autopsy's (src/debug/autopsy.ts). */
import { VCPU } from "../shared/layout.ts";
import { getSegment, type StructView } from "../vcpu/view.ts";

/** Of entryInfo (src/shared/layout.ts). */
const HAS_ERROR = 0x800n;

const hex = (v: bigint | number): string => `0x${v.toString(16)}`;

/** Registers and facts, in the order to show; the exception is the one that it began with. */
export function tripleFaultAt(view: StructView): Record<string, string> {
  const first = view.get64(VCPU.faults);
  return {
    rip: hex(view.get64(VCPU.rip)),
    cs: hex(getSegment(view, "CS").selector),
    cr2: hex(view.get64(VCPU.cr2)),
    cr3: hex(view.get64(VCPU.cr3)),
    rsp: hex(view.get64(VCPU.gpr, 4)),
    vector: String(first & 0xffn),
    ...(first & HAS_ERROR && { "error code": hex(first >> 32n) }),
  };
}
