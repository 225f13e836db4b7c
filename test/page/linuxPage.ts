/** Linux in the page, with a disk: what the tests of disks share. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { expect } from "vitest";
import type { guest } from "../guests/shell.ts";
import { consoleText, root, untilConsole } from "./browser.ts";

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
  const file = (name: string, path: string): PageFile => pageFile(name, readFileSync(join(root, "guests", path)));
  await page.locator("#files").setInputFiles([file("kernel", cloud.kernel.file), file("initrd", cloud.initrd!.file)]);
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
