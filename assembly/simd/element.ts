/**
 * Instructions that address memory themselves: masked moves and gathers, element by element. Their micro-op has the parts
 * of the address (see ../decode/uop.ts, `own`), so that only elements whose mask bit is set are looked at by segment
 * limits, canonical form and paging.
 */
import { Vcpu, MODE_CODE64, MODE_FLAT, SEG_CS, SEG_FS, STATUS_FAULT } from "../gen/layout";
import { GP, raiseError, SS } from "../exception";
import { copyIn, copyOut, isCanonical, probeWrite } from "../mem/access";
import { segmentLinear } from "../mem/segment";
import { uAddr, uFlags, UF_STACK } from "../decode/uop";
import { HIT_STOP } from "../mem/watch";
import { DR6_BS, raiseDebug } from "../sys/debug";
import { RF, TF } from "../sys/mode";
import { dst, leftAt, putVector, reg, scratch, vectorBytes } from "./operand";

@inline function constant(u: usize): u32 { return load<u8>(u, 12); }
@inline function segment(u: usize): u32 { return load<u8>(u, 13); }
@inline function scale(u: usize): u32 { return load<u8>(u, 10); }
/** Base register and displacement. */
@inline function origin(c: Vcpu, u: usize): u64 {
  return load<u64>(changetype<usize>(c) + load<u16>(u, 6)) + load<u64>(u, 16);
}
/** A general register, or where a vector lies. */
@inline function indexAt(c: Vcpu, u: usize): usize { return changetype<usize>(c) + load<u16>(u, 8); }

@inline function truncated(u: usize, address: u64): u64 {
  const width = uAddr(u);
  return width == 0 ? address & 0xffff : width == 1 ? address & 0xffffffff : address;
}

/** Offset in its segment of the memory operand of an `own` row that has no vector register as index. */
@inline function offsetOf(c: Vcpu, u: usize): u64 {
  return truncated(u, origin(c, u) + (load<u64>(indexAt(c, u)) << scale(u)));
}

/** Leaves the linear address of `size` bytes in `linear`. False = a fault is recorded. Flat segments wrap around. */
let linear: u64 = 0;
function locate(c: Vcpu, u: usize, offset: u64, size: u32, write: bool): bool {
  const s = segment(u);
  if (c.mode & MODE_FLAT && s != SEG_CS && s < SEG_FS) linear = offset;
  else {
    linear = segmentLinear(c, s, offset, size, write);
    if (linear == ~0 && !(c.mode & MODE_CODE64)) return false;
  }
  c.stackFault = uFlags(u) & UF_STACK;
  return true;
}

/** Sign bits of the elements of 1 << k bytes at p, one bit for each. */
function signs(p: usize, k: u32, size: usize): u32 {
  let bits: u32 = 0;
  for (let i: usize = 0; i < size; i += <usize>1 << k) {
    if (load<i8>(p + i + (<usize>1 << k) - 1) < 0) bits |= <u32>1 << (<u32>i >> k);
  }
  return bits;
}


/** Bytes from the first element that the mask has to the last one. */
let span: u32 = 0;
/** Leaves in `linear` where they begin: segment limits and canonical form are asked of all of them before paging is. */
function locateMasked(c: Vcpu, u: usize, mask: u32, k: u32, write: bool): bool {
  const first = ctz<u32>(mask) << k;
  span = ((32 - clz<u32>(mask)) << k) - first;
  if (!locate(c, u, offsetOf(c, u) + first, span, write)) return false;
  if (isCanonical(c, linear) && isCanonical(c, linear + span - 1)) return true;
  return raiseError(c, c.stackFault ? SS : GP, 0);
}

export function maskLoad(c: Vcpu, u: usize): bool {
  const k = constant(u), size = vectorBytes(u), mask = signs(leftAt(c, u), k, size), out = scratch(c);
  memory.fill(out, 0, size);
  if (mask) {
    if (!locateMasked(c, u, mask, k, false)) return false;
    const first = ctz<u32>(mask) << k, last = first + span, from = linear - first, n: u32 = <u32>1 << k;
    for (let i = first; i < last; i += n) {
      if ((mask >> (i >> k)) & 1 && !copyIn(c, from + i, n, out + i)) return false;
    }
  }
  return putVector(c, u, out);
}

/** The whole range must be writable before an element is written; of two pages the first is asked first. */
export function maskStore(c: Vcpu, u: usize): bool {
  const k = constant(u), data = reg(c, u), mask = signs(leftAt(c, u), k, vectorBytes(u));
  if (!mask) return true;
  if (!locateMasked(c, u, mask, k, true)) return false;
  const first = ctz<u32>(mask) << k, last = first + span, to = linear - first, n: u32 = <u32>1 << k;
  if (!probeWrite(c, to + first, 1) || !probeWrite(c, to + last - 1, 1)) return false;
  for (let i = first; i < last; i += n) {
    if ((mask >> (i >> k)) & 1 && !copyOut(c, to + i, n, data + i)) return false;
  }
  return true;
}

/**
 * k: log2 of an index's size in bits 1:0, of an element's in 3:2. Elements are read from the lowest on. One that faults
 * leaves those before it in the destination, and in the mask all ones for each element that is still to be read (those
 * beyond the last too, as recorded on a real CPU), so that the instruction goes on where it stopped; a trap that the elements before it have earned comes in place of the fault
 * (SDM vol. 2, VPGATHERDD). While it waits for a device nothing is changed: the replay log answers from the first element on.
 */
export function gather(c: Vcpu, u: usize): bool {
  const k = constant(u) >> 2, i = constant(u) & 3, size = <usize>1 << k, vector: usize = vectorBytes(u);
  // As many elements as the vector has of the larger of the two.
  const count = vector >> max<u32>(k, i), bytes = count << k;
  const d = dst(c, u), m = leftAt(c, u), index = indexAt(c, u), base = origin(c, u), out = scratch(c);
  const mask = signs(m, k, vector);
  memory.copy(out, d, vector);
  let n: usize = 0, loaded = false;
  for (; n < count; n++) {
    if (!((mask >> <u32>n) & 1)) continue;
    const offset = i == 2 ? <u64><i64>load<i32>(index + (n << 2)) : load<u64>(index + (n << 3));
    if (!locate(c, u, truncated(u, base + (offset << scale(u))), <u32>size, false)) break;
    if (!copyIn(c, linear, <u32>size, out + (n << k))) break;
    loaded = true;
  }
  if (n == count) {
    memory.copy(d, out, bytes);
    memory.fill(d + bytes, 0, 32 - bytes);
    memory.fill(m, 0, 32);
    return true;
  }
  if (c.status != STATUS_FAULT) return false;
  memory.fill(m, 0, 32);
  for (; n << k < vector; n++) if ((mask >> <u32>n) & 1) memory.fill(m + (n << k), 0xff, size);
  if (loaded) {
    memory.copy(d, out, vector);
    memory.fill(d + vector, 0, 32 - vector);
  }
  const traps = !c.stepping ? 0 : c.hits & ~HIT_STOP | (c.rflags & TF ? DR6_BS : 0);
  if (!loaded || !traps) return false;
  c.rflags |= RF;
  return raiseDebug(c, traps);
}
