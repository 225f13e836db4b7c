/**
 * Where a server's fids are: a tree of the names that are in use, so that a fid finds its file again after it, or a
 * folder above it, was renamed, and knows when it is gone.
 */
import type { Path } from "./folder.ts";

export class Place {
  parent: Place | undefined;
  name: string;
  readonly children = new Map<string, Place>();
  /** Fids, and work under way. */
  users = 0;
  readonly isRoot: boolean;

  constructor(parent: Place | undefined, name: string) {
    this.parent = parent;
    this.name = name;
    this.isRoot = parent === undefined;
  }

  /** Its names from the root on; undefined: it was removed, or something above it. */
  get path(): Path | undefined {
    const names: string[] = [];
    for (let at: Place = this; !at.isRoot; at = at.parent) {
      if (!at.parent) return undefined;
      names.push(at.name);
    }
    return names.reverse();
  }
}

export class Places {
  readonly root = new Place(undefined, "");

  /** A name in a folder, held until it is released. */
  child(parent: Place, name: string): Place {
    let place = parent.children.get(name);
    if (!place) {
      place = new Place(parent, name);
      parent.children.set(name, place);
    }
    return this.hold(place);
  }

  at(path: Path): Place {
    let place = this.hold(this.root);
    for (const name of path) {
      const next = this.child(place, name);
      this.release(place);
      place = next;
    }
    return place;
  }

  /** A place that is nowhere any more, held. */
  gone(): Place {
    const place = new Place(this.root, "");
    place.parent = undefined;
    return this.hold(place);
  }

  hold(place: Place): Place {
    place.users++;
    return place;
  }

  release(place: Place): void {
    place.users--;
    for (let at: Place | undefined = place; at && !at.isRoot && at.users === 0 && at.children.size === 0; ) {
      const above: Place | undefined = at.parent;
      if (above?.children.get(at.name) === at) above.children.delete(at.name);
      at = above;
    }
  }

  /** What has this name was removed. */
  removed(parent: Place, name: string): void {
    const place = parent.children.get(name);
    if (!place) return;
    parent.children.delete(name);
    place.parent = undefined;
  }

  /** What had one name has another now, which took the place of what had that. */
  renamed(from: Place, name: string, to: Place, newName: string): void {
    const place = from.children.get(name);
    if (place && to.children.get(newName) === place) return;
    this.removed(to, newName);
    if (!place) return;
    from.children.delete(name);
    place.parent = to;
    place.name = newName;
    to.children.set(newName, place);
  }
}
