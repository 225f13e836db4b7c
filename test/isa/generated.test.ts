/** What is made from the instruction table: the committed files are fresh, and the compiled core is as it should be. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildCore } from "../../scripts/build-core.mjs";
import { generate } from "../../src/isa/generate.ts";
import { specialise } from "../../src/isa/specialise.ts";
import { ROWS } from "../../src/isa/table/index.ts";
import { embeddedGuest } from "../../src/machine/embedded/index.ts";
import { Machine } from "../../src/machine/machine.ts";
import { CONTROL_BASE, STATIC_BASE } from "../../src/shared/layout.ts";
import { instantiateCore, unshared } from "../../src/vcpu/core.ts";
import { branchTables, dataSegments } from "./wasmCode.ts";

const root = join(import.meta.dirname, "../..");

describe("assembly/gen", () => {
  const files = generate(root);

  it.each([...files.keys()])("%s is what npm run generate writes", (path) => {
    // Not toBe on the texts: a difference of two such files would fill the screen for minutes.
    const committed = readFileSync(join(root, path), "utf8").split("\n");
    const fresh = (files.get(path) as string).split("\n");
    const line = fresh.findIndex((text, i) => text !== committed[i]);
    const stale = line >= 0 ? line : committed.length === fresh.length ? -1 : fresh.length;
    expect(stale < 0 ? "fresh" : `stale from line ${stale + 1} on: ${committed[stale]}\nrun npm run generate`).toBe(
      "fresh",
    );
  });

  it("has no other files", () => {
    expect(
      readdirSync(join(root, "assembly/gen"))
        .map((name) => `assembly/gen/${name}`)
        .sort(),
    ).toEqual([...files.keys()].sort());
  });
});

describe("the compiled core", () => {
  let core: Uint8Array;
  beforeAll(async () => {
    await buildCore();
    core = new Uint8Array(readFileSync(join(root, "dist/core/core.wasm")));
  }, 300_000);

  it("dispatches through one br_table with a target for each inline micro-op", () => {
    const { firstCalled } = specialise(ROWS);
    // Beyond 1,024 cases Binaryen leaves chains of comparisons; more than one table would be a switch in pieces.
    expect(firstCalled).toBeLessThanOrEqual(1024);
    const sizes = branchTables(core).map((tables) => Math.max(0, ...tables));
    const largest = sizes.indexOf(Math.max(...sizes));
    const [dispatch] = branchTables(core)[largest].sort((a, b) => b - a);
    expect(dispatch).toBe(firstCalled);
  });

  it("has static data that is constant: a second instance does not disturb the first", async () => {
    const segments = dataSegments(core);
    const end = Math.max(...segments.map((s) => s.offset + s.length));
    expect(Math.min(...segments.map((s) => s.offset))).toBeGreaterThanOrEqual(STATIC_BASE);
    expect(end).toBeLessThanOrEqual(CONTROL_BASE);

    let text = "";
    let changed = (): void => {};
    const machine = await Machine.create({
      core,
      kernel: embeddedGuest(),
      memoryBytes: 16 << 20,
      transport: "inline",
      serial: (bytes) => {
        text += new TextDecoder().decode(bytes);
        changed();
      },
    });
    const prompts = async (n: number): Promise<void> => {
      while (text.split("tabhyve> ").length <= n) {
        await new Promise<void>((resolve) => {
          changed = resolve;
        });
      }
    };
    const type = (keys: string) => machine.serialInput(new TextEncoder().encode(keys));
    const data = () => Buffer.from(machine.memory.bytes.slice(STATIC_BASE, end));
    const before = data();
    expect(before.some((byte) => byte !== 0)).toBe(true);

    await machine.start();
    await prompts(1);
    type("ud\rpagefault\rdivide\r");
    await prompts(4);
    await machine.pause();
    expect(data().equals(before)).toBe(true);

    instantiateCore(new WebAssembly.Module(unshared(core) as BufferSource), machine.memory.memory, () => 0);
    expect(data().equals(before)).toBe(true);
    await machine.resume();
    type("regs\r");
    await prompts(5);
    expect(text).toContain("RFLAGS");
    await machine.destroy();
    expect(data().equals(before)).toBe(true);
  }, 60_000);
});
