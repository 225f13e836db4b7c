/** Opens an image that a person has brought or named: raw, qcow2 or in chunks, told apart by content. */
import { BlobBlocks } from "../../block/blob.ts";
import { BlockError, type BlockSource } from "../../block/block.ts";
import { openRemoteChunks } from "../../block/chunks/remote.ts";
import { cutOff, wrongSize } from "../../block/cutOff.ts";
import { HttpBlocks } from "../../block/http.ts";
import { floppyMedium } from "../../block/padded.ts";
import type { Waiting } from "../../block/patient.ts";
import { isQcow2 } from "../../block/qcow2/header.ts";
import { Qcow2Blocks } from "../../block/qcow2/qcow2.ts";
import { ToldBlocks } from "../../block/told.ts";
import { type Media, type MediumFile, nameOfMedium, type RemoteMedium } from "../machineHandle.ts";
import { chunkCache } from "./chunkCache.ts";

export interface ImageOptions {
  readonly drive: keyof Media;
  /** Gets a line when it is not whole, or cannot be read any more. */
  readonly tell: (line: string) => void;
  readonly waiting: Waiting;
}

export interface OpenImage {
  readonly blocks: BlockSource;
  /** Tells one version of an image on a server from another. */
  readonly version: string;
}

/** @throws BlockError with one line */
export async function openImage(
  medium: MediumFile | RemoteMedium,
  { drive, tell, waiting }: ImageOptions,
): Promise<OpenImage> {
  const name = nameOfMedium(medium);
  const { blocks: raw, version } =
    "url" in medium ? await onServer(medium, waiting) : { blocks: new BlobBlocks(medium, name), version: "" };
  const head = new Uint8Array(Math.min(4, raw.size));
  await raw.read(0, head);
  const disk = isQcow2(head) ? await Qcow2Blocks.open(raw, name) : raw;
  const kind = drive === "disk2" ? "disk" : drive;
  const wrong = wrongSize(disk.size, kind);
  if (wrong) throw new BlockError(`${name}: ${wrong}`);
  const told = new ToldBlocks(disk, tell);
  const blocks = kind === "floppy" ? await floppyMedium(told) : told;
  void cutOff(told, kind).then(
    (missing) => missing && tell(`${name} ${missing}`),
    () => {}, // has been told
  );
  return { blocks, version };
}

async function onServer({ url, sha256 }: RemoteMedium, waiting: Waiting): Promise<OpenImage> {
  let address: URL;
  try {
    address = new URL(url, globalThis.location?.href);
  } catch {
    throw new BlockError(`${url}: not an address`);
  }
  const blocks = address.pathname.endsWith(".json")
    ? await openRemoteChunks(address.href, { waiting, cache: await chunkCache(), sha256 })
    : await HttpBlocks.open(address.href, { waiting });
  return { blocks, version: blocks.version };
}
