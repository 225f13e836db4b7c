/** Counters of a vCPU (STATS in src/shared/layout.ts). */
import { Vcpu } from "./gen/layout";

@inline export function bump(c: Vcpu, stat: usize): void {
  store<u64>(changetype<usize>(c) + stat, load<u64>(changetype<usize>(c) + stat) + 1);
}
