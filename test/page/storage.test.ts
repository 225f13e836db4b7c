/** Room for disks in the browser: when it is used up, when there is none at all; disks saved as images and kept whole. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { BrowserContext, Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { guest, missing } from "../guests/shell.ts";
import { expectAccessible, untilConsole, untilState } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { crash, openLinux, type PageFile, PROMPT, pageFile, run, startLinux } from "./linuxPage.ts";
import { production } from "./production.ts";

const chromium = findChromium();
const cloud = guest("cloud");
if (!cloud) missing("cloud");

const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

describe.skipIf(!chromium || !cloud)("room for disks", { timeout: 600_000 }, () => {
  const site = production(chromium!);
  let context: BrowserContext;

  const SIZE = 8 << 20;
  const disk = (name: string, fill: number): PageFile => {
    const bytes = Buffer.alloc(SIZE, fill);
    bytes.set([0x55, 0xaa], 510);
    return pageFile(name, bytes);
  };
  const fresh = async (): Promise<void> => {
    context = await site.browser.newContext({ acceptDownloads: true });
    context.setDefaultTimeout(30_000);
  };
  const boot = async (options: { disk?: PageFile }): Promise<Page> => {
    const page = await openLinux(context, site.base, { cloud: cloud!, ...options });
    await untilConsole(page, PROMPT, 120_000);
    return page;
  };
  const toast = (page: Page): Promise<string | null> => page.locator(".toast").textContent();
  const settings = (page: Page): Promise<void> => page.getByRole("button", { name: "Settings" }).first().click();
  const done = (page: Page): Promise<void> => page.getByRole("button", { name: "Done" }).click();
  /** Saves the kept disk; its bytes. */
  const save = async (page: Page, name: string): Promise<Buffer> => {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: `Save ${name} as an image` }).click(),
    ]);
    expect(download.suggestedFilename()).toBe(name);
    return readFileSync((await download.path())!);
  };
  /** Headless Chromium shows nobody a dialog. */
  const withoutDialogs = (page: Page): Promise<void> =>
    page.evaluate(() => {
      (globalThis as { showSaveFilePicker?: unknown }).showSaveFilePicker = undefined;
    });

  test("that is used up: the guest sees an I/O error, a person why, and what was flushed is there after a crash", async () => {
    await fresh();
    const page = await boot({ disk: disk("disk.img", 0x22) });
    await run(page, "dd if=/bin/busybox of=/dev/nvme0n1 bs=64k count=12 conv=fsync");
    const session = await context.newCDPSession(page);
    const { usage } = await page.evaluate(() => navigator.storage.estimate());
    const origin = new URL(site.base).origin;
    await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: usage! + 600_000 });
    const text = await run(
      page,
      "dd if=/dev/urandom of=/dev/nvme0n1 bs=64k seek=32 count=64 conv=fsync; dmesg | tail -n 9",
    );
    expect(text).toMatch(/I\/O error/);
    await expect.poll(() => toast(page)).toBe("disk.img: cannot be kept: the browser gives the page no more room");
    // Reads go on, and so does the machine.
    expect(await run(page, "dd if=/dev/nvme0n1 bs=64k count=12 | cmp -n 786432 - /bin/busybox && echo sa''me")).toMatch(
      /\nsame/,
    );
    await crash(page);
    await session.send("Storage.overrideQuotaForOrigin", { origin }).catch(() => {});

    // Another tab saves what was flushed, with the image that it was written over.
    const second = await context.newPage();
    await second.goto(site.base);
    await withoutDialogs(second);
    await (await context.newCDPSession(second)).send("Storage.overrideQuotaForOrigin", { origin });
    await settings(second);
    await second.getByRole("button", { name: "Save disk.img as an image" }).click();
    await expect.poll(() => toast(second)).toMatch(/^Add disk\.img first: what is kept is only what was written/);
    await done(second);
    await second.locator("#files").setInputFiles([disk("disk.img", 0x22)]);
    await settings(second);
    expect(await second.locator(".room").textContent()).toMatch(/B of .*B that the browser allows\. The browser/);
    await expectAccessible(second);
    const saved = await save(second, "disk.img");
    expect(saved.length).toBe(SIZE);
    const busybox = 12 * 65_536;
    expect(saved.subarray(busybox, 32 * 65_536).every((byte) => byte === 0x22)).toBe(true);
    expect(saved.subarray(0, 4).toString("latin1")).toBe("\x7fELF");
    await context.close();
  });

  test("a disk kept whole needs no file any more; what is written to it is saved, into a file of one's choice, too", async () => {
    await fresh();
    const page = await context.newPage();
    await page.goto(site.base);
    await settings(page);
    await page.locator("#import-disk").setInputFiles([disk("whole.img", 0x33)]);
    await expect.poll(() => toast(page)).toBe("whole.img is kept in the browser.");
    await page.getByRole("button", { name: "Use whole.img" }).click();
    await done(page);
    await startLinux(page, { cloud: cloud! });
    await untilConsole(page, PROMPT, 120_000);
    const text = await run(
      page,
      "echo hel''lo | dd of=/dev/nvme0n1 bs=512 seek=9 conv=fsync,notrunc; md5sum </dev/nvme0n1",
    );
    const sum = /([0-9a-f]{32}) {2}-/.exec(text)?.[1];
    await page.getByRole("button", { name: "Power off" }).click();
    await untilState(page, "off");
    await page.close();

    const second = await context.newPage();
    await second.goto(site.base);
    await settings(second);
    await second.evaluate(() => {
      (globalThis as { showSaveFilePicker?: unknown }).showSaveFilePicker = async (o: { suggestedName: string }) =>
        (await navigator.storage.getDirectory()).getFileHandle(`saved ${o.suggestedName}`, { create: true });
    });
    await second.getByRole("button", { name: "Save whole.img as an image" }).click();
    await expect.poll(() => toast(second)).toBe("whole.img is saved.");
    const chosen = await second.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      const bytes = await (await (await root.getFileHandle("saved whole.img")).getFile()).arrayBuffer();
      return [bytes.byteLength, new TextDecoder().decode(bytes.slice(9 * 512, 9 * 512 + 6))];
    });
    expect(chosen).toEqual([SIZE, "hello\n"]);
    await withoutDialogs(second);
    const saved = await save(second, "whole.img");
    expect(md5(saved)).toBe(sum);
    await second.getByRole("button", { name: "Delete whole.img" }).click();
    await expect.poll(() => second.locator(".kept").count()).toBe(0);
    await context.close();
  });

  test("that a browser does not give is told in one line, and the machine runs", async () => {
    await fresh();
    // As in Firefox's private windows: the worker's scripts find no private file system.
    await context.route(/diskWorker.*\.js/, async (route) => {
      const response = await route.fetch();
      const refuse =
        "StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException('no', 'SecurityError'));\n";
      await route.fulfill({ response, body: refuse + (await response.text()) });
    });
    const page = await openLinux(context, site.base, { cloud: cloud!, disk: disk("disk.img", 0x22) });
    await expect
      .poll(() => toast(page), { timeout: 60_000, interval: 20 })
      .toBe("This browser keeps no files for the page: what is written to disk.img is gone at the end.");
    await untilConsole(page, PROMPT, 120_000);
    expect(await run(page, "dd if=/bin/busybox of=/dev/nvme0n1 bs=64k count=4 conv=fsync && echo go''od")).toMatch(
      /\ngood/,
    );
    await context.close();
  });
});
