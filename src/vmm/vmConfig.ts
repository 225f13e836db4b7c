/** What a vm is made of. */
import { VM_MAXCPU } from "../shared/layout.ts";
import type { HostOrder } from "../vcpu/hostOrder.ts";
import { VmError } from "./error.ts";
import type { HostServices } from "./glue.ts";
import type { VmmModule } from "./module.ts";
import type { Transport } from "./types.ts";

/** Longest name (VM_MAX_NAMELEN, with the terminator). */
const VM_MAX_NAMELEN = 32;

/** What a vm is made of. */
export interface VmConfig<T extends Transport> extends HostServices {
  /** 1 to 31 characters. */
  readonly name: string;
  /** The compiled core (dist/core/core.wasm), or the module that has loaded it for several virtual machines. */
  readonly core: Uint8Array | VmmModule;
  readonly transport: T;
  readonly vcpus?: number;
  /** The host's memory order; default: what hostOrder finds. Where it is weaker than x86's, threads of vCPUs take turns. */
  readonly hostOrder?: HostOrder;
  /** CPU model and features (src/isa/cpuModel.ts); default: max. */
  readonly cpu?: string;
  /** RAM at address 0 as segment 0; default none. */
  readonly memoryBytes?: number;
  /** Bytes for segments that are allocated later; default none. */
  readonly reserveBytes?: number;
  /** The chips of a PC that a vmm has itself (vmChips.ts): interrupt controllers, timers, RTC. Default: none. */
  readonly chips?:
    | boolean
    | { /** Seconds since 1970 for the RTC; default: now. */ readonly wallClockSeconds?: number };
}

/** @throws VmError EINVAL: the table at Vm.create */
export function checkConfig({ name, vcpus = 1, transport, spawn }: VmConfig<Transport>): void {
  if (!name || name.length >= VM_MAX_NAMELEN) throw new VmError("EINVAL", `a name of ${name.length} characters`);
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > VM_MAXCPU) throw new VmError("EINVAL", `${vcpus} vCPUs`);
  if (transport === "threaded" && !spawn) throw new VmError("EINVAL", "the threaded transport needs spawn");
}
