/** Keys, text, the mouse and the speaker of a PC in the page, by guests of a sector. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { findChromium } from "./chromium.ts";
import { bring, firmwareThere, openPc, shows } from "./pcPage.ts";
import { production } from "./production.ts";

const chromium = findChromium();
const there = firmwareThere();
const CANVAS = "#screen canvas";

/** Beeps at 1000 Hz until a key comes. */
const BEEPS = `
        org 0x7c00
        bits 16
        mov al, 0xb6
        out 0x43, al
        mov ax, 1193
        out 0x42, al
        mov al, ah
        out 0x42, al
        in al, 0x61
        or al, 3
        out 0x61, al
        mov ax, 0x0e2b
        int 0x10
        xor ah, ah
        int 0x16
        in al, 0x61
        and al, 0xfc
        out 0x61, al
        mov ax, 0x0e2d
        int 0x10
end:    hlt
        jmp end
`;

/** Shows each packet of the mouse, in hexadecimal, on a line of its own. */
const MOUSE = `
        org 0x7c00
        bits 16
        cli
        mov al, 0xa8            ; the mouse's port is on
        call command
        mov al, 0xd4            ; for the mouse: enable
        call command
        call room
        mov al, 0xf4
        out 0x60, al
        call take               ; acknowledged
        mov al, '+'
        call put
packet: mov al, 13
        call put
        mov al, 10
        call put
        mov cx, 3
one:    call take
        mov bh, al
        shr al, 4
        call digit
        mov al, bh
        and al, 15
        call digit
        loop one
        jmp packet

room:   in al, 0x64
        test al, 2
        jnz room
        ret
command: mov bl, al
        call room
        mov al, bl
        out 0x64, al
        ret
take:   in al, 0x64
        test al, 1
        jz take
        test al, 0x20           ; the keyboard's are not wanted
        in al, 0x60
        jz take
        ret
digit:  add al, 48
        cmp al, 58
        jb put
        add al, 39
put:    mov ah, 0x0e
        push bx
        xor bx, bx
        int 0x10
        pop bx
        ret
`;

describe.skipIf(!chromium || !there)("a PC's input in the page", { timeout: 180_000 }, () => {
  const site = production(chromium!);
  let asks: Buffer;
  beforeAll(() => {
    const source = readFileSync(join(import.meta.dirname, "../guests/data/boot.asm"), "utf8");
    asks = Buffer.from(assemble(source, { name: "boot.asm" }).bytes);
  });

  const sector = (source: string): Buffer => {
    const out = Buffer.alloc(512);
    out.set(assemble(source, { name: "sector.asm" }).bytes);
    out.set([0x55, 0xaa], 510);
    return out;
  };
  const boots = async (code: Buffer, prepare: (page: Page) => Promise<unknown> = async () => {}): Promise<Page> => {
    const page = await openPc(site.browser, site.base);
    await prepare(page);
    const disk = Buffer.alloc(512 * 1000);
    disk.set(code);
    await bring(page, "boot.img", disk);
    await page.click("#start");
    return page;
  };

  test("keys by their place on the keyboard, what a phone's keyboard puts in, pasted text, and chords by buttons", async () => {
    const page = await boots(asks);
    await shows(page, /type:$/m);
    await page.locator(CANVAS).click();
    for (const key of ["Shift+KeyA", "KeyB", "Comma", "Shift+Digit9"]) await page.keyboard.press(key);
    await shows(page, /Ab,\(/);
    // As from a keyboard on the screen: text without keys, or a word that is being put together and changes.
    await page.keyboard.insertText("Phone! ");
    await shows(page, /Ab,\(Phone!/);
    const session = await page.context().newCDPSession(page);
    for (const text of ["Wo", "Word", "Wor"]) {
      await session.send("Input.imeSetComposition", { text, selectionStart: text.length, selectionEnd: text.length });
    }
    await session.send("Input.insertText", { text: "World " });
    await shows(page, /Phone! World$/m);
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.setData("text", "pasted <text>");
      document.activeElement?.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
    });
    await shows(page, /World pasted <text>/);
    await page.keyboard.press("Control+Alt+KeyG"); // else a click is the machine's
    await page.waitForFunction(() => document.pointerLockElement === null);
    await page.getByRole("button", { name: "Console menu" }).click();
    await page.getByRole("menuitem", { name: "Send Ctrl+Alt+Delete" }).click();
    // The firmware starts anew.
    await shows(page, /type:$/m);
    await page.context().close();
  });

  test("the mouse, once a click on the picture has taken it, until the keyboard is let go", async () => {
    const page = await boots(sector(MOUSE));
    await shows(page, /\+$/m);
    const box = (await page.locator(CANVAS).boundingBox())!;
    const [x, y] = [box.x + 100, box.y + 100];
    await page.mouse.move(x, y);
    await page.mouse.click(x, y);
    await page.waitForFunction((canvas) => document.pointerLockElement === document.querySelector(canvas), CANVAS);
    // Right and down: to a mouse up is positive, so that y has its sign.
    await page.mouse.move(x + 10, y + 5);
    await shows(page, /^280afb$/m);
    await page.mouse.down({ button: "right" });
    await shows(page, /^0a0000$/m);
    await page.mouse.up({ button: "right" });
    await shows(page, /^080000$/m);
    await page.keyboard.press("Control+Alt+KeyG");
    await page.waitForFunction(() => document.pointerLockElement === null);
    await page.context().close();
  });

  test("the speaker's tone", async () => {
    const page = await boots(sector(BEEPS), (p) =>
      p
        .addInitScript(() => {
          const heard: [number, number][] = [];
          Object.assign(globalThis, { heard });
          let hz = 0;
          const set = AudioParam.prototype.setValueAtTime;
          AudioParam.prototype.setValueAtTime = function (value, at) {
            hz = value;
            return set.call(this, value, at);
          };
          const target = AudioParam.prototype.setTargetAtTime;
          AudioParam.prototype.setTargetAtTime = function (value, ...rest) {
            heard.push([Math.round(hz), value]);
            return target.call(this, value, ...rest);
          };
        })
        .then(() => p.reload()),
    );
    await shows(page, /\+$/m);
    const heard = () => page.evaluate(() => (globalThis as unknown as { heard: [number, number][] }).heard);
    await expect.poll(heard).toEqual([[1000, expect.closeTo(0.08)]]);
    await page.keyboard.press("x");
    await shows(page, /\+-$/m);
    await expect.poll(heard).toEqual([
      [1000, expect.closeTo(0.08)],
      [1000, 0],
    ]);
    await page.context().close();
  });
});
