/**
 * Events for a vCPU: exceptions, NMI, external interrupts (the seeds' vm_inject_* and vm_*_intinfo).
 *
 *     exitIntinfo   an event whose delivery an exit has interrupted
 *     exception     one that injectException has left
 *
 * Before an entry the two become one (intinfo.ts, nestedFault), which the core delivers before anything else.
 */

import { SnapshotFields } from "../io/snapshotFields.ts";
import { ATTENTION, VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";
import { VmError } from "./error.ts";
import {
  exceptionInfo,
  hasErrorCode,
  IDT,
  intinfoVector,
  type NestedOutcome,
  nestedFault,
  VM_INTINFO,
} from "./intinfo.ts";

/**
 * `enum event_inject_state`: whether an interrupt could go into the guest now.
 *
 * | state | why |
 * |---|---|
 * | CAN_INJECT | nothing is in the way |
 * | EV_EXISTING | an event whose delivery was interrupted comes first |
 * | EV_INJECTED | an event for the next entry is there already |
 * | GI_BLOCK | the guest blocks it: RFLAGS.IF clear, or the shadow of STI or MOV SS |
 *
 * With the flag REQ_EXIT the seeds ask for an exit after the injection; here `reqExit` says the same: something else
 * waits behind the event.
 */
export interface EventInjectState {
  readonly state: "CAN_INJECT" | "EV_EXISTING" | "EV_INJECTED" | "GI_BLOCK";
  readonly reqExit: boolean;
}

const RFLAGS_IF = 0x200n;

/** Saved events of a vCPU: as VM_INTINFO has them, 0 for none. What the core has taken already is in its state. */
export interface VcpuEventsV1 {
  readonly version: 1;
  readonly exitIntinfo: bigint;
  readonly exception: bigint;
  /** Level of the wire of an 8259. */
  readonly extint: boolean;
}

/** @throws SnapshotError */
export function checkEvents(state: unknown): VcpuEventsV1 {
  const from = new SnapshotFields("events", state).version(1);
  const event = (field: string, exception: boolean): bigint => {
    const info = from.bigint(field, 0n, 0xffff_ffff_ffff_ffffn);
    if (info && !isEvent(info, exception)) from.fail(field, `0x${info.toString(16)} is no event`);
    return info;
  };
  return {
    version: 1,
    exitIntinfo: event("exitIntinfo", false),
    exception: event("exception", true),
    extint: from.bool("extint"),
  };
}

/** Whether a value is an event as VM_INTINFO has it; `exception`: and an exception. */
function isEvent(info: bigint, exception = false): boolean {
  const type = info & VM_INTINFO.TYPE;
  const vector = intinfoVector(info);
  if (!(info & VM_INTINFO.VALID) || (info & VM_INTINFO.RSVD) !== 0n || info >> 64n !== 0n) return false;
  if (type === VM_INTINFO.NMI && vector !== IDT.NMI) return false;
  return type === VM_INTINFO.HWEXCEPTION ? vector < 32 : !exception;
}

export class VcpuEvents {
  readonly #view: StructView;
  #exitIntinfo = 0n;
  #exception: bigint | undefined;

  constructor(view: StructView) {
    this.#view = view;
  }

  reset(): void {
    this.#exitIntinfo = 0n;
    this.#exception = undefined;
    this.#view.and(VCPU.attention, ~(ATTENTION.INJECT | ATTENTION.NMI));
  }

  /**
   * vm_inject_exception, but for what becomes of the instruction (Vcpu.injectException).
   *
   * | | outcome |
   * |---|---|
   * | vector above 31, #DF (it follows from two others), NMI | EINVAL |
   * | an error code where the vector has none, or none where it has one | EINVAL |
   * | another exception is pending | EBUSY |
   */
  inject(vector: number, errcode: number | undefined): void {
    if (!(Number.isInteger(vector) && vector >= 0 && vector < 32) || vector === IDT.DF || vector === IDT.NMI) {
      throw new VmError("EINVAL", `vector ${vector} cannot be injected as an exception`);
    }
    if ((errcode !== undefined) !== hasErrorCode(vector)) {
      throw new VmError("EINVAL", `exception ${vector} ${errcode === undefined ? "needs an" : "has no"} error code`);
    }
    if (this.#exception !== undefined) throw new VmError("EBUSY", "an exception is pending already");
    this.#exception = exceptionInfo(vector, errcode);
    // A fault ends the interrupt shadow: the instruction it covered will be executed after the handler.
    this.#view.set(VCPU.shadow, 0);
  }

  export(): VcpuEventsV1 {
    const v = this.#view;
    // One that is on its way into the core has not been delivered.
    const entering = v.load(VCPU.attention) & ATTENTION.INJECT ? v.get64(VCPU.entryInfo) : this.#exitIntinfo;
    return {
      version: 1,
      exitIntinfo: entering,
      exception: this.#exception ?? 0n,
      extint: v.load(VCPU.extint) !== 0,
    };
  }

  /** @throws SnapshotError; nothing has changed */
  import(state: unknown): void {
    const { exitIntinfo, exception, extint } = checkEvents(state);
    this.#view.store(VCPU.extint, extint ? 1 : 0);
    this.#view.and(VCPU.attention, ~ATTENTION.INJECT);
    this.#view.or(VCPU.attention, ATTENTION.EXTINT);
    this.#exitIntinfo = exitIntinfo;
    this.#exception = exception || undefined;
  }

  /** vm_exit_intinfo: the event whose delivery was interrupted; 0 (or one without VALID) = none. */
  exitIntinfo(info: bigint): void {
    if (typeof info !== "bigint") throw new VmError("EINVAL", "no event");
    if (info & VM_INTINFO.VALID && !isEvent(info)) throw new VmError("EINVAL", `0x${info.toString(16)} is no event`);
    this.#exitIntinfo = info & VM_INTINFO.VALID ? info : 0n;
  }

  /** vm_get_intinfo: the interrupted event and the pending exception, 0 for none. */
  get intinfo(): { readonly exit: bigint; readonly exception: bigint } {
    return { exit: this.#exitIntinfo, exception: this.#exception ?? 0n };
  }

  /**
   * vm_entry_intinfo: the event for the next entry, taken. undefined: none. A triple fault takes both, too.
   */
  takeEntryIntinfo(): NestedOutcome | undefined {
    const first = this.#exitIntinfo;
    const second = this.#exception;
    this.#exitIntinfo = 0n;
    this.#exception = undefined;
    if (!first) return second === undefined ? undefined : { inject: second };
    return second === undefined ? { inject: first } : nestedFault(first, second);
  }

  get pending(): boolean {
    return this.#exception !== undefined || this.#exitIntinfo !== 0n;
  }

  injectState(): EventInjectState {
    const v = this.#view;
    const waiting = this.nmiPending || this.extintPending;
    const say = (state: EventInjectState["state"]): EventInjectState => ({
      state,
      reqExit: state !== "CAN_INJECT" && waiting,
    });
    if (this.#exitIntinfo) return say("EV_EXISTING");
    if (this.#exception !== undefined || v.load(VCPU.attention) & ATTENTION.INJECT) return say("EV_INJECTED");
    if (v.get(VCPU.shadow) || !(v.get64(VCPU.rflags) & RFLAGS_IF)) return say("GI_BLOCK");
    return say("CAN_INJECT");
  }

  /** vm_inject_nmi: edge; one more is remembered while NMIs are blocked. From any state. */
  injectNmi(): void {
    this.#view.add(VCPU.nmiPosted, 1);
    this.#view.or(VCPU.attention, ATTENTION.NMI);
    this.#view.notify(VCPU.attention);
  }

  get nmiPending(): boolean {
    return (this.#view.load(VCPU.attention) & ATTENTION.NMI) !== 0 || this.#view.get(VCPU.nmiPending) !== 0;
  }

  clearNmi(): void {
    this.#view.and(VCPU.attention, ~ATTENTION.NMI);
    this.#view.store(VCPU.nmiPosted, 0);
    this.#view.set(VCPU.nmiPending, 0);
  }

  /** vm_inject_extint: the wire of an 8259 goes up; the vector is asked for when the guest takes it (exit INTA). */
  injectExtint(): void {
    this.#view.store(VCPU.extint, 1);
    this.#view.or(VCPU.attention, ATTENTION.EXTINT);
    this.#view.notify(VCPU.attention);
  }

  get extintPending(): boolean {
    return this.#view.load(VCPU.extint) !== 0;
  }

  clearExtint(): void {
    this.#view.store(VCPU.extint, 0);
  }
}
