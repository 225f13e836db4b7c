/** Memory-mapped registers whose writes no vCPU waits for, as a device tells of them; the protocol: assembly/posted.ts. */

/** Indices of a range's words in `Control.posted`, of which there are RANGES. */
export const POSTED = {
  /** Guest physical address; bytes, 0: none. */
  BASE: 0,
  LENGTH: 1,
  /** Bits of an address. */
  QUIET: 2,
  WORDS: 3,
  /** One for each PCI slot. */
  RANGES: 32,
} as const;

/** A part of a range of registers: doorbells, which only ever are written. */
export class PostedWrites {
  readonly offset: number;
  readonly length: number;
  /** Who is told of `quiet`, while the range is somewhere. */
  onQuiet: ((bits: number) => void) | undefined;
  #quiet: number;

  /** @param offset from the range's beginning; @param length in bytes; @param quiet see there */
  constructor(offset: number, length: number, quiet = 0) {
    this.offset = offset;
    this.length = length;
    this.#quiet = quiet;
  }

  /** Writes to addresses with one of these bits are carried out when something else is: the device does not wait for them. */
  get quiet(): number {
    return this.#quiet;
  }

  set quiet(bits: number) {
    if (bits === this.#quiet) return;
    this.#quiet = bits;
    this.onQuiet?.(bits);
  }
}
