/** SIMD floating-point exceptions (SDM vol. 1, 11.5). */
import { Vcpu } from "../gen/layout";
import { raise, UD, XM } from "../exception";
import { fpFlags } from "../fp/flags";

const CR4_OSXMMEXCPT: u64 = 0x400;
/** IE, DE and ZE: found before the result is computed, and then the others are not looked for. */
const BEFORE: u32 = 7;

/** Clears what the exact library has found: call it before the first element. */
@inline export function begin(): void { fpFlags = 0; }

/** Records in MXCSR what the library found; true = no unmasked exception: the result may be written. */
@inline export function settle(c: Vcpu): bool { return fpFlags == 0 || settleFlags(c); }

function settleFlags(c: Vcpu): bool {
  const found = fpFlags & 0x3f, unmasked = found & ~(c.mxcsr >> 7);
  c.mxcsr |= unmasked & BEFORE ? found & BEFORE : found;
  if (!unmasked) return true;
  return raise(c, c.cr4 & CR4_OSXMMEXCPT ? XM : UD);
}
