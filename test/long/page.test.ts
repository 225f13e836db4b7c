/** Debian's cloud kernel with eight vCPUs in Chromium. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { guest, missing } from "../guests/shell.ts";
import { findChromium } from "../page/chromium.ts";
import { expectEveryVcpu } from "../page/everyVcpu.ts";
import { type LabSite, labSite } from "../page/labSite.ts";
import { prepare } from "../vcpu/threads.ts";

const root = join(import.meta.dirname, "../..");
const chromium = findChromium();
const cloud = guest("cloud");
if (!cloud) missing("cloud");

describe.skipIf(!chromium || !cloud)("eight vCPUs in a page", { timeout: 600_000 }, () => {
  let site: LabSite;
  beforeAll(async () => {
    await prepare();
    const path = (file: string): string => join(root, "guests", file);
    site = await labSite(chromium!, path(cloud!.kernel.file), path(cloud!.initrd!.file));
  }, 300_000);
  afterAll(() => site?.close());

  it.each(["threaded", "inline"] as const)("%s", (transport) =>
    expectEveryVcpu(site, {
      append: `${cloud!.append} tabhyve.size=200x50`,
      memoryBytes: 256 * 2 ** 20,
      vcpus: 8,
      transport,
      engine: "auto",
      seconds: 500,
    }),
  );
});
