/** A gdb's packets through the bridge into a tab whose person has allowed it: from the consent to the machine and back. */
import { createConnection, type Socket } from "node:net";
import type { Page } from "playwright-core";
import { afterEach, describe, expect, test } from "vitest";
import { Bridge } from "../../src/cli/bridge/bridge.ts";
import { packet } from "../../src/debug/gdb/packets.ts";
import { expectAccessible, untilConsole, untilState } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { production } from "./production.ts";

const chromium = findChromium();

describe.skipIf(!chromium)("gdb in a tab", { timeout: 120_000 }, () => {
  const site = production(chromium!);
  let page: Page;
  let bridge: Bridge;
  let gdb: Socket;
  afterEach(async () => {
    gdb?.destroy();
    bridge?.close();
    await page?.context().close();
  });

  test("is asked for, allowed, and then stops, steps and lets go the machine", async () => {
    const said: string[] = [];
    bridge = await Bridge.open({ port: 0, pagePort: 0, origins: [], say: (line) => said.push(line) });
    const context = await site.browser.newContext({ serviceWorkers: "block" });
    context.setDefaultTimeout(30_000);
    page = await context.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on(
      "console",
      (message) => message.type() === "error" && !message.text().includes("404") && errors.push(message.text()),
    );
    await page.goto(site.base);
    await page.waitForSelector(".card:not(.ghost)");
    await page.getByRole("radio", { name: /Embedded guest/ }).check();
    await page.locator("#start").click();
    await untilConsole(page, /tabhyve>$/, 30_000);
    await page.locator("#inspect-button").click();
    await page.getByRole("button", { name: "gdb…" }).click();
    await expectAccessible(page);
    const allow = page.locator("#allow-gdb");
    for (const wrong of [
      "ws://example.org:1/0123456789abcdef0123456789abcdef",
      "http://127.0.0.1:1/",
      bridge.address.slice(0, -1),
    ]) {
      await page.locator("#gdb-address").fill(wrong);
      await allow.click();
      expect(said.filter((line) => line.includes("is connected"))).toEqual([]);
    }
    await page.locator("#gdb-address").fill(bridge.address);
    await page.locator("#gdb-address").press("Enter");
    await expect.poll(() => said.at(-1)).toMatch(/^a page of http:\/\/localhost:\d+ is connected$/);
    await page.getByText("no gdb has come yet").waitFor();
    await page.getByRole("button", { name: "Close", exact: true }).click();

    let heard = "";
    gdb = createConnection(bridge.port, "127.0.0.1");
    gdb.on("data", (bytes) => {
      heard += bytes.toString("latin1");
    });
    const ask = async (data: string): Promise<string> => {
      heard = "";
      gdb.write(packet(data));
      await expect.poll(() => /\$([^#]*)#../.exec(heard)?.[1], { timeout: 20_000 }).toBeTruthy();
      return /\$([^#]*)#../.exec(heard)![1]!;
    };
    expect(await ask("?")).toBe("T05thread:1;");
    await untilState(page, "paused");
    await expect
      .poll(() => page.locator(".inspect-state").textContent())
      .toBe("a gdb has the machine, which is paused");
    expect(await page.getByRole("button", { name: "Step", exact: true }).isDisabled()).toBe(true);
    expect(await ask("qfThreadInfo")).toBe("m1");
    // RIP is register 16: the guest waits in HLT, which a key ends.
    const before = await ask("p10");
    await page.evaluate(() => globalThis.tabhyve!.app.session!.handle!.serialInput(new TextEncoder().encode("h")));
    expect(await ask("vCont;s:1")).toBe("T05thread:1;");
    expect(await ask("p10")).not.toBe(before);
    expect(await ask("D")).toBe("OK");
    await expect.poll(() => page.locator(".inspect-state").textContent()).toMatch(/^running/);
    await page.evaluate(() => globalThis.tabhyve!.app.session!.handle!.serialInput(new TextEncoder().encode("i\r")));
    await untilConsole(page, /hi: no such command.*\n.*tabhyve>$/, 30_000);
    expect(errors).toEqual([]);
  });
});
