/** What an embedded machine is to be, and the plan that this makes. */
import { DownloadError } from "../download.ts";
import { embeddedGuest, fetchGuests, type Guest, ManifestError, ownGuest, parseMemory } from "../guests.ts";
import { MachineError } from "../machineHandle.ts";
import { sortFiles } from "../ownFiles.ts";
import type { Plan } from "../session.ts";
import { chooseTransport, MEMORY_MAX_MB, type TransportChoice, VCPUS_MAX } from "../settings.ts";

/** As the attributes of the element have it, and its property `files`. */
export interface VmOptions {
  /** Id of a guest of the site. Default: the embedded one. */
  readonly guest?: string | undefined;
  /** Addresses of a kernel, an initial RAM disk, firmware or small media, instead of a guest; told apart by content. */
  readonly src?: string | undefined;
  /** The same as files. */
  readonly files?: readonly File[] | undefined;
  /** Address of a disk, or of a CD if it ends in .iso, of which only what is read is fetched. */
  readonly disk?: string | undefined;
  /** Kernel command line. */
  readonly append?: string | undefined;
  /** "256M". */
  readonly memory?: string | undefined;
  readonly vcpus?: string | undefined;
  readonly engine?: string | undefined;
  readonly transport?: string | undefined;
}

/**
 * @param site where the site lies that the guests and the engine come from
 * @throws MachineError, ManifestError, DownloadError
 */
export async function planOf(options: VmOptions, site: URL): Promise<Plan> {
  const { files = [], src = "", disk = "" } = options;
  const brought = [...files, ...(await fetchFiles(src))];
  const { found, problem } = await sortFiles(brought);
  if (problem) throw new MachineError("bad-image", problem.cause, problem.remedy);
  const guest = brought.length ? ownGuest : await guestOf(options.guest ?? embeddedGuest.id, site);
  const engine = choice("engine", options.engine, "interp", "auto");
  const transport = choice<TransportChoice>("transport", options.transport, "auto", "threaded", "inline");
  return {
    guest,
    own: found,
    append: options.append ?? guest.append,
    memoryBytes: memoryOf(options.memory) ?? guest.memory,
    vcpus: within("vcpus", options.vcpus, VCPUS_MAX) ?? 1,
    transport: chooseTransport(transport, globalThis.crossOriginIsolated === true),
    engine,
    url: disk && new URL(disk, document.baseURI).href,
    keepDisks: false,
    prepared: true,
  };
}

async function guestOf(id: string, site: URL): Promise<Guest> {
  if (id === embeddedGuest.id) return embeddedGuest;
  const guests = await fetchGuests(site);
  const guest = guests.find((g) => g.id === id);
  if (guest) return guest;
  const there = [embeddedGuest, ...guests].map((g) => g.id).join(", ");
  throw new ManifestError(`${site.host} has no guest “${id}”; it has ${there}.`);
}

/** @param src addresses with spaces between */
async function fetchFiles(src: string): Promise<File[]> {
  const addresses = src.split(/\s+/).filter(Boolean);
  return Promise.all(
    addresses.map(async (address) => {
      const name = address.split("/").at(-1) || address;
      try {
        const response = await fetch(new URL(address, document.baseURI));
        if (!response.ok) throw new Error(`the server answered ${response.status} ${response.statusText}`);
        return new File([await response.blob()], name);
      } catch (error) {
        throw new DownloadError("network", `${name} could not be fetched (${(error as Error).message}).`);
      }
    }),
  );
}

function memoryOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = parseMemory(text);
  const MB = 2 ** 20;
  if (bytes && bytes % MB === 0 && bytes / MB <= MEMORY_MAX_MB) return bytes;
  throw new MachineError("engine", `memory="${text}" is not a size from 1M to ${MEMORY_MAX_MB}M.`, CHANGE);
}

function within(name: string, text: string | undefined, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new MachineError("engine", `${name}="${text}" is not a number from 1 to ${most}.`, CHANGE);
}

function choice<T extends string>(name: string, text: string | undefined, ...known: readonly T[]): T {
  if (text === undefined) return known[0]!;
  const found = known.find((value) => value === text);
  if (found) return found;
  throw new MachineError("engine", `${name}="${text}" is none of ${known.join(", ")}.`, CHANGE);
}

const CHANGE = "Change the attribute of the element.";
