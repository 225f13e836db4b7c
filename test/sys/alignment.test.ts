/** #AC: who is checked, what is checked, and what comes first (SDM vol. 3, 7.15, interrupt 17). */
import { beforeAll, describe, expect, test } from "vitest";
import { VCPU } from "../../src/shared/layout.ts";
import { loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";
import { idtGate, protectedGuest } from "./protectedGuest.ts";

beforeAll(loadCore, 180_000);

/** Aligned to 16, with zeros behind it. */
const DATA = 0x4000;
/** Where what is mapped ends. */
const ABSENT = 0x20_0000;
const CR2 = 0x1234_5000;
const AC = 0x4_0000;
const IF = 0x200;

interface Setting {
  /** CR0.AM. */
  am?: boolean;
  /** RFLAGS when ring 3 is entered. */
  flags?: number;
  /** Before that, in ring 0. */
  before?: string;
  cpu?: string;
}

/**
 * 64-bit code in ring 3, with alignment checks unless told otherwise. What it writes to port 20h, then 1 if it comes to its
 * end, else the exception: vector and error code, and RF, IF and TF of the frame. CR2 must stay unless there is a page
 * fault.
 */
function user(code: string, { am = true, flags = AC, before = "", cpu }: Setting = {}): string[] {
  const source = longGuest(`
  mov eax,${CR2}
  mov cr2,rax
  mov rax,cr0
  ${am ? "bts" : "btr"} rax,18
  mov cr0,rax
  mov byte [tss+0x68+0x20/8],0xfe
${before}
  push 0x23
  push 0x5000
  push ${flags | IF}
  push 0x2b
  push user
  iretq
user:
  fninit
  mov ebx,${DATA}
${code}
  mov al,1
  out 0x20,al
  ud2`);
  const { out, view, end } = runGuest(source, cpu === undefined ? {} : { cpu });
  const values = out.map((o) => o.split("="));
  const seen = values.filter(([port]) => port === "20").map(([, value]) => value);
  const [vector, error] = values.filter(([port]) => port === "10").map(([, value]) => value);
  if (vector !== "e") expect(view.get64(VCPU.cr2)).toBe(BigInt(CR2));
  expect(end).toBe("HALT");
  // Where the code ends is UD2.
  if (vector === "6") return seen;
  const at = values.find(([port]) => port === "13")?.[1];
  return [...seen, `${vector}(${error})`, `${at}`];
}

/** A fault (RF is set in its frame) with an error code of 0. */
const FAULT = ["11(0)", "102"];
const FINE = ["1"];

describe("alignment is checked", () => {
  const access = "  mov eax,[rbx+1]";
  test("in ring 3 with CR0.AM and RFLAGS.AC", () => {
    expect(user(access)).toEqual(FAULT);
    expect(user(access, { am: false })).toEqual(FINE);
    expect(user(access, { flags: 0 })).toEqual(FINE);
  });

  test("as soon as POPF sets AC, and for translations from before; not after POPF clears it", () => {
    const popf = (flags: number): string => `  push ${flags | 2}\n  popfq\n`;
    const write = "  mov al,2\n  out 0x20,al\n";
    expect(user(`${access}\n${write}${popf(AC)}${access}`, { flags: 0 })).toEqual(["2", ...FAULT]);
    expect(user(`${popf(AC)}  mov eax,[rbx+4]\n${write}${access}`, { flags: 0 })).toEqual(["2", ...FAULT]);
    expect(user(`${popf(0)}${access}`)).toEqual(FINE);
  });

  test("not in ring 0, whatever AM and AC are; AC goes along into its handlers", () => {
    const body = `  mov rax,cr0
  bts rax,18
  mov cr0,rax
  push ${AC | 2}
  popfq
  mov qword [resume],handler
  mov eax,[0x4001]
  mov eax,1
  call put
  int 0x40
handler:
  pushfq
  pop rax
  and eax,${AC}
  call put
  mov eax,[0x4001]
  mov eax,2
  call put`;
    const { out } = runGuest(longGuest(body));
    const written = out.filter((o) => o.startsWith("10=")).map((o) => o.slice(3));
    expect(written).toEqual(["1", "40", "0", AC.toString(16), "2"]);
  });

  /** 32-bit code at this privilege level with AM and AC: what it writes, or the exception. */
  const ring = (level: number): string[] => {
    const type = (ar: number): string => (ar + (level << 5)).toString(16);
    const { out, end } = runGuest(
      protectedGuest({
        gdt: `  dq 0x00cf${type(0x9b)}000000ffff,0x00cf${type(0x93)}000000ffff
  dw 0x67,tss
  db 0,0x89,0,0`,
        tr: 0x28,
        idt: [idtGate(17, "h17"), idtGate(0x40, "h40", 0xee)],
        body: `  mov eax,cr0
  bts eax,18
  mov cr0,eax
  push ${0x20 + level}
  push 0x5000
  push ${AC | 2}
  push ${0x18 + level}
  push there
  iretd
there:
  mov eax,[ss:0x4001]
  int 0x40
h17:
  mov al,17
  out 0x10,al
  hlt
h40:
  mov al,0x40
  out 0x10,al
  hlt
align 4
tss: dd 0,0x7000,0x10
  times 0x68-12 db 0`,
      }),
    );
    return [...out, end];
  };
  test("nor in rings 1 and 2", () => {
    expect([1, 2, 3].map(ring)).toEqual([
      ["10=40", "HALT"],
      ["10=40", "HALT"],
      ["10=11", "HALT"],
    ]);
  });

  test("in virtual-8086 mode", () => {
    const { out, end } = runGuest(
      protectedGuest({
        gdt: "  dw 0x67,tss\n  db 0,0x89,0,0",
        tr: 0x18,
        idt: [idtGate(13, "h13"), idtGate(17, "h17")],
        body: `  mov eax,cr0
  bts eax,18
  mov cr0,eax
  push 0
  push 0
  push 0
  push 0
  push 0x300
  push 0x1000
  push ${0x2_0000 | AC | 2}
  push 0x100
  push in86-0x1000
  iretd
bits 16
in86:
  mov ax,[0x4002]
  mov ax,[0x4001]
  hlt
bits 32
h13: mov al,13
  jmp report
h17: pop eax
  out 0x10,eax
  mov al,17
report: out 0x10,al
  mov eax,[esp]
  sub eax,in86-0x1000
  out 0x11,al
  hlt
align 4
tss: dd 0,0x7000,0x10
  times 0x68-12 db 0`,
      }),
    );
    expect([...out, end]).toEqual(["10=0", "10=11", "11=3", "HALT"]);
  });
});

describe("what is aligned to what (SDM vol. 3, table 7-7)", () => {
  const OFFSETS = [0, 1, 2, 4, 6, 8];
  /** Those at which it does not fault. */
  const fine = (instruction: string, setting: Setting = {}): number[] =>
    OFFSETS.filter((i) => {
      const seen = user(`  add ebx,${i}\n  ${instruction}`, setting);
      if (seen.at(-1) !== "1") expect(seen).toEqual(FAULT);
      return seen.at(-1) === "1";
    });
  const every = (n: number): number[] => OFFSETS.filter((i) => i % n === 0);

  test("integers, to their size; bytes and strings of bytes not at all", () => {
    expect(fine("mov al,[rbx]")).toEqual(every(1));
    expect(fine("mov ax,[rbx]")).toEqual(every(2));
    expect(fine("add [rbx],eax")).toEqual(every(4));
    expect(fine("lock xadd [rbx],rax")).toEqual(every(8));
    expect(fine("lea rdi,[rbx]\n  mov ecx,5\n  rep stosb")).toEqual(every(1));
    expect(fine("lea rdi,[rbx]\n  mov ecx,5\n  rep stosd")).toEqual(every(4));
  });

  test("the stack, too", () => {
    expect(fine("mov rsp,rbx\n  push rax")).toEqual(every(8));
    expect(fine("mov rsp,rbx\n  pop ax")).toEqual(every(2));
    expect(fine("mov rsp,rbx\n  enter 0,0")).toEqual(every(8));
  });

  test("x87 operands to 8 or 4, the environment to its words", () => {
    expect(fine("fld dword [rbx]\n  fstp st0")).toEqual(every(4));
    expect(fine("fld qword [rbx]\n  fstp st0")).toEqual(every(8));
    expect(fine("fld tword [rbx]\n  fstp st0")).toEqual(every(8));
    expect(fine("fnstenv [rbx]")).toEqual(every(4));
    expect(fine("fnsave [rbx]")).toEqual(every(4));
  });

  test("vectors that may lie anywhere, not at all; their parts are", () => {
    expect(fine("movups xmm0,[rbx]")).toEqual(every(1));
    expect(fine("movdqu [rbx],xmm0")).toEqual(every(1));
    expect(fine("movsd xmm0,[rbx]")).toEqual(every(8));
    expect(fine("movss xmm0,[rbx]")).toEqual(every(4));
  });

  test("a table register's image is a word and an address", () => {
    expect(fine("sgdt [rbx]", { cpu: "max,-umip" })).toEqual([6]);
    expect(fine("sldt [rbx]", { cpu: "max,-umip" })).toEqual(every(2));
  });

  test("vectors that must be aligned are #GP, the areas of FXSAVE and XSAVE #AC or #GP", () => {
    const GP = ["d(0)", "102"];
    expect(user("  movaps xmm0,[rbx+1]")).toEqual(GP);
    expect(user("  cmpxchg16b [rbx+8]")).toEqual(GP);
    expect(user("  fxsave [rbx+2]")).toEqual(FAULT);
    expect(user("  fxsave [rbx+8]")).toEqual(GP);
    expect(user("  fxsave [rbx+2]", { flags: 0 })).toEqual(GP);
    const before = "  mov rax,cr4\n  bts rax,18\n  mov cr4,rax\n";
    expect(user("  mov eax,3\n  xor edx,edx\n  xsave [rbx+2]", { before })).toEqual(FAULT);
    expect(user("  mov eax,3\n  xor edx,edx\n  xsave [rbx+32]", { before })).toEqual(GP);
  });
});

describe("order", () => {
  test("#AC comes before the page fault, also of what crosses into it", () => {
    expect(user(`  mov eax,[${ABSENT}+1]`)).toEqual(FAULT);
    expect(user(`  mov eax,[${ABSENT}-2]`)).toEqual(FAULT);
    expect(user(`  mov eax,[${ABSENT}]`)).toEqual(["e(4)", "102"]);
    expect(user(`  mov eax,[${ABSENT}+1]`, { flags: 0 })).toEqual(["e(4)", "102"]);
  });

  test("#GP and #SS of an address come before it", () => {
    expect(user("  mov rax,0x800000000001\n  mov eax,[rax]")).toEqual(["d(0)", "102"]);
    expect(user("  mov rbp,0x800000000001\n  mov eax,[rbp]")).toEqual(["c(0)", "102"]);
    // An aligned piece is in order, the next one is not.
    expect(user("  mov rax,0x7ffffffffffd\n  mov eax,[rax]")).toEqual(FAULT);
  });
});

describe("the CPU's own accesses are not checked", () => {
  /** GDT and IDT move by one byte, ring 0's stack by three. */
  const move = `  mov esi,gdt
  mov edi,0x10001
  mov ecx,0x40
  rep movsb
  mov esi,0xc000
  mov edi,0x11001
  mov ecx,0x1000
  rep movsb
  mov dword [gdtr+2],0x10001
  mov dword [idtr+2],0x11001
  mov word [0x4100],0x3f
  mov qword [0x4102],0x10001
  lgdt [0x4100]
  mov word [0x4110],0xfff
  mov qword [0x4112],0x11001
  lidt [0x4110]
  mov qword [tss+4],0x7003
`;
  test("descriptors, for loads and for LAR and LSL", () => {
    const code = "  mov eax,0x23\n  mov ds,eax\n  mov es,eax\n  lar eax,eax\n  mov ecx,0x23\n  lsl ecx,ecx\n  verr cx";
    expect(user(code, { before: move })).toEqual(FINE);
  });

  test("gates, and the frame of an exception", () => {
    expect(user("  ud2", { before: move })).toEqual([]);
    expect(user("  mov eax,[rbx+1]", { before: move })).toEqual(FAULT);
  });

  test("the I/O permission bitmap, two bytes wherever they lie", () => {
    const before = "  mov word [tss+0x68+0x2f/8],0\n";
    expect(user("  mov al,3\n  out 0x2f,al", { before }).at(-1)).toBe("1");
  });
});
