/**
 * A server that is out of reach is waited for: the guest's disk is busy meanwhile, and goes on when the server answers. Nobody
 * can tell a cable that is out from one that will never be in again, so there is no last try.
 */
import { BlockError } from "./block.ts";

/** The server cannot be reached now; the same request may be answered later. */
export class UnreachableError extends BlockError {}

/** Hears why a read that the guest waits for does not go on; undefined: it does. */
export type Waiting = (why: string | undefined) => void;

/** Milliseconds before the second try, doubled for each one up to the most. */
const FIRST_MS = 500;
const MOST_MS = 30_000;

/** Patience with one server. */
export class Patience {
  readonly #waiting: Waiting;
  readonly #sleepers = new Set<() => void>();
  #failing = false;

  constructor(waiting: Waiting = () => {}) {
    this.#waiting = waiting;
  }

  /** Does `work` until the server is there. @throws what is not an UnreachableError */
  async until<T>(work: () => Promise<T>): Promise<T> {
    for (let ms = FIRST_MS; ; ms = Math.min(2 * ms, MOST_MS)) {
      try {
        const result = await work();
        this.#answered();
        return result;
      } catch (error) {
        if (!(error instanceof UnreachableError)) {
          this.#answered();
          throw error;
        }
        this.#failing = true;
        this.#waiting(error.message);
      }
      await this.#sleep(ms);
    }
  }

  /** Whoever else waits for the server need not wait any longer. */
  #answered(): void {
    if (!this.#failing) return;
    this.#failing = false;
    this.#waiting(undefined);
    for (const wake of [...this.#sleepers]) wake();
  }

  /** Waits so long, or until the browser says that it is on line again. */
  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const host = globalThis as Partial<EventTarget>;
      const done = (): void => {
        clearTimeout(timer);
        host.removeEventListener?.("online", done);
        this.#sleepers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      host.addEventListener?.("online", done);
      this.#sleepers.add(done);
    });
  }
}

const TIMEOUT_MS = 30_000;

export interface AskOptions {
  /** Default: the platform's. */
  readonly fetch?: typeof fetch | undefined;
  /** Until the answer has begun; default 30 s. */
  readonly timeoutMs?: number | undefined;
  readonly headers?: Record<string, string>;
  /** Of the browser (fetch's `cache`). */
  readonly cache?: "default" | "reload" | "no-store";
}

/**
 * One request.
 *
 * @throws UnreachableError: no connection, no answer, or the server says that it is overloaded; BlockError: it refuses
 */
export async function ask(url: string, options: AskOptions = {}): Promise<Response> {
  const send = options.fetch ?? fetch;
  let response: Response;
  try {
    response = await send(url, {
      headers: options.headers ?? {},
      signal: AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS),
      // Node's types do not know it.
      ...{ cache: options.cache ?? "default" },
    });
  } catch (error) {
    throw new UnreachableError(
      (error as Error).name === "TimeoutError"
        ? `${url}: no answer from the server`
        : `${url}: cannot be fetched; the server is not there, or does not let other sites read it (CORS)`,
    );
  }
  if (response.ok) return response;
  await response.body?.cancel();
  const { status } = response;
  const Kind = status === 408 || status === 429 || status >= 500 ? UnreachableError : BlockError;
  const why = status === 416 ? ": the file is empty, or shorter than it was" : "";
  throw new Kind(`${url}: the server answered ${status}${why}`);
}

/** All of an answer's bytes. @throws UnreachableError when the connection breaks */
export async function bodyOf(url: string, response: Response): Promise<Uint8Array> {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch {
    throw new UnreachableError(`${url}: the transfer was broken off`);
  }
}
