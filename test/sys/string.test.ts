/** Repeated string instructions between their elements. */
import { beforeAll, expect, test } from "vitest";
import { VCPU } from "../../src/shared/layout.ts";
import { type GuestResult, loadCore, runGuest } from "./guest.ts";
import { realGuest } from "./realGuest.ts";

beforeAll(loadCore, 180_000);

const FLAGS = 0x8d5;

/** RFLAGS that the traps of single-stepping find, of six elements and the instruction after them. */
function stepped(instruction: string): string[] {
  const { out, end } = runGuest(
    realGuest({
      ivt: { 1: "trap" },
      body: `  mov ax,7
  mov si,left
  mov di,right
  mov cx,6
  push word 0x0181
  popf
  ${instruction}
behind:
  mov dx,0
  hlt
trap:
  push bp
  mov bp,sp
  push ax
  mov ax,[bp+6]
  and ax,${FLAGS}
  out 0x10,ax
  cmp word [bp+2],behind
  jb inside
  and word [bp+6],0xfeff
inside:
  pop ax
  pop bp
  iret
left: db 7,7,7,9,7,7
right: db 7,7,7,7,7,7`,
    }),
  );
  return [...out.map((o) => o.slice(3)), end];
}

test("REPE CMPS and SCAS keep the flags of before until they end, for a trap's eyes, too", () => {
  // CF and SF, three times; then 9 - 7.
  expect(stepped("repe cmpsb")).toEqual(["81", "81", "81", "0", "HALT"]);
  expect(stepped("repe scasb")).toEqual(["81", "81", "81", "81", "81", "44", "HALT"]);
  expect(stepped("cmpsb")).toEqual(["44", "HALT"]);
});

/** Real-mode code that fills a page which has run as code, or has not. */
const filling = (visits: string, fill: string): GuestResult =>
  runGuest(
    realGuest({
      body: `  mov byte [0x3000],0xc3
  mov byte [0x3ffe],0xc3
  ${visits}
  mov di,0x2ff0
  mov ax,0x1234
  mov cx,0x900
  ${fill}
  hlt`,
    }),
  );

test.each(["rep stosb", "rep stosw", "rep movsw"])("%s is as many instructions where code is as elsewhere", (fill) => {
  const code = filling("call 0x3000\n  call 0x3ffe", fill).view.get(VCPU.icount);
  const plain = filling("call near_\n  call near_", `${fill}\n  hlt\nnear_: ret`).view.get(VCPU.icount);
  expect(code).toBe(plain);
});

test("a long repetition counts again where the count that is left is a multiple of 4,096", () => {
  const count = (n: number): number =>
    runGuest(realGuest({ body: `  mov ecx,${n}\n  mov edi,0x8000\n  a32 rep scasb\n  hlt` })).view.get(VCPU.icount);
  expect([4096, 4097, 8192, 8193].map((n) => count(n) - count(2))).toEqual([0, 1, 1, 2]);
});

test("a repetition that overwrites itself, from behind, is another instruction from then on", () => {
  const { out } = runGuest(
    realGuest({
      body: `  mov di,victim+8
  mov cx,16
  mov ax,0x90
  std
  jmp victim
align 4096
victim: rep stosb
  times 14 nop
  mov ax,cx
  out 0x10,ax
  hlt`,
    }),
  );
  // Its second byte is the eighth that is written: F3 90 is PAUSE.
  expect(out).toEqual(["10=8"]);
});
