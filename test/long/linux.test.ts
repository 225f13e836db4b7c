/**
 * Debian's other kernels from the command line, by both transports: the full 64-bit one, the 32-bit one, the cloud
 * kernel's vmlinux by PVH, and Memtest86+.
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { buildCommand, guest, missing, Shell } from "../guests/shell.ts";

beforeAll(buildCommand, 300_000);

const open: Shell[] = [];
afterEach(async () => {
  for (const shell of open.splice(0)) await shell.kill();
});

const kernels = [
  { id: "cloud", uname: /-cloud-amd64 x86_64$/ },
  { id: "full", uname: /-\d+-amd64 x86_64$/ },
  { id: "i386", uname: /-686 i686$/ },
  { id: "vmlinux", uname: /-cloud-amd64 x86_64$/ },
];

/** What no log may have. */
const TROUBLE = [
  /firmware bug/i,
  /WARNING:/,
  /\bOops\b/,
  /\bBUG:/,
  /Call Trace/i,
  /ACPI (BIOS )?Error/,
  /nobody cared/,
  /MTRRs disabled|MTRRs all blank/,
  /clocksource: timekeeping watchdog/,
  /Marking (TSC|clocksource) unstable/i,
  /APIC calibration not consistent/,
];

describe.each(kernels)("$id kernel", { timeout: 600_000 }, ({ id, uname }) => {
  const entry = guest(id);
  if (!entry) missing(id);

  it.skipIf(!entry).each(["threaded", "inline"] as const)(
    "reaches the shell without a complaint, keeps time under load, powers off: %s",
    async (transport) => {
      // The log as it is written, without `quiet`.
      const shell = new Shell({ ...entry!, append: entry!.append.replace(/\bquiet\b/, "") }, transport);
      open.push(shell);
      const log = await shell.boot(300);
      for (const bad of TROUBLE) expect(log).not.toMatch(bad);
      expect((await shell.command("uname -srm")).trim()).toMatch(uname);
      for (const file of ["/proc/interrupts", "/proc/iomem"]) expect(await shell.command(`cat ${file}`)).toMatch(/:/);
      await shell.command("while :; do :; done &");
      const from = performance.now();
      const said = Number(/^real\t0m ([\d.]+)s$/m.exec(await shell.command("time sleep 5"))?.[1]);
      const took = (performance.now() - from) / 1000;
      expect(Math.abs(said - 5)).toBeLessThanOrEqual(0.1);
      expect(took).toBeGreaterThanOrEqual(5);
      expect(await shell.command("kill %1; wait; dmesg | grep -ci 'oops\\|warning:\\|unstable'")).toMatch(/^0\n/);
      shell.type("poweroff\r");
      expect(await shell.status, shell.messages).toBe(0);
    },
  );
});

describe("memtest86+", { timeout: 300_000 }, () => {
  const entry = guest("memtest");
  if (!entry) missing("memtest");

  it.skipIf(!entry)("starts on the serial line, and finds no error as it goes", async () => {
    const shell = new Shell({ ...entry!, memory: "16M" }, "threaded");
    open.push(shell);
    await shell.upTo("Memtest86+", 60);
    await shell.upTo("Status: Testing", 60);
    await shell.upTo("Moving inversions", 240);
    expect(shell.text).toMatch(/Errors: 0 /);
    expect(shell.text).not.toMatch(/Errors: [1-9]/);
  });
});
