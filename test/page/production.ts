/** The site as it is deployed, on a server that isolates it, and a Chromium: there before a file's tests, gone after them. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { buildSite } from "./browser.ts";
import { type Host, host, launch } from "./chromium.ts";

export interface Production {
  /** Address of the site. */
  base: string;
  browser: Browser;
}

/**
 * To be called in a `describe`; what it gives is filled in when the tests run.
 *
 * @param after does something with the folder that the site is in before it is served
 */
export function production(chromium: string, after?: (folder: string) => Promise<unknown>): Production {
  const there = {} as Production;
  let site: Awaited<ReturnType<typeof buildSite>> | undefined;
  let served: Host | undefined;
  beforeAll(async () => {
    site = await buildSite("production");
    await after?.(site.folder);
    served = await host(site.folder, true);
    there.base = served.base;
    there.browser = await launch(chromium);
  }, 180_000);
  afterAll(async () => {
    await there.browser?.close();
    await served?.close();
    site?.remove();
  });
  return there;
}
