/**
 * Telling a vCPU that the host has overwritten code. One writer, the device thread; one reader, the vCPU (takeDrops in
 * assembly/index.ts). Whether there is code to drop is another protocol (assembly/mem/phys.ts, the page word).
 *
 *     writer: memory is written · page into slot head · head + 1 · ATTENTION.DROP     (or, full: dropAll · DROP)
 *     reader: ATTENTION taken · dropAll taken · slots tail…head dropped · tail + 1 each
 *
 * dropHead is written by the writer alone, dropTail by the reader alone; a slot belongs to the reader from head + 1 to
 * tail + 1. Nothing is lost: head and dropAll are written before DROP is set and read after it is taken. The attention
 * word is looked at before each block of instructions, so what the host does after the write (an interrupt, a flag in
 * memory) is acted on with the code dropped. A full queue asks for everything to be dropped.
 */
import { ATTENTION, VCPU } from "../shared/layout.ts";
import type { StructView } from "./view.ts";

/** A power of two: the counters wrap around. */
const SLOTS = VCPU.dropPages.count;

export function postDrop(view: StructView, hostPage: number): void {
  const head = view.load(VCPU.dropHead);
  const tail = view.load(VCPU.dropTail);
  if (((head - tail) | 0) >= SLOTS) view.store(VCPU.dropAll, 1);
  else {
    view.set(VCPU.dropPages, hostPage, head & (SLOTS - 1));
    view.store(VCPU.dropHead, (head + 1) | 0);
  }
  view.or(VCPU.attention, ATTENTION.DROP);
  view.notify(VCPU.attention);
}
