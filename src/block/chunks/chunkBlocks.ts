/**
 * A disk in chunks (manifest.ts), read. Each chunk is held to its hash before the guest sees a byte of it. What the list says
 * that a boot reads is fetched ahead, as far as it has room.
 */
import { BlockError, type BlockSource } from "../block.ts";
import type { Waiting } from "../patient.ts";
import type { Unzstd } from "../zstd.ts";
import { CHUNK, type ChunkManifest, chunkLength } from "./manifest.ts";

/** Chunks kept, 64 MiB; of them at most half are fetched ahead and not read yet. */
const KEPT = 256;
const MOST_AHEAD = KEPT / 2;
/** Fetched ahead at a time. */
const AT_ONCE = 4;

export interface ChunkOrigin {
  /** A chunk as it is stored; `fresh`: what any cache has of it is damaged. @throws BlockError */
  fetch(hash: string, fresh: boolean): Uint8Array | Promise<Uint8Array>;
  /** SHA-256 in lower-case hexadecimal. */
  sha256(bytes: Uint8Array): string | Promise<string>;
  readonly unzstd: Unzstd;
  /** Set by the disk: hears what is the matter with a server. */
  trouble?: Waiting | undefined;
}

export class ChunkBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly = true;
  /** The same for the same contents. */
  readonly version: string;
  readonly #name: string;
  readonly #manifest: ChunkManifest;
  readonly #origin: ChunkOrigin;
  readonly #kept = new Map<number, Uint8Array>();
  readonly #coming = new Map<number, Promise<Uint8Array>>();
  /** Fetched ahead and not read yet. */
  readonly #ahead = new Set<number>();
  #listed = 0;
  readonly #waiting: Waiting | undefined;
  /** Reads that wait, what is the matter with the server, and what of that was told. */
  #reads = 0;
  #trouble: string | undefined;
  #told: string | undefined;

  /** @param waiting hears when a read waits for a server that is out of reach */
  constructor(name: string, manifest: ChunkManifest, origin: ChunkOrigin, waiting?: Waiting, version = "") {
    this.version = version;
    this.#name = name;
    this.#manifest = manifest;
    this.#origin = origin;
    this.size = manifest.size;
    this.#waiting = waiting;
    origin.trouble = (why) => {
      this.#trouble = why;
      this.#tell();
    };
  }

  read(offset: number, into: Uint8Array): void | Promise<void> {
    const waiting: Promise<void>[] = [];
    for (let at = 0; at < into.length; ) {
      const n = Math.floor((offset + at) / CHUNK);
      const from = (offset + at) % CHUNK;
      const part = into.subarray(at, at + CHUNK - from);
      at += part.length;
      if (this.#manifest.chunks[n] === null) {
        part.fill(0);
        continue;
      }
      this.#ahead.delete(n);
      const put = (chunk: Uint8Array): void => part.set(chunk.subarray(from, from + part.length));
      const chunk = this.#get(n);
      if (chunk instanceof Promise) waiting.push(chunk.then(put));
      else put(chunk);
    }
    this.prefetch();
    return waiting.length ? this.#all(waiting) : undefined;
  }

  async #all(waiting: Promise<void>[]): Promise<void> {
    this.#reads++;
    this.#tell();
    try {
      await Promise.all(waiting);
    } finally {
      this.#reads--;
      this.#tell();
    }
  }

  /** What is only fetched ahead may wait without a word. */
  #tell(): void {
    const why = this.#reads ? this.#trouble : undefined;
    if (why === this.#told) return;
    this.#told = why;
    this.#waiting?.(why);
  }

  write(): never {
    throw new BlockError(`${this.#name}: cannot be written`);
  }

  flush(): void {}

  /** Fetches on along the list. What answers at once has no need of it. */
  prefetch(): void {
    const { prefetch, chunks } = this.#manifest;
    while (this.#listed < prefetch.length && this.#coming.size < AT_ONCE && this.#ahead.size < MOST_AHEAD) {
      const n = prefetch[this.#listed];
      if (chunks[n] === null || this.#kept.has(n) || this.#coming.has(n)) {
        this.#listed++;
        continue;
      }
      const chunk = this.#get(n);
      if (!(chunk instanceof Promise)) return;
      this.#listed++;
      this.#ahead.add(n);
      const next = (): void => this.prefetch();
      chunk.then(next, () => {
        // Who needs it asks again, and hears why it is not there.
        this.#ahead.delete(n);
        next();
      });
    }
  }

  #get(n: number): Uint8Array | Promise<Uint8Array> {
    const kept = this.#kept.get(n);
    if (kept) {
      // To the end: the one that was not read for longest goes first.
      this.#kept.delete(n);
      this.#kept.set(n, kept);
      return kept;
    }
    const coming = this.#coming.get(n);
    if (coming) return coming;
    const chunk = this.#load(n);
    if (!(chunk instanceof Promise)) return this.#keep(n, chunk);
    const work = chunk.then((bytes) => this.#keep(n, bytes)).finally(() => this.#coming.delete(n));
    this.#coming.set(n, work);
    return work;
  }

  #keep(n: number, chunk: Uint8Array): Uint8Array {
    this.#kept.set(n, chunk);
    for (const old of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#kept.delete(old);
      this.#ahead.delete(old);
    }
    return chunk;
  }

  #load(n: number): Uint8Array | Promise<Uint8Array> {
    const packed = this.#origin.fetch(this.#manifest.chunks[n] as string, false);
    if (!(packed instanceof Promise)) {
      // Who answers at once has no cache that could be damaged.
      const { bytes, why } = this.#unpack(n, packed) as Unpacked;
      return bytes ?? this.#damaged(n, why);
    }
    return packed.then((first) => this.#checked(n, first));
  }

  async #checked(n: number, packed: Uint8Array): Promise<Uint8Array> {
    const first = await this.#unpack(n, packed);
    if (first.bytes) return first.bytes;
    const again = await this.#unpack(n, await this.#origin.fetch(this.#manifest.chunks[n] as string, true));
    return again.bytes ?? this.#damaged(n, again.why);
  }

  #unpack(n: number, packed: Uint8Array): Unpacked | Promise<Unpacked> {
    const bytes = this.#origin.unzstd(packed, chunkLength(n, this.size));
    if (!bytes) return { why: "it cannot be unpacked" };
    const verdict = (found: string): Unpacked =>
      found === this.#manifest.chunks[n] ? { bytes } : { why: `its SHA-256 is ${found.slice(0, 16)}…` };
    const found = this.#origin.sha256(bytes);
    return found instanceof Promise ? found.then(verdict) : verdict(found);
  }

  #damaged(n: number, why = ""): never {
    const hash = this.#manifest.chunks[n] as string;
    throw new BlockError(
      `${this.#name}: chunk ${n} (${hash.slice(0, 16)}…, from byte ${n * CHUNK} on) is damaged: ${why}`,
    );
  }
}

interface Unpacked {
  readonly bytes?: Uint8Array;
  readonly why?: string;
}
