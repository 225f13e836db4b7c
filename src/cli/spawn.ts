/** vCPU workers as Node worker threads. The bundle of ./nodeWorker.ts lies beside the command's. */
import { Worker } from "node:worker_threads";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import type { WorkerThread } from "../vcpu/threaded.ts";

/** Makes a worker for a vCPU (MachineConfig.spawn, VmConfig.spawn). */
export function spawnWorker(): WorkerThread {
  const worker = new Worker(new URL("./worker.js", import.meta.url));
  return { endpoint: nodeEndpoint(worker), terminate: () => void worker.terminate() };
}
