/**
 * What a virtual machine has of its host (the seeds' vmm_sol_glue: what the vmm needs of the operating system): a clock,
 * randomness, the event loop, workers. Nothing else in src/vmm asks the host for any of it.
 */
import type { HostNow, HostRandom } from "../vcpu/core.ts";
import type { WorkerThread } from "../vcpu/threaded.ts";

/** What a host may give a vm. */
export interface HostServices {
  /** Host time in milliseconds; default performance.now. Inline only: workers have their own. */
  readonly now?: HostNow;
  /** 64 random bits for RDRAND and RDSEED; default: the host's generator. Inline only. */
  readonly random?: HostRandom;
  /** Makes the workers; only, and needed, when threaded. */
  readonly spawn?: () => WorkerThread;
  /** Runs `callback` after pending events; only when threaded. Default: setTimeout. */
  readonly yieldTo?: (callback: () => void) => void;
}

/** The services of one vm, with the defaults in their places. */
export class HostGlue {
  readonly now: HostNow;
  readonly random: HostRandom | undefined;
  /** Runs `callback` after pending events. */
  readonly yieldTo: (callback: () => void) => void;
  readonly #spawn: (() => WorkerThread) | undefined;
  readonly #workers = new Set<WorkerThread>();

  /** vmm_sol_glue_init. */
  constructor(services: HostServices = {}) {
    this.now = services.now ?? (() => performance.now());
    this.random = services.random;
    this.yieldTo = services.yieldTo ?? ((callback) => void setTimeout(callback));
    this.#spawn = services.spawn;
  }

  /** A worker, remembered until it is terminated. */
  spawn(): WorkerThread {
    if (!this.#spawn) throw new TypeError("this host makes no workers");
    const thread = this.#spawn();
    const worker: WorkerThread = {
      endpoint: thread.endpoint,
      terminate: () => {
        if (this.#workers.delete(worker)) thread.terminate();
      },
    };
    this.#workers.add(worker);
    return worker;
  }

  /** vmm_sol_glue_cleanup: terminates the workers that there still are. */
  cleanup(): void {
    for (const worker of this.#workers) worker.terminate();
  }
}
