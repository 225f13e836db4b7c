/** A guest that runs one body of code (./functions.ts) over records of operands: how TestFloat's cases reach the core. */
import { assemble } from "../../src/isa/assemble.ts";
import { resetVcpu } from "../../src/machine/cpuReset.ts";
import { EXIT, RUN } from "../../src/shared/exit.ts";
import { CONTROL, VCPU } from "../../src/shared/layout.ts";
import { type CoreExports, instantiateCore } from "../../src/vcpu/core.ts";
import { setSegment, vcpuBase, vcpuView } from "../../src/vcpu/view.ts";
import { MachineMemory } from "../../src/vmm/memory.ts";
import { ORIGIN } from "../sys/guest.ts";
import { longGuest } from "../sys/longGuest.ts";
import type { Way } from "./functions.ts";

/** Guest physical places of the records: three operands of 16 bytes, and a result of 16 bytes with the flags after it. */
const OPERANDS = 0x10_0000;
const OPERAND_STRIDE = 48;
const RESULTS = 0x18_0000;
const RESULT_STRIDE = 32;
/** Records of one batch: both areas end below 2 MiB, which is what the guest maps. */
export const BATCH = 8192;

const PE = 0x20;

/** The guest asks for the number of records of the next batch at port 20h. */
const guest = (way: Way, rc: number): string =>
  longGuest(
    `  mov rax,cr4
  or eax,0x40000
  mov cr4,rax
  xor ecx,ecx
  xor edx,edx
  mov eax,7
  xsetbv
batch:
  in eax,0x20
  mov ebx,eax
  mov esi,${OPERANDS}
  mov edi,${RESULTS}
record:
${way.body}
  mov [rdi+16],eax
  add rsi,${OPERAND_STRIDE}
  add rdi,${RESULT_STRIDE}
  dec ebx
  jnz record
  jmp batch`,
    `clear: dd ${0x1f80 | (rc << 13) | (way.sticky ? PE : 0)}
control: dd ${0x7f | ((way.pc ?? 3) << 8) | (rc << 10)}`,
  );

export class Batch {
  readonly #core: CoreExports;
  readonly #base = vcpuBase(0);
  readonly #view: ReturnType<typeof vcpuView>;
  /** Operands and results as bytes of the guest's memory. */
  readonly operands: DataView;
  readonly results: DataView;

  constructor(module: WebAssembly.Module, way: Way, rc: number) {
    const memory = new MachineMemory({ regions: [{ gpa: 0, length: 0x20_0000 }], vcpus: 1, shared: true });
    memory.control.set(CONTROL.tscHz, 1_000_000_000);
    memory.write(ORIGIN, assemble(guest(way, rc)).bytes);
    const view = vcpuView(memory.memory.buffer, 0);
    resetVcpu(view, 0, 0);
    view.set(VCPU.a20Mask, 0xffff_ffff);
    view.set(VCPU.heat, Number(process.env.TESTFLOAT_THRESHOLD || 0));
    setSegment(view, "CS", { selector: 0, base: 0n, limit: 0xffff, ar: 0x9b });
    view.set64(VCPU.rip, BigInt(ORIGIN));
    this.#view = view;
    this.#core = instantiateCore(module, memory.memory, () => 0);
    this.#core.init(this.#base);
    this.operands = new DataView(memory.memory.buffer, memory.hostAddress(OPERANDS), BATCH * OPERAND_STRIDE);
    this.results = new DataView(memory.memory.buffer, memory.hostAddress(RESULTS), BATCH * RESULT_STRIDE);
    this.#runToQuestion();
  }

  static operandAt = (record: number, i: number): number => record * OPERAND_STRIDE + i * 16;
  static resultAt = (record: number): number => record * RESULT_STRIDE;
  static flagsAt = (record: number): number => record * RESULT_STRIDE + 16;

  /** Runs the first `count` records. */
  run(count: number): void {
    this.#view.set64(VCPU.exitData, BigInt(count));
    this.#core.answer(this.#base);
    this.#runToQuestion();
  }

  #runToQuestion(): void {
    let why: number;
    do why = this.#core.run(this.#base, 1_000_000n);
    while (why === RUN.SLICE);
    const port = this.#view.get(VCPU.exitA);
    if (why !== RUN.EXIT || this.#view.get(VCPU.exitCode) !== EXIT.INOUT || port !== 0x20) {
      throw new Error(`the guest left with ${why} (exit ${this.#view.get(VCPU.exitCode)}, port ${port.toString(16)})`);
    }
  }
}
