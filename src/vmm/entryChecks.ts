/**
 * What a VM entry refuses: guest state that no CPU could be in (SDM vol. 3, 27.3.1, as far as it applies without a VMCS).
 * The core relies on it, as a CPU does.
 */
import { CAP, VCPU } from "../shared/layout.ts";
import { getSegment, type StructView } from "../vcpu/view.ts";
import { CR0_PE, CR0_PG, CR4_PAE, EFER_LMA, RFLAGS_VM } from "./cpuMode.ts";

const EFER_LME = 1n << 8n;
const CR0_NW = 1n << 29n;
const CR0_CD = 1n << 30n;
const AR_L = 0x2000;
const AR_DB = 0x4000;
const AR_UNUSABLE = 0x1_0000;

const canonical = (v: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(57, v)) === v;

/** What is wrong with the state of a vCPU that is to run; undefined: nothing. */
export function invalidGuestState(view: StructView): string | undefined {
  const cr0 = view.get64(VCPU.cr0);
  const cr4 = view.get64(VCPU.cr4);
  const efer = view.get64(VCPU.efer);
  const rip = view.get64(VCPU.rip);
  const cs = getSegment(view, "CS");
  const long = (efer & EFER_LMA) !== 0n;
  if (cr0 & CR0_PG && !(cr0 & CR0_PE)) return "CR0.PG without CR0.PE";
  if (cr0 & CR0_NW && !(cr0 & CR0_CD)) return "CR0.NW without CR0.CD";
  if (cr0 >> 32n) return "CR0 beyond 32 bits";
  if (long !== ((efer & EFER_LME) !== 0n && (cr0 & CR0_PG) !== 0n)) return "EFER.LMA is not EFER.LME and CR0.PG";
  if (long && !(cr4 & CR4_PAE)) return "IA-32e mode without CR4.PAE";
  if (long && cs.ar & AR_L && cs.ar & AR_DB) return "CS with L and D";
  if (long && view.get64(VCPU.rflags) & RFLAGS_VM) return "virtual-8086 mode in IA-32e mode";
  if (cr0 & CR0_PE && cs.ar & AR_UNUSABLE) return "CS is unusable";
  if (long && cs.ar & AR_L ? !canonical(rip) : rip >> 32n) return "RIP is not an address of its mode";
  if (view.get(VCPU.caps) & CAP.RESTRICTED && !(cr0 & CR0_PE && cr0 & CR0_PG)) {
    return "real mode or no paging without UNRESTRICTED_GUEST";
  }
  return undefined;
}
