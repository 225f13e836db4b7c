/**
 * Waiting for another thread's word: first by looking at it for a moment, then asleep. To be woken costs some 20 µs on each
 * side, more than most accesses to a device take. But looking takes a core, so it is done only
 *
 *   - where the wait before was short, as KVM's halt polling has it: who waits for nothing sleeps at once;
 *   - where the host has a core for each vCPU and one for the device thread: else it would keep the other from its work;
 *   - by threads that may block: a page's main thread may not, and must not stand still in this way either.
 */

/** Looking longer than this is not worth its while. */
const LIMIT_MS = 0.1;
/** Looks between two at the clock. */
const LOOKS = 32;

// Node's is a getter.
const clock = performance;

export class Spin {
  readonly #limit: number;
  readonly #now: () => number;
  #window = 0;
  #from = 0;

  /** @param spare there is a core for each thread; see `spareCores` */
  constructor(spare: boolean, now = () => clock.now()) {
    this.#limit = spare ? LIMIT_MS : 0;
    this.#now = now;
  }

  /** Looks for a while whether `done`; false: it is time to sleep. `ended` must follow either. */
  until(done: () => boolean): boolean {
    if (!this.#limit) return done();
    this.#from = this.#now();
    const end = this.#from + this.#window;
    do {
      for (let i = 0; i < LOOKS; i++) if (done()) return true;
    } while (this.#now() < end);
    return false;
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
