/** What a machine is made of, and what it says of itself. */
import type { LogSink } from "../debug/log.ts";
import type { HostOrder } from "../vcpu/hostOrder.ts";
import { type EngineKind, HEAT, type RegionCompiler } from "../vcpu/jit.ts";
import type { WorkerThread } from "../vcpu/threaded.ts";
import type { DeterministicConfig } from "./determinism.ts";
import type { Cards } from "./pciCards.ts";
import type { Drives } from "./pcParts.ts";

/** Where a machine is in its life. */
export type MachineState = "ready" | "running" | "paused" | "off" | "failed";

/** Why a machine is not running any more. */
export type StopReason =
  | { readonly kind: "power-off" }
  | { readonly kind: "reset" }
  | { readonly kind: "debug-exit"; readonly status: number }
  | { readonly kind: "triple-fault"; readonly where: Record<string, string> }
  | { readonly kind: "engine-error"; readonly message: string };

/** What a machine is made of. */
export interface MachineConfig {
  /** The compiled core (dist/core/core.wasm). */
  readonly core: Uint8Array;
  /** The same as a module, for machines with threads; default: `core` is compiled. */
  readonly module?: WebAssembly.Module;
  /** What to boot: a kernel, or firmware, which starts at the reset vector. Read at every boot, like initrd and append. */
  readonly kernel?: Uint8Array | undefined;
  readonly bios?: Uint8Array;
  /** Media of a machine that boots by firmware. */
  readonly drives?: Drives;
  /** Cards in PCI slots: disks on NVMe and virtio, entropy, a console. */
  readonly cards?: Cards;
  /** What firmware finds under these names in fw_cfg: option ROMs ("pci1234,1111.rom" for the VGA), settings. */
  readonly firmwareFiles?: Readonly<Record<string, Uint8Array>>;
  readonly kernelName?: string;
  readonly initrd?: Uint8Array | undefined;
  readonly append?: string;
  /** Guest RAM in bytes, a multiple of 4 KiB. */
  readonly memoryBytes: number;
  readonly vcpus?: number;
  /** How the vCPUs are spread (src/vmm/topology.ts); default: one socket with a core for each. */
  readonly topology?: { readonly sockets: number; readonly cores: number; readonly threads: number };
  /** CPU model and features, `MODEL[,+F,-F]…` (src/isa/cpuModel.ts); default: max. */
  readonly cpu?: string;
  readonly transport: "threaded" | "inline";
  /** Default: interp. */
  readonly engine?: EngineKind;
  /** Executions of a block before it is compiled, of an engine that compiles; default: HEAT. */
  readonly jitThreshold?: number;
  /** Compiled code counts what it does, for `profile`; it is slower then. */
  readonly profile?: boolean;
  /** Makes what compiles regions for a vCPU; inline transport only. Default: one with JIT_LIMITS. */
  readonly regions?: (memory: WebAssembly.Memory) => RegionCompiler;
  /** Makes the workers of the threaded transport. */
  readonly spawn?: () => WorkerThread;
  /** The host's memory order; default: what hostOrder finds. */
  readonly hostOrder?: HostOrder;
  /** Cores of the host; default: what the browser says. */
  readonly hostCores?: number;
  /** Bytes from COM1, as they come. */
  readonly serial: (bytes: Uint8Array) => void;
  /** The PC speaker's tone has changed: Hz, 0 = silent. */
  readonly tone?: (hz: number) => void;
  /** Hears of every change of state. */
  readonly onState?: (state: MachineState, reason?: StopReason) => void;
  /** A guest that asks for a reset boots again (default), or stops with reason "reset". */
  readonly restart?: boolean;
  /** isa-debug-exit at 0xf4 and the testdev ports. */
  readonly debugExit?: boolean;
  /** The same input at the same instruction counts makes the same run; inline transport only (determinism.ts). */
  readonly deterministic?: DeterministicConfig;
  /** Seconds since 1970 for the RTC; default: now, or a fixed time in a deterministic machine. */
  readonly wallClockSeconds?: number;
  readonly log?: LogSink;
}

/** Executions after which its code is compiled; 0: never. */
export const heatOf = ({ engine = "interp", jitThreshold }: MachineConfig): number =>
  engine === "interp" ? 0 : (jitThreshold ?? HEAT[engine]);

/** What a machine has counted, at any time. */
export interface MachineStats {
  readonly state: MachineState;
  /** Instructions retired by all vCPUs since the last boot. */
  readonly instructions: number;
  /** Seconds vCPUs have spent executing (HLT and pauses not counted). */
  readonly vcpuSeconds: number;
  /** Exits to the device models, by name. */
  readonly exits: Record<string, number>;
  /** The core's own counters (STATS in src/shared/layout.ts). */
  readonly counters: Record<string, number>;
  /** Milliseconds that the guest has stood still for the last `save`; undefined: there was none. */
  readonly standstillMs: number | undefined;
}
