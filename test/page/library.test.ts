/**
 * What a stranger does first, in each browser: from the library to a prompt, a file of their own, a link sent on to somebody
 * with the other browser, a machine saved and gone on with.
 */
import { deflateRawSync } from "node:zlib";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { embeddedGuest } from "../../src/machine/embedded/index.ts";
import { guest } from "../guests/shell.ts";
import { buildSite, untilConsole, untilState, visit } from "./browser.ts";
import { browsers, killFirefoxTabs } from "./browsers.ts";
import { type Host, host } from "./chromium.ts";

const linux = guest("cloud");

/** In the page: how many files there are of saved machines. */
async function savedFiles(): Promise<number> {
  type Folder = FileSystemDirectoryHandle & AsyncIterable<[string, FileSystemDirectoryHandle]>;
  const machines = (await (await navigator.storage.getDirectory()).getDirectoryHandle("machines")) as Folder;
  let files = 0;
  for await (const [, folder] of machines) for await (const _ of folder as Folder) files++;
  return files;
}

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

    test.skipIf(!linux)(
      "leads from Start to a Linux prompt, and to a link of it, as docs/first-machine.md says",
      async () => {
        const { page, errors, close } = await open(isolated.base);
        expect(await page.getByRole("radio", { checked: true }).getAttribute("value")).toBe("cloud");
        await page.locator("#start").click();
        await untilConsole(page, /:~# ?$/, 90_000);
        await page.keyboard.type("echo $((6*7))\r");
        await untilConsole(page, /\n42\n/);
        await page.getByRole("button", { name: "Console menu" }).click();
        await page.getByRole("menuitem", { name: "Share…" }).click();
        await page.locator("#copy-link").click();
        await expect.poll(() => page.locator(".toast").textContent()).toMatch(/^Link copied, \d+ characters\.$/);
        expect(await page.locator("#share-link").inputValue()).toMatch(/#v1=[\w-]+$/);
        expect(errors).toEqual([]);
        await close();
      },
    );

    test("boots a file of one's own that is dropped", async () => {
      const { page, errors, close } = await open(isolated.base);
      const dropped = await page.evaluateHandle((bytes) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(bytes)], "own.elf"));
        return transfer;
      }, Array.from(embeddedGuest()));
      for (const type of ["dragenter", "dragover", "drop"])
        await page.dispatchEvent("#app", type, { dataTransfer: dropped });
      await expect.poll(() => page.locator(".summary").textContent()).toContain("own.elf");
      await page.locator("#start").click();
      await untilConsole(page, /tabhyve> ?$/, 30_000);
      expect(errors).toEqual([]);
      await close();
    });

    test("refuses a stranger's links that lead where they may not, ask for too much, or are none", async () => {
      const sha256 = "ab".repeat(32);
      const fragment = (link: object) => `#v1=${deflateRawSync(JSON.stringify(link)).toString("base64url")}`;
      const { page, close } = await open(isolated.base, fragment({ guest: "none" }));
      const refused = () => page.locator(".problem[data-kind=link] #problem-cause").textContent();
      await expect.poll(refused).toBe("It names the guest “none”, which this page does not have.");
      for (const [link, why] of [
        [
          fragment({ guest: "embedded", disk: { url: "http://192.168.1.1/m.json", sha256 } }),
          "The address of its disk leads into a private network.",
        ],
        [
          fragment({ guest: "embedded", disk: { url: "https://a:b@elsewhere.example/m.json", sha256 } }),
          "The address of its disk has a name or password in it.",
        ],
        [
          fragment({ guest: "embedded", memory: 9999 }),
          "It asks for more MB of memory than a link may (1024), or for none.",
        ],
        ["#v1=AAAA", "It is damaged, or was cut off: it cannot be unpacked."],
        ["#v3=x", "It is of version 3; this page reads version 1."],
      ] as const) {
        await page.evaluate((hash) => {
          location.hash = hash;
        }, link);
        await expect.poll(refused).toBe(why);
      }
      await untilState(page, "none");
      await close();
    });

    const other = browsers.find((one) => one.name !== name);
    test.skipIf(!other?.there)(`makes a link that ${other?.name} opens`, async () => {
      const { page, close } = await open(isolated.base);
      await page.getByRole("radio", { name: /Embedded guest/ }).check();
      await page.locator("#share-button").click();
      await expect.poll(() => page.locator("#share-says").textContent()).toMatch(/Embedded guest/);
      const link = await page.locator("#share-link").inputValue();
      await close();
      const there = await visit(running.get(other!.name)!, { base: isolated.base, path: new URL(link).hash });
      await expect.poll(() => there.page.locator("dialog#link").textContent()).toMatch(/Embedded guest.*32 MB/s);
      await there.page.locator("#follow-link").click();
      await untilConsole(there.page, /tabhyve> ?$/, 30_000);
      expect(there.errors).toEqual([]);
      await there.close();
    });

    if (name !== "Firefox") return; // In Chromium: saved.test.ts.
    test("goes on with a saved machine whose tab was killed", async () => {
      const { page, close } = await open(isolated.base);
      await start(page, /Embedded guest/);
      await untilConsole(page, /tabhyve> ?$/, 30_000);
      await page.keyboard.type("he");
      await untilConsole(page, /he$/);
      await page.getByRole("button", { name: "Saved machines", exact: true }).click();
      await page.locator("#save-name").fill("Half a word");
      await page.locator("#save-machine").click();
      const line = () => page.locator(".saved-line").textContent();
      await expect.poll(line).toBe("Half a word is saved.");
      killFirefoxTabs();
      const next = await page.context().newPage();
      await next.goto(isolated.base);
      await next.getByRole("button", { name: "Saved machines", exact: true }).click();
      await next.locator('dialog#saved [aria-label="Resume Half a word"]').click();
      await untilState(next, "running");
      await untilConsole(next, /he$/);
      await next.keyboard.type("lp\r");
      await untilConsole(next, /help\s[\s\S]*pagefault/);
      await close();
    });

    // Playwright has every tab of a Chromium believe that it is seen.
    test("saves the machine of a tab that is covered by another, where it runs on", async () => {
      const { page, close } = await open(isolated.base);
      await start(page, /Embedded guest/);
      await untilConsole(page, /tabhyve> ?$/, 30_000);
      // It is not to save by itself because time has passed.
      await page.evaluate(() => {
        const at = performance.now();
        performance.now = () => at;
      });
      const opened = page.context().waitForEvent("page");
      await page.evaluate(() => void globalThis.open("about:blank"));
      await (await opened).bringToFront();
      await expect.poll(() => page.evaluate(() => document.visibilityState)).toBe("hidden");
      await expect.poll(() => page.evaluate(savedFiles)).toBe(2);
      await page.evaluate(() => {
        globalThis.tabhyve!.app.session!.handle!.serialInput(new TextEncoder().encode("machine\r"));
      });
      await untilConsole(page, /tabhyve> machine\n[\s\S]*KiB of RAM/, 30_000);
      killFirefoxTabs();
      const next = await page.context().newPage();
      await next.goto(isolated.base);
      await next.locator("#continue").click();
      await untilState(next, "running");
      await next.keyboard.type("help\r");
      await untilConsole(next, /help\s[\s\S]*pagefault/);
      await close();
    });
  });
});
