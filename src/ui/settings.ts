import type { Guest } from "./guests.ts";
import type { Transport } from "./machineHandle.ts";

/** What a person chose and the page remembers in localStorage. Everything is optional in storage and checked. */

export type Theme = "system" | "light" | "dark";
export type TransportChoice = Transport | "auto";
/** Who executes the guest's instructions: an interpreter, or hot code is compiled. */
export type Engine = "interp" | "auto";

/** Per guest; absent fields follow the guest's own defaults. */
export interface GuestSettings {
  memoryMb?: number;
  append?: string;
  vcpus?: number;
  /** A disk, or a CD if it ends in .iso, on a web server. */
  url?: string;
}

export interface Settings {
  theme: Theme;
  transport: TransportChoice;
  engine: Engine;
  fontSize: number;
  screenReader: boolean;
  /** What guests write to disks is kept in the browser. */
  keepDisks: boolean;
  /** A guest that has a snapshot goes on from there instead of booting. */
  prepared: boolean;
  selected?: string;
  guests: Record<string, GuestSettings>;
}

export const MEMORY_MIN_MB = 1;
/** The core addresses at most 3 GiB of guest RAM (one 4 GiB Wasm memory, less its own tables). */
export const MEMORY_MAX_MB = 3072;
export const VCPUS_MAX = 16;
export const FONT_MIN = 9;
export const FONT_MAX = 28;

const KEY = "tabhyve.settings.v1";

const oneOf = <T extends string>(value: unknown, ...allowed: T[]): T =>
  allowed.includes(value as T) ? (value as T) : allowed[0]!;
const within = (value: unknown, min: number, max: number): number | undefined =>
  typeof value === "number" && Number.isFinite(value) && value >= min && value <= max ? Math.floor(value) : undefined;

/** Reads the stored settings; what is missing or makes no sense gets its default. */
export function loadSettings(storage: Pick<Storage, "getItem"> | undefined, narrow: boolean): Settings {
  let stored: Record<string, unknown> = {};
  try {
    stored = (JSON.parse(storage?.getItem(KEY) ?? "{}") as Record<string, unknown> | null) ?? {};
  } catch {
    // storage is forbidden, or holds something else: start fresh
  }
  const guests: Record<string, GuestSettings> = {};
  for (const [id, g] of Object.entries((stored.guests ?? {}) as Record<string, GuestSettings>)) {
    const memoryMb = within(g?.memoryMb, MEMORY_MIN_MB, MEMORY_MAX_MB);
    const vcpus = within(g?.vcpus, 1, VCPUS_MAX);
    guests[id] = {
      ...(memoryMb === undefined ? {} : { memoryMb }),
      ...(typeof g?.append === "string" ? { append: g.append } : {}),
      ...(vcpus === undefined ? {} : { vcpus }),
      ...(typeof g?.url === "string" ? { url: g.url } : {}),
    };
  }
  return {
    theme: oneOf(stored.theme, "system", "light", "dark"),
    transport: oneOf(stored.transport, "auto", "threaded", "inline"),
    engine: oneOf(stored.engine, "interp", "auto"),
    fontSize: within(stored.fontSize, FONT_MIN, FONT_MAX) ?? (narrow ? 12 : 14),
    screenReader: stored.screenReader === true,
    keepDisks: stored.keepDisks !== false,
    prepared: stored.prepared !== false,
    ...(typeof stored.selected === "string" ? { selected: stored.selected } : {}),
    guests,
  };
}

export function saveSettings(settings: Settings): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // private mode or full: the page works, it only forgets
  }
}

/** What a guest will be started with; an empty `url`: none. */
export function effective(guest: Guest, settings: Settings): Required<GuestSettings> {
  const own = settings.guests[guest.id];
  const { memoryMb = Math.round(guest.memory / 2 ** 20), append = guest.append, vcpus = 1, url = "" } = own ?? {};
  return { memoryMb, append, vcpus, url };
}

/** The transport a start will use. "auto" is threaded wherever the page may share memory between threads. */
export function chooseTransport(choice: TransportChoice, isolated: boolean): Transport {
  if (choice === "auto") return isolated ? "threaded" : "inline";
  return choice;
}
