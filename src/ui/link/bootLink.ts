/**
 * A whole machine in a link's fragment, which no server ever sees:
 *
 *     #v1=BASE64URL(raw deflate of JSON)
 *
 * The JSON names a guest of the page and what is different about it: {"guest": id, "memory": MB, "vcpus": n, "engine":
 * "interp" or "auto", "append": text, "disk": {"url": a manifest of chunks, "sha256": the manifest's}, "files": those of
 * linkedFiles.ts}; with a kernel or firmware of its own it needs no guest. What this build does not know is refused, not
 * skipped: the machine would be another one than the link's.
 *
 * A machine that is too much for a link is the same JSON on a server, a manifest, which the page's address names: ?m=URL.
 * Addresses in it may be relative to it.
 */
import { LINK_CAPS, LinkError } from "./caps.ts";
import { addressOf, fieldsOf, hashOf, type Places, within } from "./fields.ts";
import { base64url, checkedFiles, fromBase64url, type LinkedFile } from "./linkedFiles.ts";

export { LINK_CAPS, LinkError } from "./caps.ts";

export interface BootLink {
  /** Id of a guest that the page has; absent: what it boots is among its files. */
  readonly guest?: string;
  /** MB. */
  readonly memory?: number;
  readonly vcpus?: number;
  readonly engine?: "interp" | "auto";
  readonly append?: string;
  readonly disk?: LinkedDisk;
  readonly files?: readonly LinkedFile[];
}

/** A disk in chunks: the manifest's hash stands for every byte of it. */
export interface LinkedDisk {
  readonly url: string;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
}

/** Characters of a fragment, and bytes of the JSON in it. */
const MOST_CHARACTERS = 0x1_0000;
/** Bytes of a manifest. */
export const MOST_MANIFEST = 0x4_0000;
const PREFIX = "#v1=";

export const isBootLink = (fragment: string): boolean => /^#v\d+=/.test(fragment);

/** The fragment, with its #. */
export const bootFragment = async (link: BootLink): Promise<string> => PREFIX + (await packJson(link));

/** Anything as base64url of the raw deflate of its JSON. */
export async function packJson(data: unknown): Promise<string> {
  const json = new TextEncoder().encode(JSON.stringify(data));
  const packed = await through(json, new CompressionStream("deflate-raw"), Number.POSITIVE_INFINITY);
  return base64url(packed);
}

/** Reads what packJson has made, of `most` characters and as many bytes of JSON. @throws LinkError */
export async function unpackJson(text: string, most: number): Promise<unknown> {
  if (text.length > most) throw new LinkError("It is longer than a link may be.");
  try {
    const json = await through(fromBase64url(text), new DecompressionStream("deflate-raw"), most);
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch {
    throw new LinkError("It is damaged, or was cut off: it cannot be unpacked.");
  }
}

/**
 * Reads a fragment that `isBootLink` accepts. Nothing is fetched.
 *
 * @param own the page's origin
 * @throws LinkError
 */
export async function parseBootLink(fragment: string, own: string): Promise<BootLink> {
  if (!fragment.startsWith(PREFIX)) {
    throw new LinkError(`It is of version ${/\d+/.exec(fragment)?.[0]}; this page reads version 1.`);
  }
  const data = await unpackJson(fragment.slice(PREFIX.length), MOST_CHARACTERS);
  return checked(data, { own, inline: LINK_CAPS.inline });
}

/**
 * Reads a manifest.
 *
 * @param address of the manifest
 * @throws LinkError
 */
export function parseLinkManifest(bytes: Uint8Array, address: string, own: string): BootLink {
  let data: unknown;
  try {
    data = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new LinkError("It is not the description of a machine: it is not JSON.");
  }
  return checked(data, { own, base: address, inline: LINK_CAPS.manifestInline });
}

function checked(data: unknown, places: Places): BootLink {
  const fields = fieldsOf(data, "It", ["guest", "memory", "vcpus", "engine", "append", "disk", "files"]);
  const { guest, engine, append } = fields;
  const files = fields.files === undefined ? undefined : checkedFiles(fields.files, places);
  const boots = files?.some(({ role }) => role === "kernel" || role === "bios");
  if (guest === undefined ? !boots : typeof guest !== "string" || !/^[\w.-]{1,64}$/.test(guest)) {
    throw new LinkError("It names no guest.");
  }
  if (guest !== undefined && boots) throw new LinkError("It names a guest, and brings what another one boots from.");
  if (engine !== undefined && engine !== "interp" && engine !== "auto") {
    throw new LinkError("It asks for an engine that there is not.");
  }
  const memory = within(fields.memory, "MB of memory", LINK_CAPS.memory);
  const vcpus = within(fields.vcpus, "virtual CPUs", LINK_CAPS.vcpus);
  // Control characters: a kernel has no use for them, and people cannot see them on the card.
  if (
    append !== undefined &&
    !(typeof append === "string" && /^[ -~]*$/.test(append) && append.length <= LINK_CAPS.append)
  ) {
    throw new LinkError("Its command line is too long, or has characters that cannot be shown.");
  }
  const disk = fields.disk === undefined ? undefined : checkedDisk(fields.disk, places);
  return {
    ...(guest !== undefined && { guest: guest as string }),
    ...(memory !== undefined && { memory }),
    ...(vcpus !== undefined && { vcpus }),
    ...(engine !== undefined && { engine }),
    ...(append !== undefined && { append }),
    ...(disk && { disk }),
    ...(files && { files }),
  };
}

function checkedDisk(data: unknown, places: Places): LinkedDisk {
  const { url, sha256 } = fieldsOf(data, "Its disk", ["url", "sha256"]);
  const href = addressOf(url, "Its disk", places);
  if (!new URL(href).pathname.endsWith(".json")) throw new LinkError("Its disk is not a manifest of chunks (….json).");
  return { url: href, sha256: hashOf(sha256, "Its disk") };
}

/** @throws when it is damaged, or gives more than `most` bytes */
async function through(
  bytes: Uint8Array,
  stream: CompressionStream | DecompressionStream,
  most: number,
): Promise<Uint8Array> {
  const source = new Blob([bytes as BlobPart]).stream().pipeThrough<Uint8Array>(stream as never);
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (const reader = source.getReader(); ; ) {
    const { value, done } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > most) {
      await reader.cancel();
      throw new LinkError("too long");
    }
    pieces.push(value);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
