/** The real gdb, if there is one on this host, on Debian's cloud kernel with two vCPUs, by the names of /proc/kallsyms. */
import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { buildCommand, guest, missing, Shell } from "../guests/shell.ts";

const cloud = guest("cloud");
if (!cloud) missing("cloud");

function hasGdb(): boolean {
  try {
    execFileSync("gdb", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    process.stderr.write("\n*** NOT TESTED: there is no gdb here; Debian's package is gdb\n\n");
    return false;
  }
}

const open: Shell[] = [];
beforeAll(buildCommand, 300_000);
afterEach(async () => {
  for (const shell of open.splice(0)) await shell.kill();
});

function start(args: string[]): Shell {
  const shell = new Shell(cloud!, "threaded", { append: "nokaslr", args });
  open.push(shell);
  return shell;
}

describe.skipIf(!cloud || !hasGdb())("gdb", { timeout: 600_000 }, () => {
  it("breaks, watches, steps and walks through Linux, vCPUs as threads; then the guest goes on", async () => {
    const first = start([]);
    await first.boot(300);
    const names = ["start_kernel", "do_sys_openat2", "jiffies_64"];
    const listed = await first.command(`grep -wE '${names.join("|")}' /proc/kallsyms`);
    const [startKernel, open2, jiffies] = names.map(
      (name) => `0x${new RegExp(`^([0-9a-f]{16}) \\w ${name}$`, "m").exec(listed)?.[1]}`,
    );
    await first.kill();

    const shell = start(["--cpus", "2", "--gdb", "w,0"]);
    let port: string | undefined;
    for (let i = 0; !port && i < 600; i++) {
      port = /target remote 127\.0\.0\.1:(\d+); the guest waits/.exec(shell.messages)?.[1];
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const script = [
      ...["set pagination off", "set confirm off", "set width 0", `target remote 127.0.0.1:${port}`],
      ...[`hbreak *${startKernel}`, "continue", "info threads", "p/x $rip", "delete"],
      ...[`break *${open2}`, "continue", "p/x $rip", "p $cr0 & 0x80000001", "x/s $rsi", "delete"],
      ...[`watch *(unsigned long *)${jiffies}`, "continue", "delete"],
      ...["stepi", "stepi", `monitor walk ${open2}`, "info registers rip cr3 fs_base xmm0 mxcsr", "detach"],
    ];
    const run = promisify(execFile);
    const { stdout, stderr } = await run("gdb", ["-nx", "-batch", ...script.flatMap((line) => ["-ex", line])]);
    expect(stdout).toMatch(/Breakpoint 1, 0xffffffff/);
    expect(stdout).toMatch(/Thread 1 \(vCPU 0, running\)/);
    expect(stdout).toMatch(/Thread 2 \(vCPU 1, waits for SIPI\)/);
    expect(stdout).toContain(`$1 = ${startKernel}`);
    expect(stdout).toContain(`$2 = ${open2}`);
    expect(stdout).toMatch(/= (-?2147483647|2147483649)\n/);
    expect(stdout).toMatch(/"\/(dev\/console|init)"/);
    const [, before, after] = /Old value = (\d+)\nNew value = (\d+)/.exec(stdout) ?? [];
    expect(Number(after) - Number(before)).toBeGreaterThan(0);
    expect(stderr).toMatch(/PML4E \[511\] .*\n(.*\n)*-> 0x[0-9a-f]+, page of (4|2048) KiB/);
    expect(stdout).toMatch(/mxcsr +0x1f80/);
    await shell.boot(300);
    expect((await shell.command("nproc")).trim()).toBe("2");
  });
});
