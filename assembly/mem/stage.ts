/**
 * The careful path's two logs. Writes of an instruction on the careful path (page-crossing, MMIO, I/O ports, pages
 * that hold code) are staged and committed in order after the instruction is done; device reads that were answered
 * are replayed when the instruction is executed again.
 *
 * A staged write, 64 bytes:
 *
 *      0 gpa u64 (or port)   8 gpa of the second page u64   16 size u32   20 bytes in the first page u32
 *     24 kind u32 (0 memory, 1 port)   28 EXIT_STRING, EXIT_REP, EXIT_BULK      32 data, 32 bytes (BULK: elements)
 */
import {
  Vcpu, AREA_STAGE, EXIT_INOUT, EXIT_INST_EMUL, STATUS_EXIT, STATUS_SLOW, V_REPLAY_KEY, V_REPLAY_DATA,
  STAT_CODE_WRITES,
} from "../gen/layout";
import { noteDirty } from "./dirty";
import { postCode } from "./pageword";
import { hostWrite } from "./phys";
import { hideTlb } from "./tlb";
import { dropBytes } from "../decode/pages";
import { apicEnabled, apicRead, apicWrite, apicValue, APIC_SELF_IPI, APICBASE_X2APIC } from "../apic";
import { portRead } from "../ports";
import { postWrite } from "../posted";
import { tracePosted, traceQuick } from "../trace";
import { vgaHas, vgaRead, vgaWrite } from "../vga";
import { bump } from "../stat";

const KIND_MEMORY: u32 = 0;
const KIND_PORT: u32 = 1;
const MAX_STAGED: u32 = 128;
/** XRSTOR of a whole area reads less than 100 pieces of eight bytes. */
const REPLAY_MAX: u32 = 128;
/** Bits of exitB of an INOUT or INST_EMUL exit: a write; the width in bytes is in bits 15:8. */
export const EXIT_WRITE: u64 = 1;
/** Bits of exitB of an INOUT exit: one element of INS or OUTS; with a REP prefix. */
export const EXIT_STRING: u64 = 2;
export const EXIT_REP: u64 = 4;
/** exitData[1] elements, in AREA_STRING; a read is answered with how many there were, at least one. */
export const EXIT_BULK: u64 = 8;

/**
 * Room for a staged write of `size` bytes; returns where its data goes. What the instruction accesses from now on goes
 * by readAs and writeAs (./access.ts), which look here first.
 */
export function stageMemory(c: Vcpu, gpa: u64, gpa2: u64, size: u32, first: u32): usize {
  const e = next(c, KIND_MEMORY, gpa, size);
  store<u64>(e, gpa2, 8);
  store<u32>(e, first, 20);
  hideTlb(c);
  return e + 32;
}

/** Whether this is the careful path. False: it comes first, with the same instruction. */
export function careful(c: Vcpu): bool {
  if (c.slow) return true;
  c.status = STATUS_SLOW;
  return false;
}

/** Every write is staged, those that memory could take at once as well. */
export let stagesAll: bool = false;

/**
 * For an instruction that may read what it has written, so that executing it again from its beginning finds memory as
 * it was: from here to endStaging every write is staged. False: the careful path comes first.
 */
export function beginStaging(c: Vcpu): bool {
  if (!careful(c)) return false;
  hideTlb(c);
  stagesAll = true;
  return true;
}
export function endStaging(): void { stagesAll = false; }

/** Puts what is staged for the `size` bytes of memory at `host`, within a page, over `to`, unless that is 0. True: there is something. */
export function overlayStaged(c: Vcpu, host: usize, size: u32, to: usize): bool {
  let any = false;
  for (let i: u32 = 0; i < c.stageCount; i++) {
    const e = changetype<usize>(c) + AREA_STAGE + <usize>i * 64;
    if (load<u32>(e, 24) == KIND_PORT) continue;
    const all = load<u32>(e, 16), first = load<u32>(e, 20);
    if (overlay(host, size, to, hostWrite(load<u64>(e)), first, e + 32)) any = true;
    if (first < all && overlay(host, size, to, hostWrite(load<u64>(e, 8)), all - first, e + 32 + first)) any = true;
  }
  return any;
}

/** Puts the bytes that are both of the `size` at `host` and of the `length` at `at` over `to`; false: there are none. */
function overlay(host: usize, size: u32, to: usize, at: usize, length: u32, data: usize): bool {
  const from = max(host, at), end = min(host + size, at + length);
  if (!at || from >= end) return false;
  if (to) memory.copy(to + (from - host), data + (from - at), end - from);
  return true;
}

export function stagePort(c: Vcpu, port: u32, size: u32, value: u64, how: u64): void {
  const e = next(c, KIND_PORT, port, size);
  store<u32>(e, <u32>how, 28);
  store<u64>(e, value, 32);
}

function next(c: Vcpu, kind: u32, where: u64, size: u32): usize {
  const n = c.stageCount;
  assert(n < MAX_STAGED);
  c.stageCount = n + 1;
  const e = changetype<usize>(c) + AREA_STAGE + <usize>n * 64;
  store<u64>(e, where);
  store<u32>(e, size, 16);
  store<u32>(e, size, 20);
  store<u32>(e, kind, 24);
  return e;
}

/**
 * Carries out staged writes. Returns false with an exit recorded when the device thread must do the next one; the
 * outer loop comes back here when it is done.
 */
export function commitStage(c: Vcpu): bool {
  while (c.stageNext < c.stageCount) {
    const e = changetype<usize>(c) + AREA_STAGE + <usize>c.stageNext * 64;
    const size = load<u32>(e, 16), first = load<u32>(e, 20), gpa = load<u64>(e);
    if (load<u32>(e, 24) == KIND_PORT) {
      c.stageNext++;
      exitAccess(c, EXIT_INOUT, gpa, size, true, load<u64>(e, 32));
      c.exitB |= load<u32>(e, 28);
      c.set_exitData(1, load<u64>(e, 32));
      return false;
    }
    if (size == 4 && !(gpa & 15) && apicPage(c, gpa) && (gpa & 0xff0) != APIC_SELF_IPI && apicWrite(c, <usize>gpa & 0xff0, load<u32>(e, 32))) {
      c.stageNext++;
      continue;
    }
    // A device takes at most eight bytes at a time: the rest stays staged as a shorter write.
    const host = hostWrite(gpa);
    if (!host) {
      const n = min<u32>(min<u32>(first, 8), pieceOf(gpa));
      const value = load<u64>(e, 32);
      if (n == size) c.stageNext++;
      else shorten(e, n);
      if (vgaHas(gpa)) {
        vgaWrite(gpa, n, value);
        continue;
      }
      if (postWrite(c, gpa, n, <u32>value)) {
        tracePosted(c, gpa, n, value);
        continue;
      }
      exitAccess(c, EXIT_INST_EMUL, gpa, n, true, n == 8 ? value : value & ((<u64>1 << (n << 3)) - 1));
      return false;
    }
    writeHost(c, host, e + 32, first);
    if (first == size) c.stageNext++;
    else shorten(e, first);
  }
  c.stageCount = 0;
  c.stageNext = 0;
  return true;
}

/**
 * Carries out at once the staged writes to memory, up to the first one that is not to memory: for an instruction whose
 * earlier stores outlive a later one's fault.
 */
export function keepStaged(c: Vcpu): void {
  for (let i: u32 = 0; i < c.stageCount; i++) {
    const e = changetype<usize>(c) + AREA_STAGE + <usize>i * 64;
    const size = load<u32>(e, 16), first = load<u32>(e, 20);
    const host = hostWrite(load<u64>(e)), host2 = first < size ? hostWrite(load<u64>(e, 8)) : host;
    if (load<u32>(e, 24) == KIND_PORT || !host || !host2) return;
    writeHost(c, host, e + 32, first);
    if (first < size) writeHost(c, host2, e + 32 + first, size - first);
  }
}

/** True for the xAPIC's registers: the core has a part of them (assembly/apic.ts). */
function apicPage(c: Vcpu, gpa: u64): bool {
  return (gpa & ~0xfff) == (c.apicBase & 0xfffffff000) && apicEnabled(c) && !(c.apicBase & APICBASE_X2APIC);
}

/** Largest power of two that keeps a device access at `gpa` aligned. */
function pieceOf(gpa: u64): u32 {
  return gpa & 1 ? 1 : gpa & 2 ? 2 : gpa & 4 ? 4 : 8;
}

function shorten(e: usize, n: u32): void {
  const size = load<u32>(e, 16) - n, first = load<u32>(e, 20) - n;
  memory.copy(e + 32, e + 32 + n, size);
  store<u32>(e, size, 16);
  if (first == 0) {
    store<u64>(e, load<u64>(e, 8));
    store<u32>(e, size, 20);
  } else {
    store<u64>(e, load<u64>(e) + n);
    store<u32>(e, first, 20);
  }
}

/** Writes bytes within one page of backing memory and drops the code they hit, everybody's. */
export function writeHost(c: Vcpu, host: usize, from: usize, size: u32): void {
  // Aligned writes are seen whole by other vCPUs (SDM vol. 3, 9.1.1); memory.copy does not promise that.
  if (size == 4 && !(host & 3)) store<u32>(host, load<u32>(from));
  else if (size == 8 && !(host & 7)) store<u64>(host, load<u64>(from));
  else if (size == 2 && !(host & 1)) store<u16>(host, load<u16>(from));
  else if (size == 1) store<u8>(host, load<u8>(from));
  else memory.copy(host, from, size);
  noteDirty(host);
  if (postCode(c, host, size)) {
    bump(c, STAT_CODE_WRITES);
    dropBytes(c, host, size);
  }
}

/** Records a device access for the device thread: exitA = gpa or port, exitB = {width, write}, exitData = value. */
export function exitAccess(c: Vcpu, code: u32, where: u64, size: u32, write: bool, value: u64): void {
  c.exitCode = code;
  c.exitA = where;
  c.exitB = (<u64>size << 8) | u64(write);
  c.set_exitData(0, value);
  c.status = STATUS_EXIT;
}

/** True when a device has answered this read before; the value is then in `deviceValue`. */
export let deviceValue: u64 = 0;

/**
 * Reads from a device (size 1, 2, 4 or 8) on the careful path. False: the instruction must wait, with an exit recorded (or SLOW).
 */
export function deviceRead(c: Vcpu, code: u32, where: u64, size: u32): bool {
  if (code == EXIT_INOUT && size == 1) {
    const value = portRead(c, <u32>where);
    if (value >= 0) {
      traceQuick(c, <u32>where, 1, 0, value);
      deviceValue = value;
      return true;
    }
  }
  if (!careful(c)) return false;
  if (code == EXIT_INST_EMUL && apicPage(c, where) && apicRead(c, <usize>where & 0xff0)) {
    deviceValue = apicValue >> ((where & 15) << 3);
    return true;
  }
  if (code == EXIT_INST_EMUL && vgaHas(where)) {
    deviceValue = vgaRead(where, size);
    return true;
  }
  const base = changetype<usize>(c), key = where | (<u64>size << 48) | (<u64>code << 56);
  const i = c.replayNext;
  if (i < c.replayCount) {
    assert(load<u64>(base + (<usize>i << 3), V_REPLAY_KEY) == key);
    deviceValue = load<u64>(base + (<usize>i << 3), V_REPLAY_DATA);
    c.replayNext = i + 1;
    return true;
  }
  assert(i < REPLAY_MAX);
  store<u64>(base + (<usize>i << 3), key, V_REPLAY_KEY);
  exitAccess(c, code, where, size, false, 0);
  return false;
}

/**
 * Reads `count` elements of `size` bytes from a port into AREA_STRING, on the careful path. How many there were; 0: the
 * instruction must wait.
 */
export function deviceReads(c: Vcpu, port: u32, size: u32, count: u32, how: u64): u32 {
  if (!careful(c)) return 0;
  // The elements are in the buffer, and the replay log says how many.
  if (c.replayNext < c.replayCount) {
    const n = <u32>load<u64>(changetype<usize>(c) + (<usize>c.replayNext << 3), V_REPLAY_DATA);
    c.replayNext++;
    return min(n, count);
  }
  exitAccess(c, EXIT_INOUT, port, size, false, 0);
  c.exitB |= how | EXIT_BULK;
  c.set_exitData(1, count);
  return 0;
}

/** The device thread has answered the read recorded last: its value joins the replay log. */
export function answerRead(c: Vcpu): void {
  const i = c.replayCount;
  store<u64>(changetype<usize>(c) + (<usize>i << 3), c.exitDataAt(0), V_REPLAY_DATA);
  c.replayCount = i + 1;
}
