/** The device thread's end of the ring of coalesced writes (assembly/ring.ts is the writers' end). */
import { CONTROL, RING_BASE, RING_SIZE } from "../shared/layout.ts";
import type { StructView } from "./view.ts";

export const RING_EOI = 1;
export const RING_PORT = 2;

const ENTRIES = RING_SIZE / 16;

/**
 * Hands every published entry to `take`, in ticket order. An entry whose writer has a ticket but has not published it
 * yet ends the drain: the writer rings the doorbell when it has.
 */
export function drainRing(control: StructView, take: (kind: number, vcpu: number, low: number, high: number) => void): void {
  const words = control.words;
  let tail = control.load(CONTROL.ringTail) >>> 0;
  for (;;) {
    const at = (RING_BASE + (tail % ENTRIES) * 16) >> 2;
    const kind = Atomics.load(words, at);
    if (!kind) return;
    const vcpu = words[at + 1];
    const low = words[at + 2] >>> 0;
    const high = words[at + 3] >>> 0;
    Atomics.store(words, at, 0);
    tail = (tail + 1) >>> 0;
    control.store(CONTROL.ringTail, tail | 0);
    take(kind, vcpu, low, high);
  }
}
