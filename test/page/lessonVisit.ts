/**
 * Every lesson that is shipped, in each browser: from the list to its last check by keyboard alone, in one visit. On the way
 * its typical wrong answers, which are explained beside it. Every verdict is that of `tabhyve grade`.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { grade, type Verdict } from "../../src/lessons/grade.ts";
import { type Lesson, readLesson, wrongSource } from "../../src/lessons/lesson.ts";
import { coreBytes } from "../core.ts";
import { buildSite, root, type Visited, visit } from "./browser.ts";
import { browsers } from "./browsers.ts";
import { type Host, host } from "./chromium.ts";

const FOLDER = join(root, "public/lessons");
const index = JSON.parse(readFileSync(join(FOLDER, "index.json"), "utf8")) as { folder: string; title: string }[];
const PATIENCE = { timeout: 60_000 };

/** @param wrongs which wrong answers are given: all, or the first of each step */
export function describeLessons(wrongs: "all" | "one a step"): void {
  let site: Awaited<ReturnType<typeof buildSite>>;
  let served: Host;
  let core: Uint8Array;
  /** Node's verdicts by program, for all browsers. */
  const verdicts = new Map<string, Promise<Verdict>>();
  beforeAll(async () => {
    core = await coreBytes();
    site = await buildSite("production");
    served = await host(site.folder, true);
  }, 300_000);
  afterAll(async () => {
    await served?.close();
    site?.remove();
  });

  describe.each(browsers)("in $name", { timeout: 300_000 }, ({ there, launch }) => {
    if (!there) return test.skip("is not there", () => {});
    let browser: Browser;
    let visited: Visited;
    let page: Page;
    beforeAll(async () => {
      browser = await launch();
      visited = await visit(browser, { base: served.base, path: "", guests: null });
      page = visited.page;
      // The page asks before a running machine is lost.
      page.on("dialog", (dialog) => void dialog.accept());
    }, 60_000);
    afterAll(async () => {
      await visited?.close();
      await browser?.close();
    });

    /** Goes on by Tab, or back by Shift and Tab, until what has the focus is called so. */
    const tabTo = async (name: RegExp, key: "Tab" | "Shift+Tab" = "Tab"): Promise<void> => {
      const focused = () =>
        page.evaluate(() => {
          const { activeElement: at } = document;
          return at?.getAttribute("aria-label") ?? at?.textContent?.trim() ?? "";
        });
      for (let i = 0; i < 60 && !name.test(await focused()); i++) await page.keyboard.press(key);
      expect(await focused()).toMatch(name);
    };

    /** What is shown of the checks of this step: how each stands, what was seen, what is said. */
    const shown = () =>
      page.locator(".checks li").evaluateAll((all) =>
        all.map((li) => {
          const text = (of: string): string => li.querySelector(of)?.textContent?.trim() ?? "";
          return { passed: li.dataset.state === "passed", seen: text(".check-seen"), say: text(".check-say") };
        }),
      );

    /** Puts a program into the editor, as who pastes it, runs it from there, and holds the verdict to Node's. */
    const run = async (lesson: Lesson, source: string): Promise<Verdict> => {
      const here = verdicts.get(source) ?? grade(lesson, source, core);
      verdicts.set(source, here);
      await tabTo(/^Source$/);
      await page.keyboard.press("Control+a");
      await page.keyboard.insertText(source);
      await page.evaluate(() => delete globalThis.tabhyve!.app.course!.verdict);
      await page.keyboard.press("Control+Enter");
      await page.waitForFunction(() => globalThis.tabhyve!.app.course!.verdict, undefined, PATIENCE);
      await page.waitForSelector("#grade:not(:disabled)", PATIENCE);
      expect(await page.evaluate(() => globalThis.tabhyve!.app.course!.verdict)).toEqual(await here);
      return here;
    };

    test.each(index)("$title", async ({ folder, title }) => {
      const lesson = await readLesson((name) => readFileSync(join(FOLDER, folder, name), "utf8"));
      const { steps, texts, wrong } = lesson;
      const stepOf = (id: string): number => steps.findIndex(({ checks }) => checks.some((check) => check.id === id));
      await tabTo(new RegExp(`^\\d\\. ${title}`));
      await page.keyboard.press("Enter");
      await expect.poll(() => page.locator("#step-title").textContent(), PATIENCE).toBe(steps[0]!.title);
      expect((await run(lesson, texts.get(lesson.source)!)).passed).toBe(false);

      const given = wrong.filter(({ check }, i) => {
        const step = stepOf(check);
        return wrongs === "all" || i === wrong.findIndex((other) => stepOf(other.check) === step);
      });
      for (const { name, changes, check, says } of given) {
        const { checks } = await run(lesson, wrongSource(lesson, changes));
        const step = stepOf(check);
        await tabTo(new RegExp(`^Step ${step + 1}:`), "Shift+Tab");
        await page.keyboard.press("Enter");
        const own = checks.filter((c) => c.step === step);
        const wanted = own.map(({ passed, seen, say }) => ({ passed, seen: passed ? "" : seen, say }));
        expect(await shown(), name).toEqual(wanted);
        expect(own.find(({ id }) => id === check)!.say, name).toContain(says);
      }

      expect((await run(lesson, texts.get(lesson.solution)!)).passed).toBe(true);
      expect(await page.locator(".lesson-steps [data-done]").count()).toBe(steps.length);
      // What the program shows is in the machine, too.
      await expect.poll(() => page.evaluate(() => globalThis.tabhyve!.screenText()), PATIENCE).toMatch(/\S/);
      await tabTo(/^Close the lesson$/, "Shift+Tab");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".lesson", { state: "detached" });
      expect(visited.errors).toEqual([]);
    });
  });
}
