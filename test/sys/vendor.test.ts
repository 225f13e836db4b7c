/** `--cpu …,vendor=NAME`: what CPUID says, and where AMD's CPUs know SYSCALL and Intel's do not. */
import { beforeAll, expect, test } from "vitest";
import { CpuModelError, cpuToggles } from "../../src/isa/cpuModel.ts";
import { loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";

beforeAll(loadCore, 180_000);

const out = (body: string, cpu: string): string[] =>
  runGuest(longGuest(body), { cpu })
    .out.filter((o) => o.startsWith("10="))
    .map((o) => o.slice(3));

const INTEL = "max";
const AMD = "max,vendor=AuthenticAMD";

test("CPUID names the vendor", () => {
  const body =
    "  xor eax,eax\n  cpuid\n  mov eax,ebx\n  call put\n  mov eax,edx\n  call put\n  mov eax,ecx\n  call put";
  const name = (cpu: string): string =>
    out(body, cpu)
      .map((v) => Buffer.from(v.padStart(8, "0"), "hex").reverse().toString())
      .join("");
  expect([name(INTEL), name(AMD)]).toEqual(["GenuineIntel", "AuthenticAMD"]);
  expect(() => cpuToggles("max,vendor=Cyrix")).toThrow(CpuModelError);
});

test("SYSCALL in compatibility mode goes to CSTAR on AMD's, is #UD on Intel's", () => {
  const body = `  mov ecx,0xc0000083
  mov eax,target
  xor edx,edx
  wrmsr
  mov ecx,0xc0000081
  xor eax,eax
  mov edx,0x00180008
  wrmsr
  mov ecx,user
  mov r11d,2
  db 0x0f,7
bits 32
user: db 0x0f,5
bits 64
target: mov eax,cs
  call put`;
  expect(out(body, AMD)).toEqual(["8"]);
  expect(out(body, INTEL)).toEqual(["6", "0"]);
});

test("SYSENTER in IA-32e mode is #UD on AMD's", () => {
  const body = `  mov ecx,0x174
  mov eax,8
  xor edx,edx
  wrmsr
  mov ecx,0x175
  mov eax,0x5000
  wrmsr
  mov ecx,0x176
  mov eax,target
  wrmsr
  db 0x0f,0x34
target: mov eax,0x99
  call put`;
  expect(out(body, AMD)).toEqual(["6", "0"]);
  expect(out(body, INTEL)).toEqual(["99"]);
});

test("the K7's performance counters are there on AMD's, read as zero, and are #GP on Intel's", () => {
  const body = `  mov ecx,0xc0010000
  mov eax,0x12345
  xor edx,edx
  wrmsr
  mov ecx,0xc0010007
  rdmsr
  call put`;
  expect(out(body, AMD)).toEqual(["0"]);
  expect(out(body, INTEL)).toEqual(["d", "0"]);
});
