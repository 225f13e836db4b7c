/** Width of linear addresses (SDM vol. 3, 4.5): 48 bits, or 57 with CR4.LA57. */
import { Vcpu } from "../gen/layout";
import { CR4_LA57 } from "./walk";

/** True if all bits of `linear` above those that are translated are copies of the highest one that is. */
@inline export function canonical(c: Vcpu, linear: u64): bool {
  return <u64>(<i64>(linear << 16) >> 16) == linear || (c.cr4 & CR4_LA57) != 0 && <u64>(<i64>(linear << 7) >> 7) == linear;
}
