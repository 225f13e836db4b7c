/**
 * The core's exports: what a vCPU worker (src/vcpu) calls. `run` is the outer loop: attention, events, deadlines, and
 * then the interpreter for a budget of instructions.
 */
import {
  RUN_SLICE, RUN_EXIT, RUN_HALT, RUN_TRIPLE_FAULT, RUN_STOP, RUN_SPIN, Vcpu, AREA_SCRATCH, ATTENTION_STOP, ATTENTION_INIT, ATTENTION_POSTED, ATTENTION_NMI, ATTENTION_DROP, ATTENTION_FLUSH, ATTENTION_EXCLUSIVE,
  ATTENTION_INJECT, CAP_EXCEPTION_EXIT, CAP_MTRAP_EXIT, EXIT_MTRAP, EXIT_STOP, EXIT_VMX, V_UNDO, V_RIP, V_RFLAGS,
  STATUS_BUDGET, STATUS_FAULT, STATUS_FROZEN, STATUS_SLOW, STATUS_EXIT, STATUS_RESUME, STOPS_EXCEPTION, V_ATTENTION, V_DEVICE_DEADLINE, V_NMI_POSTED, STAT_SLOW_STEPS, STAT_EXCEPTIONS,
  STAT_INTERRUPTS, STAT_EXITS, EXIT_INTA, EXIT_INIT, RUN_STATE_HALTED, RUN_STATE_RUNNING, RUN_STATE_SHUTDOWN, RUN_STATE_WAIT_FOR_SIPI,
} from "./gen/layout";
import { apicAccept, apicDeliverable, apicSync, apicTimerTick } from "./apic";
import { commitStage, answerRead, deviceRead, deviceValue } from "./mem/stage";
import { enter, enterSlow, single } from "./decode/block";
import { length, locked } from "./decode/decode";
import { resetArena, takeDrops } from "./decode/pages";
import { beginExclusive, endExclusive, enterGuest, leaveGuest } from "./mem/exclusive";
import { emptyTlb, flushAll, showTlb } from "./mem/tlb";
import { go } from "./gen/dispatch";
import { DB, KIND_EXCEPTION, KIND_EXTERNAL, KIND_SOFTWARE, NMI, PF } from "./exception";
import { ARMED_CODE, armedBy, HIT_STOP } from "./mem/watch";
import { caught, codeBreakpoint, DR6_BS, hostStop, raiseDebug, shown, standsHere } from "./sys/debug";
import { deliver, escalate, KIND_ICEBP, noteEvent } from "./sys/deliver";
import { IF, RF, TF, updateMode } from "./sys/mode";
import { forgetPauses, pauses } from "./sys/string";
import { finishTask, taskException } from "./sys/task";
import { takeStartup } from "./startup";
import { getRflags, setArithmeticFlags } from "./sem/flags";
import { clockRuns, guestNs } from "./time";
import { ringDoorbell } from "./ring";
import { bump } from "./stat";
import { traceAnswer, traceBlock, traceDelivery, traceExit, traceHalt, traceShutDown, traceWake } from "./trace";
import { compileWaiting, endTrail } from "./jit/tier";
import { breakTrail, follow, following, trailEnds } from "./jit/trail";

export { compileAt } from "./jit/tier";
export { chainFunction, setTailCalls } from "./jit/chain";
export { getMsr, setMsr } from "./sys/msr";
export { readCpuid } from "./sys/cpuid";
export { inflate } from "./mem/inflate";
export { gla2gpa } from "./mem/walk";
export * from "./jit/helpers";


/** Instructions between looks at the clock: about 10 µs. */
const BUDGET: i64 = 4000;
/** The same where hot code is compiled. */
const BUDGET_COMPILED: i64 = 12_000;
/** PAUSEs in a row after which a vCPU is taken to spin. */
const SPIN_PAUSES: u32 = 60;

/** Instructions of the current slice that are still to run. */
let left: i64 = 0;
/** An exception or interrupt is being delivered and waits for a device or a staged write. */
let delivering: bool = false;
/** This vCPU runs alone. */
let alone: bool = false;

/** Sets up a vCPU's caches. Registers are written by the host before or after. */
export function init(vcpu: usize): void {
  const c = changetype<Vcpu>(vcpu);
  emptyTlb(c);
  resetArena(c);
  updateMode(c);
}

/** Call after the host has changed registers, control registers or segments. */
export function refresh(vcpu: usize): void {
  const c = changetype<Vcpu>(vcpu);
  c.armed = armedBy(c);
  c.shadowRip = c.rip;
  flushAll(c);
  updateMode(c);
}

export function rflags(vcpu: usize): u64 {
  return getRflags(changetype<Vcpu>(vcpu));
}

export function setRflags(vcpu: usize, value: u64): void {
  const c = changetype<Vcpu>(vcpu);
  c.rflags = value & ~0x8d5 & 0x3fffff | 2;
  setArithmeticFlags(c, value);
  updateMode(c);
}

/** The device thread has answered the access that `run` left with. */
export function answer(vcpu: usize): void {
  const c = changetype<Vcpu>(vcpu);
  traceAnswer(c);
  if (c.exitCode == EXIT_INIT) refresh(vcpu);
  else if (!(c.exitB & 1)) answerRead(c);
}

/** Runs at most about `slice` instructions. */
export function run(vcpu: usize, slice: i64): i32 {
  const c = changetype<Vcpu>(vcpu);
  enterGuest(c);
  takeDrops(c);
  clockRuns(true);
  const why = runInGuest(c, slice);
  clockRuns(false);
  leaveGuest(c);
  return why;
}

function runInGuest(c: Vcpu, slice: i64): i32 {
  const vcpu = changetype<usize>(c);
  left = c.caps & CAP_MTRAP_EXIT ? 1 : slice;
  // What an exit has interrupted: staged writes, a delivery, an instruction with a device read.
  if (c.slow) {
    const r = continueSlow(c);
    if (r >= 0) return r;
  } else delivering = false; // The host may have abandoned a delivery.
  while (true) {
    if (c.task) {
      const r = newTask(c);
      if (r >= 0) return r;
      continue;
    }
    const why = atomic.xchg<i32>(vcpu + V_ATTENTION, 0);
    if (why & ATTENTION_NMI) takeNmis(c);
    if (why & ATTENTION_POSTED) apicSync(c);
    if (why & ATTENTION_EXCLUSIVE) {
      leaveGuest(c);
      enterGuest(c);
    }
    if (why & (ATTENTION_DROP | ATTENTION_EXCLUSIVE)) takeDrops(c);
    if (why & ATTENTION_FLUSH) flushAll(c);
    // After the others: taking the word has cleared them, and what they stand for must survive a pause.
    if (why & ATTENTION_INIT && takeStartup(c)) {
      if (why & (ATTENTION_STOP | ATTENTION_INJECT)) atomic.or<i32>(vcpu + V_ATTENTION, why & (ATTENTION_STOP | ATTENTION_INJECT));
      return exited(c);
    }
    if (why & ATTENTION_STOP) {
      if (why & ATTENTION_INJECT) atomic.or<i32>(vcpu + V_ATTENTION, ATTENTION_INJECT);
      return RUN_STOP;
    }
    if (why & ATTENTION_INJECT) {
      const r = inject(c);
      if (r >= 0) return r;
      continue;
    }
    tick(c);
    if (c.runState == RUN_STATE_WAIT_FOR_SIPI) return RUN_HALT;
    // Traps on the instruction before come first (SDM vol. 3, table 6-2); MOV SS holds them off too.
    if (c.debug && c.shadow != 2) {
      const r = debugTrap(c);
      if (r >= 0) return r;
      continue;
    }
    const event = pendingEvent(c);
    if (c.runState == RUN_STATE_HALTED) {
      if (!event) {
        traceHalt(c);
        return RUN_HALT;
      }
      c.runState = RUN_STATE_RUNNING;
      traceWake(c);
    }
    if (event && !c.shadow && !shown(c)) {
      const r = takeEvent(c);
      if (r >= 0) return r;
      continue;
    }
    if (left <= 0) return c.caps & CAP_MTRAP_EXIT ? monitorTrap(c) : RUN_SLICE;
    let budget = min<i64>(left, c.heat ? BUDGET_COMPILED : BUDGET);
    if (c.armed & ARMED_CODE) {
      if (hostStop(c)) return stopped(c);
      if (c.shadow != 2 && !(c.rflags & RF) && codeBreakpoint(c)) {
        const r = fault(c);
        if (r >= 0) return r;
        continue;
      }
    }
    // In an interrupt shadow, when debugged, and for a tail shorter than a block, instructions run one at a time.
    if (c.shadow || (c.rflags & (TF | RF))) {
      const r = step(c, false);
      if (r >= 0) return r;
      continue;
    }
    let u = enter(c);
    if (!u) u = enterSlow(c);
    if (!u) {
      const r = fault(c);
      if (r >= 0) return r;
      continue;
    }
    if (u == vcpu + AREA_SCRATCH) {
      const r = step(c, false);
      if (r >= 0) return r;
      continue;
    }
    if (c.pauses > SPIN_PAUSES) {
      c.pauses = 0;
      return RUN_SPIN;
    }
    if (following()) {
      if (trailEnds(c)) endTrail(c);
      else budget = min(budget, follow(c, u));
    }
    if (c.tracing) budget = min(budget, traceBlock(c, u));
    const rest = go(c, u, budget);
    if (c.shadow && c.rip != c.shadowRip) c.shadow = 0;
    if (rest) breakTrail();
    retire(c, budget - rest);
    if (c.batchCount) compileWaiting(c);
    const status = c.status;
    if (status == STATUS_BUDGET) {
      // A block longer than what is left of the slice.
      if (rest == budget && c.attention == 0) {
        const r = step(c, false);
        if (r >= 0) return r;
      }
    } else if (status == STATUS_FAULT) {
      const r = fault(c);
      if (r >= 0) return r;
    } else if (status == STATUS_SLOW) {
      bump(c, STAT_SLOW_STEPS);
      const r = step(c, true);
      if (r >= 0) return r;
    }
  }
}

/** Counts n instructions as done, but for what of them was a part of a repetition. */
function retire(c: Vcpu, n: i64): void {
  n -= pauses;
  forgetPauses();
  c.icount += n;
  left -= n;
}

/** NMIs that have come: one is latched while another is being handled, two while none is (SDM vol. 3, 6.7.1). */
function takeNmis(c: Vcpu): void {
  const n = atomic.xchg<u32>(changetype<usize>(c) + V_NMI_POSTED, 0);
  c.nmiPending = min<u32>(c.nmiPending + n, c.nmiBlocked ? 1 : 2);
}

/** Looks at the clock and fires what is due. */
function tick(c: Vcpu): void {
  if (c.apicTimer == ~0 && c.deviceDeadline == ~0) return;
  const ns = guestNs(c);
  if (ns >= c.apicTimer) {
    apicTimerTick(c, ns);
    apicSync(c);
  }
  // Only the deadline that has passed is cleared, not a new one that the device thread is just writing.
  const device = changetype<usize>(c) + V_DEVICE_DEADLINE, due = atomic.load<u64>(device);
  if (ns >= due) {
    atomic.cmpxchg<u64>(device, due, ~0);
    ringDoorbell();
  }
}

/** True if an interrupt or NMI can be delivered now, but for the interrupt shadow. */
function pendingEvent(c: Vcpu): bool {
  if (c.nmiPending && !c.nmiBlocked) return true;
  if (!(c.rflags & IF)) return false;
  return c.extint != 0 || apicDeliverable(c) >= 0;
}

/** Delivers the event with the highest priority. -1: go on; otherwise the code to return from `run`. */
function takeEvent(c: Vcpu): i32 {
  breakTrail();
  if (c.nmiPending && !c.nmiBlocked) {
    c.nmiPending--;
    c.nmiBlocked = 1;
    c.excVector = NMI;
  } else {
    const v = apicDeliverable(c);
    if (v >= 0) {
      apicAccept(c, v);
      c.excVector = v;
    } else {
      // The 8259 says which vector: an interrupt acknowledge cycle.
      c.slow = 1;
      c.replayNext = 0;
      if (!deviceRead(c, EXIT_INTA, 0, 1)) return exited(c);
      c.slow = 0;
      c.replayCount = 0;
      c.excVector = <u32>deviceValue & 0xff;
    }
  }
  bump(c, STAT_INTERRUPTS);
  c.excKind = KIND_EXTERNAL;
  c.excHasError = 0;
  return deliverNow(c);
}

/**
 * Delivers the event that the host has put into entryInfo (SDM vol. 3, 26.6 describes the same for VM entry): bits 7:0
 * vector, 10:8 type, 11 error code valid, 63:32 error code. The host has written CR2 for a page fault.
 */
function inject(c: Vcpu): i32 {
  const info = c.entryInfo, type = <u32>(info >> 8) & 7;
  c.excVector = <u32>info & 0xff;
  c.excHasError = <u32>(info >> 11) & 1;
  c.excError = <u32>(info >> 32);
  c.excCr2 = c.cr2;
  c.excRip = c.rip;
  c.excKind = type == 3 ? KIND_EXCEPTION : type == 4 ? KIND_SOFTWARE : KIND_EXTERNAL;
  if (type == 2) c.nmiBlocked = 1;
  if (c.runState == 1) c.runState = 0;
  return deliverNow(c);
}

/** The monitor trap (SDM vol. 3, 26.5.2): leaves after each instruction, and after each event that was delivered. */
function monitorTrap(c: Vcpu): i32 {
  keep(c);
  c.exitLength = 0;
  c.exitCode = EXIT_MTRAP;
  // Nothing is read: the answer does not go into the replay log.
  c.exitB = 1;
  standsHere(c);
  return exited(c);
}

/** A breakpoint of the host's: leaves before the instruction that it is on, or after the one that has met it. */
function stopped(c: Vcpu): i32 {
  keep(c);
  c.exitLength = 0;
  c.exitCode = EXIT_STOP;
  c.exitA = c.stopEntry;
  c.exitB = 1;
  c.set_exitData(0, c.stopAddress);
  standsHere(c);
  return exited(c);
}

/** Leaves with an exception that the host is to see: nothing of it has happened yet. */
function showException(c: Vcpu): i32 {
  keep(c);
  c.exitLength = 0;
  c.exitCode = EXIT_STOP;
  c.exitA = STOPS_EXCEPTION;
  c.exitB = 1;
  c.set_exitData(0, c.excCr2);
  c.set_exitData(1, <u64>c.excError << 32 | 0x80000300 | <u64>c.excHasError << 11 | c.excVector);
  standsHere(c);
  c.caughtCount = c.icount + 1;
  return exited(c);
}

/** Remembers the registers as they are before an instruction on the careful path, or an event. */
function keep(c: Vcpu): void {
  const vcpu = changetype<usize>(c);
  memory.copy(vcpu + V_UNDO, vcpu + V_RIP, V_RFLAGS + 8 - V_RIP);
}

/**
 * Delivers the exception that was just recorded. Debug traps that MOV SS has held off are lost by a fault of the next
 * instruction, join INT1, and come after a software interrupt (SDM vol. 3, 26.7.3, has it so for VM entries).
 */
function fault(c: Vcpu): i32 {
  breakTrail();
  // A new task's own (`newTask`) would not come again.
  if (!c.slow && caught(c)) return showException(c);
  bump(c, STAT_EXCEPTIONS);
  if (c.excKind == KIND_EXCEPTION) c.debug &= HIT_STOP;
  else if (c.excKind == KIND_ICEBP) {
    c.excError = c.debug & ~HIT_STOP;
    c.debug &= HIT_STOP;
  }
  return c.caps & CAP_EXCEPTION_EXIT && c.excKind == KIND_EXCEPTION ? tellException(c) : deliverNow(c);
}

/**
 * Leaves with an exception that is to be delivered (SDM vol. 3, 26.2: the exception bitmap): exitA = basic exit reason 0,
 * exitData = qualification and interruption information. The hypervisor's user has it injected, or not.
 */
function tellException(c: Vcpu): i32 {
  const error: u32 = c.excHasError || c.excVector == DB ? c.excError : 0;
  keep(c);
  c.slow = 0;
  c.replayCount = 0;
  c.exitLength = 0;
  c.exitCode = EXIT_VMX;
  c.exitA = 0;
  c.exitB = 1;
  c.set_exitData(0, c.excVector == PF ? c.excCr2 : c.excVector == DB ? error : 0);
  c.set_exitData(1, <u64>error << 32 | 0x80000300 | <u64>c.excHasError << 11 | c.excVector);
  return exited(c);
}

/** Delivers the traps that the last instruction has met. They end HLT. The host's come first. */
function debugTrap(c: Vcpu): i32 {
  if (c.debug & HIT_STOP) {
    c.debug &= ~HIT_STOP;
    return stopped(c);
  }
  raiseDebug(c, c.debug);
  if (caught(c)) return showException(c);
  c.debug = 0;
  c.runState = RUN_STATE_RUNNING;
  return c.caps & CAP_EXCEPTION_EXIT ? tellException(c) : deliverNow(c);
}

function deliverNow(c: Vcpu): i32 {
  delivering = true;
  keep(c);
  c.exitLength = 0;
  if (c.caps & CAP_MTRAP_EXIT) left = 0;
  c.slow = 1;
  c.replayNext = 0;
  c.stageCount = 0;
  c.stageNext = 0;
  c.hits = 0;
  traceDelivery(c);
  const r = deliver(c);
  showTlb(c);
  if (r == 2) return shutDown(c);
  if (r == 1) {
    c.stageCount = 0;
    return exited(c);
  }
  // Breakpoints on the stack that was written.
  c.debug |= c.hits;
  return finishSlow(c);
}

/** The second half of a task switch; its faults are the new task's. */
function newTask(c: Vcpu): i32 {
  c.slow = 1;
  c.replayNext = 0;
  c.stageCount = 0;
  c.stageNext = 0;
  c.status = STATUS_RESUME;
  const done = finishTask(c);
  showTlb(c);
  if (done) return finishSlow(c);
  c.stageCount = 0;
  if (c.status == STATUS_EXIT) return exited(c);
  const vector = taskException(c);
  c.task = 0;
  c.replayCount = 0;
  c.faultCount = 0;
  if (vector >= 0) {
    noteEvent(c, vector, KIND_EXCEPTION, 0, 0, 0);
    if (!escalate(c, vector, KIND_EXCEPTION)) return shutDown(c);
  }
  return fault(c);
}

function shutDown(c: Vcpu): i32 {
  delivering = false;
  c.slow = 0;
  c.runState = RUN_STATE_SHUTDOWN;
  traceShutDown(c);
  return RUN_TRIPLE_FAULT;
}

/**
 * Executes the instruction at c.rip alone; `careful` = on the careful path. RF is clear while it runs: what sets it means
 * the next one.
 */
function step(c: Vcpu, careful: bool): i32 {
  const shadow = c.shadow, rf = c.rflags & RF;
  c.hits = 0;
  c.single = <u32>(c.rflags & TF);
  c.rflags &= ~RF;
  c.stepping = 1;
  c.slow = u32(careful);
  c.replayNext = 0;
  c.stageCount = 0;
  c.stageNext = 0;
  if (careful) keep(c);
  const u = single(c);
  c.exitLength = length;
  let refund: i64 = 0;
  if (u) {
    alone = careful && locked;
    if (alone) beginExclusive(c);
    refund = go(c, u, 0);
    if (careful) showTlb(c);
    // Its writes are staged; an access to a device ends the exclusion, as a bus lock would have split it.
    if (alone && c.status != STATUS_RESUME) notAlone();
  }
  c.stepping = 0;
  const status = c.status;
  if (!u || status == STATUS_FAULT || status == STATUS_SLOW || status == STATUS_EXIT || status == STATUS_FROZEN) {
    c.rflags |= rf;
    // Executed again, if at all, it stages everything again.
    c.stageCount = 0;
  }
  if (!u || status == STATUS_FAULT) {
    if (c.excKind == KIND_SOFTWARE) c.rflags &= ~RF;
    c.slow = 0;
    c.replayCount = 0;
    return fault(c);
  }
  if (status == STATUS_SLOW) return step(c, true);
  if (status == STATUS_EXIT) return exited(c);
  if (status == STATUS_FROZEN) {
    c.slow = 0;
    c.replayCount = 0;
    return -1;
  }
  retire(c, 1 - refund);
  // MOV SS is not followed by a single-step trap; the shadow of STI or MOV SS covers the instruction after it.
  c.debug |= c.hits;
  if (c.single && (c.shadow != 2 || shadow == 2)) c.debug |= DR6_BS;
  if (c.shadow == shadow) c.shadow = 0;
  const r = careful ? finishSlow(c) : -1;
  notAlone();
  return r;
}

function notAlone(): void {
  if (!alone) return;
  alone = false;
  endExclusive();
}

/** Commits staged writes; the careful path ends when the last is done. */
function finishSlow(c: Vcpu): i32 {
  if (!commitStage(c)) return exited(c);
  c.slow = 0;
  c.replayCount = 0;
  delivering = false;
  return -1;
}

/** Goes on after an exit has been answered. */
function continueSlow(c: Vcpu): i32 {
  if (c.stageCount) return finishSlow(c);
  if (c.exitCode == EXIT_INTA) return takeEvent(c);
  if (delivering) return deliverNow(c);
  if (c.task) return newTask(c);
  return step(c, true);
}

function exited(c: Vcpu): i32 {
  bump(c, STAT_EXITS);
  c.exitRip = c.undoAt(0);
  traceExit(c);
  return RUN_EXIT;
}
