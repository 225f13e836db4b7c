/** Opens what a person has brought for a machine's drives, with what is kept of it. */
import { BlobBlocks } from "../../block/blob.ts";
import { BlockError, type BlockSource } from "../../block/block.ts";
import { cutOff } from "../../block/cutOff.ts";
import { HttpBlocks } from "../../block/http.ts";
import { OverlayBlocks } from "../../block/overlay.ts";
import { floppyMedium } from "../../block/padded.ts";
import { ToldBlocks } from "../../block/told.ts";
import { type MachineCallbacks, type MachineConfig, MachineError, type Media, type Medium } from "../machineHandle.ts";
import type { Refusal } from "./diskWorker.ts";
import { KeptBlocks } from "./keptBlocks.ts";

export type OpenMedia = { [drive in keyof Media]?: BlockSource | undefined };

/** @throws MachineError "disk": what is kept of one cannot be had */
export async function openMedia(config: MachineConfig, callbacks: MachineCallbacks): Promise<OpenMedia> {
  const open: OpenMedia = {};
  try {
    for (const [drive, file] of Object.entries(config.media ?? {}) as [keyof Media, Medium | undefined][]) {
      if (file) open[drive] = await openMedium(drive, file, config, callbacks);
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
  file: Medium,
  { keepDisks }: Pick<MachineConfig, "keepDisks">,
  callbacks: MachineCallbacks,
): Promise<BlockSource> {
  const tell = (text: string): void => callbacks.notice?.(text);
  const remote = "url" in file;
  const name = remote ? file.url : file.name;
  const image = new ToldBlocks(remote ? await onServer(file.url) : new BlobBlocks(file, name), tell);
  if (drive !== "floppy") {
    void cutOff(image, drive === "cdrom" ? drive : "disk").then(
      (missing) => missing && tell(`${name} ${missing}`),
      () => {}, // has been told
    );
  }
  if (drive === "cdrom") return image;
  // The type is the engine's; in a page it is a File.
  const kept = keepDisks && file instanceof File ? await KeptBlocks.open(file, drive === "floppy") : undefined;
  if (kept instanceof KeptBlocks) return kept;
  if (kept !== undefined) refused(name, kept, callbacks);
  return new OverlayBlocks(drive === "floppy" ? floppyMedium(image) : image);
}

async function onServer(url: string): Promise<BlockSource> {
  try {
    return await HttpBlocks.open(new URL(url, globalThis.location?.href).href);
  } catch (error) {
    if (error instanceof BlockError) throw new MachineError("medium", error.message);
    throw new MachineError("medium", `${url}: not an address`);
  }
}

/** Makes safe what is kept, and lets others open it. */
export async function closeMedia(media: Readonly<Record<string, BlockSource | undefined>>): Promise<void> {
  for (const medium of Object.values(media)) if (medium instanceof KeptBlocks) await medium.close();
}

/** A machine may run without what is kept only where nothing is, and nothing can be. */
function refused(name: string, why: Refusal, callbacks: MachineCallbacks): void {
  if (why === "unavailable") {
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
  throw new MachineError(
    "disk",
    why.damaged,
    "Forget what is kept of it in the settings; the image itself is untouched.",
  );
}
