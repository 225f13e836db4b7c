/** Guest physical memory: from a gpa to its place in this memory. */
import { CONTROL_BASE, C_A20_MASK, GRANULES_BASE, GRANULE_P, GRANULE_W, GRANULE_F, GRANULE_S, GPA_LIMIT } from "../gen/layout";

@inline export function a20(gpa: u64): u64 {
  return gpa & (0xffffffff00000000 | <u64>load<u32>(CONTROL_BASE, C_A20_MASK));
}

function granule(gpa: u64): usize {
  if (gpa < 0x100000) return load<u32>(GRANULES_BASE + (<usize>(gpa >> 12) << 2));
  if (gpa >= GPA_LIMIT) return 0;
  const e: usize = load<u32>(GRANULES_BASE + ((256 + <usize>(gpa >> 21)) << 2));
  return e & GRANULE_F ? load<u32>((e & ~0x7ff) + ((<usize>(gpa >> 12) & 511) << 2)) : e;
}

@inline function place(entry: usize, gpa: u64): usize {
  return (entry & ~0xfff) + (<usize>gpa & (entry & GRANULE_S ? 0xfff : 0x1fffff));
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
