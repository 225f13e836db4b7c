/** Debian's cloud kernel, which has a driver for NVMe built in, and two such disks. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { buildCommand, guest, missing, Shell } from "./shell.ts";

const cloud = guest("cloud");
if (!cloud) missing("cloud");

describe.skipIf(!cloud)("Linux with NVMe disks", { timeout: 240_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "tabhyve-nvme-"));
  let shell: Shell;
  beforeAll(buildCommand, 300_000);
  const md5 = (bytes: Buffer): string => createHash("md5").update(bytes).digest("hex");
  afterEach(() => shell?.kill());
  afterAll(() => rmSync(folder, { recursive: true }));

  it("finds them, reads what is there, and what it writes is in the file or in the overlay", async () => {
    const size = 12 << 20;
    const [first, second] = ["first.img", "second.img"].map((name) => join(folder, name));
    const before = Buffer.alloc(size, Buffer.from(Array.from({ length: 251 }, (_, n) => n)));
    writeFileSync(first, before);
    writeFileSync(second, before);
    shell = new Shell(cloud!, "threaded", { args: ["--disk", `${first},nvme`, "--disk", `${second},overlay,nvme`] });
    await shell.boot();
    expect(await shell.command("cat /sys/block/nvme0n1/size /sys/block/nvme1n1/size")).toBe("24576\n24576\n");
    expect(await shell.command("md5sum </dev/nvme0n1")).toContain(md5(before));
    await shell.command(
      "for n in 0n1 1n1; do dd if=/proc/kallsyms of=/dev/nvme$n bs=64k count=30 seek=5 iflag=fullblock conv=fsync; done",
    );
    const after = readFileSync(first);
    expect(after.length).toBe(size);
    expect(after.equals(before)).toBe(false);
    expect(after.subarray(0, 5 << 16).equals(before.subarray(0, 5 << 16))).toBe(true);
    expect(after.subarray(35 << 16).equals(before.subarray(35 << 16))).toBe(true);
    expect(readFileSync(second).equals(before)).toBe(true);
    await shell.command("echo 3 >/proc/sys/vm/drop_caches");
    for (const n of [0, 1]) expect(await shell.command(`md5sum </dev/nvme${n}n1`)).toContain(md5(after));
    expect(await shell.command("grep nvme0q /proc/interrupts")).toMatch(/PCI-MSI.*nvme0q1/);
    expect(await shell.command("dmesg | grep -iE 'nvme|I/O error'")).not.toMatch(/error|timeout|reset/i);
  });

  it("finds what was flushed after its process was killed, in a folder that one process has at a time", async () => {
    const image = join(folder, "base.img");
    const kept = join(folder, "kept");
    const before = Buffer.alloc(4 << 20, 0x11);
    writeFileSync(image, before);
    const args = ["--disk", `${image},nvme,overlay=${kept}`];
    shell = new Shell(cloud!, "threaded", { args });
    await shell.boot();
    await shell.command(
      "head -c 1048576 /proc/kallsyms | dd of=/dev/nvme0n1 bs=64k seek=10 iflag=fullblock conv=fsync",
    );
    const sum = await shell.command("md5sum </dev/nvme0n1");
    expect(sum).not.toContain(md5(before));
    const second = new Shell(cloud!, "inline", { args });
    expect(await second.status).toBe(2);
    expect(second.messages).toMatch(/base\.img: .*kept is in use by process \d+\n$/);
    await shell.kill();
    expect(readFileSync(image).equals(before)).toBe(true);
    shell = new Shell(cloud!, "threaded", { args });
    await shell.boot();
    expect(await shell.command("md5sum </dev/nvme0n1")).toBe(sum);
  });
});
