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

/**
 * The whole range must be writable, whatever the mask chooses, and the upper half is asked first, as recorded on a real
 * CPU. Then the bytes are written one by one, so that what another processor writes between them stays.
 */
function storeMasked(c: Vcpu, u: usize, mask: u32, size: u32): bool {
  const address = uAddr(u), rdi = load<u64>(changetype<usize>(c), RDI);
  const offset = address == 0 ? rdi & 0xffff : address == 1 ? rdi & 0xffffffff : rdi;
  const linear = segmentLinear(c, dataSegment(u), offset, size, true);
  if (linear == ~0 && !(c.mode & MODE_CODE64)) return false;
  c.stackFault = 0;
  if (size == 16 && !probeWrite(c, linear + 8, 8)) return false;
  if (!probeWrite(c, linear, 8)) return false;
  const from = dst(c, u);
  for (let i: u32 = 0; i < size; i++) {
    if (!((mask >> i) & 1)) continue;
    const p = writePtr(c, linear + i, 1, WRITE);
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
