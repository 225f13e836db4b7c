/** Who is measured: which command starts each, and what has to be installed for it. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Apt, aptInstalled } from "../guest/apt.mjs";
import { debFiles } from "../guest/deb.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CACHE = join(ROOT, "guests/.cache");

/**
 * @typedef {object} Contender
 * @property {string} id
 * @property {boolean} ours
 * @property {string} version
 * @property {(guest: {kernel: string, initrd: string, append: string, memory: string}, more?: {until?: string,
 *   stats?: string}) => string[]} command
 * @property {(disks: Disks, bus: Bus) => Promise<string[] | false>} fromDisk  boots the first disk by firmware; false: it
 *   can do nothing for that bus
 */

/**
 * What the data is behind; `9p` is no disk, but a shared folder.
 * @typedef {"ide" | "nvme" | "virtio" | "9p"} Bus
 * @typedef {{boot: string, folder: string, data: string, memory: string, cpus: number}} Disks  paths of images; `data` is
 *   alone in `folder`
 */

/** What the guest mounts the shared folder by; v86 has no other. */
export const TAG = "host9p";

/** @returns {Contender} */
export function tabhyve(transport, engine) {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  return {
    id: transport === "threaded" ? "tabhyve" : `tabhyve ${transport}`,
    ours: true,
    version,
    command: ({ kernel, initrd, append, memory }, { until, stats } = {}) => [
      ...[process.execPath, join(ROOT, "dist/node/tabhyve.js"), "run", "--transport", transport, "--engine", engine],
      ...["--kernel", kernel, "--initrd", initrd, "--append", append, "--memory", memory, "--no-restart"],
      ...(until ? ["--until", until] : []),
      ...(stats ? ["--stats", stats] : []),
    ],
    fromDisk: async ({ boot, folder, data, memory, cpus }, bus) => {
      const [bios] = await firmware("bios-256k.bin");
      return [
        ...[process.execPath, join(ROOT, "dist/node/tabhyve.js"), "run", "--transport", transport, "--engine", engine],
        ...["--bios", bios, "--memory", memory, "--cpus", String(cpus), "--disk", `${boot},overlay`],
        ...(bus === "9p" ? ["--share", `${folder},tag=${TAG}`] : ["--disk", `${data},${bus}`]),
      ];
    },
  };
}

const QEMU_DEVICES = { nvme: "nvme,serial=1,drive=data", virtio: "virtio-blk-pci,drive=data" };

/** @returns {Contender | {missing: string}} */
export function qemu() {
  const program = "qemu-system-x86_64";
  const { status, stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
  if (status !== 0) return { missing: "QEMU is not installed: apt-get install qemu-system-x86" };
  return {
    id: "QEMU TCG",
    ours: false,
    version: /version (\S+)/.exec(stdout)?.[1] ?? "unknown",
    command: ({ kernel, initrd, append, memory }) => [
      // No network card: its boot ROM only costs time.
      ...[program, "-accel", "tcg", "-machine", "pc", "-nographic", "-no-reboot", "-nic", "none", "-m", memory],
      ...["-kernel", kernel, "-initrd", initrd, "-append", append],
    ],
    fromDisk: async ({ boot, folder, data, memory, cpus }, bus) => [
      ...[program, "-accel", "tcg", "-machine", "pc", "-nographic", "-nic", "none", "-m", memory, "-smp", String(cpus)],
      ...["-drive", `file=${boot},format=raw,if=ide,index=0,snapshot=on`],
      ...(bus === "9p" ? ["-virtfs", `local,path=${folder},mount_tag=${TAG},security_model=none`] : []),
      ...(bus === "ide" ? ["-drive", `file=${data},format=raw,if=ide,index=1`] : []),
      ...(bus in QEMU_DEVICES
        ? ["-drive", `file=${data},format=raw,if=none,id=data`, "-device", QEMU_DEVICES[bus]]
        : []),
    ],
  };
}

/**
 * PC firmware for v86, whose package has none: installed, kept from last time, or from Debian's package seabios.
 *
 * @param {string} [bios]  v86 wants the one of 128 KiB
 * @returns {Promise<string[]>} paths of the BIOS and of the VGA's ROM
 */
export async function firmware(bios = "bios.bin") {
  const wanted = [bios, "vgabios-stdvga.bin"];
  const kept = join(CACHE, "seabios");
  for (const folder of ["/usr/share/seabios", kept]) {
    if (wanted.every((name) => existsSync(join(folder, name)))) return wanted.map((name) => join(folder, name));
  }
  const apt = "PC firmware is needed: apt-get install seabios";
  if (!aptInstalled()) throw new Error(apt);
  const packages = join(CACHE, "packages");
  mkdirSync(packages, { recursive: true });
  const found = new Apt("amd64", join(CACHE, "apt"), (line) => process.stderr.write(`${line}\n`)).download(
    "seabios",
    packages,
  );
  const files = await debFiles(join(packages, found.file), "data", (path) =>
    wanted.some((name) => path.endsWith(`/${name}`)),
  );
  mkdirSync(kept, { recursive: true });
  for (const name of wanted) {
    const data = files.get(`usr/share/seabios/${name}`);
    if (!data) throw new Error(`${apt} (${found.file} has no ${name})`);
    writeFileSync(join(kept, name), data);
  }
  return wanted.map((name) => join(kept, name));
}

/** @returns {Promise<Contender | {missing: string}>} */
export async function v86() {
  let main;
  try {
    main = createRequire(import.meta.url).resolve("v86");
  } catch {
    return { missing: "v86 is not installed: npm install --save-dev v86" };
  }
  let bios;
  let vgaBios;
  try {
    [bios, vgaBios] = await firmware();
  } catch (error) {
    return { missing: error.message };
  }
  return {
    id: "v86",
    ours: false,
    version: JSON.parse(readFileSync(join(dirname(main), "../package.json"), "utf8")).version,
    command: ({ kernel, initrd, append, memory }) => [
      process.execPath,
      join(ROOT, "scripts/bench/v86.mjs"),
      JSON.stringify({ bios, vgaBios, kernel, initrd, append, memory: Number.parseInt(memory, 10) << 20 }),
    ],
    // It has IDE and no other disks: that stands beside ours, whatever they are behind; and one CPU.
    fromDisk: async ({ boot, data, memory }, bus) => [
      process.execPath,
      join(ROOT, "scripts/bench/v86.mjs"),
      JSON.stringify({
        ...{ bios, vgaBios, hda: boot, memory: Number.parseInt(memory, 10) << 20 },
        ...(bus === "9p" ? { share: data } : { hdb: data }),
      }),
    ],
  };
}
