/** The package `tabhyve` under Node: machines with a board, and what makes them and the vms of `tabhyve/vmm` run. */
import { readFileSync } from "node:fs";

export { spawnWorker } from "../cli/spawn.ts";
export { AssembleError, assemble } from "../isa/assemble.ts";
export { embeddedGuest } from "../machine/embedded/index.ts";
export {
  Machine,
  type MachineConfig,
  type MachineState,
  type MachineStats,
  type StopReason,
} from "../machine/machine.ts";
export { SnapshotError } from "../shared/device.ts";
export { JIT_LIMITS, type JitLimits, RegionCompiler } from "../vcpu/jit.ts";
export type { WorkerThread } from "../vcpu/threaded.ts";

/** The compiled core, for MachineConfig.core and VmConfig.core. @throws Error if it has not been built */
export function coreBytes(): Uint8Array {
  return readFileSync(new URL("../core/core.wasm", import.meta.url));
}
