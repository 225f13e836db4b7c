/** The stack outside 64-bit mode: SP or ESP, SS's base, limit and direction. */
import { Vcpu, MODE_CODE64, MODE_STACK32, SEG_SS } from "../gen/layout";
import { READ } from "../sem/kinds";
import { segmentLinear } from "./segment";

/** Bits of RSP that stack operations use. */
@inline export function stackMask(c: Vcpu): u64 {
  return c.mode & MODE_CODE64 ? ~0 : c.mode & MODE_STACK32 ? 0xffffffff : 0xffff;
}

/** Linear address of a stack access, or all ones with #SS recorded. */
export function stackLinear(c: Vcpu, sp: u64, size: u32, use: i32): u64 {
  if (c.mode & MODE_CODE64) return sp;
  return segmentLinear(c, SEG_SS, sp, size, use != READ);
}
