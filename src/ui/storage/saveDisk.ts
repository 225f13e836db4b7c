/** A kept disk as a raw image, piece by piece into a file: never the whole of it in memory. */

import { startHelper } from "../helpers.ts";
import { offerFile } from "../offerFile.ts";
import type { OwnFiles } from "../ownFiles.ts";
import { KeptBlocks } from "./keptBlocks.ts";
import { imageId, type KeptDisk } from "./keptDisks.ts";

/** Bytes read and written at a time. */
const PIECE = 4 << 20;

/** Of the File System Access API, which the DOM's types do not know yet. */
type Picker = (options: { suggestedName: string }) => Promise<FileSystemFileHandle>;

/** What was in the way, for people. */
export class SaveError extends Error {}

/**
 * Asks for a file, where the browser can, and writes the disk into it: as it was when it was last made safe, if its tab has
 * crashed. Elsewhere it becomes a download.
 *
 * @param own the images at hand: what is kept of one is only what was written to it
 * @throws SaveError; AbortError: the person has changed their mind
 */
export async function saveDisk(disk: KeptDisk, own: OwnFiles, progress: (share: number) => void): Promise<void> {
  const name = imageName(disk.name);
  const { showSaveFilePicker } = globalThis as { showSaveFilePicker?: Picker };
  // First, while the browser still knows that a person has asked.
  const file = await showSaveFilePicker?.({ suggestedName: name });
  const medium = await mediumOf(disk, own);
  if (!medium) {
    throw new SaveError(`Add ${disk.name} first: what is kept is only what was written over it.`);
  }
  const kept = await KeptBlocks.open(
    medium,
    { drive: disk.drive ?? "disk", tell: () => {}, waiting: () => {} },
    startHelper,
  );
  if (kept === "in-use") throw new SaveError(`${disk.name} is open in a machine; end it first.`);
  if (!(kept instanceof KeptBlocks)) throw new SaveError(`${disk.name} cannot be read.`);
  try {
    const out = await (file ? intoFile(file) : intoDownload(name));
    for (let at = 0; at < kept.size; at += PIECE) {
      const bytes = new Uint8Array(Math.min(PIECE, kept.size - at));
      await kept.read(at, bytes);
      await out.write(bytes);
      progress((at + bytes.length) / kept.size);
    }
    await out.close();
  } catch (error) {
    throw new SaveError(`${disk.name}: ${(error as Error).message}`);
  } finally {
    await kept.close();
  }
}

/** What the disk lies over. */
async function mediumOf(disk: KeptDisk, own: OwnFiles) {
  if (disk.imported) return { kept: disk.id, name: disk.name };
  if (disk.url !== undefined) return { url: disk.url };
  for (const role of ["disk", "disk2", "floppy"] as const) {
    const file = own[role]?.file;
    if (file instanceof File && (await imageId(file)) === disk.id) return file;
  }
  return undefined;
}

/** qcow2 or chunks, it is saved as what the guest sees. */
const imageName = (name: string): string => {
  const last = name.split(/[?#]/)[0]!.split("/").filter(Boolean).at(-1) ?? "disk";
  return `${last.replace(/\.(qcow2|json|img|raw)$/i, "")}.img`;
};

interface Out {
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> | void;
  close(): Promise<void> | void;
}

const intoFile = (file: FileSystemFileHandle): Promise<Out> => file.createWritable();

/** Blobs, which browsers put on disk when there are many. */
function intoDownload(name: string): Out {
  const pieces: Blob[] = [];
  return {
    write: (bytes) => void pieces.push(new Blob([bytes])),
    close: () => offerFile(new Blob(pieces), name),
  };
}
