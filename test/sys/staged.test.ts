/** Instructions that read what they have written themselves while it is still staged (assembly/mem/stage.ts). */
import { beforeAll, expect, test } from "vitest";
import { loadCore, runGuest } from "./guest.ts";
import { realGuest } from "./realGuest.ts";

beforeAll(loadCore, 180_000);

const LEVEL = 6;
/** Where the stack begins, whose page ends within the frame, and what is in memory before. */
const TOP = 0x3010;
const FILLED = 0x40;
const pattern = (at: number): number => (at * 7) & 0xff;

/** The frame that `enter 0,LEVEL` builds, word by word: what SDM vol. 2 says, on bytes. */
function frameOf(sp: number, bp: number): string[] {
  const memory = new Map<number, number>();
  const byte = (at: number): number => memory.get(at) ?? pattern(at);
  const word = (at: number): number => byte(at) | (byte(at + 1) << 8);
  const push = (v: number): void => {
    sp -= 2;
    memory.set(sp, v & 0xff).set(sp + 1, v >> 8);
  };
  push(bp);
  const frame = sp;
  for (let i = 1; i < LEVEL; i++) push(word(bp - 2 * i));
  push(frame);
  return Array.from({ length: LEVEL + 1 }, (_, i) => word(sp + 2 * i).toString(16));
}

const guest = (sp: number, bp: number): string =>
  realGuest({
    body: `  mov di,${TOP - FILLED}
fill:
  mov ax,di
  mov dl,7
  mul dl
  stosb
  cmp di,${TOP + FILLED}
  jne fill
  mov sp,${sp}
  mov bp,${bp}
  enter 0,${LEVEL}
  mov si,sp
  mov cx,${LEVEL + 1}
show:
  lodsw
  out 0x10,ax
  loop show
  hlt`,
  });

test("ENTER copies what it has pushed, across the end of a page, too", () => {
  for (let sp = 0x2ffe; sp <= 0x3010; sp++) {
    for (let bp = sp - 3; bp <= sp + 5; bp++) {
      const { out, end } = runGuest(guest(sp, bp));
      expect({ sp, bp, end, frame: out.map((o) => o.slice(3)) }).toEqual({
        sp,
        bp,
        end: "HALT",
        frame: frameOf(sp, bp),
      });
    }
  }
});
