/** Reading and writing a piece of an open file whole: a system call may do less than it was asked for. */
import { fsync, readSync, writeSync } from "node:fs";
import { promisify } from "node:util";

/** What was written is safe. A disk may take seconds for it, in which neither a guest nor its console is to stand still. */
export const flushed = promisify(fsync);

/** Fills `into` from `at` on; false if the file ends before. */
export function readWhole(fd: number, at: number, into: Uint8Array): boolean {
  for (let done = 0; done < into.length; ) {
    const n = readSync(fd, into, done, into.length - done, at + done);
    if (n === 0) return false;
    done += n;
  }
  return true;
}

export function writeWhole(fd: number, at: number, from: Uint8Array): void {
  for (let done = 0; done < from.length; ) done += writeSync(fd, from, done, from.length - done, at + done);
}
