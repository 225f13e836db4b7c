/** A lesson as a link, as a folder, and from one. */
import { LinkError, packJson, unpackJson } from "../link/bootLink.ts";
import { offerFile } from "../offerFile.ts";
import { NAMED } from "./index.ts";

const WHOLE = "#lesson1=";
/** Characters of a link, and of all files in it. */
const MOST = 0x4_0000;

export type Linked = { readonly folder: string } | { readonly files: Map<string, string> };

export const lessonFragment = async (files: ReadonlyMap<string, string>): Promise<string> => {
  const fragment = WHOLE + (await packJson(Object.fromEntries(files)));
  if (fragment.length > MOST) throw new LinkError("The lesson is too long for a link: save it as a folder.");
  return fragment;
};

/** @throws LinkError */
export async function parseLessonLink(fragment: string): Promise<Linked> {
  if (fragment.startsWith(NAMED)) {
    const folder = fragment.slice(NAMED.length);
    if (!/^[\w-]+$/.test(folder)) throw new LinkError("It names no lesson.");
    return { folder };
  }
  const data = await unpackJson(fragment.slice(WHOLE.length), MOST);
  const entries = typeof data === "object" && data !== null ? Object.entries(data) : [];
  if (!entries.length || entries.some(([, text]) => typeof text !== "string")) {
    throw new LinkError("It holds no lesson.");
  }
  return { files: new Map(entries as [string, string][]) };
}

/** The part of the File System Access API that this needs; not every browser has it. */
interface FolderPicker {
  showDirectoryPicker?(options: { mode: "readwrite" }): Promise<FileSystemDirectoryHandle>;
}

/** Writes the files into a folder of the person's choice; where the browser cannot, each is a download. */
export async function saveFolder(files: ReadonlyMap<string, string>): Promise<void> {
  const pick = (globalThis as FolderPicker).showDirectoryPicker;
  if (!pick) {
    for (const [name, text] of files) offerFile(new Blob([text], { type: "text/plain" }), name);
    return;
  }
  const folder = await pick.call(globalThis, { mode: "readwrite" });
  for (const [name, text] of files) {
    const writable = await (await folder.getFileHandle(name, { create: true })).createWritable();
    await writable.write(text);
    await writable.close();
  }
}

/** The files of a folder that a person has chosen. */
export const readFolder = async (files: Iterable<File>): Promise<Map<string, string>> =>
  new Map(await Promise.all([...files].map(async (file) => [file.name, await file.text()] as const)));
