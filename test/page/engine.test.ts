import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cardRom } from "../guests/cardRom.ts";
import { buildSite, consoleText, image, root, untilConsole, untilState, visit } from "./browser.ts";
import { findChromium, type Host, host, launch } from "./chromium.ts";

/** A disk that says it can be booted. */
function bootable(size: number): Buffer {
  const disk = Buffer.alloc(size);
  disk[510] = 0x55;
  disk[511] = 0xaa;
  return disk;
}

/** The page as `npm run build` makes it, with the engine in it, running guests. */

const chromium = findChromium();
const linux = existsSync(join(root, "guests/manifest.json"));
if (chromium && !linux) {
  const line = "!".repeat(72);
  console.error(`\n${line}\n!! LINUX WAS NOT TESTED IN THE PAGE: no guests/ (npm run guests).\n${line}\n`);
}

/** What the page keeps for the tests below: every byte that came from the guest, with the time. */
declare global {
  var arrived: { at: number; bytes: Uint8Array }[];
}

describe.skipIf(!chromium)("the engine in the page", { timeout: 90_000 }, () => {
  let site: Awaited<ReturnType<typeof buildSite>>;
  let isolated: Host;
  let plain: Host;
  let browser: Browser;

  beforeAll(async () => {
    site = await buildSite("production");
    isolated = await host(site.folder, true);
    plain = await host(site.folder, false);
    browser = await launch(chromium!);
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await isolated?.close();
    await plain?.close();
    site?.remove();
  });

  /** Runs a test body on a fresh page of an isolated or a plain host; nothing may go wrong behind it. */
  const on = async (where: Host, body: (page: Page) => Promise<void>): Promise<void> => {
    const { page, errors, close } = await visit(browser, { base: where.base, path: "" });
    try {
      await body(page);
      expect(errors).toEqual([]);
    } finally {
      await close();
    }
  };

  const start = async (page: Page, guest: RegExp): Promise<void> => {
    await page.getByRole("radio", { name: guest }).first().check();
    await page.locator("#start").click();
  };
  const toast = (page: Page) => page.getByRole("status").textContent();

  describe("a PC", () => {
    // The ROM of test/guests/pc.test.ts: it goes on by a byte on COM1.
    const rom = (): Buffer => Buffer.from(cardRom());
    const go = (page: Page) =>
      page.evaluate(() => globalThis.tabhyve!.app.session!.handle!.serialInput(new Uint8Array([13])));
    const pixel = (page: Page, x: number, y: number) =>
      page.evaluate(
        ([px, py]) => [
          ...document.querySelector<HTMLCanvasElement>("#screen canvas")!.getContext("2d")!.getImageData(px!, py!, 1, 1)
            .data,
        ],
        [x, y],
      );
    const size = (page: Page) =>
      page.evaluate(() => {
        const { width, height } = document.querySelector<HTMLCanvasElement>("#screen canvas")!;
        return `${width}x${height}`;
      });

    for (const [name, where] of [
      ["threaded", () => isolated],
      ["inline", () => plain],
    ] as const) {
      test(`shows its screen beside the serial line, and takes keys (${name})`, () =>
        on(where(), async (page) => {
          await page.locator("#files").setInputFiles([
            { name: "pc.rom", mimeType: "application/octet-stream", buffer: rom() },
            { name: "disk.img", mimeType: "application/octet-stream", buffer: bootable(64 * 512) },
          ]);
          await expect.poll(() => page.locator(".summary").textContent()).toMatch(/pc\.rom.*disk\.img/s);
          await page.locator("#start").click();
          await untilState(page, "running");
          await go(page);
          await expect.poll(() => size(page), { timeout: 30_000 }).toBe("640x480");
          // The seventh bar, away from dots: entry 6 of the DAC, (6, 3, 57) of 63.
          await expect.poll(() => pixel(page, 250, 45), { timeout: 30_000 }).toEqual([24, 12, 231, 255]);
          await go(page);
          await page.waitForTimeout(100);
          await go(page);
          for (const what of ["320x200", "320x240", "1024x768", "720x400"]) {
            await go(page);
            await expect.poll(() => size(page), { timeout: 30_000 }).toBe(what);
            // Pixels are enlarged alike; of what does not fit, the style shrinks all.
            const times = await page.evaluate(() => {
              const { clientWidth, width } = document.querySelector<HTMLCanvasElement>("#screen canvas")!;
              return clientWidth / width;
            });
            if (what.startsWith("320")) expect(times).toBe(2);
            else expect(times).toBeLessThanOrEqual(1);
          }
          const text = () => page.evaluate(() => globalThis.tabhyve!.screenText());
          await expect.poll(text).toContain("  Tabhyve \u2591 0");
          await page.getByRole("button", { name: "Serial" }).click();
          expect(await page.locator("#screen").isVisible()).toBe(false);
          await page.getByRole("button", { name: "Screen" }).click();
          expect(await page.locator("#screen canvas").isVisible()).toBe(true);
        }));
    }

    test("says what a disk needs where there is no firmware", () =>
      on(isolated, async (page) => {
        await page.route("**/guests/manifest.json", (route) => route.fulfill({ status: 404 }));
        await page.reload();
        await page
          .locator("#files")
          .setInputFiles([{ name: "disk.img", mimeType: "application/octet-stream", buffer: bootable(64 * 512) }]);
        await expect.poll(() => page.locator("#problem-title").textContent()).toContain("A disk needs firmware");
      }));
  });

  describe("embedded guest", () => {
    const PROMPT = /tabhyve>$/;
    const boot = async (page: Page): Promise<void> => {
      await start(page, /Embedded guest/);
      await untilConsole(page, PROMPT, 30_000);
    };
    const banners = async (page: Page): Promise<number> =>
      (await consoleText(page)).split("for the commands").length - 1;

    test("boots, answers a line, stands still while paused, and is reset", () =>
      on(isolated, async (page) => {
        await boot(page);
        await page.keyboard.type("hello\r");
        await untilConsole(page, /hello: no such command.*\n.*tabhyve>$/);
        expect(await page.locator(".status").textContent()).toMatch(/Running.*threaded · 32 MB/s);

        await page.getByRole("button", { name: "Pause" }).click();
        await untilState(page, "paused");
        const before = await consoleText(page);
        await page.locator("#console").click();
        await page.keyboard.type("later\r");
        await page.waitForTimeout(300);
        expect(await consoleText(page)).toBe(before);
        await page.getByRole("button", { name: "Resume" }).click();
        await untilConsole(page, /later: no such command/);

        await page.getByRole("button", { name: "Reset" }).click();
        await expect.poll(() => toast(page)).toBe("The machine was reset.");
        await untilConsole(page, PROMPT);
        expect(await consoleText(page)).not.toContain("later");
      }));

    test("reboots and powers off by itself, starts again, and is powered off from the page", () =>
      on(isolated, async (page) => {
        await boot(page);
        await page.keyboard.type("reboot\r");
        await expect.poll(() => toast(page)).toBe("The guest reset the machine.");
        await expect.poll(() => banners(page), { timeout: 10_000 }).toBe(2);
        await page.keyboard.type("poweroff\r");
        await untilState(page, "off");
        await expect.poll(() => toast(page)).toBe("The guest powered off.");
        expect(await consoleText(page)).toContain("poweroff");
        await page.locator("#main-control").click();
        await untilConsole(page, PROMPT);
        await page.getByRole("button", { name: "Power off" }).click();
        await untilState(page, "off");
        await expect.poll(() => toast(page)).toBe("Powered off.");
      }));

    test("a triple fault says where, and can be reset", () =>
      on(isolated, async (page) => {
        await boot(page);
        await page.keyboard.type("fault\r");
        const panel = page.locator(".problem[data-kind=triple-fault]");
        await expect
          .poll(() => panel.textContent())
          .toMatch(/exception.*#BP \(vector 3\).*rip.*0x10[0-9a-f]{4}.*cs.*0x8.*cr2.*cr3.*0x10[0-9a-f]{4}/s);
        await untilState(page, "failed");
        await page.keyboard.press("Enter"); // the focus is on the first remedy
        await untilState(page, "running");
        await expect.poll(() => banners(page), { timeout: 10_000 }).toBe(1);
        expect(await panel.count()).toBe(0);
      }));

    test("on a host without isolation headers it runs on the inline transport", () =>
      on(plain, async (page) => {
        expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
        await boot(page);
        await page.keyboard.type("hello\r");
        await untilConsole(page, /hello: no such command/);
        expect(await page.locator(".status").textContent()).toContain("inline");
        await page.keyboard.type("fault\r");
        await expect.poll(() => page.locator(".problem").textContent()).toMatch(/triple fault.*rip.*0x10/s);
      }));
  });

  test("an image that cannot be booted is refused with what was found", () =>
    on(isolated, async (page) => {
      await page.locator("#files").setInputFiles([{ name: "k", mimeType: "", buffer: Buffer.from(image(2000)) }]);
      await page.locator("#start").click();
      await expect
        .poll(() => page.locator(".problem[data-kind=bad-image]").textContent())
        .toMatch(/unknown type \(2\.0 KiB\); need a bzImage/);
      await untilState(page, "failed");
    }));

  describe.skipIf(!linux)("Linux", () => {
    const PROMPT = /:~#$/;
    /** The same line at every speed: no part of the command's own echo may look like its output. */
    const run = (page: Page, command: string): Promise<void> => page.keyboard.type(`${command}; echo '<''>'\r`);
    const boot = async (page: Page): Promise<void> => {
      await start(page, /64-bit cloud kernel/);
      await untilConsole(page, PROMPT, 60_000);
    };
    /** Keeps what arrives from the guest in `arrived`, from now on. */
    const listen = (page: Page) =>
      page.evaluate(() => {
        const console = (globalThis.tabhyve as unknown as { app: { console: { write(bytes: Uint8Array): void } } }).app
          .console;
        const write = Object.getPrototypeOf(console).write as typeof console.write;
        globalThis.arrived = [];
        console.write = (bytes) => {
          globalThis.arrived.push({ at: performance.now(), bytes: bytes.slice() });
          write.call(console, bytes);
        };
      });
    const arrivedText = (page: Page): Promise<string> =>
      page.evaluate(async () => new Blob(globalThis.arrived.map((a) => a.bytes as BlobPart)).text());

    test.each([
      ["threaded", () => isolated],
      ["inline", () => plain],
    ])("%s: boots, knows its console, answers a command, reboots, powers off", (transport, where) =>
      on(where(), async (page) => {
        await boot(page);
        await run(page, "uname -sm; stty size; echo $TERM");
        await untilConsole(page, /<>\n/);
        const size = await page.evaluate(() => {
          const { cols, rows } = (globalThis.tabhyve as unknown as { app: { console: { cols: number; rows: number } } })
            .app.console;
          return `${rows} ${cols}`;
        });
        expect(await consoleText(page)).toContain(`\nLinux x86_64\n${size}\nxterm-256color\n<>\n`);
        expect(await page.locator(".status").textContent()).toMatch(new RegExp(`${transport} · 256 MB`));
        await page.keyboard.type("reboot\r");
        await expect.poll(() => toast(page), { timeout: 10_000 }).toBe("The guest reset the machine.");
        await page.waitForFunction(
          () => globalThis.tabhyve!.consoleText().split("busybox shell").length === 3,
          undefined,
          { timeout: 60_000 },
        );
        await untilConsole(page, PROMPT);
        await page.keyboard.type("poweroff\r");
        await untilState(page, "off");
        await expect.poll(() => toast(page)).toBe("The guest powered off.");
      }),
    );

    test("100 KB of output arrive whole, every key is echoed, and a busy page does not slow the guest's clock", () =>
      on(isolated, async (page) => {
        await boot(page);
        await listen(page);

        await run(page, "seq 1 16567");
        await untilConsole(page, /<>\n/, 60_000);
        const text = await arrivedText(page);
        const from = text.indexOf("1\r\n2\r\n");
        const want = Array.from({ length: 16567 }, (_, i) => `${i + 1}\r\n`).join("");
        expect(text.slice(from, from + want.length) === want).toBe(true);

        // Nothing else comes for the guest meanwhile: each echo is the answer to its key.
        for (let i = 0; i < 30; i++) {
          await page.waitForTimeout(30);
          await page.evaluate(() => {
            globalThis.arrived = [];
          });
          await page.keyboard.press("x");
          await page.waitForFunction(() => globalThis.arrived.length > 0);
        }
        await page.keyboard.press("Control+u");

        await page.evaluate(() => {
          globalThis.arrived = [];
          const slice = (): void => {
            const end = performance.now() + 25;
            while (performance.now() < end);
            setTimeout(slice, 25);
          };
          slice();
        });
        // By the guest's clock and by the page's, so that a machine that does something else as well does not count.
        await run(page, "cut -f1 '-d ' /proc/uptime; sleep 3; cut -f1 '-d ' /proc/uptime");
        const [guest, host] = (await (
          await page.waitForFunction(() => {
            let all = "";
            const seen: { at: number; uptime: number }[] = [];
            for (const { at, bytes } of globalThis.arrived) {
              all += new TextDecoder().decode(bytes);
              const uptimes = [...all.matchAll(/\n(\d+\.\d\d)\r/g)];
              while (seen.length < uptimes.length) seen.push({ at, uptime: Number(uptimes[seen.length]![1]) });
            }
            const [from, to] = seen;
            return to && [to.uptime - from!.uptime, (to.at - from!.at) / 1000];
          })
        ).jsonValue()) as [number, number];
        expect(guest).toBeGreaterThanOrEqual(3);
        expect(Math.abs(guest - host), `guest ${guest} s, page ${host} s`).toBeLessThan(0.3);
      }));
  });
});
