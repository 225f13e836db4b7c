/** What the page keeps of guests' disks in the origin's private file system: finding, listing and forgetting it. */
import { hex } from "../../shared/bytes.ts";
import type { Medium, MediumFile, RemoteMedium } from "../machineHandle.ts";

/** about.json: what a person knows the disk by. */
export interface About {
  readonly name: string;
  /** Bytes of the image. */
  readonly size: number;
  /** ISO 8601. */
  readonly opened: string;
  /** Where the image is, if it is on a server. */
  readonly url?: string;
  /** Absent: a hard disk. */
  readonly drive?: "floppy";
  /** The image is kept, too; "begun": its import was cut short. */
  readonly imported?: "begun" | "whole";
}

export interface KeptDisk extends About {
  readonly id: string;
  /** Bytes that it takes. */
  readonly bytes: number;
}

const FOLDER = "disks";
/** Bytes that tell an image from others: its beginning, where partition tables and superblocks are, and pieces all over. */
const HEAD = 1 << 20;
const PIECES = 16;
const PIECE = 4096;

/** @throws DOMException: the browser keeps no files for this page, or there is no such disk */
export async function diskFolder(id: string, create: boolean): Promise<FileSystemDirectoryHandle> {
  const root = await navigator.storage.getDirectory();
  const disks = await root.getDirectoryHandle(FOLDER, { create });
  return disks.getDirectoryHandle(id, { create });
}

/**
 * What an image is known by: the same name, size and contents, as far as they are looked at. What is written goes with the image
 * it was written over; with another it would be rubbish.
 */
export async function imageId(image: File): Promise<string> {
  const at = (n: number): number => Math.floor((n * Math.max(0, image.size - PIECE)) / (PIECES - 1));
  const pieces = Array.from({ length: PIECES }, (_, n) => image.slice(at(n), at(n) + PIECE));
  return idOf(new Blob([`${image.name}\0${image.size}\0`, image.slice(0, HEAD), ...pieces]));
}

/** The same for one on a server, of which a version is known (OpenImage). */
export const remoteId = (url: string, size: number, version: string): Promise<string> =>
  idOf(new Blob([`${url}\0${size}\0${version}`]));

async function idOf(what: Blob): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await what.arrayBuffer()));
  return hex(hash.subarray(0, 16));
}

/** Name of an imported image in its folder. */
export const BASE = "base";

/** What lies below what is kept: an imported image is in its folder. @throws DOMException: it is not there any more */
export async function baseOf(medium: Medium): Promise<MediumFile | RemoteMedium> {
  if (!("kept" in medium)) return medium;
  const folder = await diskFolder(medium.kept, false);
  const file = await (await folder.getFileHandle(BASE)).getFile();
  return { name: medium.name, size: file.size, slice: (start, end) => file.slice(start, end) };
}

export async function writeAbout(folder: FileSystemDirectoryHandle, about: About): Promise<void> {
  const file = await (await folder.getFileHandle("about.json", { create: true })).createWritable();
  await file.write(JSON.stringify(about));
  await file.close();
}

/** All that is kept, the last opened first; nothing where the browser keeps no files. */
export async function keptDisks(): Promise<KeptDisk[]> {
  const found: KeptDisk[] = [];
  try {
    const root = await navigator.storage.getDirectory();
    const disks = await root.getDirectoryHandle(FOLDER);
    for await (const [id, entry] of entriesOf(disks)) {
      if (entry.kind !== "directory") continue;
      const about = await aboutOf(entry);
      // A folder without it is one whose making was cut short: nothing was written yet.
      if (about) found.push({ ...about, id, bytes: await bytesOf(entry) });
    }
  } catch {
    return found;
  }
  return found.sort((a, b) => (a.opened < b.opened ? 1 : -1));
}

/** Forgets what was written to a disk. False: a tab has it open. */
export async function forgetDisk(id: string): Promise<boolean> {
  const root = await navigator.storage.getDirectory();
  const disks = await root.getDirectoryHandle(FOLDER);
  try {
    await disks.removeEntry(id, { recursive: true });
    return true;
  } catch (error) {
    if ((error as DOMException).name === "NotFoundError") return true;
    return false;
  }
}

type Entries = AsyncIterable<[string, FileSystemDirectoryHandle | FileSystemFileHandle]>;
/** The DOM's types know of no iteration over a folder. */
const entriesOf = (folder: FileSystemDirectoryHandle): Entries => folder as unknown as Entries;

async function aboutOf(folder: FileSystemDirectoryHandle): Promise<About | undefined> {
  try {
    const file = await (await folder.getFileHandle("about.json")).getFile();
    return JSON.parse(await file.text()) as About;
  } catch {
    return undefined;
  }
}

async function bytesOf(folder: FileSystemDirectoryHandle): Promise<number> {
  let bytes = 0;
  for await (const [, entry] of entriesOf(folder)) {
    if (entry.kind === "file") bytes += (await entry.getFile()).size;
  }
  return bytes;
}
