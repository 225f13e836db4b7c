/** `--verify`: a planted difference is found, at the instruction that makes it, and can be had again from its bundle. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { parsePattern } from "../../src/cli/options.ts";
import { type VerifyOptions, verify, verifyBundle } from "../../src/cli/verify/verify.ts";
import { assemble } from "../../src/isa/assemble.ts";
import { RegionCompiler } from "../../src/vcpu/jit.ts";
import { coreBytes } from "../core.ts";
import { built, Scratch, tabhyve } from "./command.ts";

const scratch = new Scratch();
let core: Uint8Array;
beforeAll(async () => {
  core = await coreBytes();
  await built();
}, 300_000);
afterAll(() => scratch.remove());

/** Says "ready", waits for a key, computes, stores, and leaves through port 0xf4 with (3 << 1) | 1. */
const guest = (body: string): Uint8Array =>
  assemble(`
        org 0x100000
        bits 32
header: dd 0x1badb002, 1 << 16, -(0x1badb002 + (1 << 16))
        dd header, header, 0, 0, entry
entry:  mov edx, 0x3f8
        mov al, '>'
        out dx, al
.wait:  mov dl, 0xfd
        in al, dx
        test al, 1
        jz .wait
        mov ecx, 40000
        xor eax, eax
.loop:  ${body}
        dec ecx
        jnz .loop
        mov al, 3
        out 0xf4, al
        hlt
`).bytes;
const SUM = guest("add eax, 0x12345\nadd ebx, eax");
const STORE = guest("mov dword [0x300000], 0x12345");

/** The LEB128 of 0x12345 in a function body, and of 0x12346. */
const [RIGHT, WRONG] = [
  [0xc5, 0xc6, 0x04],
  [0xc6, 0xc6, 0x04],
];
/** Compiles one constant wrong. */
class Wrong extends RegionCompiler {
  override compileRegions(vcpu: number, at: number, count: number): number {
    const bytes = Buffer.from(this.memory.buffer as ArrayBuffer, at >>> 0, 0x4_0000);
    for (let i = bytes.indexOf(Uint8Array.from(RIGHT)); i >= 0; i = bytes.indexOf(Uint8Array.from(RIGHT), i + 1)) {
      bytes.set(WRONG, i);
    }
    return super.compileRegions(vcpu, at, count);
  }
}
const wrong = (memory: WebAssembly.Memory): RegionCompiler => new Wrong(memory);

const options = (kernel: Uint8Array, name: string): VerifyOptions => ({
  ...{ kernel, kernelName: "guest", memoryBytes: 16 << 20, vcpus: 1, cpu: "max", transport: "inline", engine: "jit" },
  ...{
    serial: scratch.path(`${name}.out`),
    debugExit: true,
    restart: false,
    verbose: false,
    statsDetail: false,
    timeout: 100,
  },
  send: [{ pattern: parsePattern("--send", ">"), text: Buffer.from("x") }],
  bundle: scratch.path(name),
});

/** What the command would say. */
let said = "";
beforeEach(() => {
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("--verify", () => {
  it("runs a guest to its own end when the engines agree, and leaves no bundle", async () => {
    expect(await verify(core, options(SUM, "equal"))).toBe(7);
    expect(said).toBe("");
    expect(existsSync(scratch.path("equal"))).toBe(false);
    expect(readFileSync(scratch.path("equal.out"), "latin1")).toBe(">");
  });

  it("finds the instruction that a wrong region gets wrong, and its bundle shows it again", async () => {
    expect(await verify(core, { ...options(SUM, "sum"), regions: wrong })).toBe(1);
    const bundle = JSON.parse(readFileSync(join(scratch.path("sum"), "bundle.json"), "utf8"));
    expect(said).toMatch(/the engines differ after \d+ instructions\n {2}rax: interp 0x\w+, jit 0x\w+\n/);
    expect(bundle.differences.map((d: { name: string }) => d.name)).toContain("rax");
    expect(bundle.input).toHaveLength(1);
    const [want, got] = bundle.states.map((s: { rax: string }) => BigInt(s.rax));
    expect(got - want).toBe(1n);
    expect(bundle.path.some((line: string) => /add eax,0x12345/.test(line))).toBe(true);
    expect(await verifyBundle(core, scratch.path("sum"), wrong)).toBe(1);
    // Without the mistake it is gone.
    expect(await verifyBundle(core, scratch.path("sum"))).toBe(0);
    expect(said).toMatch(/tabhyve: the engines agree\n$/);
  });

  it("finds a wrong store, which no register shows", async () => {
    expect(await verify(core, { ...options(STORE, "store"), regions: wrong })).toBe(1);
    const bundle = JSON.parse(readFileSync(join(scratch.path("store"), "bundle.json"), "utf8"));
    expect(bundle.differences[0]).toEqual({ name: "memory at 0x300000+0x0", want: "0x12345", got: "0x12346" });
    expect(await verifyBundle(core, scratch.path("store"), wrong)).toBe(1);
  });

  it("says in one line what cannot be used", async () => {
    const nothing = await tabhyve(["verify", scratch.path("nothing")]);
    expect(nothing).toMatchObject({ status: 2, stdout: "" });
    expect(nothing.stderr).toMatch(/^tabhyve: .*bundle\.json: no such file or directory\n$/);
    scratch.file("bundle.json", "{}");
    const empty = await tabhyve(["verify", scratch.folder]);
    expect(empty.stderr).toMatch(/^tabhyve: .*bundle\.json: not the bundle of a difference\n$/);
    const both = await tabhyve(["run", "--verify", "--stats", "x"]);
    expect(both).toMatchObject({ status: 2, stderr: "tabhyve: --verify: does not go with --stats\n" });
    const one = await tabhyve(["run", "--verify", "--engine", "interp"]);
    expect(one).toMatchObject({ status: 2, stderr: "tabhyve: --verify: --engine interp is one of the two\n" });
    const never = await tabhyve(["run", "--engine", "jit", "--jit-threshold", "0"]);
    expect(never.stderr).toMatch(/^tabhyve: --jit-threshold 0: not a number from 1 to /);
  });
});
