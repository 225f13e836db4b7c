/** A buffer of a guest in several runs of its memory: what PRPs and the descriptors of a queue name. */
import type { GuestMemory } from "../shared/device.ts";

export interface Piece {
  /** Guest physical address. */
  readonly gpa: number;
  /** Bytes. */
  readonly length: number;
}

export const byteLength = (pieces: readonly Piece[]): number => pieces.reduce((sum, { length }) => sum + length, 0);

/** Fills `into` from the pieces' beginning on. */
export function gather(memory: GuestMemory, pieces: readonly Piece[], into: Uint8Array): void {
  let at = 0;
  for (const { gpa, length } of pieces) {
    if (at === into.length) break;
    const n = Math.min(length, into.length - at);
    memory.read(gpa, into.subarray(at, at + n));
    at += n;
  }
}

/** Writes `from` into the pieces, `offset` bytes after their beginning; how many bytes found room. */
export function scatter(memory: GuestMemory, pieces: readonly Piece[], from: Uint8Array, offset = 0): number {
  let at = 0;
  let skip = offset;
  for (const { gpa, length } of pieces) {
    if (at === from.length) break;
    if (skip >= length) {
      skip -= length;
      continue;
    }
    const n = Math.min(length - skip, from.length - at);
    memory.write(gpa + skip, from.subarray(at, at + n));
    at += n;
    skip = 0;
  }
  return at;
}
