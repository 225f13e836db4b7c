/** What compiled regions call (src/isa/jitHelpers.ts has the list and the signatures): exports of the core. */
import { STATUS_REDO, V_GPR, Vcpu } from "../gen/layout";
import { uOff, uRest } from "../decode/uop";
import { readPtr, writePtr } from "../mem/access";
import { signedDivideBad, signedQuotient, signedRemainder } from "../sem/wide";

export { callHandler } from "../gen/dispatch";
export { easeg } from "../decode/address";
export {
  x87Add, x87Sub, x87Mul, x87Div, x87Sqrt, x87ToF64, x87ToF32, x87ToInt, x87Compare,
} from "../x87/direct";
export { conditionOf, carryOf, arithmeticOf } from "../sem/flags";
export {
  mulHighU, mulHighS, divide128, remainder128, rotateCarryLeft, rotateCarryRight, shiftDoubleLeft, shiftDoubleRight,
} from "../sem/wide";

/** Host address for an access, 0 with c.status. `how`: size 7:0, stack 8, use (sem/kinds.ts) from 9 on. */
export function regionRead(vcpu: usize, linear: u64, how: u32): usize {
  const c = changetype<Vcpu>(vcpu);
  c.stackFault = (how >> 8) & 1;
  return readPtr(c, linear, how & 0xff);
}
export function regionWrite(vcpu: usize, linear: u64, how: u32): usize {
  const c = changetype<Vcpu>(vcpu);
  c.stackFault = (how >> 8) & 1;
  return writePtr(c, linear, how & 0xff, how >> 9);
}

/**
 * Ends of a region: RSP, which it has in a local, goes back, and the budget that is left is returned. Tail calls to these
 * in place of a common end: where dozens of jumps meet, the host's compilers bring all locals into one state for each.
 */

/** RIP = page + off, `rest` instructions are given back. `how`: off i32, rest u16, status + 1 u16 (0: it is set already). */
export function regionLeave(vcpu: usize, budget: i64, rsp: u64, page: u64, how: u64): i64 {
  const c = changetype<Vcpu>(vcpu), status = <u32>(how >> 48);
  store<u64>(vcpu + RSP_AT, rsp);
  c.rip = page + <i64><i32>how;
  if (status) c.status = status - 1;
  return budget + <i64>((how >> 32) & 0xffff);
}

/** The interpreter goes on with the micro-op at `place` from the vCPU's start, whose page is at RIP `page`. */
export function regionGoOn(vcpu: usize, budget: i64, rsp: u64, page: u64, place: u32): i64 {
  const c = changetype<Vcpu>(vcpu), u = vcpu + place;
  store<u64>(vcpu + RSP_AT, rsp);
  c.ripPage = page;
  c.rip = page + uOff(u);
  c.uop = <u32>u;
  c.status = STATUS_REDO;
  return budget + uRest(u);
}

export function swap64(v: u64): u64 { return bswap<u64>(v); }

/** Where the vCPU has RSP. */
const RSP_AT: usize = V_GPR + 4 * 8;

@inline function sext(v: u64, bits: u64): u64 { return <u64>(<i64>(v << (64 - bits)) >> (64 - bits)); }

/** IDIV of `bits`: hi:lo / y, lo zero-extended, hi and y sign-extended. 1 = #DE. */
export function idivBad(hi: u64, lo: u64, y: u64, bits: u64): u32 {
  if (bits == 64) return signedDivideBad(hi, lo, y);
  if (y == 0) return 1;
  const n = <i64>((hi << bits) | lo);
  // The most negative dividend over -1 would trap in the host.
  const q: u64 = y == ~0 ? <u64>(0 - n) : <u64>(n / <i64>y);
  return u32(q != sext(q, bits));
}
export function idivQuotient(hi: u64, lo: u64, y: u64, bits: u64): u64 {
  if (bits == 64) return signedQuotient(hi, lo, y);
  const n = <i64>((hi << bits) | lo);
  return y == ~0 ? <u64>(0 - n) : <u64>(n / <i64>y);
}
export function idivRemainder(hi: u64, lo: u64, y: u64, bits: u64): u64 {
  if (bits == 64) return signedRemainder(hi, lo, y);
  const n = <i64>((hi << bits) | lo);
  return y == ~0 ? 0 : <u64>(n % <i64>y);
}
