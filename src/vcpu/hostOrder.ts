/**
 * Whether the host's memory accesses come in the order that x86 has (total store order), so that plain accesses of vCPUs on
 * threads of their own are the guest's. It cannot be measured with certainty: a weaker order may not show for a long time.
 * So it is asked what kind of CPU this is: the NaN that an invalid operation makes has its sign set on x86 (SDM vol. 1,
 * table 4-3: the QNaN floating-point indefinite), and clear on ARM and RISC-V; engines let the hardware's through.
 *
 * Where it is weak, several vCPUs of a Machine take turns on one thread (inline.ts), and those of a threaded Vm, whose `run`
 * is each its own promise, take turns on theirs (turns.ts).
 */
export type HostOrder = "tso" | "weak";

/** @param divide makes a NaN of two zeros; the host's own division unless a test has another */
export function hostOrder(divide: (a: number, b: number) => number = (a, b) => a / b): HostOrder {
  const value = new Float64Array(2);
  // From memory, so that no compiler knows the operands.
  value[0] = divide(value[0], value[1]);
  return new Uint8Array(value.buffer)[7] & 0x80 ? "tso" : "weak";
}
