/**
 * The address micro-op: leaves in Vcpu.ea the linear address of an operand whose addressing is not "flat, at the mode's
 * own width": a segment base, a limit to check, or truncation to 16 or 32 bits. Its fields: base, idx, scale, disp as
 * in any micro-op; s = segment (0xff: none, for LEA; 0xfe: none, imm is a 64-bit displacement); imm = {size in bits
 * 15:0 (0: the meaning checks limits and rights itself, by `locate`), write in bit 16, must be aligned to its size in bit 17, address size in bits 25:24}.
 */
import { Vcpu, MODE_CODE64, SEG_FS, UOP_SIZE, V_EA } from "../gen/layout";
import { raiseError, GP } from "../exception";
import { segBase, segmentLinear } from "../mem/segment";
import { ea, uAddr } from "./uop";

export function easeg(c: Vcpu, u: usize): bool {
  if (load<u16>(u, 4) == 0xfe) {
    c.ea = ea(c, u) + load<u64>(u, 16);
    return true;
  }
  const how = load<u32>(u, 16);
  let offset = ea(c, u);
  const width = (how >> 24) & 3;
  if (width == 0) offset &= 0xffff;
  else if (width == 1) offset &= 0xffffffff;
  const s = load<u16>(u, 4);
  // LEA and its like want the offset, not the linear address.
  if (s == 0xff) {
    c.ea = offset;
    return true;
  }
  if ((how & 0xffff) == 0) {
    c.ea = c.mode & MODE_CODE64 ? (s >= SEG_FS ? segBase(c, s) + offset : offset) : (segBase(c, s) + offset) & 0xffffffff;
    return true;
  }
  const linear = segmentLinear(c, s, offset, how & 0xffff, (how & 0x10000) != 0);
  if (linear == ~0 && !(c.mode & MODE_CODE64)) {
    // Misalignment is found before the limit is: #GP(0) even where that would be #SS(0).
    return how & 0x20000 && (<u32>segBase(c, s) + <u32>offset) & ((how & 0xffff) - 1) ? raiseError(c, GP, 0) : false;
  }
  c.ea = linear;
  return true;
}

/** Segment of the memory operand if an address micro-op has added it; -1: it is flat. */
export function operandSegment(u: usize): i32 {
  return load<u16>(u, 6) == V_EA ? <i32>load<u16>(u - UOP_SIZE, 4) : -1;
}

/** Linear address that the last successful `locate` has found. */
export let located: u64 = 0;

/**
 * Finds the linear address `plus` bytes into the memory operand, whose offset wraps around the address size. False with
 * #GP(0) or #SS(0) recorded if `size` bytes there are not within the segment; canonical form is checked by the access.
 */
export function locate(c: Vcpu, u: usize, plus: u64, size: u32, write: bool): bool {
  const s = operandSegment(u), a = uAddr(u);
  const offset = (operandOffset(c, u) + plus) & (a == 0 ? 0xffff : a == 1 ? 0xffffffff : ~0);
  located = s < 0 ? offset : segmentLinear(c, s, offset, size, write);
  return located != ~0 || (c.mode & MODE_CODE64) != 0;
}

/** Offset of the memory operand in its segment. */
export function operandOffset(c: Vcpu, u: usize): u64 {
  const at = ea(c, u), s = operandSegment(u);
  if (c.mode & MODE_CODE64) return s >= <i32>SEG_FS ? at - segBase(c, s) : at;
  return (s >= 0 ? at - segBase(c, s) : at) & 0xffffffff;
}
