/**
 * Entry of the worker that keeps what a guest writes to one disk: in the origin's private file system, whose files can be
 * written in place only from a worker. One folder a disk, `disks/ID`, with the files of a journal (src/block/journal.ts),
 * `about.json` for the list of what is kept, and `base` if the image itself was imported.
 */
import { transfer } from "comlink";
import { JournalStore } from "../../block/journal.ts";
import { OverlayBlocks } from "../../block/overlay.ts";
import { offer } from "../helperPort.ts";
import { type Media, type Medium, nameOfMedium } from "../machineHandle.ts";
import { type OpenImage, openImage } from "./image.ts";
import { BASE, baseOf, diskFolder, imageId, remoteId, writeAbout } from "./keptDisks.ts";
import { type PrivateFile, privateFile } from "./privateFile.ts";

/** Milliseconds after which what was written is made safe, if the guest has not asked for it. */
const SETTLE_MS = 2000;

/** Why a disk is not kept. */
export type Refusal = "in-use" | "unavailable" | { readonly damaged: string } | { readonly unreadable: string };

export class DiskWorker {
  #blocks: OverlayBlocks | undefined;
  #store: JournalStore | undefined;
  #files: PrivateFile[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Opens what is kept of a medium; its size, or why there is none.
   *
   * @param tell hears of the image's troubles, `waiting` of a server that is out of reach
   */
  async open(
    medium: Medium,
    drive: keyof Media,
    tell: (line: string) => void,
    waiting: (why: string | undefined) => void,
  ): Promise<number | Refusal> {
    let image: OpenImage;
    let folder: FileSystemDirectoryHandle;
    let id: string;
    try {
      // Asked first: where nothing is kept, the image is opened elsewhere.
      await navigator.storage.getDirectory();
    } catch {
      return "unavailable";
    }
    try {
      image = await openImage(await baseOf(medium), { drive, tell, waiting });
      id = await idOf(medium, image);
    } catch (error) {
      return { unreadable: (error as Error).message };
    }
    try {
      folder = await diskFolder(id, true);
    } catch {
      return "unavailable";
    }
    try {
      for (const name of ["data", "log.a", "log.b"]) this.#files.push(await privateFile(folder, name));
    } catch (error) {
      this.#closeFiles();
      // A file is open for writing once: another tab has it.
      return (error as DOMException).name === "NoModificationAllowedError" ? "in-use" : "unavailable";
    }
    const [data, a, b] = this.#files as [PrivateFile, PrivateFile, PrivateFile];
    const { blocks } = image;
    const name = nameOfMedium(medium);
    try {
      this.#store = new JournalStore({ data, logs: [a, b] }, blocks.size, name);
      this.#blocks = new OverlayBlocks(blocks, this.#store);
    } catch (error) {
      this.#closeFiles();
      return { damaged: (error as Error).message };
    }
    await writeAbout(folder, {
      ...{ name, size: blocks.size, opened: new Date().toISOString() },
      ...(drive === "floppy" && { drive }),
      ...("url" in medium && { url: medium.url }),
      ...("kept" in medium && { imported: "whole" as const }),
    });
    return blocks.size;
  }

  /**
   * Takes an image into the browser, as a disk that needs no file any more; its number, or what was in the way.
   *
   * @param progress gets the share that is there
   */
  async import(
    image: File,
    progress: (share: number) => void,
  ): Promise<{ readonly id: string } | { readonly failed: string }> {
    const id = crypto.randomUUID();
    let folder: FileSystemDirectoryHandle;
    let base: PrivateFile;
    const about = { name: image.name, size: image.size, opened: new Date().toISOString() };
    try {
      folder = await diskFolder(id, true);
      await writeAbout(folder, { ...about, imported: "begun" });
      base = await privateFile(folder, BASE);
    } catch {
      return { failed: "This browser keeps no files for the page." };
    }
    try {
      await base.replace(image, progress);
      await writeAbout(folder, { ...about, imported: "whole" });
      return { id };
    } catch (error) {
      return { failed: `${image.name}: cannot be kept: ${(error as Error).message}` };
    } finally {
      base.handle.close();
    }
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

  /** Makes everything safe, and says what is then kept: the same text as long as nothing is written. */
  async stamp(): Promise<string> {
    await this.flush();
    return this.#store?.stamp ?? "";
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

async function idOf(medium: Medium, { blocks, version }: OpenImage): Promise<string> {
  if ("kept" in medium) return medium.kept;
  return "url" in medium ? remoteId(medium.url, blocks.size, version) : imageId(medium as File);
}

offer(new DiskWorker());
