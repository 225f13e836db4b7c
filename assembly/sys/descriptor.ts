/**
 * Descriptors in the GDT and LDT (SDM vol. 3, 3.4.5). Reads and writes of the tables are the CPU's own, with
 * supervisor rights.
 *
 *     63     56 55 54 53 52 51   48 47 46 45 44 43  40 39            16 15            0
 *     base31:24  G D/B L AVL lim19:16 P  DPL  S  type   base 23:0         limit 15:0
 */
import { Vcpu, MODE_LONG, SEG_LDTR } from "../gen/layout";
import { raiseError, GP } from "../exception";
import { sysRead, sysWrite, value } from "../mem/access";
import { AR_DB, AR_L, AR_P, AR_S, AR_UNUSABLE, segAr, segBase, segLimit, setSeg } from "../mem/segment";

/** The descriptor read last and its linear address; the upper half of a 16-byte one. */
export let desc: u64 = 0;
export let descAt: u64 = 0;
export let descHigh: u64 = 0;

/** System descriptor types (SDM vol. 3, table 3-2). */
export const TYPE_TSS16: u32 = 1;
export const TYPE_LDT: u32 = 2;
export const TYPE_CALL16: u32 = 4;
export const TYPE_TASK: u32 = 5;
export const TYPE_TSS32: u32 = 9;
export const TYPE_CALL32: u32 = 12;

/** Reads the descriptor of `selector`. False: outside its table, with `vector`(selector) recorded, or a page fault. */
export function fetchDescriptor(c: Vcpu, selector: u32, vector: u32): bool {
  let base = c.gdtBase, limit = c.gdtLimit;
  if (selector & 4) {
    if (segAr(c, SEG_LDTR) & AR_UNUSABLE) return raiseError(c, vector, selector & 0xfffc);
    base = segBase(c, SEG_LDTR);
    limit = segLimit(c, SEG_LDTR);
  }
  const index = selector & 0xfff8;
  if (index + 7 > limit) return raiseError(c, vector, selector & 0xfffc);
  const at = base + index;
  if (!sysRead(c, at, 3)) return false;
  desc = value;
  descAt = at;
  return true;
}

/** After fetchDescriptor in IA-32e mode: the upper 8 bytes of a system descriptor, whose type field must be 0. */
export function fetchHigh(c: Vcpu, selector: u32, vector: u32): bool {
  const limit = selector & 4 ? segLimit(c, SEG_LDTR) : c.gdtLimit;
  if ((selector & 0xfff8) + 15 > limit) return raiseError(c, vector, selector & 0xfffc);
  if (!sysRead(c, descAt + 8, 3)) return false;
  descHigh = value;
  return (value >> 40) & 31 ? raiseError(c, vector, selector & 0xfffc) : true;
}

@inline export function arOf(d: u64): u32 { return <u32>(d >> 40) & 0xf0ff; }
@inline export function dplOf(d: u64): u32 { return <u32>(d >> 45) & 3; }
@inline export function typeOf(d: u64): u32 { return <u32>(d >> 40) & 15; }
@inline export function isPresent(d: u64): bool { return (<u32>(d >> 40) & AR_P) != 0; }
@inline export function isSystem(d: u64): bool { return !(<u32>(d >> 40) & AR_S); }
@inline export function isCode(d: u64): bool { return (<u32>(d >> 40) & (AR_S | 8)) == (AR_S | 8); }
@inline export function isConforming(d: u64): bool { return (<u32>(d >> 40) & (AR_S | 12)) == (AR_S | 12); }
@inline export function isWritable(d: u64): bool { return (<u32>(d >> 40) & (AR_S | 10)) == (AR_S | 2); }
/** Data, or code that may be read. */
@inline export function isReadable(d: u64): bool {
  const t = <u32>(d >> 40);
  return (t & AR_S) != 0 && ((t & 8) == 0 || (t & 2) != 0);
}
@inline export function baseOf(d: u64): u64 { return ((d >> 16) & 0xffffff) | ((d >> 32) & 0xff000000); }
@inline export function limitOf(d: u64): u32 {
  const raw = <u32>(d & 0xffff) | (<u32>(d >> 32) & 0xf0000);
  return (d >> 55) & 1 ? (raw << 12) | 0xfff : raw;
}

/** Code that L and D both claim does not exist in IA-32e mode. */
export function badLong(c: Vcpu, d: u64): bool {
  return (c.mode & MODE_LONG) != 0 && (arOf(d) & (AR_L | AR_DB)) == (AR_L | AR_DB);
}

/** Sets the accessed bit of a descriptor in its table, if it is clear. */
export function touchDescriptor(c: Vcpu, d: u64, at: u64): bool {
  if ((d >> 40) & 1) return true;
  return sysWrite(c, at + 5, 0, ((d >> 40) & 0xff) | 1);
}

/** Fills a segment register from a code or data descriptor. */
export function loadDescriptor(c: Vcpu, s: u32, selector: u32, d: u64): void {
  setSeg(c, s, selector, baseOf(d), limitOf(d), arOf(d) | 1);
}

/** A null selector in a data segment register or, in 64-bit mode, in SS: its DPL is then the CPL. */
export function setNull(c: Vcpu, s: u32, selector: u32, dpl: u32): void {
  setSeg(c, s, selector, 0, 0, AR_UNUSABLE | (dpl << 5));
}

@inline export function isNull(selector: u32): bool { return (selector & 0xfffc) == 0; }

/** #GP(selector), false. */
export function gpSelector(c: Vcpu, selector: u32): bool { return raiseError(c, GP, selector & 0xfffc); }
