/**
 * Guest memory in a snapshot: pages that are not all zeros, each content once, in chunks of CHUNK_PAGES that are compressed
 * by themselves, so that any can be unpacked when it is needed (src/vcpu/pages.ts).
 *
 *     u32 contents · u32 runs · the runs · u32 length of each chunk · the chunks
 *     run      u32 first page · u32 pages · u32 first content: consecutive pages have consecutive contents
 *     chunk    a deflate stream, or the pages as they are if that is no shorter
 */
import { joinBytes } from "../shared/bytes.ts";
import { SnapshotError } from "../shared/device.ts";
import { CHUNK_PAGES, PAGE_BYTE, PAGE_SIZE } from "../shared/layout.ts";
import { chunkSize, type PageSource } from "../vcpu/pages.ts";
import { deflate, inflate } from "./deflate.ts";
import { PackedPages } from "./packed.ts";

/** What of a machine's memory is needed here. */
export interface Ram {
  readonly backing: Uint8Array;
  /** PAGE_BYTE of each of its pages. */
  readonly pageBytes: Uint8Array;
}

const WORDS = PAGE_SIZE / 4;
const CHUNK = CHUNK_PAGES * PAGE_SIZE;
/** Pages of a block of a copy. */
const BLOCK_PAGES = 2048;
/** Chunks that are compressed at a time: the host may have threads for it. */
const AT_A_TIME = 4;

/** A copy of the pages with something in them, so that the guest may go on: of all, or of those that `packed` has not. */
export class PageCopy {
  /** Which pages, in order; page i is the i-th of the blocks. */
  readonly pages: number[] = [];
  readonly packed: PackedPages;
  readonly #blocks: Int32Array[] = [];

  /** Takes memory of the host for what `ram` needs now, before the guest is stopped: most of the time goes into that. */
  constructor(ram: Ram, packed = new PackedPages()) {
    this.packed = packed;
    for (let n = packed.missing(ram); n > 0; n -= BLOCK_PAGES) {
      const block = new Int32Array(BLOCK_PAGES * WORDS);
      for (let i = 0; i < block.length; i += WORDS) block[i] = 1;
      this.#blocks.push(block);
    }
  }

  /** Copies. Nothing writes to the memory meanwhile, and no page of it is absent. */
  take(ram: Ram): void {
    const { backing } = ram;
    const words = new Int32Array(backing.buffer, backing.byteOffset, backing.length / 4);
    for (const page of this.packed.letGo(ram)) {
      if (empty(words, page)) continue;
      this.page(this.pages.length).set(words.subarray(page * WORDS, (page + 1) * WORDS));
      this.pages.push(page);
    }
  }

  /** The words of page i. */
  page(i: number): Int32Array {
    const block = Math.floor(i / BLOCK_PAGES);
    this.#blocks[block] ??= new Int32Array(BLOCK_PAGES * WORDS);
    return this.#blocks[block].subarray((i % BLOCK_PAGES) * WORDS, ((i % BLOCK_PAGES) + 1) * WORDS);
  }
}

function empty(words: Int32Array, page: number): boolean {
  for (let i = page * WORDS, end = i + WORDS; i < end; i++) if (words[i]) return false;
  return true;
}

/** Finds the content of a page among those before it. */
class Contents {
  readonly #pages: Int32Array[] = [];
  readonly #byHash = new Map<number, number[]>();

  get list(): readonly Int32Array[] {
    return this.#pages;
  }

  add(page: Int32Array): number {
    let hash = 0;
    for (let i = 0; i < WORDS; i++) hash = Math.imul(hash ^ page[i], 0x9e37_79b1) + (hash >>> 15);
    const alike = this.#byHash.get(hash) ?? [];
    const found = alike.find((n) => this.#pages[n].every((word, i) => word === page[i]));
    if (found !== undefined) return found;
    if (!alike.length) this.#byHash.set(hash, alike);
    alike.push(this.#pages.length);
    return this.#pages.push(page) - 1;
  }
}

/** Compresses a copy. `progress` gets the share that is done. */
export async function packMemory(copy: PageCopy, progress?: (share: number) => void): Promise<Uint8Array> {
  const { packed } = copy;
  const contents = new Contents();
  const places = copy.pages.map((_, i) => contents.add(copy.page(i)));
  const all = contents.list;
  const chunks: Uint8Array[] = new Array(Math.ceil(all.length / CHUNK_PAGES));
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (next < chunks.length) {
      const i = next++;
      const raw = join(all.slice(i * CHUNK_PAGES, (i + 1) * CHUNK_PAGES));
      const deflated = await deflate(raw);
      chunks[i] = deflated.length < raw.length ? deflated : raw;
      progress?.(++done / chunks.length);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  if (!chunks.length) progress?.(1);
  packed.add(copy.pages, places, all.length, chunks);
  return section(packed.contents, packed.runs(), packed.chunks);
}

function join(pages: readonly Int32Array[]): Uint8Array {
  const out = new Int32Array(pages.length * WORDS);
  pages.forEach((page, i) => {
    out.set(page, i * WORDS);
  });
  return new Uint8Array(out.buffer);
}

function section(contents: number, runs: readonly number[], chunks: readonly Uint8Array[]): Uint8Array {
  const head = Uint32Array.from([contents, runs.length / 3, runs, chunks.map((c) => c.length)].flat());
  return joinBytes([new Uint8Array(head.buffer), ...chunks]);
}

/**
 * Memory of schema 1, unpacked (u32 first page · u32 pages · the pages, repeated; u32 0xffffffff ends it), as it is now;
 * not compressed.
 *
 * @throws SnapshotError
 */
export function memoryOfSchema1(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const runs: number[] = [];
  const pieces: Uint8Array[] = [];
  let contents = 0;
  for (let at = 0; ; ) {
    if (at + 4 > bytes.length) throw new SnapshotError("memory", "ends in the middle of a run");
    const page = view.getUint32(at, true);
    if (page === 0xffff_ffff) break;
    const n = at + 8 <= bytes.length ? view.getUint32(at + 4, true) : 0;
    const end = at + 8 + n * PAGE_SIZE;
    if (end > bytes.length) throw new SnapshotError("memory", "ends in the middle of a run");
    runs.push(page, n, contents);
    pieces.push(bytes.subarray(at + 8, end));
    contents += n;
    at = end;
  }
  const all = joinBytes(pieces);
  const chunks: Uint8Array[] = [];
  for (let from = 0; from < all.length; from += CHUNK) chunks.push(all.subarray(from, from + CHUNK));
  return section(contents, runs, chunks);
}

/** A memory section that has been checked. */
export interface MemoryImage {
  readonly contents: number;
  /** Three words each, as in the file. */
  readonly runs: Uint32Array;
  /** Where chunks begin in `data`, and the end. */
  readonly starts: Uint32Array;
  readonly data: Uint8Array;
}

/**
 * Reads a section for a memory of `pages` pages.
 *
 * @throws SnapshotError if it cannot be; what its chunks unpack to is not looked at
 */
export function readMemory(bytes: Uint8Array, pages: number): MemoryImage {
  const bad = (why: string): never => {
    throw new SnapshotError("memory", why);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 8) bad("has no beginning");
  const [contents, count] = [view.getUint32(0, true), view.getUint32(4, true)];
  const chunks = Math.ceil(contents / CHUNK_PAGES);
  const head = 8 + count * 12 + chunks * 4;
  if (contents > pages || head > bytes.length) bad("ends in the middle");
  const runs = Uint32Array.from({ length: count * 3 }, (_, i) => view.getUint32(8 + i * 4, true));
  const used = new Uint8Array(chunks);
  let next = 0;
  for (let i = 0; i < runs.length; i += 3) {
    const [page, n, content] = runs.subarray(i, i + 3);
    if (n === 0 || page < next || page + n > pages || content + n > contents) {
      bad(`a run of ${n} pages at page ${page} cannot be`);
    }
    for (let k = 0; k < n; k++) used[Math.floor((content + k) / CHUNK_PAGES)] = 1;
    next = page + n;
  }
  if (used.includes(0)) bad("has pages that belong nowhere");
  const starts = new Uint32Array(chunks + 1);
  for (let i = 0; i < chunks; i++) {
    const length = view.getUint32(8 + count * 12 + i * 4, true);
    if (length === 0 || length > chunkSize(contents, i)) bad(`a chunk of ${length} bytes cannot be`);
    starts[i + 1] = starts[i] + length;
  }
  if (head + starts[chunks] !== bytes.length) bad("is not as long as it says");
  return { contents, runs, starts, data: bytes.subarray(head) };
}

/** Every page, and which of the contents it has. */
function eachPage({ runs }: MemoryImage, visit: (page: number, content: number) => void): void {
  for (let i = 0; i < runs.length; i += 3) for (let k = 0; k < runs[i + 1]; k++) visit(runs[i] + k, runs[i + 2] + k);
}

/** All pages become zeros. */
function clear({ backing, pageBytes }: Ram): void {
  for (let page = 0; page < pageBytes.length; page++) {
    if (!pageBytes[page]) continue;
    backing.fill(0, page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    pageBytes[page] = PAGE_BYTE.DIRTY | PAGE_BYTE.TOUCHED;
  }
}

/**
 * The chunks of an image, unpacked.
 *
 * @throws SnapshotError
 */
export async function unpackChunks({ starts, data, contents }: MemoryImage): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for (let i = 0; i + 1 < starts.length; i++) {
    const size = chunkSize(contents, i);
    const packed = data.subarray(starts[i], starts[i + 1]);
    const chunk = packed.length === size ? packed : await inflate(packed);
    if (chunk.length !== size) throw new SnapshotError("memory", "a chunk is not as long as it should be");
    chunks.push(chunk);
  }
  return chunks;
}

/** Puts the pages of an image, whose chunks are unpacked, into memory. No vCPU runs. */
export function fillMemory(ram: Ram, image: MemoryImage, chunks: readonly Uint8Array[]): void {
  clear(ram);
  eachPage(image, (page, content) => {
    const at = (content % CHUNK_PAGES) * PAGE_SIZE;
    ram.backing.set(chunks[Math.floor(content / CHUNK_PAGES)].subarray(at, at + PAGE_SIZE), page * PAGE_SIZE);
    ram.pageBytes[page] = PAGE_BYTE.DIRTY | PAGE_BYTE.TOUCHED;
  });
}

/**
 * Lets the pages of an image be the memory's. None is unpacked: they are absent until they are fetched from the source
 * that is returned. No vCPU runs.
 */
export function replaceMemory(ram: Ram, image: MemoryImage): PageSource {
  const { backing, pageBytes } = ram;
  clear(ram);
  const shared = typeof SharedArrayBuffer !== "undefined" && backing.buffer instanceof SharedArrayBuffer;
  const buffer = (bytes: number): ArrayBufferLike => (shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
  const base = backing.byteOffset / PAGE_SIZE;
  const { contents, starts } = image;
  const chunks = starts.length - 1;
  const firstTarget = new Uint32Array(buffer((chunks + 1) * 4));
  eachPage(image, (_, content) => {
    firstTarget[Math.floor(content / CHUNK_PAGES) + 1]++;
  });
  for (let i = 0; i < chunks; i++) firstTarget[i + 1] += firstTarget[i];
  const targets = new Uint32Array(buffer(firstTarget[chunks] * 4));
  const chunkOf = new Uint16Array(buffer((base + pageBytes.length) * 2));
  const at = firstTarget.slice();
  eachPage(image, (page, content) => {
    const chunk = Math.floor(content / CHUNK_PAGES);
    targets[at[chunk]++] = (base + page) * CHUNK_PAGES + (content % CHUNK_PAGES);
    chunkOf[base + page] = chunk;
    pageBytes[page] = PAGE_BYTE.DIRTY | PAGE_BYTE.TOUCHED | PAGE_BYTE.ABSENT;
  });
  const data = new Uint8Array(buffer(image.data.length));
  data.set(image.data);
  const placed = new Uint32Array(buffer(starts.byteLength));
  placed.set(starts);
  return { data, starts: placed, pages: contents, targets, firstTarget, chunkOf };
}
