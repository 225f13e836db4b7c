/** The inspector in each browser: live, paused, step by step, and after triple faults; keyboard, axe. */
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { BROKEN_KERNELS } from "../debug/brokenKernels.ts";
import { buildSite, expectAccessible, untilConsole, untilState } from "./browser.ts";
import { browsers } from "./browsers.ts";
import { type Host, host } from "./chromium.ts";
import { pageFile } from "./linuxPage.ts";

/** A folder that takes pictures, for whoever wants to look. */
const pictures = process.env.TABHYVE_PICTURES;

/** A kernel, what its end began with, the rule, and the last instruction. */
const BROKEN = [
  ["badIdt", "#DE", /the gate must be present \(bit 47, P\)/, /div ecx/],
  ["badIdt64", "INT3", /a gate of IA-32e mode has 16 bytes/, /int3/],
  ["badTss", "INT 0x30", /the stack's selector must not be null/, /int 0x30/],
  ["badCr3", "#PF(0)", /could not be fetched, because the PDE is not present/, /mov cr0,eax/],
] as const;

let site: Awaited<ReturnType<typeof buildSite>>;
let served: Host;
beforeAll(async () => {
  site = await buildSite("production");
  served = await host(site.folder, true);
}, 180_000);
afterAll(async () => {
  await served?.close();
  site?.remove();
});

describe.each(browsers)("the inspector in $name", { timeout: 120_000 }, ({ name: browserName, there, launch }) => {
  if (!there) return test.skip("is not there", () => {});
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];
  beforeAll(async () => {
    browser = await launch();
  }, 60_000);
  afterAll(() => browser?.close());
  afterEach(async () => {
    await page?.context().close();
    expect(errors.splice(0)).toEqual([]);
  });

  async function opened(viewport = { width: 1280, height: 800 }): Promise<void> {
    const context = await browser.newContext({ serviceWorkers: "block", viewport });
    context.setDefaultTimeout(30_000);
    page = await context.newPage();
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.goto(served.base);
    await page.waitForSelector(".card:not(.ghost)");
  }
  /** A page with the embedded guest at its prompt. */
  async function booted(viewport = { width: 1280, height: 800 }): Promise<void> {
    await opened(viewport);
    await page.getByRole("radio", { name: /Embedded guest/ }).check();
    if (viewport.width < 800) await page.getByRole("button", { name: "Machine", exact: true }).click();
    await page.locator("#start").click();
    await untilConsole(page, /tabhyve>$/, 30_000);
  }
  const picture = async (name: string): Promise<void> => {
    if (pictures) await page.screenshot({ path: join(pictures, `${browserName}-${name}.png`) });
  };
  const panel = () => page.locator(".inspector");
  const tab = (name: string) => page.getByRole("tab", { name }).click();
  const rip = async (): Promise<string> => {
    const row = page.locator(".reg", { has: page.locator("dt", { hasText: /^rip$/ }) });
    return ((await row.locator("dd").textContent()) ?? "").trim();
  };
  const control = (name: string) => panel().getByRole("button", { name, exact: true });
  const paused = () => untilState(page, "paused");

  test("is not loaded before it is opened, and shows a running machine", async () => {
    await booted();
    const loaded = () => page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
    expect((await loaded()).filter((name) => /inspector/.test(name))).toEqual([]);
    await page.locator("#inspect-button").focus();
    await page.keyboard.press("Enter");
    await expect.poll(() => panel().textContent()).toMatch(/64-bit mode, CPL 0/);
    expect((await loaded()).some((name) => /inspector/.test(name))).toBe(true);
    // The guest goes on: what is counted grows from look to look.
    const count = async () =>
      Number(/([\d,]+) instructions/.exec((await panel().textContent()) ?? "")?.[1]?.replaceAll(",", ""));
    const first = await count();
    await page.evaluate(() => globalThis.tabhyve!.app.session!.handle!.serialInput(new TextEncoder().encode("help\r")));
    await expect.poll(count).toBeGreaterThan(first);
    await picture("cpu-live");
    await expectAccessible(page);
  });

  test("steps, stops at breakpoints and watchpoints, and shows what has changed; by keys alone", async () => {
    await booted();
    await page.locator("#inspect-button").focus();
    await page.keyboard.press("Enter");
    await page.locator("#inspect-panel").waitFor();
    await page.keyboard.press("F8");
    await paused();
    // The prompt waits in HLT. A watchpoint below its stack pointer, where an interrupt pushes RFLAGS, stops the guest.
    await page.locator("#stop-at").fill("rsp-18");
    await page.locator("#stop-kind").selectOption("write");
    await page.locator("#stop-length").selectOption("8");
    await page.locator("#stop-at").press("Enter");
    await expect.poll(() => page.locator(".stops li").textContent()).toMatch(/when it is written, 8 bytes/);
    await page.locator("#inspect-panel").focus();
    await page.keyboard.press("F8");
    await page.evaluate(() => globalThis.tabhyve!.app.session!.handle!.serialInput(new TextEncoder().encode("x")));
    await expect.poll(() => page.locator(".inspect-state").textContent()).toMatch(/^watchpoint at 0x/);
    await picture("cpu-watchpoint");
    await expectAccessible(page);
    await panel()
      .getByRole("button", { name: /Remove the stop/ })
      .click();
    await expect.poll(() => page.locator(".stops li").count()).toBe(0);
    await page.locator("#inspect-panel").focus();
    await page.keyboard.press("F8");
    await untilState(page, "running");
    await page.waitForTimeout(300);
    await page.keyboard.press("F8");
    await paused();
    // A key is an interrupt, which a step delivers.
    await page.evaluate(() => globalThis.tabhyve!.app.session!.handle!.serialInput(new TextEncoder().encode("h")));
    const halted = await rip();
    await page.keyboard.press("F11");
    await expect.poll(rip).not.toBe(halted);
    await paused();
    const first = await rip();
    await page.keyboard.press("F11");
    await expect.poll(rip).not.toBe(first);
    await expect.poll(() => page.locator(".regs .changed").count()).toBeGreaterThan(0);
    expect(await page.locator("tr[aria-current] .code-address").textContent()).toContain(
      (await rip()).replace(/^0+/, ""),
    );
    await picture("cpu-step");

    // A breakpoint on the third instruction from here, from the keyboard; the guest comes to it.
    const rows = page.locator(".code .gutter");
    await page.locator("tr[aria-current] .gutter").focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await expect.poll(() => page.locator('.gutter[aria-pressed="true"]').count()).toBe(1);
    expect(await rows.count()).toBeGreaterThan(20);
    const at = /Breakpoint at ([0-9a-f]+)/.exec(
      (await page.locator('.gutter[aria-pressed="true"]').getAttribute("aria-label")) ?? "",
    )?.[1];
    await page.keyboard.press("F8");
    await expect.poll(() => page.locator(".inspect-state").textContent()).toBe(`breakpoint at 0x${at}, vCPU 0`);
    expect(BigInt(`0x${await rip()}`)).toBe(BigInt(`0x${at}`));
    await panel()
      .getByRole("button", { name: /Remove the stop/ })
      .click();
    await expect.poll(() => page.locator(".stops li").count()).toBe(0);

    await control("Close the inspector").click();
    await expect.poll(() => panel().count()).toBe(0);
    // Nothing is left of its stops.
    await page.getByRole("button", { name: "Resume" }).click();
    await untilConsole(page, /tabhyve> xh$/, 30_000);
  });

  test("stops at an exception before it is delivered, and shows the walk that has failed", async () => {
    await booted();
    await page.locator("#inspect-button").click();
    await panel().waitFor();
    await page.locator("#catch-vector").selectOption({ label: "#PF, page fault" });
    await page.locator("#catch-from").selectOption({ label: "of any code" });
    await page
      .locator(".place", { has: page.locator("#catch-vector") })
      .getByRole("button", { name: "Add" })
      .click();
    await expect.poll(() => page.locator(".stops li").textContent()).toMatch(/#PF, page fault\s*of any code/);
    await page.evaluate(() =>
      globalThis.tabhyve!.app.session!.handle!.serialInput(new TextEncoder().encode("pagefault\r")),
    );
    await paused();
    const said = () => page.locator(".inspect-state").textContent();
    await expect
      .poll(said)
      .toMatch(/^#PF\(0\) at 0x[0-9a-f]+, vCPU 0: supervisor read: an entry is not present; not delivered yet$/);
    const address = /at (0x[0-9a-f]+)/.exec((await said())!)![1];
    await tab("Paging");
    await expect.poll(() => page.locator(".level[data-bad]").count()).toBe(1);
    expect(await page.locator("#walk-at").inputValue()).toBe(address);
    expect(await page.locator(".walk-end").textContent()).toMatch(/#PF, error code 0x0/);
    await picture("paging-stopped");
    await expectAccessible(page);
    await page.locator("#inspect-panel").focus();
    await page.keyboard.press("F8");
    await untilConsole(page, /#PF.*\n[\s\S]*tabhyve> ?$/, 30_000);
  });

  test("shows memory, page walks, tables, chips and a timeline", async () => {
    await booted();
    await page.locator("#inspect-button").click();
    await panel().waitFor();
    await page.getByRole("tab", { name: "CPU" }).focus();
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => page.locator(".dump tr").count()).toBe(16);
    await page.locator("#memory-at").fill("idt");
    await page.keyboard.press("Enter");
    await expect.poll(() => page.locator(".dump").textContent()).toMatch(/[0-9a-f]{2}/);
    await picture("memory");
    await expectAccessible(page);

    await tab("Paging");
    await expect.poll(() => page.locator(".level").count()).toBeGreaterThan(2);
    await expect.poll(() => page.locator(".walk-end").textContent()).toMatch(/physical 0x/);
    await page.locator(".level summary").first().click();
    expect(await page.locator(".level .bits").first().textContent()).toMatch(/P.*present/s);
    await picture("paging");
    await expectAccessible(page);
    await page.locator("#walk-at").fill("123456789000");
    await page.locator("#access-kind").selectOption("write");
    await page.locator("#walk-at").press("Enter");
    await expect.poll(() => page.locator(".level[data-bad]").count()).toBe(1);
    expect(await page.locator(".walk-end").textContent()).toMatch(
      /#PF, error code 0x2.*supervisor write: an entry is not present/s,
    );
    await picture("paging-fault");
    await expectAccessible(page);
    await page.locator("#walk-at").fill("no_such_name");
    await page.locator("#walk-at").press("Enter");
    await expect
      .poll(() => page.locator(".inspect-body .bad").textContent())
      .toMatch(/^no_such_name: a number in hexadecimal/);

    await tab("Segments");
    await expect
      .poll(() => page.locator(".facts-table").first().textContent())
      .toMatch(/CS.*GDT entry.*code, execute and read, accessed, 64-bit/s);
    await expect.poll(() => panel().textContent()).toMatch(/#PF.*64-bit interrupt gate, DPL 0/s);
    await picture("segments");
    await expectAccessible(page);

    await tab("Chips");
    await expect.poll(() => panel().textContent()).toMatch(/Local APIC of vCPU 0.*SVR.*enabled by software/s);
    await picture("chips");
    await expectAccessible(page);

    await tab("Timeline");
    await page.locator("#record-events").check();
    await page.evaluate(() => globalThis.tabhyve!.app.session!.handle!.serialInput(new TextEncoder().encode("help\r")));
    await expect.poll(() => page.locator(".lane").count()).toBe(1);
    await page.locator("#shown").selectOption("deliveries");
    await expect.poll(() => page.locator(".facts-table tbody").textContent()).toMatch(/interrupt 0x/);
    await page.locator("#shown").selectOption("accesses");
    await expect
      .poll(() => page.locator(".facts-table tbody").textContent())
      .toMatch(/write port 0x3f8 \(COM1\), 1 byte: 0x/);
    await picture("timeline");
    await expectAccessible(page);
  });

  test("examines a triple fault, with the last instructions; on a narrow screen, too", async () => {
    await booted({ width: 390, height: 844 });
    await page.locator("#inspect-button").click();
    await panel().waitFor();
    await picture("narrow-cpu");
    await tab("Timeline");
    await page.locator("#record-code").check();
    await page.getByRole("button", { name: "Machine", exact: true }).click();
    await page.evaluate(() =>
      globalThis.tabhyve!.app.session!.handle!.serialInput(new TextEncoder().encode("fault\r")),
    );
    await untilState(page, "failed");
    await page.getByRole("button", { name: "What happened?" }).click();
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe("inspect-panel");
    await expect
      .poll(() => page.locator(".autopsy-summary").textContent())
      .toMatch(
        /It began with .* Its handler was not reached: the vector's gate must lie within the limit of the IDT \(SDM vol\. 3, 6\.10\)\.$/,
      );
    const events = await page.locator(".chain h4").allTextContents();
    expect(events.map((text) => text.trim().split(" ")[0])).toEqual(["INT3", "#GP(0x1a)", "#DF(0)"]);
    const lines = await page.locator(".listing-line").allTextContents();
    expect(lines.at(-2)).toMatch(/lidt /);
    expect(lines.at(-1)).toMatch(/int3/);
    await picture("narrow-autopsy");
    const right = () => page.locator("#tab-autopsy").evaluate((tab) => tab.getBoundingClientRect().right);
    await expect.poll(right).toBeLessThanOrEqual(390);
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    await expectAccessible(page);
    await page.setViewportSize({ width: 1280, height: 800 });
    await picture("autopsy");
    await expectAccessible(page);
  });

  test.each(browserName === "Chromium" ? BROKEN : BROKEN.slice(-1))(
    "tells of a guest with a %s, and when it is booted again of its way there",
    async (name, event, why, last) => {
      await opened();
      const kernel = assemble(BROKEN_KERNELS[name]).bytes;
      await page.locator("#files").setInputFiles([pageFile("kernel.bin", Buffer.from(kernel))]);
      await page.locator("#start").click();
      await untilState(page, "failed");
      await page.getByRole("button", { name: "What happened?" }).click();
      await expect.poll(() => page.locator(".autopsy-summary").textContent()).toMatch(why);
      expect(await page.locator(".chain h4").first().textContent()).toContain(event);
      await page.locator("#record-boot").focus();
      await page.keyboard.press("Enter");
      await expect.poll(() => page.locator(".listing-line").count()).toBeGreaterThan(5);
      expect(await page.locator(".listing-line").last().textContent()).toMatch(last);
      // What is read first is its end.
      expect(await page.locator(".listing").evaluate((list) => list.scrollTop)).toBe(0);
      await picture(`${name}-autopsy`);
      await expectAccessible(page);
      await tab("Timeline");
      await expect
        .poll(() => page.locator(".facts-table tbody tr").first().textContent())
        .toMatch(/triple fault: the vCPU shuts down/);
      expect(await page.locator(".facts-table tbody").textContent()).toContain("write port 0x3f8 (COM1), 1 byte: 0x6b");
      await picture(`${name}-timeline`);
      await expectAccessible(page);
    },
  );
});
