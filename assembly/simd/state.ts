/**
 * State management: FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, EMMS, CLFLUSH and the fences.
 *
 * The FXSAVE image, 512 bytes (SDM vol. 1, 10.5.1):
 *
 *       0 FCW u16   2 FSW u16   4 abridged FTW u8   6 FOP u16   8 FIP   16 FDP   24 MXCSR u32   28 MXCSR_MASK u32
 *      32 ST(0) to ST(7), 16 bytes each          160 XMM0 to XMM7, in 64-bit mode to XMM15, 16 bytes each
 *
 * FIP and FDP are 64-bit offsets with REX.W, else a 32-bit offset and a 16-bit selector. Bytes from 288 outside 64-bit
 * mode, and from 416 in it, are not touched.
 */
import { Vcpu, V_ST, V_YMM, MODE_CODE64 } from "../gen/layout";
import { raiseError, GP } from "../exception";
import { probeWrite, readPtr, writePtr } from "../mem/access";
import { WRITE } from "../sem/kinds";
import { ea, uFlags, uSize, UF_STACK } from "../decode/uop";
import { enterMmx, mmxReady, readMem, scratch, writeMem } from "./operand";

/** All of MXCSR's fields are implemented, DAZ too. */
export const MXCSR_MASK: u32 = 0xffff;
const FSW_ES: u32 = 0x80;
const FSW_B: u32 = 0x8000;
const IMAGE: u32 = 512;

export function ldmxcsr(c: Vcpu, u: usize): bool {
  const p = readMem(c, u, 4);
  if (!p) return false;
  const v = load<u32>(p);
  if (v & ~MXCSR_MASK) return raiseError(c, GP, 0);
  c.mxcsr = v;
  return true;
}

export function stmxcsr(c: Vcpu, u: usize): bool {
  const p = writeMem(c, u, 4);
  if (p) store<u32>(p, c.mxcsr);
  return p != 0;
}

/** Empties every x87 register; TOP becomes 0 as with any MMX instruction. */
export function emms(c: Vcpu, u: usize): bool {
  if (!mmxReady(c)) return false;
  enterMmx(c);
  c.ftw = 0;
  return true;
}

/** A line is flushed with the rights of a byte read; nothing is cached here. */
export function clflush(c: Vcpu, u: usize): bool { return readMem(c, u, 1) != 0; }

/** LFENCE and SFENCE order what is ordered already; MFENCE also keeps stores before later loads, as any atomic does. */
export function fence(c: Vcpu, u: usize): bool { return true; }
export function mfence(c: Vcpu, u: usize): bool {
  atomic.add<u32>(scratch(c), 0);
  return true;
}

@inline function xmmCount(c: Vcpu): usize { return c.mode & MODE_CODE64 ? 16 : 8; }
/** The operand size of FXSAVE64 and FXRSTOR64. */
@inline function wideImage(u: usize): bool { return uSize(u) == 3; }

/** A piece of the image. The image is aligned, so no piece crosses a page. */
function put(c: Vcpu, at: u64, low: u64, high: u64): bool {
  const p = writePtr(c, at, 16, WRITE);
  if (p) v128.store(p, i64x2(low, high));
  return p != 0;
}

export function fxsave(c: Vcpu, u: usize): bool {
  const at = ea(c, u);
  if (<u32>at & 15) return raiseError(c, GP, 0);
  c.stackFault = uFlags(u) & UF_STACK;
  if (!probeWrite(c, at, IMAGE)) return false;
  const wide = wideImage(u), page = changetype<usize>(c);
  const fip = wide ? c.fip : (c.fip & 0xffffffff) | (<u64>c.fcs << 32);
  const fdp = wide ? c.fdp : (c.fdp & 0xffffffff) | (<u64>c.fds << 32);
  const head = <u64>c.fcw | (<u64>c.fsw << 16) | (<u64>(c.ftw & 0xff) << 32) | (<u64>(c.fop & 0x7ff) << 48);
  if (!put(c, at, head, fip) || !put(c, at + 16, fdp, <u64>c.mxcsr | (<u64>MXCSR_MASK << 32))) return false;
  const top = (<u32>c.fsw >> 11) & 7;
  for (let i: u32 = 0; i < 8; i++) {
    const st = page + V_ST + <usize>(((top + i) & 7) << 4);
    if (!put(c, at + 32 + (i << 4), load<u64>(st), load<u16>(st, 8))) return false;
  }
  const count = xmmCount(c);
  for (let i: usize = 0; i < count; i++) {
    const xmm = page + V_YMM + (i << 5);
    if (!put(c, at + 160 + (i << 4), load<u64>(xmm), load<u64>(xmm, 8))) return false;
  }
  return true;
}

/**
 * Both ends of the image are read first: after that no piece can fault. On the careful path an execution may still
 * stop half-way to wait for a device; the next one loads every register again.
 */
export function fxrstor(c: Vcpu, u: usize): bool {
  const at = ea(c, u);
  if (<u32>at & 15) return raiseError(c, GP, 0);
  c.stackFault = uFlags(u) & UF_STACK;
  if (!readPtr(c, at, 16) || !readPtr(c, at + IMAGE - 16, 16)) return false;
  let p = readPtr(c, at + 16, 16);
  if (!p) return false;
  const fdp = load<u64>(p), mxcsr = load<u32>(p, 8);
  if (mxcsr & ~MXCSR_MASK) return raiseError(c, GP, 0);
  p = readPtr(c, at, 16);
  if (!p) return false;
  const wide = wideImage(u), page = changetype<usize>(c), fip = load<u64>(p, 8);
  c.mxcsr = mxcsr;
  c.fcw = load<u16>(p);
  c.fsw = withSummary(load<u16>(p, 2), c.fcw);
  c.ftw = load<u8>(p, 4);
  c.fop = load<u16>(p, 6) & 0x7ff;
  c.fip = wide ? fip : fip & 0xffffffff;
  c.fdp = wide ? fdp : fdp & 0xffffffff;
  c.fcs = wide ? 0 : <u16>(fip >> 32);
  c.fds = wide ? 0 : <u16>(fdp >> 32);
  const top = (<u32>c.fsw >> 11) & 7;
  for (let i: u32 = 0; i < 8; i++) {
    p = readPtr(c, at + 32 + (i << 4), 16);
    if (!p) return false;
    const st = page + V_ST + <usize>(((top + i) & 7) << 4);
    store<u64>(st, load<u64>(p));
    store<u16>(st, load<u16>(p, 8), 8);
  }
  const count = xmmCount(c);
  for (let i: usize = 0; i < count; i++) {
    p = readPtr(c, at + 160 + (i << 4), 16);
    if (!p) return false;
    v128.store(page + V_YMM + (i << 5), v128.load(p));
  }
  return true;
}

/** ES and B say whether an unmasked exception is pending: they follow from the flags and the masks. */
function withSummary(fsw: u16, fcw: u16): u16 {
  const summary = <u16>(FSW_ES | FSW_B);
  return fsw & ~fcw & 0x3f ? fsw | summary : fsw & ~summary;
}
