/**
 * Hardware task switches (SDM vol. 3, chapter 8; the table of what is checked is 8-1). A switch has two halves. The first,
 * taskSwitch, belongs to the instruction or delivery that asks for it: checks, the old task's state into its TSS, busy
 * bits and back link, the new task's registers. What the descriptor tables say about the new selectors comes second
 * (finishTask), from the outer loop: its faults are the new task's, before its first instruction.
 *
 * Only TSSs in memory are served: what there is of them and of descriptor tables in devices' address space is read as
 * any device is, and may then be read twice.
 */
import {
  Vcpu, AREA_SCRATCH, CAP_TASK_SWITCH_EXIT, EXIT_TASK_SWITCH, SEG_CS, SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_LDTR, SEG_SS, SEG_TR, STATUS_EXIT,
} from "../gen/layout";
import { GP, KIND_EXCEPTION, KIND_SOFTWARE, NP, raiseError, SS, TS } from "../exception";
import { sysRead, sysWrite, value } from "../mem/access";
import { careful, deviceRead } from "../mem/stage";
import { AR_UNUSABLE, segAr, segBase, segLimit, segSelector, setSeg } from "../mem/segment";
import { CR0_PG } from "../mem/walk";
import { ARITH, setArithmeticFlags } from "../sem/flags";
import { writeCr3 } from "./control";
import { DR6_BT, rearm } from "./debug";
import {
  arOf, baseOf, desc, descAt, dplOf, fetchDescriptor, isCode, isConforming, isNull, isPresent, isReadable, isSystem,
  isWritable, limitOf, loadDescriptor, setNull, touchDescriptor, typeOf, TYPE_LDT,
} from "./descriptor";
import { frameHere, framePush, frameSp } from "./frame";
import { AC, CR0_TS, DF, ID, IF, IOPL, lookUp, NT, RF, TF, updateMode, VIF, VIP, VM } from "./mode";

/** Why there is a task switch: the seeds' task_switch_reason. */
export const TSR_CALL: u32 = 0;
export const TSR_IRET: u32 = 1;
export const TSR_JMP: u32 = 2;
export const TSR_IDT_GATE: u32 = 3;

/**
 * Bits of Vcpu.task: the second half is to do; the TSS has 32 bits (CR3 counts then); its T bit is set; an error code is to
 * be pushed; the switch was an event's, with EXT in error codes; it was an exception's, whose vector is in bits 15:8.
 */
const TASK_SWITCHED: u32 = 1;
const TASK_WIDE: u32 = 2;
const TASK_TRAP: u32 = 4;
const TASK_ERROR: u32 = 8;
const TASK_EXTERNAL: u32 = 16;
const TASK_EXCEPTION: u32 = 32;

/**
 * A TSS (SDM vol. 3, figures 8-2 and 8-10). Registers and selectors stand in the order of their numbers.
 *
 *                link   CR3    EIP    EFLAGS  EAX…EDI   ES CS SS DS FS GS   LDT    T      size
 *     32 bits    0      1ch    20h    24h     28h…      48h… (4 bytes)      60h    64h    68h
 *     16 bits    0      -      0eh    10h     12h…      22h… (2 bytes, no   2ah    -      2ch
 *                                                       FS and GS)
 */
const WIDE_CR3: u32 = 0x1c;
const WIDE_T: u32 = 0x64;
const WIDE_SIZE: u32 = 0x68;
const NARROW_SIZE: u32 = 0x2c;
@inline function eipAt(wide: bool): u32 { return wide ? 0x20 : 0x0e; }
@inline function flagsAt(wide: bool): u32 { return wide ? 0x24 : 0x10; }
@inline function registerAt(wide: bool, n: u32): u32 { return wide ? 0x28 + n * 4 : 0x12 + n * 2; }
@inline function selectorAt(wide: bool, s: u32): u32 { return wide ? 0x48 + s * 4 : 0x22 + s * 2; }
@inline function ldtAt(wide: bool): u32 { return wide ? 0x60 : 0x2a; }
@inline function segments(wide: bool): u32 { return wide ? 6 : 4; }

/** Where the new TSS is gathered: in the scratch area, beyond what the decoder uses of it. */
@inline function gathered(c: Vcpu): usize { return changetype<usize>(c) + AREA_SCRATCH + 0xa00; }
/** A field of the new TSS, of the TSS's own width or of 16 bits. */
@inline function field(c: Vcpu, wide: bool, at: u32): u64 {
  return wide ? <u64>load<u32>(gathered(c) + at) : <u64>load<u16>(gathered(c) + at);
}
@inline function field16(c: Vcpu, at: u32): u32 { return load<u16>(gathered(c) + at); }

/**
 * First half: to the task whose TSS `selector` names. `rip` and `flags` are what the old task goes on with. False: fault
 * recorded, in the old task. For TSR_IDT_GATE, the event is the one being delivered (Vcpu.exc*).
 */
export function taskSwitch(c: Vcpu, selector: u32, reason: u32, rip: u64, flags: u64): bool {
  // On the careful path, so that an exit while the TSS is gathered finds nothing done yet.
  if (!careful(c)) return false;
  const back = reason == TSR_IRET, nested = reason == TSR_CALL || reason == TSR_IDT_GATE, vector = back ? TS : GP;
  if (isNull(selector) || selector & 4) return raiseError(c, vector, selector & 0xfffc);
  if (!fetchDescriptor(c, selector, vector)) return false;
  const d = desc, at = descAt, type = typeOf(d);
  // Types 1, 3, 9 and 11; bit 1 says busy: the task is in use, or waits for a nested one.
  if (!isSystem(d) || (type & 5) != 1 || ((type & 2) != 0) != back) return raiseError(c, vector, selector & 0xfffc);
  if (!isPresent(d)) return raiseError(c, NP, selector & 0xfffc);
  const wide = (type & 8) != 0, base = baseOf(d), size = wide ? WIDE_SIZE : NARROW_SIZE;
  if (limitOf(d) < size - 1) return raiseError(c, TS, selector & 0xfffc);
  if (c.caps & CAP_TASK_SWITCH_EXIT && !tellTaskSwitch(c, selector, reason)) return false;
  for (let i: u32 = 0; i < size; i += 4) {
    if (!sysRead(c, base + i, 2)) return false;
    store<u32>(gathered(c) + i, <u32>value);
  }
  const old = segSelector(c, SEG_TR);
  if (!saveTask(c, rip, back ? flags & ~NT : flags)) return false;
  if (nested && !sysWrite(c, base, 1, old)) return false;
  if (!back && !sysWrite(c, at + 5, 0, ((d >> 40) & 0xff) | 2)) return false;
  if (!nested && !clearBusy(c, old)) return false;

  setSeg(c, SEG_TR, selector, base, limitOf(d), arOf(d) | 2);
  loadTask(c, wide, nested);
  c.task = TASK_SWITCHED | (wide ? TASK_WIDE : 0) | (wide && field16(c, WIDE_T) & 1 ? TASK_TRAP : 0);
  if (reason == TSR_IDT_GATE) {
    if (c.excKind != KIND_SOFTWARE) c.task |= TASK_EXTERNAL;
    if (c.excKind == KIND_EXCEPTION) c.task |= TASK_EXCEPTION | (c.excVector << 8);
    if (c.excHasError) {
      c.task |= TASK_ERROR;
      c.taskError = c.excError;
    }
  }
  c.single = 0;
  c.shadow = 0;
  return true;
}

/** Bits of exitB of a TASK_SWITCH exit, beside the reason in 2:1: an external event's, with an error code (exitData). */
const EXIT_EXTERNAL: u64 = 8;
const EXIT_ERROR: u64 = 16;

/** Lets the hypervisor's user see the switch. An answer means that the core is to carry it out. */
function tellTaskSwitch(c: Vcpu, selector: u32, reason: u32): bool {
  if (deviceRead(c, EXIT_TASK_SWITCH, selector, 1)) return true;
  if (c.status != STATUS_EXIT) return false;
  c.exitB |= <u64>reason << 1;
  if (reason == TSR_IDT_GATE) {
    if (c.excKind != KIND_SOFTWARE) c.exitB |= EXIT_EXTERNAL;
    if (c.excHasError) {
      c.exitB |= EXIT_ERROR;
      c.set_exitData(0, c.excError);
    }
  }
  return false;
}

/** The running task's state into its TSS. LDTR and CR3 are not saved. */
function saveTask(c: Vcpu, rip: u64, flags: u64): bool {
  const wide = (segAr(c, SEG_TR) & 8) != 0, z: u32 = wide ? 2 : 1, tss = segBase(c, SEG_TR);
  if (segAr(c, SEG_TR) & AR_UNUSABLE || segLimit(c, SEG_TR) < (wide ? WIDE_SIZE : NARROW_SIZE) - 1) {
    return raiseError(c, TS, segSelector(c, SEG_TR) & 0xfffc);
  }
  if (!sysWrite(c, tss + eipAt(wide), z, rip) || !sysWrite(c, tss + flagsAt(wide), z, flags)) return false;
  for (let n: u32 = 0; n < 8; n++) if (!sysWrite(c, tss + registerAt(wide, n), z, c.gprAt(n))) return false;
  for (let s: u32 = 0; s < segments(wide); s++) {
    if (!sysWrite(c, tss + selectorAt(wide, s), 1, segSelector(c, s))) return false;
  }
  return true;
}

/** JMP and IRET leave a task for good: its descriptor becomes available. */
function clearBusy(c: Vcpu, selector: u32): bool {
  if (!fetchDescriptor(c, selector, TS)) return false;
  return sysWrite(c, descAt + 5, 0, (desc >> 40) & 0xfd);
}

/** Registers of the new task; of its segments the selectors only. Nothing here can fault. */
function loadTask(c: Vcpu, wide: bool, nested: bool): void {
  c.cr0 |= CR0_TS;
  // The local breakpoints and LE are the old task's.
  c.set_dr(7, c.drAt(7) & ~0x155);
  rearm(c);
  c.taskCr3 = wide ? load<u32>(gathered(c) + WIDE_CR3) : 0;
  let flags = field(c, wide, flagsAt(wide)) & (ARITH | TF | IF | DF | IOPL | NT | RF | VM | AC | VIF | VIP | ID);
  if (nested) flags |= NT;
  c.rflags = (flags & ~ARITH) | 2;
  setArithmeticFlags(c, flags);
  c.rip = field(c, wide, eipAt(wide));
  // A 16-bit TSS leaves the upper halves undefined: ones, as in emulators that were compared with an 80386.
  for (let n: u32 = 0; n < 8; n++) c.set_gpr(n, field(c, wide, registerAt(wide, n)) | (wide ? 0 : 0xffff0000));
  for (let s: u32 = 0; s < 6; s++) {
    setSeg(c, s, s < segments(wide) ? field16(c, selectorAt(wide, s)) : 0, 0, 0, AR_UNUSABLE);
  }
  setSeg(c, SEG_LDTR, field16(c, ldtAt(wide)), 0, 0, AR_UNUSABLE);
  c.cpl = flags & VM ? 3 : segSelector(c, SEG_CS) & 3;
  updateMode(c);
}

/** Vector of the exception that has switched tasks through its gate, or -1. */
export function taskException(c: Vcpu): i32 {
  return c.task & TASK_EXCEPTION ? <i32>(c.task >> 8) & 0xff : -1;
}

/** Second half, with Vcpu.task set. False: a fault is recorded, in the new task, or an exit, after which to call again. */
export function finishTask(c: Vcpu): bool {
  const task = c.task;
  const done = loadSegments(c, task) && pushError(c, task);
  if (!done) {
    if (task & TASK_EXTERNAL && c.excVector >= TS && c.excVector <= GP) c.excError |= 1;
    return false;
  }
  c.task = 0;
  if (task & TASK_TRAP) c.debug |= DR6_BT;
  lookUp(c);
  return true;
}

function loadSegments(c: Vcpu, task: u32): bool {
  // The new address space: PDPTEs with reserved bits are the new task's #GP(0).
  if (task & TASK_WIDE && c.cr0 & CR0_PG && !writeCr3(c, c.taskCr3)) return false;
  if (!loadLdt(c)) return false;
  if (c.rflags & VM) {
    for (let s: u32 = 0; s < 6; s++) {
      const selector = segSelector(c, s);
      setSeg(c, s, selector, <u64>selector << 4, 0xffff, 0xf3);
    }
  } else if (!loadCode(c) || !loadStack(c) || !loadData(c, SEG_DS) || !loadData(c, SEG_ES) || !loadData(c, SEG_FS)
    || !loadData(c, SEG_GS)) return false;
  updateMode(c);
  return true;
}

@inline function invalid(c: Vcpu, vector: u32, selector: u32): bool { return raiseError(c, vector, selector & 0xfffc); }

function loadLdt(c: Vcpu): bool {
  const selector = segSelector(c, SEG_LDTR);
  if (isNull(selector)) {
    setNull(c, SEG_LDTR, selector, 0);
    return true;
  }
  if (selector & 4) return invalid(c, TS, selector);
  if (!fetchDescriptor(c, selector, TS)) return false;
  if (!isSystem(desc) || typeOf(desc) != TYPE_LDT || !isPresent(desc)) return invalid(c, TS, selector);
  setSeg(c, SEG_LDTR, selector, baseOf(desc), limitOf(desc), arOf(desc));
  return true;
}

function loadCode(c: Vcpu): bool {
  const selector = segSelector(c, SEG_CS), rpl = selector & 3;
  if (isNull(selector)) return invalid(c, TS, selector);
  if (!fetchDescriptor(c, selector, TS)) return false;
  if (!isCode(desc) || (isConforming(desc) ? dplOf(desc) > rpl : dplOf(desc) != rpl)) return invalid(c, TS, selector);
  if (!isPresent(desc)) return invalid(c, NP, selector);
  return fill(c, SEG_CS, selector);
}

function loadStack(c: Vcpu): bool {
  const selector = segSelector(c, SEG_SS);
  if (isNull(selector)) return invalid(c, TS, selector);
  if (!fetchDescriptor(c, selector, TS)) return false;
  if (!isWritable(desc) || dplOf(desc) != c.cpl || (selector & 3) != c.cpl) return invalid(c, TS, selector);
  if (!isPresent(desc)) return invalid(c, SS, selector);
  return fill(c, SEG_SS, selector);
}

function loadData(c: Vcpu, s: u32): bool {
  const selector = segSelector(c, s), rpl = selector & 3;
  if (isNull(selector)) {
    setNull(c, s, selector, 0);
    return true;
  }
  if (!fetchDescriptor(c, selector, TS)) return false;
  if (!isReadable(desc) || !isConforming(desc) && (dplOf(desc) < rpl || dplOf(desc) < c.cpl)) return invalid(c, TS, selector);
  if (!isPresent(desc)) return invalid(c, NP, selector);
  return fill(c, s, selector);
}

function fill(c: Vcpu, s: u32, selector: u32): bool {
  if (!touchDescriptor(c, desc, descAt)) return false;
  loadDescriptor(c, s, selector, desc);
  return true;
}

/** An exception's error code, on the new task's stack, as wide as its TSS. */
function pushError(c: Vcpu, task: u32): bool {
  if (!(task & TASK_ERROR)) return true;
  frameHere(c);
  if (!framePush(c, task & TASK_WIDE ? 2 : 1, c.taskError)) return false;
  c.set_gpr(4, frameSp());
  return true;
}
