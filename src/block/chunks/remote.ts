/** Chunks on a web server. */
import { hex } from "../../shared/bytes.ts";
import { BlockError } from "../block.ts";
import { type AskOptions, ask, bodyOf, Patience, type Waiting } from "../patient.ts";
import { loadZstd, type Unzstd } from "../zstd.ts";
import { ChunkBlocks, type ChunkOrigin } from "./chunkBlocks.ts";
import { chunkPath, MOST_MANIFEST, parseManifest } from "./manifest.ts";

/** Where packed chunks outlive the machine; what it gives back is checked like what a server sends. */
export interface ChunkCache {
  get(url: string): Promise<Uint8Array | undefined>;
  put(url: string, packed: Uint8Array): void;
}

export interface RemoteChunkOptions extends Pick<AskOptions, "fetch" | "timeoutMs"> {
  readonly waiting?: Waiting | undefined;
  readonly cache?: ChunkCache | undefined;
  /** What the manifest's SHA-256 must be, in lower-case hexadecimal. */
  readonly sha256?: string | undefined;
}

/** SHA-256 by Web Crypto, in lower-case hexadecimal. */
export async function sha256Hex(bytes: Uint8Array): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource)));
}

class RemoteChunks implements ChunkOrigin {
  readonly sha256 = sha256Hex;
  readonly unzstd: Unzstd;
  readonly #base: string;
  readonly #options: RemoteChunkOptions;
  readonly #patience = new Patience((why) => this.trouble?.(why));
  trouble: Waiting | undefined;

  constructor(base: string, unzstd: Unzstd, options: RemoteChunkOptions) {
    this.#base = base;
    this.unzstd = unzstd;
    this.#options = options;
  }

  async fetch(hash: string, fresh: boolean): Promise<Uint8Array> {
    const { fetch, timeoutMs, cache } = this.#options;
    const url = new URL(chunkPath(hash), this.#base).href;
    const kept = fresh ? undefined : await cache?.get(url);
    if (kept) return kept;
    // What is kept here need not be kept by the browser and the service worker, too.
    const mode = fresh ? "reload" : cache ? "no-store" : "default";
    const packed = await this.#patience.until(async () =>
      bodyOf(url, await ask(url, { fetch, timeoutMs, cache: mode })),
    );
    cache?.put(url, packed);
    return packed;
  }
}

/**
 * Opens the disk of a manifest, and begins to fetch what its list says.
 *
 * @throws BlockError with one line
 */
export async function openRemoteChunks(url: string, options: RemoteChunkOptions = {}): Promise<ChunkBlocks> {
  const { fetch, timeoutMs } = options;
  const bytes = await bodyOf(url, await ask(url, { fetch, timeoutMs }));
  if (bytes.length > MOST_MANIFEST) throw new BlockError(`${url}: ${bytes.length} bytes are too many for a manifest`);
  if (options.sha256 !== undefined && (await sha256Hex(bytes)) !== options.sha256) {
    throw new BlockError(`${url}: is not what was promised: its SHA-256 is another`);
  }
  const manifest = parseManifest(url, new TextDecoder().decode(bytes));
  const version = await sha256Hex(new TextEncoder().encode(manifest.chunks.join()));
  const origin = new RemoteChunks(url, await loadZstd(), options);
  const blocks = new ChunkBlocks(url, manifest, origin, options.waiting, version);
  blocks.prefetch();
  return blocks;
}
