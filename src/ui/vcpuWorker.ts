/** Entry of a vCPU worker in a browser. */
import { expose } from "comlink";
import { VcpuWorker } from "../vcpu/worker.ts";

expose(new VcpuWorker());
