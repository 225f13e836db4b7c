/** A vCPU's registers after RESET and INIT (SDM vol. 3, table 10-1; the seeds' vcpu_arch_reset). */
import { RUN_STATE, VCPU } from "../shared/layout.ts";
import { type StructView, setSegment } from "../vcpu/view.ts";
import { NEVER } from "./timers.ts";

/** Access rights (VMX format): present, S=1, read/write data accessed; the same for code; TSS and LDT; unusable. */
const DATA16 = 0x93;
const CODE16 = 0x9b;
const BUSY_TSS16 = 0x83;
const LDT = 0x82;

/** CR0: CD and NW, which caches are off with; ET, which is always set. */
const CR0_CACHE = 0x6000_0000n;
const CR0_ET = 0x10n;

/** Fixed-range MTRRs, and pairs of variable-range ones (IA32_MTRRCAP; SDM vol. 3, 12.11). */
const MTRR_FIXED = 11;
const MTRR_VARIABLE = 8;

/** CPUID leaf 1 EAX of the modelled CPU (assembly/sys/model.ts), for EDX at RESET and the MP table. */
export const CPU_SIGNATURE = 0x806f8;

/** No instruction is half done: nothing staged, nothing to replay. */
export function forgetInterrupted(view: StructView): void {
  for (const f of [
    VCPU.slow,
    VCPU.replayCount,
    VCPU.replayNext,
    VCPU.stageCount,
    VCPU.stageNext,
    VCPU.hits,
    VCPU.task,
  ]) {
    view.set(f, 0);
  }
}

/**
 * INIT (SDM vol. 3, table 10-1): general registers, segments, control and debug registers as after RESET; the FPU's and
 * SSE's state, MSRs other than IA32_EFER, CR0.CD and CR0.NW stay. The vCPU then waits for a start-up IPI.
 */
export function initVcpu(view: StructView, signature: number): void {
  for (let i = 0; i < 16; i++) view.set64(VCPU.gpr, 0n, i);
  // EDX: the CPUID signature; loaders and firmware rarely look.
  view.set64(VCPU.gpr, BigInt(signature), 2);
  view.set64(VCPU.rip, 0xfff0n);
  view.set64(VCPU.rflags, 2n);
  view.set(VCPU.ccOp, 11); // F_RAW with no flag set
  view.set64(VCPU.ccA, 0n);
  view.set64(VCPU.cr0, (view.get64(VCPU.cr0) & CR0_CACHE) | CR0_ET);
  for (const f of [VCPU.cr2, VCPU.cr3, VCPU.cr4, VCPU.efer]) view.set64(f, 0n);
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
    VCPU.cpl,
    VCPU.stepping,
    VCPU.shadow,
    VCPU.debug,
    VCPU.armed,
    VCPU.nmiBlocked,
    VCPU.nmiPending,
    VCPU.nmiPosted,
    VCPU.exitCode,
    VCPU.excVector,
    VCPU.stackFault,
  ]) {
    view.set(f, 0);
  }
  forgetInterrupted(view);
  view.set(VCPU.runState, RUN_STATE.WAIT_FOR_SIPI);
}

/** RESET: the boot processor (vCPU 0) runs, the others wait for a start-up IPI. */
export function resetVcpu(view: StructView, id: number, signature: number): void {
  initVcpu(view, signature);
  view.set64(VCPU.cr0, CR0_CACHE | CR0_ET);
  view.set64(VCPU.xcr0, 1n);
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
    VCPU.xss,
    VCPU.mtrrDefType,
    VCPU.tscDeadline,
    VCPU.apicTimerPeriod,
  ]) {
    view.set64(f, 0n);
  }
  for (let i = 0; i < MTRR_FIXED; i++) view.set64(VCPU.mtrrFixed, 0n, i);
  for (let i = 0; i < 2 * MTRR_VARIABLE; i++) view.set64(VCPU.mtrrVar, 0n, i);
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
  view.set(VCPU.pkru, 0);
  view.set(VCPU.startup, 0);
  view.set(VCPU.vcpuid, id);
  view.set(VCPU.runState, id === 0 ? RUN_STATE.RUNNING : RUN_STATE.WAIT_FOR_SIPI);
}
