/** AVX as the system sees it, and what the vectors do not cover: what enables it, #UD and #NM, gathers that stop half-way. */
import { beforeAll, describe, expect, test } from "vitest";
import { loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";

beforeAll(loadCore, 180_000);

const OSXSAVE = "  mov rax,cr4\n  or eax,0x40000\n  mov cr4,rax\n";
const xcr0 = (value: number): string => `  xor ecx,ecx\n  xor edx,edx\n  mov eax,${value}\n  xsetbv\n`;
const ENABLE = OSXSAVE + xcr0(7);
const UD = ["10=6", "10=0"];
const GP = ["10=d", "10=0"];

/** What `body` writes to the ports; an exception ends it. */
const run = (body: string, cpu = "max", extra = ""): string[] =>
  runGuest(longGuest(`  mov qword [resume],finish\n${body}`, extra), { cpu }).out;
const fault = (body: string, cpu?: string): string[] => run(body, cpu).slice(0, 2);
const bytes = (text: string): string =>
  `  db ${text
    .split(" ")
    .map((b) => `0x${b}`)
    .join(",")}`;

describe("AVX is #UD", () => {
  test("until CR4.OSXSAVE and XCR0 enable it", () => {
    const code = "  vaddps xmm0,xmm1,xmm2\n";
    expect(fault(code)).toEqual(UD);
    expect(fault(OSXSAVE + code)).toEqual(UD);
    expect(fault(OSXSAVE + xcr0(3) + code)).toEqual(UD);
    expect(fault(OSXSAVE + xcr0(7) + code)).toEqual([]);
    expect(fault(OSXSAVE + xcr0(7) + code + xcr0(3) + code)).toEqual(UD);
  });

  test("without the feature, whose state XCR0 then does not take", () => {
    expect(fault(OSXSAVE + xcr0(7), "max,-avx")).toEqual(GP);
    expect(fault(`${ENABLE}  vpaddd ymm0,ymm1,ymm2`, "max,-avx2")).toEqual(UD);
    expect(fault(`${ENABLE}  vpaddd xmm0,xmm1,xmm2`, "max,-avx2")).toEqual([]);
    expect(fault(`${ENABLE}  vbroadcastss ymm0,xmm1`, "max,-avx2")).toEqual(UD);
    expect(fault(`${ENABLE}  vfmadd132ps ymm0,ymm1,ymm2`, "max,-fma")).toEqual(UD);
    expect(fault(`${ENABLE}  vcvtph2ps ymm0,xmm1`, "max,-f16c")).toEqual(UD);
    expect(fault(`${ENABLE}  vaesenc xmm0,xmm1,xmm2`, "max,-aes")).toEqual(UD);
  });

  test.each([
    ["after 66", "66 c5 f0 58 c2"],
    ["after F2", "f2 c5 f0 58 c2"],
    ["after F3", "f3 c5 f0 58 c2"],
    ["after LOCK", "f0 c5 f0 58 c2"],
    ["after REX", "40 c5 f0 58 c2"],
    ["with a vvvv that names no operand (VSQRTPS)", "c5 f0 51 c2"],
    ["with a vvvv that names no operand (VMOVSS from memory)", "c5 f2 10 00"],
    ["with VEX.L where vectors have 128 bits (VPINSRW)", "c5 f5 c4 c0 00"],
    ["without VEX.L where they have 256 (VPERM2F128)", "c4 e3 71 06 c2 00"],
    ["with VEX.W where it must be clear (VPERMILPS)", "c4 e2 f1 0c c2"],
    ["of a store without memory (VMOVNTPS)", "c5 f8 2b c1"],
    ["of a masked move without memory", "c4 e2 71 2c c2"],
    ["of VBROADCASTF128 without memory", "c4 e2 7d 1a c1"],
    ["of a gather whose mask is its destination", "c4 e2 79 90 04 1b"],
    ["of a gather whose index is its destination", "c4 e2 61 90 04 03"],
    ["of a gather whose index is its mask", "c4 e2 61 90 04 1b"],
    ["of a gather without a SIB byte", "c4 e2 61 90 03"],
  ])("%s", (_, text) => {
    expect(fault(ENABLE + bytes(text))).toEqual(UD);
  });
});

describe("CR0", () => {
  const ts = "  mov rax,cr0\n  or eax,8\n  mov cr0,rax\n";
  const em = "  mov rax,cr0\n  or eax,4\n  mov cr0,rax\n";
  test("TS is #NM, after #UD", () => {
    expect(fault(`${ENABLE}${ts}  vaddps ymm0,ymm1,ymm2`)).toEqual(["10=7", "10=0"]);
    expect(fault(`${ENABLE}${ts}${bytes("f3 c5 f0 58 c2")}`)).toEqual(UD);
    expect(fault(`${ts}  vaddps ymm0,ymm1,ymm2`)).toEqual(UD);
  });
  test("EM is #UD for SSE, nothing for VEX", () => {
    expect(fault(`${ENABLE}${em}  addps xmm0,xmm1`)).toEqual(UD);
    expect(fault(`${ENABLE}${em}  vaddps xmm0,xmm0,xmm1`)).toEqual([]);
  });
});

describe("memory operands", () => {
  test.each([
    ["vmovaps ymm0,[0x5010]", GP],
    ["vmovdqa [0x5010],ymm0", GP],
    ["vmovntps [0x5010],ymm0", GP],
    ["vmovntdqa ymm0,[0x5010]", GP],
    ["vmovaps xmm0,[0x5010]", []],
    ["vmovups ymm0,[0x5011]", []],
    ["vaddps ymm0,ymm1,[0x5011]", []],
    ["vlddqu ymm0,[0x5011]", []],
    ["addps xmm0,[0x5011]", GP],
  ])("%s", (code, want) => {
    expect(fault(`${ENABLE}  ${code}`)).toEqual(want);
  });
});

test("the upper half: legacy code keeps it, VEX.128 and VZEROUPPER clear it", () => {
  const upper = "  vextractf128 xmm3,ymm0,1\n  vmovd eax,xmm3\n  call put\n";
  const ones = "  vpcmpeqd ymm0,ymm0,ymm0\n";
  expect(
    run(`${ENABLE}
  ${ones}  addps xmm0,xmm0\n${upper}
  ${ones}  vaddps xmm0,xmm0,xmm0\n${upper}
  ${ones}  vzeroupper\n${upper}  vmovd eax,xmm0\n  call put
  ${ones}  vzeroall\n  vmovd eax,xmm0\n  call put`),
  ).toEqual(["10=ffffffff", "10=0", "10=0", "10=ffffffff", "10=0"]);
});

/** Elements 0 and 2 lie in the guest's memory, element 1 in the 2 MiB page after it, which is not present; 3 is masked. */
const GATHER = `${ENABLE}
  mov dword [0x5000],0x11
  mov dword [0x5008],0x33
  vpcmpeqd xmm2,xmm2,xmm2
  vpsrldq xmm2,xmm2,4
  vmovdqu ymm1,[indices]
  vpcmpeqd ymm0,ymm0,ymm0
  mov ebx,0x5000
`;
const DATA = "indices: dd 0,0x1ff000,8,0,0,0,0,0";
const LOOK = `
  vmovd eax,xmm0
  call put
  vpextrd eax,xmm0,1
  call put
  vpextrd eax,xmm0,2
  call put
  vmovd eax,xmm2
  call put
  vpextrd eax,xmm2,1
  call put
  vpextrd eax,xmm2,3
  call put
  vextractf128 xmm3,ymm0,1
  vmovd eax,xmm3
  call put`;

describe("a gather that faults half-way", () => {
  test("keeps what it has, and goes on from there", () => {
    const out = run(
      `${GATHER}
  mov qword [resume],look
again:
  vpgatherdd xmm0,[rbx+xmm1],xmm2
${LOOK}
  jmp finish
look:
${LOOK}
  mov dword [0xa008],0x200087
  mov dword [0x204000],0x22
  mov dword [0x5000],0x44
  jmp again`,
      "max",
      DATA,
    );
    const [pf, error, rip, , , ...rest] = out;
    expect([pf, error, rip.slice(0, 3)]).toEqual(["10=e", "10=0", "11="]);
    expect(rest).toEqual([
      // The first element is there, and is not read again; the mask still has the other two.
      ...["10=11", "10=ffffffff", "10=ffffffff", "10=0", "10=ffffffff", "10=0", "10=0"],
      ...["10=11", "10=22", "10=33", "10=0", "10=0", "10=0", "10=0"],
    ]);
  });

  test("under single-step takes the trap in place of the fault, with RF", () => {
    const out = run(
      `${GATHER}
  mov qword [resume],look
  pushfq
  or dword [rsp],0x100
  popfq
  vpgatherdd xmm0,[rbx+xmm1],xmm2
  jmp finish
look:
${LOOK}`,
      "max",
      DATA,
    );
    expect(out.slice(0, 2)).toEqual(["10=1", "10=0"]);
    expect(out[4]).toBe("13=101");
    expect(out.slice(5)).toEqual(["10=11", "10=ffffffff", "10=ffffffff", "10=0", "10=ffffffff", "10=0", "10=0"]);
  });

  test("at its first element has changed nothing but the mask's form", () => {
    const out = run(
      `${GATHER}
  mov ebx,0x200000
  mov qword [resume],look
  vpgatherdd xmm0,[rbx+xmm1],xmm2
look:
${LOOK}`,
      "max",
      DATA,
    );
    expect(out.slice(0, 2)).toEqual(["10=e", "10=0"]);
    expect(out.slice(5)).toEqual([
      ...["10=ffffffff", "10=ffffffff", "10=ffffffff", "10=ffffffff", "10=ffffffff", "10=0", "10=ffffffff"],
    ]);
  });
});

describe("masked moves", () => {
  const elements = (store: string): string => `${ENABLE}
  vmovdqu xmm1,[mask]
  vpcmpeqd xmm0,xmm0,xmm0
  mov ebx,0x1ffff8
${store}`;
  const data = "mask: dd -1,0,0,0\nother: dd -1,0,-1,0";
  test("do not look at elements that the mask leaves out", () => {
    expect(run(`${elements("  vmaskmovps [rbx],xmm1,xmm0\n  mov eax,[rbx]\n  call put")}`, "max", data)).toEqual([
      "10=ffffffff",
    ]);
    expect(
      run(
        `${elements("  mov dword [rbx],5\n  vmaskmovps xmm0,xmm1,[rbx]\n  vmovd eax,xmm0\n  call put")}`,
        "max",
        data,
      ),
    ).toEqual(["10=5"]);
  });
  test("store nothing when an element faults", () => {
    const out = run(
      elements(`  mov dword [rbx],5
  vmovdqu xmm1,[other]
  mov qword [resume],look
  vmaskmovps [rbx],xmm1,xmm0
look:
  mov eax,[rbx]
  call put`),
      "max",
      data,
    );
    expect(out.slice(0, 2)).toEqual(["10=e", "10=2"]);
    expect(out.at(-1)).toBe("10=5");
  });
});
