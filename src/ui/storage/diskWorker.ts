/**
 * Entry of the worker that keeps what a guest writes to one disk: in the origin's private file system, whose files can be
 * written in place only from a worker. One folder a disk, `disks/ID`, with the files of a journal (src/block/journal.ts) and
 * `about.json` for the list of what is kept.
 */
import { expose, transfer } from "comlink";
import { BlobBlocks } from "../../block/blob.ts";
import type { BlockSource } from "../../block/block.ts";
import { JournalStore, type StableFile } from "../../block/journal.ts";
import { OverlayBlocks } from "../../block/overlay.ts";
import { floppyMedium } from "../../block/padded.ts";
import { type About, diskFolder } from "./keptDisks.ts";

/** FileSystemSyncAccessHandle (WHATWG File System), which the DOM's types leave to workers. */
interface AccessHandle {
  read(into: Uint8Array, options: { at: number }): number;
  write(from: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}
type AccessFile = FileSystemFileHandle & { createSyncAccessHandle(): Promise<AccessHandle> };

class PrivateFile implements StableFile {
  readonly handle: AccessHandle;

  constructor(handle: AccessHandle) {
    this.handle = handle;
  }

  get size(): number {
    return this.handle.getSize();
  }

  read(at: number, into: Uint8Array): void {
    if (this.handle.read(into, { at }) !== into.length) throw new Error("the file has become shorter");
  }

  write(at: number, from: Uint8Array): void {
    // Less than all is written when the quota is used up.
    if (this.handle.write(from, { at }) !== from.length) throw new Error("the browser gives the page no more room");
  }

  truncate(size: number): void {
    this.handle.truncate(size);
  }

  flush(): void {
    this.handle.flush();
  }
}

/** Milliseconds after which what was written is made safe, if the guest has not asked for it. */
const SETTLE_MS = 2000;

/** Why a disk is not kept. */
export type Refusal = "in-use" | "unavailable" | { readonly damaged: string };

export class DiskWorker {
  #blocks: OverlayBlocks | undefined;
  #files: PrivateFile[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Opens what is kept of `image`; `floppy`: it is one, and may be cut off. Its size, or why there is none. */
  async open(image: File, id: string, floppy: boolean): Promise<number | Refusal> {
    let folder: FileSystemDirectoryHandle;
    try {
      folder = await diskFolder(id, true);
    } catch {
      return "unavailable";
    }
    const base: BlockSource = new BlobBlocks(image, image.name);
    const medium = floppy ? floppyMedium(base) : base;
    try {
      for (const name of ["data", "log.a", "log.b"]) {
        const file = (await folder.getFileHandle(name, { create: true })) as AccessFile;
        this.#files.push(new PrivateFile(await file.createSyncAccessHandle()));
      }
    } catch (error) {
      this.#closeFiles();
      // A file is open for writing once: another tab has it.
      return (error as DOMException).name === "NoModificationAllowedError" ? "in-use" : "unavailable";
    }
    const [data, a, b] = this.#files as [PrivateFile, PrivateFile, PrivateFile];
    try {
      this.#blocks = new OverlayBlocks(medium, new JournalStore({ data, logs: [a, b] }, medium.size, image.name));
    } catch (error) {
      this.#closeFiles();
      return { damaged: (error as Error).message };
    }
    const about: About = { name: image.name, size: medium.size, opened: new Date().toISOString() };
    const file = await (await folder.getFileHandle("about.json", { create: true })).createWritable();
    await file.write(JSON.stringify(about));
    await file.close();
    return medium.size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    await this.#medium.read(offset, bytes);
    return transfer(bytes, [bytes.buffer]);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#medium.write(offset, bytes);
    this.#timer ??= setTimeout(() => void this.#settle(), SETTLE_MS);
  }

  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#medium.flush();
  }

  /** Makes everything safe and lets others open the disk. */
  async close(): Promise<void> {
    try {
      if (this.#blocks) await this.flush();
    } finally {
      this.#closeFiles();
    }
  }

  get #medium(): OverlayBlocks {
    if (!this.#blocks) throw new Error("the disk is not open");
    return this.#blocks;
  }

  async #settle(): Promise<void> {
    // A failure is told at the next write or flush, which fails, too.
    await this.flush().catch(() => {});
  }

  #closeFiles(): void {
    for (const file of this.#files.splice(0)) file.handle.close();
    this.#blocks = undefined;
  }
}

expose(new DiskWorker());
