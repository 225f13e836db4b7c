/**
 * Guest memory as instructions see it: linear address in, host pointer out, 0 = did not complete (see c.status).
 * The inline part is the TLB check; everything else is in slowRead and slowWrite.
 */
import {
  Vcpu, AREA_TLB_READ, AREA_TLB_WRITE, AREA_CROSS, MODE_ALIGN, MODE_CODE64, MODE_LONG, EXIT_INST_EMUL,
  STAT_TLB_FILLS_READ, STAT_TLB_FILLS_WRITE,
} from "../gen/layout";
import { raiseError, GP, SS, AC } from "../exception";
import { MODIFY, WRITE } from "../sem/kinds";
import { noteDirty } from "./dirty";
import { noteWritable, vcpuCount } from "./pageword";
import { hostRead, hostWrite } from "./phys";
import { tlbEntry, tlbFill, tlbFillSystem, tlbReuse, tlbSystem } from "./tlb";
import { walk, walkPage, NO_GPA, ACCESS_WRITE, ACCESS_USER, ACCESS_IMPLICIT } from "./walk";
import { careful, deviceRead, deviceValue, overlayStaged, stageMemory, stagesAll } from "./stage";
import { ARMED_DATA, note, ON_READ, ON_WRITE } from "./watch";
import { codeAt } from "../decode/pages";
import { bump } from "../stat";
import { canonical } from "./linear";

/** Host pointer for reading `size` bytes at a linear address (after the TLB has missed). */
@inline export function readPtr(c: Vcpu, linear: u64, size: u32): usize {
  const e = tlbEntry(changetype<usize>(c) + AREA_TLB_READ, linear);
  if (load<u64>(e) == (((linear + (size - 1)) & ~0xfff) | c.ctx)) return <usize><u32>(<u32>linear + load<u32>(e, 8));
  return slowRead(c, linear, size);
}

/** Host pointer for writing (`use` WRITE) or reading and writing (MODIFY) `size` bytes. */
@inline export function writePtr(c: Vcpu, linear: u64, size: u32, use: i32): usize {
  const e = tlbEntry(changetype<usize>(c) + AREA_TLB_WRITE, linear);
  if (load<u64>(e) == (((linear + (size - 1)) & ~0xfff) | c.ctx)) return <usize><u32>(<u32>linear + load<u32>(e, 8));
  return slowWrite(c, linear, size, use);
}

/** An address that 64-bit mode takes, or any outside it. */
export function isCanonical(c: Vcpu, linear: u64): bool {
  return !(c.mode & MODE_CODE64) || canonical(c, linear);
}

/** Truncates outside 64-bit mode, checks canonical form inside it; false = fault recorded. */
let checked: u64 = 0;
function checkLinear(c: Vcpu, linear: u64, size: u32): bool {
  checked = c.mode & MODE_CODE64 ? linear : linear & 0xffffffff;
  if (!isCanonical(c, linear)) return raiseError(c, c.stackFault ? SS : GP, 0);
  // 16-byte accesses check their alignment themselves, or not at all (MOVUPS).
  if ((c.ctx & 3) == 3 && size > 1 && size < 16 && (checked & (size - 1))) return raiseError(c, AC, 0);
  return isCanonical(c, linear + (size - 1)) || raiseError(c, c.stackFault ? SS : GP, 0);
}

@inline function userBit(c: Vcpu): u32 {
  return c.cpl == 3 ? ACCESS_USER : 0;
}

/** The linear address one page on, as the mode wraps it. */
@inline function wrap(c: Vcpu, linear: u64): u64 {
  return c.mode & MODE_LONG ? linear : linear & 0xffffffff;
}

let crossTurn: usize = 0;

export function slowRead(c: Vcpu, address: u64, size: u32): usize {
  const known = tlbReuse(c, AREA_TLB_READ, address, size);
  if (known) return known;
  if (!checkLinear(c, address, size)) return 0;
  const at = checked, p = readAs(c, at, size, userBit(c), address);
  if (c.armed & ARMED_DATA && p && !note(c, ON_READ, at, size)) return 0;
  return p;
}

/**
 * Reads with the rights of `access`; on the careful path for devices. `asked` is the address before truncation: the
 * TLB is filled under it, so that 32-bit code whose address sums wrap around finds its translation again.
 */
export function readAs(c: Vcpu, linear: u64, size: u32, access: u32, asked: u64): usize {
  const gpa = walk(c, linear, access);
  if (gpa == NO_GPA) return 0;
  const first: u32 = 4096 - (<u32>linear & 0xfff);
  const host = hostRead(gpa);
  if (size <= first) {
    if (host) {
      if (c.stageCount && overlayStaged(c, host, size, 0)) return deviceBytes(c, gpa, size, NO_GPA, size);
      bump(c, STAT_TLB_FILLS_READ);
      if (access == ACCESS_IMPLICIT) tlbFillSystem(c, asked, host & ~0xfff, walkPage);
      else if (access == userBit(c)) tlbFill(c, AREA_TLB_READ, asked, host & ~0xfff, walkPage);
      return host;
    }
    return deviceBytes(c, gpa, size, NO_GPA, size);
  }
  const gpa2 = walk(c, wrap(c, linear + first), access);
  if (gpa2 == NO_GPA) return 0;
  const host2 = hostRead(gpa2);
  if (!host || !host2 || c.stageCount) return deviceBytes(c, gpa, size, gpa2, first);
  const buffer = crossBuffer(c);
  memory.copy(buffer, host, first);
  memory.copy(buffer + first, host2, size - first);
  return buffer;
}

function crossBuffer(c: Vcpu): usize {
  crossTurn ^= 1;
  return changetype<usize>(c) + AREA_CROSS + (crossTurn << 10);
}

/** Bytes of which some come from a device or from what is staged, gathered in aligned pieces. */
function deviceBytes(c: Vcpu, gpa: u64, size: u32, gpa2: u64, first: u32): usize {
  if (!careful(c)) return 0;
  const buffer = crossBuffer(c);
  let done: u32 = 0;
  while (done < size) {
    const at = done < first ? gpa + done : gpa2 + (done - first);
    const left = done < first ? first - done : size - done;
    const n: u32 = left >= 8 && !(at & 7) ? 8 : left >= 4 && !(at & 3) ? 4 : left >= 2 && !(at & 1) ? 2 : 1;
    const host = hostRead(at);
    if (host) {
      memory.copy(buffer + done, host, n);
      overlayStaged(c, host, n, buffer + done);
    } else {
      if (!deviceRead(c, EXIT_INST_EMUL, at, n)) return 0;
      const value = deviceValue;
      for (let i: u32 = 0; i < n; i++) store<u8>(buffer + done + i, <u8>(value >> (i << 3)));
    }
    done += n;
  }
  return buffer;
}

export function slowWrite(c: Vcpu, address: u64, size: u32, use: i32): usize {
  const known = tlbReuse(c, AREA_TLB_WRITE, address, size);
  if (known) return known;
  if (!checkLinear(c, address, size)) return 0;
  const at = checked, p = writeAs(c, at, size, use, userBit(c) | ACCESS_WRITE, address);
  if (c.armed & ARMED_DATA && p && !note(c, ON_WRITE, at, size)) return 0;
  return p;
}

export function writeAs(c: Vcpu, linear: u64, size: u32, use: i32, access: u32, asked: u64): usize {
  const gpa = walk(c, linear, access);
  if (gpa == NO_GPA) return 0;
  const page = walkPage;
  const first = min<u32>(4096 - (<u32>linear & 0xfff), size);
  let gpa2 = NO_GPA;
  if (first < size) {
    gpa2 = walk(c, wrap(c, linear + first), access);
    if (gpa2 == NO_GPA) return 0;
  } else {
    const host = hostWrite(gpa);
    // The CPU's own writes, which fill no entry, count as well until this thread is asked.
    // After a staged write to the same bytes this one must be staged, too.
    const plain = host != 0 && noteWritable(c, host);
    // Beside code, where nobody else can be making a block of these bytes meanwhile: without an entry in the TLB.
    const beside = host != 0 && !plain && vcpuCount() == 1 && !codeAt(c, host, size);
    if ((plain || beside) && !stagesAll && !overlayStaged(c, host, size, 0)) {
      noteDirty(host);
      if (plain && access == (userBit(c) | ACCESS_WRITE)) {
        bump(c, STAT_TLB_FILLS_WRITE);
        tlbFill(c, AREA_TLB_WRITE, asked, host & ~0xfff, page);
      }
      return host;
    }
  }
  if (!careful(c)) return 0;
  let old: usize = 0;
  if (use == MODIFY) {
    old = gatherOld(c, gpa, size, gpa2, first);
    if (!old) return 0;
  }
  const data = stageMemory(c, gpa, gpa2, size, first);
  if (old) memory.copy(data, old, size);
  return data;
}

/** Host address of bytes within a page of RAM that the running code may read or write; 0: a fault is recorded, or they are none. */
export function ramAt(c: Vcpu, linear: u64, write: bool): usize {
  const gpa = walk(c, linear, userBit(c) | (write ? ACCESS_WRITE : 0));
  if (gpa == NO_GPA) return 0;
  return write ? hostWrite(gpa) : hostRead(gpa);
}

function gatherOld(c: Vcpu, gpa: u64, size: u32, gpa2: u64, first: u32): usize {
  const host = hostRead(gpa);
  if (host && first == size && !c.stageCount) return host;
  return deviceBytes(c, gpa, size, gpa2, first);
}

/**
 * Makes sure that `size` bytes (at most a page) can be written before an instruction with several stores begins. A fault
 * in the second page is at its start.
 */
export function probeWrite(c: Vcpu, linear: u64, size: u32): bool { return probe(c, linear, size, true); }

/** Makes sure that `size` bytes (at most 4096) can be read or written, without doing so. */
export function probe(c: Vcpu, linear: u64, size: u32, write: bool): bool {
  if (!checkLinear(c, linear, size)) return false;
  const at = checked, access = userBit(c) | (write ? ACCESS_WRITE : 0);
  if (walk(c, at, access) == NO_GPA) return false;
  const last = at + size - 1;
  return (at & 0xfff) + size <= 4096 || walk(c, wrap(c, last & ~0xfff), access) != NO_GPA;
}

/**
 * Copy between guest and host memory where alignment is not checked even when RFLAGS.AC asks for it (gathers, masked
 * moves, F16C; recorded on a real CPU): byte by byte then. False = did not complete, nothing is written.
 */
export function copyIn(c: Vcpu, linear: u64, size: u32, to: usize): bool {
  const piece: u32 = c.mode & MODE_ALIGN ? 1 : size;
  for (let i: u32 = 0; i < size; i += piece) {
    const p = readPtr(c, linear + i, piece);
    if (!p) return false;
    memory.copy(to + i, p, piece);
  }
  return true;
}
export function copyOut(c: Vcpu, linear: u64, size: u32, from: usize): bool {
  const piece: u32 = c.mode & MODE_ALIGN ? 1 : size;
  if (piece != size) {
    const page = (linear + (size - 1)) & ~0xfff;
    if (!probeWrite(c, linear, 1) || (page != (linear & ~0xfff) && !probeWrite(c, page, 1))) return false;
  }
  for (let i: u32 = 0; i < size; i += piece) {
    const p = writePtr(c, linear + i, piece, WRITE);
    if (!p) return false;
    memory.copy(p, from + i, piece);
  }
  return true;
}

/** Value of the last successful rd8…rd64, rdz or sysRead. */
export let value: u64 = 0;

/** Takes a value of 1, 2, 4 or 8 bytes (log2 of the size) from a host pointer; false for a null one. */
@inline function take(p: usize, z: u32): bool {
  if (!p) return false;
  value = z == 0 ? load<u8>(p) : z == 1 ? load<u16>(p) : z == 2 ? load<u32>(p) : load<u64>(p);
  return true;
}

@inline function put(p: usize, z: u32, v: u64): bool {
  if (!p) return false;
  if (z == 0) store<u8>(p, <u8>v);
  else if (z == 1) store<u16>(p, <u16>v);
  else if (z == 2) store<u32>(p, <u32>v);
  else store<u64>(p, v);
  return true;
}

/** Reads 1, 2, 4 or 8 bytes (log2 of the size) into `value`. */
export function rdz(c: Vcpu, linear: u64, z: u32): bool {
  return take(readPtr(c, linear, <u32>1 << z), z);
}
export function rd8(c: Vcpu, linear: u64): bool { return rdz(c, linear, 0); }
export function rd16(c: Vcpu, linear: u64): bool { return rdz(c, linear, 1); }
export function rd32(c: Vcpu, linear: u64): bool { return rdz(c, linear, 2); }
export function rd64(c: Vcpu, linear: u64): bool { return rdz(c, linear, 3); }

/** Writes 1, 2, 4 or 8 bytes (log2 of the size); false = nothing written. */
export function wrz(c: Vcpu, linear: u64, z: u32, v: u64): bool {
  return put(writePtr(c, linear, <u32>1 << z, WRITE), z, v);
}

@inline function systemLinear(c: Vcpu, linear: u64): u64 {
  return c.mode & MODE_LONG ? linear : linear & 0xffffffff;
}

/** The CPU's own supervisor reads of descriptor tables and the TSS; at most 8 bytes, may cross a page. */
export function sysRead(c: Vcpu, linear: u64, z: u32): bool {
  const at = systemLinear(c, linear), known = tlbSystem(c, at, <u32>1 << z);
  return take(known ? known : readAs(c, at, <u32>1 << z, ACCESS_IMPLICIT, at), z);
}

/** The CPU's own supervisor writes (accessed and busy bits, TSS). */
export function sysWrite(c: Vcpu, linear: u64, z: u32, v: u64): bool {
  const at = systemLinear(c, linear);
  return put(writeAs(c, at, <u32>1 << z, WRITE, ACCESS_IMPLICIT | ACCESS_WRITE, at), z, v);
}
