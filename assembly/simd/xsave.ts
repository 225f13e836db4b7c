/**
 * The XSAVE feature set (SDM vol. 1, chapter 13): XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS, XGETBV, XSETBV.
 *
 * An area is the legacy region (./area.ts), the header, and the extended region:
 *
 *     512 XSTATE_BV u64   520 XCOMP_BV u64 (bit 63: compacted)   528 48 bytes, reserved
 *     576 state component 2, AVX: bits 255:128 of YMM0 to YMM15, 256 bytes
 *    2688 state component 9, PKRU, 8 bytes (in between lies what AVX-512 would have)
 *
 * In the compacted format the components that XCOMP_BV names follow each other from 576 on. Component 0 is x87, 1 SSE.
 * There is no supervisor state: IA32_XSS is always 0.
 *
 * A component is in use (XINUSE) when its registers do not have their initial values. That is what the manual asks for;
 * real CPUs may say so of initial values, too. The modified optimisation (13.6) is not made use of.
 *
 * An area of these components spans two pages at most. The CPU touches its last byte first, and so do we: then nothing
 * has been stored or loaded when a page fault comes. On the careful path an execution may still stop half-way to wait
 * for a device; the next one does everything again.
 */
import { Vcpu, V_ST, V_YMM } from "../gen/layout";
import { GP, NM, raise, raiseError, UD } from "../exception";
import { probeWrite, readPtr, writePtr } from "../mem/access";
import { WRITE } from "../sem/kinds";
import { setPkru } from "../sys/control";
import { CPU_AVX, CPU_PKU, CPU_XGETBV1, CPU_XSAVEC, hasFeature } from "../sys/model";
import { CR0_TS, CR4_OSXSAVE, updateMode } from "../sys/mode";
import { initialize } from "../x87/control";
import {
  LEGACY_SIZE, loadX87, loadXmm, loadYmmHigh, mxcsrValid, newMxcsr, openArea, openEnd, part, readMxcsr, storeMxcsr,
  storeX87, storeXmm, storeYmmHigh, xmmCount,
} from "./area";

const X87: u64 = 1;
const SSE: u64 = 2;
const AVX: u64 = 4;
const PKRU: u64 = 1 << 9;
const COMPACTED: u64 = 1 << 63;
const HEADER_SIZE: u32 = 64;
const XSTATE_BV: u64 = 512;
const XCOMP_BV: u64 = 520;
const FIRST: u32 = LEGACY_SIZE + HEADER_SIZE;
const AVX_SIZE: u32 = 256;
const PKRU_SIZE: u32 = 8;
const PKRU_AT: u32 = 2688;
const MXCSR_INITIAL: u32 = 0x1f80;

/** XCR0 bits that this CPU model has. */
export function xcr0Supported(c: Vcpu): u64 {
  return X87 | SSE | (hasFeature(c, CPU_AVX) ? AVX : 0) | (hasFeature(c, CPU_PKU) ? PKRU : 0);
}

/** Bytes of a component of the extended region, and its place in the standard format. */
export function componentSize(i: u32): u32 { return i == 2 ? AVX_SIZE : i == 9 ? PKRU_SIZE : 0; }
export function componentAt(i: u32): u32 { return i == 2 ? FIRST : PKRU_AT; }

/** Bytes of an area in the standard format that holds `components`. */
export function standardSize(components: u64): u32 {
  return components & PKRU ? PKRU_AT + PKRU_SIZE : components & AVX ? FIRST + AVX_SIZE : FIRST;
}

/** Bytes of an area in the compacted format whose XCOMP_BV is `format`, up to the last of `components`. */
export function compactedSize(format: u64, components: u64 = ~0): u32 {
  const pkruAt = FIRST + (format & AVX ? AVX_SIZE : 0);
  if (format & components & PKRU) return pkruAt + PKRU_SIZE;
  return format & components & AVX ? pkruAt : FIRST;
}

function usable(c: Vcpu): bool {
  if (!(c.cr4 & CR4_OSXSAVE)) return raise(c, UD);
  return c.cr0 & CR0_TS ? raise(c, NM) : true;
}

@inline function lowPair(c: Vcpu): u64 { return (c.gprAt(0) & 0xffffffff) | (c.gprAt(2) << 32); }

/** The requested-feature bitmap: EDX:EAX and what is enabled. */
function requested(c: Vcpu, enabled: u64): u64 { return lowPair(c) & enabled; }

/** True if the halves of all YMM registers from `half` (0 or 16) on are zero. */
function halvesZero(c: Vcpu, half: usize): bool {
  let any = i64x2.splat(0);
  const first = changetype<usize>(c) + V_YMM + half;
  for (let i: usize = 0; i < 16; i++) any = v128.or(any, v128.load(first + (i << 5)));
  return !v128.any_true(any);
}

function x87Initial(c: Vcpu): bool {
  if (c.fcw != 0x37f || c.fsw || c.ftw || c.fop || c.fip || c.fdp || c.fcs || c.fds) return false;
  let any: u64 = 0;
  for (let i: usize = 0; i < 8; i++) {
    const st = changetype<usize>(c) + V_ST + (i << 4);
    any |= load<u64>(st) | <u64>load<u16>(st, 8);
  }
  return !any;
}

/** XINUSE, with MXCSR as a part of SSE state. */
function inUse(c: Vcpu): u64 {
  return (x87Initial(c) ? 0 : X87) | (halvesZero(c, 0) && c.mxcsr == MXCSR_INITIAL ? 0 : SSE)
    | (halvesZero(c, 16) ? 0 : AVX) | (c.pkru ? PKRU : 0);
}

/** Stores `components`; component 9 at `pkruAt`. */
function storeExtended(c: Vcpu, components: u64, pkruAt: u32): bool {
  if (components & AVX && !storeYmmHigh(c, FIRST)) return false;
  if (!(components & PKRU)) return true;
  const p = writePtr(c, part(pkruAt), PKRU_SIZE, WRITE);
  if (p) store<u64>(p, c.pkru);
  return p != 0;
}

function saveStandard(c: Vcpu, u: usize, optimised: bool): bool {
  if (!usable(c)) return false;
  const wanted = requested(c, c.xcr0), size = standardSize(wanted);
  if (!openArea(c, u, 64, size, true)) return false;
  if (!probeWrite(c, part(size - 1), 1)) return false;
  const used = inUse(c), saved = optimised ? wanted & used : wanted;
  if (saved & X87 && !storeX87(c, u)) return false;
  if (wanted & (SSE | AVX) && !storeMxcsr(c)) return false;
  if (saved & SSE && !storeXmm(c)) return false;
  if (!storeExtended(c, saved, PKRU_AT)) return false;
  const p = readPtr(c, part(XSTATE_BV), 8);
  if (!p) return false;
  const bv = (load<u64>(p) & ~wanted) | (used & wanted), w = writePtr(c, part(XSTATE_BV), 8, WRITE);
  if (w) store<u64>(w, bv);
  return w != 0;
}

export function xsave(c: Vcpu, u: usize): bool { return saveStandard(c, u, false); }
export function xsaveopt(c: Vcpu, u: usize): bool { return saveStandard(c, u, true); }

function saveCompacted(c: Vcpu, u: usize, enabled: u64): bool {
  const wanted = requested(c, enabled), size = compactedSize(wanted);
  if (!openArea(c, u, 64, size, true)) return false;
  if (!probeWrite(c, part(size - 1), 1)) return false;
  const saved = wanted & inUse(c);
  if (saved & X87 && !storeX87(c, u)) return false;
  if (saved & SSE && (!storeMxcsr(c) || !storeXmm(c))) return false;
  if (!storeExtended(c, saved, size - PKRU_SIZE)) return false;
  const p = writePtr(c, part(XSTATE_BV), 16, WRITE);
  if (p) v128.store(p, i64x2(saved, wanted | COMPACTED));
  return p != 0;
}

export function xsavec(c: Vcpu, u: usize): bool { return usable(c) && saveCompacted(c, u, c.xcr0); }
export function xsaves(c: Vcpu, u: usize): bool {
  if (!usable(c)) return false;
  return c.cpl ? raiseError(c, GP, 0) : saveCompacted(c, u, c.xcr0 | c.xss);
}

export function xrstor(c: Vcpu, u: usize): bool { return usable(c) && restore(c, u, c.xcr0, false); }
export function xrstors(c: Vcpu, u: usize): bool {
  if (!usable(c)) return false;
  return c.cpl ? raiseError(c, GP, 0) : restore(c, u, c.xcr0 | c.xss, true);
}

/** True if `size` bytes (a multiple of 8) are zero; false with #GP(0) or another exception recorded. */
function reservedZero(c: Vcpu, at: u64, size: u32): bool {
  for (let i: u32 = 0; i < size; i += 8) {
    const p = readPtr(c, part(at + i), 8);
    if (!p) return false;
    if (load<u64>(p)) return raiseError(c, GP, 0);
  }
  return true;
}

function restore(c: Vcpu, u: usize, enabled: u64, compactedOnly: bool): bool {
  if (!openArea(c, u, 64, FIRST, false)) return false;
  const wanted = requested(c, enabled);
  let p = readPtr(c, part(XCOMP_BV), 8);
  if (!p) return false;
  const format = load<u64>(p), compacted = (format & COMPACTED) != 0;
  const size = compacted ? compactedSize(format, wanted) : standardSize(wanted);
  if (size > FIRST && (!openEnd(c, u, size, false) || !readPtr(c, part(size - 1), 1))) return false;
  p = readPtr(c, part(XSTATE_BV), 8);
  if (!p) return false;
  const bv = load<u64>(p);
  if (compacted) {
    if (!hasFeature(c, CPU_XSAVEC) || format & ~(enabled | COMPACTED) || bv & ~format) return raiseError(c, GP, 0);
    if (!reservedZero(c, XCOMP_BV + 8, HEADER_SIZE - 16)) return false;
  } else {
    if (compactedOnly || format || bv & ~enabled) return raiseError(c, GP, 0);
    if (!reservedZero(c, XCOMP_BV + 8, 8)) return false;
  }
  const loaded = wanted & bv, cleared = wanted & ~bv;
  // MXCSR goes with SSE in the compacted format; in the standard format it is loaded whatever XSTATE_BV says.
  const withMxcsr = compacted ? (loaded & SSE) != 0 : (wanted & (SSE | AVX)) != 0;
  if (withMxcsr && !readMxcsr(c)) return false;
  const valid = !withMxcsr || mxcsrValid();
  if (!valid && !compacted) return raiseError(c, GP, 0);
  const mxcsr = !valid ? c.mxcsr : withMxcsr ? newMxcsr : wanted & SSE ? MXCSR_INITIAL : c.mxcsr;
  // What else is loaded lies on pages that have been read.
  if (loaded & X87 && !readPtr(c, part(0), 16)) return false;
  c.mxcsr = mxcsr;
  if (loaded & X87 && !loadX87(c, u)) return false;
  if (cleared & X87) clearX87(c);
  if (loaded & SSE && !loadXmm(c)) return false;
  if (cleared & SSE) clearHalves(c, 0);
  if (cleared & AVX) clearHalves(c, 16);
  // In the compacted format Intel CPUs find a bad MXCSR when they have loaded everything up to here.
  if (!valid) return raiseError(c, GP, 0);
  if (loaded & AVX && !loadYmmHigh(c, FIRST)) return false;
  if (loaded & PKRU) {
    p = readPtr(c, part(compacted ? size - PKRU_SIZE : PKRU_AT), 4);
    if (!p) return false;
    setPkru(c, load<u32>(p));
  } else if (cleared & PKRU) setPkru(c, 0);
  return true;
}

function clearX87(c: Vcpu): void {
  initialize(c);
  memory.fill(changetype<usize>(c) + V_ST, 0, 8 * 16);
}

function clearHalves(c: Vcpu, half: usize): void {
  const count = xmmCount(c);
  for (let i: usize = 0; i < count; i++) v128.store(changetype<usize>(c) + V_YMM + (i << 5) + half, i64x2.splat(0));
}

/** XCR0, or with ECX = 1 those of its components that are in use. */
export function xgetbv(c: Vcpu, u: usize): bool {
  if (!(c.cr4 & CR4_OSXSAVE)) return raise(c, UD);
  const n = <u32>c.gprAt(1);
  if (n > 1 || n == 1 && !hasFeature(c, CPU_XGETBV1)) return raiseError(c, GP, 0);
  const v = n == 1 ? c.xcr0 & inUse(c) : c.xcr0;
  c.set_gpr(0, v & 0xffffffff);
  c.set_gpr(2, v >> 32);
  return true;
}

export function xsetbv(c: Vcpu, u: usize): bool {
  if (!(c.cr4 & CR4_OSXSAVE)) return raise(c, UD);
  const v = lowPair(c);
  // x87 is always on; AVX state needs SSE state (SDM vol. 1, 13.3).
  if (c.cpl || <u32>c.gprAt(1) || !(v & X87) || v & ~xcr0Supported(c) || (v & (SSE | AVX)) == AVX) return raiseError(c, GP, 0);
  c.xcr0 = v;
  updateMode(c);
  return true;
}
