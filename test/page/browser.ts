import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { build } from "vite";
import { expect, inject } from "vitest";
import type { Verdict } from "../../src/lessons/grade.ts";

/** What the browser tests share: a Chromium from the path, a page with canned guests, axe. */

export const root = fileURLToPath(new URL("../../", import.meta.url));

/** The page in a folder of its own: with FakeMachine and without guests, or as `npm run build` makes it. */
export async function buildSite(mode: "fake" | "production" = "fake"): Promise<{ folder: string; remove(): void }> {
  const folder = mkdtempSync(join(tmpdir(), "tabhyve-page-"));
  const outDir = join(folder, "site");
  if (mode === "production") cpSync(await sharedSite(), outDir, { recursive: true });
  else await makeSite(mode, outDir);
  return { folder: outDir, remove: () => rmSync(folder, { recursive: true }) };
}

/** The site that all test files copy. The first that needs it builds it; others, in other processes, wait for that. */
async function sharedSite(): Promise<string> {
  const built = join(inject("shared"), "site");
  const lock = `${built}.lock`;
  while (!existsSync(built)) {
    try {
      mkdirSync(lock);
    } catch {
      await new Promise((settle) => setTimeout(settle, 50));
      continue;
    }
    try {
      // Another may have built it since this one has looked.
      if (existsSync(built)) break;
      await makeSite("production", `${built}.new`);
      renameSync(`${built}.new`, built);
    } finally {
      rmSync(lock, { recursive: true });
    }
  }
  return built;
}

async function makeSite(mode: "fake" | "production", outDir: string): Promise<void> {
  const { NODE_ENV } = process.env;
  if (mode === "production") process.env.NODE_ENV = mode; // vitest's own value makes a development build
  try {
    await build({ root, configFile: `${root}vite.config.ts`, mode, logLevel: "error", build: { outDir } });
  } finally {
    process.env.NODE_ENV = NODE_ENV;
  }
}

/** Two files and their hashes as a manifest lists them; the kernel has a bzImage's magic and nothing else. */
export const kernel = image(300_000);
export const initrd = new Uint8Array(120_000).fill(7);
initrd.set([0x1f, 0x8b, 8, 0]);

export function image(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  bytes.set(new TextEncoder().encode("HdrS"), 0x202);
  bytes.set([15, 2], 0x206);
  return bytes;
}

export async function manifest(): Promise<object> {
  const hex = async (data: Uint8Array<ArrayBuffer>): Promise<string> =>
    Buffer.from(await crypto.subtle.digest("SHA-256", data)).toString("hex");
  return {
    guests: [
      {
        id: "debian-cloud",
        title: "Debian 12 cloud kernel",
        description: "Linux 6.1 with a busybox shell on the serial console.",
        kernel: { file: "vmlinuz-cloud", bytes: kernel.length, sha256: await hex(kernel) },
        initrd: { file: "initrd.gz", bytes: initrd.length, sha256: await hex(initrd) },
        packages: [{ name: "linux-image-cloud-amd64", version: "6.1.1-1" }],
        append: "console=ttyS0 panic=-1 quiet",
        memory: "256M",
      },
    ],
  };
}

export interface Visit extends BrowserContextOptions {
  base: string;
  /** Path and query after the base. */
  path?: string;
  /** Guests to answer with; null is a host without any. */
  guests?: object | null;
}

export interface Visited {
  page: Page;
  /** Errors of the page that nothing caught, and refusals of its policy. Expected to stay empty. */
  errors: string[];
  close(): Promise<void>;
}

/** Opens the page in a context of its own (no storage shared with other tests). */
export async function visit(browser: Browser, { base, path = "?fake", guests, ...options }: Visit): Promise<Visited> {
  const context = await browser.newContext({
    serviceWorkers: "block",
    viewport: { width: 1280, height: 800 },
    ...options,
  });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("404")) errors.push(message.text());
  });
  if (guests !== undefined) {
    await page.route("**/guests/manifest.json", (route) =>
      guests ? route.fulfill({ json: guests }) : route.fulfill({ status: 404, body: "" }),
    );
    await page.route("**/guests/vmlinuz-cloud?*", (route) => route.fulfill({ body: Buffer.from(kernel) }));
    await page.route("**/guests/initrd.gz?*", (route) => route.fulfill({ body: Buffer.from(initrd) }));
  }
  await page.goto(new URL(path, base).href);
  await page.waitForSelector(".card:not(.ghost)");
  return { page, errors, close: () => context.close() };
}

/** Waits until the console's text matches. */
export async function untilConsole(page: Page, pattern: RegExp, timeout = 10_000): Promise<void> {
  await page.waitForFunction(
    ([source, flags]) => new RegExp(source!, flags).test(globalThis.tabhyve?.consoleText() ?? ""),
    [pattern.source, pattern.flags],
    { timeout, polling: 50 },
  );
}

export const untilState = (page: Page, state: string): Promise<unknown> =>
  page.waitForSelector(`html[data-machine="${state}"]`, { timeout: 10_000 });

export const consoleText = (page: Page): Promise<string> => page.evaluate(() => globalThis.tabhyve!.consoleText());

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface AxeResult {
  violations: { id: string; help: string; nodes: { target: string[]; failureSummary: string }[] }[];
}

/** Runs axe (WCAG 2.0 to 2.2, A and AA, and best practices) on what is shown now, and expects nothing. */
export async function expectAccessible(page: Page): Promise<void> {
  await page.waitForFunction(() =>
    document
      .getAnimations()
      .every((a) => a.playState !== "running" || a.effect?.getTiming().iterations === Number.POSITIVE_INFINITY),
  );
  const result = (await page.evaluate(`${axeSource}; axe.run(document)`)) as AxeResult;
  const found = result.violations.map(
    (v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `  ${n.target}\n  ${n.failureSummary}`).join("\n")}`,
  );
  expect(found).toEqual([]);
}

declare global {
  var tabhyve:
    | {
        consoleText(): string;
        screenText(): string;
        app: { session?: { handle?: { serialInput(bytes: Uint8Array): void } }; course?: { verdict?: Verdict } };
      }
    | undefined;
}
