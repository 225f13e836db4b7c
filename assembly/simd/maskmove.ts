/** MASKMOVQ and MASKMOVDQU: bytes of operand 0 chosen by the sign bits of operand 1, to DS:rDI. */
import { Vcpu, V_GPR, MODE_CODE64, SEG_DS } from "../gen/layout";
import { probeWrite, writePtr } from "../mem/access";
import { segmentLinear } from "../mem/segment";
import { WRITE } from "../sem/kinds";
import { dst, enterMmx, mmxReady, reg, right } from "./operand";
import { uAddr } from "../decode/uop";

const RDI: usize = V_GPR + 56;

/** Segment of an implied DS:rDI. With no ModRM memory operand the field `scale` is 1 + the overriding segment, or 0. */
@inline function dataSegment(u: usize): u32 {
  const overriding = load<u8>(u, 10);
  return overriding ? overriding - 1 : SEG_DS;
}

/** Linear address of the half that `open` has admitted. */
let half: u64 = 0;

/** Half of the operand, `plus` bytes from rDI, whose sum wraps around the address size: within the segment, and writable. */
function open(c: Vcpu, u: usize, plus: u64): bool {
  const address = uAddr(u), offset = load<u64>(changetype<usize>(c), RDI) + plus;
  const wrapped = address == 0 ? offset & 0xffff : address == 1 ? offset & 0xffffffff : offset;
  half = segmentLinear(c, dataSegment(u), wrapped, 8, true);
  c.stackFault = 0;
  return (half != ~0 || (c.mode & MODE_CODE64) != 0) && probeWrite(c, half, 8);
}

/**
 * Both halves must be writable, whatever the mask chooses, and the upper one is asked first, as recorded on a real
 * CPU. Then the bytes are written one by one, so that what another processor writes between them stays.
 */
function storeMasked(c: Vcpu, u: usize, mask: u32, size: u32): bool {
  if (size == 16 && !open(c, u, 8)) return false;
  const high = half;
  if (!open(c, u, 0)) return false;
  const low = half, from = dst(c, u);
  for (let i: u32 = 0; i < size; i++) {
    if (!((mask >> i) & 1)) continue;
    const p = writePtr(c, i < 8 ? low + i : high + (i - 8), 1, WRITE);
    if (!p) return false;
    store<u8>(p, load<u8>(from + i));
  }
  return true;
}

/** The x87 state enters MMX before the stores, also when they fault. */
export function maskmovq(c: Vcpu, u: usize): bool {
  if (!mmxReady(c)) return false;
  enterMmx(c);
  return storeMasked(c, u, i8x16.bitmask(right(reg(c, u))), 8);
}
export function maskmovdqu(c: Vcpu, u: usize): bool {
  return storeMasked(c, u, i8x16.bitmask(right(reg(c, u))), 16);
}
