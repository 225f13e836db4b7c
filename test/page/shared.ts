/** The folder that test files share, for the built site (buildSite): there before the first, gone after the last. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    shared: string;
  }
}

export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), "tabhyve-shared-"));
  project.provide("shared", folder);
  return () => rmSync(folder, { recursive: true });
}
