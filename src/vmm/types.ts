/** What the parts of a Vm have of each other. */
import type { CoreExports } from "../vcpu/core.ts";
import type { Chipset } from "./chipset.ts";
import type { VmEntry, VmExit, VmSuspendHow } from "./exit.ts";
import type { MachineMemory } from "./memory.ts";
import type { MemorySegments } from "./memseg.ts";
import type { Vcpu } from "./vcpu.ts";

/**
 * Who executes guest code: this thread, inside `run` ("inline"), or a worker for each vCPU ("threaded").
 */
export type Transport = "inline" | "threaded";

/** What `run` gives: an exit when inline, a promise of one when threaded. */
export type Running<T extends Transport> = T extends "inline" ? VmExit : Promise<VmExit>;

/** When `run` is to come back without an exit. */
export interface RunOptions {
  /** Inline only: come back with BOGUS after about so many instructions. Default: no limit. */
  readonly instructions?: bigint;
  /** Inline only: come back with BOGUS when so much host time has passed, so that the event loop gets its turn. */
  readonly milliseconds?: number;
}

/** Why a vCPU is kept out of guest code. */
export type HoldReason = "PAUSE" | "REQIDLE" | "RENDEZVOUS";

/** What a vCPU is to leave `run` with when it comes to the end of its instruction. */
export type Notice =
  | Pick<Extract<VmExit, { exitcode: "IOAPIC_EOI" }>, "exitcode" | "ioapicEoi">
  | Pick<Extract<VmExit, { exitcode: "SPINUP_AP" }>, "exitcode" | "spinupAp">
  | { readonly exitcode: "RENDEZVOUS" };

/** A Vm, as its vCPUs and drivers see it. */
export interface VmContext<T extends Transport = Transport> {
  readonly memory: MachineMemory;
  readonly segments: MemorySegments;
  /** A core instance on this thread: for vCPUs that do not run. */
  readonly core: CoreExports;
  readonly threaded: boolean;
  readonly hostNow: () => number;
  /** The chips that the vm has, if any. */
  readonly chipset: Chipset | undefined;
  drive(vcpu: Vcpu<T>, entry: VmEntry, options: RunOptions): Running<T>;
  /** The exit with which a vCPU must not go on: suspended, taken out for debugging; undefined: it may. */
  mustLeave(id: number): VmExit | undefined;
  suspend(how: VmSuspendHow): void;
  /** Makes a running vCPU come back. */
  kick(id: number): void;
  /** Whether it should come back by itself soon: its time is up, or it has been told to. */
  shouldYield(id: number): boolean;
  rendezvousPending(id: number): boolean;
  /** @throws VmError ENXIO once destroyed */
  alive(): void;
}

/** Runs the vCPUs of a Vm. */
export interface Driver<T extends Transport> {
  run(vcpu: Vcpu<T>, entry: VmEntry, options: RunOptions): Running<T>;
  /** A running vCPU leaves with BOGUS, or with what mustLeave says. */
  kick(id: number): void;
  /** Resolves when no vCPU executes; those in `run` are kept until `release`. Counts. */
  hold(ids: readonly number[], why: HoldReason): Promise<void>;
  /** `notice`: what those that are in `run` leave it with. */
  release(ids: readonly number[], why: HoldReason, notice?: Notice): void;
  shouldYield(id: number): boolean;
  /** The chips' earliest deadline is now `at`. */
  deadlineChanged(at: bigint): void;
  /** Resolves when no vCPU has an instruction under way. Only when none runs. */
  abandonAll(vcpus: readonly Vcpu<T>[]): Promise<void>;
  destroy(vcpus: readonly Vcpu<T>[]): Promise<void>;
}
