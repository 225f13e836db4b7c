/**
 * A whole machine in a link's fragment, which no server ever sees:
 *
 *     #v1=BASE64URL(raw deflate of JSON)
 *
 * The JSON names a guest of the page and what is different about it: {"guest": id, "memory": MB, "vcpus": n, "engine":
 * "interp" or "auto", "append": text, "disk": {"url": a manifest of chunks, "sha256": the manifest's}}. What this build does not
 * know is refused, not skipped: the machine would be another one than the link's.
 */
import { refusalOf } from "./address.ts";

export interface BootLink {
  /** Id of a guest that the page has. */
  readonly guest: string;
  /** MB. */
  readonly memory?: number;
  readonly vcpus?: number;
  readonly engine?: "interp" | "auto";
  readonly append?: string;
  readonly disk?: LinkedDisk;
}

/** A disk in chunks: the manifest's hash stands for every byte of it. */
export interface LinkedDisk {
  readonly url: string;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
}

/** Why a link is not followed: one sentence. */
export class LinkError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "LinkError";
  }
}

/** What a link may ask for; a person can give a machine more by the settings. */
export const LINK_CAPS = { memory: 1024, vcpus: 4, append: 2048, url: 2048 } as const;
/** Characters of a fragment, and bytes of the JSON in it. */
const MOST_CHARACTERS = 0x1_0000;
const PREFIX = "#v1=";

export const isBootLink = (fragment: string): boolean => /^#v\d+=/.test(fragment);

/** The fragment, with its #. */
export const bootFragment = async (link: BootLink): Promise<string> => PREFIX + (await packJson(link));

/** Anything as base64url of the raw deflate of its JSON. */
export async function packJson(data: unknown): Promise<string> {
  const json = new TextEncoder().encode(JSON.stringify(data));
  const packed = await through(json, new CompressionStream("deflate-raw"), Number.POSITIVE_INFINITY);
  const text = btoa(Array.from(packed, (byte) => String.fromCharCode(byte)).join(""));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Reads what packJson has made, of `most` characters and as many bytes of JSON. @throws LinkError */
export async function unpackJson(text: string, most: number): Promise<unknown> {
  if (text.length > most) throw new LinkError("It is longer than a link may be.");
  try {
    const packed = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    const json = await through(packed, new DecompressionStream("deflate-raw"), most);
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
  return checked(await unpackJson(fragment.slice(PREFIX.length), MOST_CHARACTERS), own);
}

function checked(data: unknown, own: string): BootLink {
  const fields = fieldsOf(data, "It", ["guest", "memory", "vcpus", "engine", "append", "disk"]);
  const { guest, engine, append } = fields;
  if (typeof guest !== "string" || !/^[\w.-]{1,64}$/.test(guest)) throw new LinkError("It names no guest.");
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
  const disk = fields.disk === undefined ? undefined : checkedDisk(fields.disk, own);
  return {
    guest,
    ...(memory !== undefined && { memory }),
    ...(vcpus !== undefined && { vcpus }),
    ...(engine !== undefined && { engine }),
    ...(append !== undefined && { append }),
    ...(disk && { disk }),
  };
}

function checkedDisk(data: unknown, own: string): LinkedDisk {
  const { url, sha256 } = fieldsOf(data, "Its disk", ["url", "sha256"]);
  if (typeof url !== "string" || url.length > LINK_CAPS.url) throw new LinkError("Its disk has no address.");
  const why = refusalOf(url, own);
  if (why) throw new LinkError(`The address of its disk ${why}.`);
  const { href, pathname } = new URL(url);
  if (!pathname.endsWith(".json")) throw new LinkError("Its disk is not a manifest of chunks (….json).");
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw new LinkError("Its disk comes without a SHA-256 to hold it to.");
  }
  return { url: href, sha256 };
}

function fieldsOf(data: unknown, what: string, known: readonly string[]): Record<string, unknown> {
  if (typeof data !== "object" || data === null || Array.isArray(data)) throw new LinkError(`${what} says nothing.`);
  const unknown = Object.keys(data).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    const shown = unknown.replaceAll(/[^\w.-]/g, "?").slice(0, 32);
    throw new LinkError(`${what} has “${shown}”, which this page does not know; a newer one may.`);
  }
  return data as Record<string, unknown>;
}

function within(value: unknown, what: string, most: number): number | undefined {
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most) return value as number;
  throw new LinkError(`It asks for more ${what} than a link may (${most}), or for none.`);
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
