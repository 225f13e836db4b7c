/** 32-bit protected mode and virtual-8086 mode: gates, stacks of inner levels, returns to outer ones. */
import { beforeAll, expect, test } from "vitest";
import { loadCore, runGuest } from "./guest.ts";
import { idtGate, protectedGuest, taskGate } from "./protectedGuest.ts";

beforeAll(loadCore, 180_000);

/**
 * A 32-bit guest in ring 0. Selectors: 08 code, 10 data, 1b user code, 23 user data, 28 TSS, 33 a call gate to `gate`
 * with two parameters, 38 a task gate. Exceptions 6 and 13 and interrupts 40h (DPL 3), 41h come to `handler`, which writes
 * number, error code (0 if there is none), CS and ESP to port 10h and goes to [resume] on the same stack.
 */
const guest = (body: string, gate = ""): string =>
  protectedGuest({
    gdt: `  dq 0x00cffb000000ffff,0x00cff3000000ffff
  dw 0x67,tss
  db 0,0x89,0,0
  dw gate,8
  db 2,0xec,0,0
  dw 0,0x28,0xe500,0`,
    tr: 0x28,
    idt: [idtGate(6, "h6"), idtGate(13, "h13"), idtGate(0x40, "h40", 0xee), taskGate(0x41, 8)],
    body: `  mov dword [tss+4],0x7000
  mov dword [tss+8],0x10
  mov word [tss+0x66],0x68
${body}
finish:
  cli
  hlt
user:
  push 0x23
  push 0x5000
  push 0x3002
  push 0x1b
  push dword [resume]
  mov dword [resume],finish
  iretd
put:
  out 0x10,eax
  ret
h6: push 0
  push 6
  jmp handler
h40: push 0
  push 0x40
  jmp handler
h13: push 13
handler:
  pop eax
  call put
  pop eax
  call put
  mov eax,[esp+4]
  call put
  mov eax,esp
  call put
  mov eax,0x10
  mov ds,eax
  mov eax,[resume]
  jmp eax
gate:
${gate}
align 4
resume: dd finish
tss: times 0x68 db 0
  db 0xff`,
  });

test("a call gate copies parameters to the inner stack; RET n gives both back", () => {
  const r = runGuest(
    guest(
      `
  mov dword [resume],outer
  jmp user
outer:
  push 0x11
  push 0x22
  call 0x33:0
  mov eax,esp
  call put
  mov eax,cs
  call put
  ud2`,
      `
  mov eax,[esp+8]
  call put
  mov eax,[esp+12]
  call put
  mov eax,[esp+16]
  call put
  mov eax,esp
  call put
  mov eax,cs
  call put
  retf 8`,
    ),
  );
  expect(r.out.map((o) => o.slice(3))).toEqual(["22", "11", "4ff8", "6fe8", "8", "5000", "1b", "6", "0", "1b", "6fec"]);
});

test("an interrupt from ring 3 takes SS:ESP from the TSS, from ring 0 keeps the stack", () => {
  expect(
    runGuest(
      guest(`
  mov dword [resume],outer
  jmp user
outer: int 0x40`),
    ).out.map((o) => o.slice(3)),
  ).toEqual(["40", "0", "1b", "6fec"]);
  expect(runGuest(guest("  int 0x40")).out.map((o) => o.slice(3))).toEqual(["40", "0", "8", "5ff4"]);
});

test("segment limits: an access beyond one is #GP(0), a selector beyond the table #GP(selector)", () => {
  expect(
    runGuest(guest("  mov eax,0x43\n  mov fs,eax"))
      .out.map((o) => o.slice(3))
      .slice(0, 2),
  ).toEqual(["d", "40"]);
  expect(
    runGuest(
      guest(
        "  mov word [gdt+0x10],0xff\n  mov byte [gdt+0x16],0x40\n  mov eax,0x10\n  mov fs,eax\n  mov al,[fs:0xff]\n  mov al,[fs:0x100]",
      ),
    )
      .out.map((o) => o.slice(3))
      .slice(0, 2),
  ).toEqual(["d", "0"]);
});

const v86 = (flags: number, code: string): string =>
  guest(`
  mov dword [resume],finish
  push 0x111
  push 0x222
  push 0x333
  push 0x300
  push 0x400
  push 0x1000
  push ${flags}
  push 0x100
  push in86-0x1000
  iretd
bits 16
in86:
${code}
bits 32
`);

test("virtual-8086 mode: segments are pushed, and IOPL decides about CLI", () => {
  const r = runGuest(v86(0x2_0002, "  mov ax,ds\n  cli"));
  // GS FS DS ES SS ESP EFLAGS CS EIP below 7000h; the handler has popped the error code.
  expect(r.out.map((o) => o.slice(3))).toEqual(["d", "0", "100", "6fdc"]);
  const allowed = runGuest(v86(0x2_3002, "  cli\n  mov ax,ds\n  out 0x10,ax\n  ud2"));
  expect(allowed.out[0]).toBe("10=d"); // the I/O bitmap counts in this mode whatever IOPL is
  const bitmap = runGuest(v86(0x2_3002, "  cli\n  mov ax,ds\n  int 0x40"));
  expect(bitmap.out.map((o) => o.slice(3))).toEqual(["40", "0", "100", "6fdc"]);
});

test("a far pointer is only read: CALL and JMP through CS", () => {
  const r = runGuest(guest("  jmp far [cs:pointer]\npointer: dd there\n  dw 8\nthere: mov eax,0x55\n  call put"));
  expect(r.out).toEqual(["10=55"]);
});

test("ARPL writes only what changes", () => {
  // A read-only segment at selector 13h's place in a GDT of the test's own.
  const body = (value: number) => `  mov byte [gdt+0x15],0x91
  mov eax,0x10
  mov fs,eax
  mov ecx,2
  mov word [0x9000],${value}
  arpl [fs:0x9000],cx
  setz al
  movzx eax,al
  call put
  movzx eax,word [0x9000]
  call put`;
  expect(runGuest(guest(body(3))).out.map((o) => o.slice(3))).toEqual(["0", "3"]);
  expect(
    runGuest(guest(body(1)))
      .out.map((o) => o.slice(3))
      .slice(0, 2),
  ).toEqual(["d", "0"]);
});

test("a page directory's accessed bit comes with a translation, not with a fault", () => {
  const body = (pte: number) => `  mov edi,0x10000
  mov eax,7
fill: mov [edi],eax
  add eax,0x1000
  add edi,4
  cmp edi,0x11000
  jb fill
  mov dword [0x11000],0x10007
  mov dword [0x11004],0x12007
  mov dword [0x12000],${pte}
  mov dword [0x8000+14*8],0x80000+h13
  mov dword [0x8000+14*8+4],0x8e00
  mov eax,0x11000
  mov cr3,eax
  mov eax,cr0
  or eax,0x80000000
  mov cr0,eax
  mov dword [resume],after
  mov eax,[0x400000]
after: movzx eax,byte [0x11004]
  call put
  movzx eax,byte [0x12000]
  call put`;
  const last = (pte: number) =>
    runGuest(guest(body(pte)), { ram: 0x80_0000 })
      .out.slice(-2)
      .map((o) => o.slice(3));
  expect(last(0x2006)).toEqual(["7", "6"]);
  expect(last(0x2007)).toEqual(["27", "27"]);
});
