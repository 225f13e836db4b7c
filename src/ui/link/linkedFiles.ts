/** Files that a link brings: small ones in itself, others by their address and hash. */
import type { GuestFile } from "../guests.ts";
import type { ImageRole } from "../images.ts";
import { LINK_CAPS, LinkError } from "./caps.ts";
import { addressOf, fieldsOf, hashOf, type Places } from "./fields.ts";

export const LINK_ROLES = ["kernel", "initrd", "bios", "vgabios", "floppy"] as const satisfies readonly ImageRole[];
export type LinkRole = (typeof LINK_ROLES)[number];

/** `data` is base64url. */
export type LinkedFile =
  | { readonly role: LinkRole; readonly data: string }
  | { readonly role: LinkRole; readonly url: string; readonly sha256: string; readonly bytes: number };

/** @throws LinkError */
export function checkedFiles(data: unknown, places: Places): readonly LinkedFile[] {
  if (!Array.isArray(data) || data.length === 0) throw new LinkError("Its list of files says nothing.");
  const files = data.map((entry) => checkedFile(entry, places));
  const twice = files.find(({ role }, i) => files.findIndex((other) => other.role === role) !== i);
  if (twice) throw new LinkError(`It has two files that are its ${twice.role}.`);
  const inline = files.reduce((sum, file) => sum + ("data" in file ? file.data.length : 0), 0);
  if (inline > places.inline)
    throw new LinkError(`Its files are larger than it may hold (${places.inline} characters).`);
  const fetched = files.reduce((sum, file) => sum + ("url" in file ? file.bytes : 0), 0);
  if (fetched > LINK_CAPS.fetched) throw new LinkError("Its files are more than a link may have fetched (64 MB).");
  return files;
}

function checkedFile(data: unknown, places: Places): LinkedFile {
  const inline = typeof data === "object" && data !== null && "data" in data;
  const fields = fieldsOf(data, "One of its files", inline ? ["role", "data"] : ["role", "url", "sha256", "bytes"]);
  const role = LINK_ROLES.find((one) => one === fields.role);
  if (!role) throw new LinkError("It has a file that is nothing a machine boots from.");
  if (inline) {
    const text = fields.data;
    // Base64 has no last group of one character.
    if (typeof text !== "string" || !/^[\w-]+$/.test(text) || text.length % 4 === 1) {
      throw new LinkError("One of its files is damaged.");
    }
    return { role, data: text };
  }
  const bytes = fields.bytes;
  if (!(Number.isSafeInteger(bytes) && (bytes as number) > 0)) throw new LinkError("One of its files has no size.");
  const what = "One of its files";
  return {
    role,
    url: addressOf(fields.url, "One of its files", places),
    sha256: hashOf(fields.sha256, what),
    bytes: bytes as number,
  };
}

export const inlineFile = (role: LinkRole, bytes: Uint8Array): LinkedFile => ({ role, data: base64url(bytes) });

/** As a guest of the page has it. */
export function guestFile(file: LinkedFile): GuestFile {
  if ("data" in file) {
    const data = fromBase64url(file.data);
    return { role: file.role, name: file.role, bytes: data.length, sha256: "", data };
  }
  const { role, url, sha256, bytes } = file;
  return { role, name: new URL(url).pathname.split("/").at(-1) || role, bytes, sha256, url };
}

export function base64url(bytes: Uint8Array): string {
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @throws DOMException: it is none */
export function fromBase64url(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}
