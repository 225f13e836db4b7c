/** A Chromium from the path, and a host for a folder: what tests and scripts that need a page share. */
import { accessSync, constants, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, extname, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** One of the programs by its name on the path, or where `named` says. */
export function findProgram(names: readonly string[], named: string | undefined): string | undefined {
  const candidates = named
    ? [named]
    : (process.env.PATH ?? "").split(delimiter).flatMap((dir) => names.map((name) => join(dir, name)));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A Chromium on the path (or named by CHROMIUM). Undefined, after a loud notice, where there is none. */
export function findChromium(): string | undefined {
  const found = findProgram(NAMES, process.env.CHROMIUM);
  if (found) return found;
  const line = "!".repeat(72);
  console.error(
    `\n${line}\n!! THE PAGE WAS NOT TESTED: no Chromium on the path.\n` +
      `!! Install one (Debian: apt-get install chromium) or set CHROMIUM=/path/to/it.\n${line}\n`,
  );
  return undefined;
}

/** What Playwright turns off; Chromium takes the last list that it is given. */
const OFF = [
  "AvoidUnnecessaryBeforeUnloadCheckSync",
  "DestroyProfileOnBrowserClose",
  "HttpsUpgrades",
  "HttpsFirstBalancedModeAutoEnable",
  "LensOverlay",
  "MediaRouter",
  "PaintHolding",
  "ThirdPartyStoragePartitioning",
  "AvoidCorsURLLoaderRestartOnRedirect",
  "OptimizationHints",
  "NetworkTimeServiceQuerying",
  "AimEnabled",
  "PreconnectToSearch",
];
/**
 * What shows suggestions under the address bar: a page and a process of its own for each window, which takes more processor
 * time when that is opened than the page in it.
 */
const SUGGESTIONS = ["WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup", "OmniboxFullPopupEnabled"];

export function launch(executablePath: string): Promise<Browser> {
  const quiet = [
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    `--disable-features=${[...OFF, ...SUGGESTIONS].join(",")}`,
  ];
  const args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", ...quiet];
  return chromium.launch({ executablePath, args });
}

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

export interface Host {
  base: string;
  close(): Promise<void>;
}

export const ISOLATION = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/**
 * A host that serves a folder under /some/where/, with or without the isolation headers, or with others.
 *
 * @param name of this machine: 127.0.0.1 is another site than localhost
 */
export async function host(
  folder: string,
  isolated: boolean | Record<string, string>,
  name = "localhost",
): Promise<Host> {
  const headers = typeof isolated === "object" ? isolated : isolated ? ISOLATION : {};
  const server = createServer((request, response) => {
    const path = new URL(request.url!, "http://localhost").pathname.replace("/some/where/", "");
    try {
      const body = readFileSync(join(folder, path || "index.html"));
      response.writeHead(200, {
        ...headers,
        "content-type": TYPES[extname(path || "index.html")] ?? "application/octet-stream",
      });
      response.end(body);
    } catch {
      response.writeHead(404, headers).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return {
    base: `http://${name}:${(server.address() as AddressInfo).port}/some/where/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
