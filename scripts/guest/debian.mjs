/**
 * A disk with Debian on it: one partition with an ext4 file system, made by mmdebstrap and mke2fs without mounting anything,
 * and GRUB in front of it, so that it boots by firmware as well as by a kernel that is loaded beside it.
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

const PACKAGES = [
  ...["sysvinit-core", "kmod", "procps", "e2fsprogs"],
  ...["python3-minimal", "gcc", "libc6-dev", "sqlite3", "vim-tiny", "grub-pc-bin", "grub-common"],
];
const SECTOR = 512;
/** Bytes before the partition, and of the whole. */
export const PARTITION = 1 << 20;
const SIZE = 1 << 30;
/** The disk's signature, by which its partition is found. */
export const DISK_ID = "7ab4ea11";

const TOOLS = { mmdebstrap: "mmdebstrap", mke2fs: "e2fsprogs", tar: "tar" };

function must(program, args, options = {}) {
  const result = spawnSync(program, args, { stdio: ["ignore", 2, 2], ...options });
  if (result.error?.code === "ENOENT") {
    throw new Error(`the Debian disk is made by ${program}, which is not installed (Debian's ${TOOLS[program]})`);
  }
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`${program} ${args.join(" ").slice(0, 200)}: status ${result.status}`);
}

/** No crypto self-tests (0.9 G instructions) and no KASLR; a panic restarts at once instead of hanging. */
export const APPEND = "console=ttyS0 panic=-1 cryptomgr.notests nokaslr quiet";

/** What GRUB does. The kernel finds the partition by its number in the disk's signature. */
const GRUB = (id) => `search --no-floppy --file --set=root /boot/tabhyve-${id}
linux /boot/vmlinuz root=PARTUUID=${id}-01 ${APPEND}
initrd /boot/initrd
boot
`;

const INITTAB = `id:2:initdefault:
si::sysinit:/etc/init.d/rcS
l0:0:wait:/etc/init.d/rc 0
l1:1:wait:/etc/init.d/rc 1
l2:2:wait:/etc/init.d/rc 2
l6:6:wait:/etc/init.d/rc 6
ca:12345:ctrlaltdel:/sbin/shutdown -r now
S0:2:respawn:/sbin/agetty --noclear -L ttyS0 115200 xterm
1:2:respawn:/sbin/agetty --noclear tty1
`;

/** What is in the file system besides packages: path and text. */
const FILES = (id) => ({
  "etc/inittab": INITTAB,
  "etc/fstab": `PARTUUID=${id}-01 / ext4 defaults,noatime 0 1\n`,
  "etc/hostname": "debian\n",
  "etc/hosts": "127.0.0.1 localhost debian\n",
  // The serial terminal does not tell its size.
  "root/.profile": "PS1='debian:\\w# '\nstty cols 200 rows 50 2>/dev/null\n",
  [`boot/tabhyve-${id}`]: "",
});

/** What apt on a Debian host is set up for; elsewhere what mmdebstrap has for Debian's stable release. */
function release() {
  const text = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const field = (name) => new RegExp(`^${name}="?([^"\n]*)`, "m").exec(text)?.[1];
  if (field("ID") !== "debian") return { suite: "stable", sources: [] };
  const folder = "/etc/apt/sources.list.d";
  const lists = existsSync(folder) ? readdirSync(folder).filter((name) => /\.(list|sources)$/.test(name)) : [];
  const sources = ["/etc/apt/sources.list", ...lists.map((name) => join(folder, name))].filter(
    (file) => existsSync(file) && readFileSync(file, "utf8").trim() !== "",
  );
  return { suite: field("VERSION_CODENAME") ?? "stable", sources };
}

/**
 * @param {string} work  An empty folder's path to work in.
 * @param {string} image  Where the disk goes.
 * @param {{ kernel: Uint8Array, initrd: Uint8Array, modules: Map<string, Uint8Array> }} parts
 */
export function debianDisk(work, image, { kernel, initrd, modules }) {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const id = DISK_ID;
  const tree = join(work, "files");
  const put = (path, data) => {
    mkdirSync(join(tree, path, ".."), { recursive: true });
    writeFileSync(join(tree, path), data);
  };
  for (const [path, text] of Object.entries(FILES(id))) put(path, text);
  put("boot/vmlinuz", kernel);
  put("boot/initrd", initrd);
  put("boot/grub.cfg", GRUB(id));
  // /lib is a link, which a folder in an archive would replace.
  for (const [path, data] of modules) put(join("usr", path), data);
  const overlay = join(work, "files.tar");
  must("tar", ["-C", tree, "--owner=0", "--group=0", "-cf", overlay, "."]);
  const version = [...modules.keys()][0].split("/")[2];
  const grubModules = ["biosdisk", "part_msdos", "ext2", "linux", "search", "search_fs_file", "boot", "normal"];
  const mkimage = `grub-mkimage -O i386-pc -p /boot/grub -c /boot/grub.cfg -o /boot/core.img ${grubModules.join(" ")}`;
  const rootTar = join(work, "root.tar");
  const { suite, sources } = release();
  must("mmdebstrap", [
    ...["--variant=apt", "--architectures=amd64", `--include=${PACKAGES.join(",")}`],
    ...['--aptopt=APT::Install-Recommends "false"', "--dpkgopt=path-exclude=/usr/share/man/*"],
    ...["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright"],
    ...["--dpkgopt=path-exclude=/usr/share/locale/*", `--customize-hook=tar-in ${overlay} /`],
    `--customize-hook=chroot "$1" sh -c 'chown -R 0:0 /root /boot; passwd -d root; depmod ${version}; ${mkimage}'`,
    ...[suite, rootTar, ...sources],
  ]);
  const root = join(work, "root");
  mkdirSync(root);
  // As root files get their owners; else in a shell that believes that it is root.
  const shell = process.getuid?.() === 0 ? ["sh"] : ["fakeroot", "sh"];
  const offset = `offset=${PARTITION}`;
  const size = `${(SIZE - PARTITION) / 1024}k`;
  const disk = openSync(image, "w");
  try {
    ftruncateSync(disk, SIZE);
  } finally {
    closeSync(disk);
  }
  // The features are those of the kernels around; lazy initialisation would go on in the guest.
  const ext4 = `mke2fs -q -F -t ext4 -U ${id}-0000-4000-8000-000000000001 -E ${offset},lazy_itable_init=0,lazy_journal_init=0 -d root ${JSON.stringify(image)} ${size}`;
  must(shell[0], [...shell.slice(1), "-c", `tar -xpf root.tar -C root && ${ext4}`], { cwd: work });
  startUp(image, join(root, "usr/lib/grub/i386-pc/boot.img"), join(root, "boot/core.img"), id);
  rmSync(work, { recursive: true, force: true });
}

/** The boot sector with its partition table, and GRUB's core behind it, which finds itself there. */
function startUp(image, bootFile, coreFile, id) {
  const boot = readFileSync(bootFile);
  const core = readFileSync(coreFile);
  if (core.length > PARTITION - SECTOR) throw new Error(`GRUB's core has ${core.length} bytes`);
  const sector = Buffer.alloc(SECTOR);
  boot.copy(sector, 0, 0, 440);
  sector.writeUInt32LE(Number.parseInt(id, 16), 440);
  sector[446] = 0x80;
  sector[450] = 0x83;
  sector.fill(0xff, 451, 454);
  sector.writeUInt32LE(PARTITION / SECTOR, 454);
  sector.writeUInt32LE((SIZE - PARTITION) / SECTOR, 458);
  sector.writeUInt16LE(0xaa55, 510);
  const disk = openSync(image, "r+");
  try {
    writeSync(disk, sector, 0, sector.length, 0);
    writeSync(disk, core, 0, core.length, SECTOR);
  } finally {
    closeSync(disk);
  }
}
