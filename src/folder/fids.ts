/** A session's fids: the client's numbers for places in the folder, and for files that are open there. */
import type { Log } from "../shared/device.ts";
import { FolderError, type HostFile, isName, type Kind, NAME_MAX, type Path } from "./folder.ts";
import type { Place, Places } from "./places.ts";
import { run, value } from "./steps.ts";

export const MAX_FIDS = 0x1_0000;
/** The number that means none. */
export const NO_FID = 0xffff_ffff;

export interface Fid {
  readonly place: Place;
  /** It is in the table. */
  alive: boolean;
  /** Flags that it was opened with. */
  flags: number | undefined;
  /** The open file; opened anew by `flags` after a snapshot. */
  file: HostFile | undefined;
  /** What a directory had when reading it began. */
  entries: readonly { readonly name: string; readonly kind: Kind; readonly id: bigint }[] | undefined;
}

export const fidAt = (place: Place): Fid => ({
  ...{ place, alive: true, flags: undefined, file: undefined, entries: undefined },
});

export class Fids extends Map<number, Fid> {
  readonly #places: Places;
  readonly #log: Log;

  constructor(places: Places, log: Log) {
    super();
    this.#places = places;
    this.#log = log;
  }

  known(number: number): Fid {
    const fid = this.get(number);
    if (!fid) throw new FolderError("EBADF");
    return fid;
  }

  /** Whether a number may become a fid's. */
  free(number: number): void {
    if (number === NO_FID || this.has(number)) throw new FolderError("EBADF");
    if (this.size >= MAX_FIDS) throw new FolderError("EMFILE");
  }

  add(number: number, place: Place): void {
    this.set(number, fidAt(place));
  }

  /** A fid that is in the table no more. */
  giveBack(fid: Fid): void {
    fid.alive = false;
    this.#places.release(fid.place);
    const { file } = fid;
    if (!file) return;
    run(value(file.close()), (done) => {
      if ("error" in done) this.#log(`9p: ${(done.error as Error).message}`);
    });
  }

  /** The session is over. */
  end(): void {
    for (const fid of this.values()) this.giveBack(fid);
  }
}

/** Where a place is now. @throws FolderError it is gone */
export function pathOf(place: Place): Path {
  const { path } = place;
  if (!path) throw new FolderError("ESTALE");
  return path;
}

/** What `..` leads to; the root's is itself. */
export function above(place: Place): Place {
  pathOf(place);
  return place.parent ?? place;
}

export function child(places: Places, place: Place, name: string): Place {
  checkName(name);
  return places.child(place, name);
}

export function join(place: Place, name: string): Path {
  checkName(name);
  return [...pathOf(place), name];
}

function checkName(name: string): void {
  if (!isName(name)) throw new FolderError("EINVAL");
  if (new TextEncoder().encode(name).length > NAME_MAX) throw new FolderError("ENAMETOOLONG");
}
