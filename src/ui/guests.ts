import type { ImageRole } from "./images.ts";

/**
 * The guests the page offers: those listed in `guests/manifest.json` beside the page, the embedded one that is
 * always there, and the one made of the files a person brings.
 */

/** A file of a guest: beside the page, in its guests folder, unless a link brought it. */
export interface SiteFile {
  /** File name in the guests folder. */
  name: string;
  bytes: number;
  /** Lower-case hex. */
  sha256: string;
  /** Where it lies, if a link brought it: not beside the page. */
  url?: string;
  /** The file itself, if a link holds it. */
  data?: Uint8Array<ArrayBuffer>;
}

export interface GuestFile extends SiteFile {
  role: ImageRole;
}

export interface Guest {
  id: string;
  title: string;
  description: string;
  files: GuestFile[];
  /** It as it is when it has booted with what it is given by default: a page goes on from there (./prepared.ts). */
  snapshot?: SiteFile;
  /** Debian packages it was made from. */
  packages: { name: string; version: string }[];
  append: string;
  /** Default RAM in bytes. */
  memory: number;
  kind: "manifest" | "embedded" | "own" | "linked";
}

/** What Linux wants to hear to use the serial console and to boot without its crypto self-tests. */
export const LINUX_APPEND = "console=ttyS0 panic=-1 cryptomgr.notests nokaslr quiet";
const MB = 1 << 20;

export const embeddedGuest: Guest = {
  id: "embedded",
  title: "Embedded guest",
  description: "A few KB of our own, built in. Shows the machine: memory map, CPUID, timers, serial echo.",
  files: [],
  packages: [],
  append: "",
  memory: 32 * MB,
  kind: "embedded",
};

export const ownGuest: Guest = {
  id: "own",
  title: "Your own kernel",
  description: "A bzImage, PVH ELF or Multiboot image from your disk. It stays in this tab.",
  files: [],
  packages: [],
  append: LINUX_APPEND,
  memory: 512 * MB,
  kind: "own",
};

/** What a link's own kernel or firmware goes with. */
export const linkedGuest: Guest = {
  id: "linked",
  title: "A machine from a link",
  description: "Its kernel came with a link; this page does not have it.",
  files: [],
  packages: [],
  append: "",
  memory: 256 * MB,
  kind: "linked",
};

/** Whether a guest boots by firmware: it has drives and a screen. */
export const isPc = (guest: Guest): boolean => guest.files.some(({ role }) => role === "bios");

export const sumOfBytes = (files: readonly SiteFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);

/** Thrown by parseManifest; the message names the entry and the field. */
export class ManifestError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ManifestError";
  }
}

/**
 * Checks a manifest as `npm run guests` writes it: `{guests: [{id, title, description?, kernel, initrd?, append?,
 * memory?, packages?, snapshot?}]}`, or `bios` and `vgabios` for `kernel`, these files as `{file, bytes, sha256}`, `memory` in bytes or text like "512M"
 * and `packages` as `[{name, version}]`. File names may not leave the folder; what else is there is ignored.
 */
export function parseManifest(data: unknown): Guest[] {
  const list = (data as { guests?: unknown } | null)?.guests;
  if (!Array.isArray(list)) throw new ManifestError("guests/manifest.json has no list “guests”.");
  const seen = new Set<string>(["embedded", "own"]);
  // A guest on a disk of its own is more than a page fetches whole; a person may drop the disk on the PC.
  const small = list.filter((entry) => entry?.disk === undefined);
  return small.map((entry: Record<string, unknown> | null, i) => {
    const bad = (what: string): never => {
      throw new ManifestError(`guests/manifest.json, guest ${i + 1}: ${what}.`);
    };
    const text = (key: string, or?: string): string => {
      const value = entry?.[key] ?? or;
      return typeof value === "string" ? value : bad(`“${key}” is missing or not text`);
    };
    const id = text("id");
    if (seen.has(id)) bad(`the id “${id}” is used twice`);
    seen.add(id);
    // A kernel, or firmware that boots what is in the drives.
    const first = entry?.bios === undefined ? "kernel" : "bios";
    const file = <T extends string>(role: T) => ({ role, ...parseFile(role, entry?.[role], bad) });
    const files: GuestFile[] = [file(first)];
    for (const role of ["initrd", "vgabios"] as const) if (entry?.[role] !== undefined) files.push(file(role));
    const packages = parsePackages(entry?.packages);
    return {
      id,
      title: text("title", id),
      description: text(
        "description",
        packages.length ? `From Debian: ${packages.map((p) => p.name).join(", ")}.` : "",
      ),
      files,
      ...(entry?.snapshot !== undefined && { snapshot: parseFile("snapshot", entry.snapshot, bad) }),
      packages,
      append: text("append", LINUX_APPEND),
      memory: parseMemory(entry?.memory ?? ownGuest.memory) ?? bad("“memory” is not a size"),
      kind: "manifest" as const,
    };
  });
}

function parseFile(role: string, data: unknown, bad: (what: string) => never): SiteFile {
  const { file, bytes, sha256 } = (data ?? {}) as Record<string, unknown>;
  if (typeof file !== "string" || !/^\w[\w.+~-]*$/.test(file)) return bad(`“${role}.file” is not a plain file name`);
  if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 0)
    return bad(`“${role}.bytes” is not a size`);
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/i.test(sha256))
    return bad(`“${role}.sha256” is not 64 hex digits`);
  return { name: file, bytes, sha256: sha256.toLowerCase() };
}

/** What a guest was made from, to show; a list that makes no sense is an empty one. */
function parsePackages(data: unknown): Guest["packages"] {
  if (!Array.isArray(data)) return [];
  return data
    .filter((p): p is Guest["packages"][0] => typeof p?.name === "string" && typeof p?.version === "string")
    .map(({ name, version }) => ({ name, version }));
}

/** Bytes from a number of bytes or from "512M" / "1G"; undefined if it is neither. */
export function parseMemory(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) && value > 0 ? value : undefined;
  const match = typeof value === "string" ? /^(\d+)\s*([KMG])(?:i?B)?$/i.exec(value.trim()) : null;
  if (!match) return undefined;
  return Number(match[1]) * { K: 1024, M: MB, G: 1024 * MB }[match[2]!.toUpperCase() as "K" | "M" | "G"];
}

/** Reads the manifest beside the page. No manifest (404, or a host that answers with a page) is an empty list. */
export async function fetchGuests(base: URL): Promise<Guest[]> {
  let response: Response;
  try {
    response = await fetch(new URL("guests/manifest.json", base), { cache: "no-cache" });
  } catch {
    return []; // offline and never cached: the embedded guest is what there is
  }
  if (!response.ok || response.headers.get("content-type")?.startsWith("text/html")) return [];
  try {
    return parseManifest(await response.json());
  } catch (error) {
    if (error instanceof ManifestError) throw error;
    throw new ManifestError("guests/manifest.json is not JSON.");
  }
}
