/**
 * A machine as a file is a snapshot file like the command line's, with what the page knows of it in the state's `page`. Such a
 * file may come from anywhere: what it says is checked field by field.
 */
import { type MachineV2, savedConfig } from "../../machine/snapshot.ts";
import { pack, unpack } from "../../snapshot/container.ts";
import { MEDIA, NAMES } from "../images.ts";
import type { Stamps } from "../machineHandle.ts";
import type { About, SavedFile, SavedPlan } from "./machines.ts";
import { NAME_MAX } from "./name.ts";

/** The file for a snapshot. */
export async function withNote(snapshot: Uint8Array, { name, plan, saved, auto }: About): Promise<Uint8Array> {
  const { state, memory } = await unpack(snapshot);
  const page = { name, plan, stamps: (auto ?? saved)?.stamps ?? {} };
  return pack({ ...(state as object), page: JSON.stringify(page) }, memory);
}

/**
 * What such a file says of its machine, which may be the command line's.
 *
 * @param fallback its name, if the file has none
 * @throws SnapshotError: it is damaged, or no snapshot of a machine
 */
export async function readNote(
  file: Uint8Array,
  fallback: string,
): Promise<{ name: string; plan: SavedPlan; stamps: Stamps }> {
  const snapshot = await unpack(file);
  const { memoryBytes, vcpus, firmware } = savedConfig(snapshot);
  const { page } = snapshot.state as MachineV2 & { page?: unknown };
  const note = parsed(page);
  const from = record(note.plan);
  const stamps = record(note.stamps);
  const guest = text(from.guest, "");
  const plan: SavedPlan = {
    guest: guest || "own",
    title: text(from.title, firmware ? "PC" : "Machine"),
    append: text(from.append, ""),
    ...{ memoryBytes, vcpus },
    engine: from.engine === "auto" ? "auto" : "interp",
    url: address(from.url) ?? "",
    keepDisks: from.keepDisks === true,
    files: Array.isArray(from.files) ? from.files.flatMap((f) => savedFile(record(f))) : [],
  };
  const { url, sha256 } = record(from.linkedDisk);
  const disk = address(url);
  return {
    name: text(note.name, "").slice(0, NAME_MAX) || fallback,
    stamps: Object.fromEntries(
      MEDIA.flatMap((role) => (typeof stamps[role] === "string" ? [[role, stamps[role]]] : [])),
    ),
    plan: disk ? { ...plan, linkedDisk: { url: disk, ...(typeof sha256 === "string" && { sha256 }) } } : plan,
  };
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
const text = (value: unknown, or: string): string => (typeof value === "string" ? value : or);
const address = (value: unknown): string | undefined =>
  typeof value === "string" && /^https?:\/\//i.test(value) ? value : undefined;

function parsed(page: unknown): Record<string, unknown> {
  try {
    return record(JSON.parse(text(page, "{}")));
  } catch {
    return {};
  }
}

function savedFile({ role, name, size, kept, image }: Record<string, unknown>): SavedFile[] {
  if (typeof role !== "string" || !Object.hasOwn(NAMES, role) || typeof name !== "string") return [];
  const bytes = typeof size === "number" && Number.isSafeInteger(size) && size >= 0 ? size : 0;
  return [
    {
      ...{ role: role as SavedFile["role"], name, size: bytes },
      ...(typeof kept === "string" && { kept }),
      ...(typeof image === "string" && { image }),
    },
  ];
}
