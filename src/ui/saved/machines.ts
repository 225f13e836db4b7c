/**
 * Saved machines in the origin's private file system. One folder a machine, `machines/ID`, with `about.json`, the snapshots that
 * it names, and the files that a person's own kernel boots from. A snapshot is written under a new name, then `about.json` is
 * replaced, which browsers do as a whole: a crash leaves the old or the new.
 */
import type { ImageRole } from "../images.ts";
import type { RemoteMedium, Stamps } from "../machineHandle.ts";

/** One snapshot of a machine. */
export interface Slot {
  /** Its name in the folder. */
  readonly file: string;
  readonly bytes: number;
  /** ISO 8601. */
  readonly at: string;
  readonly stamps: Stamps;
}

/** A file that the machine was made with. */
export interface SavedFile {
  readonly role: ImageRole;
  readonly name: string;
  readonly size: number;
  /** Of a disk that the browser keeps whole. */
  readonly kept?: string;
  /** Of a person's file, which must be brought again: imageId. Neither: it is in the folder. */
  readonly image?: string;
}

/** What the machine was made with. */
export interface SavedPlan {
  readonly guest: string;
  readonly title: string;
  readonly append: string;
  readonly memoryBytes: number;
  readonly vcpus: number;
  readonly engine: "interp" | "auto";
  readonly url: string;
  readonly linkedDisk?: RemoteMedium;
  readonly keepDisks: boolean;
  readonly files: readonly SavedFile[];
}

export interface About {
  /** Absent: nobody has saved it, there is an autosave only. */
  readonly name?: string;
  readonly plan: SavedPlan;
  readonly saved?: Slot;
  readonly auto?: Slot;
}

export interface SavedMachine extends About {
  readonly id: string;
  /** Bytes that it takes. */
  readonly bytes: number;
}

export type SlotName = "saved" | "auto";

export const nameOf = ({ name, plan }: About): string => name ?? plan.title;
/** When it was last saved. */
export const latest = ({ saved, auto }: About): string => [saved?.at ?? "", auto?.at ?? ""].sort()[1]!;

const FOLDER = "machines";
const ABOUT = "about.json";

/** @throws DOMException: the browser keeps no files for this page */
export async function machinesFolder(): Promise<FileSystemDirectoryHandle> {
  const root = await navigator.storage.getDirectory();
  return root.getDirectoryHandle(FOLDER, { create: true });
}

/** @throws DOMException NotFoundError: there is no such machine */
export async function machineFolder(id: string, create = false): Promise<FileSystemDirectoryHandle> {
  return (await machinesFolder()).getDirectoryHandle(id, { create });
}

/** What the folder says of its machine; undefined: nothing, its making was cut short. */
export async function readAbout(folder: FileSystemDirectoryHandle): Promise<About | undefined> {
  try {
    return JSON.parse(await (await (await folder.getFileHandle(ABOUT)).getFile()).text()) as About;
  } catch {
    return undefined;
  }
}

export async function writeAbout(folder: FileSystemDirectoryHandle, about: About): Promise<void> {
  const file = await (await folder.getFileHandle(ABOUT, { create: true })).createWritable();
  await file.write(JSON.stringify(about));
  await file.close();
}

/** Removes what no about.json names any more. */
export async function sweep(folder: FileSystemDirectoryHandle, { saved, auto, plan }: About): Promise<void> {
  const named = new Set<string | undefined>([ABOUT, saved?.file, auto?.file, ...plan.files.map(({ role }) => role)]);
  for await (const [name] of entriesOf(folder)) {
    if (!named.has(name)) await folder.removeEntry(name).catch(() => {});
  }
}

/**
 * All there are, the last saved first, and folders whose making was cut short.
 *
 * @throws DOMException: the browser keeps no files for this page
 */
export async function savedMachines(): Promise<{ machines: SavedMachine[]; broken: string[] }> {
  const machines: SavedMachine[] = [];
  const broken: string[] = [];
  for await (const [id, entry] of entriesOf(await machinesFolder())) {
    if (entry.kind !== "directory") continue;
    const about = await readAbout(entry);
    if (about) machines.push({ ...about, id, bytes: await bytesOf(entry) });
    else broken.push(id);
  }
  return { machines: machines.sort((a, b) => (latest(a) < latest(b) ? 1 : -1)), broken };
}

export async function removeMachine(id: string): Promise<void> {
  await (await machinesFolder()).removeEntry(id, { recursive: true });
}

type Entries = AsyncIterable<[string, FileSystemDirectoryHandle | FileSystemFileHandle]>;
/** The DOM's types know of no iteration over a folder. */
const entriesOf = (folder: FileSystemDirectoryHandle): Entries => folder as unknown as Entries;

async function bytesOf(folder: FileSystemDirectoryHandle): Promise<number> {
  let bytes = 0;
  for await (const [, entry] of entriesOf(folder)) {
    // One that goes away meanwhile takes no room.
    if (entry.kind === "file")
      bytes += await entry.getFile().then(
        ({ size }) => size,
        () => 0,
      );
  }
  return bytes;
}
