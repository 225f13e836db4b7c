/** Disks, CDs and floppies as the command line names them: files, chunks and URLs, with what a guest writes kept or not. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inflateRawSync } from "node:zlib";
import { BlockError, type BlockSource } from "../block/block.ts";
import { ChunkBlocks } from "../block/chunks/chunkBlocks.ts";
import { chunkPath, looksLikeManifest, MOST_MANIFEST, parseManifest } from "../block/chunks/manifest.ts";
import { openRemoteChunks } from "../block/chunks/remote.ts";
import { cutOff, type MediumKind, wrongSize } from "../block/cutOff.ts";
import { HttpBlocks } from "../block/http.ts";
import { OverlayBlocks } from "../block/overlay.ts";
import { floppyMedium } from "../block/padded.ts";
import type { Waiting } from "../block/patient.ts";
import { isQcow2 } from "../block/qcow2/header.ts";
import { type InflateRaw, Qcow2Blocks } from "../block/qcow2/qcow2.ts";
import { ToldBlocks } from "../block/told.ts";
import { loadZstd } from "../block/zstd.ts";
import { FileBlocks } from "./fileBlocks.ts";
import { keptBlocks } from "./keptBlocks.ts";
import { reason, UsageError } from "./options.ts";

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

/** What the words after a medium's name say. */
interface Words {
  readonly name: string;
  readonly overlay: boolean;
  /** The overlay's. */
  readonly folder?: string;
  /** What a qcow2 image lies over. */
  readonly backing?: string;
}

function wordsOf(text: string): Words {
  const [name, ...words] = text.split(/,(?=overlay(?:=|,|$)|backing=)/);
  const value = (word: string): string | undefined =>
    words.find((w) => w.startsWith(`${word}=`))?.slice(word.length + 1) || undefined;
  const [folder, backing] = [value("overlay"), value("backing")];
  const overlay = words.some((w) => /^overlay(=|$)/.test(w));
  return { name, overlay, ...(folder && { folder }), ...(backing && { backing }) };
}

export interface MediumOptions {
  /** Gets a line about a medium that can be used but is not whole, or stops being readable later. */
  readonly tell: (line: string) => void;
  /** Hears of a server that is out of reach. */
  readonly waiting?: (name: string) => Waiting;
  /** The guest's time must not depend on the host's. */
  readonly repeatable?: boolean;
  /** Is put between the image and what the guest writes. */
  readonly observe?: (image: BlockSource) => BlockSource;
}

/**
 * Opens an image, in a file or on a web server: raw, qcow2, or a manifest of chunks, told apart by content. Raw disks and floppies
 * are written into the file, or with `,overlay` into memory, or into a folder; what is written to others goes there, too.
 *
 * @throws UsageError that says what cannot be used, and why
 */
export async function openMedium(kind: MediumKind, text: string, options: MediumOptions): Promise<BlockSource> {
  const { tell, waiting, observe, repeatable } = options;
  const { name, overlay, folder, backing } = wordsOf(text);
  const fail = (why: string): never => {
    throw new UsageError(`--${kind} ${name}: ${why}`);
  };
  if (overlay && kind === "cdrom") fail("a CD is not written, so ,overlay means nothing");
  let source: BlockSource;
  try {
    const readOnly = kind === "cdrom" || overlay;
    source = await openImage(name, { readOnly, repeatable, backing, waiting: waiting?.(name) });
  } catch (error) {
    // What a block source says begins with its name.
    if (error instanceof BlockError) throw new UsageError(`--${kind} ${error.message}`);
    return fail(reason(error));
  }
  const wrong = wrongSize(source.size, kind);
  if (wrong) fail(wrong);
  source = new ToldBlocks(source, tell);
  if (observe) source = observe(source);
  let medium = source;
  try {
    if (kind === "floppy") medium = await floppyMedium(source);
    const missing = await cutOff(source, kind);
    if (missing) tell(`--${kind} ${name}: ${missing}`);
  } catch (error) {
    return fail((error as Error).message);
  }
  if (kind === "cdrom" || (!overlay && !medium.readOnly)) return medium;
  try {
    return new OverlayBlocks(medium, folder === undefined ? undefined : keptBlocks(folder, medium.size));
  } catch (error) {
    return fail(error instanceof BlockError ? error.message : `${folder}: ${reason(error)}`);
  }
}

/** An image on a web server, rather than in a file. */
export const isUrl = (text: string): boolean => /^https?:\/\//i.test(text);
const isManifestUrl = (text: string): boolean => /^[^?#]*\.json(?:[?#]|$)/i.test(text);

export interface ImageOptions {
  /** It will not be written. */
  readonly readOnly: boolean;
  readonly repeatable?: boolean | undefined;
  /** What a qcow2 image lies over: a file or URL. */
  readonly backing?: string | undefined;
  readonly waiting?: Waiting | undefined;
}

/**
 * The disk that an image holds, whatever its format. What is not written in place is read-only.
 *
 * @throws BlockError that names what cannot be used, or an error of the file system
 */
export async function openImage(name: string, options: ImageOptions): Promise<BlockSource> {
  const { readOnly, repeatable = false, backing, waiting } = options;
  if (isUrl(name) && isManifestUrl(name)) return openRemoteChunks(name, { waiting });
  const raw: BlockSource & { close?(): void } = isUrl(name)
    ? await HttpBlocks.open(name, { waiting })
    : new FileBlocks(name, { readOnly: true });
  const head = new Uint8Array(Math.min(raw.size, 64));
  await raw.read(0, head);
  if (isQcow2(head)) {
    const below = backing === undefined ? undefined : await openImage(backing, { readOnly: true, waiting });
    return Qcow2Blocks.open(raw, name, { backing: below, inflateRaw: inflateNow });
  }
  if (backing !== undefined) throw new BlockError(`${name}: is no qcow2 image, so ,backing means nothing`);
  if (!isUrl(name) && looksLikeManifest(head)) {
    if (raw.size > MOST_MANIFEST) throw new BlockError(`${name}: ${raw.size} bytes are too many for a manifest`);
    return localChunks(name);
  }
  if (readOnly || !raw.close) return raw;
  raw.close();
  return new FileBlocks(name, { readOnly, repeatable });
}

/** Chunks in a folder: read at once, so that a guest's time does not depend on the host's. */
async function localChunks(file: string): Promise<ChunkBlocks> {
  const manifest = parseManifest(file, readFileSync(file, "utf8"));
  return new ChunkBlocks(file, manifest, {
    unzstd: await loadZstd(),
    sha256: (bytes) => createHash("sha256").update(bytes).digest("hex"),
    fetch: (hash) => {
      const path = join(dirname(file), chunkPath(hash));
      try {
        return readFileSync(path);
      } catch (error) {
        throw new BlockError(`${path}: ${reason(error)}`);
      }
    },
  });
}

const inflateNow: InflateRaw = (packed, size) => {
  try {
    const bytes = inflateRawSync(packed, { maxOutputLength: size });
    return bytes.length === size ? bytes : undefined;
  } catch {
    return undefined;
  }
};
