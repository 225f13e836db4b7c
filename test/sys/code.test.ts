/** Code that guests change: what was decoded from a page must not outlive a write to it, by whatever address. */
import { beforeAll, describe, expect, test } from "vitest";
import { STATS, VCPU } from "../../src/shared/layout.ts";
import { type GuestResult, loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";

beforeAll(loadCore, 300_000);

/** Maps the first 2 MiB once more at FFFF_FFFF_8000_0000h, where kernels run: above the place of their backing. */
const HIGH = `
  mov dword [0x9000+510*8],0xa007
  mov dword [0x8000+511*8],0x9007
  mov rdi,0xffffffff80020000
  mov rsi,0x20000
  mov rax,0xc300000001b8 ; mov eax,1 / ret`;

const CALL = `
  call rdi
  call put`;

const out = (body: string): string[] => runGuest(longGuest(HIGH + body)).out;

describe("self-modifying code at a high address", () => {
  test("a write translation made before the page held code does not bypass the check", () => {
    expect(
      out(`
  mov [rdi],rax
  mov [rdi+0x800],rax
${CALL}
  mov byte [rdi+1],2
${CALL}
  mov byte [rdi+1],3
${CALL}`),
    ).toEqual(["10=1", "10=2", "10=3"]);
  });

  test("a write by another linear address is seen", () => {
    expect(
      out(`
  mov [rsi],rax
  mov [rdi+0x800],rax
${CALL}
  mov byte [rsi+1],2
${CALL}
  mov byte [rdi+1],3
  call rsi
  call put
${CALL}`),
    ).toEqual(["10=1", "10=2", "10=3", "10=3"]);
  });

  test("a string store over code is seen, and one beside it leaves it alone", () => {
    expect(
      out(`
  mov [rdi],rax
${CALL}
  mov rbx,rdi
  lea rdi,[rbx+0x400]
  mov ecx,0x40
  mov al,0x90
  rep stosb
  mov rdi,rbx
${CALL}
  lea rdi,[rbx+1]
  mov al,7
  mov ecx,1
  rep stosb
  mov rdi,rbx
${CALL}`),
    ).toEqual(["10=1", "10=1", "10=7"]);
  });
});

/** Real-mode code that calls a function, in a page that has nothing else. */
const realGuest = (body: string): GuestResult =>
  runGuest(`
bits 16
org 0x1000
  xor ax,ax
  mov ds,ax
  mov es,ax
  mov ss,ax
  mov sp,0x8000
  cld
  jmp go
align 4096
variable: dw 0
callee: mov ax,1
  ret
after: dw 0
align 4096
go:
${body}
  cli
  hlt`);

const dropped = ({ view }: GuestResult): number => view.get(VCPU.stats, STATS.indexOf("blocksDropped"));

describe("writes beside code", () => {
  test("leave it alone, up to its last byte", () => {
    const beside = realGuest(`
  mov cx,1000
again:
  call callee
  inc word [variable]
  mov [after],cx
  loop again
  mov ax,[variable]
  out 0x10,ax`);
    expect(beside.out).toEqual(["10=3e8"]);
    expect(dropped(beside)).toBe(0);
  });

  test("are seen when they hit it", () => {
    const hit = realGuest(`
  mov si,source
again:
  call callee
  out 0x10,ax
  mov di,variable
  mov cx,2
  rep movsw
  cmp si,source+12
  jb again
  mov di,variable
  mov al,0xc3
  mov cx,8
  rep stosb
  mov ax,9
  call callee
  out 0x10,ax
  jmp done
source: dw 5, 0x02b8
  dw 6, 0x03b8
  dw 7, 0x04b8
done:`);
    // The low byte of the immediate lies behind its opcode.
    expect(hit.out).toEqual(["10=1", "10=2", "10=3", "10=9"]);
    expect(dropped(hit)).toBe(3);
  });

  test("and code that is patched before each call costs the same each time", () => {
    const patched = realGuest(`
  mov ecx,100000
  xor ebx,ebx
again:
  mov [callee+1],cx
  call callee
  add bx,ax
  dec ecx
  jnz again
  mov ax,bx
  out 0x10,ax`);
    let sum = 0;
    for (let i = 1; i <= 100_000; i++) sum = (sum + i) & 0xffff;
    expect(patched.out).toEqual([`10=${sum.toString(16)}`]);
  });
});
