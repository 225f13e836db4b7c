/**
 * Work that may have to wait in the middle, as a generator: what is there already is used at once, so that over a folder that
 * answers at once the whole of it is done when `run` returns.
 */
import type { Later } from "./folder.ts";

export type Steps<T> = Generator<Promise<unknown>, T, unknown>;

/** `yield* value(x)`: x, or what its promise gives. */
export function* value<T>(later: Later<T>): Steps<T> {
  return later instanceof Promise ? ((yield later) as T) : later;
}

/** Does the steps; `done` gets the result, or what was thrown. */
export function run<T>(steps: Steps<T>, done: (result: { value: T } | { error: unknown }) => void): void {
  const go = (resume: () => IteratorResult<Promise<unknown>, T>): void => {
    let next: IteratorResult<Promise<unknown>, T>;
    try {
      next = resume();
    } catch (error) {
      done({ error });
      return;
    }
    if (next.done) done({ value: next.value });
    else {
      next.value.then(
        (got) => go(() => steps.next(got)),
        (error) => go(() => steps.throw(error)),
      );
    }
  };
  go(() => steps.next());
}
