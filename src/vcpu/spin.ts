/**
 * Waiting for another thread's word: for a moment by looking at it, then asleep. To be woken costs some 20 µs on each side,
 * more than most accesses to a device take; but who waits for nothing must not keep a core. So a wait looks only where
 * the one before was short, as KVM's halt polling does.
 */

/** Looking longer than this is not worth its while. */
const LIMIT_MS = 0.1;
/** Looks between two at the clock. */
const LOOKS = 32;

export class Spin {
  readonly #limit: number;
  #window = 0;
  #from = 0;

  /** @param spare the host has a core for each thread: without, who looks keeps the other from its work */
  constructor(spare: boolean) {
    this.#limit = spare ? LIMIT_MS : 0;
  }

  /** Looks for a while whether `done`; false: it is time to sleep. `ended` must follow either. */
  until(done: () => boolean): boolean {
    if (!this.#limit) return done();
    const from = performance.now();
    this.#from = from;
    const end = from + this.#window;
    do {
      for (let i = 0; i < LOOKS; i++) if (done()) return true;
    } while (performance.now() < end);
    return false;
  }

  /** The wait is over. */
  ended(): void {
    if (this.#limit) this.#window = performance.now() - this.#from < this.#limit ? this.#limit : 0;
  }
}
