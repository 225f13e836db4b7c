/** Port I/O (SDM vol. 1, chapter 19): IN, OUT, INS, OUTS, with IOPL and the TSS's permission bitmap. */
import {
  Vcpu, EXIT_INOUT, MODE_IOPL_OK, MODE_V86, SEG_ES, SEG_TR, STATUS_EXIT, STATUS_SLOW, V_GPR,
} from "../gen/layout";
import { raiseError, GP } from "../exception";
import { uImm, uS, uSize } from "../decode/uop";
import { probeWrite, rdz, sysRead, value, wrz } from "../mem/access";
import { AR_TYPE, segAr, segBase, segLimit } from "../mem/segment";
import { deviceRead, deviceValue, EXIT_REP, EXIT_STRING, stagePort } from "../mem/stage";
import { ARMED_PORT, note, ON_PORT } from "../mem/watch";
import { portCoalesce } from "../ports";
import { getGpr, putGpr } from "./operand";
import { addressSize, advance, again, element, elementAt, repeats, stride } from "./string";

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
  if (z == 0 && portCoalesce(c, port, <u32>v)) return true;
  if (!c.slow) {
    c.status = STATUS_SLOW;
    return false;
  }
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

/** After an element: the repetition goes on with another execution. */
function next(c: Vcpu, u: usize, rep: bool, a: u32, count: u64): bool {
  if (!rep) return true;
  putGpr(c, 1, a, count - 1);
  return count == 1 ? true : again(c, u);
}
