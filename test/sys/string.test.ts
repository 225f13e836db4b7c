/** Repeated string instructions between their elements. */
import { beforeAll, expect, test } from "vitest";
import { loadCore, runGuest } from "./guest.ts";
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
