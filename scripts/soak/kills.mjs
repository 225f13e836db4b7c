/**
 * The command is killed in the middle of a guest's writes, again and again, on one overlay that is kept in a folder; or a tab of
 * Chromium is, on one that the browser keeps. After each time the disk as it is kept is checked: e2fsck replays the file system's
 * journal and finds nothing else, and every file that the guest said was safe (after fsync) is there as it was. NVMe and, by the
 * command, virtio by turns.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runnerImport } from "vite";
import { buildCore } from "../build-core.mjs";
import { buildNode } from "../build-node.mjs";
import { preparedGuest } from "../guest/prepared.mjs";
import { root } from "../prepare.mjs";
import { Command } from "./command.mjs";
import { PROMPT } from "./console.mjs";

const SIZE = 64 << 20;
/** Where firmware looks whether a disk can be booted; the page asks that of one that is dropped on it. Ext4 begins behind it. */
const BOOT_SIGNATURE = { at: 510, bytes: Uint8Array.of(0x55, 0xaa) };
const PIECE = 1 << 20;
/** By turns; the page puts disks behind the first. */
const BUSES = [
  { bus: "nvme", guest: "cloud", device: "/dev/nvme0n1" },
  { bus: "virtio", guest: "virtio", device: "/dev/vda" },
];
/** The guest's writers: one that says what is safe, and one that keeps the journal and the cache busy. */
const SAFE =
  'safe() { i=$1; while :; do f=/m/f$i; head -c $((RANDOM * 3 + 1)) /dev/urandom >$f; s=$(md5sum <$f); sync $f && echo "SAFE $i $s"; i=$((i + 1)); done; }';
const BUSY =
  "busy() { while :; do n=$((RANDOM % 7)); cp /bin/busybox /m/junk$n; mv /m/junk$n /m/moved$n; rm -f /m/moved$((RANDOM % 7)); done; }";

const load = async (path) =>
  (await runnerImport(join(root, "src", path), { configFile: false, logLevel: "error", root })).module;

const must = (program, args) => {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (error) throw new Error(`${program} is needed (Debian's e2fsprogs): ${error.message}`);
  return { status, text: `${stdout}${stderr}` };
};

/** The command, killed as a crash of the host's would end it. */
async function commands(image, folder) {
  await buildCore();
  await buildNode();
  const { FileBlocks } = await load("cli/fileBlocks.ts");
  const { keptBlocks } = await load("cli/keptBlocks.ts");
  const { OverlayBlocks } = await load("block/overlay.ts");
  const kept = join(folder, "kept");
  return {
    boot: async ({ kernel, initrd, append, memory }, bus) =>
      new Command([
        ...["--kernel", kernel, "--initrd", initrd, "--append", append, "--memory", memory],
        ...["--disk", `${image},${bus},overlay=${kept}`, "--timeout", "600"],
      ]),
    copyOut: async (raw) => {
      const source = new OverlayBlocks(new FileBlocks(image, { readOnly: true }), keptBlocks(kept, SIZE));
      const out = openSync(raw, "w");
      const piece = new Uint8Array(PIECE);
      for (let at = 0; at < SIZE; at += PIECE) {
        await source.read(at, piece);
        writeSync(out, piece, 0, PIECE, at);
      }
      closeSync(out);
      rmSync(join(kept, "lock"));
    },
    close: () => {},
  };
}

export async function kills({ cycles, seed, browser, say }) {
  const { Random } = await load("cli/fuzz/random.ts");
  // Each look at the kept disk has its lock end with the process.
  process.setMaxListeners(cycles + 10);
  const random = new Random(seed);
  const folder = mkdtempSync(join(tmpdir(), "tabhyve-kills-"));
  const image = join(folder, "disk.img");
  const raw = join(folder, "raw.img");
  const disk = openSync(image, "w");
  ftruncateSync(disk, SIZE);
  closeSync(disk);
  const made = must("mke2fs", ["-q", "-F", "-t", "ext4", image]);
  if (made.status !== 0) throw new Error(`mke2fs: ${made.text}`);
  const signed = openSync(image, "r+");
  writeSync(signed, BOOT_SIGNATURE.bytes, 0, BOOT_SIGNATURE.bytes.length, BOOT_SIGNATURE.at);
  closeSync(signed);
  const buses = browser ? BUSES.slice(0, 1) : BUSES;
  const machines = browser ? await (await import("./killsPage.mjs")).tabs(image) : await commands(image, folder);
  /** Checksums of files by their numbers, as the guest said. */
  const safe = new Map();
  let replayed = 0;
  let compared = 0;
  let next = 0;
  try {
    for (let cycle = 1; cycle <= cycles; cycle++) {
      const { bus, guest, device } = buses[cycle % buses.length];
      const linux = preparedGuest(guest);
      const vm = await machines.boot(linux, bus);
      let said = "";
      try {
        await vm.upTo(PROMPT);
        const mounted = await vm.command(`mkdir /m; mount -t ext4 ${device} /m && echo mounted`);
        if (!mounted.includes("\nmounted")) throw new Error(`cycle ${cycle}: ${mounted}`);
        await vm.command("rm -f /m/junk* /m/moved*");
        for (const line of [SAFE, BUSY]) await vm.command(line);
        await vm.type(`busy & safe ${next}\r`);
        await vm.upTo(`SAFE ${next} `, 120);
        await new Promise((resolve) => setTimeout(resolve, random.below(3000)));
        said = await vm.log;
      } finally {
        await vm.kill();
      }
      for (const [, n, sum] of said.matchAll(/^SAFE (\d+) ([0-9a-f]{32}) {2}-\r?\n/gm)) safe.set(Number(n), sum);
      next = Math.max(...safe.keys()) + 100;
      await machines.copyOut(raw, linux);
      // First what mounting would do: the journal. Then there must be nothing to mend.
      const replay = must("e2fsck", ["-E", "journal_only", "-y", raw]);
      if (/recovering journal/.test(replay.text)) replayed++;
      const check = must("e2fsck", ["-f", "-n", raw]);
      if (check.status !== 0) return { ok: false, lines: [`cycle ${cycle}, ${bus}: e2fsck:\n${check.text}`] };
      const lines = [];
      for (const [n, sum] of safe) {
        const file = join(folder, "file");
        compared++;
        must("debugfs", ["-R", `dump f${n} ${file}`, raw]);
        let bytes;
        try {
          bytes = readFileSync(file);
          rmSync(file);
        } catch {
          bytes = Buffer.alloc(0);
        }
        if (createHash("md5").update(bytes).digest("hex") !== sum)
          lines.push(`cycle ${cycle}, ${bus}: f${n} is not as it was`);
      }
      if (lines.length) return { ok: false, lines };
      // The disk has room for the last ones.
      if (safe.size > 300) safe.clear();
      if (cycle === 1 || cycle % 5 === 0) say(`${cycle} kills, ${compared} files compared`);
    }
  } finally {
    await machines.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    ok: true,
    lines: [
      `${cycles} kills ${browser ? "of a tab " : ""}in the middle of writes, ${buses.map(({ bus }) => bus).join(" and ")}: e2fsck clean in all (${replayed} journals replayed),`,
      `every file that was safe is there as it was (${compared} comparisons)`,
    ],
  };
}
