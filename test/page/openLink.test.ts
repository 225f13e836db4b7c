/** A link that is opened: a card first, nothing fetched and nothing run before a person agrees; refusals; the copy button. */
import { deflateRawSync } from "node:zlib";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { expectAccessible, manifest, untilConsole, untilState, visit } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { production } from "./production.ts";
import { SMALL_KERNEL, sha256Of } from "./smallKernel.ts";

const chromium = findChromium();
const fragment = (link: object): string => `#v1=${deflateRawSync(JSON.stringify(link)).toString("base64url")}`;
const sha256 = "ab".repeat(32);

describe.skipIf(!chromium)("a link that is opened", { timeout: 120_000 }, () => {
  const site = production(chromium!);

  const opened = async (link: string) => {
    const visited = await visit(site.browser, { base: site.base, path: link, guests: await manifest() });
    const asked: string[] = [];
    // The browser looks for the page's icon whenever its address changes, and the page loads what any machine needs.
    const own = new RegExp(`^${site.base}(icon\\.svg|assets/.*)$`);
    visited.page.on("request", (request) => own.test(request.url()) || asked.push(request.url()));
    return { ...visited, asked };
  };
  const refused = (page: Page) => page.locator(".problem[data-kind=link] #problem-cause").textContent();

  test("shows what it asks for as text, and runs when a person says so, without their own settings", async () => {
    const { page, errors, asked, close } = await opened(
      fragment({ guest: "embedded", memory: 48, append: "<b>x</b>" }),
    );
    const card = page.locator("dialog#link");
    await expect.poll(() => card.isVisible()).toBe(true);
    expect(await card.textContent()).toMatch(/Embedded guest.*48 MB.*<b>x<\/b>.*off/s);
    await expectAccessible(page);
    expect(await page.evaluate(() => document.documentElement.dataset.machine)).toBe("none");
    expect(asked).toEqual([]);
    await page.locator("#follow-link").click();
    await untilConsole(page, /48 MiB|tabhyve/i, 30_000);
    await untilState(page, "running");
    expect(new URL(page.url()).hash).toBe("");
    expect(errors).toEqual([]);
    await close();
  });

  test("fetches nothing of a disk before, and nothing at all when a person does not want it", async () => {
    const url = "https://elsewhere.example/debian/manifest.json";
    const { page, asked, close } = await opened(fragment({ guest: "debian-cloud", disk: { url, sha256 } }));
    const card = page.locator("dialog#link");
    await expect.poll(() => card.textContent()).toMatch(/elsewhere\.example.*https:\/\/elsewhere.*abab/s);
    await page.keyboard.press("Escape");
    await expect.poll(() => card.count()).toBe(0);
    expect(asked).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.dataset.machine)).toBe("none");
    expect(new URL(page.url()).hash).toBe("");
    await close();
  });

  test("that may not be followed says why; another one in the same tab is looked at, too", async () => {
    const { page, asked, close } = await opened(fragment({ guest: "none" }));
    await expect.poll(() => refused(page)).toBe("It names the guest “none”, which this page does not have.");
    for (const [link, why] of [
      ["#v1=AAAA", "It is damaged, or was cut off: it cannot be unpacked."],
      ["#v3=x", "It is of version 3; this page reads version 1."],
      [
        fragment({ guest: "embedded", memory: 9999 }),
        "It asks for more MB of memory than a link may (1024), or for none.",
      ],
      [
        fragment({ guest: "debian-cloud", disk: { url: "http://192.168.1.1/m.json", sha256 } }),
        "The address of its disk leads into a private network.",
      ],
    ] as const) {
      await page.evaluate((hash) => {
        location.hash = hash;
      }, link);
      await expect.poll(() => refused(page)).toBe(why);
    }
    expect(asked).toEqual([]);
    await close();
  });

  test("is made by the sheet that says what is in it, as a link, a frame and a QR code", async () => {
    const { page, close } = await opened("");
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.locator("#share-button").click();
    await expect
      .poll(() => page.locator("#share-says").textContent())
      .toMatch(/^\d+ characters: Debian 12 cloud kernel, by its name on this page, 256 MB\. No server sees/);
    expect(await page.locator("#share .qr path").getAttribute("d")).toMatch(/^M4 4h1v1h-1z/);
    await expectAccessible(page);
    await page.locator("#copy-snippet").click();
    await expect.poll(() => page.locator(".toast").textContent()).toMatch(/^Frame copied, \d+ characters\.$/);
    const snippet = await page.evaluate(() => navigator.clipboard.readText());
    await page.locator("#copy-link").click();
    await expect.poll(() => page.locator(".toast").textContent()).toMatch(/^Link copied, \d+ characters\.$/);
    const link = await page.evaluate(() => navigator.clipboard.readText());
    expect(snippet).toContain(`src="${new URL(`embed.html?controls${new URL(link).hash}`, site.base).href}"`);
    const other = await opened(new URL(link).hash);
    await expect.poll(() => other.page.locator("dialog#link").textContent()).toMatch(/Debian 12 cloud kernel.*256 MB/s);
    await other.close();
    await close();
  });

  test("holds a small file whole, and says so on both sides", async () => {
    const { page, close } = await opened("");
    const kernel = Buffer.from(SMALL_KERNEL);
    await page
      .locator("#files")
      .setInputFiles([{ name: "boot.elf", mimeType: "application/octet-stream", buffer: kernel }]);
    await page.locator("#share-button").click();
    await expect.poll(() => page.locator("#share-says").textContent()).toContain("your kernel, whole");
    const link = await page.locator("#share-link").inputValue();
    const other = await opened(new URL(link).hash);
    const card = other.page.locator("dialog#link");
    await expect.poll(() => card.textContent()).toMatch(/A machine from a link.*Kernel\d+ B, in the link/s);
    expect(other.asked).toEqual([]);
    await other.page.locator("#follow-link").click();
    await untilConsole(other.page, /from a link/, 30_000);
    expect(other.errors).toEqual([]);
    await other.close();
    await close();
  });

  test("by a manifest fetches that only when a person lets it, and asks again for what it says", async () => {
    const description = {
      memory: 32,
      files: [{ role: "kernel", url: "boot.elf", sha256: sha256Of(SMALL_KERNEL), bytes: SMALL_KERNEL.length }],
    };
    const address = "https://lessons.example/os/machine.json";
    const { page, asked, errors, close } = await opened(`?m=${encodeURIComponent(address)}`);
    await page.route("https://lessons.example/**", (route) =>
      route.fulfill({
        headers: { "access-control-allow-origin": "*" },
        ...(route.request().url() === address
          ? { json: description }
          : { body: Buffer.from(SMALL_KERNEL), contentType: "application/octet-stream" }),
      }),
    );
    await expect
      .poll(() => page.locator("dialog#link-manifest").textContent())
      .toMatch(/lessons\.example.*https:\/\/lessons\.example\/os\/machine\.json/s);
    await expectAccessible(page);
    expect(asked).toEqual([]);
    await page.locator("#fetch-manifest").click();
    await expect
      .poll(() => page.locator("dialog#link").textContent())
      .toMatch(/Kernel fromlessons\.example, \d+ B.*https:\/\/lessons\.example\/os\/boot\.elf.*32 MB/s);
    expect(asked).toEqual([address]);
    await page.locator("#follow-link").click();
    await untilConsole(page, /from a link/, 30_000);
    expect(new URL(page.url()).search).toBe("");
    expect(errors).toEqual([]);
    await close();
  });

  test("by a manifest that leads into a private network, or is none, says why", async () => {
    const inside = await opened(`?m=${encodeURIComponent("http://10.0.0.1/machine.json")}`);
    await expect.poll(() => refused(inside.page)).toBe("The address of its description leads into a private network.");
    expect(inside.asked).toEqual([]);
    await inside.close();
    const { page, close } = await opened(`?m=${encodeURIComponent("https://lessons.example/m.json")}`);
    await page.route("https://lessons.example/**", (route) =>
      route.fulfill({ headers: { "access-control-allow-origin": "*" }, json: { guest: "embedded", network: true } }),
    );
    await page.locator("#fetch-manifest").click();
    await expect.poll(() => refused(page)).toBe("It has “network”, which this page does not know; a newer one may.");
    await close();
  });
});
