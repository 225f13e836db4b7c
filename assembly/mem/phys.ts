/** Guest physical memory: from a gpa to its place in this memory, and the words that say what a page holds. */
import { Vcpu, CONTROL_BASE, C_PAGE_WORDS, C_A20_MASK, GRANULES_BASE, GRANULE_P, GRANULE_W, GPA_LIMIT } from "../gen/layout";

@inline export function a20(gpa: u64): u64 {
  return gpa & (0xffffffff00000000 | <u64>load<u32>(CONTROL_BASE, C_A20_MASK));
}

function granule(gpa: u64): usize {
  if (gpa < 0x100000) return load<u32>(GRANULES_BASE + (<usize>(gpa >> 12) << 2));
  if (gpa >= GPA_LIMIT) return 0;
  return load<u32>(GRANULES_BASE + ((256 + <usize>(gpa >> 21)) << 2));
}

@inline function place(entry: usize, gpa: u64): usize {
  return (entry & ~0xfff) + (gpa < 0x100000 ? <usize>gpa & 0xfff : <usize>gpa & 0x1fffff);
}

/** Host address of a readable gpa, or 0: nothing is there and the device thread must answer. */
export function hostRead(gpa: u64): usize {
  const g = a20(gpa), e = granule(g);
  return e & GRANULE_P ? place(e, g) : 0;
}

/** Host address of a writable gpa, or 0. */
export function hostWrite(gpa: u64): usize {
  const g = a20(gpa), e = granule(g);
  return e & GRANULE_W ? place(e, g) : 0;
}

/**
 * The word of a backing page. Bits 15:0: vCPU i may hold a write translation; bits 31:16: vCPU i holds code of it.
 *
 * Its code half is a protocol with whoever writes to memory from another thread (src/vmm/memory.ts, MachineMemory.write).
 * Each side does its own part and then looks for the other's, both by atomic read-modify-write:
 *
 *     vCPU that decodes:  bit set (noteCode)  · bytes read   · block entered into the tables
 *     writer:             bytes written       · word read    · page posted to every vCPU if a bit was set (drop.ts)
 *
 * Of the two operations on the word one is first. If it is the vCPU's, the writer sees the bit and posts the page; if it
 * is the writer's, the vCPU reads the new bytes. The bit goes when the page's blocks have been dropped (forgetCode), on
 * the thread that set it, so it may be set without need, never missing. One state per vCPU and page:
 *
 *     no code --noteCode--> being decoded --addToPage--> code --dropPage--> no code
 */
@inline export function pageWord(host: usize): usize {
  return <usize>load<u32>(CONTROL_BASE, C_PAGE_WORDS) + (host >> 12 << 2);
}

@inline export function holdsCode(host: usize): bool {
  return load<u32>(pageWord(host)) >> 16 != 0;
}

export function noteWritable(c: Vcpu, host: usize): void {
  atomic.or<u32>(pageWord(host), <u32>1 << c.vcpuid);
}

export function noteCode(c: Vcpu, host: usize): void {
  atomic.or<u32>(pageWord(host), <u32>0x10000 << c.vcpuid);
}

export function forgetCode(c: Vcpu, host: usize): void {
  atomic.and<u32>(pageWord(host), ~(<u32>0x10000 << c.vcpuid));
}
