/**
 * Telling a vCPU that code has been overwritten behind its back, by the host or by another vCPU. Whether there is code
 * to drop is another protocol (assembly/mem/pageword.ts). Any number of writers; one reader, the vCPU (takeDrops in
 * assembly/decode/pages.ts). A slot says which lines of which backing page:
 *
 *     31                      12 11         6 5          0
 *     +-------------------------+------------+-----------+
 *     | backing address 31:12   | first line | last line |     0 = free; a line has 64 bytes
 *     +-------------------------+------------+-----------+
 *
 *     writer: memory is written · a free slot compared and exchanged, or one found that says the same; or, with none
 *             free, dropAll = 1 · ATTENTION.DROP
 *     reader: ATTENTION taken · dropAll taken · each slot exchanged for 0 and its lines dropped
 *
 * Nothing is lost: slot and dropAll are written before DROP is set and read after it is taken. A slot that says the same
 * serves two writers, because it was found after the bytes were written, so it is taken after that, too. The attention
 * word is looked at before each block of instructions, so what a writer does after the write (an interrupt, a flag in
 * memory) is acted on with the code dropped.
 */
import { ATTENTION, VCPU } from "../shared/layout.ts";
import type { StructView } from "./view.ts";

/** All 64 lines of a page. */
const WHOLE_PAGE = 63;

/** The host has written to a backing page. */
export function postDrop(view: StructView, hostPage: number): void {
  const { words } = view;
  const slots = view.index(VCPU.dropPages);
  const entry = hostPage | WHOLE_PAGE;
  let i = 0;
  for (; i < VCPU.dropPages.count; i++) {
    const was = Atomics.compareExchange(words, slots + i, 0, entry);
    if (was === 0 || was === entry) break;
  }
  if (i === VCPU.dropPages.count) view.store(VCPU.dropAll, 1);
  view.or(VCPU.attention, ATTENTION.DROP);
  view.notify(VCPU.attention);
}
