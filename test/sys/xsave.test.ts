/** The XSAVE feature set (SDM vol. 1, chapter 13), as the vectors' CPU has it. */
import { beforeAll, describe, expect, test } from "vitest";
import { VCPU } from "../../src/shared/layout.ts";
import { loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";

beforeAll(loadCore, 180_000);

const AREA = 0x5000;
/** CR4.OSXSAVE on, XCR0 as given, an area of zeros, registers initial. `show` puts a dword of the area. */
const prologue = (xcr0 = 3): string => `
  mov qword [resume],finish
  mov rax,cr4
  or eax,0x40000
  mov cr4,rax
  xor ecx,ecx
  xor edx,edx
  mov eax,${xcr0}
  xsetbv
  mov edi,${AREA}
  mov ecx,0x400
  xor eax,eax
  rep stosd
  mov ebx,${AREA}
  mov dword [rbx+24],0x1f80
  mov eax,-1
  mov edx,eax
  xrstor [rbx]
`;
const run = (body: string, cpu = "max", xcr0 = 3): string[] =>
  runGuest(longGuest(prologue(xcr0) + body), { cpu }).out.filter((o) => o.startsWith("10="));
const show = (...offsets: number[]): string => offsets.map((o) => `  mov eax,[rbx+${o}]\n  call put\n`).join("");
const MASK = (mask: number): string => `  mov eax,${mask}\n  xor edx,edx\n`;
const values = (...v: string[]): string[] => v.map((x) => `10=${x}`);
const UD = values("6", "0");
const GP = values("d", "0");

describe("CPUID", () => {
  const leaf = (sub: number): string => `
  mov eax,0xd
  mov ecx,${sub}
  cpuid
  call put
  mov eax,ebx
  call put
  mov eax,ecx
  call put
  mov eax,edx
  call put
`;
  test("0Dh tells what XCR0 may have and what it needs", () => {
    expect(run(leaf(0))).toEqual(values("207", "240", "a88", "0"));
    expect(run(leaf(0), "max,-pku")).toEqual(values("7", "240", "340", "0"));
    expect(run(leaf(9))).toEqual(values("8", "a80", "0", "0"));
    expect(run(leaf(0), "max,-avx,-pku")).toEqual(values("3", "240", "240", "0"));
    expect(run(leaf(1))).toEqual(values("f", "240", "0", "0"));
    expect(run(leaf(1), "max,-xsavec,-xgetbv1")).toEqual(values("1", "240", "0", "0"));
    // 256 bytes at 576: the upper halves of the YMM registers.
    expect(run(leaf(2))).toEqual(values("100", "240", "0", "0"));
    expect(run(leaf(2), "max,-avx")).toEqual(values("0", "0", "0", "0"));
    expect(run(leaf(3))).toEqual(values("0", "0", "0", "0"));
    expect(runGuest(longGuest(`  mov qword [resume],finish\n${leaf(0)}`), { cpu: "max,-xsave" }).out).toEqual(
      values("0", "0", "0", "0"),
    );
  });
  test("1 has OSXSAVE as CR4 has it", () => {
    const osxsave = "  mov eax,1\n  cpuid\n  mov eax,ecx\n  shr eax,26\n  and eax,3\n  call put\n";
    expect(run(osxsave)).toEqual(values("3"));
    expect(runGuest(longGuest(osxsave)).out).toEqual(values("1"));
    expect(runGuest(longGuest(osxsave), { cpu: "max,-xsave" }).out).toEqual(values("0"));
  });
});

describe("availability", () => {
  const all = ["xsave [rbx]", "xrstor [rbx]", "xsaveopt [rbx]", "xsavec [rbx]", "xsaves [rbx]", "xgetbv", "xsetbv"];
  test.each(all)("%s is #UD without CR4.OSXSAVE", (code) => {
    const body = `  mov qword [resume],finish\n  mov ebx,${AREA}\n  xor ecx,ecx\n${MASK(1)}  ${code}\n`;
    expect(runGuest(longGuest(body)).out.slice(0, 2)).toEqual(UD);
  });
  test.each(all.slice(0, 5))("%s is #NM with CR0.TS", (code) => {
    expect(run(`  mov rax,cr0\n  or al,8\n  mov cr0,rax\n${MASK(1)}  ${code}\n`).slice(0, 2)).toEqual(values("7", "0"));
  });
  test("CR4.OSXSAVE is reserved without the feature", () => {
    const body = "  mov qword [resume],finish\n  mov rax,cr4\n  or eax,0x40000\n  mov cr4,rax\n";
    expect(runGuest(longGuest(body), { cpu: "max,-xsave" }).out.slice(0, 2)).toEqual(GP);
  });
  test.each([
    ["xsaveopt", "xsaveopt [rbx]"],
    ["xsavec", "xsavec [rbx]"],
    ["xsaves", "xsaves [rbx]"],
    ["xsaves", "xrstors [rbx]"],
  ])("without %s, %s is #UD", (feature, code) => {
    expect(run(`${MASK(1)}  ${code}\n`, `max,-${feature}`).slice(0, 2)).toEqual(UD);
  });
  test.each(["66", "f3", "f2"])("XGETBV with prefix %s is #UD", (prefix) => {
    expect(run(`  xor ecx,ecx\n  db 0x${prefix},0x0f,0x01,0xd0\n`).slice(0, 2)).toEqual(UD);
  });
});

describe("XSETBV", () => {
  test.each([
    ["x87 off", 0, 2, 0],
    ["a component that there is not", 0, 0x43, 0],
    ["a high bit", 0, 3, 1],
    ["another register", 1, 3, 0],
  ])("refuses %s", (_, ecx, eax, edx) => {
    expect(run(`  mov ecx,${ecx}\n  mov eax,${eax}\n  mov edx,${edx}\n  xsetbv\n`).slice(0, 2)).toEqual(GP);
  });
  test("XGETBV gives XCR0, and with ECX = 1 what is in use", () => {
    expect(run("  xor ecx,ecx\n  xgetbv\n  call put\n", "max", 1)).toEqual(values("1"));
    const used = "  mov ecx,1\n  xgetbv\n  call put\n";
    expect(run(used)).toEqual(values("0"));
    expect(run(`  fld1\n${used}`)).toEqual(values("1"));
    expect(run(`  pcmpeqd xmm9,xmm9\n${used}`)).toEqual(values("2"));
    expect(run(`  mov dword [rbx],0x3f80\n  ldmxcsr [rbx]\n${used}`)).toEqual(values("2"));
    expect(run(used, "max,-xgetbv1").slice(0, 2)).toEqual(GP);
    expect(run("  mov ecx,2\n  xgetbv\n").slice(0, 2)).toEqual(GP);
  });
});

describe("saving", () => {
  const fill = `
  mov edi,${AREA}
  mov ecx,0x400
  mov eax,0xeeeeeeee
  rep stosd
`;
  test("XSAVE stores what is asked for and merges XSTATE_BV", () => {
    const body = `${fill}  mov qword [rbx+512],0xc\n  pcmpeqd xmm1,xmm1\n${MASK(2)}  xsave [rbx]\n`;
    expect(run(body + show(0, 24, 28, 160, 176, 416, 512, 520, 576))).toEqual(
      values("eeeeeeee", "1f80", "ffff", "0", "ffffffff", "eeeeeeee", "e", "eeeeeeee", "eeeeeeee"),
    );
  });
  test("XSAVE stores initial state, too; XSAVEOPT does not, but always MXCSR", () => {
    const opt = (code: string): string[] => run(`${fill}${MASK(3)}  ${code} [rbx]\n${show(0, 24, 160, 512)}`);
    expect(opt("xsave")).toEqual(values("37f", "1f80", "0", "eeeeeeec"));
    expect(opt("xsaveopt")).toEqual(values("eeeeeeee", "1f80", "eeeeeeee", "eeeeeeec"));
  });
  test("XSAVEC writes its header without reading it", () => {
    const body = `${fill}  fld1\n${MASK(-1)}  xsavec [rbx]\n${show(24, 36, 160, 512, 516, 520, 524, 528)}`;
    expect(run(body)).toEqual(values("eeeeeeee", "80000000", "eeeeeeee", "1", "0", "3", "80000000", "eeeeeeee"));
  });
  test("XSAVEC saves SSE state when only MXCSR is not initial", () => {
    const body = `${fill}  mov dword [rbx],0x3f80\n  ldmxcsr [rbx]\n${MASK(2)}  xsavec [rbx]\n${show(24, 160, 512)}`;
    expect(run(body)).toEqual(values("3f80", "0", "2"));
  });
  test("XSAVES and XRSTORS work on the compacted format", () => {
    const body = `  pcmpeqd xmm3,xmm3\n${MASK(2)}  xsaves [rbx]\n  pxor xmm3,xmm3\n${MASK(2)}  xrstors [rbx]
  movd eax,xmm3\n  call put\n${show(524)}`;
    expect(run(body)).toEqual(values("ffffffff", "80000000"));
    expect(run(`${MASK(2)}  xrstors [rbx]\n`).slice(0, 2)).toEqual(GP);
  });
});

describe("restoring", () => {
  const after =
    "  movd eax,xmm2\n  call put\n  fnstcw [0x4000]\n  movzx eax,word [0x4000]\n  call put\n  stmxcsr [0x4000]\n  mov eax,[0x4000]\n  call put\n";
  const dirty = "  pcmpeqd xmm2,xmm2\n  mov word [0x4000],0x27f\n  fldcw [0x4000]\n";
  test("components that XSTATE_BV lacks become initial, others stay", () => {
    expect(run(`${dirty}${MASK(2)}  xrstor [rbx]\n${after}`)).toEqual(values("0", "27f", "1f80"));
    expect(run(`${dirty}${MASK(1)}  xrstor [rbx]\n${after}`)).toEqual(values("ffffffff", "37f", "1f80"));
  });
  test("MXCSR is loaded in the standard format, and belongs to SSE in the compacted one", () => {
    const mxcsr = "  mov dword [rbx+24],0x5f80\n";
    expect(run(`${mxcsr}${MASK(2)}  xrstor [rbx]\n${after}`)).toEqual(values("0", "37f", "5f80"));
    const compact = "  mov dword [rbx+520],3\n  mov dword [rbx+524],0x80000000\n";
    expect(run(`${mxcsr}${compact}${MASK(2)}  xrstor [rbx]\n${after}`)).toEqual(values("0", "37f", "1f80"));
    expect(run(`${mxcsr}${compact}  mov dword [rbx+512],2\n${MASK(2)}  xrstor [rbx]\n${after}`)).toEqual(
      values("0", "37f", "5f80"),
    );
  });
  test.each([
    ["XSTATE_BV with a component that is not enabled", "mov dword [rbx+512],4", 1],
    ["bytes 23:8 of the header", "mov dword [rbx+532],1", 1],
    ["reserved bits of MXCSR", "mov dword [rbx+24],0x10000", 2],
    ["a compacted header with other reserved bytes", "mov byte [rbx+527],0x80\n  mov byte [rbx+575],1", 1],
    ["XSTATE_BV beyond XCOMP_BV", "mov byte [rbx+527],0x80\n  mov byte [rbx+512],1", 1],
    ["XCOMP_BV with a component that is not enabled", "mov byte [rbx+527],0x80\n  mov byte [rbx+520],4", 1],
  ])("refuses %s", (_, code, mask) => {
    expect(run(`  ${code}\n${MASK(mask)}  xrstor [rbx]\n`).slice(0, 2)).toEqual(GP);
  });
  test.each([
    ["other reserved bytes in the standard format", "mov byte [rbx+575],1", 1],
    ["MXCSR when it is not loaded", "mov dword [rbx+24],0x10000", 1],
    ["MXCSR of a compacted area without SSE", "mov byte [rbx+527],0x80\n  mov dword [rbx+24],0x10000", 3],
  ])("does not look at %s", (_, code, mask) => {
    expect(run(`  ${code}\n${MASK(mask)}  xrstor [rbx]\n  mov eax,1\n  call put\n`)).toEqual(values("1"));
  });
  test("the compacted format needs XSAVEC", () => {
    expect(run(`  mov byte [rbx+527],0x80\n${MASK(1)}  xrstor [rbx]\n`, "max,-xsavec").slice(0, 2)).toEqual(GP);
  });
});

describe("faults", () => {
  test.each(["xsave", "xsaveopt", "xsavec", "xrstor"])("%s wants 64-byte alignment", (name) => {
    expect(run(`${MASK(1)}  ${name} [rbx+32]\n`).slice(0, 2)).toEqual(GP);
  });
  // The guest's map ends at 2 MiB.
  const edge = (code: string, at: number): string[] => {
    const body = `  mov ebx,${0x20_0000 - at}\n${MASK(3)}  ${code} [rbx]\n`;
    const r = runGuest(longGuest(`${prologue()}${body}  mov eax,1\n  call put\n`));
    return [...r.out.filter((o) => o.startsWith("10=")).slice(0, 2), r.view.get64(VCPU.cr2).toString(16)];
  };
  test("a page fault is that of the last byte when saving, and nothing has been stored", () => {
    expect(edge("xsave", 512)).toEqual([...values("e", "2"), "20003f"]);
    expect(edge("xsavec", 512)).toEqual([...values("e", "2"), "20003f"]);
    expect(edge("xsave", 576)).toEqual([...values("1"), "0"]);
  });
  test("a page fault is that of the header when restoring", () => {
    expect(edge("xrstor", 512)).toEqual([...values("e", "0"), "200008"]);
  });
});
