/** Disks whose writes are kept in the browser: over a killed tab, in one tab at a time, until they are forgotten. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { guest, missing } from "../guests/shell.ts";
import { buildSite, consoleText, root, untilConsole, untilState } from "./browser.ts";
import { findChromium, type Host, host, launch } from "./chromium.ts";

const chromium = findChromium();
const cloud = guest("cloud");
if (!cloud) missing("cloud");

const PROMPT = /:~#$/;

describe.skipIf(!chromium || !cloud)("a disk that is kept", { timeout: 600_000 }, () => {
  let site: Awaited<ReturnType<typeof buildSite>>;
  let served: Host;
  let browser: Browser;
  let context: BrowserContext;

  beforeAll(async () => {
    site = await buildSite("production");
    served = await host(site.folder, true);
    browser = await launch(chromium!);
    context = await browser.newContext();
    context.setDefaultTimeout(30_000);
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await served?.close();
    site?.remove();
  });

  const kernel = (name: string) => readFileSync(join(root, "guests", name));
  /** A page with Linux, and a disk that says that it can be booted. */
  const open = async (): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(served.base);
    const disk = Buffer.alloc(4 << 20, 0x22);
    disk.set([0x55, 0xaa], 510);
    const file = (name: string, buffer: Buffer) => ({ name, mimeType: "", buffer });
    await page
      .locator("#files")
      .setInputFiles([file("kernel", kernel(cloud!.kernel.file)), file("initrd", kernel(cloud!.initrd!.file))]);
    await expect.poll(() => page.locator(".summary").textContent()).toMatch(/kernel.*initrd/s);
    await page.locator("#files").setInputFiles([file("disk.img", disk)]);
    await expect.poll(() => page.locator(".summary").textContent()).toMatch(/kernel.*initrd.*disk\.img/s);
    await page.getByRole("button", { name: "Settings" }).first().click();
    await page.locator("#append").fill(cloud!.append);
    await page.getByRole("button", { name: "Done" }).click();
    await page.locator("#start").click();
    return page;
  };
  const boot = async (): Promise<Page> => {
    const page = await open();
    await untilConsole(page, PROMPT, 120_000);
    return page;
  };
  let lines = 0;
  /** Runs a command; all that is on the console when it has ended. */
  const run = async (page: Page, command: string): Promise<string> => {
    const end = `end-${++lines}`;
    await page.keyboard.type(`${command}; echo 'end'-${lines}\r`);
    await untilConsole(page, new RegExp(`\n${end}\n`), 60_000);
    return consoleText(page);
  };
  const sum = async (page: Page): Promise<string> =>
    [...(await run(page, "md5sum </dev/nvme0n1")).matchAll(/([0-9a-f]{32}) {2}-/g)].at(-1)?.[1] ?? "none";

  test("has what the guest flushed before its tab was killed, and belongs to one tab at a time", async () => {
    const first = await boot();
    const before = await sum(first);
    await run(first, "head -c 999424 /proc/kallsyms | dd of=/dev/nvme0n1 bs=64k conv=fsync");
    const after = await sum(first);
    expect(after).not.toBe(before);

    const second = await open();
    await expect
      .poll(() => second.locator(".problem[data-kind=disk]").textContent(), { timeout: 60_000 })
      .toMatch(/disk\.img is open in another tab/);
    await second.close();

    const session = await context.newCDPSession(first);
    const crashed = first.waitForEvent("crash");
    // Nobody is left to answer it.
    void session.send("Page.crash").catch(() => {});
    await crashed;
    await first.close();
    const third = await boot();
    expect(await sum(third)).toBe(after);
    await third.getByRole("button", { name: "Power off" }).click();
    await untilState(third, "off");

    // Forgotten, the image itself is what there is.
    await third.getByRole("button", { name: "Settings" }).first().click();
    await expect.poll(() => third.locator(".kept").textContent()).toMatch(/disk\.img.*KB written/s);
    await third.close();
    const fourth = await context.newPage();
    await fourth.goto(served.base);
    await fourth.getByRole("button", { name: "Settings" }).first().click();
    await fourth.getByRole("button", { name: "Forget what was written to disk.img" }).click();
    await expect.poll(() => fourth.locator(".kept").count()).toBe(0);
    await fourth.close();
    const fifth = await boot();
    expect(await sum(fifth)).toBe(before);
  });
});
