/** Width of linear addresses (SDM vol. 3, 4.5): 48 bits, or 57 with CR4.LA57. */
import { Vcpu } from "../gen/layout";
import { CPU_LA57, hasFeature } from "../sys/model";
import { CR4_LA57 } from "./walk";

@inline function extends48(linear: u64): bool { return <u64>(<i64>(linear << 16) >> 16) == linear; }
@inline function extends57(linear: u64): bool { return <u64>(<i64>(linear << 7) >> 7) == linear; }

/** True if all bits of `linear` above those that are translated are copies of the highest one that is. */
@inline export function canonical(c: Vcpu, linear: u64): bool {
  return extends48(linear) || (c.cr4 & CR4_LA57) != 0 && extends57(linear);
}

/** The same for what is only stored (MSRs, bases of descriptor tables): the width is what the CPU could have. */
export function canonicalBase(c: Vcpu, linear: u64): bool {
  return extends48(linear) || hasFeature(c, CPU_LA57) && extends57(linear);
}

/** How far a region (assembly/jit/plan.ts) and a branch from there may reach together. */
const REACH: u64 = 1 << 32;
/**
 * Whether code at `linear` might branch to an address that is not canonical. Regions do not look where their branches go, so they
 * do not run there; nor beyond 48 bits, where next to no code is.
 */
export function nearCanonicalEnd(linear: u64): bool { return linear + (1 << 47) - REACH >= (1 << 48) - 2 * REACH; }
