/**
 * Vcpu.mode: what the decoder and the engines must know about the running code, from CS, SS, CR0, CR4, EFER and RFLAGS.
 * Whoever changes one of them calls updateMode before the next instruction is looked up.
 *
 * In 64-bit mode STACK32 and FLAT are clear, so that one kind of code has one key. FLATCS says that no instruction
 * pointer the mode has can be beyond CS's limit: only then are blocks cached and linked.
 */
import {
  Vcpu, MODE_CODE32, MODE_CODE64, MODE_STACK32, MODE_FLAT, MODE_FLATCS, MODE_PROTECTED, MODE_V86, MODE_CPL3, MODE_NOFPU,
  MODE_NOSSE, MODE_NOAVX, MODE_ALIGN, MODE_IOPL_OK, MODE_LONG, SEG_ES, SEG_CS, SEG_SS, SEG_DS,
  ATTENTION_POSTED, UOP_SIZE, V_ATTENTION,
} from "../gen/layout";
import { AR_DB, AR_L, AR_P, AR_S, AR_UNUSABLE, segAr, segBase, segLimit } from "../mem/segment";
import { updateContext } from "../mem/tlb";
import { ARMED_CODE } from "../mem/watch";
import { apicDeliverable } from "../apic";
import { CPU_AVX, hasFeature } from "./model";

/** RFLAGS bits beyond the arithmetic ones (SDM vol. 1, 3.4.3). */
export const TF: u64 = 1 << 8;
export const IF: u64 = 1 << 9;
export const DF: u64 = 1 << 10;
export const IOPL: u64 = 3 << 12;
export const NT: u64 = 1 << 14;
export const RF: u64 = 1 << 16;
export const VM: u64 = 1 << 17;
export const AC: u64 = 1 << 18;
export const VIF: u64 = 1 << 19;
export const VIP: u64 = 1 << 20;
export const ID: u64 = 1 << 21;

export const CR0_PE: u64 = 1;
export const CR0_MP: u64 = 2;
export const CR0_EM: u64 = 4;
export const CR0_TS: u64 = 8;
export const CR0_ET: u64 = 16;
export const CR0_AM: u64 = 1 << 18;
export const CR4_VME: u64 = 1;
export const CR4_PVI: u64 = 2;
export const CR4_OSFXSR: u64 = 1 << 9;
export const CR4_OSXSAVE: u64 = 1 << 18;
/** XCR0's SSE and AVX state. */
const XCR0_YMM: u64 = 6;
export const EFER_SCE: u64 = 1;
export const EFER_LME: u64 = 1 << 8;
export const EFER_LMA: u64 = 1 << 10;

/** Present, writable, expand-up data or stack segment over all 4 GiB. */
function isFlat(c: Vcpu, s: u32): bool {
  const ar = segAr(c, s);
  return segBase(c, s) == 0 && segLimit(c, s) == 0xffffffff
    && (ar & (AR_UNUSABLE | AR_P | AR_S | 8 | 4 | 2)) == (AR_P | AR_S | 2);
}

/**
 * RFLAGS.IF, TF or RF may have been set, or NMIs unblocked: if that lets something in, the next block's head goes back to
 * the outer loop. (Leaving each time would make STI, POPF and IRET several times dearer.) RF lasts for one instruction:
 * with no breakpoint to hold off and no event to push it, it is gone already.
 */
export function lookUp(c: Vcpu): void {
  const flags = c.rflags;
  const due = (flags & TF) != 0 || (c.nmiPending && !c.nmiBlocked) || (flags & IF) != 0 && (c.extint != 0 || apicDeliverable(c) >= 0)
    || (flags & RF) != 0 && (c.armed & ARMED_CODE) != 0 || c.debug != 0;
  if (!due && c.attention == 0) c.rflags &= ~RF;
  if (due) atomic.or<i32>(changetype<usize>(c) + V_ATTENTION, ATTENTION_POSTED);
}

/**
 * STI (1) or MOV SS (2) at the micro-op `u` holds off what waits for one instruction. Nothing looks at that instruction as
 * it runs: whether the shadow is over, the outer loop tells by RIP. Both end their blocks, so the next micro-op knows where
 * the next instruction is.
 */
export function beginShadow(c: Vcpu, u: usize, kind: u32): void {
  c.shadow = kind;
  c.shadowRip = (c.ripPage + load<u16>(u + UOP_SIZE, 2)) & (c.mode & MODE_CODE64 ? ~0 : c.mode & MODE_CODE32 ? 0xffffffff : 0xffff);
}

@inline export function iopl(c: Vcpu): u32 { return <u32>(c.rflags >> 12) & 3; }

/** Recomputes Vcpu.mode and what hangs on it. Vcpu.cpl must be right. */
export function updateMode(c: Vcpu): void {
  const cr0 = c.cr0;
  const cs = segAr(c, SEG_CS);
  let mode: u32 = 0;
  if (!(cr0 & CR0_PE)) mode = MODE_IOPL_OK;
  else if (c.rflags & VM) mode = MODE_V86 | (iopl(c) == 3 ? MODE_IOPL_OK : 0);
  else mode = MODE_PROTECTED | (c.cpl <= iopl(c) ? MODE_IOPL_OK : 0);
  if (c.cpl == 3) {
    mode |= MODE_CPL3;
    if ((cr0 & CR0_AM) && (c.rflags & AC)) mode |= MODE_ALIGN;
  }
  if (cr0 & (CR0_EM | CR0_TS)) mode |= MODE_NOFPU | MODE_NOSSE;
  if (!(c.cr4 & CR4_OSFXSR)) mode |= MODE_NOSSE;
  if (!(c.cr4 & CR4_OSXSAVE) || (c.xcr0 & XCR0_YMM) != XCR0_YMM || !hasFeature(c, CPU_AVX)) mode |= MODE_NOAVX;
  if (c.efer & EFER_LMA) mode |= MODE_LONG;
  if ((c.efer & EFER_LMA) && (cs & AR_L)) mode |= MODE_CODE64 | MODE_FLATCS;
  else {
    if (cs & AR_DB) mode |= MODE_CODE32;
    if (segAr(c, SEG_SS) & AR_DB) mode |= MODE_STACK32;
    if (isFlat(c, SEG_DS) && isFlat(c, SEG_ES) && isFlat(c, SEG_SS)) mode |= MODE_FLAT;
    if (segLimit(c, SEG_CS) >= (cs & AR_DB ? <u32>0xffffffff : <u32>0xffff)) mode |= MODE_FLATCS;
  }
  c.mode = mode;
  updateContext(c);
}
