/** A vCPU's registers by the seeds' `enum vm_reg_name`. */
import { VCPU } from "../shared/layout.ts";
import type { CoreExports } from "../vcpu/core.ts";
import { getSegment, type StructView, setSegment } from "../vcpu/view.ts";
import { VmError } from "./error.ts";

/** `enum vm_reg_name`, with its numbers. A segment register stands for its selector; see segment.ts for the rest. */
export const VM_REG_GUEST = {
  RAX: 0,
  RBX: 1,
  RCX: 2,
  RDX: 3,
  RSI: 4,
  RDI: 5,
  RBP: 6,
  R8: 7,
  R9: 8,
  R10: 9,
  R11: 10,
  R12: 11,
  R13: 12,
  R14: 13,
  R15: 14,
  CR0: 15,
  CR3: 16,
  CR4: 17,
  DR7: 18,
  RSP: 19,
  RIP: 20,
  RFLAGS: 21,
  ES: 22,
  CS: 23,
  SS: 24,
  DS: 25,
  FS: 26,
  GS: 27,
  LDTR: 28,
  TR: 29,
  IDTR: 30,
  GDTR: 31,
  EFER: 32,
  CR2: 33,
  PDPTE0: 34,
  PDPTE1: 35,
  PDPTE2: 36,
  PDPTE3: 37,
} as const;
/** A register by its number in VM_REG_GUEST. */
export type VmReg = (typeof VM_REG_GUEST)[keyof typeof VM_REG_GUEST];
/** One more than the highest number. */
export const VM_REG_LAST = 38;

const R = VM_REG_GUEST;
/** General registers: place in Vcpu.gpr (the encoding order of instructions). */
const GPR = new Map<number, number>([
  [R.RAX, 0],
  [R.RCX, 1],
  [R.RDX, 2],
  [R.RBX, 3],
  [R.RSP, 4],
  [R.RBP, 5],
  [R.RSI, 6],
  [R.RDI, 7],
  ...Array.from({ length: 8 }, (_, i): [number, number] => [R.R8 + i, 8 + i]),
]);
const WORD = new Map<number, { field: (typeof VCPU)["cr0"]; index: number }>([
  [R.CR0, { field: VCPU.cr0, index: 0 }],
  [R.CR2, { field: VCPU.cr2, index: 0 }],
  [R.CR3, { field: VCPU.cr3, index: 0 }],
  [R.CR4, { field: VCPU.cr4, index: 0 }],
  [R.EFER, { field: VCPU.efer, index: 0 }],
  [R.RIP, { field: VCPU.rip, index: 0 }],
  [R.DR7, { field: VCPU.dr, index: 7 }],
  ...[0, 1, 2, 3].map((i): [number, { field: typeof VCPU.cr0; index: number }] => [
    R.PDPTE0 + i,
    { field: VCPU.pdpte, index: i },
  ]),
]);
export const SEGMENT_NAMES = ["ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"] as const;
export type SegmentName = (typeof SEGMENT_NAMES)[number];

/** The segment register a number stands for; undefined for any other register, IDTR and GDTR included. */
export const segmentName = (reg: number): SegmentName | undefined => SEGMENT_NAMES[reg - R.ES];

/** The seeds' vm_segment_name: the register of an instruction's segment encoding (SDM vol. 2, 2.1.1), 0 = ES to 5 = GS. */
export function vmSegmentName(encoding: number): VmReg {
  if (!(encoding >= 0 && encoding <= 5)) throw new VmError("EINVAL", `no segment register is encoded as ${encoding}`);
  return (R.ES + encoding) as VmReg;
}

/**
 * vm_get_register. IDTR and GDTR have no value of their own (their base and limit are a descriptor): EINVAL, as any
 * number that is no register.
 */
export function getRegister(core: CoreExports, view: StructView, reg: VmReg): bigint {
  const gpr = GPR.get(reg);
  if (gpr !== undefined) return view.get64(VCPU.gpr, gpr);
  if (reg === R.RFLAGS) return core.rflags(view.base);
  const word = WORD.get(reg);
  if (word) return view.get64(word.field, word.index);
  const segment = segmentName(reg);
  if (segment) return BigInt(getSegment(view, segment).selector);
  throw new VmError("EINVAL", `register ${reg} has no value`);
}

/** vm_set_register. Control registers are written as they are: what cannot be is refused at the next entry. */
export function setRegister(core: CoreExports, view: StructView, reg: VmReg, value: bigint): void {
  if (typeof value !== "bigint" || value < 0n || value >> 64n) {
    throw new VmError("EINVAL", `${String(value)} is not an unsigned value of 64 bits`);
  }
  const gpr = GPR.get(reg);
  const word = WORD.get(reg);
  const segment = segmentName(reg);
  if (gpr !== undefined) view.set64(VCPU.gpr, value, gpr);
  else if (reg === R.RFLAGS) core.setRflags(view.base, value);
  else if (word) view.set64(word.field, value, word.index);
  else if (segment) {
    if (value >> 16n) throw new VmError("EINVAL", "a selector has 16 bits");
    setSegment(view, segment, { ...getSegment(view, segment), selector: Number(value) });
  } else throw new VmError("EINVAL", `register ${reg} has no value`);
}
