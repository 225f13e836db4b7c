/** Address ranges and who answers in them: the common part of the port and the memory bus. */
import type { IoHandler } from "../shared/device.ts";

export interface Range {
  readonly base: number;
  readonly length: number;
  readonly handler: IoHandler;
}

/** Ranges that do not overlap, found by binary search. */
export class RangeMap {
  #ranges: Range[] = [];

  /** Adds a range; throws RangeError if it overlaps one that is there. Returns a function that takes it out again. */
  attach(base: number, length: number, handler: IoHandler): () => void {
    if (!(length > 0)) throw new RangeError(`empty range at 0x${base.toString(16)}`);
    const at = this.#ranges.findIndex((r) => r.base > base);
    const i = at < 0 ? this.#ranges.length : at;
    const before = this.#ranges[i - 1];
    const after = this.#ranges[i];
    if ((before && before.base + before.length > base) || (after && base + length > after.base)) {
      throw new RangeError(`range 0x${base.toString(16)}+0x${length.toString(16)} overlaps another`);
    }
    const range = { base, length, handler };
    this.#ranges.splice(i, 0, range);
    return () => {
      const j = this.#ranges.indexOf(range);
      if (j >= 0) this.#ranges.splice(j, 1);
    };
  }

  find(address: number): Range | undefined {
    let lo = 0;
    let hi = this.#ranges.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (this.#ranges[mid].base <= address) lo = mid + 1;
      else hi = mid;
    }
    const r = this.#ranges[lo - 1];
    return r && address < r.base + r.length ? r : undefined;
  }
}
