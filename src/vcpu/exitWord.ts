/**
 * Handing an exit to the device thread and getting it back. The exit record (VCPU.exit*) and every register of the
 * vCPU belong to whoever exitState names:
 *
 *     exitState   0 running --postExit--> 1 posted --answerExit--> 2 answered --awaitAnswer--> 0 running
 *     written by     worker                 device thread            worker
 *
 *     worker:         record · exitState = 1 · own bit into exitPosted · doorbell + 1 · sleeps while exitState is 1
 *     device thread:  doorbell read · exitPosted taken · ring drained · record carried out · exitState = 2 · wakes
 *
 * Nothing is lost: the doorbell is rung after the bit is set, and read before the bits are taken, so a bit that a round
 * has not seen has changed the doorbell since, and the device thread does not sleep on it. An exit is answered once:
 * taking the bits clears them. Order: what the vCPU put into the ring before its exit has tickets that drainRing
 * reaches, because the ring's head is read after the bit. When an entry before them has a ticket but is not yet
 * published, by another vCPU, the bits go back (postAgain) until its writer has rung.
 *
 * The worker can be told to stop at any time (attention.ts), also while its exit waits: it goes on to the end of the
 * instruction, and stops there.
 */
import { CONTROL, VCPU } from "../shared/layout.ts";
import type { StructView } from "./view.ts";

/** Wakes the device thread. */
export function ringDoorbell(control: StructView): void {
  control.add(CONTROL.doorbell, 1);
  control.notify(CONTROL.doorbell);
}

/** Worker: hands over the exit record. */
export function postExit(view: StructView, control: StructView): void {
  view.store(VCPU.exitState, 1);
  control.or(CONTROL.exitPosted, 1 << view.get(VCPU.vcpuid));
  ringDoorbell(control);
}

/** Worker: sleeps until the exit that was posted has been answered. */
export function awaitAnswer(view: StructView): void {
  while (view.load(VCPU.exitState) === 1) view.wait(VCPU.exitState, 1);
  view.store(VCPU.exitState, 0);
}

/** Device thread: takes the exits that wait, bit i for vCPU i. Drain the ring next, then answer each. */
export function takeExits(control: StructView): number {
  return control.exchange(CONTROL.exitPosted, 0);
}

/** Device thread: puts exits back that cannot be carried out before the doorbell rings again. */
export function postAgain(control: StructView, exits: number): void {
  control.or(CONTROL.exitPosted, exits);
}

/** Device thread: the exit record has been carried out, the vCPU runs on. */
export function answerExit(view: StructView): void {
  view.store(VCPU.exitState, 2);
  view.notify(VCPU.exitState);
}
