/** What each guest is made of. A recipe's `make` returns its part of the manifest. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { installPackages } from "../prepare.mjs";
import { character, cpio, directory, file, symlink } from "./cpio.mjs";
import { APPEND, DISK_ID, debianDisk } from "./debian.mjs";
import { inOrder } from "./modules.mjs";

export const DEFAULT = "cloud";

const BOOT = /^boot\/vmlinuz-/;
const isKernel = (path) => BOOT.test(path);
const isBusybox = (path) => /bin\/busybox$/.test(path);

/** A kernel image, and modules of these names with what they need, as they can be loaded. */
async function kernel(shop, name, architecture, dependency, names = []) {
  const wanted = (path) => isKernel(path) || (names.length > 0 && path.startsWith("lib/modules/"));
  const { files, about } = await shop.package(name, architecture, { wanted, dependency });
  const image = [...files].find(([path]) => isKernel(path))?.[1];
  if (!image) throw new Error(`package ${about.name} has no boot/vmlinuz-*`);
  const { modules, missing } = inOrder(names, files);
  if (missing.length) throw new Error(`package ${about.name} has no module ${missing.join(", ")}`);
  return { image, about, modules, files };
}

/** Modules where an initramfs has them: init loads them in the order of their names. */
const loaded = (modules) => [
  ...[directory("lib"), directory("lib/modules")],
  ...modules.map((data, n) => file(`lib/modules/${String(n).padStart(2, "0")}.ko`, data)),
];

async function busybox(shop, architecture) {
  const { files, about } = await shop.package("busybox-static", architecture, { wanted: isBusybox });
  const program = [...files].find(([path]) => isBusybox(path))?.[1];
  if (!program) throw new Error(`package ${about.name} has no bin/busybox`);
  return { program, about };
}

/** An initramfs of busybox, our init and what both need; `more` entries come last and may replace nothing. */
function initramfs(program, init, more = []) {
  const directories = "bin dev etc proc root run sbin sys tmp usr usr/bin usr/sbin".split(" ");
  return gzipSync(
    cpio([
      ...directories.map((name) => directory(name)),
      // Linux opens it for the first process, before that can mount devtmpfs.
      character("dev/console", 5, 1),
      file("bin/busybox", program, 0o755),
      symlink("bin/sh", "busybox"),
      file("init", init, 0o755),
      file("etc/hostname", "tabhyve\n"),
      file("etc/hosts", "127.0.0.1 localhost tabhyve\n"),
      file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
      file("etc/group", "root:x:0:\n"),
      ...more,
    ]),
    { level: 9 },
  );
}

/** The shell; init loads `modules` in their order, as a file `name`. */
async function shell(shop, architecture, name = `initrd-${architecture}.gz`, modules = []) {
  const { program, about } = await busybox(shop, architecture);
  const source = (name) => readFileSync(join(shop.root, "scripts/guest", name));
  const more = modules.length ? loaded(modules) : [];
  const data = initramfs(program, source("init"), [file("etc/profile", source("profile")), ...more]);
  return { initrd: shop.write(name, data), about };
}

/** A Debian kernel with the shell. */
const linux = (title, name, architecture, dependency, memory) => ({
  title,
  async make(shop) {
    const { image, about } = await kernel(shop, name, architecture, dependency);
    const { initrd, about: userland } = await shell(shop, architecture);
    const record = shop.write(name.replace("linux-image", "vmlinuz"), image);
    return { kernel: record, initrd, append: APPEND, memory, packages: [about, userland] };
  },
});

const CLOUD = ["linux-image-cloud-amd64", "amd64", /^linux-image-\d.*-cloud-amd64$/];
const VIRTIO_BLK = ["virtio_pci", "virtio_blk"];
const VIRTIO = [...VIRTIO_BLK, "virtio_console", "virtio-rng"];
/** A checksum that drivers ask the kernel's crypto library for by name, where it is a module. */
const CHECKSUM = "crct10dif_generic";
const IDE = ["ata_piix", "sd_mod"];
/** All of these for the full kernel, which has folders by 9p, too. */
const SHARE = [CHECKSUM, ...VIRTIO_BLK, "virtio-rng", "virtio_balloon", "nvme", "9pnet_virtio", "9p"];
const FULL = ["linux-image-amd64", "amd64", /^linux-image-\d.*-amd64$/];
/** What Debian's disk may be behind, besides NVMe: virtio, or IDE. */
const DISKS = [...VIRTIO_BLK, "virtio-rng", ...IDE];
const I386 = ["linux-image-686", "i386", /^linux-image-\d.*-686$/];

/** The kernel proper out of a bzImage, by the machine's own loader. */
async function vmlinux(shop, image) {
  installPackages();
  const { runnerImport } = await import("vite");
  const load = async (name) =>
    (await runnerImport(join(shop.root, `src/machine/loader/${name}.ts`), { configFile: false, root: shop.root }))
      .module;
  const { parseSetupHeader } = await load("bzImage");
  const { unpackKernel } = await load("payload");
  const kernel = unpackKernel(image, parseSetupHeader(image));
  if (!kernel) throw new Error("the kernel in the bzImage is not packed by LZ4");
  return kernel.file;
}

function compile(shop, output, options, source = "bench.c") {
  const path = shop.scratch(output);
  const args = ["-O2", "-static", ...options, "-o", path, join(shop.root, "test/bench", source), "-lm"];
  const { status, error, stderr } = spawnSync("gcc", args, { encoding: "utf8" });
  if (error) throw new Error("the benchmarks need a C compiler: gcc and libc6-dev (Debian's names) are not installed");
  if (status !== 0 && options.includes("-m32")) {
    throw new Error("the 32-bit benchmarks need Debian's gcc-multilib (gcc -m32 finds no 32-bit C library)");
  }
  if (status !== 0) throw new Error(`gcc ${args.join(" ")} failed:\n${stderr}`);
  return file(`bin/${output.replace(/-.*/, "")}`, readFileSync(path), 0o755);
}

/** The benchmark programs in place of the shell; see test/bench/init for what the command line may choose. */
const bench = (title, name, architecture, dependency, builds) => ({
  title,
  async make(shop) {
    const programs = builds.map(([output, options]) => compile(shop, output, options));
    const { image, about } = await kernel(shop, name, architecture, dependency);
    const { program, about: userland } = await busybox(shop, architecture);
    const data = initramfs(program, readFileSync(join(shop.root, "test/bench/init")), programs);
    const initrd = shop.write(`initrd-bench-${architecture}.gz`, data);
    const record = shop.write(name.replace("linux-image", "vmlinuz"), image);
    return { kernel: record, initrd, append: APPEND, memory: "256M", packages: [about, userland] };
  },
});

export const RECIPES = {
  cloud: linux("Debian Linux, 64-bit cloud kernel", ...CLOUD, "256M"),
  full: linux("Debian Linux, 64-bit full kernel", ...FULL, "512M"),
  i386: linux("Debian Linux, 32-bit kernel", ...I386, "256M"),
  vmlinux: {
    title: "Debian Linux, 64-bit cloud kernel, unpacked (PVH)",
    async make(shop) {
      const { image, about } = await kernel(shop, ...CLOUD);
      const { initrd, about: userland } = await shell(shop, "amd64");
      const record = shop.write("vmlinux-cloud-amd64", await vmlinux(shop, image));
      return { kernel: record, initrd, append: APPEND, memory: "256M", packages: [about, userland] };
    },
  },
  virtio: {
    title: "Debian Linux, 64-bit cloud kernel, with its virtio drivers",
    async make(shop) {
      const { image, about, modules } = await kernel(shop, ...CLOUD, VIRTIO);
      const { initrd, about: userland } = await shell(shop, "amd64", "initrd-virtio-amd64.gz", modules);
      const record = shop.write("vmlinuz-cloud-amd64", image);
      return { kernel: record, initrd, append: APPEND, memory: "256M", packages: [about, userland] };
    },
  },
  share: {
    title: "Debian Linux, 64-bit full kernel, with drivers for shared folders and the balloon",
    async make(shop) {
      const { image, about, modules } = await kernel(shop, ...FULL, SHARE);
      const { initrd, about: userland } = await shell(shop, "amd64", "initrd-share-amd64.gz", modules);
      const record = shop.write("vmlinuz-amd64", image);
      return { kernel: record, initrd, append: APPEND, memory: "256M", packages: [about, userland] };
    },
  },
  debian: {
    title: "Debian on a disk: Python, gcc, SQLite",
    sources: ["cpio.mjs", "debian.mjs", "init-root", "modules.mjs"].map((name) => `scripts/guest/${name}`),
    async make(shop) {
      const { image, about, modules: first, files } = await kernel(shop, ...CLOUD, DISKS);
      const modules = new Map([...files].filter(([path]) => path.startsWith("lib/modules/")));
      const { program, about: userland } = await busybox(shop, "amd64");
      const init = readFileSync(join(shop.root, "scripts/guest/init-root"));
      const initrd = initramfs(program, init, loaded(first));
      const disk = shop.image("debian.img", (path) =>
        debianDisk(shop.scratch("debian"), path, { kernel: image, initrd, modules }),
      );
      return {
        kernel: shop.write("vmlinuz-cloud-amd64", image),
        initrd: shop.write("initrd-debian-amd64.gz", initrd),
        disk,
        append: `${APPEND} root=PARTUUID=${DISK_ID}-01`,
        memory: "512M",
        packages: [about, userland],
      };
    },
  },
  memtest: {
    title: "Memtest86+",
    async make(shop) {
      const path = "boot/memtest86+x64.bin";
      const { files, about } = await shop.package("memtest86+", "amd64", { wanted: (p) => p === path });
      if (!files.has(path)) throw new Error(`package memtest86+ has no ${path}`);
      const record = shop.write("memtest86+x64.bin", files.get(path));
      return { kernel: record, append: "console=ttyS0,115200", memory: "64M", packages: [about] };
    },
  },
  pc: {
    title: "A PC that boots your disk, CD or floppy",
    async make(shop) {
      const folder = "usr/share/seabios/";
      const names = { bios: "bios-256k.bin", vgabios: "vgabios-stdvga.bin" };
      const wanted = (path) => Object.values(names).some((name) => path === folder + name);
      const { files, about } = await shop.package("seabios", "amd64", { wanted });
      const record = (name) => {
        if (!files.has(folder + name)) throw new Error(`package seabios has no ${name}`);
        return shop.write(name, files.get(folder + name));
      };
      return {
        bios: record(names.bios),
        vgabios: record(names.vgabios),
        description: "SeaBIOS. Drop an image on the page: a CD, a floppy disk, a hard disk with a boot sector.",
        append: "",
        memory: "128M",
        packages: [about],
      };
    },
  },
  disk32: {
    title: "Disk benchmarks, 32-bit",
    async make(shop) {
      const program = compile(shop, "disk-i386", ["-m32"], "disk.c");
      const { image, about, modules } = await kernel(shop, ...I386, [
        CHECKSUM,
        ...IDE,
        "nvme",
        ...VIRTIO_BLK,
        "9pnet_virtio",
        "9p",
      ]);
      const { program: shell, about: userland } = await busybox(shop, "i386");
      const data = initramfs(shell, readFileSync(join(shop.root, "test/bench/init")), [...loaded(modules), program]);
      const initrd = shop.write("initrd-disk-i386.gz", data);
      const record = shop.write("vmlinuz-686", image);
      return { kernel: record, initrd, append: APPEND, memory: "256M", packages: [about, userland] };
    },
  },
  bench: bench("CPU benchmarks, 64-bit", ...CLOUD, [["bench-amd64", ["-m64"]]]),
  bench32: bench("CPU benchmarks, 32-bit", ...I386, [
    ["bench-i386", ["-m32"]],
    ["benchsse-i386", ["-m32", "-msse2", "-mfpmath=sse"]],
  ]),
};
