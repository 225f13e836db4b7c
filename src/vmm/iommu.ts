/**
 * The guest memory that a passed-through device reaches (the seeds' vm_iommu_domain): system memory by guest physical
 * address, with the rights of its maps, and nothing once the domain is gone.
 */
import type { GuestMemory } from "../shared/device.ts";
import { PAGE_SIZE } from "../shared/layout.ts";
import type { MachineMemory } from "./memory.ts";
import { type MemorySegments, PROT } from "./memseg.ts";

/** Guest memory as a passed-through device may see it. */
export class IommuDomain implements GuestMemory {
  readonly #memory: MachineMemory;
  readonly #segments: MemorySegments;
  #alive = true;
  #faults = 0;

  /** @internal */
  constructor(memory: MachineMemory, segments: MemorySegments) {
    this.#memory = memory;
    this.#segments = segments;
  }

  /** Accesses that were refused: no system memory there, read-only memory, or the domain is gone. */
  get faults(): number {
    return this.#faults;
  }

  /** What is refused reads as all ones. */
  read(gpa: number, into: Uint8Array): void {
    this.#pieces(gpa, into.length, PROT.READ, (ok, at, n) => {
      if (ok) this.#memory.read(gpa + at, into.subarray(at, at + n));
      else into.fill(0xff, at, at + n);
    });
  }

  /** What is refused is not written. */
  write(gpa: number, from: Uint8Array): void {
    this.#pieces(gpa, from.length, PROT.WRITE, (ok, at, n) => {
      if (ok) this.#memory.write(gpa + at, from.subarray(at, at + n));
    });
  }

  /** @internal The device has been taken away. */
  destroy(): void {
    this.#alive = false;
  }

  #pieces(gpa: number, length: number, prot: number, each: (ok: boolean, at: number, n: number) => void): void {
    for (let at = 0; at < length; ) {
      const n = Math.min(length - at, PAGE_SIZE - ((gpa + at) % PAGE_SIZE));
      const map = this.#alive ? this.#segments.find(gpa + at) : undefined;
      const ok = map !== undefined && (map.prot & prot) !== 0 && this.#segments.get(map.segid).sysmem;
      if (!ok) this.#faults++;
      each(ok, at, n);
      at += n;
    }
  }
}

/**
 * vmm_check_iommu: whether devices can be confined here. Tries: a domain reaches the first byte of system memory and nothing
 * beyond the last, and nothing once it is gone.
 */
export function checkIommu(memory: MachineMemory, segments: MemorySegments): boolean {
  const end = segments.sysmemMaxaddr;
  if (end === 0) return false;
  const domain = new IommuDomain(memory, segments);
  const byte = new Uint8Array(1);
  domain.read(end - 1, byte);
  const inside = domain.faults;
  domain.read(end, byte);
  const beyond = domain.faults;
  domain.destroy();
  domain.read(end - 1, byte);
  return inside === 0 && beyond === 1 && domain.faults === 2;
}
