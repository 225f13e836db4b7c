/** The device thread's end of posted writes: where the ranges are. The protocol: assembly/posted.ts. */
import { CONTROL } from "../shared/layout.ts";
import { POSTED, type PostedWrites } from "../shared/postedWrites.ts";
import { ringDoorbell } from "../vcpu/exitWord.ts";
import type { StructView } from "../vcpu/view.ts";

export class PostedRanges {
  readonly #control: StructView;
  readonly #free = Array.from({ length: POSTED.RANGES }, (_, n) => POSTED.RANGES - 1 - n);

  constructor(control: StructView) {
    this.#control = control;
  }

  /** The device's registers begin at `base` now. Returns what takes the range away again; without room, writes leave by exits. */
  attach(base: number, writes: PostedWrites): () => void {
    // The core looks for addresses of 32 bits.
    const range = base + writes.offset + writes.length > 2 ** 32 ? undefined : this.#free.pop();
    if (range === undefined) return () => {};
    this.#store(range, POSTED.BASE, base + writes.offset);
    this.#store(range, POSTED.QUIET, writes.quiet);
    this.#store(range, POSTED.LENGTH, writes.length);
    writes.onQuiet = (bits) => {
      this.#store(range, POSTED.QUIET, bits);
      // There may be some already that nobody was woken for.
      ringDoorbell(this.#control);
    };
    return () => {
      writes.onQuiet = undefined;
      this.#store(range, POSTED.LENGTH, 0);
      this.#free.push(range);
    };
  }

  #store(range: number, word: number, value: number): void {
    Atomics.store(this.#control.words, this.#control.index(CONTROL.posted) + range * POSTED.WORDS + word, value | 0);
  }
}
