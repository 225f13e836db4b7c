/**
 * What runs the vCPUs, behind one interface: threaded (a worker per vCPU, device models on this thread) or inline
 * (everything on this thread). Device models cannot tell which one serves them.
 */
import type { RUN } from "../shared/exit.ts";
import type { PageSource } from "./pages.ts";

export type RunResult = (typeof RUN)[keyof typeof RUN];

/** The machine, as an engine needs it. Every call is on the device thread. */
export interface DeviceSide {
  /**
   * Carries out what vCPU `id`'s exit record asks for and leaves the result there. False: the answer comes later, through
   * the engine's `answer` (threaded only); until then the vCPU stands still.
   */
  serveExit(id: number): boolean;
  /** A vCPU has come back because it was told to stop. */
  stopped?(id: number): void;
  /** Takes the coalesced writes that have come in; false if one is still being written, as drainRing says. */
  drain(): boolean;
  /** Fires device deadlines that are due. */
  fireTimers(): void;
  /** Guest time in ns, and the earliest device deadline (all ones = none). */
  now(): bigint;
  nextDeadline(): bigint;
  /** Between two turns of a machine with a virtual clock: lets input in, whose next recorded piece is due at nextInput. */
  gap?(): void;
  nextInput?(): number | undefined;
  /** A vCPU cannot go on: a triple fault, or the engine itself failed. Stop every vCPU. */
  failed(id: number, error?: unknown): void;
}

export interface Engine {
  /** Lets every vCPU run, or only these. */
  start(ids?: readonly number[]): void;
  /** Resolves when no vCPU runs any more: each stands between two instructions, with no exit outstanding. */
  stop(): Promise<void>;
  /** Makes vCPU `id` look at its attention word now, halted or not. */
  kick(id: number): void;
  /** The device deadlines have changed. */
  deadlineChanged(at: bigint): void;
  /** The host wrote to a backing page that holds code. */
  dropCode(hostPage: number): void;
  /** After `stop`: the host has changed registers of vCPU `id`. */
  refresh(id: number): Promise<void>;
  /** RFLAGS of a vCPU that does not run. */
  rflags(id: number): Promise<bigint>;
  /** After `stop`: where absent pages come from; undefined: nowhere. */
  usePages(source: PageSource | undefined): Promise<void>;
  destroy(): Promise<void>;
}
