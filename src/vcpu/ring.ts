/**
 * The device thread's end of the ring of coalesced writes; assembly/ring.ts is the writers' end, and says what an entry
 * looks like, src/shared/ring.ts what it means. Many writers (vCPUs), one reader. An entry's states:
 *
 *     free --ticket: head + 1--> taken by a writer --fields, then kind--> published --kind = 0, tail + 1--> free
 *             (writer)              (same writer; waits until ticket - tail < entries)      (reader)
 *
 * ringHead is written by writers alone, ringTail by the reader alone. Nothing is lost or seen twice: the fields are
 * written before the kind, the kind is cleared before the tail lets the next writer in. Order is that of tickets, so a
 * vCPU's own writes stay in order. A writer rings the doorbell after it has published, or, where that can wait, counts it up
 * and wakes nobody unless an exit waits (ringPutQuietly).
 */
import { CONTROL, RING_BASE, RING_SIZE } from "../shared/layout.ts";
import type { StructView } from "./view.ts";

const ENTRIES = RING_SIZE / 16;

/**
 * Hands the entries whose tickets have been taken by now to `take`, in order. An entry is off the ring when `take` gets it:
 * what throws there is not carried out twice, and the rest stays for the next call; `take` may itself drain.
 *
 * @returns false if one of them is not published yet: it and those behind it stay, and its writer rings the doorbell
 */
export function drainRing(
  control: StructView,
  take: (kind: number, vcpu: number, low: number, high: number) => void,
): boolean {
  const words = control.words;
  const head = control.load(CONTROL.ringHead) | 0;
  for (;;) {
    const tail = control.load(CONTROL.ringTail) | 0;
    // A `take` that drains may have gone past what was there.
    if (((head - tail) | 0) <= 0) return true;
    const at = (RING_BASE + (tail & (ENTRIES - 1)) * 16) >> 2;
    const kind = Atomics.load(words, at);
    if (!kind) return false;
    const vcpu = words[at + 1];
    const low = words[at + 2] >>> 0;
    const high = words[at + 3] >>> 0;
    Atomics.store(words, at, 0);
    control.store(CONTROL.ringTail, (tail + 1) | 0);
    take(kind, vcpu, low, high);
  }
}
