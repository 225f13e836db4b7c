/** Code that guests change: what was decoded from a page must not outlive a write to it, by whatever address. */
import { beforeAll, describe, expect, test } from "vitest";
import { loadCore, runGuest } from "./guest.ts";
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
