/** INT n, INT3, INTO, INT1, BOUND, UD; LOOP and JrCXZ. Software interrupts are recorded here and delivered by ./deliver.ts. */
import { Vcpu, MODE_V86, SEG_CS, SEG_TR } from "../gen/layout";
import { BP, BR, DB, GP, KIND_SOFTWARE, OF as OVERFLOW, raise, raiseError, UD } from "../exception";
import { uAddr, uD, uImm, uSize } from "../decode/uop";
import { checkRip, nextRip, relativeTarget } from "../interp/branch";
import { rdz, sysRead, value } from "../mem/access";
import { segBase, segLimit, segSelector } from "../mem/segment";
import { arithmeticFlags, getRflags, OF, ZF } from "../sem/flags";
import { KIND_ICEBP } from "./deliver";
import { loadRealCs } from "./far";
import { frameHere, framePush, frameSp } from "./frame";
import { CR4_VME, IF, RF, TF, VIF } from "./mode";
import { getGpr, getReg, operand, putGpr, readPiece } from "./operand";
import { v86Below, virtualFlags } from "./rflags";

function software(c: Vcpu, u: usize, vector: u32, kind: u32): bool {
  raise(c, vector);
  c.excKind = kind;
  c.excRip = nextRip(c, u);
  return false;
}

/** INT n. In virtual-8086 mode the redirection bitmap is asked first, then IOPL (SDM vol. 3, table 21-2). */
export function intn(c: Vcpu, u: usize): bool {
  const vector = <u32>uImm(u) & 0xff;
  if (c.mode & MODE_V86) {
    if (c.cr4 & CR4_VME) {
      if (!readRedirection(c, vector)) return false;
      if (redirected) return redirect(c, u, vector);
    }
    if (v86Below(c)) return raiseError(c, GP, 0);
  }
  return software(c, u, vector, KIND_SOFTWARE);
}

/** Whether the TSS sends INT `vector` to the program's own handler: a clear bit in the 32 bytes below the I/O bitmap. */
let redirected: bool = false;
function readRedirection(c: Vcpu, vector: u32): bool {
  const tss = segBase(c, SEG_TR), limit = segLimit(c, SEG_TR);
  if (limit < 0x67) return raiseError(c, GP, 0);
  if (!sysRead(c, tss + 0x66, 1)) return false;
  const at = <u32>value - 32 + (vector >> 3);
  if (at > limit) return raiseError(c, GP, 0);
  if (!sysRead(c, tss + at, 0)) return false;
  redirected = !(value >> (vector & 7) & 1);
  return true;
}

/** INT as an 8086 has it, through the table at linear address 0; below IOPL 3 with VIF in place of IF. */
function redirect(c: Vcpu, u: usize, vector: u32): bool {
  const below = v86Below(c);
  if (!rdz(c, vector << 2, 2)) return false;
  const target = <u32>value;
  frameHere(c);
  if (!framePush(c, 1, below ? virtualFlags(c) : getRflags(c)) || !framePush(c, 1, segSelector(c, SEG_CS))
    || !framePush(c, 1, nextRip(c, u))) return false;
  c.set_gpr(4, frameSp());
  c.rflags &= ~(TF | RF | (below ? VIF : IF));
  loadRealCs(c, target >> 16, target & 0xffff);
  return true;
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
  if (!readPiece(c, u, 0, z)) return false;
  const v = <i64>(getReg(c, uD(u), z) << shift);
  // Below the lower bound the upper one is not read, as in Intel CPUs.
  if (v < <i64>(operand << shift)) return raise(c, BR);
  if (!readPiece(c, u, <u64>1 << z, z)) return false;
  return v > <i64>(operand << shift) ? raise(c, BR) : true;
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
