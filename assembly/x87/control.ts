/** Control instructions but for the ones with an image in memory (./environment.ts). FN… do not wait. */
import { Vcpu } from "../gen/layout";
import { raise, NM } from "../exception";
import { uD } from "../decode/uop";
import { FP_C1 } from "../fp/flags";
import {
  FSW_B, FSW_ES, FSW_EXCEPTIONS, FSW_SF, finish, moveTop, pop, readMem, ready, release, summarize, writeMem,
} from "./state";

/** CR0.MP and CR0.TS. */
const CR0_MP_TS: u64 = 0x0a;
/** FCW bits that can be written; bit 6 reads as 1. */
const FCW_WRITABLE: u16 = 0x1f3f;
const FCW_ONES: u16 = 0x40;

/** FCW takes a loaded value; ES and B follow. */
export function setControlWord(c: Vcpu, v: u16): void {
  c.fcw = (v & FCW_WRITABLE) | FCW_ONES;
  summarize(c);
}

/** The state after FINIT (SDM vol. 3, table 9-1): the registers' contents stay, but all are empty. */
export function initialize(c: Vcpu): void {
  c.fcw = 0x37f;
  c.fsw = 0;
  c.ftw = 0;
  c.fop = 0;
  c.fip = 0;
  c.fdp = 0;
  c.fcs = 0;
  c.fds = 0;
}

export function fninit(c: Vcpu, u: usize): bool {
  initialize(c);
  return true;
}

/** Other x87 instructions look at CR0.EM and TS; WAIT at MP and TS (SDM vol. 3, 2.5). */
export function fwait(c: Vcpu, u: usize): bool {
  return (c.cr0 & CR0_MP_TS) == CR0_MP_TS ? raise(c, NM) : ready(c);
}

export function fnop(c: Vcpu, u: usize): bool { return ready(c) ? finish(c, u, 0, 0) : false; }

/** FNENI, FNDISI and FNSETPM meant something to the 8087 and the 80287. */
export function fneni(c: Vcpu, u: usize): bool { return true; }

export function fnclex(c: Vcpu, u: usize): bool {
  c.fsw &= <u16>~(FSW_B | FSW_ES | FSW_SF | FSW_EXCEPTIONS);
  return true;
}

export function fldcw(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  const p = readMem(c, u, 2);
  if (p) setControlWord(c, load<u16>(p));
  return p != 0;
}

export function fnstcw(c: Vcpu, u: usize): bool {
  const p = writeMem(c, u, 2);
  if (p) store<u16>(p, c.fcw);
  return p != 0;
}

export function fnstsw(c: Vcpu, u: usize): bool {
  const p = writeMem(c, u, 2);
  if (p) store<u16>(p, c.fsw);
  return p != 0;
}

export function fnstswAx(c: Vcpu, u: usize): bool {
  store<u16>(changetype<usize>(c) + uD(u), c.fsw);
  return true;
}

export function ffree(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  release(c, <u32>uD(u));
  return finish(c, u, 0, FP_C1);
}

/** FFREE, then a pop. */
export function ffreep(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  release(c, <u32>uD(u));
  pop(c);
  return finish(c, u, 0, FP_C1);
}

export function fincstp(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  moveTop(c, 1);
  return finish(c, u, 0, FP_C1);
}

export function fdecstp(c: Vcpu, u: usize): bool {
  if (!ready(c)) return false;
  moveTop(c, 7);
  return finish(c, u, 0, FP_C1);
}
