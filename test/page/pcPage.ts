/** The page with nothing but a PC in it, and images for its drives. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { root } from "./browser.ts";

const folder = join(root, "guests");
/** Most milliseconds for anything to appear. */
const PATIENCE = 60_000;

/** Whether SeaBIOS is prepared; says so where it is not. */
export function firmwareThere(): boolean {
  const there = ["bios-256k.bin", "vgabios-stdvga.bin"].every((name) => existsSync(join(folder, name)));
  if (!there) process.stderr.write("\n*** NOT TESTED: SeaBIOS is not in guests/. Prepare it: npm run guests -- pc\n\n");
  return there;
}

/** @param settings of the PC */
export async function openPc(browser: Browser, base: string, settings: object = {}): Promise<Page> {
  const context = await browser.newContext({ serviceWorkers: "block" });
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
  await page.goto(base);
  await page.waitForSelector(".card:not(.ghost)");
  return page;
}

/** Waits until the text screen shows it. */
export const shows = (page: Page, { source, flags }: RegExp) =>
  page.waitForFunction(
    ([pattern, how]) => new RegExp(pattern!, how).test(globalThis.tabhyve?.screenText() ?? ""),
    [source, flags],
    { timeout: PATIENCE, polling: 50 },
  );

export const bring = (page: Page, name: string, buffer: Buffer) =>
  page.setInputFiles("#files", { name, mimeType: "", buffer });
