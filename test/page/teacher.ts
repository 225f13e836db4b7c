/** Somebody else's page, on another site than the machine's: what the tests of embedding share. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import type { TabhyveVm, VmHandle } from "../../src/ui/embed/tabhyve-vm.ts";
import { host, ISOLATION } from "./chromium.ts";

/** What a host must send for its site to be embedded by others. */
export const EMBEDDABLE = {
  ...ISOLATION,
  "access-control-allow-origin": "*",
  "cross-origin-resource-policy": "cross-origin",
};

export interface Teacher {
  readonly page: Page;
  /** Origin of the page. */
  readonly origin: string;
  /** Errors of the page that nothing caught, and refusals of policies. */
  readonly errors: string[];
  close(): Promise<void>;
}

/**
 * Opens a page of 127.0.0.1, as far as browsers know another site than localhost.
 *
 * @param body its HTML; ORIGIN stands for its own origin
 * @param files beside it, by name
 * @param prepare what is to be done with the page before it is loaded
 */
export async function teacher(
  browser: Browser,
  body: string,
  isolated: boolean,
  files: Readonly<Record<string, Uint8Array>> = {},
  prepare: (page: Page) => Promise<unknown> = async () => {},
): Promise<Teacher> {
  const folder = mkdtempSync(join(tmpdir(), "tabhyve-teacher-"));
  const served = await host(folder, isolated, "127.0.0.1");
  const { origin } = new URL(served.base);
  const head = '<meta charset="utf-8"><title>Lesson</title><link rel="icon" href="data:,">';
  const html = `<!doctype html><html lang="en">${head}${body.replaceAll("ORIGIN", encodeURIComponent(origin))}`;
  writeFileSync(join(folder, "index.html"), html);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  const context = await browser.newContext();
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await prepare(page);
  await page.goto(served.base);
  return {
    page,
    origin,
    errors,
    close: async () => {
      await context.close();
      await served.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** What the tests' pages leave for them. */
declare global {
  var vm: TabhyveVm;
  var handle: VmHandle;
  var told: { name: string; detail: unknown }[];
  var printed: string;
}

/** A script for the pages: keeps every event, and what was printed, in `told` and `printed`. */
export const LISTEN = `
  globalThis.told = [];
  globalThis.printed = "";
  const decoder = new TextDecoder();
  globalThis.listen = (target) => {
    for (const name of ["ready", "state", "exit", "error"]) {
      target.addEventListener(name, ({ detail }) => told.push({ name, detail }));
    }
    target.addEventListener("serial", ({ detail }) => { printed += decoder.decode(detail, { stream: true }); });
  };`;
