/** Entry of a vCPU worker under Node. */
import { parentPort } from "node:worker_threads";
import { expose } from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import { VcpuWorker } from "../vcpu/worker.ts";

if (!parentPort) throw new Error("this is a worker's entry");
expose(new VcpuWorker(), nodeEndpoint(parentPort));
