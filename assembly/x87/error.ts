/**
 * Unmasked x87 exceptions (SDM vol. 1, 8.7): #MF at the next waiting instruction with CR0.NE; without it as on a PC/AT:
 *
 *     FSW.ES 0 -> 1             FERR#, which raises interrupt 13; IGNNE# has gone away with the error before
 *     a waiting instruction     goes on while IGNNE# is asserted; else the CPU stops here until an interrupt comes, whose
 *                               handler writes port F0h (IGNNE#) or clears the exceptions
 *
 * FERR# comes with the instruction that caused the exception (SDM vol. 3, 23.18.6.7: P6 family).
 */
import { CONTROL_BASE, C_IGNNE, RING_FERR, RUN_STATE_HALTED, STATUS_FROZEN, Vcpu } from "../gen/layout";
import { raise, MF } from "../exception";
import { ringPut } from "../ring";

export const FSW_ES: u32 = 0x80;
export const FSW_B: u32 = 0x8000;
const CR0_NE: u64 = 0x20;

/** False if the instruction cannot go on, because an unmasked exception is pending: the first thing a waiting one asks. */
@inline export function ready(c: Vcpu): bool { return (c.fsw & FSW_ES) == 0 || pending(c); }

function pending(c: Vcpu): bool {
  if (c.cr0 & CR0_NE) return raise(c, MF);
  if (load<u32>(CONTROL_BASE, C_IGNNE)) return true;
  ringPut(c, RING_FERR, 0);
  c.runState = RUN_STATE_HALTED;
  // As after HLT: what comes now may come in the shadow of STI.
  c.shadow = 0;
  c.status = STATUS_FROZEN;
  return false;
}

/** FSW takes a loaded value but for ES and B, which follow from the exceptions when FCW has been loaded, too. */
export function loadStatus(c: Vcpu, v: u32): void {
  c.fsw = <u16>((v & ~(FSW_ES | FSW_B)) | (c.fsw & FSW_ES));
}

/** ES and B become 1. */
export function setError(c: Vcpu): void {
  const before = c.fsw & FSW_ES;
  c.fsw |= <u16>(FSW_ES | FSW_B);
  if (before) return;
  store<u32>(CONTROL_BASE, 0, C_IGNNE);
  if (!(c.cr0 & CR0_NE)) ringPut(c, RING_FERR, 0);
}
