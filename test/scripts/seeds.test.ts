/** The table of the seeds' names is whole, true and not stale. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const seeds = (...words: string[]) =>
  spawnSync(process.execPath, [join(root, "scripts/seeds.mjs"), "--check", ...words], { encoding: "utf8" });

it("every name has a row whose module and test are there", () => {
  expect(seeds()).toMatchObject({ status: 0, stderr: "" });
  expect(readFileSync(join(root, "docs/seeds.md"), "utf8")).not.toContain("missing");
});

it("a name that a header has and the table has not is named", () => {
  const folder = mkdtempSync(join(tmpdir(), "tabhyve-seeds-"));
  const header = join(folder, "vmm.h");
  writeFileSync(header, "int vm_create(void);\nint vm_teleport(struct vm *vm);\n");
  const { status, stderr } = seeds(header);
  rmSync(folder, { recursive: true });
  expect(status).toBe(1);
  expect(stderr).toContain("1 of 2 names are missing: vm_teleport");
});
