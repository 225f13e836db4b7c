/**
 * What is recorded for whoever looks at the machine (TRACE in src/shared/layout.ts): events with their time, and which
 * blocks have run. Nothing of it happens while Vcpu.tracing is 0.
 */
import {
  AREA_TRACE, EXIT_INST_EMUL, MODE_CODE32, MODE_CODE64, TRACE_CODE, TRACE_CODE_AT, TRACE_CODE_ENTRIES, TRACE_ENTRIES, TRACE_EVENTS, TRACE_KIND_ANSWER,
  TRACE_KIND_EXCEPTION, TRACE_KIND_EXIT, TRACE_KIND_HALT, TRACE_KIND_INTERRUPT, TRACE_KIND_QUICK, TRACE_KIND_SHUTDOWN,
  TRACE_KIND_SOFTWARE, TRACE_KIND_WAKE, Vcpu,
} from "./gen/layout";
import { linearRip } from "./decode/block";
import { OP_COLD, OP_HEAD, OP_REGION } from "./gen/decode";
import { KIND_EXCEPTION, KIND_EXTERNAL } from "./exception";
import { guestNs } from "./time";

function record(c: Vcpu, rip: u64, value: u64, what: u64): void {
  const n = c.traceEvents;
  const at = changetype<usize>(c) + AREA_TRACE + (<usize>(n & (TRACE_ENTRIES - 1)) << 5);
  store<u64>(at, guestNs(c));
  store<u64>(at, rip, 8);
  store<u64>(at, value, 16);
  store<u64>(at, what, 24);
  c.traceEvents = n + 1;
}

/** The event in exc* is about to be delivered. */
@inline export function traceDelivery(c: Vcpu): void {
  if (!(c.tracing & TRACE_EVENTS)) return;
  const kind = c.excKind;
  const type: u64 = kind == KIND_EXCEPTION ? TRACE_KIND_EXCEPTION : kind == KIND_EXTERNAL ? TRACE_KIND_INTERRUPT : TRACE_KIND_SOFTWARE;
  record(c, c.rip, <u64>c.excError << 32 | <u64>c.excHasError, type << 56 | c.excVector);
}

/** HLT, once for all the times that the vCPU comes back from waiting with nothing to do. */
@inline export function traceHalt(c: Vcpu): void {
  if (!(c.tracing & TRACE_EVENTS)) return;
  const n = c.traceEvents;
  const last = changetype<usize>(c) + AREA_TRACE + (<usize>((n - 1) & (TRACE_ENTRIES - 1)) << 5);
  if (n && <u32>(load<u64>(last, 24) >> 56) == TRACE_KIND_HALT) return;
  record(c, c.rip, 0, <u64>TRACE_KIND_HALT << 56);
}

@inline export function traceWake(c: Vcpu): void {
  if (c.tracing & TRACE_EVENTS) record(c, c.rip, 0, <u64>TRACE_KIND_WAKE << 56);
}

/** A triple fault. */
export function traceShutDown(c: Vcpu): void {
  if (c.tracing & TRACE_EVENTS) record(c, c.rip, 0, <u64>TRACE_KIND_SHUTDOWN << 56);
}

@inline function access(how: u64): u64 { return (how >> 8 & 15) << 41 | (how & 1) << 40; }

/** An exit, or its answer; `how` and `place` as exitB and exitA have them. */
function recordExit(c: Vcpu, kind: u32, value: u64, code: u32, how: u64, place: u64): void {
  record(c, c.undoAt(0), value, <u64>kind << 56 | <u64>code << 48 | access(how) | place & 0xffffffffff);
}

/** An exit, with what an access writes. */
@inline export function traceExit(c: Vcpu): void {
  if (!(c.tracing & TRACE_EVENTS)) return;
  recordExit(c, TRACE_KIND_EXIT, c.exitDataAt(0), c.exitCode, c.exitB, c.exitA);
}

/** It was answered: with what was read. */
@inline export function traceAnswer(c: Vcpu): void {
  if (!(c.tracing & TRACE_EVENTS)) return;
  recordExit(c, TRACE_KIND_ANSWER, c.exitDataAt(0), c.exitCode, c.exitB, c.exitA);
}

/** An access to a port that went through the ring, or was published. */
@inline export function traceQuick(c: Vcpu, port: u32, size: u64, write: u64, value: u64): void {
  if (c.tracing & TRACE_EVENTS) record(c, c.rip, value, <u64>TRACE_KIND_QUICK << 56 | access(size << 8 | write) | port);
}

/** A write to a device's memory that went through the ring: as if it were an exit. */
@inline export function tracePosted(c: Vcpu, gpa: u64, size: u64, value: u64): void {
  if (c.tracing & TRACE_EVENTS) recordExit(c, TRACE_KIND_EXIT, value, EXIT_INST_EMUL, size << 8 | 1, gpa);
}

/** The block at `u` is about to run, for so many instructions. */
export function traceBlock(c: Vcpu, u: usize): i64 {
  if (!(c.tracing & TRACE_CODE)) return i64.MAX_VALUE;
  const n = c.traceBlocks;
  const at = changetype<usize>(c) + AREA_TRACE + TRACE_CODE_AT + (<usize>(n & (TRACE_CODE_ENTRIES - 1)) << 5);
  const op = <u32>load<u16>(u);
  const whole = op == OP_HEAD || op == OP_COLD || op == OP_REGION;
  store<u64>(at, linearRip(c, c.rip));
  store<u64>(at, c.icount, 8);
  store<u32>(at, whole ? load<u32>(u - 32) : 0, 16);
  store<u32>(at, c.mode & MODE_CODE64 ? 64 : c.mode & MODE_CODE32 ? 32 : 16, 20);
  c.traceBlocks = n + 1;
  return whole ? load<u32>(u, 12) : 1;
}
