/** Guest physical memory: from a gpa to its place in this memory. */
import {
  CONTROL_BASE, C_A20_MASK, C_ABSENT, C_PAGE_BYTES, GRANULES_BASE, GRANULE_P, GRANULE_W, GRANULE_F, GRANULE_S, GPA_LIMIT, PAGE_BYTE_ABSENT,
} from "../gen/layout";
import { fetchPage } from "./inflate";

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

/** The page of `host` may still be in the snapshot that the machine goes on from: then it is fetched. */
@inline function present(host: usize): usize {
  if (load<i32>(CONTROL_BASE, C_ABSENT)) fetchAbsent(host);
  return host;
}

function fetchAbsent(host: usize): void {
  if (atomic.load<u8>(<usize>load<u32>(CONTROL_BASE, C_PAGE_BYTES) + (host >> 12)) & <u8>PAGE_BYTE_ABSENT) fetchPage(host);
}

/** Host address of a readable gpa, or 0: nothing is there and the device thread must answer. */
export function hostRead(gpa: u64): usize {
  const g = a20(gpa), e = granule(g);
  return e & GRANULE_P ? present(place(e, g)) : 0;
}

/** Host address of a writable gpa, or 0. */
export function hostWrite(gpa: u64): usize {
  const g = a20(gpa), e = granule(g);
  return e & GRANULE_W ? present(place(e, g)) : 0;
}
