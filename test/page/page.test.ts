import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  buildSite,
  expectAccessible,
  image,
  manifest,
  untilConsole,
  untilState,
  type Visited,
  visit,
} from "./browser.ts";
import { findChromium, type Host, host, launch } from "./chromium.ts";

/** The page on a machine without an engine (src/ui/fakeMachine.ts), built and served as a static site. */

/** LayoutShift of the Layout Instability API, which the DOM lib does not know. */
interface Shift {
  value: number;
  sources: { node?: HTMLElement }[];
}

const chromium = findChromium();

describe.skipIf(!chromium)("page", { timeout: 60_000 }, () => {
  let site: Awaited<ReturnType<typeof buildSite>>;
  let isolated: Host;
  let browser: Browser;
  let base: string;
  let guests: object;

  beforeAll(async () => {
    site = await buildSite();
    isolated = await host(site.folder, true);
    base = isolated.base;
    browser = await launch(chromium!);
    guests = await manifest();
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await isolated?.close();
    site?.remove();
  });

  /** Runs a test body on a fresh page and expects that nothing went wrong behind it. */
  const on = async (
    options: Partial<Parameters<typeof visit>[1]>,
    body: (page: Page) => Promise<void>,
  ): Promise<void> => {
    const visited: Visited = await visit(browser, { base, guests, ...options });
    try {
      await body(visited.page);
      expect(visited.errors).toEqual([]);
    } finally {
      await visited.close();
    }
  };

  const bootEmbedded = async (page: Page): Promise<void> => {
    await page.getByRole("radio", { name: /Embedded guest/ }).check();
    await page.locator("#start").click();
    await untilConsole(page, /\/# $|\/#$/);
  };

  const problem = (page: Page, kind: string) => page.locator(`.problem[data-kind=${kind}]`);

  describe("guests", () => {
    test("the listed guest comes first and is selected", () =>
      on({}, async (page) => {
        expect(await page.locator(".card-title").allTextContents()).toEqual([
          "Debian 12 cloud kernel",
          "Embedded guest",
          "Your own kernel",
        ]);
        expect(await page.getByRole("radio", { name: /Debian 12/ }).isChecked()).toBe(true);
      }));

    test("without a list the embedded guest is selected and boots", () =>
      on({ guests: null }, async (page) => {
        expect(await page.getByRole("radio", { name: /Embedded guest/ }).isChecked()).toBe(true);
        await page.locator("#start").click();
        await untilConsole(page, /embedded guest/);
      }));

    test("a listed guest is fetched, checked and booted with its command line and memory", () =>
      on({}, async (page) => {
        await page.locator("#start").click();
        await untilConsole(
          page,
          /kernel of 300000 bytes[\s\S]*Command line: console=ttyS0 panic=-1 quiet[\s\S]*Memory: 262144K/,
        );
        await untilState(page, "running");
      }));

    test("a list that makes no sense is named; the embedded guest still works", () =>
      on({ guests: { guests: [{ id: "x", kernel: { file: "../etc/passwd" } }] } }, async (page) => {
        await expect
          .poll(() => problem(page, "manifest").textContent())
          .toContain("“kernel.file” is not a plain file name");
        await page.getByRole("button", { name: "Dismiss" }).click();
        await page.locator("#start").click();
        await untilState(page, "running");
      }));

    test("the choice and its settings survive a reload", () =>
      on({}, async (page) => {
        await page.getByRole("radio", { name: /Embedded guest/ }).check();
        await page.getByRole("button", { name: "Settings" }).first().click();
        await page.getByLabel("Memory", { exact: true }).fill("48");
        await page.getByLabel("Inline").check();
        await page.getByRole("button", { name: "Done" }).click();
        await page.reload();
        await page.locator("#start").click();
        await untilConsole(page, /Memory: 49152K[\s\S]*inline transport/);
      }));
  });

  describe("machine", () => {
    test("types and reads", () =>
      on({}, async (page) => {
        await bootEmbedded(page);
        await page.keyboard.type("hello\r");
        await untilConsole(page, /you typed 5 characters: hello/);
      }));

    test("Ctrl-C goes to the guest", () =>
      on({}, async (page) => {
        await bootEmbedded(page);
        await page.keyboard.type("abc");
        await page.keyboard.press("Control+c");
        await untilConsole(page, /abc\^C/);
      }));

    test("pauses, resumes, resets, powers off and starts again", () =>
      on({}, async (page) => {
        await bootEmbedded(page);
        await page.getByRole("button", { name: "Pause" }).click();
        await untilState(page, "paused");
        await page.getByRole("button", { name: "Resume" }).click();
        await untilState(page, "running");
        await page.getByRole("button", { name: "Reset" }).click();
        await untilConsole(page, /\/#$/);
        await page.getByRole("button", { name: "Power off" }).click();
        await untilState(page, "off");
        await page.locator("#main-control").click();
        await untilState(page, "running");
      }));

    test("says that the guest powered itself off, and keeps its last words", () =>
      on({}, async (page) => {
        await bootEmbedded(page);
        await page.keyboard.type("halt\r");
        await untilState(page, "off");
        await expect.poll(() => page.getByRole("status").textContent()).toContain("powered itself off");
        expect(await page.evaluate(() => globalThis.tabhyve!.consoleText())).toContain("halt");
      }));

    test("status line counts while running", () =>
      on({}, async (page) => {
        await bootEmbedded(page);
        await expect
          .poll(() => page.locator(".status .ips").textContent(), { timeout: 5000 })
          .toMatch(/1\d\d\.\d M instr\/s/);
        expect(await page.locator(".status").textContent()).toMatch(
          /Running.*100% CPU.*0:0\d.*k exits.*threaded · 32 MB/s,
        );
      }));

    test("tells the machine the console's size, again after a resize, and as stty on request", () =>
      on({}, async (page) => {
        await bootEmbedded(page);
        await page.keyboard.type("size\r");
        await untilConsole(page, /\n\d{2,3}x\d{2}\n/);
        const before = /\n(\d+x\d+)\n/.exec(await page.evaluate(() => globalThis.tabhyve!.consoleText()))![1];
        await page.setViewportSize({ width: 1000, height: 600 });
        await page.waitForTimeout(300);
        await page.keyboard.type("size\r");
        await page.waitForFunction(
          (old) =>
            globalThis
              .tabhyve!.consoleText()
              .match(/\n\d+x\d+\n/g)
              ?.some((size) => !size.includes(old!)),
          before,
        );
        await page.getByRole("button", { name: "Console menu" }).click();
        await page.getByRole("menuitem", { name: "Send stty size" }).click();
        await untilConsole(page, /stty rows \d+ cols \d+/);
      }));

    test("a flood of a megabyte loses no byte", () =>
      on({}, async (page) => {
        await bootEmbedded(page);
        await page.keyboard.type("flood\r");
        // Not at every frame, which is the default: the text of a full scrollback takes as long as the flood itself.
        const ended = () => /024999[\s\S]*\/#$/.test(globalThis.tabhyve!.consoleText().slice(-200));
        await page.waitForFunction(ended, undefined, { polling: 250 });
        const text = await page.evaluate(() => globalThis.tabhyve!.consoleText());
        const numbers = [...text.matchAll(/^(\d{6}) the quick brown fox jumps over t$/gm)].map((m) => Number(m[1]));
        expect(numbers.length).toBeGreaterThan(9000);
        expect(numbers.every((n, i) => i === 0 || n === numbers[i - 1]! + 1)).toBe(true);
      }));
  });

  describe("clipboard", () => {
    const permissions = ["clipboard-read", "clipboard-write"];

    test("Ctrl+Shift+V pastes in order, without control characters", () =>
      on({ permissions }, async (page) => {
        await bootEmbedded(page);
        const long = "x".repeat(1500);
        await page.evaluate((text) => navigator.clipboard.writeText(text), `a\u001b[201~b\u0003${long}end`);
        await page.keyboard.press("Control+Shift+V");
        await untilConsole(page, /end$/);
        await page.keyboard.type("\r");
        await untilConsole(page, /you typed 1510 characters: a\[201~bx+end/);
      }));

    test("Ctrl+Shift+C copies the selection", () =>
      on({ permissions }, async (page) => {
        await bootEmbedded(page);
        await page.locator(".xterm-screen").dblclick({ position: { x: 30, y: 10 } });
        await page.keyboard.press("Control+Shift+C");
        await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe("Tabhyve");
      }));
  });

  describe("own files", () => {
    const drop = (page: Page, files: { name: string; bytes: number[] }[]) =>
      page.evaluate((list) => {
        const data = new DataTransfer();
        for (const { name, bytes } of list) data.items.add(new File([new Uint8Array(bytes)], name));
        for (const type of ["dragenter", "dragover", "drop"]) {
          document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
        }
      }, files);

    test("a kernel and an initrd are told apart by content and boot", () =>
      on({}, async (page) => {
        await drop(page, [
          { name: "b", bytes: [0x1f, 0x8b, 8, 0] },
          { name: "a", bytes: [...image(2000)] },
        ]);
        await expect
          .poll(() => page.locator(".facts").textContent())
          .toMatch(/Kernel.*a.*bzImage.*2\.15.*Initrd.*b.*gzip/s);
        await page.locator("#start").click();
        await untilConsole(page, /kernel of 2000 bytes/);
      }));

    test("the file chooser does the same, and a file can be taken away again", () =>
      on({}, async (page) => {
        await page.locator("#files").setInputFiles([{ name: "k", mimeType: "", buffer: Buffer.from(image(2000)) }]);
        await page.getByRole("button", { name: "Remove kernel" }).click();
        await expect.poll(() => page.locator("#start").isDisabled()).toBe(true);
      }));

    test("a text file is refused by name, with what is needed", () =>
      on({}, async (page) => {
        await drop(page, [{ name: "notes.txt", bytes: [...Buffer.from("hello\n")] }]);
        await expect
          .poll(() => problem(page, "bad-file").textContent())
          .toMatch(/“notes.txt” is a text file.*bzImage/s);
      }));
  });

  describe("problems", () => {
    test("triple fault: says where, and resets", () =>
      on({}, async (page) => {
        await bootEmbedded(page);
        await page.keyboard.type("fault\r");
        const panel = problem(page, "triple-fault");
        await expect.poll(() => panel.textContent()).toMatch(/rip.*0xffffffff81a0003c.*cs.*cr2.*0x00000000deadbee8/s);
        await page.keyboard.press("Enter"); // the focus is on the first remedy
        await untilState(page, "running");
        expect(await panel.count()).toBe(0);
      }));

    test.each([
      ["oom", "memory", /refused 256 MB.*smaller machine/s],
      ["bad-image", "bad-image", /AArch64; needed is/],
      ["no-shared-memory", "isolation", /SharedArrayBuffer is not available.*inline transport/s],
      ["crash", "engine", /CompileError.*report it/s],
    ])("%s", (scenario, kind, text) =>
      on({ path: `?fake=${scenario}` }, async (page) => {
        await page.locator("#start").click();
        await expect.poll(() => problem(page, kind).textContent()).toMatch(text);
        await page.getByRole("button", { name: "Dismiss" }).click();
        await page.waitForSelector("#start");
      }),
    );

    test("out of memory: one button starts a smaller machine, down to one that the browser has room for", () =>
      on({ path: "?fake=oom" }, async (page) => {
        await page.locator("#start").click();
        await expect.poll(() => problem(page, "memory").textContent()).toMatch(/refused 256 MB/);
        await page.getByRole("button", { name: "Start with half the memory" }).click();
        await expect.poll(() => problem(page, "memory").textContent()).toMatch(/refused 128 MB/);
        await page.getByRole("button", { name: "Start with half the memory" }).click();
        await untilState(page, "running");
      }));

    test("no shared memory: one button starts with the inline transport", () =>
      on({ path: "?fake=no-shared-memory" }, async (page) => {
        await page.locator("#start").click();
        await page.getByRole("button", { name: /inline/ }).click();
        await untilConsole(page, /inline transport/);
      }));

    test("hash mismatch: the retry asks past the caches and boots", () =>
      on({}, async (page) => {
        let asked = 0;
        await page.route("**/guests/initrd.gz?*", (route) =>
          asked++ === 0 ? route.fulfill({ body: Buffer.alloc(120_000) }) : route.fallback(),
        );
        await page.locator("#start").click();
        await expect.poll(() => problem(page, "hash").textContent()).toMatch(/initrd.gz does not match.*SHA-256 is/s);
        await page.getByRole("button", { name: "Try again" }).click();
        await untilState(page, "running");
        expect(asked).toBe(2);
      }));

    test("a server error: the retry fetches only what is missing", async () => {
      const asked: string[] = [];
      const visited = await visit(browser, { base, guests });
      const { page } = visited;
      await page.route("**/guests/*?sha256=*", (route) => {
        const name = new URL(route.request().url()).pathname.split("/").pop()!;
        asked.push(name);
        const fails = name === "initrd.gz" && asked.filter((n) => n === name).length === 1;
        return fails ? route.fulfill({ status: 503 }) : route.fallback();
      });
      await page.locator("#start").click();
      await expect.poll(() => problem(page, "network").textContent()).toMatch(/503.*initrd.gz/s);
      await page.getByRole("button", { name: "Try again" }).click();
      await untilState(page, "running");
      expect(asked.sort()).toEqual(["initrd.gz", "initrd.gz", "vmlinuz-cloud"]);
      await visited.close();
    });

    test("cancel gives up a download", () =>
      on({}, async (page) => {
        await page.route("**/guests/initrd.gz?*", () => undefined); // never answers
        await page.locator("#start").click();
        await page.getByRole("button", { name: "Cancel" }).click();
        await page.waitForSelector("#start");
        await untilState(page, "none");
      }));
  });

  describe("on a host without isolation headers", () => {
    let plain: Host;
    beforeAll(async () => {
      plain = await host(site.folder, false);
    });
    afterAll(() => plain.close());

    test("where service workers are refused: explains, and starts on the inline transport", () =>
      on({ base: plain.base }, async (page) => {
        await page.getByText("Reduced mode").click();
        expect(await page.locator(".note").textContent()).toMatch(/COOP and COEP.*SharedArrayBuffer/s);
        await expectAccessible(page);
        await bootEmbedded(page);
        await untilConsole(page, /inline transport/);
      }));

    test("the service worker isolates the page after one reload, and serves it offline", async () => {
      const other = await host(site.folder, false);
      const visited = await visit(browser, { base: other.base, serviceWorkers: "allow" });
      const { page } = visited;
      await page.waitForFunction(() => crossOriginIsolated);
      await page.waitForSelector(".card:not(.ghost)");
      expect(await page.locator(".note").count()).toBe(0);
      await other.close();
      await page.reload();
      await page.waitForSelector(".card:not(.ghost)");
      await bootEmbedded(page);
      await untilConsole(page, /threaded transport/);
      expect(await page.evaluate(() => typeof SharedArrayBuffer)).toBe("function");
      await visited.close();
    });

    test("guest files are kept by their hash, and a damaged one is replaced", async () => {
      const visited = await visit(browser, { base: plain.base, serviceWorkers: "allow" });
      const { page } = visited;
      await page.waitForFunction(() => crossOriginIsolated);
      const file = join(site.folder, "guests", "f");
      mkdirSync(join(site.folder, "guests"));
      const get = (query: string, cache: RequestCache) =>
        page.evaluate(
          async ([q, mode]) => (await fetch(`guests/f?sha256=${q}`, { cache: mode as RequestCache })).text(),
          [query, cache],
        );
      // The worker writes its cache after it has answered, so what is kept is waited for.
      const kept = () =>
        page.evaluate(async () => {
          const cache = await caches.open("tabhyve-guests");
          const requests = await cache.keys();
          return Promise.all(requests.map(async (r) => [new URL(r.url).search, await (await cache.match(r))!.text()]));
        });
      writeFileSync(file, "damaged");
      expect(await get("a", "default")).toBe("damaged");
      await expect.poll(kept).toEqual([["?sha256=a", "damaged"]]);
      writeFileSync(file, "whole");
      expect(await get("a", "default")).toBe("damaged");
      expect(await get("a", "reload")).toBe("whole");
      await expect.poll(kept).toEqual([["?sha256=a", "whole"]]);
      expect(await get("b", "default")).toBe("whole");
      await expect.poll(kept).toEqual([["?sha256=b", "whole"]]);
      await visited.close();
    });
  });

  describe("keyboard alone", () => {
    test("from the first Tab to a running guest and out again", () =>
      on({}, async (page) => {
        await page.keyboard.press("Tab");
        expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the machine");
        // Saved machines, settings, theme, then the guests.
        for (let i = 0; i < 4; i++) await page.keyboard.press("Tab");
        expect(await page.evaluate(() => (document.activeElement as HTMLInputElement).name)).toBe("guest");
        await page.keyboard.press("ArrowDown");
        expect(await page.getByRole("radio", { name: /Embedded/ }).isChecked()).toBe(true);
        while ((await page.evaluate(() => document.activeElement?.id)) !== "start") await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
        await untilConsole(page, /\/#$/);
        // The console has the focus, and Tab belongs to the guest.
        await page.keyboard.press("Tab");
        await page.keyboard.type("x\r");
        await untilConsole(page, /you typed 1 characters: x/); // the guest trims its tab
        await page.keyboard.press("Control+Alt+g");
        expect(await page.evaluate(() => document.activeElement?.id)).toBe("main-control");
        await page.keyboard.press("Tab");
        expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Reset");
      }));

    test("the menu opens, moves, closes and gives the focus back", () =>
      on({}, async (page) => {
        await bootEmbedded(page);
        const active = () =>
          page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.id);
        await page.locator("#menu-button").focus();
        await page.keyboard.press("ArrowDown");
        await expect.poll(active).toMatch(/^Copy selection/);
        await page.keyboard.press("End");
        expect(await active()).toBe("Save console as text");
        await page.keyboard.press("Escape");
        expect(await active()).toBe("menu-button");
      }));

    test("settings keep the focus inside and Escape closes them", () =>
      on({}, async (page) => {
        await page.getByRole("button", { name: "Settings" }).first().click();
        for (let i = 0; i < 15; i++) {
          await page.keyboard.press("Tab");
          const inside = await page.evaluate(
            () => document.activeElement === document.body || document.activeElement!.closest("dialog"),
          );
          expect(inside).toBeTruthy();
        }
        await page.keyboard.press("Escape");
        expect(await page.locator("dialog#settings").evaluate((d: HTMLDialogElement) => d.open)).toBe(false);
      }));
  });

  describe.each(["light", "dark"] as const)("%s", (colorScheme) => {
    describe.each([
      [1280, 800],
      [390, 844],
    ])("at %i px", (width, height) => {
      const start = (page: Page) => page.locator(width < 800 ? ".guests-footer .primary" : "#start").click();
      const views: Record<string, [path: string, (page: Page) => Promise<unknown>]> = {
        chooser: ["?fake", async () => undefined],
        running: ["?fake", (page) => start(page).then(() => untilConsole(page, /\/#$/))],
        menu: [
          "?fake",
          (page) =>
            start(page)
              .then(() => untilConsole(page, /\/#$/))
              .then(() => page.locator("#menu-button").click()),
        ],
        settings: ["?fake", (page) => page.getByRole("button", { name: "Settings" }).first().click()],
        progress: ["?fake=slow", (page) => start(page).then(() => page.waitForSelector(".steps"))],
        problem: ["?fake=oom", (page) => start(page).then(() => page.waitForSelector(".problem"))],
        "screen reader": [
          "?fake",
          async (page) => {
            await start(page);
            await untilConsole(page, /\/#$/);
            await page.locator("#menu-button").click();
            await page.getByRole("menuitemcheckbox").click();
            await page.waitForSelector(".xterm-accessibility");
          },
        ],
      };
      test.each(Object.keys(views))("%s: axe finds nothing, nothing sticks out", (name) =>
        on({ path: views[name]![0], colorScheme, viewport: { width, height } }, async (page) => {
          await views[name]![1](page);
          await expectAccessible(page);
          expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        }),
      );

      test("no layout shift from load to running", () =>
        on({ colorScheme, viewport: { width, height } }, async (page) => {
          await page.evaluate(() => {
            (globalThis as { shifts?: string[] }).shifts = [];
            new PerformanceObserver((list) => {
              for (const entry of list.getEntries() as unknown as Shift[]) {
                const nodes = entry.sources.map((s) => s.node?.className ?? s.node?.nodeName).join(", ");
                if (entry.value > 0.001)
                  (globalThis as unknown as { shifts: string[] }).shifts.push(`${entry.value} ${nodes}`);
              }
            }).observe({ type: "layout-shift", buffered: true });
          });
          await start(page);
          await untilConsole(page, /\/#$/);
          await page.waitForTimeout(600);
          expect(await page.evaluate(() => (globalThis as { shifts?: string[] }).shifts)).toEqual([]);
        }));
    });
  });

  test("the theme button overrides the system, and is remembered", () =>
    on({ colorScheme: "light" }, async (page) => {
      const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const light = await background();
      await page.getByRole("button", { name: "Use the dark theme" }).click();
      const dark = await background();
      expect(dark).not.toBe(light);
      await page.reload();
      expect(await background()).toBe(dark);
    }));
});
