/** IRET in every mode (SDM vol. 2, IRET/IRETD/IRETQ). */
import {
  Vcpu, MODE_CODE64, MODE_LONG, MODE_PROTECTED, MODE_V86, SEG_CS, SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS, SEG_TR,
} from "../gen/layout";
import { raiseError, GP } from "../exception";
import { uSize } from "../decode/uop";
import { nextRip } from "../interp/branch";
import { sysRead, value } from "../mem/access";
import { drainStores } from "../mem/fence";
import { AR_L, segBase, segLimit, setSeg } from "../mem/segment";
import { ARITH, getRflags, setArithmeticFlags } from "../sem/flags";
import { arOf, desc, descAt, loadDescriptor, touchDescriptor } from "./descriptor";
import { loadRealCs, loadReturnStack, returnCode, returnedSp, returnStack, targetFits } from "./far";
import { moveSp, popped, stackRead } from "./frame";
import { AC, DF, ID, IF, IOPL, iopl, lookUp, NT, RF, TF, updateMode, VIF, VIP, VM } from "./mode";
import { setVirtualFlags, v86Below, v86Extended } from "./rflags";
import { dropInnerSegments } from "./segment";
import { taskSwitch, TSR_IRET } from "./task";

/** Sets the bits of RFLAGS in `mask` to those of `image`. Call updateMode afterwards. */
export function writeRflags(c: Vcpu, image: u64, mask: u64): void {
  const flags = (getRflags(c) & ~mask) | (image & mask);
  c.rflags = (flags & ~ARITH) | 2;
  setArithmeticFlags(c, flags);
}

/** What code at this privilege may change by POPF and IRET; 16-bit images reach only the lower half. */
export function writableFlags(c: Vcpu, z: u32): u64 {
  let mask = ARITH | TF | DF | NT | RF | AC | ID;
  if (c.mode & MODE_PROTECTED) {
    if (c.cpl <= iopl(c)) mask |= IF;
    if (c.cpl == 0) mask |= IOPL;
  } else mask |= c.mode & MODE_V86 ? IF : IF | IOPL;
  return z == 1 ? mask & 0xffff : mask;
}

export function iret(c: Vcpu, u: usize): bool {
  const z = uSize(u), size = <u64>1 << z;
  // Even if it faults (SDM vol. 3, 6.7.1, says so of virtual-8086 mode; 27.2.3 has "NMI unblocking due to IRET").
  c.nmiBlocked = 0;
  drainStores(c);
  const below = v86Below(c);
  if (below && !v86Extended(c, z)) return false;
  if ((c.mode & MODE_PROTECTED) && (c.rflags & NT)) return nestedReturn(c, u);
  // RFLAGS first, SS before RSP, and no more of a selector's slot than that, as Intel CPUs do: page faults show it.
  if (!stackRead(c, 2 * size, z)) return false;
  const flags = popped;
  if (!stackRead(c, size, 1)) return false;
  const selector = <u32>popped;
  if (!stackRead(c, 0, z)) return false;
  const rip = popped;
  if (!(c.mode & MODE_PROTECTED)) {
    if (rip > <u64>segLimit(c, SEG_CS)) return raiseError(c, GP, 0);
    if (below) {
      if (!setVirtualFlags(c, flags)) return false;
    } else writeRflags(c, flags, writableFlags(c, z));
    moveSp(c, 3 * size);
    loadRealCs(c, selector, rip);
    lookUp(c);
    return true;
  }
  if ((flags & VM) && c.cpl == 0 && z == 2 && !(c.mode & MODE_LONG)) return toVirtual8086(c, <u32>rip, selector, flags);
  if (!returnCode(c, selector)) return false;
  const d = desc, at = descAt, cpl = selector & 3, outer = cpl > c.cpl;
  const long = (c.mode & MODE_LONG) != 0 && (arOf(d) & AR_L) != 0;
  if (!outer && !(c.mode & MODE_CODE64)) {
    if (!targetFits(c, d, rip)) return false;
    if (!touchDescriptor(c, d, at)) return false;
    moveSp(c, 3 * size);
  } else {
    if (!stackRead(c, 4 * size, 1)) return false;
    const ss = <u32>popped;
    if (!stackRead(c, 3 * size, z)) return false;
    const sp = popped;
    if (!returnStack(c, ss, cpl, long)) return false;
    if (!targetFits(c, d, rip)) return false;
    if (!touchDescriptor(c, d, at)) return false;
    c.set_gpr(4, returnedSp(c, sp, long));
    loadReturnStack(c, ss, cpl);
  }
  let mask = writableFlags(c, z);
  if (c.cpl == 0 && z != 1) mask |= VIF | VIP;
  writeRflags(c, flags, mask);
  loadDescriptor(c, SEG_CS, selector, d);
  c.rip = rip;
  if (outer) {
    c.cpl = cpl;
    dropInnerSegments(c);
  }
  updateMode(c);
  lookUp(c);
  return true;
}

/** NT set: a return to the task that the TSS links to. IA-32e mode has no tasks. */
function nestedReturn(c: Vcpu, u: usize): bool {
  if (c.mode & MODE_LONG) return raiseError(c, GP, 0);
  if (!sysRead(c, segBase(c, SEG_TR), 1)) return false;
  return taskSwitch(c, <u32>value, TSR_IRET, nextRip(c, u), getRflags(c));
}

/** The rest of a virtual-8086 frame: ESP, SS, ES, DS, FS, GS (SDM vol. 3, 21.2.5). */
function toVirtual8086(c: Vcpu, eip: u32, cs: u32, flags: u64): bool {
  if (!stackRead(c, 12, 2)) return false;
  const sp = popped;
  if (!stackRead(c, 16, 2)) return false;
  const ss = <u32>popped & 0xffff;
  if (!stackRead(c, 20, 2)) return false;
  const es = <u32>popped & 0xffff;
  if (!stackRead(c, 24, 2)) return false;
  const ds = <u32>popped & 0xffff;
  if (!stackRead(c, 28, 2)) return false;
  const fs = <u32>popped & 0xffff;
  if (!stackRead(c, 32, 2)) return false;
  const gs = <u32>popped & 0xffff;
  if (eip > 0xffff) return raiseError(c, GP, 0);
  writeRflags(c, flags, ARITH | TF | IF | DF | IOPL | NT | RF | VM | AC | VIF | VIP | ID);
  c.set_gpr(4, sp);
  setV86(c, SEG_CS, cs);
  setV86(c, SEG_SS, ss);
  setV86(c, SEG_ES, es);
  setV86(c, SEG_DS, ds);
  setV86(c, SEG_FS, fs);
  setV86(c, SEG_GS, gs);
  c.rip = eip;
  c.cpl = 3;
  updateMode(c);
  lookUp(c);
  return true;
}

function setV86(c: Vcpu, s: u32, selector: u32): void {
  setSeg(c, s, selector, <u64>selector << 4, 0xffff, 0xf3);
}
