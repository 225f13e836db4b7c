/** The machine's memory: allocation, the granule table, and guest physical memory as devices and loaders see it. */
import type { GuestMemory } from "../shared/device.ts";
import {
  CONTROL,
  CONTROL_BASE,
  GPA_LIMIT,
  GRANULE_ENTRIES,
  GRANULE_P,
  GRANULE_W,
  GRANULES_BASE,
  PAGE_SIZE,
  VCPU_BASE,
  VCPU_STRIDE,
  VM_MAXCPU,
} from "../shared/layout.ts";
import { StructView } from "../vcpu/view.ts";

const WASM_PAGE = 65536;
const GRANULE_SIZE = 0x20_0000;
const LOW_END = 0x10_0000;

/** A run of guest physical addresses backed by memory (the seeds' memory segment, mapped). */
export interface MemoryRegion {
  /** Guest physical address; below 1 MiB a multiple of 4 KiB, above it of 2 MiB. */
  readonly gpa: number;
  /** Bytes: below 1 MiB a multiple of 4 KiB, above it a multiple of 1 MiB (a tail is rounded up in backing only). */
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
  readonly regions: readonly MemoryRegion[];
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
  /** Called with the backing page after the host has written to a page that holds code. */
  onCodeWrite: (hostPage: number) => void = () => {};
  readonly #granules: Uint32Array;
  readonly #pageWords: Int32Array;

  constructor(config: MachineMemoryConfig) {
    if (config.vcpus < 1 || config.vcpus > VM_MAXCPU)
      throw new RangeError(`1 to ${VM_MAXCPU} vCPUs, not ${config.vcpus}`);
    this.vcpus = config.vcpus;
    const pageWordsBase = VCPU_BASE + config.vcpus * VCPU_STRIDE;
    let at = pageWordsBase;
    const places: { region: MemoryRegion; host: number }[] = [];
    const total = config.regions.reduce((n, r) => n + Math.ceil(r.length / GRANULE_SIZE) * GRANULE_SIZE, 0);
    // One word for each page there will be, those of the words and the areas before them included.
    at = roundUp(at + ((at + total + 2 * GRANULE_SIZE) / PAGE_SIZE) * 4 + GRANULE_SIZE / 1024, GRANULE_SIZE);
    for (const region of config.regions) {
      const unit = region.gpa < LOW_END ? PAGE_SIZE : GRANULE_SIZE;
      if (region.gpa % unit || region.length <= 0 || (region.gpa < LOW_END && region.length % PAGE_SIZE)) {
        throw new RangeError(`memory region at 0x${region.gpa.toString(16)} is not aligned`);
      }
      places.push({ region, host: at });
      at += roundUp(region.length, GRANULE_SIZE);
    }
    if (at > 2 ** 32) throw new OutOfMemoryError(at);
    const pages = Math.ceil(at / WASM_PAGE);
    try {
      this.memory = new WebAssembly.Memory({
        initial: pages,
        maximum: 65536,
        shared: config.shared,
      } as WebAssembly.MemoryDescriptor);
    } catch {
      throw new OutOfMemoryError(at);
    }
    const buffer = this.memory.buffer;
    this.bytes = new Uint8Array(buffer);
    this.control = new StructView(buffer, CONTROL_BASE);
    this.#granules = new Uint32Array(buffer, GRANULES_BASE, GRANULE_ENTRIES);
    this.#pageWords = new Int32Array(buffer, pageWordsBase);
    this.control.set(CONTROL.pageWords, pageWordsBase);
    this.control.set(CONTROL.backingEnd, at);
    this.control.set(CONTROL.a20Mask, 0xffff_ffff);
    this.control.set(CONTROL.vcpuCount, config.vcpus);
    this.control.set(CONTROL.parallel, config.shared && config.vcpus > 1 ? 1 : 0);
    for (const { region, host } of places) this.#map(region, host);
  }

  #map(region: MemoryRegion, host: number): void {
    const bits = region.readOnly ? GRANULE_P : GRANULE_P | GRANULE_W;
    for (let off = 0; off < region.length; ) {
      const gpa = region.gpa + off;
      const unit = gpa < LOW_END ? PAGE_SIZE : GRANULE_SIZE;
      // The granule that holds 1 MiB begins at 0, half of it named by the entries for 4 KiB.
      this.#granules[granuleIndex(gpa)] = (host + off - (gpa % unit)) | bits;
      off += unit - (gpa % unit);
    }
  }

  /** Takes pages below 1 MiB out of the map: accesses then go to the memory bus (the VGA window). */
  unmapLow(gpa: number, length: number): void {
    for (let at = gpa; at < gpa + length; at += PAGE_SIZE) this.#granules[granuleIndex(at)] = 0;
  }

  /** Backing address of a gpa, or -1. */
  hostAddress(gpa: number): number {
    if (gpa >= GPA_LIMIT) return -1;
    const g = this.#granules[granuleIndex(gpa)];
    if (!(g & GRANULE_P)) return -1;
    return ((g & ~0xfff) >>> 0) + (gpa % (gpa < LOW_END ? PAGE_SIZE : GRANULE_SIZE));
  }

  read(gpa: number, into: Uint8Array): void {
    this.#pieces(gpa, into.length, (host, from, n) => {
      if (host < 0) into.fill(0xff, from, from + n);
      else into.set(this.bytes.subarray(host, host + n), from);
    });
  }

  /** Writes RAM and ROM alike (it is the host that writes); code in the pages is dropped. */
  write(gpa: number, from: Uint8Array): void {
    this.#pieces(gpa, from.length, (host, at, n) => {
      if (host < 0) return;
      this.bytes.set(from.subarray(at, at + n), host);
      const page = Math.floor(host / PAGE_SIZE);
      // A read-modify-write, not a load: the bytes must be out before the word is looked at (assembly/mem/phys.ts).
      if (Atomics.or(this.#pageWords, page, 0) >>> 16) this.onCodeWrite(page * PAGE_SIZE);
    });
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
