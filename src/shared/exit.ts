/**
 * Exit codes of `vm_run`, with the numbers of the seeds' `enum vm_exitcode`. The core fills the exit record in the
 * vCPU page; src/vmm turns it into a discriminated union.
 */
export const EXIT = {
  INOUT: 0,
  VMX: 1,
  BOGUS: 2,
  RDMSR: 3,
  WRMSR: 4,
  HLT: 5,
  MTRAP: 6,
  PAUSE: 7,
  PAGING: 8,
  INST_EMUL: 9,
  SPINUP_AP: 10,
  DEPRECATED1: 11,
  RENDEZVOUS: 12,
  IOAPIC_EOI: 13,
  SUSPENDED: 14,
  INOUT_STR: 15,
  TASK_SWITCH: 16,
  /** Not of the seeds: an interrupt acknowledge cycle, to which the 8259 pair answers with a vector. */
  INTA: 32,
  /** Not of the seeds: INIT has arrived; the vCPU and its local APIC are to be reset (src/vcpu/startup.ts). */
  INIT: 33,
  /**
   * Not of the seeds: a breakpoint of the host's (STOPS in layout.ts), before an instruction or after an access: exitA =
   * entry of the table, exitData[0] = linear address. Or an exception that is to be delivered (CONTROL.catches): exitA =
   * STOPS.EXCEPTION, exitData = address of a page fault, and the event in the format of Vcpu.entryInfo.
   */
  STOP: 37,
  /** Of the illumos header, which does not show their numbers: the vmm's own, never the core's. */
  DEBUG: 34,
  REQIDLE: 35,
  RUN_STATE: 36,
} as const;

/** What the core's `run` came back with (assembly/index.ts). SPIN: the guest waits for another vCPU. */
export const RUN = { SLICE: 0, EXIT: 1, HALT: 2, TRIPLE_FAULT: 3, STOP: 4, SPIN: 5 } as const;
