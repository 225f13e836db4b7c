/**
 * Guest memory in a snapshot: pages that are not all zeros, in runs, compressed as one deflate stream:
 *
 *     run   { u32 first page · u32 pages · the pages }      u32 0xffffffff ends it
 */
import { SnapshotError } from "../shared/device.ts";
import { PAGE_SIZE } from "../shared/layout.ts";

const END = 0xffff_ffff;
/** Longest run, so that pieces stay small. */
const RUN_PAGES = 256;

/** Copies of the pages with something in them; taken at once, so that the guest may go on. */
export function collectPages(memory: Uint8Array): Uint8Array[] {
  const words = new BigUint64Array(memory.buffer, memory.byteOffset, memory.length / 8);
  const perPage = PAGE_SIZE / 8;
  const pages = memory.length / PAGE_SIZE;
  const empty = (page: number): boolean => {
    for (let i = page * perPage, end = i + perPage; i < end; i++) if (words[i]) return false;
    return true;
  };
  const pieces: Uint8Array[] = [];
  for (let page = 0; page < pages; ) {
    if (empty(page)) {
      page++;
      continue;
    }
    let n = 1;
    while (n < RUN_PAGES && page + n < pages && !empty(page + n)) n++;
    pieces.push(new Uint8Array(Uint32Array.of(page, n).buffer));
    pieces.push(memory.slice(page * PAGE_SIZE, (page + n) * PAGE_SIZE));
    page += n;
  }
  pieces.push(new Uint8Array(Uint32Array.of(END).buffer));
  return pieces;
}

/** Compresses pieces, one after the other; `progress` gets the share that is done. */
export async function compress(pieces: readonly Uint8Array[], progress?: (share: number) => void): Promise<Uint8Array> {
  const total = pieces.reduce((n, p) => n + p.length, 0);
  let done = 0;
  let next = 0;
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = pieces[next++];
      if (!piece) return controller.close();
      controller.enqueue(piece);
      done += piece.length;
      progress?.(done / total);
    },
  });
  return gather(source.pipeThrough(new CompressionStream("deflate-raw") as never));
}

/** @throws SnapshotError for what is no deflate stream */
export async function inflate(bytes: Uint8Array): Promise<Uint8Array> {
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  try {
    return await gather(source.pipeThrough(new DecompressionStream("deflate-raw") as never));
  } catch {
    throw new SnapshotError("snapshot", "a compressed part cannot be unpacked");
  }
}

async function gather(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (const reader = stream.getReader(); ; ) {
    const { value, done } = await reader.read();
    if (done) break;
    chunks.push(value);
  }
  const out = new Uint8Array(chunks.reduce((n, c) => n + c.length, 0));
  let at = 0;
  for (const c of chunks) {
    out.set(c, at);
    at += c.length;
  }
  return out;
}

/**
 * The runs of an unpacked stream, checked against `pages` of memory.
 *
 * @throws SnapshotError; `put` has not been called
 */
export function readRuns(bytes: Uint8Array, pages: number): { page: number; bytes: Uint8Array }[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const runs: { page: number; bytes: Uint8Array }[] = [];
  let next = 0;
  for (let at = 0; ; ) {
    if (at + 4 > bytes.length) throw new SnapshotError("memory", "ends in the middle of a run");
    const page = view.getUint32(at, true);
    if (page === END) {
      if (at + 4 !== bytes.length) throw new SnapshotError("memory", "goes on after its end");
      return runs;
    }
    const n = at + 8 <= bytes.length ? view.getUint32(at + 4, true) : 0;
    const end = at + 8 + n * PAGE_SIZE;
    if (n === 0 || page < next || page + n > pages || end > bytes.length) {
      throw new SnapshotError("memory", `a run of ${n} pages at page ${page} cannot be`);
    }
    runs.push({ page, bytes: bytes.subarray(at + 8, end) });
    next = page + n;
    at = end;
  }
}
