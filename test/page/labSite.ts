/** The lab (./lab) as a site, with a Linux beside it, and a browser to run its jobs in. */
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { host, launch } from "./chromium.ts";
import type { CostJob, Job, Lab } from "./lab/lab.ts";

const lab = join(import.meta.dirname, "lab");

export interface LabSite {
  /** What is put here can be fetched by the page. */
  readonly folder: string;
  /** Each in a page of its own. */
  run(job: Omit<Job, "kernel" | "initrd">): ReturnType<Lab["run"]>;
  cost(job: Omit<CostJob, "kernel" | "initrd">): ReturnType<Lab["cost"]>;
  close(): Promise<void>;
}

/** @param files further files of the site, by name */
export async function labSite(
  chromium: string,
  kernel: string,
  initrd: string,
  files: Readonly<Record<string, string>> = {},
): Promise<LabSite> {
  const top = mkdtempSync(join(tmpdir(), "tabhyve-lab-"));
  const folder = join(top, "site");
  await build({
    root: lab,
    base: "./",
    configFile: false,
    logLevel: "error",
    publicDir: false,
    worker: { format: "es" },
    build: { outDir: folder, target: "esnext" },
  });
  for (const [name, path] of Object.entries({ kernel, initrd, ...files })) symlinkSync(path, join(folder, name));
  const served = await host(folder, true);
  const browser = await launch(chromium);
  const call = async (name: keyof Lab, job: object): Promise<unknown> => {
    const page = await browser.newPage();
    try {
      await page.goto(served.base);
      await page.waitForFunction(() => "lab" in globalThis);
      return await page.evaluate(
        ([what, j]) => (globalThis as unknown as { lab: Record<string, (job: object) => unknown> }).lab[what](j),
        [name, { ...job, kernel: "kernel", initrd: "initrd" }] as const,
      );
    } finally {
      await page.close();
    }
  };
  return {
    folder,
    run: (job) => call("run", job) as ReturnType<Lab["run"]>,
    cost: (job) => call("cost", job) as ReturnType<Lab["cost"]>,
    close: async () => {
      await browser.close();
      await served.close();
      rmSync(top, { recursive: true });
    },
  };
}
