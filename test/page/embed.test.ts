/** `<tabhyve-vm>` in pages of another site, isolated and not; the example of a lesson; the site's service worker. */
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { buildSite, expectAccessible, root } from "./browser.ts";
import { browsers } from "./browsers.ts";
import { type Host, host } from "./chromium.ts";
import { EMBEDDABLE, LISTEN, type Teacher, teacher } from "./teacher.ts";

/** Firmware that says and keeps something, and then stands still. */
const ROM = assemble(`
                org 0
                bits 16
start:          xor ax, ax
                mov ds, ax
                mov dx, 0x3f8
                mov al, "R"
                out dx, al
                mov al, "!"
                out dx, al
                mov dword [0x500], "teac"
                mov dword [0x504], "her"
                mov ebx, 0x12345678
stand:          hlt
                jmp stand
                times 0xfff0 - ($ - $$) db 0
                jmp 0xf000:start
                times 0x10000 - ($ - $$) db 0
`).bytes;

describe.each(browsers)("a machine in somebody's page, $name", { timeout: 120_000 }, ({ there, launch }) => {
  if (!there) return test.skip("is not there", () => {});

  let site: Awaited<ReturnType<typeof buildSite>>;
  let served: Host;
  /** The same, on a host that serves files and nothing else. */
  let plain: Host;
  let browser: Browser;

  beforeAll(async () => {
    site = await buildSite("production");
    copyFileSync(join(root, "examples/lesson.html"), join(site.folder, "lesson.html"));
    const page = `<!doctype html><title>Lesson</title><link rel="icon" href="data:,">
      <script type="module" src="tabhyve-vm.js"></script><tabhyve-vm isolate autostart transport="threaded"></tabhyve-vm>`;
    writeFileSync(join(site.folder, "isolate.html"), page);
    served = await host(site.folder, EMBEDDABLE);
    plain = await host(site.folder, false);
    browser = await launch();
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await served?.close();
    await plain?.close();
    site?.remove();
  });

  /** A page with the element and these attributes. */
  const lesson = (attributes: string, isolated: boolean, files = {}): Promise<Teacher> =>
    teacher(
      browser,
      `<script type="module" src="${served.base}tabhyve-vm.js"></script>
       <main><h1>Lesson</h1><tabhyve-vm ${attributes}></tabhyve-vm></main>
       <script type="module">${LISTEN}
         globalThis.vm = document.querySelector("tabhyve-vm");
         globalThis.handle = vm.handle;
         listen(vm);
       </script>`,
      isolated,
      files,
    );

  const told = (page: Page, name: string) =>
    page.evaluate((n) => globalThis.told.filter((event) => event.name === n).map(({ detail }) => detail), name);

  for (const [what, isolated, transport] of [
    ["isolated", true, "threaded"],
    ["not isolated", false, "auto"],
  ] as const) {
    test(`of another site, ${what}: is driven by its handle and tells events`, async () => {
      const { page, errors, close } = await lesson(
        `memory="48M" vcpus="1" transport="${transport}" controls`,
        isolated,
      );
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(isolated);
      expect(await page.evaluate(() => globalThis.handle.state)).toBe("none");
      await expectAccessible(page);
      const banner = await page.evaluate(async () => {
        await globalThis.handle.start();
        return globalThis.handle.waitForText("tabhyve> ");
      });
      expect(banner).toMatch(/Tabhyve, embedded guest\n[\s\S]*KiB of RAM[\s\S]*tabhyve> $/);
      await expectAccessible(page);
      // The prompt that was found is not found again.
      const answer = await page.evaluate(async () => {
        await globalThis.handle.type("machine\n");
        return globalThis.handle.waitForText(/^tabhyve> $/m);
      });
      expect(answer).toMatch(/^machine\n[\s\S]*48767 KiB of RAM/);
      await page.evaluate(() => globalThis.handle.pause());
      const looked = await page.evaluate(async () => {
        const registers = await globalThis.handle.registers();
        const at = { address: registers.RIP, length: 16 };
        const linear = await globalThis.handle.readMemory(at);
        const physical = await globalThis.handle.readMemory({ ...at, physical: true });
        const nowhere = await globalThis.handle.readMemory({ address: 0x7fff_ffff_f000n, length: 16 });
        const { RIP, CR0 } = registers;
        return { RIP, CR0, linear: [...linear], physical: [...physical], nowhere: nowhere.length };
      });
      expect(looked.CR0 & 0x8000_0001n).toBe(0x8000_0001n);
      expect(looked.linear).toEqual(looked.physical); // the guest maps itself where it lies
      expect(looked.linear.some((byte) => byte !== 0)).toBe(true);
      expect(looked.nowhere).toBe(0);
      await expect(page.evaluate(() => globalThis.handle.registers(3))).rejects.toThrow("there is no vCPU 3");
      const saved = await page.evaluate(async () => {
        const file = await globalThis.handle.save();
        await globalThis.handle.resume();
        await globalThis.handle.type("poweroff\n");
        const why = await globalThis.handle.waitForText("never printed").catch((error: Error) => error.message);
        const state = globalThis.handle.state;
        // What goes on has the registers of the machine that was saved, and takes commands.
        await globalThis.handle.start(file);
        const { RIP } = await globalThis.handle.registers();
        await globalThis.handle.type("help\n");
        const text = await globalThis.handle.waitForText(/tabhyve> help\n[\s\S]*this list/);
        await globalThis.handle.stop();
        return { why, state, RIP, text, after: globalThis.handle.state, printed: globalThis.printed };
      });
      expect(saved).toMatchObject({ state: "off", RIP: looked.RIP, after: "none" });
      expect(saved.why).toMatch(/^The guest powered off\. .*never printed.* did not come\.$/);
      expect(saved.text).toMatch(/^Tabhyve, embedded guest/); // what it had printed before is printed again
      expect((await told(page, "ready")).length).toBe(2);
      expect(await told(page, "exit")).toMatchObject([
        { reason: "power-off", what: "The guest powered off." },
        { reason: "power-off", what: "Powered off." },
      ]);
      expect(await told(page, "error")).toEqual([]);
      expect(errors).toEqual([]);
      await close();
    });
  }

  test("has no worker that starts another one, which Firefox may never come back from (helpers.ts)", () => {
    const assets = join(site.folder, "assets");
    const workers = readdirSync(assets).filter((file) => /^(machine|vcpu|disk)Worker-.*\.js$/.test(file));
    expect(workers.length).toBe(3);
    for (const file of workers) expect(readFileSync(join(assets, file), "utf8")).not.toMatch(/new Worker\b/);
  });

  test("boots a file of the page, told by its content, and shows its memory", async () => {
    const files = { "boot.rom": ROM };
    const { page, errors, close } = await lesson('src="boot.rom" autostart', true, files);
    await page.evaluate(() => globalThis.handle.waitForText("R!"));
    // Between the last of what it does and the standstill are a few instructions.
    await expect.poll(() => page.evaluate(async () => (await globalThis.handle.registers()).RBX)).toBe(0x12345678n);
    const kept = await page.evaluate(async () =>
      new TextDecoder().decode(await globalThis.handle.readMemory({ address: 0x500, length: 7 })),
    );
    expect(kept).toBe("teacher");
    expect(await page.locator("tabhyve-vm #screen canvas").isVisible()).toBe(true);
    expect(errors).toEqual([]);
    await close();
  });

  test("says what is wrong with what it was told to be", async () => {
    const { page, close } = await lesson('guest="none"', false);
    const why = await page.evaluate(() => globalThis.handle.start().catch((error: Error) => error.message));
    expect(why).toMatch(/^localhost:\d+ has no guest “none”; it has embedded/);
    expect(await told(page, "error")).toMatchObject([{ cause: why }]);
    expect(await page.locator("tabhyve-vm .problem").textContent()).toContain("has no guest “none”");
    await page.evaluate(() => {
      globalThis.vm.setAttribute("guest", "embedded");
      globalThis.vm.setAttribute("memory", "5 bananas");
    });
    expect(await page.evaluate(() => globalThis.handle.start().catch((error: Error) => error.message))).toBe(
      'memory="5 bananas" is not a size from 1M to 3072M.',
    );
    await page.evaluate(() => globalThis.vm.setAttribute("memory", "32M"));
    await page.locator("tabhyve-vm").getByRole("button", { name: "Try again" }).click();
    await page.evaluate(() => globalThis.handle.waitForText("tabhyve> "));
    await close();
  });

  test("is freed when it is taken out of the page", async () => {
    const { page, close } = await lesson("", false);
    await page.evaluate(() => globalThis.handle.start());
    expect(page.workers().length).toBeGreaterThan(0);
    await page.evaluate(() => globalThis.vm.remove());
    await expect.poll(() => page.workers().length).toBe(0);
    await close();
  });

  test("in the example of a lesson", async () => {
    const context = await browser.newContext({ serviceWorkers: "block" });
    const page = await context.newPage();
    await page.goto(`${served.base}lesson.html`);
    await expectAccessible(page);
    await page.locator("tabhyve-vm #start").click();
    await page.locator("#look:not(:disabled)").click({ timeout: 30_000 });
    await expect
      .poll(() => page.locator("#answer").textContent())
      .toMatch(/^RIP 0x[0-9a-f]{16}: ([0-9a-f]{2} ?){8}\nRSP 0x[0-9a-f]{16}\nCR3 0x[0-9a-f]{16}$/);
    await page.locator("tabhyve-vm").getByRole("button", { name: "Power off" }).click();
    await expect.poll(() => page.locator("#answer").textContent()).toBe("Powered off.");
    await context.close();
  });

  test("in the site's folder on a host of files, with isolation by the service worker", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${plain.base}isolate.html`);
    await page.waitForFunction(() => crossOriginIsolated, undefined, { timeout: 30_000 });
    // Its transport is the one that nobody has without isolation.
    await page.waitForFunction(
      () =>
        document.querySelector<HTMLElementTagNameMap["tabhyve-vm"]>("tabhyve-vm:defined")?.handle.state === "running",
    );
    await page.evaluate(() => document.querySelector("tabhyve-vm")!.handle.waitForText("tabhyve> "));
    await context.close();
  });
});
