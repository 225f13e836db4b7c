/**
 * The command is killed in the middle of a guest's writes, again and again, on one overlay that is kept in a folder. After
 * each time the disk as it is kept is checked: e2fsck replays the file system's journal and finds nothing else, and every file
 * that the guest said was safe (after fsync) is there as it was. NVMe and virtio by turns.
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
const PIECE = 1 << 20;
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

export async function kills({ cycles, seed, say }) {
  await buildCore();
  await buildNode();
  const { FileBlocks } = await load("cli/fileBlocks.ts");
  const { keptBlocks } = await load("cli/keptBlocks.ts");
  const { OverlayBlocks } = await load("block/overlay.ts");
  const { Random } = await load("cli/fuzz/random.ts");
  // Each look at the kept disk has its lock end with the process.
  process.setMaxListeners(cycles + 10);
  const random = new Random(seed);
  const folder = mkdtempSync(join(tmpdir(), "tabhyve-kills-"));
  const image = join(folder, "disk.img");
  const kept = join(folder, "kept");
  const raw = join(folder, "raw.img");
  const disk = openSync(image, "w");
  ftruncateSync(disk, SIZE);
  closeSync(disk);
  const made = must("mke2fs", ["-q", "-F", "-t", "ext4", image]);
  if (made.status !== 0) throw new Error(`mke2fs: ${made.text}`);
  /** What the overlay's disk is, as a raw image. */
  const copyOut = async () => {
    const source = new OverlayBlocks(new FileBlocks(image, { readOnly: true }), keptBlocks(kept, SIZE));
    const out = openSync(raw, "w");
    const piece = new Uint8Array(PIECE);
    for (let at = 0; at < SIZE; at += PIECE) {
      await source.read(at, piece);
      writeSync(out, piece, 0, PIECE, at);
    }
    closeSync(out);
    rmSync(join(kept, "lock"));
  };
  /** Checksums of files by their numbers, as the guest said. */
  const safe = new Map();
  let replayed = 0;
  let compared = 0;
  let next = 0;
  try {
    for (let cycle = 1; cycle <= cycles; cycle++) {
      const { bus, guest, device } = BUSES[cycle % BUSES.length];
      const { kernel, initrd, append, memory } = preparedGuest(guest);
      const vm = new Command([
        ...["--kernel", kernel, "--initrd", initrd, "--append", append, "--memory", memory],
        ...["--disk", `${image},${bus},overlay=${kept}`, "--timeout", "600"],
      ]);
      try {
        await vm.upTo(PROMPT);
        const mounted = await vm.command(`mkdir /m; mount -t ext4 ${device} /m && echo mounted`);
        if (!mounted.includes("\nmounted")) throw new Error(`cycle ${cycle}: ${mounted}`);
        await vm.command("rm -f /m/junk* /m/moved*");
        for (const line of [SAFE, BUSY]) await vm.command(line);
        vm.type(`busy & safe ${next}\r`);
        await vm.upTo(`SAFE ${next} `, 120);
        await new Promise((resolve) => setTimeout(resolve, random.below(3000)));
      } finally {
        await vm.kill();
      }
      for (const [, n, sum] of vm.log.matchAll(/^SAFE (\d+) ([0-9a-f]{32}) {2}-\r\n/gm)) safe.set(Number(n), sum);
      next = Math.max(...safe.keys()) + 100;
      await copyOut();
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
      if (cycle % 5 === 0) say(`${cycle} kills, ${compared} files compared`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    ok: true,
    lines: [
      `${cycles} kills in the middle of writes, NVMe and virtio by turns: e2fsck clean in all (${replayed} journals replayed),`,
      `every file that was safe is there as it was (${compared} comparisons)`,
    ],
  };
}
