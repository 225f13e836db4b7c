/** Disk images in files. They are read and written at once, so that a guest's time does not depend on the host's. */
import { fstatSync, fsyncSync, openSync } from "node:fs";
import { BlockError, type BlockSource } from "../block/block.ts";
import { cutOff } from "../block/cutOff.ts";
import { HttpBlocks } from "../block/http.ts";
import { OverlayBlocks } from "../block/overlay.ts";
import { floppyMedium } from "../block/padded.ts";
import { ToldBlocks } from "../block/told.ts";
import { SECTOR } from "../io/ataDisk.ts";
import { readWhole, writeWhole } from "./files.ts";
import { keptBlocks } from "./keptBlocks.ts";
import { reason, UsageError } from "./options.ts";

export class FileBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly: boolean;
  readonly #fd: number;
  readonly #file: string;
  /** Date of the last change, in milliseconds. */
  readonly #changed: number;

  /** @throws an error of the file system */
  constructor(file: string, readOnly: boolean) {
    this.#file = file;
    this.readOnly = readOnly;
    this.#fd = openSync(file, readOnly ? "r" : "r+");
    const { size, mtimeMs } = fstatSync(this.#fd);
    this.size = size;
    this.#changed = mtimeMs;
  }

  read(offset: number, into: Uint8Array): void {
    // Where this machine does not write, nobody else may: the guest would see half of one state and half of another.
    if (this.readOnly && fstatSync(this.#fd).mtimeMs !== this.#changed) {
      throw new BlockError(`${this.#file}: was changed while the machine used it`);
    }
    if (!readWhole(this.#fd, offset, into)) {
      throw new BlockError(`${this.#file}: has become shorter than the ${this.size} bytes it had`);
    }
  }

  write(offset: number, from: Uint8Array): void {
    writeWhole(this.#fd, offset, from);
  }

  flush(): void {
    fsyncSync(this.#fd);
  }
}

/** Controllers that a disk may be behind. */
const CONTROLLERS = ["ide", "nvme", "virtio"] as const;
export type Controller = (typeof CONTROLLERS)[number];

/** `FILE,nvme` or `FILE,virtio` says what a disk is behind; what is left of the text is for `openMedium`. */
export function behind(text: string): { controller: Controller; medium: string } {
  const words = text.split(",");
  const at = words.findIndex((word, n) => n > 0 && (CONTROLLERS as readonly string[]).includes(word));
  if (at < 0) return { controller: "ide", medium: text };
  return { controller: words[at] as Controller, medium: words.toSpliced(at, 1).join(",") };
}

/** What `FILE[,overlay[=FOLDER]]` or a URL on the command line means for a drive. */
export type MediumKind = "disk" | "cdrom" | "floppy";

/**
 * Opens an image, in a file or on a web server. Disks and floppies are written into the file, or with `,overlay` into
 * memory, or into a folder; what is written to a server's goes there, too.
 *
 * @param tell gets a line about a medium that can be used but is not whole, or stops being readable later
 * @throws UsageError that says what cannot be used, and why
 */
export async function openMedium(kind: MediumKind, text: string, tell: (line: string) => void): Promise<BlockSource> {
  const [, name = text, , folder] = /^(.*),overlay(=(.+))?$/.exec(text) ?? [];
  const overlay = name !== text;
  const fail = (why: string): never => {
    throw new UsageError(`--${kind} ${name}: ${why}`);
  };
  if (overlay && kind === "cdrom") fail("a CD is not written, so ,overlay means nothing");
  const remote = isUrl(name);
  let source: BlockSource;
  try {
    source = remote ? await HttpBlocks.open(name) : new FileBlocks(name, kind === "cdrom" || overlay);
  } catch (error) {
    // What a block source says begins with its name.
    if (error instanceof BlockError) throw new UsageError(`--${kind} ${error.message}`);
    return fail(reason(error));
  }
  if (source.size === 0) fail("is empty");
  if (source.size % SECTOR && kind !== "cdrom") {
    fail(`${source.size} bytes are not a whole number of sectors of ${SECTOR}; is it cut off?`);
  }
  source = new ToldBlocks(source, tell);
  let medium = source;
  try {
    if (kind === "floppy") medium = floppyMedium(source);
    else {
      const missing = await cutOff(source, kind);
      if (missing) tell(`--${kind} ${name}: ${missing}`);
    }
  } catch (error) {
    return fail((error as Error).message);
  }
  if (!overlay && (!remote || kind === "cdrom")) return medium;
  try {
    return new OverlayBlocks(medium, folder === undefined ? undefined : keptBlocks(folder, medium.size));
  } catch (error) {
    return fail(error instanceof BlockError ? error.message : `${folder}: ${reason(error)}`);
  }
}

/** An image on a web server, rather than in a file. */
export const isUrl = (text: string): boolean => /^https?:\/\//i.test(text);
