/** Encodings that are easily read wrongly, as the guest sees them. */
import { beforeAll, expect, test } from "vitest";
import { loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";
import { idtGate, protectedGuest } from "./protectedGuest.ts";

beforeAll(loadCore, 180_000);

test("MOV to and from control and debug registers: ModRM.mod counts as 3, no address follows", () => {
  const r = runGuest(
    longGuest(`
  mov ebx,0x1234
  db 0x0f,0x23,0x43 ; mov dr0,rbx with mod = 1
  xor ecx,ecx
  db 0x0f,0x21,0x81 ; mov rcx,dr0 with mod = 2
  mov eax,ecx
  call put
  db 0x0f,0x20,0x04 ; mov rsp,cr0 with mod = 0, where an address would have a SIB byte
  mov eax,esp
  mov esp,0x6000
  out 0x11,eax
  mov rax,cr4
  mov rdx,rax
  db 0x0f,0x22,0x62 ; mov cr4,rdx with mod = 1
  out 0x11,eax
`),
  );
  expect([r.end, ...r.out]).toEqual(["HALT", "10=1234", "11=80010033", "11=620"]);
});

test("MOV from segment registers 6 and 7 is #UD, before any other fault", () => {
  const r = runGuest(
    longGuest(`
  mov dword [resume],second
  mov ebx,0x400000
  db 0x8c,0x33 ; mov [rbx],seg6: not mapped
second:
  mov dword [resume],finish
  db 0x8c,0xf8 ; mov eax,seg7
`),
  );
  expect([r.end, ...r.out.filter((o) => o.startsWith("10="))]).toEqual(["HALT", "10=6", "10=0", "10=6", "10=0"]);
});

test("a VEX.vvvv that names no operand must be 1111 in 32-bit code, too", () => {
  const source = protectedGuest({
    real: `  mov eax,cr4
  or eax,0x40600
  mov cr4,eax
  mov eax,cr0
  or eax,2
  mov cr0,eax`,
    idt: [idtGate(6, "ud")],
    body: `  xor ecx,ecx
  mov eax,7
  xor edx,edx
  xsetbv
  db 0xc4,0xe1,0x78,0x10,0xc1 ; vmovups xmm0,xmm1
  mov eax,1
  out 0x10,eax
  db 0xc4,0xe1,0x38,0x10,0xc1 ; the same with vvvv = 0111
  mov eax,2
  out 0x10,eax
ud:
  mov eax,6
  out 0x10,eax
  cli
  hlt`,
  });
  const r = runGuest(source);
  expect([r.end, ...r.out]).toEqual(["HALT", "10=1", "10=6"]);
});

test("F3 0F AE with memory is no XSAVE: PTWRITE is not there", () => {
  for (const rex of ["", "0x48,"]) {
    const r = runGuest(longGuest(`  mov rbx,0x7000\n  db 0xf3,${rex}0x0f,0xae,0x23\n  call put\n`));
    expect([r.end, ...r.out.slice(0, 2)]).toEqual(["HALT", "10=6", "10=0"]);
  }
});
