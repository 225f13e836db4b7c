/** Saved machines: over a killed tab, in one tab at a time, to a file and back, and where there is no room for them. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import { guest, missing } from "../guests/shell.ts";
import { consoleText, expectAccessible, untilConsole, untilState } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { crash, type PageFile, PROMPT, pageFile, run, startLinux } from "./linuxPage.ts";
import { production } from "./production.ts";

/** Memory is compressed and written: on a busy machine that takes longer than a poll waits by itself. */
const eventually = <T>(look: () => Promise<T>) => expect.poll(look, { timeout: 60_000 });

const chromium = findChromium();
const cloud = guest("cloud");
if (!cloud) missing("cloud");

describe.skipIf(!chromium)("saved machines", { timeout: 120_000 }, () => {
  const site = production(chromium!);
  let context: BrowserContext;

  beforeEach(async () => {
    await context?.close();
    context = await site.browser.newContext({ viewport: { width: 1280, height: 800 } });
    context.setDefaultTimeout(30_000);
  });

  const open = async (): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(site.base);
    await page.waitForSelector(".card:not(.ghost)");
    return page;
  };
  /** The guest has half a word in memory: only one that goes on can make a command of it. */
  const halfWay = async (): Promise<Page> => {
    const page = await open();
    await page.getByRole("radio", { name: /Embedded guest/ }).check();
    await page.locator("#start").click();
    await untilConsole(page, /> ?$/, 30_000);
    await page.keyboard.type("he");
    await untilConsole(page, /he$/);
    return page;
  };
  const answers = async (page: Page): Promise<void> => {
    await untilState(page, "running");
    await untilConsole(page, /he$/);
    await page.keyboard.type("lp\r");
    await untilConsole(page, /help\s[\s\S]*pagefault/);
  };
  const sheet = async (page: Page): Promise<void> => {
    await page.getByRole("button", { name: "Saved machines", exact: true }).click();
    await page.waitForSelector("dialog#saved[open]");
  };
  const line = (page: Page) => page.locator(".saved-line").textContent();
  const rows = (page: Page) => page.locator(".saved-row").allTextContents();
  const save = async (page: Page, name: string): Promise<void> => {
    await sheet(page);
    await page.locator("#save-name").fill(name);
    await page.locator("#save-machine").click();
  };
  const saved = async (page: Page, name: string): Promise<void> => {
    await save(page, name);
    await eventually(() => line(page)).toBe(`${name} is saved.`);
  };
  const act = (page: Page, what: string) => page.locator(`dialog#saved [aria-label="${what}"]`).click();
  const hide = (page: Page): Promise<void> =>
    page.evaluate(() => {
      Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
  const filesKept = (page: Page): Promise<string[]> =>
    page.evaluate(async () => {
      const names: string[] = [];
      type Folder = FileSystemDirectoryHandle & AsyncIterable<[string, FileSystemDirectoryHandle]>;
      const root = await navigator.storage.getDirectory();
      const machines = (await root.getDirectoryHandle("machines", { create: true })) as Folder;
      for await (const [id, folder] of machines) {
        for await (const [name] of folder as Folder) names.push(`${id}/${name}`);
      }
      return names;
    });

  test("go on where they were when their tab was killed; a second tab is told; deleted, they take no room", async () => {
    const first = await halfWay();
    await saved(first, "Half a word");
    await expectAccessible(first);
    if (process.env.SCREENSHOTS) await shots(first);

    const second = await open();
    await sheet(second);
    await eventually(() => rows(second)).toEqual([
      expect.stringMatching(/Half a word.*open in another tab.*32 MB RAM/s),
    ]);
    await act(second, "Resume Half a word");
    await eventually(() => line(second)).toBe("Half a word is open in another tab: go on there, or duplicate it here.");
    await second.close();

    await crash(first);
    const third = await open();
    await sheet(third);
    await act(third, "Resume Half a word");
    await answers(third);

    // Saved again it is the same machine; a crash in the middle would leave the state before.
    await saved(third, "Half a word");
    expect((await filesKept(third)).length).toBe(2);
    await act(third, "Rename Half a word");
    await third.locator(".saved-ask input").fill("Whole");
    await third.locator(".saved-ask .primary").click();
    await act(third, "Duplicate Whole");
    await eventually(() => rows(third)).toHaveLength(2);
    expect((await filesKept(third)).length).toBe(4);
    for (const name of ["Whole (copy)", "Whole"]) {
      await act(third, `Delete ${name}`);
      await third.getByRole("button", { name: "Delete it" }).click();
      await eventually(() => line(third)).toBe(`${name} is deleted.`);
    }
    expect(await filesKept(third)).toEqual([]);
  });

  test("a tab that is hidden saves its machine, which the next one offers; one that went off is not offered", async () => {
    const first = await halfWay();
    await hide(first);
    await eventually(() => filesKept(first)).toHaveLength(2);
    await crash(first);

    const second = await open();
    await eventually(() => second.locator(".offer").textContent()).toMatch(/Continue where you were.*Embedded guest/s);
    await expectAccessible(second);
    await second.locator("#continue").click();
    await answers(second);
    await second.getByRole("button", { name: "Power off" }).click();
    await untilState(second, "off");
    await eventually(() => filesKept(second)).toEqual([]);
    await second.close();

    const third = await open();
    await sheet(third);
    await eventually(() => third.locator("dialog#saved .hint").first().textContent()).toMatch(/Nothing is saved yet/);
    expect(await third.locator(".offer").count()).toBe(0);
  });

  test("a tab that is frozen saves its machine, which stands still; one that runs is saved again and again", async () => {
    const first = await halfWay();
    const session = await context.newCDPSession(first);
    await session.send("Page.setWebLifecycleState", { state: "frozen" });
    const second = await open();
    await eventually(() => filesKept(second)).toHaveLength(2);
    await session.send("Page.setWebLifecycleState", { state: "active" });
    await untilState(first, "running");
    await first.keyboard.type("lp");
    await untilConsole(first, /help$/);
    const before = await filesKept(second);
    await first.evaluate(() => {
      const now = performance.now.bind(performance);
      performance.now = () => now() + 60_000;
    });
    const others = async () => (await filesKept(second)).filter((name) => !before.includes(name)).length;
    await eventually(others).toBe(1);
    await second.close();
    await crash(first);

    const third = await open();
    await third.locator("#continue").click();
    await untilState(third, "running");
    await untilConsole(third, /help$/);
    await third.keyboard.type("\r");
    await untilConsole(third, /help\s[\s\S]*pagefault/);
  });

  test("go to a file and come back from it; a damaged one is refused", async () => {
    const first = await halfWay();
    await sheet(first);
    const arrives = first.waitForEvent("download");
    await first.getByRole("button", { name: "Download", exact: true }).click();
    const download = await arrives;
    expect(download.suggestedFilename()).toBe("Embedded guest.tabhyve");
    const bytes = await download.createReadStream().then(async (stream) => Buffer.concat(await stream.toArray()));
    await first.close();

    const second = await open();
    // Where any file may be dropped.
    await second.locator("#files").setInputFiles([pageFile("machine.tabhyve", bytes)]);
    await eventually(() => rows(second)).toEqual([expect.stringMatching(/^\s*Embedded guest/)]);
    const broken = Buffer.from(bytes);
    broken[broken.length >> 1]! ^= 1;
    await second.locator("#upload-machine").setInputFiles([pageFile("broken.tabhyve", broken)]);
    await eventually(() => line(second)).toMatch(/^broken\.tabhyve: .*checksum is wrong/);
    expect(await filesKept(second)).toHaveLength(2);
    await act(second, "Resume Embedded guest");
    await answers(second);
  });

  test("without room one clear line says so, and what was saved before is there", async () => {
    const page = await halfWay();
    await saved(page, "Before");
    const before = await filesKept(page);
    const session = await context.newCDPSession(page);
    await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(site.base).origin, quotaSize: 1000 });
    await page.locator("#save-machine").click();
    await eventually(() => line(page)).toBe(
      "The browser gives the page no more room: delete or download a saved machine.",
    );
    expect(await filesKept(page)).toEqual(before);
    await crash(page);
    const next = await open();
    await sheet(next);
    await act(next, "Resume Before");
    await answers(next);
  });

  test("where nothing can be kept the page says so, and a download works", async () => {
    await context.addInitScript(() => {
      StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException("no", "SecurityError"));
    });
    const page = await halfWay();
    await sheet(page);
    await eventually(() => page.locator(".saved-note").textContent()).toMatch(/keeps no files for the page/);
    expect(await page.locator("#save-machine").isDisabled()).toBe(true);
    await hide(page);
    const arrives = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download", exact: true }).click();
    expect((await arrives).suggestedFilename()).toBe("Embedded guest.tabhyve");
    expect(await consoleText(page)).toMatch(/he$/);
  });

  test.skipIf(!cloud)("go on only with the disk as it was then", { timeout: 600_000 }, async () => {
    const bytes = Buffer.alloc(4 << 20, 0x22);
    bytes.set([0x55, 0xaa], 510);
    const disk: PageFile = pageFile("disk.img", bytes);
    const first = await open();
    await startLinux(first, { cloud: cloud!, disk });
    await untilConsole(first, PROMPT, 120_000);
    await run(first, "echo before | dd of=/dev/nvme0n1 conv=notrunc,fsync; answer=42");
    await saved(first, "With a disk");
    await crash(first);

    const second = await open();
    await sheet(second);
    await eventually(() => rows(second)).toEqual([expect.stringMatching(/Goes with disk disk\.img, as it was then/)]);
    await act(second, "Resume With a disk");
    await eventually(() => line(second)).toMatch(/With a disk has disk\.img as its disk: open that file first/);
    await second.getByRole("button", { name: "Close saved machines" }).click();
    await second.locator("#files").setInputFiles([disk]);
    await sheet(second);
    await act(second, "Resume With a disk");
    await untilState(second, "running");
    expect(await run(second, "echo is $answer; head -c 7 /dev/nvme0n1")).toMatch(/\nis 42\nbefore/);
    await run(second, "echo after | dd of=/dev/nvme0n1 conv=notrunc,fsync");
    await crash(second);

    const third = await open();
    await third.locator("#files").setInputFiles([disk]);
    await sheet(third);
    await act(third, "Resume With a disk");
    await eventually(() => third.locator(".problem[data-kind=snapshot] #problem-cause").textContent()).toBe(
      "disk.img has been written to since this machine was saved: going on would wreck it.",
    );
  });
});

/** Pictures of the sheet, to look at: SCREENSHOTS names a folder. */
async function shots(page: Page): Promise<void> {
  const folder = process.env.SCREENSHOTS!;
  mkdirSync(folder, { recursive: true });
  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [390, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: join(folder, `saved-${colorScheme}-${width}.png`) });
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}
