/**
 * Debug exceptions (SDM vol. 3, 18.3). Conditions that are traps gather in Vcpu.debug, in the bits that DR6 gets, and
 * are delivered by the outer loop before it looks at interrupts; a #DB that is recorded has them in excError, as the
 * exit qualification of VMX has them (it has no error code).
 */
import { C_CATCHES, CONTROL_BASE, Vcpu } from "../gen/layout";
import { BP, DB, KIND_EXCEPTION, KIND_SOFTWARE, OF, raise } from "../exception";
import { linearRip } from "../decode/block";
import { flushPage, newCodeGeneration } from "../mem/tlb";
import { ARMED_CODE, armedBy, breakpointsAt, ON_FETCH, pageArmed, stopOver } from "../mem/watch";

/** Bits of DR6 beyond the four breakpoints: debug registers accessed, single step, task switch. */
export const DR6_BD: u32 = 1 << 13;
export const DR6_BS: u32 = 1 << 14;
export const DR6_BT: u32 = 1 << 15;
const DR7_GD: u64 = 1 << 13;

/** Records a #DB with these bits for DR6. */
export function raiseDebug(c: Vcpu, bits: u32): bool {
  raise(c, DB);
  c.excError = bits;
  return false;
}

/** On delivery of a #DB: DR6 says why. Bits 3:0 are those of now, the others stay until software clears them; GD goes. */
export function recordDebug(c: Vcpu, bits: u32): void {
  c.set_dr(6, (c.drAt(6) & ~15) | bits);
  c.set_dr(7, c.drAt(7) & ~DR7_GD);
}

/** Call after a change of DR0 to DR3, DR7 or CR4.DE: what is armed now must not be passed by. */
export function rearm(c: Vcpu): void {
  const before = c.armed;
  c.armed = armedBy(c);
  if ((before | c.armed) & ARMED_CODE) newCodeGeneration(c);
  for (let n: u32 = 0; n < 4; n++) if (pageArmed(c, ~0, c.drAt(n))) flushPage(c, c.drAt(n));
}

/** Whether an instruction breakpoint stands at RIP; the #DB fault is then recorded. */
export function codeBreakpoint(c: Vcpu): bool {
  const hits = breakpointsAt(c, ON_FETCH, linearRip(c, c.rip), 1);
  if (!hits) return false;
  raiseDebug(c, hits);
  return true;
}

/** The vCPU stands here for the host: a breakpoint at this place does not stop it again before an instruction is done. */
export function standsHere(c: Vcpu): void {
  c.stopRip = c.rip;
  c.stopCount = c.icount + 1;
}

/**
 * Whether the host is to see the exception in exc* before it is delivered (Control.catches). When the vCPU goes on from there
 * the instruction meets it again, or the trap still waits: then it is delivered.
 */
export function caught(c: Vcpu): bool {
  const vector = c.excVector, kind = c.excKind;
  if (vector > 31 || kind != KIND_EXCEPTION && (kind != KIND_SOFTWARE || vector != BP && vector != OF)) return false;
  const vectors = load<u32>(CONTROL_BASE, C_CATCHES) | (c.cpl == 3 ? load<u32>(CONTROL_BASE, C_CATCHES + 4) : 0);
  return (vectors >> vector & 1) != 0 && !shown(c);
}

/** Whether the host has been shown the exception that comes next: no interrupt comes before it. */
export function shown(c: Vcpu): bool { return c.stopRip == c.rip && c.caughtCount == c.icount + 1; }

/** Whether a breakpoint of the host's stops the vCPU at RIP; stopEntry and stopAddress say which. */
export function hostStop(c: Vcpu): bool {
  const linear = linearRip(c, c.rip), stop = stopOver(ON_FETCH, linear, 1);
  if (stop < 0 || c.stopRip == c.rip && c.stopCount == c.icount + 1) return false;
  c.stopEntry = stop;
  c.stopAddress = linear;
  return true;
}
