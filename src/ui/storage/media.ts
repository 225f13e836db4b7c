/** Opens what a person has brought for a machine's drives, with what is kept of it. */
import type { BlockSource } from "../../block/block.ts";
import { BLOCK, MemoryStore } from "../../block/blockStore.ts";
import { OverlayBlocks } from "../../block/overlay.ts";
import type { Waits } from "../../block/waits.ts";
import {
  type MachineConfig,
  MachineError,
  type Media,
  type Medium,
  nameOfMedium,
  type Stamps,
} from "../machineHandle.ts";
import type { HereCallbacks } from "../realMachine.ts";
import type { Refusal } from "./diskWorker.ts";
import { type ImageOptions, openImage } from "./image.ts";
import { KeptBlocks } from "./keptBlocks.ts";

/** Blocks of a disk that is not kept: 512 MiB, so that no guest fills the tab's memory. */
const MOST_IN_MEMORY = (512 << 20) / BLOCK;

export type OpenMedia = { [drive in keyof Media]?: BlockSource | undefined };

/** @throws MachineError "disk": what is kept of one cannot be had; "medium": it cannot be read */
export async function openMedia(config: MachineConfig, callbacks: HereCallbacks, waits: Waits): Promise<OpenMedia> {
  const open: OpenMedia = {};
  try {
    for (const [drive, file] of Object.entries(config.media ?? {}) as [keyof Media, Medium | undefined][]) {
      if (file) open[drive] = await openMedium(drive, file, config, callbacks, waits);
    }
  } catch (error) {
    await closeMedia(open);
    throw error;
  }
  return open;
}

/** @throws MachineError "disk": what is kept of it cannot be had; "medium": it cannot be read */
export async function openMedium(
  drive: keyof Media,
  medium: Medium,
  { keepDisks }: Pick<MachineConfig, "keepDisks">,
  callbacks: HereCallbacks,
  waits: Waits,
): Promise<BlockSource> {
  const name = nameOfMedium(medium);
  const options: ImageOptions = { drive, tell: (text) => callbacks.notice?.(text), waiting: waits.of(name) };
  const whole = "kept" in medium;
  // The type is the engine's; in a page it is a File.
  if (whole || (keepDisks && drive !== "cdrom" && ("url" in medium || medium instanceof File))) {
    const kept = await KeptBlocks.open(medium, options, callbacks.startHelper);
    if (kept instanceof KeptBlocks) return kept;
    refused(name, kept, whole, callbacks);
  }
  if (whole) throw new MachineError("disk", `${name}: this browser keeps no files for the page.`);
  let image: BlockSource;
  try {
    image = (await openImage(medium, options)).blocks;
  } catch (error) {
    throw new MachineError("medium", (error as Error).message);
  }
  return drive === "cdrom" ? image : new OverlayBlocks(image, new MemoryStore(MOST_IN_MEMORY));
}

/** Makes safe what is kept, and lets others open it. */
export async function closeMedia(media: Readonly<Record<string, BlockSource | undefined>>): Promise<void> {
  for (const medium of Object.values(media)) {
    // What goes wrong has been told, and the others are to be closed, too.
    if (medium instanceof KeptBlocks) await medium.close().catch(() => {});
  }
}

/** Makes what is kept of them safe, and says what it is. */
export async function stampsOf(media: OpenMedia): Promise<Stamps> {
  const stamps: { [drive in keyof Media]: string } = {};
  for (const [drive, medium] of Object.entries(media) as [keyof Media, BlockSource | undefined][]) {
    if (medium instanceof KeptBlocks) stamps[drive] = await medium.stamp();
  }
  return stamps;
}

/** A guest has parts of its disks in memory: it goes on only with what it knows. @throws MachineError "snapshot" */
export async function checkStamps(config: MachineConfig, media: OpenMedia): Promise<void> {
  const now = await stampsOf(media);
  for (const [drive, stamp] of Object.entries(config.resume?.stamps ?? {}) as [keyof Media, string][]) {
    const medium = config.media?.[drive];
    const name = medium === undefined ? drive : nameOfMedium(medium);
    if (now[drive] === stamp) continue;
    throw new MachineError(
      "snapshot",
      `${name} has been written to since this machine was saved: going on would wreck it.`,
      "Start the guest anew: the disk has everything that was written.",
    );
  }
}

/** A machine may run without what is kept only where nothing is, and nothing can be. */
function refused(name: string, why: Refusal, whole: boolean, callbacks: HereCallbacks): void {
  if (why === "unavailable") {
    if (whole) return;
    callbacks.notice?.(`This browser keeps no files for the page: what is written to ${name} is gone at the end.`);
    return;
  }
  if (why === "in-use") {
    throw new MachineError(
      "disk",
      `${name} is open in another tab, with what was written to it.`,
      "End the machine there, or turn off “Keep what guests write” in the settings to start from the image alone.",
    );
  }
  if ("unreadable" in why) throw new MachineError("medium", why.unreadable);
  throw new MachineError(
    "disk",
    why.damaged,
    "Forget what is kept of it in the settings; the image itself is untouched.",
  );
}
