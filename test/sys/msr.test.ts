/** Model-specific registers that guests program by what CPUID says. */
import { beforeAll, expect, test } from "vitest";
import { VCPU } from "../../src/shared/layout.ts";
import { loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";

beforeAll(loadCore, 300_000);

const GP0 = ["10=d", "10=0"];

test("IA32_SPEC_CTRL has BHI_DIS_S, as CPUID 7.2 says, and nothing that CPUID does not name", () => {
  const r = runGuest(
    longGuest(`
  mov qword [resume],finish
  mov eax,7
  xor ecx,ecx
  cpuid
  call put
  mov eax,7
  mov ecx,2
  cpuid
  mov eax,edx
  call put
  mov ecx,0x48
  mov eax,0x401
  xor edx,edx
  wrmsr
  rdmsr
  call put
  mov eax,0x800
  wrmsr`),
  );
  expect(r.out.slice(0, 5)).toEqual(["10=2", "10=10", "10=401", ...GP0]);
});

test("MTRRs keep what they are given, and refuse types that there are not", () => {
  const set = (number: number, low: number, high = 0): string[] =>
    runGuest(
      longGuest(`
  mov qword [resume],finish
  mov ecx,${number}
  mov eax,${low}
  mov edx,${high}
  wrmsr
  xor eax,eax
  xor edx,edx
  rdmsr
  call put
  mov eax,edx
  call put`),
    ).out.slice(0, 2);
  expect(set(0x2ff, 0xc06)).toEqual(["10=c06", "10=0"]);
  expect(set(0x2ff, 0xc02)).toEqual(GP0);
  expect(set(0x2ff, 0x1c06)).toEqual(GP0);
  expect(set(0x250, 0x06060606, 0x06060606)).toEqual(["10=6060606", "10=6060606"]);
  expect(set(0x26f, 0x03060606)).toEqual(GP0);
  expect(set(0x201, 0xc0000800, 0xff)).toEqual(["10=c0000800", "10=ff"]);
  // Beyond the physical address width.
  expect(set(0x201, 0xc0000800, 0x1ff)).toEqual(GP0);
});

test("MSRs of the x2APIC that there are not are #GP: 80Eh (DFR), 82Fh (no CMCI), 831h (ICR's upper half)", () => {
  const read = (number: number): string[] =>
    runGuest(
      longGuest(`
  mov qword [resume],finish
  mov ecx,${number}
  rdmsr
  mov eax,1
  call put`),
      { setup: (view) => view.set64(VCPU.apicBase, 0xfee0_0d00n) },
    ).out.slice(0, 2);
  for (const number of [0x80e, 0x82f, 0x831]) expect(read(number)).toEqual(GP0);
  expect(read(0x808)).toEqual(["10=1"]);
});
