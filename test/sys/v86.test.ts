/** The virtual interrupt flag and the redirection of INT n: CR4.VME in virtual-8086 mode, CR4.PVI in ring 3 (SDM vol. 3, 21). */
import { beforeAll, describe, expect, test } from "vitest";
import { loadCore, runGuest } from "./guest.ts";
import { idtGate, protectedGuest } from "./protectedGuest.ts";

beforeAll(loadCore, 180_000);

const VME = 1;
const PVI = 2;
const IF = 0x200;
const VM = 0x2_0000;
const VIF = 0x8_0000;
const VIP = 0x10_0000;
const iopl = (n: number): number => n << 12;

/**
 * Enters `code` in ring 3 with these flags: 16-bit at 0100:0 + its place when VM is set, else 32-bit. Selectors: 08 code,
 * 10 data, 1b user code, 23 user data, 28 TSS. #GP (13) and INT 40h write vector, RIP - in3 (for #GP), EFLAGS and end.
 * INT 41h's bit in the redirection bitmap is clear, 40h's is set; its 8086 handler is `in86` (16-bit code). INT 40h's
 * gate has DPL 3.
 */
const run = (cr4: number, flags: number, code: string, in86 = ""): string[] => {
  const bits = flags & VM ? 16 : 32;
  const r = runGuest(
    protectedGuest({
      real: `  mov word [0x41*4],handler86-0x1000
  mov word [0x41*4+2],0x100
  mov eax,${cr4}
  mov cr4,eax`,
      gdt: `  dq 0x00cffb000000ffff,0x00cff3000000ffff
  dw 0x90,tss
  db 0,0x89,0,0`,
      tr: 0x28,
      idt: [idtGate(13, "h13"), idtGate(0x40, "h40", 0xee), idtGate(0x41, "h40", 0xee)],
      body: `  push 0
  push 0
  push ${bits === 16 ? 0 : "0x23"}
  push ${bits === 16 ? 0 : "0x23"}
  push ${bits === 16 ? "0x300" : "0x23"}
  push 0x1000
  push ${flags | 2}
  push ${bits === 16 ? "0x100" : "0x1b"}
  push ${bits === 16 ? "in3-0x1000" : "in3"}
  iretd
bits ${bits}
in3:
${code}
bits 16
handler86:
${in86}
bits 32
h40: push 0x40
  jmp report
h13: mov [esp],dword 13
report: pop eax
  out 0x10,eax
  mov eax,[esp]
  sub eax,in3${bits === 16 ? "-0x1000" : ""}
  out 0x11,eax
  mov eax,[esp+8]
  out 0x12,eax
  cli
  hlt
align 4
tss: dd 0,0x7000,0x10
  times 0x66-12 db 0
  dw 0x88
; Redirection of INT 0 to 255: all but 41h go through the IDT.
  times 8 db 0xff
  db 0xfd
  times 23 db 0xff
  times 16 db 0xff`,
    }),
  );
  const value = (port: number) =>
    r.out.filter((o) => o.startsWith(`${port.toString(16)}=`)).map((o) => Number.parseInt(o.slice(3), 16));
  return [
    ...value(0x10).map(
      (v, i) => `${v.toString(16)}@${value(0x11)[i] & 0xffff}:${(value(0x12)[i] & ~0x1_00d7).toString(16)}`,
    ),
    r.end,
  ];
};

/** Ends with INT 40h, which shows EFLAGS (without the arithmetic ones and RF). */
const show = (code: string): string => `${code}\n  int 0x40`;
const seen = (at: number, flags: number, vector = "40"): string[] => [`${vector}@${at}:${flags.toString(16)}`, "HALT"];

describe("CR4.VME below IOPL 3", () => {
  test("CLI and STI change VIF; a pending interrupt faults STI", () => {
    // INT n itself needs IOPL 3, so a #GP shows the flags.
    expect(run(VME, VM | VIF, "  cli\n  hlt")).toEqual(seen(1, VM, "d"));
    expect(run(VME, VM, "  sti\n  hlt")).toEqual(seen(1, VM | VIF, "d"));
    expect(run(VME, VM | VIP, "  sti\n  hlt")).toEqual(seen(0, VM | VIP, "d"));
    expect(run(0, VM, "  cli\n  hlt")).toEqual(seen(0, VM, "d"));
  });

  test("PUSHF shows VIF as IF and IOPL 3; POPF takes it back", () => {
    // The image goes to DS, where the #GP handler does not look: through POPF with VIF cleared in between.
    expect(
      run(VME, VM | VIF, "  pushf\n  pop ax\n  and ax,0x3200\n  cmp ax,0x3200\n  jne bad\n  hlt\nbad: cli\n  hlt"),
    ).toEqual(seen(10, VM | VIF, "d"));
    expect(run(VME, VM | VIF, "  push word 0\n  popf\n  hlt")).toEqual(seen(3, VM, "d"));
    expect(run(VME, VM, "  push word 0x200\n  popf\n  hlt")).toEqual(seen(4, VM | VIF, "d"));
    expect(run(VME, VM | VIP, "  push word 0x200\n  popf\n  hlt")).toEqual(seen(3, VM | VIP, "d"));
    expect(run(VME, VM, "  push word 0x100\n  popf\n  hlt")).toEqual(seen(3, VM, "d"));
    expect(run(VME, VM, "  pushfd\n  hlt")).toEqual(seen(0, VM, "d"));
    expect(run(0, VM, "  pushf\n  hlt")).toEqual(seen(0, VM, "d"));
  });

  test("INT n with a clear bit goes to the program's handler, and IRET comes back", () => {
    // The handler runs with VIF clear, and sees the pushed image with IF from VIF.
    const handler = "  mov bp,sp\n  mov ax,[bp+4]\n  and ax,0x3200\n  cmp ax,0x3200\n  jne wrong\n  iret\nwrong: hlt";
    expect(run(VME, VM | VIF, "  int 0x41\n  hlt", handler)).toEqual(seen(2, VM | VIF, "d"));
    expect(run(VME, VM | VIF, "  int 0x41\n  hlt", "  hlt")[0]).toMatch(/:20000$/);
    // A set bit leaves the decision to IOPL.
    expect(run(VME, VM, "  int 0x40\n  hlt")).toEqual(seen(0, VM, "d"));
    expect(run(0, VM, "  int 0x41\n  hlt")).toEqual(seen(0, VM, "d"));
  });
});

test("with IOPL 3 IF is the real one, and INT n is still redirected", () => {
  expect(run(VME, VM | iopl(3) | IF, show("  cli"))).toEqual(seen(3, VM | iopl(3)));
  expect(run(VME, VM | iopl(3) | IF, show("  int 0x41\n"), "  iret")).toEqual(seen(4, VM | iopl(3) | IF));
  expect(run(0, VM | iopl(3) | IF, "  int 0x41\n  hlt", "  iret")).toEqual(seen(2, VM | iopl(3) | IF));
});

test("CR4.PVI: CLI and STI in ring 3 change VIF, PUSHF and POPF do not know of it", () => {
  expect(run(PVI, VIF, show("  cli"))).toEqual(seen(3, 0));
  expect(run(PVI, 0, show("  sti"))).toEqual(seen(3, VIF));
  expect(run(PVI, VIP, "  sti")).toEqual(seen(0, VIP, "d"));
  expect(run(PVI, 0, show("  push 0x200\n  popf"))).toEqual(seen(8, 0));
  expect(run(0, 0, "  sti")).toEqual(seen(0, 0, "d"));
});
