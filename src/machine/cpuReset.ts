/** A vCPU's registers as a loader and firmware leave them; after RESET: src/vmm/vcpuReset.ts. */
import { SEG_INDEX, VCPU } from "../shared/layout.ts";
import { type StructView, setSegment } from "../vcpu/view.ts";
import type { CpuState } from "./loader/types.ts";

export { CPU_SIGNATURE, resetVcpu } from "../vmm/vcpuReset.ts";

/** IA32_MTRR_DEF_TYPE: E, FE and the default type; V in IA32_MTRR_PHYSMASKn. */
const MTRR_ENABLE = 0x800n;
const MTRR_FIXED_ENABLE = 0x400n;
const MTRR_WB = 6n;
const MTRR_VALID = 0x800n;

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

/** Memory types in every byte of a fixed-range MTRR: uncacheable, write-protected, write-back. */
const ALL_UC = 0n;
const ALL_WP = 0x0505_0505_0505_0505n;
const ALL_WB = 0x0606_0606_0606_0606n;

/**
 * Programs the MTRRs as firmware leaves them, for a kernel that is entered without any: RAM write-back, the ROM area
 * write-protected, the VGA window and everything from `holeBase` to 4 GiB uncacheable (SDM vol. 3, 12.11.2).
 *
 * @param holeBase where PCI memory begins: 4 GiB less a power of two
 * @param physicalBits MAXPHYADDR of the CPU
 */
export function setFirmwareMtrrs(view: StructView, holeBase: number, physicalBits: number): void {
  // 64K_00000, 16K_80000, 16K_A0000, then eight of 4K from C0000 on.
  const fixed = [ALL_WB, ALL_WB, ALL_UC, ...Array<bigint>(8).fill(ALL_WP)];
  fixed.forEach((types, i) => {
    view.set64(VCPU.mtrrFixed, types, i);
  });
  const size = 2n ** 32n - BigInt(holeBase);
  view.set64(VCPU.mtrrVar, BigInt(holeBase), 0);
  view.set64(VCPU.mtrrVar, (2n ** BigInt(physicalBits) - size) | MTRR_VALID, 1);
  view.set64(VCPU.mtrrDefType, MTRR_ENABLE | MTRR_FIXED_ENABLE | MTRR_WB);
}
