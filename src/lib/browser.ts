/** The package `tabhyve/browser`: machines, the vms of `tabhyve/vmm`, and what makes them run in a page or a worker. */
import type { Endpoint } from "comlink";
import type { WorkerThread } from "../vcpu/threaded.ts";

export { AssembleError, assemble } from "../isa/assemble.ts";
export { embeddedGuest } from "../machine/embedded/index.ts";
export {
  Machine,
  type MachineConfig,
  type MachineState,
  type MachineStats,
  type StopReason,
} from "../machine/machine.ts";
export { JIT_LIMITS, type JitLimits, RegionCompiler } from "../vcpu/jit.ts";
export * from "../vmm/index.ts";

/** A Worker, as far as it is used here: the DOM's types are the page's (src/ui). */
declare const Worker: new (url: URL, options: { readonly type: "module" }) => Endpoint & { terminate(): void };

/** The compiled core, for MachineConfig.core and VmConfig.core, from beside this module. @throws TypeError: not there */
export async function coreBytes(): Promise<Uint8Array> {
  const answer = await fetch(new URL("../core/core.wasm", import.meta.url));
  if (!answer.ok) throw new TypeError(`the core cannot be loaded: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/**
 * A vCPU worker, for `spawn` of the threaded transport. It needs a page that is cross-origin isolated, as SharedArrayBuffer
 * does; the inline transport needs neither. To be called in the page rather than in a worker of its own: there Firefox may
 * never come back from it while DevTools are open (src/ui/helpers.ts says why).
 */
export function spawnWorker(): WorkerThread {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  return { endpoint: worker, terminate: () => worker.terminate() };
}
