/** Disks in chunks, booted in a page from a plain static server: by the prefetch list, with damage, and off line. */
import { createHash } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { BrowserContext } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHUNK } from "../../src/block/chunks/manifest.ts";
import { makeChunks } from "../../src/cli/chunks.ts";
import { assemble } from "../../src/isa/assemble.ts";
import { Scratch } from "../cli/command.ts";
import { firmware } from "../guests/firmware.ts";
import { guest, missing } from "../guests/shell.ts";
import { untilConsole, untilState } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { openLinux, PROMPT, pageFile, run, type } from "./linuxPage.ts";
import { production } from "./production.ts";

const chromium = findChromium();
const cloud = guest("cloud");
if (!cloud) missing("cloud");
const CHUNKS = 24;
const DAMAGED = 20;

describe.skipIf(!chromium)("a disk in chunks", { timeout: 300_000 }, () => {
  const site = production(chromium!);
  let context: BrowserContext;
  let store: Server;
  let url: string;
  const scratch = new Scratch();
  const folder = scratch.path("chunked");
  const state = { down: false, asked: [] as string[] };

  /** Every chunk is another; the first can be booted by firmware. */
  const disk = new Uint8Array(CHUNKS * CHUNK);
  for (let at = 0; at < disk.length; at += 512) disk.fill(1 + ((at * 7) >> 18), at, at + 512);
  const hashes = (): string[] => {
    const all = Array.from({ length: CHUNKS }, (_, n) => disk.subarray(n * CHUNK, (n + 1) * CHUNK));
    return all.map((chunk) => createHash("sha256").update(chunk).digest("hex"));
  };
  const fetched = (): number[] =>
    state.asked.filter((path) => path.startsWith("/chunks/")).map((path) => hashes().indexOf(path.slice(8)));
  const LIST = [0, 3, 9, 6, 12];

  beforeAll(async () => {
    const source = readFileSync(join(import.meta.dirname, "../guests/data/boot.asm"), "utf8");
    disk.set(assemble(source, { name: "boot.asm" }).bytes);
    const list = scratch.file("list", LIST.map((n) => `${n}\n`).join(""));
    await makeChunks(scratch.file("disk.img", disk), folder, { prefetch: list });
    store = createServer((request, response) => {
      if (state.down) return void request.socket.destroy();
      state.asked.push(request.url!);
      const headers = { "access-control-allow-origin": "*" };
      response.writeHead(200, headers).end(readFileSync(join(folder, request.url!)));
    });
    await new Promise<void>((resolve) => store.listen(0, resolve));
    url = `http://localhost:${(store.address() as AddressInfo).port}/manifest.json`;
    context = await site.browser.newContext();
    context.setDefaultTimeout(30_000);
  }, 120_000);
  afterAll(async () => {
    store?.closeAllConnections();
    store?.close();
    scratch.remove();
  });

  test.skipIf(!firmware)(
    "boots by SeaBIOS, what the list says first; the second time from what the browser kept",
    async () => {
      for (const round of [1, 2]) {
        state.asked.length = 0;
        const page = await context.newPage();
        await page.goto(site.base);
        const files = firmware!.map((path) => pageFile(path.split("/").at(-1)!, readFileSync(path)));
        await page.locator("#files").setInputFiles(files);
        await expect.poll(() => page.locator(".summary").textContent()).toMatch(/vgabios/);
        await page.getByRole("button", { name: "Settings" }).first().click();
        await page.locator("#url").fill(url);
        await page.getByRole("button", { name: "Done" }).click();
        await page.locator("#start").click();
        await page.waitForFunction(() => /booted from 80, second sector/.test(globalThis.tabhyve!.screenText()));
        if (round === 1) {
          await expect.poll(() => fetched().length).toBe(LIST.length);
          // Some of them at a time; the guest itself has asked for the first one only.
          expect(fetched()[0]).toBe(LIST[0]);
          expect(fetched().sort()).toEqual([...LIST].sort());
        } else expect(fetched()).toEqual([]);
        await page.getByRole("button", { name: "Power off" }).click();
        await untilState(page, "off");
        await page.close();
      }
    },
  );

  test.skipIf(!cloud)(
    "names a chunk that is damaged, stands still while the server is gone, and goes on by itself",
    async () => {
      const damaged = join(folder, "chunks", hashes()[DAMAGED]!);
      const good = readFileSync(damaged);
      writeFileSync(damaged, readFileSync(join(folder, "chunks", hashes()[1]!)));
      const page = await openLinux(context, site.base, { cloud: cloud!, url });
      await untilConsole(page, PROMPT, 120_000);
      const toast = (): Promise<string | null> => page.locator(".toast").textContent();
      const at = `bs=256k count=1 skip=${DAMAGED}`;
      expect(await run(page, `dd if=/dev/nvme0n1 of=/dev/null ${at} 2>&1`)).toMatch(/I\/O error|Input\/output error/);
      expect(await toast()).toContain(
        `chunk ${DAMAGED} (${hashes()[DAMAGED]!.slice(0, 16)}…, from byte ${DAMAGED * CHUNK} on) is damaged: its SHA-256 is ${hashes()[1]!.slice(0, 16)}…`,
      );
      // Whole again, it is written anew beside and put in its place.
      writeFileSync(`${damaged}.new`, good);
      renameSync(`${damaged}.new`, damaged);

      state.down = true;
      const done = await type(page, "md5sum </dev/nvme0n1 & sleep 1; echo ali''ve; wait");
      await expect.poll(toast, { timeout: 30_000 }).toMatch(/cannot be fetched.*The disk waits, and goes on by itself/);
      // The vCPU and the console go on while the disk waits.
      await untilConsole(page, /\nalive$/);
      await page.waitForSelector('html[data-machine="paused"]', { timeout: 30_000 });
      await expect.poll(toast).toContain("The machine stands still until");
      state.down = false;
      await untilConsole(page, done, 90_000);
      expect(await page.evaluate(() => globalThis.tabhyve!.consoleText())).toContain(
        createHash("md5").update(disk).digest("hex"),
      );
      await untilState(page, "running");
      await page.close();
    },
  );
});
