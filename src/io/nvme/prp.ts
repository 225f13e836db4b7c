/**
 * Physical Region Pages (NVM Express 1.4, 4.3): where a command's data lies. PRP 1 is the first page, from an offset on; PRP 2
 * the second, or, when there are more, a list of them whose last entry goes on to another list.
 */
import type { GuestMemory } from "../../shared/device.ts";
import type { Piece } from "../pieces.ts";
import { address, PAGE } from "./nvmeRegs.ts";

const ENTRY = 8;

/** The pieces of `length` bytes, or undefined: some page has an offset that it must not have. */
export function prpPieces(memory: GuestMemory, prp1: number, prp2: number, length: number): Piece[] | undefined {
  if (prp1 % 4) return undefined;
  const first = Math.min(length, PAGE - (prp1 % PAGE));
  const pieces: Piece[] = [{ gpa: prp1, length: first }];
  let left = length - first;
  if (left === 0) return pieces;
  if (left <= PAGE) return prp2 % PAGE ? undefined : [...pieces, { gpa: prp2, length: left }];
  if (prp2 % ENTRY) return undefined;
  for (let list = prp2; left > 0; ) {
    const room = (PAGE - (list % PAGE)) / ENTRY;
    const needed = Math.ceil(left / PAGE);
    const count = Math.min(room, needed);
    const bytes = new Uint8Array(count * ENTRY);
    memory.read(list, bytes);
    const view = new DataView(bytes.buffer);
    const entry = (n: number): number => address(view.getUint32(n * ENTRY, true), view.getUint32(n * ENTRY + 4, true));
    const pages = needed > room ? count - 1 : count;
    for (let n = 0; n < pages; n++) {
      const gpa = entry(n);
      if (gpa % PAGE) return undefined;
      pieces.push({ gpa, length: Math.min(left, PAGE) });
      left -= Math.min(left, PAGE);
    }
    if (needed > room) {
      list = entry(count - 1);
      // A list that goes on does so at the beginning of a page, so that every list has at least one page in it.
      if (list % PAGE) return undefined;
    }
  }
  return pieces;
}
