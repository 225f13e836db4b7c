/** Protection keys (SDM vol. 3, 4.6.2) and five-level paging (4.5). */
import { beforeAll, describe, expect, test } from "vitest";
import { VCPU } from "../../src/shared/layout.ts";
import { loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";

beforeAll(loadCore, 180_000);

const run = (body: string, cpu = "max") => {
  const r = runGuest(longGuest(`  mov qword [resume],finish\n${body}`), { cpu });
  const out = r.out.filter((o) => o.startsWith("10=")).map((o) => o.slice(3));
  return { out, cr2: r.view.get64(VCPU.cr2).toString(16) };
};

describe("protection keys", () => {
  /** A page table for 20_0000h: page 0 is a user page with key 1, page 1 a supervisor page with key 1. */
  const KEYS = `
  mov dword [0xa008],0x14007
  mov rax,0x0800000000020007
  mov [0x14000],rax
  and al,0xfb
  mov [0x14008],rax
  mov dword [0x20000],0x77
  mov rax,cr4
  or eax,0x400000
  mov cr4,rax
`;
  const wrpkru = (value: number): string => `  xor ecx,ecx\n  xor edx,edx\n  mov eax,${value}\n  wrpkru\n`;
  const READ = "  mov eax,[0x200000]\n  call put\n";
  const WRITE = "  mov dword [0x200000],0x78\n  mov eax,1\n  call put\n";
  const SUPERVISOR = "  mov eax,[0x201000]\n  call put\n";
  const NO_WP = "  mov rax,cr0\n  btr rax,16\n  mov cr0,rax\n";
  test("deny access to user pages, and to them alone", () => {
    expect(run(KEYS + wrpkru(4) + READ)).toEqual({ out: ["e", "21"], cr2: "200000" });
    expect(run(KEYS + wrpkru(0xffff_fff0) + READ).out).toEqual(["77"]);
    expect(run(KEYS + wrpkru(4) + SUPERVISOR).out).toEqual(["77"]);
  });
  test("deny writing; to a supervisor only with CR0.WP", () => {
    expect(run(NO_WP + KEYS + wrpkru(8) + READ + WRITE).out).toEqual(["77", "1"]);
    expect(run(KEYS + wrpkru(8) + READ + WRITE).out).toEqual(["77", "e", "23"]);
  });
  test("take effect on what has been translated before, both ways", () => {
    expect(run(KEYS + READ + wrpkru(4) + READ).out).toEqual(["77", "e", "21"]);
    expect(run(KEYS + READ + wrpkru(4) + wrpkru(0) + READ).out).toEqual(["77", "77"]);
    expect(run(KEYS + READ + wrpkru(0x10) + wrpkru(4) + wrpkru(0x10) + READ + wrpkru(4) + READ).out).toEqual([
      ...["77", "77", "e", "21"],
    ]);
  });
  test("RDPKRU and WRPKRU want zeros, and CR4.PKE", () => {
    expect(run(`${KEYS}${wrpkru(0x54)}  xor ecx,ecx\n  rdpkru\n  call put\n  mov eax,edx\n  call put\n`).out).toEqual([
      ...["54", "0"],
    ]);
    expect(run(`${KEYS}  mov ecx,1\n  rdpkru\n`).out.slice(0, 2)).toEqual(["d", "0"]);
    expect(run(`${KEYS}  xor ecx,ecx\n  mov edx,1\n  wrpkru\n`).out.slice(0, 2)).toEqual(["d", "0"]);
    expect(run("  xor ecx,ecx\n  rdpkru\n").out.slice(0, 2)).toEqual(["6", "0"]);
    expect(run("  mov rax,cr4\n  or eax,0x400000\n  mov cr4,rax\n", "max,-pku").out.slice(0, 2)).toEqual(["d", "0"]);
  });
  test("CPUID has OSPKE as CR4 has PKE", () => {
    const show = "  mov eax,7\n  xor ecx,ecx\n  cpuid\n  mov eax,ecx\n  and eax,0x18\n  call put\n";
    expect(run(show).out).toEqual(["8"]);
    expect(run(KEYS + show).out).toEqual(["18"]);
  });
  test("are component 9 of an XSAVE area", () => {
    const body = `${KEYS}${wrpkru(0xc)}
  mov rax,cr4
  or eax,0x40000
  mov cr4,rax
  xor ecx,ecx
  xor edx,edx
  mov eax,0x203
  xsetbv
  mov edi,0x4000
  mov ecx,0x400
  xor eax,eax
  rep stosd
  mov ebx,0x4000
  mov eax,0x200
  xsave [rbx]
  mov eax,[rbx+2688]
  call put
  mov eax,[rbx+512]
  call put
  mov eax,0x200
  xsavec [rbx]
  mov eax,[rbx+576]
  call put
${wrpkru(0)}
  mov eax,0x200
  xrstor [rbx]
  xor ecx,ecx
  rdpkru
  call put
${READ}`;
    expect(run(body).out).toEqual(["c", "200", "c", "c", "e", "21"]);
  });
});

describe("five-level paging", () => {
  const LA57 = "max,+la57";
  test("CR4.LA57 is a feature, and cannot change in long mode", () => {
    const set = "  mov rax,cr4\n  or eax,0x1000\n  mov cr4,rax\n";
    expect(run(set).out.slice(0, 2)).toEqual(["d", "0"]);
    expect(run(set, LA57).out.slice(0, 2)).toEqual(["d", "0"]);
  });
  test("CPUID says how wide addresses are", () => {
    const show = "  mov eax,0x80000008\n  cpuid\n  movzx eax,ah\n  call put\n";
    expect(run(show).out).toEqual(["30"]);
    expect(run(show, LA57).out).toEqual(["39"]);
  });
  test("with the feature, bases may have 57 bits, but addresses only with CR4.LA57", () => {
    const base = "  mov ecx,0xc0000102\n  mov edx,0x00ff0000\n  xor eax,eax\n  wrmsr\n  mov eax,1\n  call put\n";
    expect(run(base).out.slice(0, 2)).toEqual(["d", "0"]);
    expect(run(base, LA57).out).toEqual(["1"]);
    expect(run("  mov rax,0x00ff000000000000\n  mov eax,[rax]\n", LA57).out.slice(0, 2)).toEqual(["d", "0"]);
  });

  /** The frame of longGuest with a fifth level: PML5 at B000h, entered with CR4.LA57. */
  const deep = (body: string): string[] => {
    const source = longGuest(`  mov qword [resume],finish\n${body}`)
      .replace("mov eax,0x620\n", "mov dword [0xb000],0x8007\n  mov dword [0xbff8],0x8007\n  mov eax,0x1620\n")
      .replace("mov eax,0x8000\n  mov cr3,eax", "mov eax,0xb000\n  mov cr3,eax");
    return runGuest(source, { cpu: LA57 })
      .out.filter((o) => o.startsWith("10="))
      .map((o) => o.slice(3));
  };
  test("translates 57 bits", () => {
    expect(deep("  mov dword [0x5000],0x99\n  mov rax,0xffff000000005000\n  mov eax,[rax]\n  call put\n")).toEqual([
      "99",
    ]);
    expect(deep("  mov rax,0x00ff000000005000\n  mov eax,[rax]\n").slice(0, 2)).toEqual(["e", "0"]);
    expect(deep("  mov rax,0x01ff000000005000\n  mov eax,[rax]\n").slice(0, 2)).toEqual(["d", "0"]);
  });
  test("runs code beyond 48 bits", () => {
    expect(deep("  mov rax,0xffff000000000000+there\n  jmp rax\nthere: mov eax,5\n  out 0x10,eax\n  hlt\n")).toEqual([
      "5",
    ]);
  });
  test("a PS bit in an entry of the fifth level is reserved", () => {
    const bad = "  mov dword [0xbff8],0x8087\n  mov rax,0xffff000000005000\n  mov eax,[rax]\n";
    expect(deep(bad).slice(0, 2)).toEqual(["e", "9"]);
  });
});
