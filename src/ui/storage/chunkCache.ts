/**
 * Chunks of disks that were fetched, kept by the browser for the next time (Cache API), each under its address, which says what
 * it contains. What guests write comes first: nothing is put in once half of what the browser allows is used.
 */
import type { ChunkCache } from "../../block/chunks/remote.ts";

const NAME = "tabhyve-chunks";
/** Chunks between two looks at what is used. */
const LOOK = 64;

/** Undefined where the browser keeps nothing for the page. */
export async function chunkCache(): Promise<ChunkCache | undefined> {
  let cache: Cache;
  try {
    cache = await caches.open(NAME);
  } catch {
    return undefined;
  }
  let put = 0;
  let room = true;
  const keep = async (url: string, packed: Uint8Array): Promise<void> => {
    if (put++ % LOOK === 0) {
      const { usage = 0, quota = 0 } = await navigator.storage.estimate();
      room = usage < quota / 2;
    }
    if (room) await cache.put(url, new Response(packed as BodyInit));
  };
  return {
    get: async (url) => {
      const kept = await cache.match(url);
      return kept && new Uint8Array(await kept.arrayBuffer());
    },
    // Keeping is a favour: it may fail.
    put: (url, packed) => void keep(url, packed).catch(() => {}),
  };
}

export async function chunksAreKept(): Promise<boolean> {
  return (await globalThis.caches?.has(NAME).catch(() => false)) ?? false;
}

export async function forgetChunks(): Promise<void> {
  await caches.delete(NAME);
}
