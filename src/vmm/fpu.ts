/**
 * x87, SSE and AVX state as one XSAVE image in standard format (SDM vol. 1, 13.4):
 *
 *       0 FCW u16   2 FSW u16   4 abridged FTW u8   6 FOP u16   8 FIP u64   16 FDP u64   24 MXCSR u32   28 mask u32
 *      32 ST(0) to ST(7), 16 bytes each      160 XMM0 to XMM15      512 XSTATE_BV u64, XCOMP_BV u64, 48 zero bytes
 *     576 upper halves of YMM0 to YMM15
 */
import { VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";
import { VmError } from "./error.ts";

/** Bytes of the image of vm_get_fpu and vm_set_fpu. */
export const FPU_SIZE = 832;
/** x87, SSE and AVX: the state components in XSTATE_BV. */
const COMPONENTS = 7n;
const MXCSR_MASK = 0xffff;

const YMM = 32;
const ST = 16;
const XMM_AT = 160;
const HEADER_AT = 512;
const UPPER_AT = 576;

const top = (fsw: number): number => (fsw >> 11) & 7;

/** vm_get_fpu: the image, every component marked as in use. */
export function getFpu(view: StructView): Uint8Array {
  const image = new Uint8Array(FPU_SIZE);
  const to = new DataView(image.buffer);
  const memory = new Uint8Array(view.data.buffer);
  const fsw = view.get(VCPU.fsw);
  to.setUint16(0, view.get(VCPU.fcw), true);
  to.setUint16(2, fsw, true);
  to.setUint8(4, view.get(VCPU.ftw));
  to.setUint16(6, view.get(VCPU.fop), true);
  to.setBigUint64(8, view.get64(VCPU.fip), true);
  to.setBigUint64(16, view.get64(VCPU.fdp), true);
  to.setUint32(24, view.get(VCPU.mxcsr), true);
  to.setUint32(28, MXCSR_MASK, true);
  for (let i = 0; i < 8; i++) {
    const from = view.base + VCPU.st.offset + ((top(fsw) + i) & 7) * ST;
    image.set(memory.slice(from, from + 10), 32 + 16 * i);
  }
  for (let i = 0; i < 16; i++) {
    const from = view.base + VCPU.ymm.offset + i * YMM;
    image.set(memory.slice(from, from + 16), XMM_AT + 16 * i);
    image.set(memory.slice(from + 16, from + 32), UPPER_AT + 16 * i);
  }
  to.setBigUint64(HEADER_AT, COMPONENTS, true);
  return image;
}

/**
 * vm_set_fpu. A component that XSTATE_BV leaves out gets its initial value, as XRSTOR does it.
 *
 * | image | outcome |
 * |---|---|
 * | not FPU_SIZE bytes | EINVAL |
 * | MXCSR, XSTATE_BV or XCOMP_BV with bits that are reserved | EINVAL |
 * | any other | taken |
 */
export function setFpu(view: StructView, image: Uint8Array): void {
  if (image.length !== FPU_SIZE) throw new VmError("EINVAL", `an FPU image has ${FPU_SIZE} bytes, not ${image.length}`);
  const from = new DataView(image.buffer, image.byteOffset, image.length);
  const present = from.getBigUint64(HEADER_AT, true);
  const mxcsr = from.getUint32(24, true);
  if (present & ~COMPONENTS || from.getBigUint64(HEADER_AT + 8, true)) {
    throw new VmError("EINVAL", "an FPU image with components that this CPU does not have");
  }
  if (mxcsr & ~MXCSR_MASK) throw new VmError("EINVAL", "MXCSR with reserved bits");
  const memory = new Uint8Array(view.data.buffer);
  const x87 = (present & 1n) !== 0n;
  const fsw = x87 ? from.getUint16(2, true) : 0;
  view.set(VCPU.fcw, x87 ? from.getUint16(0, true) : 0x37f);
  view.set(VCPU.fsw, fsw);
  view.set(VCPU.ftw, x87 ? from.getUint8(4) : 0);
  view.set(VCPU.fop, x87 ? from.getUint16(6, true) & 0x7ff : 0);
  view.set64(VCPU.fip, x87 ? from.getBigUint64(8, true) : 0n);
  view.set64(VCPU.fdp, x87 ? from.getBigUint64(16, true) : 0n);
  view.set(VCPU.mxcsr, present & 6n ? mxcsr : 0x1f80);
  const put = (at: number, length: number, source: number, used: boolean): void => {
    if (used) memory.set(image.subarray(source, source + length), at);
    else memory.fill(0, at, at + length);
  };
  for (let i = 0; i < 8; i++) put(view.base + VCPU.st.offset + ((top(fsw) + i) & 7) * ST, 10, 32 + 16 * i, x87);
  for (let i = 0; i < 16; i++) {
    const at = view.base + VCPU.ymm.offset + i * YMM;
    put(at, 16, XMM_AT + 16 * i, (present & 2n) !== 0n);
    put(at + 16, 16, UPPER_AT + 16 * i, (present & 4n) !== 0n);
  }
}
