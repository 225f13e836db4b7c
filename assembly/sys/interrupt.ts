/** INT n, INT3, INTO, INT1, BOUND, UD; LOOP and JrCXZ. Software interrupts are recorded here and delivered by ./deliver.ts. */
import { Vcpu, MODE_IOPL_OK, MODE_V86 } from "../gen/layout";
import { BP, BR, DB, GP, KIND_SOFTWARE, OF as OVERFLOW, raise, raiseError, UD } from "../exception";
import { uAddr, uD, uImm, uSize } from "../decode/uop";
import { checkRip, nextRip, relativeTarget } from "../interp/branch";
import { arithmeticFlags, OF, ZF } from "../sem/flags";
import { KIND_ICEBP } from "./deliver";
import { getGpr, getReg, operand, putGpr, readMem } from "./operand";

function software(c: Vcpu, u: usize, vector: u32, kind: u32): bool {
  raise(c, vector);
  c.excKind = kind;
  c.excRip = nextRip(c, u);
  return false;
}

export function intn(c: Vcpu, u: usize): bool {
  if ((c.mode & (MODE_V86 | MODE_IOPL_OK)) == MODE_V86) return raiseError(c, GP, 0);
  return software(c, u, <u32>uImm(u) & 0xff, KIND_SOFTWARE);
}

export function int3(c: Vcpu, u: usize): bool { return software(c, u, BP, KIND_SOFTWARE); }
export function int1(c: Vcpu, u: usize): bool { return software(c, u, DB, KIND_ICEBP); }

export function into(c: Vcpu, u: usize): bool {
  if (arithmeticFlags(c) & OF) return software(c, u, OVERFLOW, KIND_SOFTWARE);
  c.rip = nextRip(c, u);
  return true;
}

export function bound(c: Vcpu, u: usize): bool {
  const z = uSize(u), shift: u64 = z == 1 ? 48 : 32;
  if (!readMem(c, u, 0, z)) return false;
  const low = <i64>(operand << shift);
  if (!readMem(c, u, <u64>1 << z, z)) return false;
  const high = <i64>(operand << shift), v = <i64>(getReg(c, uD(u), z) << shift);
  return v < low || v > high ? raise(c, BR) : true;
}

export function ud(c: Vcpu, u: usize): bool { return raise(c, UD); }

/** Goes to the target or on. */
function branch(c: Vcpu, u: usize, taken: bool): bool {
  const rip = taken ? relativeTarget(c, u) : nextRip(c, u);
  if (taken && !checkRip(c, rip)) return false;
  c.rip = rip;
  return true;
}

function loopIf(c: Vcpu, u: usize, condition: bool): bool {
  const a = uAddr(u) + 1, shift: u64 = 64 - (<u64>8 << a), count = getGpr(c, 1, a) - 1;
  if (!branch(c, u, condition && count << shift != 0)) return false;
  putGpr(c, 1, a, count);
  return true;
}

export function loopne(c: Vcpu, u: usize): bool { return loopIf(c, u, !(arithmeticFlags(c) & ZF)); }
export function loope(c: Vcpu, u: usize): bool { return loopIf(c, u, (arithmeticFlags(c) & ZF) != 0); }
export function loop(c: Vcpu, u: usize): bool { return loopIf(c, u, true); }
export function jcxz(c: Vcpu, u: usize): bool { return branch(c, u, getGpr(c, 1, uAddr(u) + 1) == 0); }
