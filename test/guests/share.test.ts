/** Debian's full kernel with a shared folder by 9p, both ways, and a balloon. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildCommand, guest, missing, Shell } from "./shell.ts";

const linux = guest("share");
if (!linux) missing("share");

describe.skipIf(!linux)("Linux with a shared folder and a balloon", { timeout: 240_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "tabhyve-share-"));
  let shell: Shell;
  beforeAll(buildCommand, 300_000);
  afterAll(async () => {
    await shell?.kill();
    rmSync(folder, { recursive: true });
  });

  it("reads and writes files of the host, in both directions, and gives memory back", async () => {
    const shared = join(folder, "shared");
    const second = join(folder, "second");
    for (const path of [shared, second, join(shared, "sub")]) mkdirSync(path);
    const big = Buffer.alloc(3_000_000, Buffer.from(Array.from({ length: 251 }, (_, n) => n)));
    writeFileSync(join(shared, "sub", "big"), big);
    writeFileSync(join(folder, "secret"), "secret");
    symlinkSync("../secret", join(shared, "way out"));
    writeFileSync(join(second, "only"), "to be read");
    const args = ["--share", shared, "--share", `${second},tag=docs,readonly`, "--balloon", "32M"];
    shell = new Shell(linux!, "threaded", { args });
    await shell.boot();
    await shell.command(
      "mkdir /s /d; mount -t 9p -o trans=virtio share /s; mount -t 9p -o trans=virtio,msize=524288 docs /d",
    );
    expect(await shell.command("cat /d/only; echo; ls /s")).toBe("to be read\nsub      way out\n");
    await shell.command("(cd /s; md5sum <sub/big >sum; cp sub/big copy; cmp copy sub/big && echo same >>sum)");
    expect(readFileSync(join(shared, "sum"), "utf8")).toMatch(/^[0-9a-f]{32} {2}-\nsame\n$/);
    expect(readFileSync(join(shared, "copy")).equals(big)).toBe(true);
    // What the link means is the guest's: there is no /secret, nor one beside the mount.
    expect(await shell.command("cat '/s/way out' 2>&1")).toContain("No such file");
    expect(await shell.command("echo x 2>&1 >/d/new; rm /d/only 2>&1")).toMatch(/Read-only.*\n.*Read-only/);
    await shell.command("(cd /s; mkdir -p a/b; mv copy a/b/c; ln a/b/c a/hard; ln -s b/c a/soft; chmod 600 a/b/c)");
    expect(await shell.command("(cd /s/a; cmp soft hard && stat -c '%h %a %s' b/c; readlink soft)")).toBe(
      "2 600 3000000\nb/c\n",
    );
    expect(statSync(join(shared, "a", "hard")).mode & 0o7777).toBe(0o600);
    // A file that is removed while it is open; appending; cutting.
    await shell.command(
      "(cd /s/a; exec 5<>b/gone; echo still >&5; rm b/gone; echo more >>soft; truncate -s 3000002 hard)",
    );
    expect(await shell.command("(cd /s/a; stat -c %s soft b/c; sync b/c && echo safe)")).toBe("3\n3000002\nsafe\n");
    // What the host does meanwhile is seen.
    writeFileSync(join(shared, "a", "late"), "from the host");
    expect(await shell.command("cat /s/a/late; echo; rm -r /s/a && ls /s")).toBe(
      "from the host\nsub      sum      way out\n",
    );
    expect(await shell.command("df /s | wc -l; umount /d; umount /s && echo gone")).toBe("2\ngone\n");
    expect(await shell.command("grep -c 9p /proc/mounts; dmesg | grep -ci 'bug:\\|oops\\|9p.*error'")).toBe("0\n0\n");
    expect(await shell.command("grep balloon_inflate /proc/vmstat")).toBe("balloon_inflate 8192\n");
  });
});
