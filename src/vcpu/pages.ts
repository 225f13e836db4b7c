/**
 * Pages of a snapshot that come into memory when somebody needs them: a vCPU whose TLB has missed (assembly/mem/phys.ts),
 * or the host (MachineMemory.hostAddress). They are compressed in chunks, and a chunk comes as a whole.
 *
 *     page, PAGE_BYTE.ABSENT --lock · unpack · copy · byte without ABSENT--> there for good
 *
 * The lock is one word of the machine (CONTROL.unpacking: 0 free, 1 taken). Whoever has it waits for nobody, so that
 * everybody may wait for it, a vCPU that others want to stop included. A page's bytes are written before its ABSENT is
 * cleared, and looked at only after that has been seen; both are atomic.
 */
import { CHUNK_PAGES, CONTROL, INFLATE, PAGE_BYTE, PAGE_SIZE } from "../shared/layout.ts";
import { controlView, type StructView } from "./view.ts";

/** Compressed pages, and where they go. In shared memory where vCPUs have threads of their own. */
export interface PageSource {
  /** Chunks one after the other, and where each begins; the last entry is the end. */
  readonly data: Uint8Array;
  readonly starts: Uint32Array;
  /** Pages in all chunks together: CHUNK_PAGES in each but the last. */
  readonly pages: number;
  /** What chunk i fills: from targets[firstTarget[i]] on, page of this memory * CHUNK_PAGES + place in the chunk. */
  readonly targets: Uint32Array;
  readonly firstTarget: Uint32Array;
  /** Chunk of a page of this memory that is absent. */
  readonly chunkOf: Uint16Array;
}

/** What it needs of a core (assembly/mem/inflate.ts). */
export interface Inflate {
  inflate(length: number, size: number): number;
}

/** Bytes of a chunk, unpacked, where all have `pages` pages together. */
export const chunkSize = (pages: number, chunk: number): number =>
  Math.min(CHUNK_PAGES, pages - chunk * CHUNK_PAGES) * PAGE_SIZE;

/** Milliseconds between looks at a lock that another thread has. */
const LOOK_MS = 1;

/** One thread's end of it. */
export class PageLoader {
  readonly #bytes: Uint8Array;
  readonly #control: StructView;
  #pageBytes: Uint8Array | undefined;
  #core: Inflate | undefined;
  #source: PageSource | undefined;
  /** Chunks before this one are there. */
  #next = 0;

  constructor(memory: WebAssembly.Memory) {
    this.#bytes = new Uint8Array(memory.buffer);
    this.#control = controlView(memory.buffer);
  }

  /** The core that unpacks; any will do. */
  attach(core: Inflate): void {
    this.#core ??= core;
  }

  /** From now on pages come from there; nothing is being fetched. */
  use(source: PageSource | undefined): void {
    this.#source = source;
    this.#next = 0;
  }

  /** Whether pages are absent. */
  get absent(): boolean {
    return this.#control.load(CONTROL.absent) !== 0;
  }

  /** The core's import: puts the page around `host` into its place. @throws Error if what was saved cannot be unpacked */
  readonly fetchPage = (host: number): void => {
    const source = this.#source;
    if (source) this.#fetch(source, source.chunkOf[Math.floor((host >>> 0) / PAGE_SIZE)]);
  };

  /** Fetches one more chunk; false: all are there. */
  step(): boolean {
    const source = this.#source;
    if (!source || !this.absent) return false;
    while (this.#next < source.starts.length - 1) if (this.#fetch(source, this.#next++)) return true;
    return false;
  }

  /** False: the chunk is there. */
  #fetch(source: PageSource, chunk: number): boolean {
    const control = this.#control;
    const { words } = control;
    const lock = control.index(CONTROL.unpacking);
    while (Atomics.compareExchange(words, lock, 0, 1)) pause(words, lock);
    try {
      const [from, to] = [source.firstTarget[chunk], source.firstTarget[chunk + 1]];
      this.#pageBytes ??= this.#bytes.subarray(control.get(CONTROL.pageBytes));
      const state = this.#pageBytes;
      // The pages of a chunk come together.
      if (!(state[Math.floor(source.targets[from] / CHUNK_PAGES)] & PAGE_BYTE.ABSENT)) return false;
      this.#unpack(source, chunk);
      for (let i = from; i < to; i++) {
        const page = Math.floor(source.targets[i] / CHUNK_PAGES);
        const at = INFLATE.OUTPUT + (source.targets[i] % CHUNK_PAGES) * PAGE_SIZE;
        this.#bytes.copyWithin(page * PAGE_SIZE, at, at + PAGE_SIZE);
        Atomics.store(state, page, PAGE_BYTE.DIRTY | PAGE_BYTE.TOUCHED);
      }
      control.add(CONTROL.absent, -1);
      return true;
    } finally {
      Atomics.store(words, lock, 0);
      Atomics.notify(words, lock);
    }
  }

  #unpack(source: PageSource, chunk: number): void {
    const packed = source.data.subarray(source.starts[chunk], source.starts[chunk + 1]);
    const size = chunkSize(source.pages, chunk);
    // What deflate would not have made shorter is there as it is.
    if (packed.length === size) this.#bytes.set(packed, INFLATE.OUTPUT);
    else {
      this.#bytes.set(packed, INFLATE.INPUT);
      if (!this.#core?.inflate(packed.length, size))
        throw new Error("memory: pages of the snapshot cannot be unpacked");
    }
  }
}

function pause(words: Int32Array, index: number): void {
  try {
    Atomics.wait(words, index, 1, LOOK_MS);
  } catch {
    // A page's main thread may not sleep: it looks again at once. A chunk takes a fraction of a millisecond.
  }
}
