/**
 * INIT and start-up IPIs on their way to a vCPU: Vcpu.startup, bits STARTUP of src/shared/layout.ts. The device thread
 * writes it, because it has the local APICs (src/io/vlapic.ts); the vCPU takes it (takeStartup in assembly/startup.ts).
 *
 *     device thread:  INIT: word = INIT (a start-up IPI before it has come to nothing) · ATTENTION.INIT · woken
 *                     SIPI: SIPI and the vector beside an INIT · ATTENTION.INIT · woken
 *     vCPU:           attention taken · word read · INIT: bit cleared · leaves with EXIT.INIT
 *     device thread:  vCPU and its local APIC reset · ATTENTION.INIT, for a SIPI that has come meanwhile · answers
 *     vCPU:           SIPI: word = 0 · starts, if it waits for one, else nothing
 *
 *     running or halted --INIT--> reset by the device thread --> waits for a SIPI --SIPI--> running
 *
 * Nothing is lost: the vCPU looks at the word after each ATTENTION.INIT, which is set after the word has been written. The
 * vCPU clears only what it has seen: a SIPI that comes between stays.
 */
import { ATTENTION, STARTUP, VCPU } from "../shared/layout.ts";
import type { StructView } from "./view.ts";

function attend(view: StructView): void {
  view.or(VCPU.attention, ATTENTION.INIT);
  view.notify(VCPU.attention);
}

/** INIT for a vCPU. */
export function postInit(view: StructView): void {
  view.store(VCPU.startup, STARTUP.INIT);
  attend(view);
}

/** A start-up IPI for a vCPU: it starts in real mode at vector << 12, if it waits for one. */
export function postSipi(view: StructView, vector: number): void {
  // The vCPU clears bits only: what it clears between the two does not come back, as the exchange then fails.
  for (;;) {
    const old = view.load(VCPU.startup);
    const next = (old & STARTUP.INIT) | STARTUP.SIPI | (vector & STARTUP.VECTOR);
    if (Atomics.compareExchange(view.words, view.index(VCPU.startup), old, next) === old) break;
  }
  attend(view);
}

/** After INIT has been carried out: has the vCPU look for a SIPI. */
export function finishInit(view: StructView): void {
  attend(view);
}
