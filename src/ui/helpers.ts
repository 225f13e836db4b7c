/**
 * The workers that a machine is made of besides its own: for its vCPUs, and for disks that are kept. The page starts them all
 * and gives the machine's worker a port to each, though that one could start workers itself: in Firefox `new Worker` in a
 * worker may never return while DevTools or WebDriver look at the page (WorkerPrivate::SetIsDebuggerRegistered wakes one of
 * two threads that may wait, the new worker instead of its maker).
 */
import type { Endpoint } from "comlink";
import { startWorker } from "./startWorker.ts";
import diskWorkerUrl from "./storage/diskWorker.ts?worker&url";
import vcpuWorkerUrl from "./vcpuWorker.ts?worker&url";

export type HelperKind = "vcpu" | "disk";

/** A worker as whoever uses it has it. */
export interface Helper {
  readonly endpoint: Endpoint;
  terminate(): void;
}

export type StartHelper = (kind: HelperKind) => Helper;

const ADDRESSES: Record<HelperKind, string> = { vcpu: vcpuWorkerUrl, disk: diskWorkerUrl };

/** For the page's own use. */
export const startHelper: StartHelper = (kind) => {
  const worker = startWorker(ADDRESSES[kind]);
  return { endpoint: worker, terminate: () => worker.terminate() };
};

/** The helpers of one machine, on the page's side. */
export class Helpers {
  readonly #started: Worker[] = [];
  /** Started, and not yet asked for. */
  readonly #early: Worker[] = [];

  /** Starts one that will be asked for, so that it loads while the machine's worker does. */
  prepare(kind: "vcpu"): void {
    this.#early.push(this.#start(kind));
  }

  /** Starts one and lets who has the other end of the port use it. */
  give(kind: HelperKind, port: MessagePort): void {
    const worker = (kind === "vcpu" && this.#early.shift()) || this.#start(kind);
    worker.postMessage(null, [port]);
  }

  #start(kind: HelperKind): Worker {
    const worker = startWorker(ADDRESSES[kind]);
    this.#started.push(worker);
    return worker;
  }

  /** Ends those that have not ended by themselves. */
  end(): void {
    for (const worker of this.#started) worker.terminate();
  }
}
