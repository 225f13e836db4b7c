/** The examples, as a user of the package runs them; and the package's types. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { built, ROOT, Running } from "../cli/command.ts";

beforeAll(built, 300_000);

async function example(name: string): Promise<string> {
  const r = await new Running(process.execPath, [join(ROOT, "examples", name)]).result;
  expect(r.stderr).toBe("");
  expect(r.status).toBe(0);
  return r.stdout;
}

it("a hypervisor in ten lines prints the guest's port writes", { timeout: 60_000 }, async () => {
  expect(await example("hypervisor.mjs")).toBe("port 0xe9: H\nport 0xe9: i\n");
});

it("a device of one's own", { timeout: 60_000 }, async () => {
  expect(await example("device.mjs")).toBe("HLT: EAX is 144\n");
});

it("ten clones of one snapshot", { timeout: 120_000 }, async () => {
  const lines = (await example("clones.mjs")).trim().split("\n");
  expect(lines[0]).toMatch(/^snapshot: \d+ bytes$/);
  expect(lines.slice(1)).toEqual(Array.from({ length: 10 }, (_, i) => `clone${i + 1}`));
});

it("every export has its file and, once checked, its types", () => {
  const { exports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  for (const entry of Object.values<{ types: string; default: string }>(exports)) {
    expect(existsSync(join(ROOT, entry.default)), entry.default).toBe(true);
    // dist/types is tsc's (npm run check): the source it is made from must be there.
    const source = entry.types.replace("./dist/types/engine/", "src/").replace(/\.d\.ts$/, ".ts");
    expect(existsSync(join(ROOT, source)), source).toBe(true);
  }
});
