/**
 * Copy on write: what is written is kept in a store, in blocks of 4 KiB, and the source below stays as it is. A block that is
 * written in part is read first; writes wait for each other, so that two parts of one block do not lose one.
 */
import { SnapshotFields } from "../io/snapshotFields.ts";
import type { BlockContentsV1, BlockSource } from "./block.ts";
import { BLOCK, type BlockStore, MemoryStore } from "./blockStore.ts";

/** Blocks of a source that a snapshot could not be larger than: 2^53 bytes of them. */
const MAX_BLOCK = 2 ** 41;

export class OverlayBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly = false;
  readonly #base: BlockSource;
  readonly #store: BlockStore;
  #writing: Promise<void> | undefined;

  constructor(base: BlockSource, store: BlockStore = new MemoryStore()) {
    this.#base = base;
    this.#store = store;
    this.size = base.size;
  }

  read(offset: number, into: Uint8Array): void | Promise<void> {
    // Runs of blocks that are below are read in one piece each.
    const waiting: Promise<void>[] = [];
    for (let at = 0; at < into.length; ) {
      const n = Math.floor((offset + at) / BLOCK);
      let end = at + BLOCK - ((offset + at) % BLOCK);
      if (this.#store.has(n)) {
        const from = (offset + at) % BLOCK;
        into.set(this.#store.get(n).subarray(from, Math.min(BLOCK, from + into.length - at)), at);
      } else {
        while (end < into.length && !this.#store.has(Math.floor((offset + end) / BLOCK))) end += BLOCK;
        const pending = this.#base.read(offset + at, into.subarray(at, Math.min(end, into.length)));
        if (pending) waiting.push(pending);
      }
      at = end;
    }
    return waiting.length ? Promise.all(waiting).then(() => {}) : undefined;
  }

  write(offset: number, from: Uint8Array): void | Promise<void> {
    if (this.#writing) return this.#after(() => this.#write(offset, from));
    const pending = this.#write(offset, from);
    return pending && this.#after(() => pending);
  }

  /** Whole blocks become zeros that take no room. */
  discard(offset: number, length: number): void | Promise<void> {
    if (this.#writing) return this.#after(() => this.#forget(offset, length));
    this.#forget(offset, length);
  }

  flush(): void | Promise<void> {
    if (this.#writing) return this.#writing.then(() => this.#store.flush());
    this.#store.flush();
  }

  export(): BlockContentsV1 {
    const blocks = [...this.#store.numbers()].sort((a, b) => a - b);
    const bytes = new Uint8Array(blocks.length * BLOCK);
    blocks.forEach((n, i) => {
      bytes.set(this.#store.get(n), i * BLOCK);
    });
    return { version: 1, size: this.size, blocks, bytes };
  }

  import(state: BlockContentsV1): void {
    const from = new SnapshotFields("overlay", state).version(1);
    if (from.int("size", 0, Number.MAX_SAFE_INTEGER) !== this.size) from.fail("size", `this medium has ${this.size}`);
    const numbers = from.ints("blocks", MAX_BLOCK, 0, Math.ceil(this.size / BLOCK) - 1);
    const bytes = from.bytes("bytes", numbers.length * BLOCK);
    this.#store.empty();
    numbers.forEach((n, i) => {
      this.#store.put(n, bytes.slice(i * BLOCK, (i + 1) * BLOCK));
    });
  }

  /** Does `work` after the writes before it. */
  #after(work: () => void | Promise<void>): Promise<void> {
    const done = (this.#writing ?? Promise.resolve()).then(work);
    const settled: Promise<void> = done.then(
      () => this.#idle(settled),
      () => this.#idle(settled),
    );
    this.#writing = settled;
    return done;
  }

  #idle(last: Promise<void>): void {
    if (this.#writing === last) this.#writing = undefined;
  }

  #write(offset: number, from: Uint8Array): void | Promise<void> {
    const waiting: Promise<void>[] = [];
    for (let at = 0; at < from.length; ) {
      const n = Math.floor((offset + at) / BLOCK);
      const within = (offset + at) % BLOCK;
      const piece = from.slice(at, at + BLOCK - within);
      at += piece.length;
      const block = new Uint8Array(BLOCK);
      const there = Math.min(BLOCK, this.size - n * BLOCK);
      const put = () => {
        block.set(piece, within);
        this.#store.put(n, block);
      };
      const whole = piece.length >= there;
      if (!whole && this.#store.has(n)) block.set(this.#store.get(n));
      const pending = whole || this.#store.has(n) ? undefined : this.#base.read(n * BLOCK, block.subarray(0, there));
      if (pending) waiting.push(pending.then(put));
      else put();
    }
    return waiting.length ? Promise.all(waiting).then(() => {}) : undefined;
  }

  #forget(offset: number, length: number): void {
    const end = offset + length === this.size ? Math.ceil(this.size / BLOCK) : Math.floor((offset + length) / BLOCK);
    for (let n = Math.ceil(offset / BLOCK); n < end; n++) this.#store.clear(n);
  }
}
