/** A PC in the page: media that are changed while it runs, media on web servers, and what is said when they are no good. */
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { root } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { production } from "./production.ts";

const chromium = findChromium();
const folder = join(root, "guests");
const there = ["bios-256k.bin", "vgabios-stdvga.bin"].every((name) => existsSync(join(folder, name)));
if (!there) process.stderr.write("\n*** NOT TESTED: SeaBIOS is not in guests/. Prepare it: npm run guests -- pc\n\n");

const PATIENCE = 60_000;

describe.skipIf(!chromium || !there)("a PC in the page", { timeout: 180_000 }, () => {
  const site = production(chromium!);
  let boot: Uint8Array;
  let server: Server;
  let address: string;

  beforeAll(async () => {
    boot = assemble(readFileSync(join(import.meta.dirname, "../guests/data/boot.asm"), "utf8"), {
      name: "boot.asm",
    }).bytes;
    const disk = image(512 * 1000, ", from afar; ");
    server = createServer(({ url, headers, method }, response) => {
      const cors = { "access-control-allow-origin": "*", "access-control-allow-headers": "range" };
      const open = url === "/private.img" ? {} : { ...cors, "access-control-expose-headers": "content-range" };
      if (method === "OPTIONS") return response.writeHead(204, open).end();
      const [, from = "0", to = ""] = /bytes=(\d+)-(\d+)/.exec(headers.range ?? "") ?? [];
      if (url === "/gone.img") return response.writeHead(404, open).end();
      if (url === "/whole.img") return response.writeHead(200, open).end(disk);
      const range = { "content-range": `bytes ${from}-${to}/${disk.length}` };
      return response.writeHead(206, { ...open, ...range }).end(disk.subarray(Number(from), Number(to) + 1));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }, 180_000);
  afterAll(async () => {
    server?.closeAllConnections();
    server?.close();
  });

  /** A disk that boots and shows what its second sector says. */
  function image(bytes: number, says: string): Buffer {
    const out = Buffer.alloc(bytes);
    out.set(boot);
    out.fill(0, 512, 1024);
    out.write(says, 512, "latin1");
    return out;
  }

  async function open(settings: object = {}): Promise<Page> {
    const context = await site.browser.newContext({ serviceWorkers: "block" });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const { guests } = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { guests: { id: string }[] };
    await page.route("**/guests/*", (route) => {
      const name = new URL(route.request().url()).pathname.split("/").at(-1)!;
      if (name === "manifest.json") return route.fulfill({ json: { guests: guests.filter(({ id }) => id === "pc") } });
      return route.fulfill({ body: readFileSync(join(folder, name)) });
    });
    await page.addInitScript(
      (text) => localStorage.setItem("tabhyve.settings.v1", text),
      JSON.stringify({ selected: "pc", keepDisks: false, guests: { pc: { memoryMb: 32, ...settings } } }),
    );
    await page.goto(site.base);
    await page.waitForSelector(".card:not(.ghost)");
    return page;
  }
  const shows = (page: Page, pattern: RegExp) =>
    page.waitForFunction((source) => new RegExp(source).test(globalThis.tabhyve?.screenText() ?? ""), pattern.source, {
      timeout: PATIENCE,
      polling: 50,
    });
  const bring = (page: Page, name: string, buffer: Buffer) =>
    page.setInputFiles("#files", { name, mimeType: "", buffer });

  test("boots the floppy disk that was put in while it ran, and none when it was taken out", async () => {
    const page = await open();
    await bring(page, "first.img", image(1_474_560, ", the first; "));
    await page.click("#start");
    await shows(page, /booted from 00, the first; /);
    await bring(page, "second.img", image(1_474_560, ", the second; "));
    await page.getByText("Floppy disk inserted.").waitFor();
    await page.getByRole("button", { name: "Reset" }).click();
    await shows(page, /booted from 00, the second; /);
    await page.evaluate(() =>
      (globalThis.tabhyve!.app as unknown as { eject(role: string): Promise<void> }).eject("floppy"),
    );
    await page.getByText("Floppy disk taken out.").waitFor();
    await page.getByRole("button", { name: "Reset" }).click();
    await shows(page, /Boot failed/);
    await page.context().close();
  });

  test("boots a disk on a web server", async () => {
    const page = await open({ url: `${address}/disk.img` });
    await page.click("#start");
    await shows(page, /booted from 80, from afar; /);
    await page.context().close();
  });

  test.each([
    ["whole.img", /does not send parts of a file/],
    ["private.img", /does not let other sites read it \(CORS\)/],
    ["gone.img", /answered 404/],
  ])("says in one line what is wrong with %s on a server", async (name, message) => {
    const page = await open({ url: `${address}/${name}` });
    await page.click("#start");
    const cause = (await page.locator(".problem[data-kind=medium] .cause").textContent()) ?? "";
    expect(cause).toMatch(message);
    expect(cause).toContain(`${address}/${name}`);
    expect(cause).not.toContain("\n");
    await page.context().close();
  });

  test.each([
    ["odd.img", 700, /cut off: it does not end with a whole sector/],
    ["none.img", 0, /an empty file/],
  ])("says what is wrong with %s", async (name, bytes, message) => {
    const page = await open();
    await bring(page, name, bytes ? image(1024, "").subarray(0, bytes) : Buffer.alloc(0));
    expect(await page.locator(".problem .cause").textContent()).toMatch(message);
    await page.context().close();
  });
});
