/**
 * Segment descriptors as the CPU holds them (the seeds' `struct seg_desc`). `access` (SDM vol. 3, table 25-2):
 *
 *     31    17 16 15 14 13 12 11    8 7  6 5  4  3    0
 *     +-------+--+--+---+-+---+------+--+----+--+------+
 *     |   0   |U |G |D/B|L|AVL|  0   |P |DPL |S | type |        U = unusable
 *     +-------+--+--+---+-+---+------+--+----+--+------+
 */
import { VCPU } from "../shared/layout.ts";
import { getSegment, type StructView, setSegment } from "../vcpu/view.ts";
import { VmError } from "./error.ts";
import { segmentName, VM_REG_GUEST, type VmReg } from "./registers.ts";

/** `struct seg_desc`: the hidden part of a segment register. */
export interface SegDesc {
  base: bigint;
  limit: number;
  access: number;
}

/** Type, with the S bit, of SegDesc.access. */
export const segDescType = (access: number): number => access & 0x1f;
/** Descriptor privilege level. */
export const segDescDpl = (access: number): number => (access >> 5) & 3;
/** Present. */
export const segDescPresent = (access: number): boolean => (access & 0x80) !== 0;
/** D/B: 32-bit. */
export const segDescDef32 = (access: number): boolean => (access & 0x4000) !== 0;
/** Limit in pages. */
export const segDescGranularity = (access: number): boolean => (access & 0x8000) !== 0;
/** A null selector was loaded. */
export const segDescUnusable = (access: number): boolean => (access & 0x1_0000) !== 0;

/**
 * vm_get_seg_desc.
 *
 * | register | base | limit | access |
 * |---|---|---|---|
 * | ES … GS, LDTR, TR | yes | in bytes, whatever G says | yes |
 * | IDTR, GDTR | yes | yes | 0 |
 * | any other | EINVAL | | |
 */
export function getSegDesc(view: StructView, reg: VmReg): SegDesc {
  const name = segmentName(reg);
  if (name) {
    const s = getSegment(view, name);
    return { base: s.base, limit: s.limit, access: s.ar };
  }
  if (reg === VM_REG_GUEST.GDTR) return { base: view.get64(VCPU.gdtBase), limit: view.get(VCPU.gdtLimit), access: 0 };
  if (reg === VM_REG_GUEST.IDTR) return { base: view.get64(VCPU.idtBase), limit: view.get(VCPU.idtLimit), access: 0 };
  throw new VmError("EINVAL", `register ${reg} has no descriptor`);
}

/** vm_set_seg_desc: the hidden part of a segment register, or a table register. The selector stays. */
export function setSegDesc(view: StructView, reg: VmReg, desc: Readonly<SegDesc>): void {
  const { base, limit, access } = desc;
  if (base < 0n || base >> 64n || !(limit >= 0 && limit <= 0xffff_ffff) || !(access >= 0 && access <= 0x1_ffff)) {
    throw new VmError("EINVAL", "base has 64 bits, limit 32, access 17");
  }
  const name = segmentName(reg);
  if (name) setSegment(view, name, { selector: getSegment(view, name).selector, base, limit, ar: access });
  else if (reg === VM_REG_GUEST.GDTR || reg === VM_REG_GUEST.IDTR) {
    if (limit > 0xffff) throw new VmError("EINVAL", "the limit of a descriptor table has 16 bits");
    const gdt = reg === VM_REG_GUEST.GDTR;
    view.set64(gdt ? VCPU.gdtBase : VCPU.idtBase, base);
    view.set(gdt ? VCPU.gdtLimit : VCPU.idtLimit, limit);
  } else throw new VmError("EINVAL", `register ${reg} has no descriptor`);
}
