import { triggerYield } from "../machine/yield.ts";
import { hex } from "../shared/bytes.ts";
import type { SiteFile } from "./guests.ts";

/** A file of a guest could not be fetched, or is not the file the manifest promised. */
export class DownloadError extends Error {
  readonly kind: "network" | "hash";
  constructor(kind: "network" | "hash", message: string) {
    super(message);
    this.name = "DownloadError";
    this.kind = kind;
  }
}

export interface DownloadProgress {
  /** Bytes of this file that have arrived. */
  received: number;
  phase: "fetching" | "checking" | "done";
  /** False where the page may not hash (crypto.subtle is missing outside secure contexts). */
  verified?: boolean;
}

/**
 * Where a file of a guest lies. The hash in the query makes the address name its content: the service worker may
 * answer from its cache for ever, and a new build of the guest never meets an old file.
 */
export function guestFileUrl(base: URL, file: SiteFile): URL {
  return new URL(`guests/${file.name}?sha256=${file.sha256}`, base);
}

/** For addresses that a stranger has named: nothing of the person's goes along, and no redirection leads elsewhere. */
export const FOREIGN = { credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" } as const;

/** Milliseconds of reading before the thread's other work gets its turn. */
const SLICE_MS = 8;
/** Between two tellings of how much has come. */
const PROGRESS_MS = 100;

/** Addresses that gave wrong bytes: the next attempt goes past every cache and replaces what they hold. */
const bad = new Set<string>();

/**
 * Fetches one file into memory and checks its size and SHA-256.
 * @param progress told of each phase, and now and then how much has come; the last call has phase "done"
 * @throws DownloadError, or the signal's AbortError
 */
export async function download(
  base: URL,
  file: SiteFile,
  progress: (p: DownloadProgress) => void,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const url = file.url === undefined ? guestFileUrl(base, file) : new URL(file.url);
  progress({ received: 0, phase: "fetching" });
  let told = performance.now();
  // A chunk comes every millisecond, and each time the page would be drawn.
  const received = (bytes: number): void => {
    const now = performance.now();
    if (now - told < PROGRESS_MS) return;
    told = now;
    progress({ received: bytes, phase: "fetching" });
  };
  const data = await fetchBytes(url, file, received, signal);
  progress({ received: data.length, phase: "checking" });
  const found = await sha256(data);
  if (data.length !== file.bytes || (found !== undefined && found !== file.sha256)) {
    bad.add(url.href);
    const sizes = data.length === file.bytes ? "" : ` It has ${data.length} bytes, promised were ${file.bytes}.`;
    const hashes =
      found === undefined ? "" : ` SHA-256 is ${found.slice(0, 16)}…, promised was ${file.sha256.slice(0, 16)}….`;
    throw new DownloadError("hash", `${file.name} does not match the manifest.${sizes}${hashes}`);
  }
  progress({ received: data.length, phase: "done", verified: found !== undefined });
  return data;
}

async function fetchBytes(
  url: URL,
  file: SiteFile,
  received: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  let got = 0;
  try {
    const cache = bad.delete(url.href) ? "reload" : "default";
    const response = await fetch(url, { signal, cache, ...(file.url !== undefined && FOREIGN) });
    if (!response.ok || !response.body) {
      throw new DownloadError(
        "network",
        `The server answered ${response.status} ${response.statusText} for ${file.name}.`,
      );
    }
    // The manifest knows the size, so the common case fills one buffer and never copies.
    let data = new Uint8Array(file.bytes);
    let since = performance.now();
    for (const reader = response.body.getReader(); ; ) {
      // What has come already is read in one task, however much it is.
      if (performance.now() - since > SLICE_MS) {
        await new Promise<void>(triggerYield);
        since = performance.now();
      }
      const { done, value } = await reader.read();
      if (done) return data.subarray(0, got);
      if (file.url !== undefined && got + value.length > file.bytes) {
        await reader.cancel();
        throw new DownloadError("hash", `${file.name} has more than the ${file.bytes} bytes that were promised.`);
      }
      if (got + value.length > data.length) {
        const grown = new Uint8Array(Math.max(data.length * 2, got + value.length));
        grown.set(data.subarray(0, got));
        data = grown;
      }
      data.set(value, got);
      got += value.length;
      received(got);
    }
  } catch (error) {
    if (signal.aborted || error instanceof DownloadError) throw error;
    const where = got ? `stopped after ${got} of ${file.bytes} bytes` : "could not be reached";
    throw new DownloadError("network", `${file.name} ${where} (${(error as Error).message}).`);
  }
}

/** Lower-case hex, or undefined where the browser does not offer hashing (plain http on a foreign host). */
export async function sha256(data: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
  if (!globalThis.crypto?.subtle) return undefined;
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
}
