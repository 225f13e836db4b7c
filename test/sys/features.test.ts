/** CPUID features: what the model lacks is #UD (or the older instruction of the same bytes), and CPUID says the same. */
import { beforeAll, describe, expect, test } from "vitest";
import { loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";
import { realGuest } from "./realGuest.ts";

beforeAll(loadCore, 180_000);

const UD = ["10=6", "10=0"];
const run = (body: string, cpu = "max", random?: () => bigint): string[] =>
  runGuest(longGuest(`  mov qword [resume],finish\n${body}`), { cpu, ...(random && { random }) }).out;
const fault = (body: string, cpu?: string): string[] => run(body, cpu).slice(0, 2);

describe("an instruction of a feature", () => {
  test.each<[feature: string, code: string]>([
    ["sse3", "haddps xmm0,xmm1"],
    ["sse3", "fisttp dword [0x5000]"],
    ["ssse3", "pshufb xmm0,xmm1"],
    ["sse4_1", "pmulld xmm0,xmm1"],
    ["sse4_2", "pcmpgtq xmm0,xmm1"],
    ["popcnt", "popcnt eax,ecx"],
    ["cx16", "cmpxchg16b [0x5000]"],
    ["lahf_lm", "lahf"],
    ["cmov", "cmovz eax,ecx"],
    ["movbe", "movbe eax,dword [0x5000]"],
    ["bmi1", "andn eax,ecx,edx"],
    ["bmi2", "pdep rax,rcx,rdx"],
    ["adx", "adcx eax,ecx"],
    ["aes", "aesenc xmm0,xmm1"],
    ["pclmulqdq", "pclmulqdq xmm0,xmm1,0"],
    ["rdrand", "rdrand eax"],
    ["rdseed", "rdseed eax"],
    ["clflushopt", "clflushopt byte [0x5000]"],
    ["clwb", "clwb byte [0x5000]"],
    ["rdtscp", "rdtscp"],
    ["rdpid", "rdpid rax"],
    ["smap", "stac"],
  ])("%s: %s", (feature, code) => {
    expect(fault(`  ${code}`)).toEqual([]);
    expect(fault(`  ${code}`, `max,-${feature}`)).toEqual(UD);
  });

  test("that is off by default is there when asked for", () => {
    const code = "  mov eax,0x5000\n  xor ecx,ecx\n  xor edx,edx\n  monitor";
    expect(fault(code)).toEqual(UD);
    expect(fault(code, "max,+monitor")).toEqual([]);
  });

  test("TZCNT and LZCNT are BSF and BSR without theirs", () => {
    const code = "  mov ecx,0x10000\n  lzcnt eax,ecx\n  call put\n  xor ecx,ecx\n  tzcnt eax,ecx\n  call put";
    expect(run(code)).toEqual(["10=f", "10=20"]);
    expect(run(code, "max,-lzcnt,-bmi1")).toEqual(["10=10", "10=10"]);
  });
});

describe("CPUID", () => {
  const leaf1 = "  mov eax,1\n  cpuid\n  mov eax,ecx\n  and eax,0x00982201\n  call put";
  test("says what the model has", () => {
    expect(run(leaf1)).toEqual(["10=982201"]);
    expect(run(leaf1, "x86-64-v2")).toEqual(["10=982201"]);
    expect(run(leaf1, "x86-64")).toEqual(["10=0"]);
    expect(run(leaf1, "x86-64,+sse3,+popcnt")).toEqual(["10=800001"]);
  });
});

describe("a VEX prefix", () => {
  test.each([
    ["with L set", "c4 e2 74 f2 c2"],
    ["after 66", "66 c4 e2 70 f2 c2"],
    ["after F3", "f3 c4 e2 70 f2 c2"],
    ["after LOCK", "f0 c4 e2 70 f2 c2"],
    ["after REX", "40 c4 e2 70 f2 c2"],
    ["with a vvvv that names no operand", "c4 e3 73 f0 c2 05"],
    ["of a map that does not exist", "c4 e4 70 f2 c2"],
    ["of an opcode that does not exist", "c4 e2 70 04 c2"],
  ])("%s is #UD", (_, bytes) => {
    expect(
      fault(
        `  db ${bytes
          .split(" ")
          .map((b) => `0x${b}`)
          .join(",")}`,
      ),
    ).toEqual(UD);
  });

  test("is LES or LDS in real mode", () => {
    const body = `  les bx,[pointer]
  mov ax,es
  out 0x10,ax
  db 0xc4,0xe2,0x70,0xf2,0xc2
  hlt
bad:
  mov al,6
  out 0x10,al
  cli
  hlt
pointer: dw 1,0x1234`;
    const { out } = runGuest(realGuest({ ivt: { 6: "bad" }, body }));
    expect(out).toEqual(["10=1234", "10=6"]);
  });
});

describe("random numbers", () => {
  test("come from the host, with CF set and the other flags clear", () => {
    const code = `
  xor eax,eax
  rdrand ax
  call put
  lahf
  movzx eax,ah
  call put
  rdseed rax
  shr rax,32
  call put`;
    expect(run(code, "max", () => -2n)).toEqual(["10=fffe", "10=3", "10=ffffffff"]);
  });
});
