/** What a vCPU has recorded of itself (TRACE in src/shared/layout.ts), read back. */
import type { MachineDebug } from "../machine/debug.ts";
import { AREA, ATTENTION, TRACE, TRACE_KIND, VCPU } from "../shared/layout.ts";

const EVENT_SIZE = 32;
const BLOCK_SIZE = 32;
const KINDS = Object.fromEntries(Object.entries(TRACE_KIND).map(([name, value]) => [value, name])) as Record<
  number,
  keyof typeof TRACE_KIND
>;

export interface TraceEvent {
  /** Its number since recording began, on this vCPU. */
  readonly number: number;
  readonly vcpu: number;
  /** Guest time. */
  readonly ns: number;
  readonly kind: keyof typeof TRACE_KIND;
  readonly rip: bigint;
  /** What an access wrote or read; of an exception the error code in bits 63:32, and whether it has one in bit 0. */
  readonly value: bigint;
  /** Exit code of EXIT and ANSWER. */
  readonly code: number;
  readonly size: number;
  readonly write: boolean;
  /** Vector, port or guest physical address. */
  readonly where: number;
}

/** A piece of code that has run: it goes up to where `icount` is that of the next. */
export interface TraceBlock {
  /** Linear address. */
  readonly linear: bigint;
  readonly icount: number;
  /** Where its bytes lie in the WebAssembly memory, up to the end of their page; 0: not known. */
  readonly host: number;
  readonly width: 16 | 32 | 64;
}

export interface Recorded {
  readonly events: readonly TraceEvent[];
  readonly blocks: readonly TraceBlock[];
}

/** What is recorded: events, and the blocks of code, which makes the guest run without compiled code and some slower. */
export interface Recording {
  readonly events: boolean;
  readonly code: boolean;
}

/** Switches recording on or off on every vCPU. They must not run. */
export function setRecording(debug: MachineDebug, { events, code }: Recording, heat: number): void {
  for (let id = 0; id < debug.vcpus; id++) {
    const view = debug.view(id);
    const before = view.get(VCPU.tracing);
    const wanted = (events ? TRACE.EVENTS : 0) | (code ? TRACE.CODE : 0);
    if (before === wanted) continue;
    view.set(VCPU.tracing, wanted);
    if ((before ^ wanted) & TRACE.EVENTS) view.set(VCPU.traceEvents, 0);
    if (!((before ^ wanted) & TRACE.CODE)) continue;
    view.set(VCPU.traceBlocks, 0);
    // Compiled code tells nobody which blocks it runs: there must be none.
    view.set(VCPU.heat, code ? 0 : heat);
    view.store(VCPU.dropAll, 1);
    view.or(VCPU.attention, ATTENTION.DROP);
  }
}

/** What a vCPU has recorded, from event number `since` on, oldest first. It must not run. */
export function recordedOf(debug: MachineDebug, id: number, since = 0): Recorded {
  const view = debug.view(id);
  const { data } = view;
  const base = view.base + AREA.TRACE;
  const events: TraceEvent[] = [];
  const total = view.get(VCPU.traceEvents);
  for (let n = Math.max(since, total - TRACE.ENTRIES); n < total; n++) {
    const at = base + (n % TRACE.ENTRIES) * EVENT_SIZE;
    const what = data.getBigUint64(at + 24, true);
    const how = Number((what >> 40n) & 0xffn);
    events.push({
      number: n,
      vcpu: id,
      ns: Number(data.getBigUint64(at, true)),
      kind: KINDS[Number(what >> 56n)],
      rip: data.getBigUint64(at + 8, true),
      value: data.getBigUint64(at + 16, true),
      code: Number((what >> 48n) & 0xffn),
      size: how >> 1,
      write: (how & 1) !== 0,
      where: Number(what & 0xff_ffff_ffffn),
    });
  }
  const blocks: TraceBlock[] = [];
  const passed = view.get(VCPU.traceBlocks);
  for (let n = Math.max(0, passed - TRACE.CODE_ENTRIES); n < passed; n++) {
    const at = base + TRACE.CODE_AT + (n % TRACE.CODE_ENTRIES) * BLOCK_SIZE;
    blocks.push({
      linear: data.getBigUint64(at, true),
      icount: Number(data.getBigUint64(at + 8, true)),
      host: data.getUint32(at + 16, true),
      width: data.getUint32(at + 20, true) as TraceBlock["width"],
    });
  }
  return { events, blocks };
}
