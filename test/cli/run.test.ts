/** `tabhyve run` from outside: how it ends, what it types and what it writes. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { built, ROOT, Running, Scratch, start, tabhyve } from "./command.ts";

const scratch = new Scratch();
/** A Multiboot guest that says "ready", waits for a key, and writes it to port 0xf4. */
const KEY_GUEST = `
        org 0x100000
        bits 32
header: dd 0x1badb002, 1 << 16, -(0x1badb002 + (1 << 16))
        dd header, header, 0, 0, entry
text:   db "ready", 10, 0
entry:  mov esi, text
        mov edx, 0x3f8
.put:   lodsb
        test al, al
        jz .wait
        out dx, al
        jmp .put
.wait:  mov dl, 0xfd
        in al, dx
        test al, 1
        jz .wait
        mov dl, 0xf8
        in al, dx
        out 0xf4, al
        jmp .wait
`;
beforeAll(async () => {
  scratch.file("key.bin", assemble(KEY_GUEST).bytes);
  await built();
}, 300_000);
afterAll(() => scratch.remove());

/** The embedded guest; it always has an end. */
const embedded = (...args: string[]) => tabhyve(["run", "--memory", "16M", "--timeout", "60", ...args]);
const json = (name: string) => JSON.parse(readFileSync(scratch.path(name), "utf8"));

describe.each(["threaded", "inline"])("%s", { timeout: 60_000 }, (transport) => {
  const guest = (...args: string[]) => embedded("--transport", transport, ...args);

  it("a power-off is 0, with statistics", async () => {
    const stats = `${transport}.json`;
    const r = await guest("--send", "> =>poweroff\\r", "--stats", scratch.path(stats));
    expect(r).toMatchObject({ status: 0, stderr: "" });
    expect(r.stdout).toMatch(/^Tabhyve, embedded guest\r\n/);
    const s = json(stats);
    expect(Number.isSafeInteger(s.instructions)).toBe(true);
    expect(s.instructions).toBeGreaterThan(10_000);
    expect(s.wallSeconds).toBeGreaterThan(0.1);
    expect(s.vcpuSeconds).toBeGreaterThan(0);
    expect(s.vcpuSeconds).toBeLessThan(s.wallSeconds);
    expect(s.mips).toBeCloseTo(s.instructions / s.vcpuSeconds / 1e6, 6);
    expect(s.exits.INOUT).toBeGreaterThan(10);
    expect(s.engines.interp + s.engines.jit).toBeCloseTo(1, 9);
    expect(s.regions).toBeGreaterThanOrEqual(0);
  });

  it("--until is 0, after texts that are typed in order", async () => {
    const r = await guest("--send", "> =>he\\x6cp\\r", "--send", "> =>regs\\n", "--until", "^ +RFLAGS");
    expect(r).toMatchObject({ status: 0, stderr: "" });
    expect(r.stdout).toMatch(/> help\r\n[\s\S]*> regs\r\n[\s\S]*RFLAGS/);
  });

  it("--timeout is 124, with statistics", async () => {
    const args = ["run", "--transport", transport, "--timeout", "1.5", "--stats", scratch.path("late.json")];
    const late = await tabhyve(args);
    expect(late).toMatchObject({ status: 124, stderr: "tabhyve: the guest was still running after 1.5 s\n" });
    expect(json("late.json").instructions).toBeGreaterThan(1000);
    expect(json("late.json").wallSeconds).toBeGreaterThan(1.5);
  });

  it("a triple fault is 3 and says where, with statistics", async () => {
    const r = await guest("--send", "> =>fault\\r", "--stats", scratch.path("fault.json"));
    expect(r.status).toBe(3);
    expect(r.stderr).toMatch(/^tabhyve: the guest triple-faulted: rip 0x[0-9a-f]+, cs 0x[0-9a-f]+, [^\n]*\n/);
    expect(r.stderr).toMatch(/\ntriple fault of vCPU 0 in 64-bit mode, CPL 0\nIt began with /);
    expect(json("fault.json").instructions).toBeGreaterThan(1000);
  });

  it("a reset boots again, or is 4 with --no-restart", async () => {
    const r = await guest("--send", "> =>reboot\\r", "--send", "> =>poweroff\\r");
    expect(r.status).toBe(0);
    expect(r.stdout.match(/Tabhyve, embedded guest/g)).toHaveLength(2);
    expect(await guest("--no-restart", "--send", "> =>reboot\\r")).toMatchObject({ status: 4, stderr: "" });
  });

  it("--debug-exit is (value << 1) | 1; without it the port is nothing", async () => {
    const key = ["run", "--kernel", scratch.path("key.bin"), "--memory", "2M", "--transport", transport];
    const send = ["--send", "ready=>\\x05"];
    expect(await tabhyve([...key, ...send, "--debug-exit"])).toMatchObject({
      status: 11,
      stdout: "ready\n",
      stderr: "",
    });
    expect(await tabhyve([...key, ...send, "--timeout", "1"])).toMatchObject({ status: 124, stdout: "ready\n" });
  });
});

describe("input and output", { timeout: 60_000 }, () => {
  it("stdin goes to the guest, all of it, and its end does not end the guest", async () => {
    const running = start(["run", "--memory", "16M", "--timeout", "60"]);
    running.type("help\r");
    running.endInput();
    await running.shows(/> help\r\n[\s\S]*> $/);
    running.kill("SIGTERM");
    expect(await running.result).toMatchObject({ status: 143, stderr: "" });
  });

  it("a stdin that cannot be read is one that has ended", async () => {
    const fd = openSync(scratch.folder, "r");
    const running = start(["run", "--memory", "16M", "--until", "> $"], { stdio: [fd, "pipe", "pipe"] });
    closeSync(fd);
    expect(await running.result).toMatchObject({ status: 0, stderr: "" });
  });

  it("Ctrl-A is no chord in a pipe", async () => {
    const running = start(["run", "--kernel", scratch.path("key.bin"), "--memory", "2M", "--debug-exit"]);
    running.type("\x01x");
    expect(await running.result).toMatchObject({ status: (1 << 1) | 1, stdout: "ready\n" });
  });

  it("a reader that goes away ends the run quietly", async () => {
    const running = start(["run", "--memory", "16M", "--timeout", "60", "--send", "> =>help\\r"]);
    await running.shows(/Tabhyve/);
    running.closeOutput();
    expect(await running.result).toMatchObject({ status: 141, stderr: "" });
  });

  it("--serial FILE takes the output, and --send and --until still see it", async () => {
    const file = scratch.file("serial.txt", "what was there before");
    const r = await embedded("--serial", file, "--send", "> =>help\\r", "--until", "poweroff");
    expect(r).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(readFileSync(file, "latin1")).toMatch(/^Tabhyve[\s\S]*> help\r\n[\s\S]*poweroff/);
  });

  it("a disk that is full is 2", async () => {
    const r = await embedded("--serial", "/dev/full");
    expect(r).toMatchObject({
      status: 2,
      stderr: "tabhyve: --serial /dev/full: cannot be written (no space left on device)\n",
    });
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("%s is %i, with statistics", async (signal, status) => {
    const running = start(["run", "--memory", "16M", "--timeout", "60", "--stats", scratch.path("signal.json")]);
    await running.shows(/> $/);
    running.kill(signal);
    expect(await running.result).toMatchObject({ status, signal: null, stderr: "" });
    expect(json("signal.json").instructions).toBeGreaterThan(1000);
  });
});

describe("from another folder", { timeout: 120_000 }, () => {
  const args = ["run", "--kernel", "key.bin", "--memory", "2M", "--debug-exit", "--send", "ready=>\\x03"];
  const expected = { status: 7, stdout: "ready\n" };

  it("the bundle finds files and its core", async () => {
    expect(await tabhyve(args, { cwd: scratch.folder })).toMatchObject(expected);
  });

  it("so does npm run -s tabhyve, and says nothing else on stdout", async () => {
    const npm = new Running("npm", ["--prefix", ROOT, "run", "-s", "tabhyve", "--", ...args, "--stats", "npm.json"], {
      cwd: scratch.folder,
    });
    npm.endInput();
    expect(await npm.result).toMatchObject(expected);
    expect(json("npm.json").instructions).toBeGreaterThan(0);
  });
});
