import { expect, it } from "vitest";
import { resetVcpu, setFirmwareMtrrs } from "../../src/machine/cpuReset.ts";
import { VCPU } from "../../src/shared/layout.ts";
import { vcpuView } from "../../src/vcpu/view.ts";
import { MachineMemory } from "../../src/vmm/memory.ts";

/** Memory type of a physical address by the MTRRs (SDM vol. 3, 12.11.4.1), without overlaps of several ranges. */
function memoryType(view: ReturnType<typeof vcpuView>, at: bigint): number {
  const definition = view.get64(VCPU.mtrrDefType);
  if ((definition & 0x800n) === 0n) return 0;
  const typeIn = (types: bigint, byte: bigint) => Number((types >> (8n * byte)) & 0xffn);
  if (definition & 0x400n && at < 0x10_0000n) {
    if (at < 0x8_0000n) return typeIn(view.get64(VCPU.mtrrFixed, 0), at >> 16n);
    if (at < 0xc_0000n) return typeIn(view.get64(VCPU.mtrrFixed, 1 + Number((at >> 17n) & 1n)), (at >> 14n) & 7n);
    return typeIn(view.get64(VCPU.mtrrFixed, 3 + Number((at >> 15n) & 7n)), (at >> 12n) & 7n);
  }
  for (let n = 0; n < 8; n++) {
    const base = view.get64(VCPU.mtrrVar, 2 * n);
    const mask = view.get64(VCPU.mtrrVar, 2 * n + 1);
    if (mask & 0x800n && ((at ^ base) & mask & ~0xfffn) === 0n) return Number(base & 0xffn);
  }
  return Number(definition & 0xffn);
}

it("leaves the MTRRs as firmware does: RAM write-back, ROM write-protected, VGA and PCI memory uncacheable", () => {
  const memory = new MachineMemory({ regions: [{ gpa: 0, length: 0x10_0000 }], vcpus: 1, shared: true });
  const view = vcpuView(memory.memory.buffer, 0);
  resetVcpu(view, 0, 0);
  setFirmwareMtrrs(view, 0xc000_0000, 40);
  const [UC, WP, WB] = [0, 5, 6];
  const expected: [bigint, number][] = [
    [0n, WB],
    [0x7_ffffn, WB],
    [0x8_0000n, WB],
    [0x9_ffffn, WB],
    [0xa_0000n, UC],
    [0xb_ffffn, UC],
    [0xc_0000n, WP],
    [0xf_ffffn, WP],
    [0x10_0000n, WB],
    [0xbfff_ffffn, WB],
    [0xc000_0000n, UC],
    [0xfee0_0000n, UC],
    [0xffff_ffffn, UC],
    [0x1_0000_0000n, WB],
    [0x1_c000_0000n, WB],
    [0xff_ffff_ffffn, WB],
  ];
  for (const [at, type] of expected) expect([at, memoryType(view, at)]).toEqual([at, type]);
  // RESET disables them, and leaves nothing behind.
  resetVcpu(view, 0, 0);
  expect(memoryType(view, 0x10_0000n)).toBe(UC);
  for (let i = 0; i < 11; i++) expect(view.get64(VCPU.mtrrFixed, i)).toBe(0n);
  for (let i = 0; i < 16; i++) expect(view.get64(VCPU.mtrrVar, i)).toBe(0n);
});
