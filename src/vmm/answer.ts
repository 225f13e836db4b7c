/** Completing an exit: from a VmEntry to what the core finds when it goes on. */
import { VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";
import { VmError } from "./error.ts";
import { EXIT_REASON_EXCEPTION, EXIT_REASON_WBINVD, type VmEntry, type VmExit } from "./exit.ts";
import { EXIT_WRITE } from "./exitRecord.ts";
import { IDT, intinfoVector } from "./intinfo.ts";
import type { MachineMemory } from "./memory.ts";
import { forgetInterrupted } from "./vcpuReset.ts";

/** How a vCPU goes on: an exception or event may have to be injected. */
export interface Answered {
  readonly gp?: true;
  /** An event that goes on being delivered. */
  readonly event?: bigint;
}

const DONE: Answered = {};

/** Lets go of the instruction that an exit has interrupted: it has not happened. */
export function abandon(view: StructView): void {
  forgetInterrupted(view);
  // What the core does with an answer (assembly/index.ts) must not put it into the replay log.
  view.set(VCPU.exitB, view.get(VCPU.exitB) | EXIT_WRITE);
}

/** Puts the registers back that the interrupted instruction found (Vcpu.undo; SSE and x87 are not among them). */
export function undoRegisters(view: StructView): void {
  const word = (offset: number): bigint => view.get64(VCPU.undo, (offset - VCPU.rip.offset) >> 3);
  for (const f of [VCPU.rip, VCPU.ccD, VCPU.ccA, VCPU.ccB, VCPU.rflags]) view.set64(f, word(f.offset));
  view.set(VCPU.ccOp, Number(word(VCPU.ccOp.offset) & 0xffff_ffffn));
  for (let i = 0; i < 16; i++) view.set64(VCPU.gpr, word(VCPU.gpr.offset + 8 * i), i);
}

/** Puts RIP behind an instruction that is not to happen. */
export function skip(view: StructView, exit: VmExit): void {
  abandon(view);
  view.set64(VCPU.rip, exit.rip + BigInt(exit.instLength));
}

function wrong(exit: VmExit, entry: VmEntry): never {
  throw new VmError("EINVAL", `${entry.cmd} does not answer ${exit.exitcode}`);
}

function ofWidth(value: bigint, bytes: number): bigint {
  if (typeof value !== "bigint" || value < 0n || value >> BigInt(8 * bytes)) {
    throw new VmError("EINVAL", `0x${value.toString(16)} is not a value of ${bytes} bytes`);
  }
  return value;
}

/**
 * Answers `exit` with `entry`, as the table in exit.ts has it. Nothing has changed if it throws.
 *
 * @throws VmError EINVAL: the entry does not answer this exit
 */
export function answer(view: StructView, memory: MachineMemory, exit: VmExit, entry: VmEntry): Answered {
  const reply = (value: bigint): Answered => {
    view.set64(VCPU.exitData, value);
    return DONE;
  };
  switch (exit.exitcode) {
    case "INOUT":
    case "INOUT_STR":
    case "INST_EMUL": {
      const io =
        exit.exitcode === "INOUT" ? exit.inout : exit.exitcode === "INOUT_STR" ? exit.inoutStr.inout : undefined;
      const write = io ? !io.in : exit.exitcode === "INST_EMUL" && exit.instEmul.write;
      if (write) return entry.cmd === "default" || entry.cmd === "discardInstr" ? DONE : wrong(exit, entry);
      if (entry.cmd === "discardInstr") {
        if (!exit.instLength) throw new VmError("EINVAL", "this access belongs to no instruction");
        skip(view, exit);
        return DONE;
      }
      if (io && entry.cmd === "fulfillInout") return reply(ofWidth(BigInt(entry.value), io.bytes));
      if (exit.exitcode === "INST_EMUL" && entry.cmd === "fulfillMmio") {
        return reply(ofWidth(entry.value, exit.instEmul.bytes));
      }
      return wrong(exit, entry);
    }
    case "PAGING":
      if (exit.paging.faultType === "read") abandon(view);
      else if (entry.cmd === "default") {
        // The memory may have become writable.
        const bytes = new Uint8Array(new BigUint64Array([view.get64(VCPU.exitData)]).buffer);
        if (memory.writable(exit.paging.gpa)) {
          memory.write(exit.paging.gpa, bytes.subarray(0, (view.get(VCPU.exitB) >> 8) & 15));
        }
      }
      return entry.cmd === "default" || entry.cmd === "discardInstr" ? DONE : wrong(exit, entry);
    case "RDMSR":
      if (entry.cmd === "discardInstr") skip(view, exit);
      else if (entry.cmd !== "fulfillMsr") wrong(exit, entry);
      else if (entry.result === "OK") return reply(ofWidth(entry.value ?? 0n, 8));
      else {
        abandon(view);
        return { gp: true };
      }
      return DONE;
    case "WRMSR":
      if (entry.cmd === "discardInstr") skip(view, exit);
      else if (entry.cmd !== "fulfillMsr") wrong(exit, entry);
      else return reply(entry.result === "OK" ? 0n : 1n);
      return DONE;
    case "INTA":
      if (entry.cmd !== "fulfillVector") return wrong(exit, entry);
      return reply(ofWidth(BigInt(entry.vector), 1));
    case "HLT":
      if (entry.cmd !== "default" && entry.cmd !== "discardInstr") return wrong(exit, entry);
      // Halted already, or still before it (HALT_EXIT).
      if (entry.cmd === "discardInstr" && view.get(VCPU.runState) === 1) view.set(VCPU.runState, 0);
      return reply(entry.cmd === "discardInstr" ? 1n : 0n);
    case "TASK_SWITCH":
      if (entry.cmd === "default") return reply(0n);
      if (entry.cmd !== "discardInstr") return wrong(exit, entry);
      abandon(view);
      return DONE;
    case "VMX":
      if (entry.cmd !== "default" && entry.cmd !== "discardInstr") return wrong(exit, entry);
      if (exit.vmx.exitReason === EXIT_REASON_WBINVD) return reply(0n);
      if (exit.vmx.exitReason !== EXIT_REASON_EXCEPTION) return entry.cmd === "default" ? DONE : wrong(exit, entry);
      if (entry.cmd === "discardInstr") return DONE;
      if (intinfoVector(exit.vmx.intInfo) === IDT.PF) view.set64(VCPU.cr2, exit.vmx.exitQualification);
      return { event: exit.vmx.intInfo };
    default:
      return entry.cmd === "default" ? DONE : wrong(exit, entry);
  }
}
