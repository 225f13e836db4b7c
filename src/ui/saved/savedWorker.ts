/** Entry of the worker that writes saved machines: files are written in place, and without the page waiting, only here. */
import { expose, transfer } from "comlink";
import type { ImageRole } from "../images.ts";
import type { SavedState } from "../machineHandle.ts";
import { privateFile } from "../storage/privateFile.ts";
import { type About, machineFolder, readAbout, removeMachine, type SlotName, sweep, writeAbout } from "./machines.ts";
import { readNote, withNote } from "./note.ts";

/** What was in the way, in one line; what was there before is there still. */
export interface Failed {
  readonly failed: string;
}

export class SavedWorker {
  /** Puts a snapshot into a slot of a machine, which is made if there is none. An autosave is older than what is saved later. */
  async write(
    id: string,
    about: Pick<About, "name" | "plan">,
    slot: SlotName,
    { snapshot, stamps }: SavedState,
    boot: Partial<Record<ImageRole, File>>,
  ): Promise<Failed | undefined> {
    return attempt(id, async (folder) => {
      const before = await readAbout(folder);
      const file = `state-${crypto.randomUUID()}`;
      for (const [role, bytes] of Object.entries(boot)) {
        if (!before) await put(folder, role, bytes);
      }
      await put(folder, file, snapshot);
      const made = { file, bytes: snapshot.length, at: new Date().toISOString(), stamps };
      return { ...(before && omit(before, "auto")), ...about, [slot]: made };
    });
  }

  /** A machine with another name, or without a slot. */
  async change(id: string, change: { name?: string; without?: SlotName }): Promise<Failed | undefined> {
    return attempt(id, async (folder) => {
      const about = await existing(folder);
      const rest: About = change.without === undefined ? about : omit(about, change.without);
      return change.name === undefined ? rest : { ...rest, name: change.name };
    });
  }

  /** Another machine with the same contents. */
  async duplicate(id: string, to: string, name: string): Promise<Failed | undefined> {
    return attempt(to, async (folder) => {
      const from = await machineFolder(id);
      const about = await existing(from);
      const kept = about.plan.files.filter((f) => f.kept === undefined && f.image === undefined).map((f) => f.role);
      for (const file of [about.saved?.file, about.auto?.file, ...kept]) {
        if (file === undefined) continue;
        const source = await from.getFileHandle(file).catch(() => undefined);
        if (source) await put(folder, file, await source.getFile());
      }
      return { ...about, name };
    });
  }

  /** A machine's snapshot. */
  async read(id: string, slot: SlotName): Promise<SavedState | Failed> {
    try {
      const folder = await machineFolder(id);
      const at = (await existing(folder))[slot];
      if (!at) return { failed: "There is no such state of it any more." };
      const snapshot = new Uint8Array(await (await (await folder.getFileHandle(at.file)).getFile()).arrayBuffer());
      return transfer({ snapshot, stamps: at.stamps }, [snapshot.buffer]);
    } catch (error) {
      return { failed: wordsOf(error) };
    }
  }

  /** A machine as a file: its later state. */
  async download(id: string): Promise<Blob | Failed> {
    try {
      const about = await existing(await machineFolder(id));
      const state = await this.read(id, about.auto ? "auto" : "saved");
      return "failed" in state ? state : asFile(state.snapshot, about);
    } catch (error) {
      return { failed: wordsOf(error) };
    }
  }

  /** The same of one that is not saved. */
  async pack(snapshot: Uint8Array, about: About): Promise<Blob> {
    return asFile(snapshot, about);
  }

  /** Takes a machine from a file. */
  async upload(id: string, file: File): Promise<Failed | undefined> {
    return attempt(id, async (folder) => {
      const snapshot = new Uint8Array(await file.arrayBuffer());
      const { name, plan, stamps } = await readNote(snapshot, file.name.replace(/\.[^.]*$/, ""));
      await put(folder, "state", snapshot);
      const saved = { file: "state", bytes: file.size, at: new Date(file.lastModified).toISOString(), stamps };
      return { name, plan, saved };
    });
  }
}

const asFile = async (snapshot: Uint8Array, about: About): Promise<Blob> =>
  new Blob([(await withNote(snapshot, about)) as Uint8Array<ArrayBuffer>]);

/**
 * Writes what `make` wants of a machine, then what is known of it, then removes what that does not name. When something is in
 * the way, what was there is left, and nothing else.
 */
async function attempt(
  id: string,
  make: (folder: FileSystemDirectoryHandle) => Promise<About>,
): Promise<Failed | undefined> {
  let folder: FileSystemDirectoryHandle | undefined;
  try {
    folder = await machineFolder(id, true);
    const about = await make(folder);
    await writeAbout(folder, about);
    await sweep(folder, about);
    return undefined;
  } catch (error) {
    const before = folder && (await readAbout(folder));
    if (folder && before) await sweep(folder, before);
    else if (folder) await removeMachine(id).catch(() => {});
    return { failed: wordsOf(error) };
  }
}

async function existing(folder: FileSystemDirectoryHandle): Promise<About> {
  const about = await readAbout(folder);
  if (!about) throw new Error("It is not there any more.");
  return about;
}

/** Without a slot; a name stays. */
function omit(about: About, slot: SlotName): About {
  const { [slot]: _, ...rest } = about;
  return rest;
}

async function put(folder: FileSystemDirectoryHandle, name: string, bytes: Uint8Array | Blob): Promise<void> {
  const file = await privateFile(folder, name);
  try {
    await file.replace(bytes);
  } finally {
    file.handle.close();
  }
}

function wordsOf(error: unknown): string {
  const { name, message } = error as Error;
  if (name === "QuotaExceededError" || /no more room/.test(message)) {
    return "The browser gives the page no more room: delete or download a saved machine.";
  }
  if (name === "SecurityError" || name === "UnknownError") return "This browser keeps no files for the page.";
  if (name === "NotFoundError") return "It is not there any more.";
  return message;
}

expose(new SavedWorker());
