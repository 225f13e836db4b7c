/**
 * `struct vm_exit` as a union told apart by `exitcode`: why `run()` has come back, and with what.
 *
 * `rip` is the instruction's address and `instLength` its length, 0 if it is unknown or the exit belongs to no
 * instruction.
 */

import type { VmGuestPaging } from "./cpuMode.ts";
import type { VmReg } from "./registers.ts";
import type { SegDesc } from "./segment.ts";
import type { VmRunState } from "./vcpuState.ts";
import type { Vie } from "./vie.ts";

/** `enum vm_exitcode`, with its numbers. INTA is not of the seeds. */
export { EXIT as VM_EXITCODE } from "../shared/exit.ts";

/** `enum vm_suspend_how`. */
export type VmSuspendHow = "NONE" | "RESET" | "POWEROFF" | "HALT" | "TRIPLEFAULT";

/** `struct vm_inout`: an access to a port. */
export interface VmInout {
  readonly bytes: 1 | 2 | 4;
  readonly in: boolean;
  readonly string: boolean;
  readonly rep: boolean;
  readonly port: number;
  /** Value written; 0 for a read. */
  readonly eax: number;
}

/** One element of INS or OUTS. Its memory access is the core's business: only the port's value is asked for. */
export interface VmInoutStr {
  readonly inout: VmInout;
  readonly paging: VmGuestPaging;
  readonly rflags: bigint;
  readonly cr0: bigint;
  /** rSI or rDI, and rCX (1 without REP), before this element. */
  readonly index: bigint;
  readonly count: bigint;
  readonly addrsize: 2 | 4 | 8;
  readonly segName: VmReg;
  readonly segDesc: SegDesc;
}

/** An access to a guest physical address where no memory is. */
export interface VmInstEmul {
  readonly gpa: number;
  /** Linear address; all ones if the instruction does not name it (stack, descriptor table, page table). */
  readonly gla: bigint;
  readonly csD: boolean;
  readonly paging: VmGuestPaging;
  readonly vie: Vie | undefined;
  readonly write: boolean;
  readonly bytes: 1 | 2 | 4 | 8;
  /** Value written; 0 for a read. */
  readonly value: bigint;
}

/** `enum task_switch_reason`. */
export const TASK_SWITCH_REASONS = ["CALL", "IRET", "JMP", "IDT_GATE"] as const;
/** What has asked for a task switch. */
export type TaskSwitchReason = (typeof TASK_SWITCH_REASONS)[number];

/** A hardware task switch that has passed the checks of the new TSS, and has changed nothing (TASK_SWITCH_EXIT). */
export interface VmTaskSwitch {
  /** Selector of the new TSS. */
  readonly tsssel: number;
  /** An event that is not the program's own doing caused it. */
  readonly ext: boolean;
  /** Error code to be pushed on the new stack; undefined: none. */
  readonly errcode: number | undefined;
  readonly reason: TaskSwitchReason;
  readonly paging: VmGuestPaging;
}

/** VM-entry failure or the like: the nearest thing to VMX's exit reason (SDM vol. 3, appendix C). */
export interface VmVmx {
  readonly status: number;
  readonly exitReason: number;
  readonly exitQualification: bigint;
  readonly instType: number;
  readonly instError: number;
  /** EXIT_REASON_EXCEPTION: the event, as VM_INTINFO has it; of a #DB the bits for DR6 in 63:32. Else 0. */
  readonly intInfo: bigint;
  /** What is wrong with the guest's state, in words. */
  readonly detail: string;
}

/** Basic exit reasons (SDM vol. 3, appendix C). Qualification of an exception: CR2's value, the bits for DR6, or 0. */
export const EXIT_REASON_EXCEPTION = 0;
/** WBINVD or WBNOINVD (SDM vol. 3, appendix C). */
export const EXIT_REASON_WBINVD = 54;
/** Basic exit reason 33 with bit 31, "VM-entry failure": invalid guest state. */
export const EXIT_REASON_INVALID_GUEST_STATE = 0x8000_0021;

/**
 * | exitcode | answer with | otherwise |
 * |---|---|---|
 * | INOUT, INOUT_STR | in: fulfillInout; out: default | |
 * | INST_EMUL | read: fulfillMmio; write: default | |
 * | PAGING | default, when the memory is there now; a write is dropped, a read tried again | |
 * | RDMSR, WRMSR | fulfillMsr | |
 * | INTA | fulfillVector | |
 * | HLT | default: go on waiting; discardInstr: go on | |
 * | TASK_SWITCH | default: the switch is made; discardInstr: the caller has made it | |
 * | PAUSE, MTRAP, BOGUS, DEBUG, RENDEZVOUS, IOAPIC_EOI, SPINUP_AP | default | |
 * | SUSPENDED | nothing: it comes again until `reinit` | |
 * | REQIDLE | what the exit before is to be answered with: that was not taken | |
 * | RUN_STATE | default, when there is a start-up IPI or another run state | |
 * | VMX | default: when the state has been put right; an exception is delivered. discardInstr: the exception is not | |
 */
export type VmExit = { readonly rip: bigint; readonly instLength: number } & (
  | { readonly exitcode: "INOUT"; readonly inout: VmInout }
  | { readonly exitcode: "INOUT_STR"; readonly inoutStr: VmInoutStr }
  | { readonly exitcode: "VMX"; readonly vmx: VmVmx }
  /** Nothing has happened: `run` was interrupted (pause, kick) or its instructions are used up. */
  | { readonly exitcode: "BOGUS" }
  | { readonly exitcode: "RDMSR"; readonly msr: { readonly code: number } }
  | { readonly exitcode: "WRMSR"; readonly msr: { readonly code: number; readonly wval: bigint } }
  /** Halted. `wakeAt`: guest ns at which a timer will end it, if one is armed. */
  | { readonly exitcode: "HLT"; readonly hlt: { readonly rflags: bigint; readonly wakeAt?: bigint } }
  | { readonly exitcode: "MTRAP" }
  | { readonly exitcode: "PAUSE" }
  /** Memory is there, but not with these rights. */
  | { readonly exitcode: "PAGING"; readonly paging: { readonly gpa: number; readonly faultType: "read" | "write" } }
  | { readonly exitcode: "INST_EMUL"; readonly instEmul: VmInstEmul }
  /** A start-up IPI for a vCPU that is not active (with chips): activate it and let it begin at `rip`, in real mode. */
  | { readonly exitcode: "SPINUP_AP"; readonly spinupAp: { readonly vcpu: number; readonly rip: bigint } }
  /** smpRendezvous wants, or wanted, this vCPU out of guest code. */
  | { readonly exitcode: "RENDEZVOUS" }
  /** EOI of a level-triggered vector, where no IOAPIC of the vm takes it. */
  | { readonly exitcode: "IOAPIC_EOI"; readonly ioapicEoi: { readonly vector: number } }
  | { readonly exitcode: "SUSPENDED"; readonly suspended: { readonly how: VmSuspendHow } }
  | { readonly exitcode: "TASK_SWITCH"; readonly taskSwitch: VmTaskSwitch }
  /** suspendCpu has taken this vCPU out. */
  | { readonly exitcode: "DEBUG" }
  /** blockRun keeps this vCPU out of guest code (inline; a worker waits inside `run`). */
  | { readonly exitcode: "REQIDLE" }
  /** It executes nothing in this run state: HALT, or it waits for a start-up IPI (a worker waits for that in `run`). */
  | { readonly exitcode: "RUN_STATE"; readonly runState: VmRunState }
  /** An interrupt acknowledge cycle: which vector does the interrupt controller give? */
  | { readonly exitcode: "INTA" }
);
/** The exit codes, as `exitcode` has them. */
export type VmExitCode = VmExit["exitcode"];

/** `enum vm_msr_result`. UNHANDLED ends as #GP(0) in the guest. */
export type VmMsrResult = "OK" | "GP" | "UNHANDLED";

/** `struct vm_entry`: how the exit before is to be completed. */
export type VmEntry =
  | { readonly cmd: "default" }
  /** The instruction has been dealt with: go on after it. */
  | { readonly cmd: "discardInstr" }
  | { readonly cmd: "fulfillInout"; readonly value: number }
  | { readonly cmd: "fulfillMmio"; readonly value: bigint }
  | { readonly cmd: "fulfillMsr"; readonly result: VmMsrResult; readonly value?: bigint }
  | { readonly cmd: "fulfillVector"; readonly vector: number };
