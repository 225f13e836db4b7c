/** Hardware task switches: what is saved, loaded and checked, and in which task a fault is met (SDM vol. 3, chapter 8). */
import { beforeAll, describe, expect, test } from "vitest";
import { loadCore, runGuest } from "./guest.ts";
import { idtGate, protectedGuest, taskGate } from "./protectedGuest.ts";

beforeAll(loadCore, 180_000);

/**
 * A 32-bit guest in ring 0. Selectors: 08 code, 10 data, 18 TSS of the running task (`a`), 20 TSS `b`, 28 a task gate to
 * b, 30 a 16-bit TSS `n`, 38 an LDT, 40 user code, 48 user data, 50 a 16-bit stack. Task b starts at `tb`, n at `tn`.
 * Exceptions 1, 10 to 13 note "vector error TR" and end. Interrupt 40h and exception 14 have task gates to b.
 */
const guest = (body: string, tb = "", tn = ""): string =>
  protectedGuest({
    gdt: `  dw 0x67,a
  db 0,0x89,0,0
  dw 0x67,b
  db 0,0x89,0,0
  dw 0,0x20,0x8500,0
  dw 0x2b,n
  db 0,0x81,0,0
  dw 7,ldt
  db 0,0x82,0,0
  dq 0x00cffb000000ffff,0x00cff3000000ffff,0x000093000000ffff`,
    tr: 0x18,
    idt: [
      ...[1, 10, 11, 12, 13].map((vector) => idtGate(vector, `h${vector}`)),
      taskGate(14, 0x20),
      taskGate(0x40, 0x20),
    ],
    body: `${body}
finish:
  cli
  hlt
put:
  out 0x10,eax
  ret
h1: push 0
  push 1
  jmp handler
h10: push 10
  jmp handler
h11: push 11
  jmp handler
h12: push 12
  jmp handler
h13: push 13
handler:
  pop eax
  call put
  pop eax
  call put
  str eax
  call put
  jmp finish
tb:
${tb}
  jmp finish
tn:
${tn}
  jmp finish
align 4
ldt: dq 0x00cf93000000ffff
a: times 0x68 db 0
b: dd 0,0,0,0,0,0,0,0,tb,0x2002,0xb0,0xb1,0xb2,0xb3,0x5000,0xb5,0xb6,0xb7,0x10,8,0x10,0x10,0,0,0
  dw 0,0x68
n: dw 0,0,0,0,0,0,0,tn,2,0x10,0x11,0x12,0x13,0x4000,0x15,0x16,0x17,0x10,8,0x50,0x10,0
  dw 0`,
  });

const out = (body: string, tb = "", tn = ""): string[] => {
  const r = runGuest(guest(body, tb, tn), { ram: 0x80_0000 });
  return [...r.out.map((o) => o.slice(o.indexOf("=") + 1)), ...(r.end === "HALT" ? [] : [r.end])];
};
const put = (what: string): string => `  mov eax,${what}\n  call put\n`;
/** Type byte of a descriptor, busy bit included. */
const type = (selector: number): string => `  movzx eax,byte [gdt+${selector + 5}]\n  call put\n`;

describe("a switch", () => {
  test("by CALL nests: link, NT, TS, busy; IRET comes back, and the task goes on where it was", () => {
    const body = `  mov ebx,0x1234
  call 0x20:0x55555555
${put("ebx")}${type(0x20)}  call 0x20:0
${put("ebx")}  mov eax,cr0
  and eax,8
  call put`;
    const tb = `${put("ebx")}  movzx eax,word [b]
  call put
  pushf
  pop eax
  and eax,0x7000
  call put
${type(0x18)}${type(0x20)}  mov ebx,0x99
  iretd
${put("ebx")}${put("[a+0x34]")}  iretd`;
    expect(out(body, tb)).toEqual(["b3", "18", "6000", "8b", "8b", "1234", "89", "99", "1234", "1234", "8"]);
  });

  test("by JMP and by a task gate", () => {
    const body = `  mov dword [a+0x4c],0\n  jmp 0x28:0\n${type(0x20)}${type(0x18)}`;
    const tb = `${type(0x18)}${type(0x20)}  movzx eax,word [b]
  call put
  pushf
  pop eax
  and eax,0x7000
  call put
${put("[a+0x4c]")}  jmp 0x18:0`;
    expect(out(body, tb)).toEqual(["89", "8b", "0", "2000", "8", "89", "8b"]);
  });

  test("by an interrupt and by an exception, whose error code is on the new stack", () => {
    expect(out(`  int 0x40\n${put("0x77")}`, `${put("esp")}  iretd`)).toEqual(["5000", "77"]);
    const paging = `  mov edi,0x10000
  mov eax,7
fill: mov [edi],eax
  add eax,0x1000
  add edi,4
  cmp edi,0x11000
  jb fill
  mov dword [0x11000],0x10007
  mov eax,0x11000
  mov cr3,eax
  mov [b+0x1c],eax
  mov eax,cr0
  or eax,0x80000000
  mov cr0,eax
  mov dword [0x400000],1
`;
    const handler = "  pop eax\n  call put\n  mov eax,cr2\n  call put\n  mov eax,[a+0x20]\n  call put\n  jmp finish";
    const [error, cr2, eip] = out(paging, handler);
    expect([error, cr2, Number.parseInt(eip, 16) > 0x1000]).toEqual(["2", "400000", true]);
  });

  test("to a 16-bit TSS and back", () => {
    const body = `  mov ecx,0x12345678
  mov fs,[ten]
  call 0x30:0
${put("ecx")}${put("fs")}  jmp finish
ten: dd 0x10`;
    const tn = `${put("esp")}${put("fs")}  movzx eax,word [n]\n  call put\n  iretd`;
    expect(out(body, "", tn)).toEqual(["ffff4000", "0", "18", "12345678", "10"]);
  });

  test("to virtual-8086 mode, and by a fault's task gate out of it", () => {
    const body = `  mov dword [b+0x24],0x20002
  mov dword [b+0x4c],0x100
  mov dword [b+0x20],in86-0x1000
  mov dword [b+0x54],0x222
  mov dword [0x8000+13*8],0x300000
  mov dword [0x8000+13*8+4],0x8500
  jmp 0x20:0
in86: db 0x8c,0xd8,0xfa`;
    // MOV AX,DS; CLI, which IOPL forbids: #GP(0) to task n, with b's EIP, AX and VM in its TSS.
    const tn = `  xor eax,eax
  pop ax
  call put
  movzx eax,word [n]
  call put
${put("[b+0x28]")}  mov eax,[b+0x20]
  sub eax,in86-0x1000
  call put
${put("[b+0x24]")}`;
    expect(out(body, "", tn).map((v) => Number.parseInt(v, 16) & 0x3ffff)).toEqual([0, 0x20, 0x222, 2, 0x30002]);
  });

  test("L0 to L3 go, G0 to G3 stay; the T bit traps before the first instruction", () => {
    const body = `  mov eax,0x4ff
  mov dr7,eax
  call 0x20:0
  mov word [b+0x64],1
  mov dword [b+0x20],tb
  jmp 0x20:0`;
    const r = out(body, "  mov eax,dr7\n  call put\n  xor eax,eax\n  mov dr7,eax\n  iretd");
    expect(r).toEqual(["4aa", "1", "0", "20"]);
  });
});

describe("faults", () => {
  /** The switch to b that `change` has spoilt: vector, error code, TR. */
  const spoilt = (change: string, how = "call 0x20:0"): string => out(`${change}\n  ${how}`).join(" ");

  test("about the TSS descriptor are the old task's", () => {
    expect(spoilt("  mov byte [gdt+0x25],0x8b")).toBe("d 20 18");
    expect(spoilt("  mov byte [gdt+0x25],0x09")).toBe("b 20 18");
    expect(spoilt("  mov byte [gdt+0x20],0x66")).toBe("a 20 18");
    expect(spoilt("  mov byte [gdt+0x30],0x2a", "call 0x30:0")).toBe("a 30 18");
    expect(spoilt("", "call 0x18:0")).toBe("d 18 18");
    // Through a gate: not to an LDT's selector, not beyond the GDT; EXT for an exception, not for INT n.
    expect(spoilt("  mov byte [gdt+0x2a],0x24", "jmp 0x28:0")).toBe("d 24 18");
    const idtGate = (vector: number) =>
      `  mov dword [0x8000+${vector}*8],0x580000\n  mov dword [0x8000+${vector}*8+4],0x8500`;
    expect(spoilt(idtGate(0x40), "int 0x40")).toBe("d 58 18");
    expect(spoilt(idtGate(6), "ud2")).toBe("d 59 18");
  });

  test("IRET wants a busy TSS, and says #TS", () => {
    const nested = "  pushf\n  or dword [esp],0x4000\n  popf\n";
    expect(spoilt(`${nested}  mov word [a],0x20`, "iretd")).toBe("a 20 18");
    expect(spoilt(`${nested}  mov word [a],0x10`, "iretd")).toBe("a 10 18");
    expect(spoilt(`${nested}  mov word [a],0`, "iretd")).toBe("a 0 18");
  });

  /** The same with a task gate for the faults that leave no stack: task n notes error code, the task that met it. */
  const inTask = (vector: number, change: string, how = "call 0x20:0"): string =>
    out(
      `  mov dword [0x8000+${vector}*8],0x300000\n  mov dword [0x8000+${vector}*8+4],0x8500\n${change}\n  ${how}`,
      "",
      "  xor eax,eax\n  pop ax\n  call put\n  movzx eax,word [n]\n  call put",
    ).join(" ");
  const field = (at: number, value: number) => `  mov dword [b+${at}],${value}\n`;
  const ES = 0x48;
  const CS = 0x4c;
  const SS = 0x50;
  const DS = 0x54;
  const LDT = 0x60;

  test("about its CS: code, with the RPL of its DPL, present", () => {
    expect(inTask(10, field(CS, 0x10))).toBe("10 20");
    expect(inTask(10, field(CS, 0))).toBe("0 20");
    expect(inTask(10, field(CS, 0x40))).toBe("40 20");
    expect(inTask(10, field(CS, 0x80))).toBe("80 20");
    expect(inTask(11, `${field(CS, 0x43)}  mov byte [gdt+0x45],0x7b`)).toBe("40 20");
  });

  test("about its SS: writable, with RPL and DPL of the CPL, present", () => {
    expect(inTask(10, field(SS, 8))).toBe("8 20");
    expect(inTask(10, field(SS, 0))).toBe("0 20");
    expect(inTask(10, field(SS, 0x4b))).toBe("48 20");
    expect(inTask(10, field(SS, 0x11))).toBe("10 20");
    expect(inTask(12, `${field(SS, 0x48)}  mov byte [gdt+0x4d],0x13`)).toBe("48 20");
  });

  test("about its data segments and LDT", () => {
    expect(spoilt(field(DS, 0x18))).toBe("a 18 20");
    expect(spoilt(field(ES, 0x5b))).toBe("a 58 20");
    expect(spoilt(`${field(DS, 0x48)}  mov byte [gdt+0x4d],0x73`)).toBe("b 48 20");
    expect(spoilt(field(DS, 0))).toBe("");
    expect(inTask(10, field(LDT, 0x10))).toBe("10 20");
    expect(inTask(10, `${field(LDT, 0x38)}  mov byte [gdt+0x3d],2`)).toBe("38 20");
    expect(spoilt(field(LDT, 0x38) + field(DS, 4))).toBe("");
    expect(inTask(10, field(DS, 4))).toBe("4 20");
  });

  test("about an exception's error code and EIP", () => {
    expect(
      spoilt(
        field(0x20, 0x9000) +
          "  mov word [gdt+0x40],8\n  mov byte [gdt+0x45],0x9b\n  mov byte [gdt+0x46],0x40\n" +
          field(CS, 0x40),
      ),
    ).toBe("d 0 20");
    // #GP of a selector, to task b, whose stack segment ends below ESP: #SS there, and two of them make #DF.
    const small =
      "  mov dword [0x8000+13*8],0x200000\n  mov dword [0x8000+13*8+4],0x8500\n  mov word [gdt+0x48],0xff\n  mov byte [gdt+0x4d],0x93\n  mov byte [gdt+0x4e],0x40\n";
    expect(
      out(
        `${small}${field(SS, 0x48)}  mov dword [0x8000+8*8],0x300000\n  mov dword [0x8000+8*8+4],0x8500\n  mov eax,0x80\n  mov es,eax`,
        "",
        "  movzx eax,word [n]\n  call put",
      ).join(" "),
    ).toBe("20");
  });
});

describe("PAE paging", () => {
  /** Identity maps of the first 4 MiB by PDPTEs at 3_0000h, and at 4_0000h, where [40_0000h] is what lies at 60_0000h. */
  const paging = (more: string): string => `
  mov dword [0x30000],0x31001
  mov dword [0x31000],0x83
  mov dword [0x31008],0x200083
  mov dword [0x31010],0x400083
  mov dword [0x40000],0x41001
  mov dword [0x41000],0x83
  mov dword [0x41008],0x200083
  mov dword [0x41010],0x600083
  mov dword [0x400000],0xa
  mov dword [0x600000],0xb
  mov dword [b+28],0x40000
  mov dword [a+28],0x30000
${more}
  mov eax,0x30000
  mov cr3,eax
  mov eax,cr4
  or al,0x20
  mov cr4,eax
  mov eax,cr0
  or eax,0x80000000
  mov cr0,eax
`;
  test("loads the new task's PDPTEs", () => {
    const see = put("[0x400000]");
    expect(out(`${paging("")}${see}  call 0x20:0\n${see}`, `${see}  iretd`)).toEqual(["a", "b", "a"]);
  });
  test("reserved bits in them are the new task's #GP", () => {
    const gate =
      "  mov dword [0x8000+13*8],0x300000\n  mov dword [0x8000+13*8+4],0x8500\n  mov dword [0x40000],0x41003\n";
    const note = "  xor eax,eax\n  pop ax\n  call put\n  movzx eax,word [n]\n  call put";
    expect(out(`${paging(gate)}  call 0x20:0\n`, "", note)).toEqual(["0", "20"]);
  });
});
