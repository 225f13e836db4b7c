/**
 * Waiting for another thread's word: first by looking at it for a moment, then asleep. To be woken costs some 20 µs on each
 * side, more than most accesses to a device take. But looking takes a core, so it is done only
 *
 *   - where the wait before was short, as KVM's halt polling has it: who waits for nothing sleeps at once;
 *   - where the host has a core for each vCPU and one for the device thread: else it would keep the other from its work;
 *   - where nobody else wants that core. A thread that looks uses up its share of a busy one, and is then held back for longer
 *     than any wait it has saved; one that sleeps gets the core as soon as it is woken. With 15 others on two cores an exit to
 *     the device thread took 290 µs by looking, 15 µs asleep;
 *   - by threads that may block: a page's main thread may not, and must not stand still in this way either.
 */

/** Looking longer than this is not worth its while. */
const LIMIT_MS = 0.1;
/** Looks between two at the clock. */
const LOOKS = 32;
/** Between two looks at the clock this long has passed: another thread had the core. */
const TAKEN_MS = 0.5;
/** After that there is no looking for so long at first, and at most; each time four times as long as before. */
const REST_MS = 50;
const LONGEST_REST_MS = 5000;

// Node's is a getter.
const clock = performance;

export class Spin {
  readonly #limit: number;
  readonly #now: () => number;
  #window = 0;
  #from = 0;
  /** No looking before this time. */
  #rests = Number.NEGATIVE_INFINITY;
  #rest = REST_MS;

  /** @param spare there is a core for each thread; see `spareCores` */
  constructor(spare: boolean, now = () => clock.now()) {
    this.#limit = spare ? LIMIT_MS : 0;
    this.#now = now;
  }

  /** Looks for a while whether `done`; false: it is time to sleep. `ended` must follow either. */
  until(done: () => boolean): boolean {
    if (!this.#limit) return done();
    this.#from = this.#now();
    if (this.#from < this.#rests) return done();
    const end = this.#from + this.#window;
    for (let last = this.#from; ; ) {
      for (let i = 0; i < LOOKS; i++) if (done()) return true;
      const now = this.#now();
      if (now - last > TAKEN_MS) {
        this.#rest = now - this.#rests > LONGEST_REST_MS ? REST_MS : Math.min(4 * this.#rest, LONGEST_REST_MS);
        this.#rests = now + this.#rest;
        return false;
      }
      if (now >= end) return false;
      last = now;
    }
  }

  /** The wait is over. */
  ended(): void {
    if (this.#limit) this.#window = this.#now() - this.#from < this.#limit ? this.#limit : 0;
  }
}

/** Whether `vcpus` and this thread, their device thread, can each have one of the host's `cores` and may look. */
export function spareCores(vcpus: number, cores: number | undefined): boolean {
  return cores !== undefined && vcpus < cores && mayBlock();
}

/** A page's main thread may not; it is told so by an exception. */
function mayBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}
