/**
 * Small guests for tests of the core: assembled source at 1000h, started in real mode with flat memory below it. What
 * the guest writes with `out` is the result; HLT with interrupts off ends it.
 */

import { assemble } from "../../src/isa/assemble.ts";
import { cpuToggles } from "../../src/isa/cpuModel.ts";
import { resetVcpu } from "../../src/machine/cpuReset.ts";
import { EXIT, RUN } from "../../src/shared/exit.ts";
import { CONTROL, VCPU } from "../../src/shared/layout.ts";
import { type CoreExports, instantiateCore } from "../../src/vcpu/core.ts";
import { type StructView, setSegment, vcpuBase, vcpuView } from "../../src/vcpu/view.ts";
import { MachineMemory } from "../../src/vmm/memory.ts";
import { coreModule } from "../core.ts";

export const ORIGIN = 0x1000;

export interface GuestResult {
  /** Values written to ports, as "port=value" in hexadecimal. */
  readonly out: string[];
  /** Why it ended: a name of RUN, or an exit code. */
  readonly end: string;
  readonly view: StructView;
}

export interface GuestOptions {
  /** Answers IN. */
  input?: (port: number, size: number, view: StructView) => number;
  /** Called when the guest halts with interrupts on; true = something was raised, go on. */
  halted?: (view: StructView) => boolean;
  /** Called before the first instruction. */
  setup?: (view: StructView) => void;
  ram?: number;
  /** Memory that another guest has used before, in place of new memory. */
  memory?: MachineMemory;
  /** CPU model, as MachineConfig.cpu has it. */
  cpu?: string;
  /** The host's clock, in milliseconds. */
  now?: () => number;
  /** What RDRAND and RDSEED get. */
  random?: () => bigint;
}

let module: WebAssembly.Module | undefined;

/** Compiles the core, once. */
export async function loadCore(): Promise<void> {
  module = await coreModule();
}

/** Memory for guests that run one after the other in it. */
export function guestMemory(ram = 0x40_0000): MachineMemory {
  const memory = new MachineMemory({ regions: [{ gpa: 0, length: ram }], vcpus: 1, shared: true });
  memory.control.set(CONTROL.tscHz, 1_000_000_000);
  return memory;
}

/** Runs a guest until it halts for good. */
export function runGuest(source: string, options: GuestOptions = {}): GuestResult {
  if (!module) throw new Error("loadCore first");
  const memory = options.memory ?? guestMemory(options.ram);
  memory.write(ORIGIN, assemble(source).bytes);
  const view = vcpuView(memory.memory.buffer, 0);
  resetVcpu(view, 0, 0);
  cpuToggles(options.cpu ?? "max").forEach((word, i) => {
    view.set(VCPU.cpuToggle, word, i);
  });
  view.set(VCPU.a20Mask, 0xffff_ffff);
  // TABHYVE_HEAT=1: everything in compiled code.
  view.set(VCPU.heat, Number(process.env.TABHYVE_HEAT ?? 0));
  setSegment(view, "CS", { selector: 0, base: 0n, limit: 0xffff, ar: 0x9b });
  view.set64(VCPU.rip, BigInt(ORIGIN));
  view.set64(VCPU.gpr, 0x1000n, 4);
  options.setup?.(view);
  let ms = 0;
  const now =
    options.now ??
    ((): number => {
      ms += 0.001;
      return ms;
    });
  const core: CoreExports = instantiateCore(module, memory.memory, now, options.random);
  const base = vcpuBase(0);
  core.init(base);
  const out: string[] = [];
  for (let turn = 0; turn < 200; turn++) {
    const why = core.run(base, 20_000n);
    if (why === RUN.SLICE) continue;
    if (why === RUN.HALT && options.halted?.(view)) continue;
    if (why !== RUN.EXIT) return { out, view, end: Object.entries(RUN).find(([, v]) => v === why)?.[0] ?? `${why}` };
    const code = view.get(VCPU.exitCode);
    if (code !== EXIT.INOUT) return { out, view, end: `exit ${code}` };
    const how = view.get(VCPU.exitB);
    const port = view.get(VCPU.exitA);
    if (how & 1) out.push(`${port.toString(16)}=${view.get64(VCPU.exitData).toString(16)}`);
    else view.set64(VCPU.exitData, BigInt(options.input?.(port, how >> 8, view) ?? 0));
    core.answer(base);
  }
  return { out, view, end: "endless" };
}
