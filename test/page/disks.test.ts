/** Disks whose writes are kept in the browser: over a killed tab, in one tab at a time, until they are forgotten. */
import type { BrowserContext, Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { guest, missing } from "../guests/shell.ts";
import { untilConsole, untilState } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { crash, openLinux, type PageFile, PROMPT, pageFile, run } from "./linuxPage.ts";
import { production } from "./production.ts";

const chromium = findChromium();
const cloud = guest("cloud");
if (!cloud) missing("cloud");

describe.skipIf(!chromium || !cloud)("a disk that is kept", { timeout: 600_000 }, () => {
  const site = production(chromium!);
  let context: BrowserContext;

  beforeAll(async () => {
    context = await site.browser.newContext();
    context.setDefaultTimeout(30_000);
  }, 120_000);

  const disk = (): PageFile => {
    const bytes = Buffer.alloc(4 << 20, 0x22);
    bytes.set([0x55, 0xaa], 510);
    return pageFile("disk.img", bytes);
  };
  const open = (): Promise<Page> => openLinux(context, site.base, { cloud: cloud!, disk: disk() });
  const boot = async (): Promise<Page> => {
    const page = await open();
    await untilConsole(page, PROMPT, 120_000);
    return page;
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

    await crash(first);
    const third = await boot();
    expect(await sum(third)).toBe(after);
    await third.getByRole("button", { name: "Power off" }).click();
    await untilState(third, "off");

    // Forgotten, the image itself is what there is.
    await third.getByRole("button", { name: "Settings" }).first().click();
    await expect.poll(() => third.locator(".kept").textContent()).toMatch(/disk\.img.*KB written/s);
    await third.close();
    const fourth = await context.newPage();
    await fourth.goto(site.base);
    await fourth.getByRole("button", { name: "Settings" }).first().click();
    await fourth.getByRole("button", { name: "Forget what was written to disk.img" }).click();
    await expect.poll(() => fourth.locator(".kept").count()).toBe(0);
    await fourth.close();
    const fifth = await boot();
    expect(await sum(fifth)).toBe(before);
  });
});
