/** Port I/O (SDM vol. 1, chapter 19): IN, OUT, INS, OUTS, with IOPL and the TSS's permission bitmap. */
import {
  Vcpu, AREA_STRING, CONTROL_BASE, C_BULK_IO, EXIT_INOUT, MODE_CODE64, MODE_IOPL_OK, MODE_V86, SEG_ES, SEG_TR,
  STATUS_EXIT, V_GPR,
} from "../gen/layout";
import { raiseError, GP } from "../exception";
import { uImm, uS, uSize } from "../decode/uop";
import { probeWrite, ramAt, rdz, sysRead, value, wrz } from "../mem/access";
import { AR_TYPE, segAr, segBase, segLimit } from "../mem/segment";
import {
  careful, deviceRead, deviceReads, deviceValue, EXIT_BULK, EXIT_REP, EXIT_STRING, stagePort, writeHost,
} from "../mem/stage";
import { ARMED_PORT, note, ON_PORT } from "../mem/watch";
import { portCoalesce } from "../ports";
import { traceQuick } from "../trace";
import { getGpr, putGpr } from "./operand";
import { DF, TF } from "./mode";
import { addressMask, addressSize, advance, again, element, elementAt, fits, inPage, repeats, stride } from "./string";

/** Whether the running code may use ports `port` to `port + size - 1`. */
function allowed(c: Vcpu, port: u32, size: u32): bool {
  if ((c.mode & MODE_IOPL_OK) && !(c.mode & MODE_V86)) return true;
  // Only a 32-bit or 64-bit TSS has a bitmap; its offset is at 66h.
  const limit = segLimit(c, SEG_TR);
  if ((segAr(c, SEG_TR) & AR_TYPE) != 11 || limit < 0x67) return raiseError(c, GP, 0);
  const tss = segBase(c, SEG_TR);
  if (!sysRead(c, tss + 0x66, 1)) return false;
  const at = <u32>value + (port >> 3);
  // Two bytes are read always: the bitmap ends with a byte of ones.
  if (at + 1 > limit) return raiseError(c, GP, 0);
  if (!sysRead(c, tss + at, 1)) return false;
  return (<u32>value >> (port & 7)) & ((1 << size) - 1) ? raiseError(c, GP, 0) : true;
}

/** Notes a breakpoint on the ports; false: not here (mem/watch.ts). */
@inline function unwatched(c: Vcpu, port: u32, size: u32): bool {
  return !(c.armed & ARMED_PORT) || note(c, ON_PORT, port, size);
}

@inline function dx(c: Vcpu): u32 { return load<u16>(changetype<usize>(c), V_GPR + 16); }
/** There is no 64-bit port access. */
@inline function portSize(u: usize): u32 { return min<u32>(uSize(u), 2); }

function input(c: Vcpu, u: usize, port: u32): bool {
  const z = portSize(u);
  if (!allowed(c, port, 1 << z) || !unwatched(c, port, 1 << z)) return false;
  if (!deviceRead(c, EXIT_INOUT, port, 1 << z)) return false;
  putGpr(c, 0, z, deviceValue);
  return true;
}

function output(c: Vcpu, u: usize, port: u32): bool {
  const z = portSize(u);
  if (!allowed(c, port, 1 << z) || !unwatched(c, port, 1 << z)) return false;
  return stage(c, port, z, getGpr(c, 0, z), 0);
}

/** Port writes are staged, so they need the careful path; but for those that nobody waits for. */
function stage(c: Vcpu, port: u32, z: u32, v: u64, how: u64): bool {
  if (portCoalesce(c, port, 1 << z, <u32>v)) {
    traceQuick(c, port, 1 << z, 1, v);
    return true;
  }
  if (!careful(c)) return false;
  stagePort(c, port, 1 << z, v, how);
  return true;
}

export function inImm(c: Vcpu, u: usize): bool { return input(c, u, <u32>uImm(u) & 0xff); }
export function inDx(c: Vcpu, u: usize): bool { return input(c, u, dx(c)); }
export function outImm(c: Vcpu, u: usize): bool { return output(c, u, <u32>uImm(u) & 0xff); }
export function outDx(c: Vcpu, u: usize): bool { return output(c, u, dx(c)); }

export function ins(c: Vcpu, u: usize): bool {
  const z = portSize(u), size = <u32>1 << z, a = addressSize(u), rep = repeats(u);
  const count: u64 = rep ? getGpr(c, 1, a) : 1;
  // The permission is checked also for a count of 0.
  const port = dx(c);
  if (!allowed(c, port, size)) return false;
  if (!count) return true;
  if (!unwatched(c, port, size)) return false;
  if (!element(c, SEG_ES, getGpr(c, 7, a), size, true)) return false;
  const at = elementAt;
  const n = bulk(c, u, SEG_ES, getGpr(c, 7, a), at, z, count, rep, true);
  if (n > 1) {
    const got = deviceReads(c, port, size, n, stringBits(rep));
    if (!got) return false;
    writeHost(c, run, changetype<usize>(c) + AREA_STRING, got << z);
    advance(c, 7, u, got << z);
    return ended(c, u, a, count, got);
  }
  // The device is not read before the store is known to be possible.
  if (!probeWrite(c, at, size)) return false;
  if (!deviceRead(c, EXIT_INOUT, port, size)) {
    if (c.status == STATUS_EXIT) c.exitB |= stringBits(rep);
    return false;
  }
  if (!wrz(c, at, z, deviceValue)) return false;
  advance(c, 7, u, ioStride(c, u));
  return next(c, u, rep, a, count);
}

export function outs(c: Vcpu, u: usize): bool {
  const z = portSize(u), size = <u32>1 << z, a = addressSize(u), rep = repeats(u);
  const count: u64 = rep ? getGpr(c, 1, a) : 1;
  // The permission is checked also for a count of 0.
  const port = dx(c);
  if (!allowed(c, port, size)) return false;
  if (!count) return true;
  if (!unwatched(c, port, size)) return false;
  if (!element(c, <u32>uS(u), getGpr(c, 6, a), size, false)) return false;
  const n = c.slow ? bulk(c, u, <u32>uS(u), getGpr(c, 6, a), elementAt, z, count, rep, false) : 1;
  if (n > 1) {
    memory.copy(changetype<usize>(c) + AREA_STRING, run, n << z);
    stagePort(c, port, size, n, stringBits(rep) | EXIT_BULK);
    advance(c, 6, u, n << z);
    return ended(c, u, a, count, n);
  }
  if (!rdz(c, elementAt, z)) return false;
  if (!stage(c, port, z, value, stringBits(rep))) return false;
  advance(c, 6, u, ioStride(c, u));
  return next(c, u, rep, a, count);
}

@inline function stringBits(rep: bool): u64 { return rep ? EXIT_STRING | EXIT_REP : EXIT_STRING; }

function ioStride(c: Vcpu, u: usize): u64 {
  const size = <u64>1 << portSize(u);
  return (stride(c, u) >> 63) ? 0 - size : size;
}

/** Where the elements lie that `bulk` has counted. */
let run: usize = 0;

/**
 * Elements that one exit moves: as many as lie upwards in one page of RAM, unless somebody wants to see each, or takes no
 * more than one.
 */
function bulk(c: Vcpu, u: usize, s: u32, offset: u64, linear: u64, z: u32, count: u64, rep: bool, write: bool): u32 {
  if (!rep || count < 2 || !load<u32>(CONTROL_BASE, C_BULK_IO) || c.rflags & (DF | TF) || c.armed) return 1;
  const n = <u32>min<u64>(count, inPage(offset, linear, z, addressMask(u)));
  if (n < 2 || (!(c.mode & MODE_CODE64) && !fits(c, s, offset, n << z, write))) return 1;
  // Faults, devices and pages without a translation are the single element's.
  const status = c.status;
  run = ramAt(c, linear, write);
  if (run) return n;
  c.status = status;
  return 1;
}

/** After `n` elements at once. */
function ended(c: Vcpu, u: usize, a: u32, count: u64, n: u64): bool {
  putGpr(c, 1, a, count - n);
  return count == n ? true : again(c, u);
}

/** After an element: the repetition goes on with another execution. */
function next(c: Vcpu, u: usize, rep: bool, a: u32, count: u64): bool {
  if (!rep) return true;
  putGpr(c, 1, a, count - 1);
  return count == 1 ? true : again(c, u);
}
