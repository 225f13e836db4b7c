/** A PC in the page: media that are changed while it runs, media on web servers, and what is said when they are no good. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { findChromium } from "./chromium.ts";
import { bring, firmwareThere, openPc, shows } from "./pcPage.ts";
import { production } from "./production.ts";

const chromium = findChromium();
const there = firmwareThere();

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
      if (url === "/empty.img") return response.writeHead(416, open).end();
      if (url === "/whole.img") return response.writeHead(200, open).end(disk);
      const size = url === "/odd.img" ? disk.length - 12 : disk.length;
      const range = { "content-range": `bytes ${from}-${to}/${size}` };
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

  const open = (settings: object = {}): Promise<Page> => openPc(site.browser, site.base, settings);

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
    ["empty.img", /the file is empty/],
    ["odd.img", /511988 bytes are not a whole number of sectors of 512/],
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

  test("shows what the firmware says of a disk that is not bootable", async () => {
    const page = await open();
    await bring(page, "blank.img", Buffer.alloc(512 * 1000));
    await page.click("#start");
    await shows(page, /Boot failed: not a bootable disk[\s\S]*No bootable device/);
    await page.context().close();
  });

  test.each([
    ["disk.img", "partition 1 ends at byte 1024000, the image at 512000"],
    ["volume.iso", "its volume ends at byte 614400, the image at 512000"],
    ["floppy.img", "its file system ends at byte 1474560, the image at 512000"],
  ])("says that the end of %s is missing, and boots what is there", async (name, missing) => {
    const cut = image(512 * 1000, ", not whole; ");
    if (name === "disk.img") {
      cut[446 + 4] = 0x83;
      cut.writeUInt32LE(1000, 446 + 8);
      cut.writeUInt32LE(1000, 446 + 12);
    } else if (name === "floppy.img") {
      // INT 18h, the next drive, and how large a disk of 1440 KB is (BIOS parameter block).
      cut.set([0xcd, 0x18]);
      cut.writeUInt16LE(512, 11);
      cut.writeUInt16LE(2880, 19);
    } else {
      // A primary volume descriptor (ECMA-119, 8.4): 300 blocks of 2048 bytes.
      cut.write("\x01CD001\x01", 0x8000, "latin1");
      cut.writeUInt32LE(300, 0x8000 + 80);
      cut.writeUInt16LE(2048, 0x8000 + 128);
    }
    const page = await open();
    await bring(page, name, cut);
    await page.click("#start");
    await page.getByText(`${name} is cut off: ${missing}`).waitFor();
    await shows(page, name === "disk.img" ? /booted from 80, not whole; / : /Boot failed/);
    await page.context().close();
  });

  test("tells of a file that was changed while the machine used it", async () => {
    const at = mkdtempSync(join(tmpdir(), "tabhyve-changed-"));
    try {
      const file = join(at, "mine.img");
      writeFileSync(file, image(512 * 1000, ", as it was; "));
      const page = await open();
      await page.setInputFiles("#files", file);
      await page.click("#start");
      await shows(page, /booted from 80, as it was; /);
      writeFileSync(file, image(512 * 2000, ", another; "));
      await page.getByRole("button", { name: "Reset" }).click();
      await page.getByText("mine.img: cannot be read any more; was it changed or moved since it was chosen?").waitFor();
      await shows(page, /Boot failed: could not read the boot disk/);
      await page.context().close();
    } finally {
      rmSync(at, { recursive: true });
    }
  });
});
