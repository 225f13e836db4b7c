/**
 * What a save has packed of a machine's memory, for the next one: pages that nothing has written to since are in chunks that
 * are compressed already. Of these a chunk stays as long as half of it is of use; its other pages are copied again.
 *
 *     content     chunk * CHUNK_PAGES + place in it; only the last chunk may have fewer, and does not stay
 */
import { CHUNK_PAGES, PAGE_BYTE } from "../shared/layout.ts";

/** What of a machine's memory is needed here. */
interface Pages {
  /** PAGE_BYTE of each page. */
  readonly pageBytes: Uint8Array;
}

const NONE = -1;

export class PackedPages {
  /** Content of each page; NONE: it is all zeros, or is to be copied. Absent: nothing is packed. */
  #contentOf: Int32Array | undefined;
  chunks: readonly Uint8Array[] = [];
  /** In all chunks together. */
  contents = 0;
  readonly again: boolean;

  /**
   * @param again there will be another save. Each then begins to look anew for what is written (PAGE_BYTE.DIRTY), and every
   * vCPU must drop its translations before it goes on; so a machine has one of these, and nothing else that asks for that.
   */
  constructor(again = false) {
    this.again = again;
  }

  /** The next save packs everything. */
  forget(): void {
    this.#contentOf = undefined;
    this.chunks = [];
    this.contents = 0;
  }

  /** About how many pages the next save will copy. */
  missing({ pageBytes }: Pages): number {
    const bits = this.#wanted;
    let n = 0;
    for (const byte of pageBytes) if (byte & bits) n++;
    return n;
  }

  get #wanted(): number {
    return this.#contentOf ? PAGE_BYTE.DIRTY : PAGE_BYTE.DIRTY | PAGE_BYTE.TOUCHED;
  }

  /** Lets go of what is written and of chunks that do not stay; the pages that are to be copied, in order. No vCPU runs. */
  letGo({ pageBytes }: Pages): number[] {
    const bits = this.#wanted;
    this.#contentOf ??= new Int32Array(pageBytes.length).fill(NONE);
    const contentOf = this.#contentOf;
    const copied = new Uint8Array(pageBytes.length);
    for (let page = 0; page < pageBytes.length; page++) {
      if (!(pageBytes[page] & bits)) continue;
      copied[page] = 1;
      contentOf[page] = NONE;
      if (this.again) pageBytes[page] &= ~PAGE_BYTE.DIRTY;
    }
    const places = this.#keepChunks();
    for (let page = 0; page < contentOf.length; page++) {
      const content = contentOf[page];
      if (content === NONE) continue;
      const chunk = places[Math.floor(content / CHUNK_PAGES)];
      contentOf[page] = chunk === NONE ? NONE : chunk * CHUNK_PAGES + (content % CHUNK_PAGES);
      if (chunk === NONE) copied[page] = 1;
    }
    const pages: number[] = [];
    for (let page = 0; page < copied.length; page++) if (copied[page]) pages.push(page);
    if (this.contents + pages.length <= pageBytes.length) return pages;
    // More contents than a file may have: everything is copied.
    this.forget();
    return this.letGo({ pageBytes });
  }

  /** Drops the chunks that do not stay; where each of the others is now. */
  #keepChunks(): Int32Array {
    const used = new Uint8Array(this.contents);
    for (const content of this.#contentOf!) if (content !== NONE) used[content] = 1;
    const kept: Uint8Array[] = [];
    const places = Int32Array.from(this.chunks, (chunk, i) => {
      const all = used.subarray(i * CHUNK_PAGES, (i + 1) * CHUNK_PAGES);
      const useful = all.reduce((n, is) => n + is, 0);
      return all.length === CHUNK_PAGES && useful * 2 >= CHUNK_PAGES ? kept.push(chunk) - 1 : NONE;
    });
    this.chunks = kept;
    this.contents = kept.length * CHUNK_PAGES;
    return places;
  }

  /** Takes new chunks with `contents` contents, of which page i has places[i]. */
  add(pages: readonly number[], places: readonly number[], contents: number, chunks: readonly Uint8Array[]): void {
    pages.forEach((page, i) => {
      this.#contentOf![page] = this.contents + places[i];
    });
    this.chunks = [...this.chunks, ...chunks];
    this.contents += contents;
  }

  /** Three words each: first page, pages, first content. */
  runs(): number[] {
    const words: number[] = [];
    this.#contentOf!.forEach((content, page) => {
      if (content === NONE) return;
      const at = words.length - 3;
      if (at >= 0 && words[at] + words[at + 1] === page && words[at + 2] + words[at + 1] === content) words[at + 1]++;
      else words.push(page, 1, content);
    });
    return words;
  }
}
