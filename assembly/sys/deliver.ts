/**
 * Delivery of exceptions and interrupts (SDM vol. 3, chapter 6): real mode's vector table, gates of protected mode
 * with a change of stack, virtual-8086 mode, 64-bit mode with IST; and what becomes of a fault during delivery.
 */
import {
  Vcpu, MODE_LONG, MODE_PROTECTED, MODE_V86, SEG_CS, SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS,
  STATUS_EXIT, STATUS_RESUME,
} from "../gen/layout";
import { DB, DE, DF, GP, KIND_EXCEPTION, KIND_SOFTWARE, NMI, NP, PF, raiseError, TS } from "../exception";
import { sysRead, value } from "../mem/access";
import { AR_DB, AR_L, segAr, segLimit, segSelector, setSeg } from "../mem/segment";
import { getRflags } from "../sem/flags";
import { DR6_BD, recordDebug } from "./debug";
import {
  arOf, desc, descAt, dplOf, fetchDescriptor, isCode, isConforming, isNull, isPresent, limitOf, loadDescriptor,
  setNull, touchDescriptor, TYPE_TASK,
} from "./descriptor";
import {
  beginLevel, endLevel, frameHere, frameIn, framePush, frameSp, frameWide, innerDesc, innerSp, innerSs, innerStack,
  innerStack64,
} from "./frame";
import { AC, IF, NT, RF, TF, updateMode, VM } from "./mode";
import { taskSwitch, TSR_IDT_GATE } from "./task";
import { canonical } from "../mem/linear";

/** INT1: like a software interrupt, but no gate's DPL is asked (excKind, as VMX's "privileged software exception"). */
export const KIND_ICEBP: u32 = 3;
/** Vcpu.faults has room for so many. */
const MAX_EVENTS: u32 = 8;

/**
 * Delivers what excVector, excKind, excHasError and excError say; c.rip is the RIP to push. For a software interrupt
 * excRip is pushed, and c.rip is the RIP of the instruction, which counts if delivery faults.
 *
 *     0  delivered
 *     1  must wait: an exit is recorded, and the call is to be repeated after it
 *     2  triple fault
 */
export function deliver(c: Vcpu): i32 {
  const vector0 = c.excVector, kind0 = c.excKind, has0 = c.excHasError, error0 = c.excError, cr20 = c.excCr2;
  if (vector0 == DB && (kind0 == KIND_EXCEPTION || kind0 == KIND_ICEBP && error0)) recordDebug(c, error0);
  c.faultCount = 0;
  while (true) {
    const vector = c.excVector, kind = c.excKind, hasError = c.excHasError, error = c.excError, address = c.excCr2;
    // A page fault's address is in CR2 even if its delivery fails.
    if (kind == KIND_EXCEPTION && vector == PF) c.cr2 = c.excCr2;
    if (enterHandler(c, vector, kind, hasError != 0, error)) {
      c.shadow = 0;
      c.status = STATUS_RESUME;
      return 0;
    }
    if (c.status == STATUS_EXIT) {
      c.excVector = vector0; c.excKind = kind0; c.excHasError = has0; c.excError = error0; c.excCr2 = cr20;
      return 1;
    }
    noteEvent(c, vector, kind, hasError, error, address);
    if (!escalate(c, vector, kind)) return 2;
  }
}

/** Writes down an event of a delivery that meets faults, in the format of entryInfo. */
export function noteEvent(c: Vcpu, vector: u32, kind: u32, hasError: u32, error: u32, address: u64): void {
  const n = c.faultCount;
  if (n == MAX_EVENTS) return;
  const type: u64 = kind == KIND_EXCEPTION ? 3 : kind == KIND_SOFTWARE ? 4 : kind == KIND_ICEBP ? 5 : vector == NMI ? 2 : 0;
  c.set_faults(n, <u64>error << 32 | 0x80000000 | <u64>hasError << 11 | type << 8 | vector);
  c.set_faultAddress(n, address);
  c.faultCount = n + 1;
}

/**
 * What becomes of the fault just recorded, which was met while `vector` was being delivered: perhaps #DF. False: a triple
 * fault (SDM vol. 3, 6.15, interrupt 8).
 */
export function escalate(c: Vcpu, vector: u32, kind: u32): bool {
  const second = c.excVector;
  // EXT: not the program's own doing.
  if (kind != KIND_SOFTWARE && second >= TS && second <= GP) c.excError |= 1;
  if (second == PF) c.cr2 = c.excCr2;
  noteEvent(c, second, KIND_EXCEPTION, c.excHasError, c.excError, c.excCr2);
  if (kind != KIND_EXCEPTION) return true;
  if (vector == DF) return false;
  if (isContributory(second) && (isContributory(vector) || vector == PF) || second == PF && vector == PF) raiseError(c, DF, 0);
  return true;
}

/** Table 6-4 of SDM vol. 3. */
function isContributory(vector: u32): bool {
  return vector == DE || (vector >= TS && vector <= GP);
}

function enterHandler(c: Vcpu, vector: u32, kind: u32, hasError: bool, error: u32): bool {
  if (!(c.mode & (MODE_PROTECTED | MODE_V86))) return realMode(c, vector);
  const flags = pushedFlags(c, vector, kind);
  if (c.mode & MODE_LONG) return longMode(c, vector, kind, hasError, error, flags);
  return protectedMode(c, vector, kind, hasError, error, flags);
}

/**
 * RFLAGS as pushed: faults set RF, so that the handler's IRET does not meet the same breakpoint again. Not the #DB of the
 * breakpoint itself, which would then be passed by unseen after a page fault's handler (SDM vol. 3, 18.3.1.1).
 */
function pushedFlags(c: Vcpu, vector: u32, kind: u32): u64 {
  const flags = getRflags(c);
  if (kind != KIND_EXCEPTION || vector == DF) return flags;
  return vector != DB || c.excError & DR6_BD ? flags | RF : flags;
}

@inline function pushedRip(c: Vcpu): u64 { return c.excKind == KIND_SOFTWARE || c.excKind == KIND_ICEBP ? c.excRip : c.rip; }

/** Real mode: four bytes for each vector (SDM vol. 3, 21.1.4). */
function realMode(c: Vcpu, vector: u32): bool {
  if (vector * 4 + 3 > c.idtLimit) return raiseError(c, GP, 0);
  if (!sysRead(c, c.idtBase + vector * 4, 2)) return false;
  const target = <u32>value;
  frameHere(c);
  if (!framePush(c, 1, getRflags(c))) return false;
  if (!framePush(c, 1, segSelector(c, SEG_CS))) return false;
  if (!framePush(c, 1, pushedRip(c))) return false;
  c.set_gpr(4, frameSp());
  c.rflags &= ~(IF | TF | AC | RF);
  c.rip = target & 0xffff;
  // Limit and rights stay as they are ("unreal mode").
  const selector = target >> 16;
  setSeg(c, SEG_CS, selector, <u64>selector << 4, segLimit(c, SEG_CS), segAr(c, SEG_CS));
  updateMode(c);
  return true;
}

/** IDT entry: error code of a fault about it. */
@inline function idtError(vector: u32): u32 { return vector * 8 + 2; }

/** Checks the code segment of a gate and leaves its descriptor in `desc`; the level it runs at in `newCpl`. */
let newCpl: u32 = 0;
function gateCode(c: Vcpu, selector: u32, long: bool): bool {
  if (isNull(selector)) return raiseError(c, GP, 0);
  if (!fetchDescriptor(c, selector, GP)) return false;
  const d = desc;
  if (!isCode(d) || dplOf(d) > c.cpl) return raiseError(c, GP, selector & 0xfffc);
  if (long && (arOf(d) & (AR_L | AR_DB)) != AR_L) return raiseError(c, GP, selector & 0xfffc);
  if (!isPresent(d)) return raiseError(c, NP, selector & 0xfffc);
  newCpl = isConforming(d) ? c.cpl : dplOf(d);
  return true;
}

function longMode(c: Vcpu, vector: u32, kind: u32, hasError: bool, error: u32, flags: u64): bool {
  if (vector * 16 + 15 > c.idtLimit) return raiseError(c, GP, idtError(vector));
  const at = c.idtBase + vector * 16;
  if (!sysRead(c, at, 3)) return false;
  const low = value;
  if (!sysRead(c, at + 8, 3)) return false;
  const high = value;
  const type = <u32>(low >> 40) & 31;
  if (type != 14 && type != 15 || <u32>(high >> 40) & 31) return raiseError(c, GP, idtError(vector));
  if (kind == KIND_SOFTWARE && dplOf(low) < c.cpl) return raiseError(c, GP, idtError(vector));
  if (!isPresent(low)) return raiseError(c, NP, idtError(vector));
  const selector = <u32>(low >> 16) & 0xffff;
  if (!gateCode(c, selector, true)) return false;
  const code = desc, codeAt = descAt, cpl = newCpl, ist = <u32>(low >> 32) & 7;
  const target = (low & 0xffff) | ((low >> 32) & 0xffff0000) | (high << 32);
  let sp = c.gprAt(4);
  if (ist) {
    if (!innerStack64(c, 3 + ist)) return false;
    sp = innerSp;
  } else if (cpl < c.cpl) {
    if (!innerStack64(c, cpl)) return false;
    sp = innerSp;
  }
  if (!canonical(c, target)) return raiseError(c, GP, 0);
  if (!touchDescriptor(c, code, codeAt)) return false;
  const ss = segSelector(c, SEG_SS), rsp = c.gprAt(4), cs = segSelector(c, SEG_CS), inner = cpl < c.cpl;
  beginLevel(c, cpl, true);
  frameWide(sp & ~15);
  const pushed = framePush(c, 3, ss) && framePush(c, 3, rsp) && framePush(c, 3, flags) && framePush(c, 3, cs)
    && framePush(c, 3, pushedRip(c)) && (!hasError || framePush(c, 3, error));
  endLevel(c);
  if (!pushed) return false;
  c.set_gpr(4, frameSp());
  c.rip = target;
  c.rflags &= ~(TF | NT | RF | VM);
  if (type == 14) c.rflags &= ~IF;
  loadDescriptor(c, SEG_CS, (selector & 0xfffc) | cpl, code);
  c.cpl = cpl;
  if (inner) setNull(c, SEG_SS, cpl, cpl);
  updateMode(c);
  return true;
}

function protectedMode(c: Vcpu, vector: u32, kind: u32, hasError: bool, error: u32, flags: u64): bool {
  if (vector * 8 + 7 > c.idtLimit) return raiseError(c, GP, idtError(vector));
  if (!sysRead(c, c.idtBase + vector * 8, 3)) return false;
  const gate = value, type = <u32>(gate >> 40) & 31;
  if (type != 5 && type != 6 && type != 7 && type != 14 && type != 15) return raiseError(c, GP, idtError(vector));
  if (kind == KIND_SOFTWARE && dplOf(gate) < c.cpl) return raiseError(c, GP, idtError(vector));
  if (!isPresent(gate)) return raiseError(c, NP, idtError(vector));
  const selector = <u32>(gate >> 16) & 0xffff;
  if (type == TYPE_TASK) return taskSwitch(c, selector, TSR_IDT_GATE, pushedRip(c), flags);
  if (!gateCode(c, selector, false)) return false;
  const code = desc, codeAt = descAt, cpl = newCpl, inner = cpl < c.cpl, v86 = (c.mode & MODE_V86) != 0;
  if (v86 && cpl != 0) return raiseError(c, GP, selector & 0xfffc);
  const z: u32 = type & 8 ? 2 : 1;
  const target = z == 2 ? (gate & 0xffff) | ((gate >> 32) & 0xffff0000) : gate & 0xffff;
  // A new stack is looked at before the instruction pointer (SDM vol. 2, INT n).
  if (inner && !innerStack(c, cpl)) return false;
  if (target > <u64>limitOf(code)) return raiseError(c, GP, 0);
  const ss = innerSs, ssDesc = innerDesc;
  if (!touchDescriptor(c, code, codeAt)) return false;
  if (inner) frameIn(ss, innerSp, ssDesc);
  else frameHere(c);
  beginLevel(c, cpl, false);
  let pushed = true;
  if (v86) {
    pushed = framePush(c, z, segSelector(c, SEG_GS)) && framePush(c, z, segSelector(c, SEG_FS))
      && framePush(c, z, segSelector(c, SEG_DS)) && framePush(c, z, segSelector(c, SEG_ES));
  }
  if (inner) pushed = pushed && framePush(c, z, segSelector(c, SEG_SS)) && framePush(c, z, c.gprAt(4));
  pushed = pushed && framePush(c, z, flags) && framePush(c, z, segSelector(c, SEG_CS)) && framePush(c, z, pushedRip(c))
    && (!hasError || framePush(c, z, error));
  endLevel(c);
  if (!pushed) return false;
  c.set_gpr(4, frameSp());
  c.rip = target;
  c.rflags &= ~(TF | NT | RF | VM);
  if (!(type & 1)) c.rflags &= ~IF;
  loadDescriptor(c, SEG_CS, (selector & 0xfffc) | cpl, code);
  if (inner) loadDescriptor(c, SEG_SS, ss, ssDesc);
  if (v86) for (let s: u32 = 0; s < 6; s++) if (s != SEG_CS && s != SEG_SS) setNull(c, s, 0, 0);
  c.cpl = cpl;
  updateMode(c);
  return true;
}
