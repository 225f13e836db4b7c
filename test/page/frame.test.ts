/** embed.html in frames of another site: who may call it, what of a stranger's link needs a person, and with what it works. */
import { deflateRawSync } from "node:zlib";
import type { Browser, FrameLocator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { connect } from "../../src/ui/embed/frameClient.ts";
import { buildSite } from "./browser.ts";
import { browsers } from "./browsers.ts";
import { type Host, host } from "./chromium.ts";
import { EMBEDDABLE, LISTEN, type Teacher, teacher } from "./teacher.ts";

const fragment = (link: object): string => `#v1=${deflateRawSync(JSON.stringify(link)).toString("base64url")}`;

declare global {
  var connectTo: typeof connect;
  var answers: unknown[];
}

describe.each(browsers)("a machine in a frame, $name", { timeout: 120_000 }, ({ name, there, launch }) => {
  if (!there) return test.skip("is not there", () => {});

  let site: Awaited<ReturnType<typeof buildSite>>;
  let served: Host;
  let browser: Browser;

  beforeAll(async () => {
    site = await buildSite("production");
    served = await host(site.folder, EMBEDDABLE);
    browser = await launch();
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await served?.close();
    site?.remove();
  });

  /** A page with embed.html in a frame; what it hears from there, if anything, is in `answers`. */
  const framed = (
    query: string,
    link: object | undefined,
    isolated = false,
    prepare?: (page: Page) => Promise<void>,
  ): Promise<Teacher> =>
    teacher(
      browser,
      `<iframe id="vm" title="Machine" allow="cross-origin-isolated" width="800" height="500"
         src="${served.base}embed.html?${query}${link ? fragment(link) : ""}"></iframe>
       <script type="module">${LISTEN}
         globalThis.answers = [];
         addEventListener("message", ({ data }) => answers.push(data));
         globalThis.connectTo = (await import("${served.base}tabhyve-frame.js")).connect;
       </script>`,
      isolated,
      {},
      prepare,
    );
  const connected = async (page: Page): Promise<void> => {
    await page.waitForFunction(() => "connectTo" in globalThis);
    await page.evaluate(async () => {
      const vm = await globalThis.connectTo(document.querySelector<HTMLIFrameElement>("#vm")!);
      (globalThis as unknown as { listen(target: EventTarget): void }).listen(vm);
      globalThis.handle = vm;
    });
  };
  const frame = (page: Page): FrameLocator => page.frameLocator("#vm");
  const state = (page: Page) =>
    frame(page)
      .locator("tabhyve-vm")
      .evaluate((vm: HTMLElementTagNameMap["tabhyve-vm"]) => vm.handle.state);

  for (const isolated of [true, false]) {
    test(`is driven by the page that its address names, ${isolated ? "isolated" : "not isolated"}`, async () => {
      const link = { guest: "embedded", memory: 48 };
      const { page, errors, close } = await framed("origin=ORIGIN&controls", link, isolated);
      await connected(page);
      const inside = page.frames()[1]!;
      expect(await inside.evaluate(() => crossOriginIsolated)).toBe(isolated);
      const banner = await page.evaluate(async () => {
        await globalThis.handle.start();
        return globalThis.handle.waitForText(/^tabhyve> $/m);
      });
      expect(banner).toMatch(/48767 KiB of RAM/);
      const seen = await page.evaluate(async () => {
        const { handle } = globalThis;
        await handle.pause();
        const { state } = handle;
        const { RIP } = await handle.registers();
        const code = await handle.readMemory({ address: RIP, length: 16 });
        const file = await handle.save();
        await handle.start(file);
        const again = await handle.registers();
        await handle.type("poweroff\n");
        const why = await handle.waitForText("never").catch((error: Error) => error.message);
        const { instructions } = await handle.stats();
        return { state, RIP, code: code.length, again: again.RIP, why, instructions, after: handle.state };
      });
      expect(seen).toMatchObject({ state: "paused", code: 16, again: seen.RIP, after: "off" });
      expect(seen.why).toMatch(/^The guest powered off\./);
      expect(seen.instructions).toBeGreaterThan(1000);
      const told = await page.evaluate(() => globalThis.told.map(({ name }) => name));
      expect(told.filter((name) => name === "ready").length).toBe(2);
      expect(told).toContain("exit");
      expect(await page.evaluate(() => globalThis.printed)).toContain("Tabhyve, embedded guest");
      expect(errors).toEqual([]);
      await close();
    });
  }

  test("hears nobody whom its address does not name", async () => {
    for (const query of ["", "origin=https%3A%2F%2Felsewhere.example", "origin=null&origin=*&origin=ORIGIN%2F"]) {
      const { page, close } = await framed(`${query}&autostart`, undefined);
      await page.waitForFunction(() => "connectTo" in globalThis);
      const why = await page.evaluate(() =>
        globalThis.connectTo(document.querySelector<HTMLIFrameElement>("#vm")!, 2000).then(
          () => "connected",
          (error: Error) => error.message,
        ),
      );
      expect(why).toMatch(/^The frame does not answer: does its address have \?origin=http:\/\/127\.0\.0\.1:/);
      await page.evaluate(() => {
        const { contentWindow } = document.querySelector<HTMLIFrameElement>("#vm")!;
        contentWindow!.postMessage({ tabhyve: "call", id: 1, command: "stop", args: [] }, "*");
      });
      await expect.poll(() => state(page)).toBe("running");
      expect(await page.evaluate(() => globalThis.answers)).toEqual([]);
      await close();
    }
  });

  test("hears the page around it alone, not another frame of the same origin, and knows no other commands", async () => {
    const { page, close } = await framed("origin=ORIGIN&autostart", undefined);
    await connected(page);
    await page.evaluate(() => globalThis.handle.waitForText("tabhyve> "));
    await page.evaluate(async () => {
      globalThis.answers.length = 0;
      // A frame of this page's own origin speaks to the machine's frame.
      const other = document.createElement("iframe");
      document.body.append(other);
      const call = { tabhyve: "call", id: 1, command: "stop", args: [] };
      (other.contentWindow as unknown as { eval(code: string): void }).eval(
        `parent.frames[0].postMessage(${JSON.stringify(call)}, "*")`,
      );
      const { contentWindow } = document.querySelector<HTMLIFrameElement>("#vm")!;
      for (const command of ["constructor", "session", "__proto__", "eval", 7, null]) {
        contentWindow!.postMessage({ tabhyve: "call", id: 2, command, args: ["alert(1)"] }, "*");
      }
      for (const junk of [
        null,
        "hello",
        1,
        [],
        { tabhyve: "call" },
        { tabhyve: "call", id: "x", command: "stop", args: [] },
      ]) {
        contentWindow!.postMessage(junk, "*");
      }
      // Messages come in their order: when this one is answered, the others were not.
      await globalThis.handle.stats();
    });
    const answers = await page.evaluate(() => globalThis.answers as { tabhyve: string; id?: number }[]);
    expect(answers.filter(({ tabhyve }) => tabhyve === "answer").length).toBe(1);
    expect(await state(page)).toBe("running");
    await close();
  });

  test("fetches nothing of a stranger's link, and starts nothing, before a person has pressed Start", async () => {
    const disk = { url: "https://elsewhere.example/debian/manifest.json", sha256: "ab".repeat(32) };
    const guests = {
      guests: [
        {
          id: "cloud",
          title: "Linux",
          kernel: { file: "vmlinuz", bytes: 4, sha256: "00".repeat(32) },
        },
      ],
    };
    const asked: string[] = [];
    const link = { guest: "cloud", disk };
    const { page, close } = await framed("autostart&origin=ORIGIN", link, false, async (before) => {
      await before.route("**/guests/manifest.json", (route) => route.fulfill({ json: guests }));
      await before.route("**/vmlinuz*", (route) => route.fulfill({ status: 404 }));
      before.on("request", (request) => asked.push(request.url()));
    });
    await connected(page);
    await expect.poll(() => frame(page).locator(".facts").textContent()).toMatch(/elsewhere\.example.*abab/s);
    const why = await page.evaluate(() => globalThis.handle.start().catch((error: Error) => error.message));
    expect(why).toBe("This machine has a part that is not of its site: a person must start it, in its frame.");
    expect(await state(page)).toBe("none");
    // WebDriver BiDi does not tell what a Firefox fetches in a frame of another site.
    if (name === "Chromium") {
      expect(asked.some((url) => url.includes("embed.html"))).toBe(true);
      expect(asked.filter((url) => url.includes("elsewhere") || url.includes("vmlinuz"))).toEqual([]);
    }
    const start = frame(page).locator("#start");
    // WebDriver BiDi brings neither pointer nor keys into a frame of another site in Firefox.
    await (name === "Chromium" ? start.click() : start.evaluate((button: HTMLElement) => button.click()));
    await expect.poll(() => state(page)).not.toBe("none");
    if (name === "Chromium") await expect.poll(() => asked.some((url) => url.includes("vmlinuz"))).toBe(true);
    await close();
  });
  test("says why a link is not followed", async () => {
    const { page, close } = await framed("origin=ORIGIN", { guest: "embedded", memory: 4096 });
    await expect
      .poll(() => frame(page).locator("#problem-cause").textContent())
      .toBe("It asks for more MB of memory than a link may (1024), or for none.");
    await close();
  });
});
