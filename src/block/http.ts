/**
 * An image on a web server, of which only what the guest reads is fetched (RFC 9110, 14: Range). Chunks are kept, the least
 * recently used go first; who reads on and on gets more at a time, up to a mebibyte ahead.
 */
import { BlockError, type BlockSource } from "./block.ts";
import { type AskOptions, ask, bodyOf, Patience, type Waiting } from "./patient.ts";

const CHUNK = 0x1_0000;
/** Chunks kept: 64 MiB. */
const KEPT = 1024;
const MOST_AHEAD = 16;

export interface HttpOptions extends Pick<AskOptions, "fetch" | "timeoutMs"> {
  readonly waiting?: Waiting | undefined;
}

export class HttpBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly = true;
  readonly #url: string;
  /** Tells one version of the file from another; empty: the server does not say. */
  readonly version: string;
  readonly #options: HttpOptions;
  readonly #patience: Patience;
  readonly #chunks = new Map<number, Uint8Array>();
  readonly #coming = new Map<number, Promise<void>>();
  #next = 0;
  #ahead = 1;

  private constructor(url: string, size: number, version: string, options: HttpOptions) {
    this.#url = url;
    this.size = size;
    this.version = version;
    this.#options = options;
    this.#patience = new Patience(options.waiting);
  }

  /**
   * Asks the server for the first byte, and so for the size.
   *
   * @throws BlockError with one line: not there, no CORS, no ranges, empty
   */
  static async open(url: string, options: HttpOptions = {}): Promise<HttpBlocks> {
    const response = await request(url, 0, 0, options);
    const range = /^bytes 0-0\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
    await response.body?.cancel();
    if (response.status !== 206 || !range) {
      throw new BlockError(
        `${url}: the server does not send parts of a file (it ignores Range, or hides Content-Range)`,
      );
    }
    return new HttpBlocks(url, Number(range[1]), versionOf(response), options);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    const first = Math.floor(offset / CHUNK);
    const last = Math.floor((offset + into.length - 1) / CHUNK);
    // Reading on where the last read has ended doubles what is fetched at a time.
    this.#ahead = first === this.#next || first === this.#next - 1 ? Math.min(this.#ahead * 2, MOST_AHEAD) : 1;
    this.#next = last + 1;
    // Not before the chunk after this one is missing, so that it comes in few large pieces.
    const more = this.#chunks.has(last + 1) || this.#coming.has(last + 1) ? 1 : this.#ahead;
    const end = Math.min(Math.ceil(this.size / CHUNK), last + more);
    const waiting: Promise<void>[] = [];
    for (let n = first; n < end; ) {
      const coming = this.#coming.get(n);
      if (coming && n <= last) waiting.push(coming);
      if (coming || this.#chunks.has(n)) {
        n++;
        continue;
      }
      let stop = n + 1;
      while (stop < end && !this.#chunks.has(stop) && !this.#coming.has(stop)) stop++;
      const fetched = this.#fetch(n, stop);
      if (n <= last) waiting.push(fetched);
      // What is only fetched ahead may fail; who needs it asks again.
      else fetched.catch(() => {});
      n = stop;
    }
    await Promise.all(waiting);
    for (let n = first; n <= last; n++) {
      const chunk = this.#chunks.get(n);
      if (!chunk) throw new BlockError(`${this.#url}: a part was lost`);
      this.#chunks.delete(n);
      this.#chunks.set(n, chunk);
      const from = Math.max(offset, n * CHUNK);
      const to = Math.min(offset + into.length, (n + 1) * CHUNK);
      into.set(chunk.subarray(from - n * CHUNK, to - n * CHUNK), from - offset);
    }
    for (const n of this.#chunks.keys()) {
      if (this.#chunks.size <= KEPT) break;
      this.#chunks.delete(n);
    }
  }

  write(): never {
    throw new BlockError(`${this.#url}: cannot be written`);
  }

  flush(): void {}

  #fetch(from: number, to: number): Promise<void> {
    const work = this.#load(from, to).finally(() => {
      for (let n = from; n < to; n++) this.#coming.delete(n);
    });
    for (let n = from; n < to; n++) this.#coming.set(n, work);
    return work;
  }

  async #load(from: number, to: number): Promise<void> {
    const start = from * CHUNK;
    const end = Math.min(this.size, to * CHUNK);
    const bytes = await this.#patience.until(async () => {
      const response = await request(this.#url, start, end - 1, this.#options);
      const body = await bodyOf(this.#url, response);
      if (response.status === 206 && body.length === end - start && versionOf(response) === this.version) return body;
      throw new BlockError(`${this.#url}: the file on the server has changed`);
    });
    for (let n = from; n < to; n++) this.#chunks.set(n, bytes.subarray((n - from) * CHUNK, (n - from + 1) * CHUNK));
  }
}

const versionOf = (response: Response): string =>
  response.headers.get("etag") ?? response.headers.get("last-modified") ?? "";

const request = (url: string, first: number, last: number, { fetch, timeoutMs }: HttpOptions): Promise<Response> =>
  ask(url, { fetch, timeoutMs, headers: { range: `bytes=${first}-${last}` } });
