/** Entry of a vCPU worker in a browser. */
import { VcpuWorker } from "../vcpu/worker.ts";
import { offer } from "./helperPort.ts";

offer(new VcpuWorker());
