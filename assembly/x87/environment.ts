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
import { Vcpu, V_IMAGE, V_ST, MODE_PROTECTED, STATUS_FAULT } from "../gen/layout";
import { raiseError, AC } from "../exception";
import { isCanonical, probe, readPtr, writePtr } from "../mem/access";
import { WRITE } from "../sem/kinds";
import { locate, located } from "../decode/address";
import { uFlags, uSize, UF_STACK } from "../decode/uop";
import { initialize, setControlWord } from "./control";
import { loadStatus } from "./error";
import { FSW_EXCEPTIONS, mant, ready, sexp, st, summarize } from "./state";

const REGISTERS: u32 = 80;
/** Class bit of Vcpu.ctx that tells "user with alignment checks" from "user" (assembly/mem/tlb.ts). */
const CHECKED: u64 = 2;

@inline function isShort(u: usize): bool { return uSize(u) == 1; }
@inline function environmentSize(u: usize): u32 { return isShort(u) ? 14 : 28; }
@inline function wordSize(u: usize): u32 { return isShort(u) ? 2 : 4; }
/** The image in the vCPU page, on its way to or from memory. */
@inline function image(c: Vcpu): usize { return changetype<usize>(c) + V_IMAGE; }

/**
 * Touches an image of `size` bytes as the CPU does, which decides the fault that is seen: the first word, then the last
 * byte. Alignment is that of the image's words (SDM vol. 3, table 6-7).
 */
function open(c: Vcpu, u: usize, size: u32, write: bool): bool {
  c.stackFault = uFlags(u) & UF_STACK;
  const word = wordSize(u);
  if (!locate(c, u, 0, word, write)) return false;
  // An address that is not canonical comes before its alignment: probe finds it.
  if ((c.ctx & 3) == 3 && <u32>located & (word - 1) && isCanonical(c, located)) return raiseError(c, AC, 0);
  return probe(c, located, word, write) && locate(c, u, size - 1, 1, write) && probe(c, located, 1, write);
}

/** Takes alignment checks off for the accesses that follow; returns what `c.ctx |=` puts back. */
function withoutChecks(c: Vcpu): u64 {
  const checked = (c.ctx & 3) == 3 ? CHECKED : 0;
  c.ctx &= ~checked;
  return checked;
}

/** Bytes of the image that transfer has moved. */
let moved: u32 = 0;

/** Moves the image word by word (a register as eight bytes and two), so that offsets wrap around as they do on a CPU. */
function transfer(c: Vcpu, u: usize, size: u32, write: bool): bool {
  const header = environmentSize(u);
  let n: u32 = 0;
  for (moved = 0; moved < size; moved += n) {
    const at = moved;
    n = at < header ? wordSize(u) : (at - header) % 10 == 0 ? 8 : 2;
    if (!locate(c, u, at, n, write)) return false;
    const p = write ? writePtr(c, located, n, WRITE) : readPtr(c, located, n);
    if (!p) return false;
    if (write) memory.copy(p, image(c) + at, n);
    else memory.copy(image(c) + at, p, n);
  }
  return true;
}

function moveImage(c: Vcpu, u: usize, size: u32, write: bool): bool {
  const checked = withoutChecks(c), done = transfer(c, u, size, write);
  c.ctx |= checked;
  return done;
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

function writeEnvironment(c: Vcpu, u: usize): void {
  const p = image(c);
  const prot = (c.mode & MODE_PROTECTED) != 0, fip = <u32>c.fip, fdp = <u32>c.fdp, tags = fullTags(c);
  if (isShort(u)) {
    store<u16>(p, c.fcw);
    store<u16>(p, c.fsw, 2);
    store<u16>(p, <u16>tags, 4);
    store<u16>(p, <u16>fip, 6);
    store<u16>(p, prot ? 0 : <u16>(((fip >> 4) & 0xf000) | c.fop), 8);
    store<u16>(p, <u16>fdp, 10);
    store<u16>(p, prot ? 0 : <u16>((fdp >> 4) & 0xf000), 12);
    return;
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
}

function loadTags(c: Vcpu, tags: u32): void {
  let ftw: u32 = 0;
  for (let i: u32 = 0; i < 8; i++) if (((tags >> (i << 1)) & 3) != 3) ftw |= <u32>1 << i;
  c.ftw = <u16>ftw;
}

function loadPointers(c: Vcpu, u: usize): void {
  const p = image(c);
  const prot = (c.mode & MODE_PROTECTED) != 0;
  let high: u32;
  if (isShort(u)) {
    c.fip = load<u16>(p, 6);
    c.fdp = load<u16>(p, 10);
    high = load<u16>(p, 8);
    // Protected mode's image has no opcode: what was there is forgotten.
    c.fop = prot ? 0 : <u16>(high & 0x7ff);
    if (!prot) {
      c.fip |= <u64>(high & 0xf000) << 4;
      c.fdp |= <u64>(load<u16>(p, 12) & 0xf000) << 4;
    }
  } else {
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
  c.fcs = 0;
  c.fds = 0;
}

/**
 * Reads an image of `size` bytes into the FPU. A fault within it (it meets its segment's end, which open does not see)
 * finds loaded what was read before, but for FCW, which comes last; recorded on a real CPU.
 */
function loadImage(c: Vcpu, u: usize, size: u32): bool {
  if (!ready(c) || !open(c, u, size, false)) return false;
  const done = moveImage(c, u, size, false);
  if (!done && c.status != STATUS_FAULT) return false;
  const p = image(c), word = wordSize(u), header = environmentSize(u);
  if (moved >= 2 * word) loadStatus(c, load<u16>(p + word));
  if (moved >= 3 * word) loadTags(c, load<u16>(p + 2 * word));
  if (moved >= header) loadPointers(c, u);
  for (let i: u32 = 0, at = header; at + 10 <= moved; i++, at += 10) {
    const r = st(c, i);
    store<u64>(r, load<u64>(p + at));
    store<u16>(r, load<u16>(p + at, 8), 8);
  }
  if (done) setControlWord(c, load<u16>(p));
  else summarize(c);
  return done;
}

/** Stores the environment, then masks every exception. */
export function fnstenv(c: Vcpu, u: usize): bool {
  const size = environmentSize(u);
  if (!open(c, u, size, true)) return false;
  writeEnvironment(c, u);
  if (!moveImage(c, u, size, true)) return false;
  c.fcw |= <u16>FSW_EXCEPTIONS;
  summarize(c);
  return true;
}

export function fldenv(c: Vcpu, u: usize): bool { return loadImage(c, u, environmentSize(u)); }
export function frstor(c: Vcpu, u: usize): bool { return loadImage(c, u, environmentSize(u) + REGISTERS); }

export function fnsave(c: Vcpu, u: usize): bool {
  const size = environmentSize(u);
  if (!open(c, u, size + REGISTERS, true)) return false;
  writeEnvironment(c, u);
  let p = image(c) + size;
  for (let i: u32 = 0; i < 8; i++, p += 10) {
    const r = st(c, i);
    store<u64>(p, mant(r));
    store<u16>(p, <u16>sexp(r), 8);
  }
  if (!moveImage(c, u, size + REGISTERS, true)) return false;
  initialize(c);
  return true;
}
