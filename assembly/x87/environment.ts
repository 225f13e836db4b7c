/**
 * FNSTENV, FLDENV, FNSAVE and FRSTOR. The environment has 14 or 28 bytes by operand size, and two layouts by mode (SDM
 * vol. 1, figures 8-9 to 8-12); FNSAVE's image has ST(0) to ST(7) after it, 10 bytes each.
 *
 *     32-bit protected        32-bit real             16-bit protected  16-bit real
 *      0 FCW                   0 FCW                   0 FCW             0 FCW
 *      4 FSW                   4 FSW                   2 FSW             2 FSW
 *      8 tags                  8 tags                  4 tags            4 tags
 *     12 FIP                  12 FIP 15:0              6 FIP             6 FIP 15:0
 *     16 FOP 26:16, FCS 15:0  16 FIP 31:16 in 27:12,   8 FCS             8 FIP 19:16 in 15:12,
 *                                FOP 10:0                                  FOP 10:0
 *     20 FDP                  20 FDP 15:0             10 FDP            10 FDP 15:0
 *     24 FDS                  24 FDP 31:16 in 27:12   12 FDS            12 FDP 19:16 in 15:12
 *
 * Real is virtual-8086 mode too. The upper halves of 16-bit fields are written as ones. Two tag bits for each physical
 * register: 0 valid, 1 zero, 2 special, 3 empty.
 */
import { Vcpu, V_ST, MODE_CODE64, MODE_PROTECTED } from "../gen/layout";
import { raiseError, AC } from "../exception";
import { probeWrite, readPtr, writePtr } from "../mem/access";
import { segmentLinear } from "../mem/segment";
import { WRITE } from "../sem/kinds";
import { ea, uFlags, uSize, UF_STACK } from "../decode/uop";
import { initialize, setControlWord } from "./control";
import { FSW_EXCEPTIONS, mant, operandOffset, operandSegment, ready, sexp, st, summarize } from "./state";

const REGISTERS: u32 = 80;
/** Class bit of Vcpu.ctx that tells "user with alignment checks" from "user" (assembly/mem/tlb.ts). */
const CHECKED: u64 = 2;

@inline function isShort(u: usize): bool { return uSize(u) == 1; }
@inline function environmentSize(u: usize): u32 { return isShort(u) ? 14 : 28; }

/**
 * Checks segment limits for the whole image, of which the decoder does not know the size, and alignment, which is that
 * of the image's words (SDM vol. 3, table 6-7).
 */
function open(c: Vcpu, u: usize, size: u32, write: bool): bool {
  c.stackFault = uFlags(u) & UF_STACK;
  const s = operandSegment(u);
  if (s >= 0 && !(c.mode & MODE_CODE64) && segmentLinear(c, s, operandOffset(c, u), size, write) == ~0) return false;
  if ((c.ctx & 3) == 3 && <u32>ea(c, u) & (isShort(u) ? 1 : 3)) return raiseError(c, AC, 0);
  return true;
}

/** Takes alignment checks off for the accesses that follow; returns what `c.ctx |=` puts back. */
function withoutChecks(c: Vcpu): u64 {
  const checked = (c.ctx & 3) == 3 ? CHECKED : 0;
  c.ctx &= ~checked;
  return checked;
}

/**
 * Host pointer to the image. Of one that crosses a page the CPU touches the first word and then the last byte, which
 * decides the address in CR2; but not with the shortest image.
 */
function readImage(c: Vcpu, u: usize, size: u32): usize {
  const at = ea(c, u), checked = withoutChecks(c);
  const crosses = size > 14 && (<u32>at & 0xfff) + size > 4096;
  let p: usize = 0;
  if (!crosses || (readPtr(c, at, isShort(u) ? 2 : 4) && readPtr(c, at + size - 1, 1))) p = readPtr(c, at, size);
  c.ctx |= checked;
  return p;
}

function tagOf(p: usize): u32 {
  const m = mant(p), exponent = sexp(p) & 0x7fff;
  if (exponent == 0 && m == 0) return 1;
  return exponent == 0 || exponent == 0x7fff || <i64>m >= 0 ? 2 : 0;
}

function fullTags(c: Vcpu): u32 {
  let tags: u32 = 0;
  for (let i: u32 = 0; i < 8; i++) {
    const tag = (<u32>c.ftw >> i) & 1 ? tagOf(changetype<usize>(c) + V_ST + <usize>(i << 4)) : 3;
    tags |= tag << (i << 1);
  }
  return tags;
}

function writeEnvironment(c: Vcpu, u: usize, at: u64): bool {
  const p = writePtr(c, at, environmentSize(u), WRITE);
  if (!p) return false;
  const prot = (c.mode & MODE_PROTECTED) != 0, fip = <u32>c.fip, fdp = <u32>c.fdp, tags = fullTags(c);
  if (isShort(u)) {
    store<u16>(p, c.fcw);
    store<u16>(p, c.fsw, 2);
    store<u16>(p, <u16>tags, 4);
    store<u16>(p, <u16>fip, 6);
    store<u16>(p, prot ? 0 : <u16>(((fip >> 4) & 0xf000) | c.fop), 8);
    store<u16>(p, <u16>fdp, 10);
    store<u16>(p, prot ? 0 : <u16>((fdp >> 4) & 0xf000), 12);
    return true;
  }
  store<u32>(p, 0xffff0000 | c.fcw);
  store<u32>(p, 0xffff0000 | c.fsw, 4);
  store<u32>(p, 0xffff0000 | tags, 8);
  if (prot) {
    store<u32>(p, fip, 12);
    store<u32>(p, <u32>c.fop << 16, 16);
    store<u32>(p, fdp, 20);
    store<u32>(p, 0xffff0000, 24);
  } else {
    store<u32>(p, 0xffff0000 | fip, 12);
    store<u32>(p, ((fip >> 4) & 0x0ffff000) | c.fop, 16);
    store<u32>(p, 0xffff0000 | fdp, 20);
    store<u32>(p, (fdp >> 4) & 0x0ffff000, 24);
  }
  return true;
}

/** Loads the environment at host pointer `p`; no memory access comes after it. */
function loadEnvironment(c: Vcpu, u: usize, p: usize): void {
  const prot = (c.mode & MODE_PROTECTED) != 0;
  let tags: u32, high: u32;
  if (isShort(u)) {
    c.fsw = load<u16>(p, 2);
    tags = load<u16>(p, 4);
    c.fip = load<u16>(p, 6);
    c.fdp = load<u16>(p, 10);
    high = load<u16>(p, 8);
    if (!prot) {
      c.fip |= <u64>(high & 0xf000) << 4;
      c.fdp |= <u64>(load<u16>(p, 12) & 0xf000) << 4;
      c.fop = <u16>(high & 0x7ff);
    }
  } else {
    c.fsw = load<u16>(p, 4);
    tags = load<u16>(p, 8);
    high = load<u32>(p, 16);
    if (prot) {
      c.fip = load<u32>(p, 12);
      c.fdp = load<u32>(p, 20);
      c.fop = <u16>((high >> 16) & 0x7ff);
    } else {
      c.fip = <u64>load<u16>(p, 12) | (<u64>(high & 0x0ffff000) << 4);
      c.fdp = <u64>load<u16>(p, 20) | (<u64>(load<u32>(p, 24) & 0x0ffff000) << 4);
      c.fop = <u16>(high & 0x7ff);
    }
  }
  let ftw: u32 = 0;
  for (let i: u32 = 0; i < 8; i++) if (((tags >> (i << 1)) & 3) != 3) ftw |= <u32>1 << i;
  c.ftw = <u16>ftw;
  c.fcs = 0;
  c.fds = 0;
  setControlWord(c, load<u16>(p));
}

/** Stores the environment, then masks every exception. */
export function fnstenv(c: Vcpu, u: usize): bool {
  const at = ea(c, u), size = environmentSize(u);
  if (!open(c, u, size, true)) return false;
  const checked = withoutChecks(c);
  const done = (isShort(u) || probeWrite(c, at, size)) && writeEnvironment(c, u, at);
  c.ctx |= checked;
  if (!done) return false;
  c.fcw |= <u16>FSW_EXCEPTIONS;
  summarize(c);
  return true;
}

export function fldenv(c: Vcpu, u: usize): bool {
  const size = environmentSize(u);
  if (!ready(c) || !open(c, u, size, false)) return false;
  const p = readImage(c, u, size);
  if (p) loadEnvironment(c, u, p);
  return p != 0;
}

export function fnsave(c: Vcpu, u: usize): bool {
  const at = ea(c, u), size = environmentSize(u);
  if (!open(c, u, size + REGISTERS, true)) return false;
  const checked = withoutChecks(c);
  const done = probeWrite(c, at, size + REGISTERS) && writeEnvironment(c, u, at) && writeRegisters(c, at + size);
  c.ctx |= checked;
  if (done) initialize(c);
  return done;
}

function writeRegisters(c: Vcpu, at: u64): bool {
  for (let i: u32 = 0; i < 8; i++, at += 10) {
    const p = writePtr(c, at, 10, WRITE);
    if (!p) return false;
    const r = st(c, i);
    store<u64>(p, mant(r));
    store<u16>(p, <u16>sexp(r), 8);
  }
  return true;
}

export function frstor(c: Vcpu, u: usize): bool {
  const size = environmentSize(u);
  if (!ready(c) || !open(c, u, size + REGISTERS, false)) return false;
  let p = readImage(c, u, size + REGISTERS);
  if (!p) return false;
  loadEnvironment(c, u, p);
  p += size;
  for (let i: u32 = 0; i < 8; i++, p += 10) {
    const r = st(c, i);
    store<u64>(r, load<u64>(p));
    store<u16>(r, load<u16>(p, 8), 8);
  }
  return true;
}
