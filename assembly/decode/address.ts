/**
 * The address micro-op: leaves in Vcpu.ea the linear address of an operand whose addressing is not "flat, at the mode's
 * own width": a segment base, a limit to check, or truncation to 16 or 32 bits. Its fields: base, idx, scale, disp as
 * in any micro-op; s = segment (0xff: none, for LEA; 0xfe: none, imm is a 64-bit displacement); imm = {size in bits 15:0, write in bit 16, address size in bits 25:24}.
 */
import { Vcpu, MODE_CODE64 } from "../gen/layout";
import { segmentLinear } from "../mem/segment";
import { ea } from "./uop";

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
  const linear = segmentLinear(c, s, offset, how & 0xffff, (how & 0x10000) != 0);
  if (linear == ~0 && !(c.mode & MODE_CODE64)) return false;
  c.ea = linear;
  return true;
}
