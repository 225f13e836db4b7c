/** A vCPU's registers after RESET or INIT (SDM vol. 3, table 10-1), and as a loader wants them. */
import { SEG_INDEX, VCPU } from "../shared/layout.ts";
import { type StructView, setSegment } from "../vcpu/view.ts";
import type { CpuState } from "./loader/types.ts";

const NEVER = 0xffff_ffff_ffff_ffffn;
/** Access rights (VMX format): present, S=1, read/write data accessed; the same for code; TSS and LDT; unusable. */
const DATA16 = 0x93;
const CODE16 = 0x9b;
const BUSY_TSS16 = 0x83;
const LDT = 0x82;

/** EDX after RESET: CPUID signature of the modelled CPU; loaders and firmware rarely look. */
export function resetVcpu(view: StructView, id: number, signature: number): void {
  for (let i = 0; i < 16; i++) view.set64(VCPU.gpr, 0n, i);
  view.set64(VCPU.gpr, BigInt(signature), 2);
  view.set64(VCPU.rip, 0xfff0n);
  view.set64(VCPU.rflags, 2n);
  view.set(VCPU.ccOp, 11); // F_RAW with no flag set
  view.set64(VCPU.ccA, 0n);
  view.set64(VCPU.cr0, 0x6000_0010n);
  for (const f of [VCPU.cr2, VCPU.cr3, VCPU.cr4, VCPU.efer]) view.set64(f, 0n);
  view.set64(VCPU.xcr0, 1n);
  for (let i = 0; i < 8; i++) view.set64(VCPU.dr, i === 6 ? 0xffff_0ff0n : i === 7 ? 0x400n : 0n, i);
  for (const name of ["ES", "SS", "DS", "FS", "GS"] as const) {
    setSegment(view, name, { selector: 0, base: 0n, limit: 0xffff, ar: DATA16 });
  }
  setSegment(view, "CS", { selector: 0xf000, base: 0xffff_0000n, limit: 0xffff, ar: CODE16 });
  setSegment(view, "LDTR", { selector: 0, base: 0n, limit: 0xffff, ar: LDT });
  setSegment(view, "TR", { selector: 0, base: 0n, limit: 0xffff, ar: BUSY_TSS16 });
  view.set64(VCPU.gdtBase, 0n);
  view.set(VCPU.gdtLimit, 0xffff);
  view.set64(VCPU.idtBase, 0n);
  view.set(VCPU.idtLimit, 0xffff);
  for (const f of [
    VCPU.star,
    VCPU.lstar,
    VCPU.cstar,
    VCPU.sfmask,
    VCPU.kernelGsBase,
    VCPU.sysenterCs,
    VCPU.sysenterEsp,
    VCPU.sysenterEip,
    VCPU.tscAdjust,
    VCPU.tscAux,
    VCPU.specCtrl,
    VCPU.mtrrDefType,
    VCPU.tscDeadline,
    VCPU.apicTimerPeriod,
  ]) {
    view.set64(f, 0n);
  }
  view.set64(VCPU.pat, 0x0007_0406_0007_0406n);
  view.set64(VCPU.miscEnable, 0x1801n);
  view.set64(VCPU.apicTimer, NEVER);
  view.set64(VCPU.deviceDeadline, NEVER);
  view.set(VCPU.fcw, 0x40);
  view.set(VCPU.fsw, 0);
  view.set(VCPU.ftw, 0xff);
  view.set(VCPU.mxcsr, 0x1f80);
  for (let i = 0; i < 8; i++) {
    view.set64(VCPU.st, 0n, i);
    view.data.setUint16(view.base + VCPU.st.offset + i * 16 + 8, 0, true);
  }
  for (const f of [
    VCPU.cpl,
    VCPU.slow,
    VCPU.stepping,
    VCPU.shadow,
    VCPU.nmiBlocked,
    VCPU.nmiPending,
    VCPU.replayCount,
    VCPU.replayNext,
    VCPU.stageCount,
    VCPU.stageNext,
    VCPU.exitCode,
    VCPU.excVector,
    VCPU.stackFault,
  ]) {
    view.set(f, 0);
  }
  view.set(VCPU.vcpuid, id);
  // Only the boot processor runs after RESET; the others wait for a start-up IPI.
  view.set(VCPU.runState, id === 0 ? 0 : 2);
}

/** Puts a loader's entry state over the reset state. */
export function applyCpuState(view: StructView, cpu: CpuState): void {
  cpu.gprs.forEach((v, i) => {
    view.set64(VCPU.gpr, v, i);
  });
  view.set64(VCPU.rip, cpu.rip);
  view.set64(VCPU.rflags, cpu.rflags | 2n);
  view.set64(VCPU.cr0, cpu.cr0);
  view.set64(VCPU.cr3, cpu.cr3);
  view.set64(VCPU.cr4, cpu.cr4);
  view.set64(VCPU.efer, cpu.efer);
  for (const name of Object.keys(SEG_INDEX) as (keyof typeof SEG_INDEX)[]) {
    setSegment(view, name, cpu.segments[name.toLowerCase() as Lowercase<typeof name>]);
  }
  view.set64(VCPU.gdtBase, cpu.gdt.base);
  view.set(VCPU.gdtLimit, cpu.gdt.limit);
  view.set64(VCPU.idtBase, cpu.idt.base);
  view.set(VCPU.idtLimit, cpu.idt.limit);
}
