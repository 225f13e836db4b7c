/**
 * A disk in chunks, as any server of plain files can hand it out: a manifest that names each chunk by the SHA-256 of its
 * contents, and beside it a file for each content.
 *
 *     manifest.json     {"format": "tabhyve-chunks", "version": 1, "size": bytes, "chunkSize": 262144,
 *                        "chunks": [SHA-256 in hexadecimal, or null for zeros, …],
 *                        "prefetch": [numbers of chunks, in the order in which a boot reads them]}
 *     chunks/SHA-256    a Zstandard frame; the last chunk is as long as what is left of the disk
 */
import { BlockError } from "../block.ts";

export interface ChunkManifest {
  /** Bytes of the disk. */
  readonly size: number;
  /** SHA-256 of each chunk's contents, in lower-case hexadecimal; null: zeros. */
  readonly chunks: readonly (string | null)[];
  readonly prefetch: readonly number[];
}

export const CHUNK = 0x4_0000;
const FORMAT = "tabhyve-chunks";
/** Bytes that a manifest may have: one of a disk of 40 GiB has half of them. */
export const MOST_MANIFEST = 24 << 20;

/** Where a chunk lies, from its manifest. */
export const chunkPath = (hash: string): string => `chunks/${hash}`;
/** Bytes of chunk n. */
export const chunkLength = (n: number, size: number): number => Math.min(CHUNK, size - n * CHUNK);

export const manifestText = ({ size, chunks, prefetch }: ChunkManifest): string =>
  `${JSON.stringify({ format: FORMAT, version: 1, size, chunkSize: CHUNK, chunks, prefetch })}\n`;

/** Whether a file may be a manifest, by its first bytes. */
export const looksLikeManifest = (head: Uint8Array): boolean =>
  new TextDecoder().decode(head.subarray(0, 64)).startsWith(`{"format":"${FORMAT}"`);

/** @throws BlockError with one line: the field, and what is wrong with it */
export function parseManifest(name: string, text: string): ChunkManifest {
  const fail = (why: string): never => {
    throw new BlockError(`${name}: not a manifest of chunks: ${why}`);
  };
  let data: Partial<Record<string, unknown>>;
  try {
    data = Object(JSON.parse(text));
  } catch {
    return fail("it is not JSON");
  }
  if (data.format !== FORMAT) fail(`“format” is not ${FORMAT}`);
  if (data.version !== 1) fail(`version ${String(data.version)}, this build reads 1`);
  if (data.chunkSize !== CHUNK) fail(`“chunkSize” is not ${CHUNK}`);
  const { size, chunks, prefetch = [] } = data;
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return fail("“size” is not a size");
  if (!Array.isArray(chunks) || chunks.length !== Math.ceil(size / CHUNK)) {
    return fail(`“chunks” is not a list of ${Math.ceil(size / CHUNK)}`);
  }
  const wrong = chunks.findIndex((hash) => hash !== null && !(typeof hash === "string" && /^[0-9a-f]{64}$/.test(hash)));
  if (wrong >= 0) fail(`chunk ${wrong} is neither a SHA-256 nor null`);
  const known = (n: unknown): boolean => Number.isInteger(n) && (n as number) >= 0 && (n as number) < chunks.length;
  if (!Array.isArray(prefetch) || !prefetch.every(known)) return fail("“prefetch” is not a list of chunks");
  return { size, chunks, prefetch };
}
