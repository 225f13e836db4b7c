/** What `tabhyve run` is told on the command line, and the parts of a machine that follow from it. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { BlockSource } from "../../block/block.ts";
import { TouchedBlocks } from "../../block/chunks/touched.ts";
import type { MediumKind } from "../../block/cutOff.ts";
import { Waits } from "../../block/waits.ts";
import type { SharedFolder } from "../../machine/pciCards.ts";
import type { EngineKind } from "../../vcpu/jit.ts";
import type { VmTopology } from "../../vmm/topology.ts";
import type { GdbPlace } from "../gdbPort.ts";
import { HostDirectory } from "../hostFolder.ts";
import { behind, type Controller, isUrl, type MediumOptions, openMedium } from "../media.ts";
import * as options from "../options.ts";
import { type Send, type Share, UsageError } from "../options.ts";
import type { RunOptions } from "../run.ts";
import { say } from "./common.ts";

export interface RunWords {
  kernel?: string;
  bios?: string;
  initrd?: string;
  append?: string;
  memory: number;
  cpus: number;
  topology?: VmTopology;
  cpu: string;
  transport: "threaded" | "inline";
  engine: EngineKind;
  rng?: boolean;
  share?: Share[];
  balloon?: number | true;
  jitThreshold?: number;
  verify?: boolean;
  bundle: string;
  deterministic?: boolean;
  record?: string;
  replay?: string;
  serial: string;
  vgabios?: string;
  disk: string[];
  cdrom?: string;
  floppy?: string;
  keys?: Send[];
  screen?: string;
  recordPrefetch?: string;
  send?: Send[];
  until?: RegExp;
  timeout?: number;
  debugExit?: boolean;
  gdb?: GdbPlace;
  trace?: boolean;
  symbols?: string;
  restart: boolean;
  stats?: string;
  statsDetail?: boolean;
  snapshotIn?: string;
  snapshotOut?: string;
  verbose?: boolean;
}

/** What `--record` and `--replay` say. */
export function repeatable({ record, replay }: RunWords): NonNullable<RunOptions["deterministic"]> {
  const text = replay === undefined ? undefined : new TextDecoder().decode(options.readInput("--replay", replay));
  return {
    ...(record !== undefined && { record }),
    ...(text !== undefined && { replay: options.parseInputLog(`--replay ${replay}`, text) }),
  };
}

/** Media of the disks behind a controller, as `openMedium` takes them. */
export const disksOf = (words: RunWords, controller: Controller): string[] =>
  words.disk.map(behind).flatMap((disk) => (disk.controller === controller ? disk.medium : []));

export const waits = new Waits(say);
const mediumOptions = (words: RunWords): MediumOptions => ({
  tell: say,
  waiting: (name) => waits.of(name),
  repeatable: words.deterministic === true,
});

/** The disk that --record-prefetch looks at. */
let touched: TouchedBlocks | undefined;
const observe = (image: BlockSource): BlockSource => {
  touched = new TouchedBlocks(image);
  return touched;
};

/** The chunks of the disk that were read so far, with --record-prefetch. */
export const touchedChunks = (): TouchedBlocks["chunks"] | undefined => touched?.chunks;

/** Opens disks in their order, so that what is told of them is in order, too. */
async function disks(words: RunWords, controller: Controller): Promise<BlockSource[]> {
  const all: BlockSource[] = [];
  for (const medium of disksOf(words, controller)) {
    refuseUnrepeatable(words, medium);
    all.push(await openMedium("disk", medium, { ...mediumOptions(words), ...(words.recordPrefetch && { observe }) }));
  }
  return all;
}

function refuseUnrepeatable(words: RunWords, medium: string): void {
  if (!words.deterministic || !isUrl(medium)) return;
  throw new UsageError(`${medium}: when a server answers is not repeatable; leave out --deterministic, or fetch it`);
}

/** Cards in PCI slots, which need no firmware. */
export async function cards(words: RunWords): Promise<Pick<RunOptions, "cards">> {
  const nvme = await disks(words, "nvme");
  const virtioBlk = await disks(words, "virtio");
  const { balloon } = words;
  return {
    cards: {
      ...{ nvme, virtioBlk, rng: words.rng ?? false },
      folders: (words.share ?? []).map((share) => sharedFolder(words, share)),
      ...(balloon !== undefined && { balloon: balloon === true ? 0 : balloon }),
    },
  };
}

function sharedFolder(words: RunWords, { directory, tag, readOnly }: Share): SharedFolder {
  if (words.deterministic) {
    throw new UsageError(`--share ${directory}: its times and contents are not repeatable; leave out --deterministic`);
  }
  try {
    return { tag, folder: new HostDirectory(directory, readOnly) };
  } catch (error) {
    throw new UsageError(`--share ${directory}: ${options.reason(error)}`);
  }
}

/** Places on the two IDE channels. */
const IDE_DRIVES = 4;

/** Options that --verify has no use for, or none yet: its machines are two, and inline. */
export function verifiable(words: RunWords, given: (name: string) => boolean): void {
  const without = [
    "bios",
    "gdb",
    "rng",
    "share",
    "balloon",
    "record",
    "replay",
    "stats",
    "snapshotOut",
    "screen",
  ] as const;
  const name = without.find((n) => words[n] !== undefined);
  const flag = name?.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
  if (flag) throw new UsageError(`--verify: does not go with --${flag}`);
  if (words.disk.length) throw new UsageError("--verify: does not go with --disk");
  if (given("engine") && words.engine === "interp") throw new UsageError("--verify: --engine interp is one of the two");
}

/** What goes with firmware: the VGA's ROM and the drives. With four disks there is no room for a CD drive. */
export async function pc(words: RunWords): Promise<Pick<RunOptions, "vgaBios" | "drives" | "keys" | "screen">> {
  const beside = join(dirname(words.bios ?? ""), "vgabios-stdvga.bin");
  const rom = words.vgabios ?? (existsSync(beside) ? beside : undefined);
  if (disksOf(words, "ide").length > (words.cdrom === undefined ? IDE_DRIVES : IDE_DRIVES - 1))
    throw new UsageError("--disk: at most four drives, the CD drive included");
  const removable = async (kind: MediumKind, medium: string | undefined): Promise<BlockSource | null> => {
    if (medium === undefined) return null;
    refuseUnrepeatable(words, medium);
    return openMedium(kind, medium, mediumOptions(words));
  };
  const ide = await disks(words, "ide");
  const cdrom = await removable("cdrom", words.cdrom);
  return {
    ...(rom !== undefined && { vgaBios: options.readInput("--vgabios", rom) }),
    drives: {
      disks: ide,
      ...((cdrom || ide.length < IDE_DRIVES) && { cdrom }),
      floppy: await removable("floppy", words.floppy),
    },
    ...(words.keys && { keys: words.keys }),
    ...(words.screen !== undefined && { screen: words.screen }),
  };
}
