/**
 * Guest memory as segments: named pieces of backing memory, and where in guest physical address space they are mapped.
 * One segment may be mapped several times, whole or in parts.
 */
import { SnapshotFields } from "../io/snapshotFields.ts";
import { SnapshotError } from "../shared/device.ts";
import { PAGE_SIZE } from "../shared/layout.ts";
import { VmError } from "./error.ts";
import type { MachineMemory } from "./memory.ts";

/** Segments and maps there can be. */
export const VM_MAX_MEMSEGS = 16;
/** Maps there can be. */
export const VM_MAX_MEMMAPS = 64;

/** Rights of a mapping. There is no execute right of its own, as with EPT without it: what can be read can be executed. */
export const PROT = { READ: 1, WRITE: 2, EXEC: 4 } as const;
/** PROT.READ, WRITE and EXEC. */
export const PROT_ALL = 7;

/** A piece of memory with a number. */
export interface Memseg {
  readonly segid: number;
  readonly length: number;
  /** System memory (RAM), rather than a device's (ROM, frame buffer). */
  readonly sysmem: boolean;
}

/** Where a part of a segment is, in guest physical addresses. */
export interface Memmap {
  readonly gpa: number;
  readonly length: number;
  readonly segid: number;
  readonly segoff: number;
  readonly prot: number;
}

/** Guest memory held by the host (vm_gpa_hold): it cannot be unmapped meanwhile. */
export interface GpaHold {
  /** The memory itself, not a copy. */
  readonly bytes: Uint8Array;
  readonly gpa: number;
  readonly prot: number;
}

/** Saved segments and maps. */
export interface MemsegsV1 {
  readonly version: 1;
  readonly segments: readonly (Memseg & { readonly at: number })[];
  readonly maps: readonly Memmap[];
}

interface Segment extends Memseg {
  readonly host: number;
}

const aligned = (...values: number[]): boolean =>
  values.every((v) => Number.isSafeInteger(v) && v >= 0 && v % PAGE_SIZE === 0);

/** Checks saved segments for `bytes` of backing memory; whether the maps can be is for mmap to say. */
function checkMemsegs(state: unknown, bytes: number): MemsegsV1 {
  const from = new SnapshotFields("segments", state).version(1);
  const pages = (f: SnapshotFields, field: string, most: number): number => {
    const n = f.int(field, 0, most);
    if (n % PAGE_SIZE) f.fail(field, `${n} is not pages`);
    return n;
  };
  const segments = from
    .children("segments", from.array("segments", 0, VM_MAX_MEMSEGS).length)
    .map((s) => ({
      segid: s.int("segid", 0, VM_MAX_MEMSEGS - 1),
      length: pages(s, "length", bytes),
      sysmem: s.bool("sysmem"),
      at: pages(s, "at", bytes),
    }))
    .sort((a, b) => a.at - b.at);
  let end = 0;
  for (const s of segments) {
    if (s.length === 0 || s.at < end || s.at + s.length > bytes) from.fail("segments", `${s.segid} is out of place`);
    end = s.at + s.length;
  }
  if (new Set(segments.map((s) => s.segid)).size !== segments.length) from.fail("segments", "two of one number");
  const maps = from.children("maps", from.array("maps", 0, VM_MAX_MEMMAPS).length).map((m) => ({
    gpa: pages(m, "gpa", Number.MAX_SAFE_INTEGER),
    length: pages(m, "length", bytes),
    segid: m.int("segid", 0, VM_MAX_MEMSEGS - 1),
    segoff: pages(m, "segoff", bytes),
    prot: m.int("prot", 0, PROT_ALL),
  }));
  return { version: 1, segments, maps };
}

/** The segments of a vm, and their maps. */
export class MemorySegments {
  readonly #memory: MachineMemory;
  readonly #segments = new Map<number, Segment>();
  #maps: Memmap[] = [];
  readonly #holds = new Set<GpaHold>();
  /** Refuses (EBUSY) unless every vCPU is frozen, then makes each drop its translations. */
  readonly #change: () => void;

  constructor(memory: MachineMemory, change: () => void) {
    this.#memory = memory;
    this.#change = change;
  }

  /**
   * vm_alloc_memseg.
   *
   * | | outcome |
   * |---|---|
   * | segid free, length a multiple of 4 KiB | allocated, all zeros |
   * | segid has a segment of this length and kind | EEXIST |
   * | segid has another, is not 0 … VM_MAX_MEMSEGS - 1, or the length is not pages | EINVAL |
   * | more than the machine's reserve | ENOMEM |
   */
  alloc(segid: number, length: number, sysmem: boolean): void {
    if (!Number.isInteger(segid) || segid < 0 || segid >= VM_MAX_MEMSEGS)
      throw new VmError("EINVAL", `segment ${segid}`);
    if (!aligned(length) || length === 0) throw new VmError("EINVAL", `a segment of ${length} bytes`);
    const old = this.#segments.get(segid);
    if (old) {
      const same = old.length === length && old.sysmem === sysmem;
      throw new VmError(same ? "EEXIST" : "EINVAL", `segment ${segid} is there already`);
    }
    this.#segments.set(segid, { segid, length, sysmem, host: this.#memory.allocate(length) });
  }

  /** Segments and maps, as saved state: `at` is a segment's place in the backing memory. */
  export(): MemsegsV1 {
    const start = this.#memory.backing.byteOffset;
    return {
      version: 1,
      segments: [...this.#segments.values()].map(({ host, ...s }) => ({ ...s, at: host - start })),
      maps: this.#maps.map((m) => ({ ...m })),
    };
  }

  /**
   * Puts saved segments and maps in the place of those that there are. What the memory holds is not looked at.
   *
   * @throws SnapshotError: they cannot be, here; VmError EBUSY: memory is held, or a vCPU runs; nothing has changed
   */
  import(state: unknown): void {
    const next = checkMemsegs(state, this.#memory.backing.length);
    if (this.#holds.size) throw new VmError("EBUSY", "memory is held");
    this.#change();
    const before = this.export();
    try {
      this.#replace(next);
    } catch (error) {
      this.#replace(before);
      if (error instanceof SnapshotError) throw error;
      throw new SnapshotError("segments", (error as Error).message);
    }
  }

  #replace(state: MemsegsV1): void {
    for (const m of this.#maps) this.#memory.unmap(m.gpa, m.length);
    this.#maps = [];
    this.#segments.clear();
    this.#memory.layOut(state.segments);
    const start = this.#memory.backing.byteOffset;
    for (const { at, ...s } of state.segments) this.#segments.set(s.segid, { ...s, host: start + at });
    for (const m of state.maps) this.mmap(m.gpa, m.segid, m.segoff, m.length, m.prot);
  }

  /** vm_get_memseg. @throws VmError EINVAL: no such segment */
  get(segid: number): Memseg {
    const { length, sysmem } = this.#segment(segid);
    return { segid, length, sysmem };
  }

  /** vm_free_memseg. @throws VmError EINVAL: no such segment; EBUSY: mapped somewhere */
  free(segid: number): void {
    const s = this.#segment(segid);
    if (this.#maps.some((m) => m.segid === segid)) throw new VmError("EBUSY", `segment ${segid} is mapped`);
    this.#change();
    this.#segments.delete(segid);
    this.#memory.release(s.host, s.length);
  }

  /**
   * vm_mmap_memseg. Every vCPU must be frozen.
   *
   * | | outcome |
   * |---|---|
   * | part of a segment, at free addresses | mapped |
   * | no READ among the rights, or unknown ones | EINVAL |
   * | gpa, offset or length not in pages, beyond the segment or the physical addresses | EINVAL |
   * | something is mapped there | EEXIST |
   * | VM_MAX_MEMMAPS maps, or too many of them in odd places | ENOSPC |
   * | a vCPU runs | EBUSY |
   */
  mmap(gpa: number, segid: number, segoff: number, length: number, prot: number): void {
    const s = this.#segment(segid);
    if (prot & ~PROT_ALL || !(prot & PROT.READ)) throw new VmError("EINVAL", `rights ${prot}`);
    if (!aligned(gpa, segoff, length) || length === 0 || segoff + length > s.length) {
      throw new VmError("EINVAL", `0x${length.toString(16)} bytes at 0x${segoff.toString(16)} of segment ${segid}`);
    }
    if (this.#maps.length >= VM_MAX_MEMMAPS) throw new VmError("ENOSPC", `${VM_MAX_MEMMAPS} maps`);
    if (this.#maps.some((m) => gpa < m.gpa + m.length && m.gpa < gpa + length)) {
      throw new VmError("EEXIST", `something is mapped at 0x${gpa.toString(16)}`);
    }
    this.#change();
    try {
      this.#memory.map(gpa, length, s.host + segoff, (prot & PROT.WRITE) !== 0);
    } catch (error) {
      if (error instanceof RangeError) throw new VmError("EINVAL", error.message);
      throw error;
    }
    this.#maps.push({ gpa, length, segid, segoff, prot });
    this.#maps.sort((a, b) => a.gpa - b.gpa);
  }

  /** vm_munmap_memseg: exactly one map. @throws VmError EINVAL: no such map; EBUSY: held, or a vCPU runs */
  munmap(gpa: number, length: number): void {
    const at = this.#maps.findIndex((m) => m.gpa === gpa && m.length === length);
    if (at < 0) throw new VmError("EINVAL", `no map of 0x${length.toString(16)} bytes at 0x${gpa.toString(16)}`);
    for (const hold of this.#holds) {
      if (hold.gpa >= gpa && hold.gpa < gpa + length) throw new VmError("EBUSY", "the memory is held");
    }
    this.#change();
    this.#maps.splice(at, 1);
    this.#memory.unmap(gpa, length);
  }

  /** vm_mmap_getnext: the first map at or above `gpa`; undefined: none. */
  getNext(gpa: number): Memmap | undefined {
    return this.#maps.find((m) => m.gpa >= gpa);
  }

  /** vmm_sysmem_maxaddr: the end of the highest map of system memory, 0 without any. */
  get sysmemMaxaddr(): number {
    return Math.max(0, ...this.#maps.filter((m) => this.#segment(m.segid).sysmem).map((m) => m.gpa + m.length));
  }

  /** vm_mem_allocated: whether memory is mapped there. */
  allocated(gpa: number): boolean {
    return this.find(gpa) !== undefined;
  }

  /** The map that has an address (vm_gpabase2memseg, vm_get_memobj). */
  find(gpa: number): Memmap | undefined {
    return this.#maps.find((m) => gpa >= m.gpa && gpa < m.gpa + m.length);
  }

  /**
   * vm_gpa_hold: the memory itself, until `release`.
   *
   * | | outcome |
   * |---|---|
   * | within one page of a map that allows `prot` | held |
   * | crosses a page, or no length | EINVAL |
   * | nothing mapped, or not with these rights | EFAULT |
   */
  hold(gpa: number, length: number, prot: number): GpaHold {
    if (!(length > 0) || (gpa % PAGE_SIZE) + length > PAGE_SIZE) {
      throw new VmError("EINVAL", `${length} bytes at 0x${gpa.toString(16)} are not within a page`);
    }
    const map = this.find(gpa);
    if (!map || prot & ~map.prot) throw new VmError("EFAULT", `no such memory at 0x${gpa.toString(16)}`);
    const host = this.#memory.hostAddress(gpa);
    const hold = { bytes: this.#memory.bytes.subarray(host, host + length), gpa, prot };
    this.#holds.add(hold);
    return hold;
  }

  /** vm_gpa_release. What was held for writing counts as written. @throws VmError EINVAL: not held (any more) */
  release(hold: GpaHold): void {
    if (!this.#holds.delete(hold)) throw new VmError("EINVAL", "this memory is not held");
    if (hold.prot & PROT.WRITE) this.#memory.hostWritten(hold.bytes.byteOffset);
  }

  /**
   * vmm_contig_alloc, of a segment: it is one piece of host memory, wherever it is mapped, or nowhere. For a device that
   * shares a ring or a picture with the guest; `written` says that the host has written to a part. Freed with the segment.
   *
   * @throws VmError EINVAL: no such segment
   */
  contig(segid: number): {
    readonly bytes: Uint8Array;
    /** The host has written to a part. */
    written(offset: number, length: number): void;
  } {
    const { host, length: size } = this.#segment(segid);
    const bytes = this.#memory.bytes.subarray(host, host + size);
    return {
      bytes,
      written: (offset, length) => {
        if (!(offset >= 0 && length >= 0 && offset + length <= size)) throw new VmError("EINVAL", "not of the segment");
        const first = offset - (offset % PAGE_SIZE);
        for (let at = first; at < offset + length; at += PAGE_SIZE) this.#memory.hostWritten(host + at);
      },
    };
  }

  /**
   * vm_track_dirty_pages: which pages of a range may have been written since the last call, one bit each, lowest first;
   * they count as clean from now on. Holes are clean. Every vCPU must be frozen.
   *
   * @throws VmError EINVAL: not pages; EBUSY: a vCPU runs
   */
  trackDirtyPages(gpa: number, length: number): Uint8Array {
    if (!aligned(gpa, length)) throw new VmError("EINVAL", "a range of pages is needed");
    this.#change();
    const pages = length / PAGE_SIZE;
    const bits = new Uint8Array(Math.ceil(pages / 8));
    // A page that is mapped twice is dirty at both places.
    const seen = new Map<number, boolean>();
    for (let i = 0; i < pages; i++) {
      const host = this.#memory.hostAddress(gpa + i * PAGE_SIZE);
      if (host < 0) continue;
      const dirty = seen.get(host) ?? this.#memory.takeDirty(host);
      seen.set(host, dirty);
      if (dirty) bits[i >> 3] |= 1 << (i & 7);
    }
    return bits;
  }

  #segment(segid: number): Segment {
    const s = this.#segments.get(segid);
    if (!s) throw new VmError("EINVAL", `no segment ${segid}`);
    return s;
  }
}
