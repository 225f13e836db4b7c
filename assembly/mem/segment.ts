/**
 * Segment registers and the checks on an access through one (SDM vol. 3, chapter 5.3 to 5.5). Access rights are in
 * the VMX format (SDM vol. 3, 25.4.1):
 *
 *      16      15 14  13 12   11:8   7  6:5   4   3:0
 *     unusable  G D/B  L AVL reserved P  DPL  S  type
 */
import { Vcpu, V_SEG, SEG_STRIDE, SEG_OFF_BASE, SEG_OFF_LIMIT, SEG_OFF_AR, SEG_OFF_SELECTOR, SEG_SS, SEG_FS, MODE_CODE64, MODE_PROTECTED } from "../gen/layout";
import { raiseError, GP, SS } from "../exception";

export const AR_TYPE: u32 = 15;
export const AR_S: u32 = 0x10;
export const AR_P: u32 = 0x80;
export const AR_L: u32 = 0x2000;
export const AR_DB: u32 = 0x4000;
export const AR_G: u32 = 0x8000;
export const AR_UNUSABLE: u32 = 0x10000;

@inline function seg(c: Vcpu, s: u32): usize { return changetype<usize>(c) + V_SEG + <usize>s * SEG_STRIDE; }
@inline export function segBase(c: Vcpu, s: u32): u64 { return load<u64>(seg(c, s), SEG_OFF_BASE); }
@inline export function segLimit(c: Vcpu, s: u32): u32 { return load<u32>(seg(c, s), SEG_OFF_LIMIT); }
@inline export function segAr(c: Vcpu, s: u32): u32 { return load<u32>(seg(c, s), SEG_OFF_AR); }
@inline export function segSelector(c: Vcpu, s: u32): u32 { return load<u16>(seg(c, s), SEG_OFF_SELECTOR); }
@inline export function segDpl(c: Vcpu, s: u32): u32 { return (segAr(c, s) >> 5) & 3; }

/** A segment that is all of the address space: an access may wrap around its end (SDM vol. 3, 5.3, leaves it open). */
@inline export function isWhole(base: u64, limit: u32): bool { return limit == 0xffffffff && base == 0; }

/** Fills a segment register; `limit` is in bytes (granularity applied). Call updateMode afterwards. */
export function setSeg(c: Vcpu, s: u32, selector: u32, base: u64, limit: u32, ar: u32): void {
  const p = seg(c, s);
  store<u64>(p, base, SEG_OFF_BASE);
  store<u32>(p, limit, SEG_OFF_LIMIT);
  store<u32>(p, ar, SEG_OFF_AR);
  store<u16>(p, <u16>selector, SEG_OFF_SELECTOR);
}
export function setSegBase(c: Vcpu, s: u32, base: u64): void { store<u64>(seg(c, s), base, SEG_OFF_BASE); }
export function setSegAr(c: Vcpu, s: u32, ar: u32): void { store<u32>(seg(c, s), ar, SEG_OFF_AR); }

/**
 * Linear address of `offset` in segment `s` for `size` bytes, or all ones with #GP(0) or #SS(0) recorded. In 64-bit
 * mode only FS and GS have a base and nothing has a limit; canonical form is checked by the access.
 */
export function segmentLinear(c: Vcpu, s: u32, offset: u64, size: u32, write: bool): u64 {
  if (c.mode & MODE_CODE64) return s >= SEG_FS ? segBase(c, s) + offset : offset;
  const ar = segAr(c, s), limit = segLimit(c, s), type = ar & AR_TYPE;
  const last = offset + (size - 1);
  let ok = !(ar & AR_UNUSABLE);
  // Real and virtual-8086 mode check limits only; their segments are read/write data.
  if (c.mode & MODE_PROTECTED) ok = ok && (type & 8 ? !write && (type & 2) != 0 : !write || (type & 2) != 0);
  if ((type & 12) == 4 && ar & AR_S) ok = ok && offset > <u64>limit && last <= (ar & AR_DB ? <u64>0xffffffff : <u64>0xffff);
  else ok = ok && (last <= <u64>limit || isWhole(segBase(c, s), limit));
  if (!ok) {
    raiseError(c, s == SEG_SS ? SS : GP, 0);
    return ~0;
  }
  return (segBase(c, s) + offset) & 0xffffffff;
}
