/** Puts things into guest RAM: only where RAM is, never one over another, and remembers what went where. */

import type { GuestMemory } from "../../shared/device.ts";
import { bytes, type E820Entry, e820Map, HIMEM_BASE, hex, isRam, LOWMEM_END, lowRamTop, ramTotal } from "./e820.ts";
import { type LoadConfig, LoaderError, type Placement } from "./types.ts";

const PAGE_SIZE = 4096;
/** Below it lie the real-mode interrupt vectors and the BIOS data area. */
const LOW_FIRST = 0x1000;

export const alignUp = (n: number, to: number): number => Math.ceil(n / to) * to;
export const alignDown = (n: number, to: number): number => Math.floor(n / to) * to;

/** The bytes of a string in UTF-8, with a terminating zero. */
export function cString(text: string): Uint8Array {
  const escaped = encodeURIComponent(text).match(/%..|./g) ?? [];
  const out = new Uint8Array(escaped.length + 1);
  escaped.forEach((c, i) => {
    out[i] = c.length === 3 ? Number.parseInt(c.slice(1), 16) : c.charCodeAt(0);
  });
  return out;
}

export class Placer {
  readonly map: readonly E820Entry[];
  readonly #memory: GuestMemory;
  readonly #ramSize: number;
  readonly #placed: Placement[] = [];

  constructor(memory: GuestMemory, config: LoadConfig) {
    this.#memory = memory;
    this.#ramSize = config.ramSize;
    this.map = config.e820 ?? e820Map(config.ramSize);
  }

  /** What was placed so far, by ascending address. */
  get placed(): Placement[] {
    return [...this.#placed].sort((a, b) => a.gpa - b.gpa);
  }

  /**
   * Claims [gpa, gpa + size) for `what`, without writing.
   * @throws LoaderError if that is not RAM, or something else lies there.
   */
  claim(what: string, gpa: number, size: number): void {
    if (!isRam(this.map, gpa, size)) {
      const end = gpa + size;
      if (gpa >= HIMEM_BASE && end > lowRamTop(this.map)) {
        throw new LoaderError(
          `${what} needs RAM up to ${bytes(end)} (${bytes(size)} at ${hex(gpa)}); the machine has ${bytes(this.#ramSize)}`,
          "memory",
        );
      }
      throw new LoaderError(`${what} wants ${hex(gpa)}-${hex(end - 1)}, which is not RAM in a PC's memory map`);
    }
    const other = this.#placed.find((p) => p.gpa < gpa + size && gpa < p.gpa + p.size);
    if (other) {
      throw new LoaderError(
        `${what} at ${hex(gpa)}-${hex(gpa + size - 1)} overlaps ${other.what} at ${hex(other.gpa)}`,
      );
    }
    if (size > 0) this.#placed.push({ what, gpa, size });
  }

  /** Claims `size` bytes (default: those of `data`) at `gpa`, writes `data` there and zeroes the rest. */
  put(what: string, gpa: number, data: Uint8Array, size = data.length): void {
    this.claim(what, gpa, size);
    if (data.length > 0) this.#memory.write(gpa, data);
    const zeros = new Uint8Array(Math.min(size - data.length, 0x1_0000));
    for (let at = data.length; at < size; at += zeros.length) {
      this.#memory.write(gpa + at, zeros.subarray(0, Math.min(zeros.length, size - at)));
    }
  }

  /** Places a small page-aligned table where nothing else lies: below 640 KiB, else right above what is there. */
  putLow(what: string, data: Uint8Array): number {
    return this.putAt(what, data.length, () => data);
  }

  /** As putLow, for a table that holds its own address: `make` gets it and returns `size` bytes. */
  putAt(what: string, size: number, make: (gpa: number) => Uint8Array): number {
    const gpa = this.#free(LOW_FIRST, size, LOWMEM_END) ?? this.#free(HIMEM_BASE, size, lowRamTop(this.map));
    if (gpa === undefined) {
      throw new LoaderError(`no room for ${what} (${bytes(size)}) in ${bytes(this.#ramSize)} of RAM`, "memory");
    }
    this.put(what, gpa, make(gpa));
    return gpa;
  }

  /**
   * Places an initrd on a page boundary as high as RAM below `limit` allows, and above `floor` (the end of what the
   * kernel will use). It stays clear of the kernel's own early allocations that way.
   * @throws LoaderError with the sizes if there is no room.
   */
  putHigh(what: string, data: Uint8Array, floor: number, limit: number): number {
    const top = Math.min(limit, lowRamTop(this.map));
    const gpa = alignDown(top - data.length, PAGE_SIZE);
    if (gpa < floor) throw this.#noRoom(what, data, floor, top);
    this.put(what, gpa, data);
    return gpa;
  }

  /** Places a page-aligned module at or above `floor`. */
  putAbove(what: string, data: Uint8Array, floor: number): number {
    const top = lowRamTop(this.map);
    const gpa = this.#free(Math.max(floor, HIMEM_BASE), data.length, top);
    if (gpa === undefined) throw this.#noRoom(what, data, floor, top);
    this.put(what, gpa, data);
    return gpa;
  }

  #noRoom(what: string, data: Uint8Array, floor: number, top: number): LoaderError {
    return new LoaderError(
      `${what} of ${bytes(data.length)} does not fit: ${bytes(Math.max(0, top - floor))} are free above the kernel in ` +
        `${bytes(this.#ramSize)} of RAM (${bytes(ramTotal(this.map))} usable)`,
      "memory",
    );
  }

  #free(from: number, size: number, end: number): number | undefined {
    let gpa = alignUp(from, PAGE_SIZE);
    for (const p of this.placed)
      if (p.gpa < gpa + size && gpa < p.gpa + p.size) gpa = alignUp(p.gpa + p.size, PAGE_SIZE);
    return gpa + size <= end && isRam(this.map, gpa, size) ? gpa : undefined;
  }
}
