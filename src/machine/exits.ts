/** Answering a vCPU's exit: the device access it asks for, carried out on the board. */
import type { Width } from "../shared/device.ts";
import { EXIT } from "../shared/exit.ts";
import { VCPU } from "../shared/layout.ts";
import { finishInit } from "../vcpu/startup.ts";
import type { StructView } from "../vcpu/view.ts";
import type { Board } from "./board.ts";
import { CPU_SIGNATURE, initVcpu } from "./cpuReset.ts";
import { LAPIC_SIZE } from "./memoryMap.ts";

/** Answers to an MSR write (assembly/sys/msr.ts). */
const MSR_OK = 0n;
const MSR_GP = 1n;

const APIC_BASE_ENABLED = 1n << 11n;
const APIC_BASE_ADDRESS = 0xf_ffff_f000n;

/** The exit record: exitA = port, gpa or MSR; exitB = width << 8 | write; exitData[0] = value. */
export function serveExit(machine: { board: Board; exitCounts: number[] }, view: StructView, id: number): void {
  const { board } = machine;
  const code = view.get(VCPU.exitCode);
  const where = view.get(VCPU.exitA);
  const how = view.get(VCPU.exitB);
  const write = (how & 1) !== 0;
  const size = (how >> 8) & 15;
  machine.exitCounts[code] = (machine.exitCounts[code] ?? 0) + 1;
  const answer = (value: bigint) => view.set64(VCPU.exitData, value);
  switch (code) {
    case EXIT.INOUT:
      if (write) board.ports.write(where, size as Width, view.data.getUint32(view.base + VCPU.exitData.offset, true));
      else answer(BigInt(board.ports.read(where, size as Width)));
      return;
    case EXIT.INST_EMUL: {
      const base = view.get64(VCPU.apicBase);
      const apic = Number(base & APIC_BASE_ADDRESS);
      if (base & APIC_BASE_ENABLED && where >= apic && where < apic + LAPIC_SIZE && size <= 4) {
        const lapic = board.apics[id];
        if (write)
          lapic.write(where - apic, size as Width, view.data.getUint32(view.base + VCPU.exitData.offset, true));
        else answer(BigInt(lapic.read(where - apic, size as Width) >>> 0));
      } else if (write) board.mmio.write(where, size as Width | 8, view.get64(VCPU.exitData));
      else answer(board.mmio.read(where, size as Width | 8));
      return;
    }
    case EXIT.RDMSR: {
      const lapic = board.apics[id];
      const r = where === 0x1b ? { ok: lapic.readApicBase() } : lapic.readMsr(where);
      answer("ok" in r ? r.ok : 0n);
      return;
    }
    case EXIT.WRMSR: {
      const lapic = board.apics[id];
      const value = view.get64(VCPU.exitData);
      const r = where === 0x1b ? lapic.writeApicBase(value) : lapic.writeMsr(where, value);
      answer("ok" in r ? MSR_OK : MSR_GP);
      return;
    }
    case EXIT.INTA:
      answer(BigInt(board.pic.acknowledge()));
      return;
    case EXIT.INIT:
      initVcpu(view, CPU_SIGNATURE);
      board.apics[id].initReset();
      finishInit(view);
      return;
    default:
      throw new Error(`the core left with exit code ${code}, which nobody answers`);
  }
}
