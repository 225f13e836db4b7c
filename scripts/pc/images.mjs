/**
 * What `npm run pc` boots where no list is given: GRUB's rescue floppy and CD, Memtest86+ on a CD that is made here, and Debian
 * from its own disk. All of it comes from Debian's packages, by name; the images are kept in guests/.cache/pc.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Apt } from "../guest/apt.mjs";
import { debFiles } from "../guest/deb.mjs";
import { must, root } from "../prepare.mjs";

const CACHE = join(root, "guests/.cache");
const FOLDER = join(CACHE, "pc");
const BOOT = `default memtest
label memtest
  kernel /memtest
`;

/** @returns {Promise<object[]>} a list as that of --list, with whole paths */
export async function packaged() {
  mkdirSync(FOLDER, { recursive: true });
  must("node", ["scripts/guests.mjs", "debian"]);
  const { guests } = JSON.parse(readFileSync(join(root, "guests/manifest.json"), "utf8"));
  const disk = join(root, "guests", guests.find(({ id }) => id === "debian").disk.file);
  const [floppy, cdrom] = await rescue();
  const prompt = { memory: 64, seconds: 120, keys: [["before booting or", "c"]], until: "^grub>" };
  return [
    { name: "grub-floppy", floppy, ...prompt },
    { name: "grub-cd", cdrom, ...prompt },
    {
      name: "memtest",
      cdrom: await memtest(),
      memory: 16,
      cpus: 2,
      seconds: 300,
      until: "Test #[3-9][^]*Errors:\\s+0",
    },
    {
      ...{ name: "debian", disk, memory: 256, seconds: 600, until: "^/dev/\\S+ / ext4" },
      keys: [
        ["debian login:", "root\n"],
        ["debian:.*#", "grep ' / ' /proc/mounts\n"],
      ],
    },
  ];
}

/** Files of a package, by their paths in it. */
async function files(name, ...paths) {
  const apt = new Apt("amd64", join(CACHE, "apt"), (line) => console.log(line));
  const { file } = apt.download(name, FOLDER);
  const found = await debFiles(join(FOLDER, file), "data", (path) => paths.includes(path));
  rmSync(join(FOLDER, file));
  return paths.map((path) => {
    const bytes = found.get(path);
    if (!bytes) throw new Error(`package ${name} has no ${path}`);
    return bytes;
  });
}

/** GRUB's floppy disk and CD. */
async function rescue() {
  const names = ["grub-rescue-floppy.img", "grub-rescue-cdrom.iso"];
  const paths = names.map((name) => join(FOLDER, name));
  if (!paths.every((path) => existsSync(path))) {
    const found = await files("grub-rescue-pc", ...names.map((name) => `usr/lib/grub-rescue/${name}`));
    for (const [n, bytes] of found.entries()) writeFileSync(paths[n], bytes);
  }
  return paths;
}

/** Memtest86+ on a CD that isolinux starts. */
async function memtest() {
  const path = join(FOLDER, "memtest.iso");
  if (existsSync(path)) return path;
  const tree = join(FOLDER, "memtest");
  mkdirSync(tree, { recursive: true });
  const put = (name, bytes) => writeFileSync(join(tree, name), bytes);
  put("isolinux.bin", ...(await files("isolinux", "usr/lib/ISOLINUX/isolinux.bin")));
  put("ldlinux.c32", ...(await files("syslinux-common", "usr/lib/syslinux/modules/bios/ldlinux.c32")));
  // Under a name that ends in .bin, isolinux would take it for a boot sector.
  put("memtest", ...(await files("memtest86+", "boot/memtest86+x64.bin")));
  put("isolinux.cfg", BOOT);
  const boot = ["-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"];
  const args = ["-as", "mkisofs", "-o", `${path}.tmp`, ...boot, tree];
  const { error, status, stderr } = spawnSync("xorriso", args, { encoding: "utf8" });
  if (error) throw new Error("Memtest86+'s CD is made by xorriso, which is not installed (Debian's xorriso)");
  if (status !== 0) throw new Error(`xorriso: status ${status}: ${stderr}`);
  renameSync(`${path}.tmp`, path);
  rmSync(tree, { recursive: true });
  return path;
}
