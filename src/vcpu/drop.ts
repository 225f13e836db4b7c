/**
 * Telling a vCPU that the host has overwritten code. Protocol (one writer, the device thread; one reader, the vCPU in
 * assembly/index.ts takeDrops):
 *
 *     writer: memory is written · page into slot head · head+1 · ATTENTION.DROP
 *     reader: ATTENTION taken · slots tail…head dropped · tail+1 each
 *
 * The attention word is taken before events are delivered, so a completion interrupt raised after the write is seen
 * after the drop. A full queue asks for everything to be dropped.
 */
import { ATTENTION, VCPU } from "../shared/layout.ts";
import type { StructView } from "./view.ts";

const SLOTS = VCPU.dropPages.count;

export function postDrop(view: StructView, hostPage: number): void {
  const head = view.load(VCPU.dropHead);
  const tail = view.load(VCPU.dropTail);
  if (((head - tail) | 0) >= SLOTS) view.store(VCPU.dropAll, 1);
  else {
    view.set(VCPU.dropPages, hostPage, head % SLOTS);
    view.store(VCPU.dropHead, (head + 1) | 0);
  }
  view.or(VCPU.attention, ATTENTION.DROP);
  view.notify(VCPU.attention);
}
