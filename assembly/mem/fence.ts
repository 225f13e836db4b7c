/** Order between a vCPU's own accesses, where it is more than the host's. */
import { Vcpu, V_SIMD } from "../gen/layout";

/**
 * What was stored before is seen by everybody before anything after is loaded, as any atomic operation has it: MFENCE, and
 * what serializes (SDM vol. 3, 9.3).
 */
export function drainStores(c: Vcpu): void {
  atomic.add<u32>(changetype<usize>(c) + V_SIMD, 0);
}
