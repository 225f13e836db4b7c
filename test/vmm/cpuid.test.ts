/** CPUID tables that the host gives a guest, and XCR0 values it may have. */
import { beforeAll, expect, it } from "vitest";
import { CPUID_MAX_ENTRIES, type CpuidEntry, validateGuestXcr0 } from "../../src/vmm/index.ts";
import { guest, load, outputs, refuses } from "./vms.ts";

beforeAll(() => load());

const entry = (func: number, eax: number, index?: number): CpuidEntry => ({
  func,
  ...(index !== undefined && { index }),
  eax,
  ebx: 0x100 + eax,
  ecx: 0x200 + eax,
  edx: 0x300 + eax,
});
/** Writes EAX and EDX of a leaf to ports. */
const ask = (func: string, index = 0): string =>
  `mov eax,${func}\nmov ecx,${index}\ncpuid\nout 1,eax\nmov eax,edx\nout 2,eax\n`;

it("the guest sees the table: by function, by index, and the highest basic leaf beyond it", async () => {
  const vm = await guest(
    `${ask("0")}${ask("4", 1)}${ask("4", 2)}${ask("4", 3)}${ask("5")}${ask("0x80000000")}${ask("0x80000001")}hlt`,
  );
  const [vcpu] = vm.vcpus;
  const entries = [entry(0, 4), entry(4, 0x11, 1), entry(4, 0x12, 2), entry(0x8000_0000, 0x80)];
  expect(vcpu.getCpuid()).toEqual({ legacy: true });
  vcpu.setCpuid({ entries });
  expect(vcpu.getCpuid()).toEqual({ entries });
  expect(outputs(vcpu).out).toEqual([
    ...["1=4", "2=304"],
    ...["1=11", "2=311"],
    ...["1=12", "2=312"],
    ...["1=0", "2=0"],
    ...["1=0", "2=0"],
    ...["1=80", "2=380"],
    ...["1=0", "2=0"],
  ]);
});

it("a leaf above the highest basic one reads as that one; legacy is the CPU model again", async () => {
  const vm = await guest(`${ask("7")}hlt\n${ask("0")}hlt`);
  const [vcpu] = vm.vcpus;
  vcpu.setCpuid({ entries: [entry(0, 2), entry(2, 0x22)] });
  expect(outputs(vcpu).out).toEqual(["1=22", "2=322"]);
  vcpu.setCpuid({ legacy: true });
  vcpu.run({ cmd: "discardInstr" });
  // "ineI" of GenuineIntel.
  expect(vcpu.run()).toMatchObject({ inout: { port: 2, eax: 0x4965_6e69 } });
});

it("refuses tables that cannot be, and keeps the one that is there", async () => {
  const [vcpu] = (await guest("hlt")).vcpus;
  vcpu.setCpuid({ entries: [entry(0, 1)] });
  refuses("EINVAL", () => vcpu.setCpuid({ entries: [] }));
  refuses("EINVAL", () => vcpu.setCpuid({ entries: [entry(0, 1), entry(0, 2)] }));
  refuses("EINVAL", () => vcpu.setCpuid({ entries: [entry(-1, 0)] }));
  refuses("ENOSPC", () =>
    vcpu.setCpuid({ entries: Array.from({ length: CPUID_MAX_ENTRIES + 1 }, (_, i) => entry(i, 0)) }),
  );
  expect(vcpu.getCpuid()).toEqual({ entries: [entry(0, 1)] });
});

it("XCR0: what the SDM lets go together", () => {
  const all = 0x2ffn;
  for (const ok of [1n, 3n, 7n, 0xe7n, 0x1bn, 0x207n]) expect(validateGuestXcr0(ok, all), `${ok}`).toBe(true);
  for (const bad of [0n, 2n, 5n, 0x27n, 0xe3n, 0xbn, 0x100n]) expect(validateGuestXcr0(bad, all), `${bad}`).toBe(false);
  expect(validateGuestXcr0(7n, 3n)).toBe(false);
});
