/**
 * Turns of vCPUs that have threads of their own but may not execute at once, because the host's memory order is weaker than
 * the guest's (hostOrder.ts). Between two turns go atomic operations, so that each sees all that the others have done.
 *
 *     take --its turn has come--> executes --told to stop, or with an exit for the caller--> give
 *
 * Who executes is told to stop when others wait and its time is up; what runs it then asks for another turn. One that is
 * halted keeps nobody waiting for long, but has its turns: it looks itself whether its timer or an interrupt has come.
 */
import { RUN_STATE, VCPU } from "../shared/layout.ts";
import { requestStop } from "./attention.ts";
import type { StructView } from "./view.ts";

/** Milliseconds of a turn while others wait, and how often it is looked whether it halts. */
const TURN_MS = 10;
const LOOK_MS = 1;

export class Turns {
  readonly #views: readonly StructView[];
  readonly #waiting: { readonly id: number; readonly begin: () => void }[] = [];
  #now: number | undefined;
  #since = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(views: readonly StructView[]) {
    this.#views = views;
  }

  /** Resolves when vCPU `id` may execute. */
  take(id: number): Promise<void> {
    return new Promise((begin) => {
      this.#waiting.push({ id, begin });
      this.#next();
    });
  }

  /** vCPU `id` executes nothing until it has taken another turn. */
  give(id: number): void {
    if (this.#now !== id) return;
    this.#now = undefined;
    this.#next();
  }

  #next(): void {
    if (this.#now === undefined) {
      const next = this.#waiting.shift();
      this.#now = next?.id;
      this.#since = performance.now();
      next?.begin();
    }
    if (!this.#waiting.length) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
  }

  #look(): void {
    if (this.#now === undefined) return;
    const view = this.#views[this.#now];
    const halted = view.get(VCPU.runState) !== RUN_STATE.RUNNING && !view.load(VCPU.attention);
    if (halted || performance.now() - this.#since >= TURN_MS) requestStop(view);
  }
}
