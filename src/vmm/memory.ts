/** The machine's memory: allocation, the granule table, and guest physical memory as devices and loaders see it. */
import type { GuestMemory } from "../shared/device.ts";
import {
  CONTROL,
  CONTROL_BASE,
  FINE_TABLE_SIZE,
  FINE_TABLES,
  FINE_TABLES_BASE,
  GPA_LIMIT,
  GRANULE_ENTRIES,
  GRANULE_F,
  GRANULE_P,
  GRANULE_S,
  GRANULE_W,
  GRANULES_BASE,
  PAGE_BYTE,
  PAGE_SIZE,
  VCPU_BASE,
  VCPU_STRIDE,
  VM_MAXCPU,
} from "../shared/layout.ts";
import { StructView } from "../vcpu/view.ts";
import { VmError } from "./error.ts";

const WASM_PAGE = 65536;
const GRANULE_SIZE = 0x20_0000;
const LOW_END = 0x10_0000;

/** A run of guest physical addresses backed by memory (the seeds' memory segment, mapped). */
export interface MemoryRegion {
  /** Guest physical address and bytes: multiples of 4 KiB. */
  readonly gpa: number;
  readonly length: number;
  readonly readOnly?: boolean;
}

/** Not enough memory for what was configured: says how much was asked for. */
export class OutOfMemoryError extends Error {
  constructor(bytes: number) {
    super(`cannot allocate ${Math.ceil(bytes / 2 ** 20)} MiB of memory for the machine; choose less RAM`);
    this.name = "OutOfMemoryError";
  }
}

export interface MachineMemoryConfig {
  /** Memory that is there from the start. */
  readonly regions?: readonly MemoryRegion[];
  /** Bytes for `allocate`, beyond the regions. */
  readonly reserve?: number;
  readonly vcpus: number;
  readonly shared: boolean;
}

/**
 * Allocates the one WebAssembly.Memory and fills the granule table.
 *
 * @throws OutOfMemoryError, RangeError for regions that do not fit the granules.
 */
export class MachineMemory implements GuestMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly control: StructView;
  readonly vcpus: number;
  /** All memory that guests can be given: regions, segments and what is free. */
  readonly backing: Uint8Array;
  /** Called with the backing page after the host has written to a page that holds code. */
  onCodeWrite: (hostPage: number) => void = () => {};
  /** Called with a place in a page that is absent (PAGE_BYTE), which is there afterwards. */
  fetchPage: (host: number) => void = () => {};
  /** Memory for devices that move data by themselves: what the guest may not write, they do not write for it. */
  readonly bus: GuestMemory = {
    read: (gpa, into) => this.read(gpa, into),
    write: (gpa, from) => this.#write(gpa, from, false),
  };
  readonly #granules: Uint32Array;
  readonly #fine: Uint32Array;
  readonly #fineFree = Array.from({ length: FINE_TABLES }, (_, i) => i);
  readonly #pageWords: Int32Array;
  /** PAGE_BYTE of each page from address 0 on, and of those of `backing`. */
  readonly #pageBytes: Uint8Array;
  readonly pageBytes: Uint8Array;
  /** Backing memory nobody has, in order of address. */
  #free: { at: number; length: number }[];

  constructor(config: MachineMemoryConfig) {
    if (config.vcpus < 1 || config.vcpus > VM_MAXCPU)
      throw new RangeError(`1 to ${VM_MAXCPU} vCPUs, not ${config.vcpus}`);
    this.vcpus = config.vcpus;
    const regions = config.regions ?? [];
    for (const { gpa, length } of regions) {
      if (gpa % PAGE_SIZE || length <= 0 || length % PAGE_SIZE) {
        throw new RangeError(`memory region at 0x${gpa.toString(16)} is not aligned`);
      }
    }
    const pageWordsBase = VCPU_BASE + config.vcpus * VCPU_STRIDE;
    const total =
      regions.reduce((n, r) => n + roundUp(r.length, GRANULE_SIZE), 0) + roundUp(config.reserve ?? 0, PAGE_SIZE);
    // One word and one byte for each page there will be, those of the words and the areas before them included.
    const most = Math.ceil((pageWordsBase + total + 4 * GRANULE_SIZE) / PAGE_SIZE + total / PAGE_SIZE / 512);
    const pageBytesBase = pageWordsBase + most * 4;
    const start = roundUp(pageBytesBase + most, GRANULE_SIZE);
    const end = start + total;
    if (end > 2 ** 32) throw new OutOfMemoryError(end);
    try {
      this.memory = new WebAssembly.Memory({
        initial: Math.ceil(end / WASM_PAGE),
        maximum: 65536,
        shared: config.shared,
      } as WebAssembly.MemoryDescriptor);
    } catch {
      throw new OutOfMemoryError(end);
    }
    const buffer = this.memory.buffer;
    this.bytes = new Uint8Array(buffer);
    this.control = new StructView(buffer, CONTROL_BASE);
    this.#granules = new Uint32Array(buffer, GRANULES_BASE, GRANULE_ENTRIES);
    this.#fine = new Uint32Array(buffer, FINE_TABLES_BASE, (FINE_TABLES * FINE_TABLE_SIZE) / 4);
    this.#pageWords = new Int32Array(buffer, pageWordsBase);
    this.backing = this.bytes.subarray(start, end);
    this.#free = [{ at: start, length: total }];
    this.#pageBytes = new Uint8Array(buffer, pageBytesBase, most);
    this.pageBytes = this.#pageBytes.subarray(start / PAGE_SIZE, end / PAGE_SIZE);
    this.control.set(CONTROL.pageWords, pageWordsBase);
    this.control.set(CONTROL.pageBytes, pageBytesBase);
    this.control.set(CONTROL.backingEnd, end);
    this.control.set(CONTROL.a20Mask, 0xffff_ffff);
    this.control.set(CONTROL.vcpuCount, config.vcpus);
    this.setTopology(config.vcpus, 1);
    this.control.set(CONTROL.parallel, config.shared && config.vcpus > 1 ? 1 : 0);
    for (const r of regions) this.map(r.gpa, r.length, this.allocate(r.length), !r.readOnly);
  }

  /** What CPUID says of cores in a package and threads in a core. */
  setTopology(cores: number, threads: number): void {
    this.control.set(CONTROL.coresPerPackage, cores);
    this.control.set(CONTROL.threadsPerCore, threads);
  }

  /**
   * Takes backing memory, all zeros.
   *
   * @param length a multiple of 4 KiB
   * @throws VmError ENOMEM
   */
  allocate(length: number): number {
    // Whole granules begin at one, so that large pages stay in one piece.
    const unit = length >= GRANULE_SIZE ? GRANULE_SIZE : PAGE_SIZE;
    for (const hole of this.#free) {
      const at = roundUp(hole.at, unit);
      if (at + length > hole.at + hole.length) continue;
      const rest = [
        { at: hole.at, length: at - hole.at },
        { at: at + length, length: hole.at + hole.length - at - length },
      ].filter((h) => h.length > 0);
      this.#free.splice(this.#free.indexOf(hole), 1, ...rest);
      return at;
    }
    throw new VmError("ENOMEM", `no ${length} bytes are left of the memory reserved for the machine`);
  }

  /** Says anew what of the backing memory is allocated: pieces that do not overlap, by their place in `backing`. */
  layOut(pieces: readonly { readonly at: number; readonly length: number }[]): void {
    const start = this.backing.byteOffset;
    this.#free = [];
    let end = 0;
    const last = { at: this.backing.length, length: 0 };
    for (const { at, length } of [...pieces].sort((a, b) => a.at - b.at).concat(last)) {
      if (at > end) this.#free.push({ at: start + end, length: at - end });
      end = at + length;
    }
  }

  /** Gives backing memory back; it is cleared, and code of it dropped. It must not be mapped. */
  release(host: number, length: number): void {
    this.bytes.fill(0, host, host + length);
    for (let page = host; page < host + length; page += PAGE_SIZE) this.hostWritten(page);
    const holes = [...this.#free, { at: host, length }].sort((a, b) => a.at - b.at);
    this.#free = [];
    for (const hole of holes) {
      const last = this.#free.at(-1);
      if (last && last.at + last.length === hole.at) last.length += hole.length;
      else this.#free.push({ ...hole });
    }
  }

  /**
   * Lets a run of guest physical addresses mean backing memory from `host` on. Every vCPU must drop its translations
   * before it goes on (ATTENTION.FLUSH).
   *
   * @throws VmError ENOSPC: too many granules that are not one piece; RangeError above GPA_LIMIT
   */
  map(gpa: number, length: number, host: number, writable: boolean): void {
    if (gpa + length > GPA_LIMIT) throw new RangeError(`no memory above 0x${GPA_LIMIT.toString(16)}`);
    this.#setPages(gpa, length, (offset) => host + offset, writable ? GRANULE_P | GRANULE_W : GRANULE_P);
  }

  /** Takes addresses out of the map: accesses then go to the memory bus, or nowhere. */
  unmap(gpa: number, length: number): void {
    this.#setPages(gpa, length, undefined, 0);
  }

  #setPages(gpa: number, length: number, host: ((offset: number) => number) | undefined, bits: number): void {
    const pieces: { at: number; size: number; whole: boolean }[] = [];
    const split = new Set<number>();
    for (let at = gpa; at < gpa + length; ) {
      const end = at < LOW_END ? at + PAGE_SIZE : (Math.floor(at / GRANULE_SIZE) + 1) * GRANULE_SIZE;
      const size = Math.min(end, gpa + length) - at;
      // Of the granule that holds 1 MiB only the upper half counts, the entries for 4 KiB name the lower.
      const whole = at < LOW_END || (at + size === end && (at % GRANULE_SIZE === 0 || at === LOW_END));
      pieces.push({ at, size, whole });
      if (!whole && !(this.#granules[granuleIndex(at)] & GRANULE_F)) split.add(granuleIndex(at));
      at += size;
    }
    if (split.size > this.#fineFree.length) throw new VmError("ENOSPC", "too many granules that are not one piece");
    for (const { at, size, whole } of pieces) {
      const index = granuleIndex(at);
      if (whole) {
        const entry = this.#granules[index];
        if (entry & GRANULE_F) this.#fineFree.push(fineTable(entry));
        const small = at < LOW_END;
        const base = host ? host(at - gpa) - (small ? 0 : at % GRANULE_SIZE) : 0;
        this.#granules[index] = host ? base | bits | (small ? GRANULE_S : 0) : 0;
        continue;
      }
      const table = this.#split(index) * 512;
      for (let page = at; page < at + size; page += PAGE_SIZE) {
        this.#fine[table + ((page % GRANULE_SIZE) >> 12)] = host ? host(page - gpa) | bits | GRANULE_S : 0;
      }
    }
  }

  /** The finer table of a granule, made from its entry if there is none. */
  #split(index: number): number {
    const entry = this.#granules[index];
    if (entry & GRANULE_F) return fineTable(entry);
    const table = this.#fineFree.pop() as number;
    for (let i = 0; i < 512; i++) {
      this.#fine[table * 512 + i] = entry & GRANULE_P ? (entry + i * PAGE_SIZE) | GRANULE_S : 0;
    }
    this.#granules[index] = (FINE_TABLES_BASE + table * FINE_TABLE_SIZE) | GRANULE_F;
    return table;
  }

  #entry(gpa: number): number {
    if (gpa >= GPA_LIMIT || gpa < 0) return 0;
    const e = this.#granules[granuleIndex(gpa)];
    if (!(e & GRANULE_F)) return e;
    return this.#fine[fineTable(e) * 512 + ((gpa % GRANULE_SIZE) >> 12)];
  }

  /** Backing address of a gpa, or -1. Its page is there. */
  hostAddress(gpa: number): number {
    const e = this.#entry(gpa);
    if (!(e & GRANULE_P)) return -1;
    const host = ((e & ~0xfff) >>> 0) + (gpa % (e & GRANULE_S ? PAGE_SIZE : GRANULE_SIZE));
    this.present(host);
    return host;
  }

  /** Fetches the backing page of `host`, if it is still in a snapshot. */
  present(host: number): void {
    if (this.#pageBytes[Math.floor(host / PAGE_SIZE)] & PAGE_BYTE.ABSENT) this.fetchPage(host);
  }

  /** Whether the guest may write there. */
  writable(gpa: number): boolean {
    return (this.#entry(gpa) & GRANULE_W) !== 0;
  }

  /** Reads; where no memory is, ones. */
  read(gpa: number, into: Uint8Array): void {
    this.#pieces(gpa, into.length, (host, from, n) => {
      if (host < 0) into.fill(0xff, from, from + n);
      else into.set(this.bytes.subarray(host, host + n), from);
    });
  }

  /** Writes RAM and ROM alike (it is the host that writes); code in the pages is dropped. */
  write(gpa: number, from: Uint8Array): void {
    this.#write(gpa, from, true);
  }

  #write(gpa: number, from: Uint8Array, rom: boolean): void {
    this.#pieces(gpa, from.length, (host, at, n) => {
      if (host < 0 || !(rom || this.writable(gpa + at))) return;
      this.bytes.set(from.subarray(at, at + n), host);
      this.hostWritten(host);
    });
  }

  /** The host has written to the backing page of `host`: it is dirty, and code of it is to be dropped. */
  hostWritten(host: number): void {
    const page = Math.floor(host / PAGE_SIZE);
    this.#pageBytes[page] = PAGE_BYTE.DIRTY | PAGE_BYTE.TOUCHED;
    // A read-modify-write, not a load: the bytes must be out before the word is looked at (assembly/mem/pageword.ts).
    if (Atomics.or(this.#pageWords, page, 0) >>> 16) this.onCodeWrite(page * PAGE_SIZE);
  }

  /**
   * Whether a backing page may have been written since this was last asked. No vCPU may run, and every one must drop its
   * translations before it does: they let writes through unseen.
   */
  takeDirty(host: number): boolean {
    const page = Math.floor(host / PAGE_SIZE);
    const dirty = (this.#pageBytes[page] & PAGE_BYTE.DIRTY) !== 0;
    this.#pageBytes[page] &= ~PAGE_BYTE.DIRTY;
    return dirty;
  }

  #pieces(gpa: number, length: number, each: (host: number, at: number, n: number) => void): void {
    for (let at = 0; at < length; ) {
      const n = Math.min(length - at, PAGE_SIZE - ((gpa + at) % PAGE_SIZE));
      each(this.hostAddress(gpa + at), at, n);
      at += n;
    }
  }
}

const roundUp = (n: number, unit: number): number => Math.ceil(n / unit) * unit;
const granuleIndex = (gpa: number): number => (gpa < LOW_END ? gpa >>> 12 : 256 + Math.floor(gpa / GRANULE_SIZE));
const fineTable = (entry: number): number => ((entry & ~0x7ff) - FINE_TABLES_BASE) / FINE_TABLE_SIZE;
