/**
 * The guest physical address space as host code with a claim on it sees it (the seeds' struct vmspace and struct
 * vm_client): pages held through a client stay mapped until they are released, and all of a client's at once.
 */
import { PAGE_SIZE } from "../shared/layout.ts";
import { VmError } from "./error.ts";
import { type GpaHold, type Memmap, type MemorySegments, PROT } from "./memseg.ts";

/** vm_get_vmspace. */
export class Vmspace {
  readonly #segments: MemorySegments;

  /** @internal */
  constructor(segments: MemorySegments) {
    this.#segments = segments;
  }

  /** What is mapped, in order of address. */
  get maps(): readonly Memmap[] {
    const maps: Memmap[] = [];
    for (let m = this.#segments.getNext(0); m; m = this.#segments.getNext(m.gpa + m.length)) maps.push(m);
    return maps;
  }

  /** vmspace_resident_count, in bytes: what is mapped, each byte of a segment once. */
  get resident(): number {
    const pages = new Set<string>();
    for (const m of this.maps) {
      for (let at = 0; at < m.length; at += PAGE_SIZE) pages.add(`${m.segid}/${m.segoff + at}`);
    }
    return pages.size * PAGE_SIZE;
  }

  /** vmspace_client_alloc. */
  clientAlloc(): VmClient {
    return new VmClient(this.#segments);
  }
}

/** A page of guest memory that is held (the seeds' vm_page_t). */
export class VmPage {
  readonly gpa: number;
  readonly #hold: GpaHold;
  readonly #client: VmClient;

  /** @internal */
  constructor(client: VmClient, hold: GpaHold) {
    this.gpa = hold.gpa;
    this.#hold = hold;
    this.#client = client;
  }

  /** vmp_get_readable: the memory itself. @throws VmError EINVAL: released */
  get readable(): Uint8Array {
    this.#client.check(this);
    return this.#hold.bytes;
  }

  /** vmp_get_writable. What is written is seen as written when the page is released. @throws VmError EFAULT: not held so */
  get writable(): Uint8Array {
    this.#client.check(this);
    if (!(this.#hold.prot & PROT.WRITE)) throw new VmError("EFAULT", "the page is held for reading");
    return this.#hold.bytes;
  }

  /** vmp_release. @throws VmError EINVAL: released */
  release(): void {
    this.#client.let(this, this.#hold);
  }
}

/** vm_get_vmclient: whoever holds pages. */
export class VmClient {
  readonly #segments: MemorySegments;
  readonly #pages = new Map<VmPage, GpaHold>();

  /** @internal */
  constructor(segments: MemorySegments) {
    this.#segments = segments;
  }

  /** Pages that are held. */
  get held(): number {
    return this.#pages.size;
  }

  /**
   * vmc_hold: a whole page, which cannot be unmapped until it is released.
   *
   * @throws VmError EINVAL: not the address of a page; EFAULT: no memory, or not with these rights
   */
  hold(gpa: number, prot: number): VmPage {
    if (gpa % PAGE_SIZE) throw new VmError("EINVAL", `0x${gpa.toString(16)} is not the address of a page`);
    const hold = this.#segments.hold(gpa, PAGE_SIZE, prot);
    const page = new VmPage(this, hold);
    this.#pages.set(page, hold);
    return page;
  }

  /** vmc_destroy: releases every page. */
  destroy(): void {
    for (const page of [...this.#pages.keys()]) page.release();
  }

  /** @internal */
  check(page: VmPage): void {
    if (!this.#pages.has(page)) throw new VmError("EINVAL", "the page is not held");
  }

  /** @internal */
  let(page: VmPage, hold: GpaHold): void {
    this.check(page);
    this.#pages.delete(page);
    this.#segments.release(hold);
  }
}
