/** Debian's cloud kernel with its virtio drivers: a disk with a queue for each vCPU, entropy. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildCommand, guest, missing, Shell } from "./shell.ts";

const linux = guest("virtio");
if (!linux) missing("virtio");

describe.skipIf(!linux)("Linux with virtio devices", { timeout: 240_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "tabhyve-virtio-"));
  let shell: Shell;
  beforeAll(buildCommand, 300_000);
  afterAll(async () => {
    await shell?.kill();
    rmSync(folder, { recursive: true });
  });

  it("finds them, reads and writes the disk on both vCPUs' queues, and draws random bytes", async () => {
    const image = join(folder, "disk.img");
    const before = Buffer.alloc(12 << 20, Buffer.from(Array.from({ length: 251 }, (_, n) => n)));
    writeFileSync(image, before);
    shell = new Shell(linux!, "threaded", { args: ["--cpus", "2", "--disk", `${image},virtio`, "--rng"] });
    await shell.boot();
    const md5 = (bytes: Buffer): string => createHash("md5").update(bytes).digest("hex");
    expect(await shell.command("cat /sys/block/vda/size /sys/block/vda/serial; echo")).toBe("24576\nVBLK0001\n");
    expect(await shell.command("md5sum </dev/vda")).toContain(md5(before));
    const write = (cpu: number, at: number): string =>
      `taskset ${cpu} dd if=/proc/kallsyms of=/dev/vda bs=64k count=20 seek=${at} iflag=fullblock conv=fsync`;
    await shell.command(`${write(1, 5)}; ${write(2, 100)}`);
    const after = readFileSync(image);
    expect(after.subarray(0, 5 << 16).equals(before.subarray(0, 5 << 16))).toBe(true);
    expect(after.subarray(5 << 16, 25 << 16).equals(after.subarray(100 << 16, 120 << 16))).toBe(true);
    expect(after.subarray(5 << 16, 25 << 16).equals(before.subarray(5 << 16, 25 << 16))).toBe(false);
    await shell.command("echo 3 >/proc/sys/vm/drop_caches");
    expect(await shell.command("md5sum </dev/vda")).toContain(md5(after));
    const interrupts = await shell.command("grep virtio0-req /proc/interrupts");
    const counts = [...interrupts.matchAll(/:\s+(\d+)\s+(\d+)\s/g)].map((line) => Number(line[1]) + Number(line[2]));
    expect(counts.length).toBe(2);
    for (const count of counts) expect(count).toBeGreaterThan(0);
    expect(await shell.command("head -c 4096 /dev/hwrng | wc -c")).toBe("4096\n");
  });
});
