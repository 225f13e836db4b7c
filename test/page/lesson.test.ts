/** Lessons in the page: the editor, what is kept, forked and shared; ./lessons.test.ts solves them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { expectAccessible, root, visit } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { production } from "./production.ts";

const FOLDER = join(root, "public/lessons");
const fileOf = (folder: string, name: string): string => readFileSync(join(FOLDER, folder, name), "utf8");

const chromium = findChromium();
const PATIENCE = { timeout: 60_000 };

describe.skipIf(!chromium)("lessons", { timeout: 180_000 }, () => {
  const site = production(chromium!);

  const on = async (path: string, body: (page: Page) => Promise<void>): Promise<void> => {
    const visited = await visit(site.browser, {
      base: site.base,
      path: `.${path}`,
      guests: null,
      permissions: ["clipboard-read", "clipboard-write"],
    } as Parameters<typeof visit>[1]);
    // The page asks before a running machine is lost.
    visited.page.on("dialog", (dialog) => void dialog.accept());
    try {
      await body(visited.page);
      expect(visited.errors).toEqual([]);
    } finally {
      await visited.close();
    }
  };

  /** Puts a text into the editor, as a person who pastes it. */
  const write = async (page: Page, text: string): Promise<void> => {
    await page.getByRole("textbox", { name: "Source" }).focus();
    await page.keyboard.press("Control+a");
    await page.keyboard.insertText(text);
  };

  const states = (page: Page): Promise<(string | null)[]> =>
    page.locator(".checks li").evaluateAll((all) => all.map((li) => li.getAttribute("data-state")));

  test("by keyboard alone, from the list to the second step", () =>
    on("/", async (page) => {
      const name = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
      for (let i = 0; i < 40 && !(await name()).startsWith("1. "); i++) await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await expect.poll(name, PATIENCE).toBe("512 bytes and a signature");
      const label = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
      for (let i = 0; i < 40 && (await label()) !== "Source"; i++) await page.keyboard.press("Tab");
      expect(await label()).toBe("Source");
      await page.keyboard.press("Control+End");
      await page.keyboard.type("times 510-($-$$) db 0\ndw 0xaa55\n");
      await page.keyboard.press("Control+Enter");
      await expect.poll(() => states(page), PATIENCE).toEqual(["passed", "passed"]);
      // The editor has kept the focus, and Tab leads out of it.
      expect(await label()).toBe("Source");
      await page.keyboard.press("Tab");
      expect(await label()).not.toBe("Source");
      await page.locator("#grade").focus();
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await expect.poll(name).toBe("A letter on the screen");
      expect(await states(page)).toEqual(["failed"]);
    }));

  test("a mistake is marked at its line while it is written, and said when it is run", () =>
    on("/#lesson=boot-sector", async (page) => {
      await page.waitForSelector(".cm-content", PATIENCE);
      await write(page, "bits 16\n  mov ax, nothing\n");
      await page.waitForSelector(".cm-lint-marker-error", PATIENCE);
      await page.keyboard.press("Control+Enter");
      await expect
        .poll(() => page.locator(".lesson [role=alert]").textContent(), PATIENCE)
        .toMatch(/Line 2:\s+nothing is not defined/);
    }));

  test("source to a booted guest in one step; the program is kept", () =>
    on("/#lesson=boot-sector", async (page) => {
      await page.waitForSelector(".cm-content", PATIENCE);
      const solution = fileOf("boot-sector", "solution.asm");
      await write(page, solution);
      await page.keyboard.press("Control+Enter");
      await expect
        .poll(() => page.evaluate(() => globalThis.tabhyve!.screenText()), PATIENCE)
        .toContain("Hello, world");
      await page.reload();
      await expect.poll(() => page.locator(".cm-content").textContent(), PATIENCE).toContain(solution.split("\n")[0]);
    }));

  test("axe finds nothing, before and after a verdict, in both themes", () =>
    on("/#lesson=boot-sector", async (page) => {
      await page.waitForSelector(".cm-content", PATIENCE);
      await expectAccessible(page);
      // A source that is longer than the editor can be scrolled by keys.
      const source = await page.locator(".cm-content").innerText();
      await write(page, `${source}${"\n        nop".repeat(60)}\n`);
      await expectAccessible(page);
      await page.locator("#grade").click();
      await page.waitForSelector(".checks li[data-state=failed]", PATIENCE);
      await page.locator(".lesson-own summary").click();
      await expectAccessible(page);
      await page.getByRole("button", { name: "Use the dark theme" }).click();
      await expectAccessible(page);
    }));

  test("a teacher changes a lesson, hears what is wrong with it, and shares it as a link", () =>
    on("/#lesson=boot-sector", async (page) => {
      await page.waitForSelector(".cm-content", PATIENCE);
      await page.locator(".lesson-own summary").click();
      await page.getByLabel("In the editor").selectOption("lesson.json");
      const json = fileOf("boot-sector", "lesson.json");
      await write(page, json.replace('"what": "size"', '"what": "sice"'));
      await expect
        .poll(() => page.locator(".lesson-own [role=alert]").textContent(), PATIENCE)
        .toContain("steps[0].checks[0].is.what is no kind of question");
      await write(page, json.replace('"A boot sector"', '"Ours"'));
      await expect.poll(() => page.locator("#lesson-title").textContent(), PATIENCE).toBe("Ours");
      await expect.poll(() => page.evaluate(() => location.hash), PATIENCE).toContain("#lesson1=");
      await page.getByRole("button", { name: "Copy link" }).click();
      await expect.poll(() => page.evaluate(() => navigator.clipboard.readText()), PATIENCE).toContain("#lesson1=");
      const link = await page.evaluate(() => navigator.clipboard.readText());
      await page.goto("about:blank");
      await page.goto(link);
      await expect.poll(() => page.locator("#lesson-title").textContent(), PATIENCE).toBe("Ours");
      await write(page, fileOf("boot-sector", "solution.asm"));
      await page.keyboard.press("Control+Enter");
      await expect.poll(() => page.locator(".lesson-steps [data-done]").count(), PATIENCE).toBe(3);
    }));

  test("a lesson is saved as a folder, and opened from one", () =>
    on("/#lesson=long-mode", async (page) => {
      await page.waitForSelector(".cm-content", PATIENCE);
      await page.locator(".lesson-own summary").click();
      // The browser's own private folder stands in for one that a person would choose.
      await page.evaluate(() =>
        Object.assign(globalThis, { showDirectoryPicker: () => navigator.storage.getDirectory() }),
      );
      await page.getByRole("button", { name: "Save as a folder…" }).click();
      const saved = (name: string) =>
        page.evaluate(async (file) => {
          const folder = await navigator.storage.getDirectory();
          try {
            return await (await (await folder.getFileHandle(file)).getFile()).text();
          } catch {
            return undefined;
          }
        }, name);
      for (const name of ["lesson.json", "1.md", "protected.inc", "solution.asm"]) {
        await expect.poll(() => saved(name), PATIENCE).toBe(fileOf("long-mode", name));
      }
      await page.locator("#lesson-folder").setInputFiles(join(FOLDER, "paging"));
      await expect.poll(() => page.locator("#lesson-title").textContent(), PATIENCE).toBe("Paging and page faults");
      await write(page, fileOf("paging", "solution.asm"));
      await page.keyboard.press("Control+Enter");
      await expect.poll(() => page.locator(".lesson-steps [data-done]").count(), PATIENCE).toBe(3);
    }));

  test("a lesson that cannot be used says why", () =>
    on("/#lesson1=AAAA", async (page) => {
      await expect.poll(() => page.locator(".problem").textContent(), PATIENCE).toContain("It is damaged");
    }));
});
