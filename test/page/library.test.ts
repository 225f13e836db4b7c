/** What a stranger does first, in each browser: from the library to a prompt, a file of their own, a link sent on. */
import { deflateRawSync } from "node:zlib";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { embeddedGuest } from "../../src/machine/embedded/index.ts";
import { guest } from "../guests/shell.ts";
import { buildSite, untilConsole, untilState, visit } from "./browser.ts";
import { browsers } from "./browsers.ts";
import { type Host, host } from "./chromium.ts";

const linux = guest("cloud");

describe("the page's library", { timeout: 120_000 }, () => {
  let site: Awaited<ReturnType<typeof buildSite>>;
  let isolated: Host;
  let plain: Host;
  const running = new Map<string, Browser>();

  beforeAll(async () => {
    site = await buildSite("production");
    isolated = await host(site.folder, true);
    plain = await host(site.folder, false);
    for (const { name, there, launch } of browsers) if (there) running.set(name, await launch());
  }, 180_000);
  afterAll(async () => {
    for (const browser of running.values()) await browser.close();
    await isolated?.close();
    await plain?.close();
    site?.remove();
  });

  const start = async (page: Page, name: RegExp): Promise<void> => {
    await page.getByRole("radio", { name }).first().check();
    await page.locator("#start").click();
  };

  describe.each(browsers)("in $name", ({ name, there }) => {
    if (!there) return test.skip("is not there", () => {});
    const open = (base: string, path = "") => visit(running.get(name)!, { base, path });

    for (const [transport, where] of [
      ["threaded", () => isolated],
      ["inline", () => plain],
    ] as const) {
      test(`leads to the embedded guest's prompt (${transport}), which takes what is typed`, async () => {
        const { page, errors, close } = await open(where().base);
        await start(page, /Embedded guest/);
        await untilConsole(page, /tabhyve> $|tabhyve>$/, 30_000);
        await expect.poll(() => page.locator(".status .plan").textContent()).toContain(transport);
        await page.keyboard.type("machine\r");
        await untilConsole(page, /tabhyve> machine\n[\s\S]*KiB of RAM/);
        await page.keyboard.type("poweroff\r");
        await untilState(page, "off");
        expect(errors).toEqual([]);
        await close();
      });
    }

    test.skipIf(!linux)("leads to a Linux prompt", async () => {
      const { page, errors, close } = await open(isolated.base);
      await start(page, /Debian Linux, 64-bit cloud kernel/);
      await untilConsole(page, /:~# ?$/, 90_000);
      await page.keyboard.type("echo $((6*7))\r");
      await untilConsole(page, /\n42\n/);
      expect(errors).toEqual([]);
      await close();
    });

    test("boots a file of one's own", async () => {
      const { page, errors, close } = await open(isolated.base);
      const file = { name: "own.elf", mimeType: "application/octet-stream", buffer: Buffer.from(embeddedGuest()) };
      await page.locator("#files").setInputFiles([file]);
      await expect.poll(() => page.locator(".summary").textContent()).toContain("own.elf");
      await page.locator("#start").click();
      await untilConsole(page, /tabhyve> ?$/, 30_000);
      expect(errors).toEqual([]);
      await close();
    });

    test("refuses a stranger's link that leads into a private network", async () => {
      const disk = { url: "http://192.168.1.1/m.json", sha256: "ab".repeat(32) };
      const link = deflateRawSync(JSON.stringify({ guest: "cloud", disk })).toString("base64url");
      const { page, close } = await open(isolated.base, `#v1=${link}`);
      await expect
        .poll(() => page.locator(".problem[data-kind=link] #problem-cause").textContent())
        .toBe("The address of its disk leads into a private network.");
      await close();
    });
  });
});
