/** Entry of tabhyve-vm.js: defines the element `<tabhyve-vm>`, whose guests and engine come from beside this file. */
import { TabhyveVm } from "./tabhyveVm.ts";

// Of the built site this file lies at the top; in development, where it is.
TabhyveVm.site = new URL(import.meta.env.DEV ? "/" : "./", import.meta.url);
if (!customElements.get("tabhyve-vm")) customElements.define("tabhyve-vm", TabhyveVm);

export type { MachineStats, MemoryPiece, Registers, StopDetail } from "../machineHandle.ts";
export type { Problem } from "../problems.ts";
export type { VmEvents, VmHandle, VmState } from "./vmHandle.ts";
export { TabhyveVm };
