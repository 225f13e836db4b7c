/** The package as npm packs it: used by a TypeScript program, by a Node program and by a page. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildBrowser } from "../../scripts/build-node.mjs";
import { built, ROOT, Running } from "../cli/command.ts";
import { findChromium, host, launch } from "../page/chromium.ts";

const folder = mkdtempSync(join(tmpdir(), "tabhyve-package-"));
const unpacked = join(folder, "node_modules/tabhyve");

beforeAll(async () => {
  await built();
  await buildBrowser();
  execFileSync(join(ROOT, "node_modules/.bin/tsc"), ["-b"], { cwd: ROOT });
  const packed = execFileSync("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], {
    cwd: ROOT,
    encoding: "utf8",
  });
  const [{ filename }] = JSON.parse(packed) as { filename: string }[];
  mkdirSync(unpacked, { recursive: true });
  execFileSync("tar", ["-xzf", join(folder, filename), "-C", unpacked, "--strip-components=1"]);
  // What the package depends on, as far as its types name it.
  for (const name of ["comlink", "@types"])
    symlinkSync(join(ROOT, "node_modules", name), join(folder, "node_modules", name));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
}, 600_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const CONSUMER = `
import { assemble, coreBytes, embeddedGuest, Machine, type MachineConfig, spawnWorker } from "tabhyve";
import * as browser from "tabhyve/browser";
import { type Vcpu, VM_REG_GUEST, Vm, VmError, type VmExit } from "tabhyve/vmm";

const config: MachineConfig = {
  core: coreBytes(),
  kernel: embeddedGuest(),
  memoryBytes: 16 << 20,
  transport: "threaded",
  spawn: spawnWorker,
  serial: (bytes: Uint8Array) => void bytes.length,
};
export const machine: Promise<Machine> = Machine.create(config);
export const inPage: () => Promise<browser.Machine> = async () =>
  browser.Machine.create({ ...config, core: await browser.coreBytes(), spawn: browser.spawnWorker });

const vm: Vm<"inline"> = await Vm.create({ name: "typed", core: coreBytes(), transport: "inline", memoryBytes: 65536 });
const vcpu: Vcpu<"inline"> = vm.vcpus[0]!;
vm.memory.write(0x1000, assemble("out 1,al\\nhlt").bytes);
vcpu.setRegister(VM_REG_GUEST.RIP, 0x1000n);
const exit: VmExit = vcpu.run();
// The union is told apart by its exitcode: these compile only with the right payload.
if (exit.exitcode === "INOUT") console.log(exit.inout.port, exit.inout.eax.toFixed());
else if (exit.exitcode === "INST_EMUL") console.log(exit.instEmul.gpa.toFixed(), exit.instEmul.vie?.numValid);
// @ts-expect-error inline, run gives an exit, not a promise of one
vcpu.run().then();
// @ts-expect-error a register is a bigint
vcpu.setRegister(VM_REG_GUEST.RAX, 1);
const threaded = await Vm.create({ name: "t", core: coreBytes(), transport: "threaded", spawn: spawnWorker });
const later: Promise<VmExit> = threaded.vcpus[0]!.run();
await threaded.destroy();
await later.catch((error: unknown) => error instanceof VmError && error.code === "ENXIO");
`;

/** What tsc says of the consumer, in a module resolution of its choice. */
function compile(module: string, moduleResolution: string, lib: string): string {
  writeFileSync(join(folder, "consumer.ts"), CONSUMER);
  try {
    return execFileSync(
      join(ROOT, "node_modules/.bin/tsc"),
      [
        ...["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--target", "es2022"],
        ...["--module", module, "--moduleResolution", moduleResolution, "--lib", lib, "--types", "node", "consumer.ts"],
      ],
      { cwd: folder, encoding: "utf8" },
    );
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

describe("types", () => {
  it.each([
    ["nodenext", "nodenext", "es2024,dom"],
    ["esnext", "bundler", "es2024,dom"],
  ])("a strict program with module %s", { timeout: 120_000 }, (module, resolution, lib) => {
    expect(compile(module, resolution, lib)).toBe("");
  });
});

it("runs under Node from the packed files alone", { timeout: 120_000 }, async () => {
  for (const name of ["hypervisor.mjs", "device.mjs"]) cpSync(join(unpacked, "examples", name), join(folder, name));
  const r = await new Running(process.execPath, [join(folder, "hypervisor.mjs")]).result;
  expect([r.stderr, r.stdout]).toEqual(["", "port 0xe9: H\nport 0xe9: i\n"]);
  expect((await new Running(process.execPath, [join(folder, "device.mjs")]).result).stdout).toBe("HLT: EAX is 144\n");
});

/** What a page does with the library; it puts what it has seen into its title. */
const PAGE = `
import * as lib from "./browser/lib.js";
const core = await lib.coreBytes();
const seen = [];
for (const transport of ["inline", "threaded"]) {
  const vm = await lib.Vm.create({ name: "page", core, transport, spawn: lib.spawnWorker, memoryBytes: 65536 });
  const [vcpu] = vm.vcpus;
  vm.memory.write(0x1000, lib.assemble("mov al,0x41\\nout 0xe9,al\\nhlt").bytes);
  vcpu.setRegister(lib.VM_REG_GUEST.CS, 0n);
  vcpu.setSegDesc(lib.VM_REG_GUEST.CS, { base: 0n, limit: 0xffff, access: 0x9b });
  vcpu.setRegister(lib.VM_REG_GUEST.RIP, 0x1000n);
  const exit = await vcpu.run();
  seen.push(exit.inout.port.toString(16) + " " + exit.inout.eax);
  await vm.destroy();
}
let text = "";
const machine = await lib.Machine.create({
  core,
  kernel: lib.embeddedGuest(),
  memoryBytes: 16 << 20,
  transport: "threaded",
  spawn: lib.spawnWorker,
  serial: (bytes) => {
    text += new TextDecoder().decode(bytes);
    if (text.includes("tabhyve>")) document.title = [...seen, "booted"].join(", ");
  },
});
await machine.start();
`;

const chromium = findChromium();
it.skipIf(!chromium)("runs in a page, inline and in workers", { timeout: 120_000 }, async () => {
  writeFileSync(join(unpacked, "dist/page.js"), PAGE);
  writeFileSync(join(unpacked, "dist/index.html"), '<!doctype html><script type="module" src="page.js"></script>');
  const site = await host(join(unpacked, "dist"), true);
  const browser = await launch(chromium as string);
  try {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.goto(site.base);
    for (let title = ""; !title && !errors.length; title = await page.title()) await page.waitForTimeout(50);
    expect([errors, await page.title()]).toEqual([[], "e9 65, e9 65, booted"]);
  } finally {
    await browser.close();
    await site.close();
  }
});
