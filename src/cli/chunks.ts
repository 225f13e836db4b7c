/** `tabhyve chunks`: makes a disk in chunks (src/block/chunks/manifest.ts) of an image, for any server of plain files. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BlockError } from "../block/block.ts";
import { CHUNK, chunkLength, chunkPath, manifestText } from "../block/chunks/manifest.ts";
import { openImage } from "./media.ts";
import { reason, UsageError } from "./options.ts";

/** Zstandard's; from here on up a chunk takes twice as long for a few per cent less. */
const LEVEL = 9;

export interface ChunkWords {
  /** File with numbers of chunks, one a line, in the order in which a boot reads them. */
  readonly prefetch?: string;
}

export interface Chunked {
  readonly chunks: number;
  readonly zeros: number;
  /** Files that were written; the others had been there. */
  readonly written: number;
  /** Bytes of the disk, and of all its different chunks as they are stored. */
  readonly bytes: number;
  readonly stored: number;
}

/**
 * Chunks that are in the folder already are left as they are, so an image that has changed a little costs a little.
 *
 * @throws UsageError with one line
 */
export async function makeChunks(image: string, folder: string, { prefetch }: ChunkWords): Promise<Chunked> {
  const { Zstd } = await import("@hpcc-js/wasm-zstd");
  const zstd = await Zstd.load();
  try {
    const disk = await openImage(image, { readOnly: true });
    const count = Math.ceil(disk.size / CHUNK);
    const list = prefetch === undefined ? [] : parseList(prefetch, count);
    mkdirSync(join(folder, "chunks"), { recursive: true });
    const chunks: (string | null)[] = [];
    const sizes = new Map<string, number>();
    let written = 0;
    for (let n = 0; n < count; n++) {
      const bytes = new Uint8Array(chunkLength(n, disk.size));
      await disk.read(n * CHUNK, bytes);
      if (isZero(bytes)) {
        chunks.push(null);
        continue;
      }
      const hash = createHash("sha256").update(bytes).digest("hex");
      chunks.push(hash);
      if (sizes.has(hash)) continue;
      const file = join(folder, chunkPath(hash));
      if (existsSync(file)) {
        sizes.set(hash, readFileSync(file).length);
        continue;
      }
      const packed = zstd.compress(bytes, LEVEL);
      // A file of that name is whole, even if this process is killed.
      writeFileSync(`${file}.part`, packed);
      renameSync(`${file}.part`, file);
      sizes.set(hash, packed.length);
      written++;
    }
    const manifest = join(folder, "manifest.json");
    writeFileSync(`${manifest}.part`, manifestText({ size: disk.size, chunks, prefetch: list }));
    renameSync(`${manifest}.part`, manifest);
    const stored = [...sizes.values()].reduce((a, b) => a + b, 0);
    return { chunks: count, zeros: chunks.filter((hash) => hash === null).length, written, bytes: disk.size, stored };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (error instanceof BlockError) throw new UsageError(error.message);
    throw new UsageError(`${(error as NodeJS.ErrnoException).path ?? image}: ${reason(error)}`);
  }
}

const isZero = (bytes: Uint8Array): boolean => {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]) return false;
  return true;
};

function parseList(file: string, count: number): number[] {
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.trim());
  return lines.map((line, i) => {
    const n = /^\s*\d+\s*$/.test(line) ? Number(line) : -1;
    if (n < 0 || n >= count) throw new UsageError(`--prefetch ${file}: line ${i + 1} is no chunk of 0 to ${count - 1}`);
    return n;
  });
}
