/** Debian's cloud kernel from the command line: to the shell and off again, by both transports. */
import { createHash } from "node:crypto";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { buildCommand, guest, missing, Shell } from "./shell.ts";

const cloud = guest("cloud");
if (!cloud) missing("cloud");

const open: Shell[] = [];
afterEach(async () => {
  for (const shell of open.splice(0)) await shell.kill();
});

const md5 = (text: string): string => createHash("md5").update(text, "latin1").digest("hex");

describe.skipIf(!cloud).each(["threaded", "inline"] as const)("cloud kernel, %s", { timeout: 240_000 }, (transport) => {
  beforeAll(buildCommand, 300_000);

  const start = (args: string[] = []): Shell => {
    const shell = new Shell(cloud!, transport, { args });
    open.push(shell);
    return shell;
  };

  it("reaches the shell, answers, and ends with status 0 at poweroff", async () => {
    const shell = start();
    await shell.boot();
    expect(await shell.command("uname -srm")).toMatch(/^Linux \S+-cloud-amd64 x86_64\n$/);
    expect(await shell.command("cat /proc/cpuinfo")).toMatch(/model name\t: Tabhyve virtual CPU/);
    expect(await shell.command("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")).toBe("tsc\n");
    const log = await shell.command("dmesg");
    expect(log).toMatch(/Run \/init as init process/);
    for (const bad of [/firmware bug/i, /WARNING:/, /\bOops\b/, /\bBUG:/, /Call Trace/i, /ACPI (BIOS )?Error/]) {
      expect(log).not.toMatch(bad);
    }
    const from = performance.now();
    expect(Number(/^real\t0m ([\d.]+)s$/m.exec(await shell.command("time sleep 1"))?.[1])).toBeGreaterThanOrEqual(1);
    expect(performance.now() - from).toBeGreaterThanOrEqual(1000);
    shell.type("poweroff\r");
    expect(await shell.status, shell.messages).toBe(0);
  });

  it("gives Ctrl-C to the job in the foreground, and has job control", async () => {
    const shell = start();
    await shell.boot();
    // What is typed before the job has started goes to the shell's line editor, which has the terminal raw.
    shell.type("sh -c 'echo; echo up; sleep 1000'\r");
    await shell.upTo("\nup\r\n");
    shell.type("\x03");
    await shell.upTo("^C");
    await shell.upTo("tabhyve:~# ");
    expect(await shell.command("echo $?")).toBe("130\n");
    shell.type("sh -c 'echo; echo up; sleep 1000'\r");
    await shell.upTo("\nup\r\n");
    shell.type("\x1a");
    await shell.upTo("Stopped");
    await shell.upTo("tabhyve:~# ");
    expect(await shell.command("bg")).toMatch(/\[1\] sh -c/);
    expect(await shell.command("jobs")).toMatch(/^\[1\]\+ {2}Running/);
    expect(await shell.command("kill %1; wait; jobs")).not.toMatch(/Running/);
  });

  it("loses no byte of 1 MiB of output", async () => {
    const shell = start();
    await shell.boot();
    const line = "0123456789".repeat(10);
    await shell.command(`yes ${line} | head -n 9999 | grep -n . | head -c 1048576 >/tmp/f`);
    const sent = await shell.command("cat /tmp/f", 120);
    const lines = Array.from({ length: 9999 }, (_, i) => `${i + 1}:${line}\n`);
    // The last line ends in the middle.
    const whole = lines.join("").slice(0, 1_048_576);
    expect(sent.length).toBe(whole.length);
    expect(md5(sent)).toBe(md5(whole));
  });

  it("loses no byte of 64 KiB of pasted input", async () => {
    const shell = start();
    await shell.boot();
    const lines = Array.from(
      { length: 1024 },
      (_, i) => `${`${i} `.padEnd(63, "0123456789abcdefghijklmnopqrstuvwxyz")}\n`,
    );
    const whole = lines.join("");
    shell.type("echo; echo up; cat >/tmp/f\r");
    await shell.upTo("\nup\r\n");
    shell.type(`${whole}\x04`);
    await shell.upTo("tabhyve:~# ", 120);
    expect(await shell.command("md5sum </tmp/f")).toBe(`${md5(whole)}  -\n`);
  });

  it("boots again at reboot, or ends with status 4 if told to", async () => {
    const shell = start();
    await shell.boot();
    shell.type("touch /tmp/mark; reboot\r");
    await shell.upTo("Restarting system");
    await shell.boot();
    expect(await shell.command("ls /tmp/mark")).toMatch(/No such file/);
    const once = start(["--no-restart"]);
    await shell.kill();
    await once.boot();
    once.type("reboot\r");
    expect(await once.status, once.messages).toBe(4);
  });
});
