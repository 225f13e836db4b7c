/** Opens what a person has brought for a machine's drives, with what is kept of it. */
import { BlobBlocks } from "../../block/blob.ts";
import type { BlockSource } from "../../block/block.ts";
import { OverlayBlocks } from "../../block/overlay.ts";
import { floppyMedium } from "../../block/padded.ts";
import { type MachineCallbacks, type MachineConfig, MachineError, type MediumFile } from "../machineHandle.ts";
import type { Refusal } from "./diskWorker.ts";
import { KeptBlocks } from "./keptBlocks.ts";

export interface OpenMedia {
  readonly disk?: BlockSource;
  readonly cdrom?: BlockSource;
  readonly floppy?: BlockSource;
}

/** @throws MachineError "disk": what is kept of one cannot be had */
export async function openMedia(config: MachineConfig, callbacks: MachineCallbacks): Promise<OpenMedia> {
  const { disk, cdrom, floppy } = config.media ?? {};
  const open: { disk?: BlockSource; cdrom?: BlockSource; floppy?: BlockSource } = {};
  const written = async (file: MediumFile, isFloppy: boolean): Promise<BlockSource> => {
    const blob = new BlobBlocks(file, file.name);
    // The type is the engine's; in a page it is a File.
    const kept = config.keepDisks && file instanceof File ? await KeptBlocks.open(file, isFloppy) : undefined;
    if (kept instanceof KeptBlocks) return kept;
    if (kept !== undefined) refused(file, kept, callbacks);
    return new OverlayBlocks(isFloppy ? floppyMedium(blob) : blob);
  };
  try {
    if (disk) open.disk = await written(disk, false);
    if (floppy) open.floppy = await written(floppy, true);
    if (cdrom) open.cdrom = new BlobBlocks(cdrom, cdrom.name);
  } catch (error) {
    await closeMedia(open);
    throw error;
  }
  return open;
}

/** Makes safe what is kept, and lets others open it. */
export async function closeMedia(media: OpenMedia): Promise<void> {
  for (const medium of Object.values(media)) if (medium instanceof KeptBlocks) await medium.close();
}

/** A machine may run without what is kept only where nothing is, and nothing can be. */
function refused(file: MediumFile, why: Refusal, callbacks: MachineCallbacks): void {
  if (why === "unavailable") {
    callbacks.notice?.(`This browser keeps no files for the page: what is written to ${file.name} is gone at the end.`);
    return;
  }
  if (why === "in-use") {
    throw new MachineError(
      "disk",
      `${file.name} is open in another tab, with what was written to it.`,
      "End the machine there, or turn off “Keep what guests write” in the settings to start from the image alone.",
    );
  }
  throw new MachineError(
    "disk",
    why.damaged,
    "Forget what is kept of it in the settings; the image itself is untouched.",
  );
}
