/** The default guest goes on from where it has booted, and boots when it must (src/ui/prepared.ts). */
import type { BrowserContext, Page } from "playwright-core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { addSnapshot } from "../../scripts/guest/snapshot.mjs";
import { guest } from "../guests/shell.ts";
import { untilConsole } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { PROMPT, run, type } from "./linuxPage.ts";
import { production } from "./production.ts";

const chromium = findChromium();
const cloud = guest("cloud");

describe.skipIf(!chromium || !cloud)("a guest that has booted already", { timeout: 180_000 }, () => {
  const site = production(chromium!, addSnapshot);
  let context: BrowserContext;
  /** Files of guests that pages have fetched, or their service worker for them. */
  let fetched: Set<string>;
  const taken = (): string[] => {
    const names = [...fetched].sort();
    fetched.clear();
    return names;
  };
  beforeEach(async () => {
    context = await site.browser.newContext();
    fetched = new Set();
    context.on("request", (request) => {
      const name = /guests\/([^?/]+)\?sha256/.exec(request.url())?.[1];
      if (name) fetched.add(name);
    });
  });
  afterEach(() => context.close());

  async function started(settings?: (page: Page) => Promise<unknown>): Promise<Page> {
    const page = await context.newPage();
    await page.goto(site.base);
    if (settings) {
      await page.getByRole("button", { name: "Settings" }).first().click();
      await settings(page);
      await page.getByRole("button", { name: "Done" }).click();
    }
    await page.locator("#start").click();
    await untilConsole(page, PROMPT, 60_000);
    return page;
  }
  /** Whether it has gone on from the snapshot. */
  const goesOn = async (page: Page): Promise<boolean> => {
    const console = await run(page, "echo goes on: $(grep -c tabhyve.prepared /proc/cmdline)");
    return [...console.matchAll(/^goes on: ([01])$/gm)].at(-1)?.[1] === "1";
  };

  test("has its prompt from the snapshot alone, with this tab's terminal, time and random numbers", async () => {
    const page = await started();
    expect(taken()).toEqual(["cloud.tabhyve"]);
    expect(await goesOn(page)).toBe(true);
    const answer = await run(page, "echo $(stty size) $TERM $(date +%s)");
    const [, rows, cols, now] = /^(\d+) (\d+) xterm-256color (\d+)$/m.exec(answer)!.map(Number);
    expect([rows, cols].join("x")).not.toBe("24x80");
    expect(Math.abs(Date.now() / 1000 - now!)).toBeLessThan(30);
    const random = async (p: Page) => /^[0-9a-f]{32}$/m.exec(await run(p, "xxd -p -l 16 /dev/urandom"))![0];
    expect(await random(page)).not.toBe(await random(await started()));
  });

  test("boots after a reset, and when it reboots itself", async () => {
    const page = await started();
    await page.getByRole("button", { name: "Reset" }).click();
    await untilConsole(page, PROMPT, 60_000);
    expect(taken()).toEqual(["cloud.tabhyve", "initrd-amd64.gz.bin", "vmlinuz-cloud-amd64"]);
    expect(await goesOn(page)).toBe(false);

    const other = await started();
    expect(await goesOn(other)).toBe(true);
    await type(other, "reboot");
    await untilConsole(other, /Restarting system.*:~#$/s, 60_000);
    expect(await goesOn(other)).toBe(false);
  });

  test("boots when it is asked to, is another machine, or its snapshot does not fit", async () => {
    const kernel = ["initrd-amd64.gz.bin", "vmlinuz-cloud-amd64"];
    await started((page) => page.locator("#prepared").uncheck());
    expect(taken()).toEqual(kernel);
    await started((page) => page.locator("#vcpus").fill("2"));
    expect(taken()).toEqual(kernel);

    await context.route(/guests\/manifest\.json/, async (route) => {
      const manifest = await (await route.fetch()).json();
      for (const entry of manifest.guests) entry.memory = "128M";
      await route.fulfill({ json: manifest });
    });
    const page = await started(async (p) => {
      await p.locator("#vcpus").fill("1");
      await p.locator("#prepared").check();
    });
    expect(taken()).toEqual(["cloud.tabhyve", ...kernel]);
    expect(await goesOn(page)).toBe(false);
  });
});
