/**
 * The legacy region of an XSAVE area, which is the image of FXSAVE, 512 bytes (SDM vol. 1, 10.5.1 and 13.4.1):
 *
 *       0 FCW u16   2 FSW u16   4 abridged FTW u8   6 FOP u16   8 FIP   16 FDP   24 MXCSR u32   28 MXCSR_MASK u32
 *      32 ST(0) to ST(7), 16 bytes each          160 XMM0 to XMM7, in 64-bit mode to XMM15, 16 bytes each
 *
 * FIP and FDP are 64-bit offsets with REX.W, else a 32-bit offset and a 16-bit selector, which is always 0 here. Nothing else of it is touched.
 */
import { Vcpu, V_ST, V_YMM, MODE_ALIGN, MODE_CODE64 } from "../gen/layout";
import { AC, GP, raiseError, SS } from "../exception";
import { isCanonical, probe, readPtr, writePtr } from "../mem/access";
import { WRITE } from "../sem/kinds";
import { locate, located, operandOffset } from "../decode/address";
import { uAddr, uFlags, uSize, UF_STACK } from "../decode/uop";
import { setControlWord } from "../x87/control";
import { loadStatus } from "../x87/error";

export const LEGACY_SIZE: u32 = 512;
export const MXCSR_AT: u64 = 24;
const ST_AT: u64 = 32;
const XMM_AT: u64 = 160;
/** All of MXCSR's fields are implemented, DAZ too. */
export const MXCSR_MASK: u32 = 0xffff;

/** Linear address of the area that is open. */
let area: u64 = 0;
/** Bytes of it before its offset wraps around the address size, and how far the others therefore lie back. */
let span: u64 = ~0;
let back: u64 = 0;

/** Linear address `plus` bytes into the area. */
@inline export function part(plus: u64): u64 { return area + plus - (plus < span ? 0 : back); }

/**
 * Checks in the CPU's order, which decides the fault that is seen: four bytes at the base within the segment, alignment,
 * the end within the segment. With alignment checks on, user code gets #AC where the address is not a multiple of four,
 * #GP(0) where it is one but not aligned: so does the CPU, to which the manual leaves it.
 */
export function openArea(c: Vcpu, u: usize, align: u64, size: u32, write: bool): bool {
  c.stackFault = uFlags(u) & UF_STACK;
  if (!locate(c, u, 0, 4, write)) return false;
  area = located;
  if (!isCanonical(c, area)) return raiseError(c, c.stackFault ? SS : GP, 0);
  return isAligned(c, align) && openEnd(c, u, size, write);
}

/** Makes the area that is open one of `size` bytes. */
export function openEnd(c: Vcpu, u: usize, size: u32, write: bool): bool {
  const a = uAddr(u);
  span = ~0;
  if (a < 2) {
    back = a == 0 ? 0x10000 : 0x100000000;
    const rest = back - (operandOffset(c, u) & (back - 1));
    if (rest < size) {
      span = rest;
      if (!locate(c, u, 0, <u32>rest, write)) return false;
    }
  }
  return locate(c, u, size - 1, 1, write);
}

function isAligned(c: Vcpu, align: u64): bool {
  if (!(area & (align - 1))) return true;
  return c.mode & MODE_ALIGN && area & 3 ? raiseError(c, AC, 0) : raiseError(c, GP, 0);
}

/** FXSAVE's and FXRSTOR's checks: then they touch the last byte, then the first ones. */
export function openImage(c: Vcpu, u: usize, write: bool): bool {
  return openArea(c, u, 16, LEGACY_SIZE, write) && probe(c, located, 1, write) && probe(c, area, 16, write);
}

/** Registers beyond these are neither stored nor loaded. */
@inline export function xmmCount(c: Vcpu): usize { return c.mode & MODE_CODE64 ? 16 : 8; }

/** Stores 16 bytes of the area; it is aligned, so that no piece crosses a page. */
function put(c: Vcpu, at: u64, low: u64, high: u64): bool {
  const p = writePtr(c, part(at), 16, WRITE);
  if (p) v128.store(p, i64x2(low, high));
  return p != 0;
}

/** Stores FCW to FDP and the register stack: all of state component 0. */
export function storeX87(c: Vcpu, u: usize): bool {
  const wide = uSize(u) == 3;
  const fip = wide ? c.fip : c.fip & 0xffffffff, fdp = wide ? c.fdp : c.fdp & 0xffffffff;
  const head = <u64>c.fcw | (<u64>c.fsw << 16) | (<u64>(c.ftw & 0xff) << 32) | (<u64>(c.fop & 0x7ff) << 48);
  if (!put(c, 0, head, fip)) return false;
  const p = writePtr(c, part(16), 8, WRITE);
  if (!p) return false;
  store<u64>(p, fdp);
  const top = (<u32>c.fsw >> 11) & 7;
  for (let i: u32 = 0; i < 8; i++) {
    const st = changetype<usize>(c) + V_ST + <usize>(((top + i) & 7) << 4);
    if (!put(c, ST_AT + (i << 4), load<u64>(st), load<u16>(st, 8))) return false;
  }
  return true;
}

export function storeMxcsr(c: Vcpu): bool {
  const p = writePtr(c, part(MXCSR_AT), 8, WRITE);
  if (p) store<u64>(p, <u64>c.mxcsr | (<u64>MXCSR_MASK << 32));
  return p != 0;
}

/** Stores halves of the YMM registers, 16 bytes each from `at` in the area on: the lower (0) or the upper (16). */
function storeHalves(c: Vcpu, at: u64, half: usize): bool {
  const count = xmmCount(c);
  for (let i: usize = 0; i < count; i++) {
    const r = changetype<usize>(c) + V_YMM + (i << 5) + half;
    if (!put(c, at + (i << 4), load<u64>(r), load<u64>(r, 8))) return false;
  }
  return true;
}
export function storeXmm(c: Vcpu): bool { return storeHalves(c, XMM_AT, 0); }
/** `at` is the place in the area of state component 2. */
export function storeYmmHigh(c: Vcpu, at: u64): bool { return storeHalves(c, at, 16); }

export function loadX87(c: Vcpu, u: usize): bool {
  let p = readPtr(c, part(16), 8);
  if (!p) return false;
  const fdp = load<u64>(p);
  p = readPtr(c, part(0), 16);
  if (!p) return false;
  const wide = uSize(u) == 3, fip = load<u64>(p, 8);
  loadStatus(c, load<u16>(p, 2));
  c.ftw = load<u8>(p, 4);
  c.fop = load<u16>(p, 6) & 0x7ff;
  // Of a linear address: 57 bits, as long as CPUs have them at most, and as recorded on one without LA57.
  c.fip = wide ? <u64>((<i64>fip << 7) >> 7) : fip & 0xffffffff;
  c.fdp = wide ? fdp : fdp & 0xffffffff;
  c.fcs = 0;
  c.fds = 0;
  setControlWord(c, load<u16>(p));
  const top = (<u32>c.fsw >> 11) & 7;
  for (let i: u32 = 0; i < 8; i++) {
    p = readPtr(c, part(ST_AT + (i << 4)), 16);
    if (!p) return false;
    const st = changetype<usize>(c) + V_ST + <usize>(((top + i) & 7) << 4);
    store<u64>(st, load<u64>(p));
    store<u16>(st, load<u16>(p, 8), 8);
  }
  return true;
}

/** MXCSR of the area, not yet loaded, and whether its reserved bits are clear. */
export let newMxcsr: u32 = 0;
export function mxcsrValid(): bool { return !(newMxcsr & ~MXCSR_MASK); }
export function readMxcsr(c: Vcpu): bool {
  const p = readPtr(c, part(MXCSR_AT), 4);
  if (!p) return false;
  newMxcsr = load<u32>(p);
  return true;
}

function loadHalves(c: Vcpu, at: u64, half: usize): bool {
  const count = xmmCount(c);
  for (let i: usize = 0; i < count; i++) {
    const p = readPtr(c, part(at + (i << 4)), 16);
    if (!p) return false;
    v128.store(changetype<usize>(c) + V_YMM + (i << 5) + half, v128.load(p));
  }
  return true;
}
export function loadXmm(c: Vcpu): bool { return loadHalves(c, XMM_AT, 0); }
export function loadYmmHigh(c: Vcpu, at: u64): bool { return loadHalves(c, at, 16); }
