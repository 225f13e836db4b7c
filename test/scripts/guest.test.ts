import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

// Plain JavaScript modules without types: imported by a name the type checker does not see through.
const load = (name: string) => import(new URL(`../../scripts/guest/${name}.mjs`, import.meta.url).href);
const have = (program: string): boolean => spawnSync(program, ["--version"]).error === undefined;

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "guest-test-"));
});
afterAll(() => rmSync(scratch, { recursive: true }));

describe("cpio", () => {
  it("writes what the cpio program reads", async () => {
    const { cpio, directory, file, symlink, character } = await load("cpio");
    const entries = [directory("bin"), file("bin/a", "hello", 0o755), symlink("b", "bin/a"), character("c", 5, 1)];
    const archive: Buffer = cpio(entries);
    expect(archive.length % 4).toBe(0);
    expect(archive.equals(cpio(entries))).toBe(true);
    // Header of the second entry: mode, then size.
    const at = 112 + 4;
    expect(archive.toString("latin1", at, at + 6)).toBe("070701");
    expect(archive.toString("latin1", at + 14, at + 22)).toBe("000081ed");
    expect(archive.toString("latin1", at + 54, at + 62)).toBe("00000005");
    expect(archive.indexOf("TRAILER!!!")).toBeGreaterThan(0);
    if (!have("cpio")) return;
    const listing = execFileSync("cpio", ["-tv"], { input: archive, stdio: ["pipe", "pipe", "ignore"] }).toString();
    expect(listing).toMatch(
      /drwxr-xr-x .* bin\n.*-rwxr-xr-x .* 5 .* bin\/a\n.* b -> bin\/a\n.*crw------- .* 5, +1 .* c\n/,
    );
  });
});

describe("kernel modules", () => {
  const module = (needs: string): Buffer => Buffer.from(`\x7fELF code\0license=GPL\0depends=${needs}\0name=x\0`);
  const files = new Map([
    ["lib/modules/6/kernel/virtio_ring.ko", module("")],
    ["lib/modules/6/kernel/virtio.ko", module("virtio_ring")],
    ["lib/modules/6/kernel/virtio-rng.ko", module("rng-core,virtio")],
    ["lib/modules/6/kernel/rng-core.ko", Buffer.from("\x7fELF without a word")],
    ["lib/modules/6/modules.order", Buffer.from("virtio.ko")],
  ]);

  it("come after those that they need, each once, whatever order they are named in", async () => {
    const { inOrder } = await load("modules");
    const order = (names: string[]): string[] =>
      inOrder(names, files).modules.map((data: Buffer) =>
        [...files].find(([, other]) => other === data)?.[0].slice(21),
      );
    expect(order(["virtio-rng", "virtio"])).toEqual(["rng-core.ko", "virtio_ring.ko", "virtio.ko", "virtio-rng.ko"]);
    expect(order(["virtio", "virtio_ring"])).toEqual(["virtio_ring.ko", "virtio.ko"]);
    expect(inOrder(["virtio_rng", "9p"], files)).toMatchObject({ missing: ["9p"] });
  });
});

describe("Debian packages", () => {
  it.runIf(have("tar"))("finds files in a tar stream, however it is cut into chunks", async () => {
    const { TarReader } = await load("deb");
    const long = `${"d".repeat(90)}/${"e".repeat(60)}`;
    const tree = join(scratch, "tree");
    mkdirSync(join(tree, "boot"), { recursive: true });
    mkdirSync(join(tree, "d".repeat(90)));
    writeFileSync(join(tree, "boot/vmlinuz-1"), "k".repeat(1500));
    writeFileSync(join(tree, "boot/empty"), "");
    writeFileSync(join(tree, "boot/other"), "o");
    writeFileSync(join(tree, long), "long");
    symlinkSync("vmlinuz-1", join(tree, "boot/vmlinuz"));
    for (const format of ["gnu", "ustar"]) {
      const tar = execFileSync("tar", ["-c", `--format=${format}`, "--sort=name", "-C", tree, "."]);
      for (const size of [1, 511, 512, 700, 100_000]) {
        const reader = new TarReader((path: string) => !path.endsWith("other"));
        for (let at = 0; at < tar.length; at += size) reader.push(tar.subarray(at, at + size));
        expect([...reader.files.keys()]).toEqual(["boot/empty", "boot/vmlinuz-1", long]);
        expect(reader.files.get("boot/vmlinuz-1").toString()).toBe("k".repeat(1500));
        expect(reader.files.get(long).toString()).toBe("long");
      }
    }
  });

  it.runIf(have("dpkg-deb"))("reads a package with dpkg-deb, and the same without", async () => {
    const { arMembers, debFiles } = await load("deb");
    const tree = join(scratch, "pkg");
    mkdirSync(join(tree, "DEBIAN"), { recursive: true });
    writeFileSync(
      join(tree, "DEBIAN/control"),
      "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n",
    );
    writeFileSync(join(tree, "file"), "contents");
    const deb = join(scratch, "x.deb");
    execFileSync("dpkg-deb", ["--root-owner-group", "-Zgzip", "-b", tree, deb], { stdio: "ignore" });
    expect(arMembers(deb).map((m: { name: string }) => m.name)).toEqual([
      "debian-binary",
      "control.tar.gz",
      "data.tar.gz",
    ]);
    const path = process.env.PATH;
    for (const without of [false, true]) {
      if (without) process.env.PATH = scratch;
      const files = await debFiles(deb, "data", () => true).finally(() => {
        process.env.PATH = path;
      });
      expect([...files].map(([name, data]) => [name, data.toString()])).toEqual([["file", "contents"]]);
    }
  });
});

describe("npm run guests", () => {
  const run = (args: string[], env = process.env) =>
    spawnSync(process.execPath, [new URL("../../scripts/guests.mjs", import.meta.url).pathname, ...args], {
      env,
      encoding: "utf8",
    });

  it("knows its guests, and says so", () => {
    const { status, stderr } = run(["nonsense"]);
    expect(status).toBe(2);
    expect(stderr).toContain('no guest is called "nonsense"');
    expect(run(["--help"]).stdout).toContain("(the default)");
  });

  it("records what it wrote, with hashes that hold", () => {
    const manifest = new URL("../../guests/manifest.json", import.meta.url).pathname;
    type File = { file: string; bytes: number };
    let guests: ({ kernel: File; bios?: undefined } | { kernel?: undefined; bios: File })[] = [];
    try {
      guests = JSON.parse(readFileSync(manifest, "utf8")).guests;
    } catch {
      return; // Nothing prepared yet.
    }
    for (const { kernel, bios } of guests) {
      const { file, bytes } = kernel ?? bios;
      expect(readFileSync(join(manifest, "..", file)).length).toBe(bytes);
    }
  });
});
