/** Linux in the page, with a disk: what the tests of disks share. */
import type { BrowserContext, Page } from "playwright-core";
import { expect } from "vitest";
import type { guest } from "../guests/shell.ts";
import { consoleText, untilConsole } from "./browser.ts";

export const PROMPT = /:~#$/;

export interface PageFile {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}
export const pageFile = (name: string, buffer: Buffer): PageFile => ({ name, mimeType: "", buffer });

export interface LinuxOptions {
  readonly cloud: NonNullable<ReturnType<typeof guest>>;
  /** A disk that says that it can be booted, or one on a server. */
  readonly disk?: PageFile;
  readonly url?: string;
}

/** A page in which Linux was started, with the disk on NVMe. */
export async function openLinux(context: BrowserContext, base: string, options: LinuxOptions): Promise<Page> {
  const page = await context.newPage();
  await page.goto(base);
  await startLinux(page, options);
  return page;
}

export async function startLinux(page: Page, { cloud, disk, url }: LinuxOptions): Promise<void> {
  // From the site: what a test gives a page itself goes through the browser's protocol, megabytes for half a minute.
  await page.evaluate(async (id) => {
    const { guests } = await (await fetch("guests/manifest.json")).json();
    const chosen = new DataTransfer();
    for (const role of ["kernel", "initrd"]) {
      const { file } = guests.find((guest: { id: string }) => guest.id === id)[role];
      chosen.items.add(new File([await (await fetch(`guests/${file}`)).arrayBuffer()], role));
    }
    const input = document.querySelector<HTMLInputElement>("#files")!;
    input.files = chosen.files;
    input.dispatchEvent(new Event("change"));
  }, cloud.id);
  await expect.poll(() => page.locator(".summary").textContent()).toMatch(/kernel.*initrd/s);
  if (disk) {
    await page.locator("#files").setInputFiles([disk]);
    await expect.poll(() => page.locator(".summary").textContent()).toContain(disk.name);
  }
  await page.getByRole("button", { name: "Settings" }).first().click();
  await page.locator("#append").fill(cloud.append);
  if (url !== undefined) await page.locator("#url").fill(url);
  await page.getByRole("button", { name: "Done" }).click();
  await page.locator("#start").click();
}

/** The tab dies, and its process with it. */
export async function crash(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const crashed = page.waitForEvent("crash");
  // Nobody is left to answer it.
  void session.send("Page.crash").catch(() => {});
  await crashed;
  await page.close();
}

let lines = 0;
/** Types a command; its end is what `ran` waits for. */
export async function type(page: Page, command: string): Promise<RegExp> {
  lines++;
  await page.keyboard.type(`${command}; echo 'end'-${lines}\r`);
  return new RegExp(`\nend-${lines}\n`);
}

/** Runs a command; all that is on the console when it has ended. */
export async function run(page: Page, command: string, timeout = 60_000): Promise<string> {
  await untilConsole(page, await type(page, command), timeout);
  return consoleText(page);
}
