/**
 * A folder in memory, with all that a file system has: permissions, links, symbolic links, files that outlive their names.
 * Files may begin as somebody's (dropped on a page): they are read there until the guest writes to them.
 */
import type { BlobLike } from "../block/blob.ts";
import { SnapshotFields } from "../io/snapshotFields.ts";
import {
  type FileChange,
  type FileStat,
  type FolderEntry,
  FolderError,
  type FolderSpace,
  type HostFile,
  type HostFolder,
  isName,
  type Later,
  type OpenMode,
  type Path,
} from "./folder.ts";

interface Node {
  readonly id: number;
  readonly kind: "file" | "directory" | "symlink";
  mode: number;
  uid: number;
  gid: number;
  /** Names and, of a file, openings. */
  links: number;
  opened: number;
  accessed: bigint;
  modified: bigint;
  changed: bigint;
  /** Of a file: its bytes, of which `size` count; or whose they still are. */
  bytes: Uint8Array;
  size: number;
  source: BlobLike | undefined;
  /** Of a symbolic link. */
  target: string;
  /** Of a directory. */
  entries: Map<string, Node>;
}

export interface MemoryFolderOptions {
  readonly readOnly?: boolean;
  /** Bytes that files may take; default: 1 GiB. */
  readonly limit?: number;
  /** Nanoseconds since 1970; default: the host's. */
  readonly now?: () => bigint;
}

/** A node in a snapshot. Names of a directory and ids of what they mean are in the same order. */
interface NodeV1 {
  id: number;
  kind: string;
  mode: number;
  uid: number;
  gid: number;
  times: bigint[];
  bytes?: Uint8Array;
  /** Size of the file that it still is. */
  source?: number;
  target?: string;
  names?: string[];
  ids?: number[];
}

const LIMIT = 2 ** 30;
const MAX_NODES = 1 << 20;
const MAX_U64 = 0xffff_ffff_ffff_ffffn;
const KINDS = ["file", "directory", "symlink"] as const;

export class MemoryFolder implements HostFolder {
  readonly readOnly: boolean;
  readonly #limit: number;
  readonly #now: () => bigint;
  readonly #sources = new Map<number, BlobLike>();
  #nextId = 1;
  #root: Node;
  /** Bytes that files take here, and nodes. */
  #used = 0;
  #nodes = 0;

  constructor(options: MemoryFolderOptions = {}) {
    this.readOnly = options.readOnly ?? false;
    this.#limit = options.limit ?? LIMIT;
    this.#now = options.now ?? (() => BigInt(Date.now()) * 1_000_000n);
    this.#root = this.#node("directory", 0o755);
    this.#root.links = 1;
  }

  /**
   * Puts somebody's file in, with the folders above it, in place of one that is there; to be done before a guest uses the folder.
   *
   * @throws FolderError: a name that cannot be, or a file where a folder is to be
   */
  place(path: Path, source: BlobLike): void {
    let at = this.#root;
    for (const name of path.slice(0, -1)) {
      const next = at.entries.get(name) ?? this.#enter(at, name, this.#node("directory", 0o755));
      if (next.kind !== "directory") throw new FolderError("ENOTDIR");
      at = next;
    }
    const name = path.at(-1) ?? "";
    if (at.entries.has(name)) throw new FolderError("EEXIST");
    const node = this.#enter(at, name, this.#node("file", 0o644));
    node.source = source;
    node.size = source.size;
    this.#sources.set(node.id, source);
  }

  stat(path: Path): FileStat {
    return statOf(this.#find(path));
  }

  list(path: Path): FolderEntry[] {
    const { kind, entries } = this.#find(path);
    if (kind !== "directory") throw new FolderError("ENOTDIR");
    return [...entries].map(([name, { kind, id }]) => ({ name, kind, id: BigInt(id) }));
  }

  open(path: Path, mode: OpenMode): HostFile {
    return this.#open(this.#find(path), mode);
  }

  create(path: Path, permissions: number, mode: OpenMode, exclusive: boolean): HostFile {
    const { folder, name } = this.#parent(path);
    const there = folder.entries.get(name);
    if (there && exclusive) throw new FolderError("EEXIST");
    return this.#open(there ?? this.#enter(folder, name, this.#node("file", permissions)), mode);
  }

  makeDirectory(path: Path, permissions: number): void {
    this.#new(path, "directory", permissions);
  }

  makeSymlink(path: Path, target: string): void {
    const node = this.#new(path, "symlink", 0o777);
    node.target = target;
    node.size = new TextEncoder().encode(target).length;
  }

  link(from: Path, to: Path): void {
    const node = this.#find(from);
    if (node.kind === "directory") throw new FolderError("EPERM");
    const { folder, name } = this.#parent(to);
    if (folder.entries.has(name)) throw new FolderError("EEXIST");
    this.#enter(folder, name, node);
  }

  readSymlink(path: Path): string {
    const { kind, target } = this.#find(path);
    if (kind !== "symlink") throw new FolderError("EINVAL");
    return target;
  }

  rename(from: Path, to: Path): void {
    const old = this.#parent(from);
    const node = old.folder.entries.get(old.name);
    if (!node) throw new FolderError("ENOENT");
    const { folder, name } = this.#parent(to);
    if (to.length > from.length && from.every((part, i) => part === to[i])) throw new FolderError("EINVAL");
    const there = folder.entries.get(name);
    if (there === node) return;
    if (there) {
      if (there.kind === "directory" && node.kind !== "directory") throw new FolderError("EISDIR");
      if (there.kind !== "directory" && node.kind === "directory") throw new FolderError("ENOTDIR");
      if (there.entries.size) throw new FolderError("ENOTEMPTY");
      this.#leave(folder, name, there);
    }
    old.folder.entries.delete(old.name);
    folder.entries.set(name, node);
    node.changed = old.folder.modified = folder.modified = this.#now();
  }

  remove(path: Path, directory: boolean): void {
    const { folder, name } = this.#parent(path);
    const node = folder.entries.get(name);
    if (!node) throw new FolderError("ENOENT");
    if (directory && node.kind !== "directory") throw new FolderError("ENOTDIR");
    if (!directory && node.kind === "directory") throw new FolderError("EISDIR");
    if (node.entries.size) throw new FolderError("ENOTEMPTY");
    this.#leave(folder, name, node);
  }

  change(path: Path, change: FileChange): Later<void> {
    return this.#change(this.#find(path), change);
  }

  space(): FolderSpace {
    const freeFiles = MAX_NODES - this.#nodes;
    return { bytes: this.#limit, free: this.#limit - this.#used, files: MAX_NODES, freeFiles };
  }

  // Inside

  #node(kind: Node["kind"], mode: number): Node {
    if (this.#nodes >= MAX_NODES) throw new FolderError("ENOSPC");
    this.#nodes++;
    const time = this.#now();
    return {
      ...{ id: this.#nextId++, kind, mode, uid: 0, gid: 0, links: 0, opened: 0 },
      ...{ accessed: time, modified: time, changed: time, size: 0, source: undefined, target: "" },
      bytes: new Uint8Array(0),
      entries: new Map(),
    };
  }

  #find(path: Path): Node {
    let at = this.#root;
    for (const name of path) {
      if (at.kind !== "directory") throw new FolderError("ENOTDIR");
      const next = at.entries.get(name);
      if (!next) throw new FolderError("ENOENT");
      at = next;
    }
    return at;
  }

  /** Where the last name of a path is, or is to be. */
  #parent(path: Path): { folder: Node; name: string } {
    const name = path.at(-1);
    if (name === undefined) throw new FolderError("EBUSY");
    const folder = this.#find(path.slice(0, -1));
    if (folder.kind !== "directory") throw new FolderError("ENOTDIR");
    return { folder, name };
  }

  #enter(folder: Node, name: string, node: Node): Node {
    if (!isName(name)) throw new FolderError("EINVAL");
    folder.entries.set(name, node);
    node.links++;
    node.changed = folder.modified = folder.changed = this.#now();
    return node;
  }

  #leave(folder: Node, name: string, node: Node): void {
    folder.entries.delete(name);
    node.links--;
    node.changed = folder.modified = folder.changed = this.#now();
    this.#drop(node);
  }

  /** Gives back what nobody has any more. */
  #drop(node: Node): void {
    if (node.links || node.opened) return;
    this.#used -= node.bytes.length;
    node.bytes = new Uint8Array(0);
    this.#nodes--;
  }

  #new(path: Path, kind: Node["kind"], mode: number): Node {
    const { folder, name } = this.#parent(path);
    if (folder.entries.has(name)) throw new FolderError("EEXIST");
    return this.#enter(folder, name, this.#node(kind, mode));
  }

  #open(node: Node, mode: OpenMode): HostFile {
    if (node.kind !== "file") throw new FolderError(node.kind === "symlink" ? "ELOOP" : "EISDIR");
    if (mode.truncate) void this.#resize(node, 0);
    node.opened++;
    let open = true;
    const here = (): void => {
      if (!open) throw new FolderError("EBADF");
    };
    return {
      read: (at, into) => {
        here();
        return this.#read(node, at, into);
      },
      write: (at, from) => {
        here();
        const own = this.#own(node);
        const write = (): number => this.#write(node, mode.append ? node.size : at, from);
        return own ? own.then(write) : write();
      },
      stat: () => statOf(node),
      change: (change) => this.#change(node, change),
      flush: () => {},
      close: () => {
        here();
        open = false;
        node.opened--;
        this.#drop(node);
      },
    };
  }

  #read(node: Node, at: number, into: Uint8Array): Later<number> {
    const { source, size } = node;
    const n = Math.max(0, Math.min(into.length, size - at));
    if (n === 0) return 0;
    if (!source) {
      into.set(node.bytes.subarray(at, at + n));
      return n;
    }
    return bytesOf(source, at, at + n).then((bytes) => {
      into.set(bytes);
      return n;
    });
  }

  /** Makes somebody's file the guest's. */
  #own(node: Node): Promise<void> | undefined {
    const { source, size } = node;
    if (!source) return undefined;
    if (this.#used + size > this.#limit) throw new FolderError("ENOSPC");
    return bytesOf(source, 0, size).then((bytes) => {
      if (node.source !== source) return;
      this.#used += bytes.length - node.bytes.length;
      node.bytes = bytes;
      node.source = undefined;
    });
  }

  #write(node: Node, at: number, from: Uint8Array): number {
    const end = at + from.length;
    this.#reserve(node, end);
    node.bytes.set(from, at);
    node.size = Math.max(node.size, end);
    node.modified = node.changed = this.#now();
    return from.length;
  }

  /** Room for so many bytes; what is beyond `size` is zeros. */
  #reserve(node: Node, size: number): void {
    if (size <= node.bytes.length) return;
    if (this.#used - node.bytes.length + size > this.#limit) throw new FolderError("ENOSPC");
    const most = this.#limit - this.#used + node.bytes.length;
    const bytes = new Uint8Array(Math.max(size, Math.min(2 * node.bytes.length, most)));
    bytes.set(node.bytes.subarray(0, node.size));
    this.#used += bytes.length - node.bytes.length;
    node.bytes = bytes;
  }

  #resize(node: Node, size: number): Later<void> {
    if (node.kind !== "file") throw new FolderError(node.kind === "directory" ? "EISDIR" : "EINVAL");
    const own = size === 0 ? undefined : this.#own(node);
    if (own) return own.then(() => this.#resize(node, size));
    node.source = undefined;
    if (size === 0) {
      this.#used -= node.bytes.length;
      node.bytes = new Uint8Array(0);
    } else {
      this.#reserve(node, size);
      node.bytes.fill(0, Math.min(size, node.size), node.size);
    }
    node.size = size;
    node.modified = node.changed = this.#now();
  }

  #change(node: Node, { size, ...rest }: FileChange): Later<void> {
    const others = (): void => {
      Object.assign(node, rest, { changed: this.#now() });
    };
    const resized = size === undefined ? undefined : this.#resize(node, size);
    return resized ? resized.then(others) : others();
  }

  // Saved state

  export(): object {
    const nodes = new Map<number, NodeV1>();
    const visit = (node: Node): void => {
      if (nodes.has(node.id)) return;
      const { id, kind, mode, uid, gid, size, source, bytes, target, entries } = node;
      nodes.set(id, {
        ...{ id, kind, mode, uid, gid, times: [node.accessed, node.modified, node.changed] },
        ...(kind === "symlink" && { target }),
        ...(kind === "directory" && { names: [...entries.keys()], ids: [...entries.values()].map((e) => e.id) }),
        ...(kind === "file" && (source ? { source: size } : { bytes: bytes.slice(0, size) })),
      });
      for (const entry of entries.values()) visit(entry);
    };
    visit(this.#root);
    return { version: 1, nextId: this.#nextId, nodes: [...nodes.values()] };
  }

  check(state: unknown): () => void {
    const from: SnapshotFields = new SnapshotFields("folder", state).version(1);
    const nextId = from.int("nextId", 1, Number.MAX_SAFE_INTEGER);
    const nodes = new Map<number, { node: Node; names: string[]; ids: number[] }>();
    let used = 0;
    from.array("nodes", 1, MAX_NODES).forEach((_, i) => {
      const fields = from.item("nodes", i);
      const kind = fields.oneOf("kind", KINDS);
      const id = fields.int("id", 1, nextId - 1);
      const times = fields.array("times", 3, 3);
      if (times.some((time) => typeof time !== "bigint" || time < -MAX_U64 || time > MAX_U64))
        fields.fail("times", "not times");
      const [accessed, modified, changed] = times as bigint[];
      const source = fields.optional("source") === undefined ? undefined : this.#sources.get(id);
      if (fields.optional("source") !== undefined && source?.size !== fields.optional("source")) {
        fields.fail("source", "the files that are shared are not those of then");
      }
      const bytes = kind === "file" && !source ? fields.someBytes("bytes", this.#limit).slice() : new Uint8Array(0);
      const target = kind === "symlink" ? fields.optional("target") : "";
      if (typeof target !== "string") fields.fail("target", "not a text");
      const isDirectory = kind === "directory";
      const names = isDirectory ? fields.array("names", 0, MAX_NODES) : [];
      const ids = isDirectory ? fields.intsOf("ids", names.length, 1, nextId - 1) : [];
      if (names.some((name) => typeof name !== "string" || !isName(name))) fields.fail("names", "not names");
      const [mode, uid, gid] = [
        fields.int("mode", 0, 0o7777),
        ...["uid", "gid"].map((f) => fields.int(f, 0, 2 ** 32 - 1)),
      ];
      const size =
        source?.size ?? (kind === "symlink" ? new TextEncoder().encode(target as string).length : bytes.length);
      const node: Node = {
        ...{ id, kind, mode, uid, gid, links: 0, opened: 0, accessed, modified, changed, bytes, size, source },
        ...{ target: target as string, entries: new Map() },
      };
      used += bytes.length;
      if (nodes.has(id)) fields.fail("id", "is there twice");
      nodes.set(id, { node, names: names as string[], ids });
    });
    const [first] = nodes.values();
    if (first.node.kind !== "directory") from.fail("nodes", "the first is not the root");
    first.node.links = 1;
    for (const { node, names, ids } of nodes.values()) {
      names.forEach((name, i) => {
        const entry = nodes.get(ids[i])?.node;
        if (!entry || node.entries.has(name)) from.fail("nodes", `${name} is nothing, or there twice`);
        // A directory has one name, or the tree would be none.
        if (entry.kind === "directory" && entry.links > 0) from.fail("nodes", `${name} has two places`);
        node.entries.set(name, entry);
        entry.links++;
      });
    }
    if (used > this.#limit) from.fail("nodes", "more bytes than this folder holds");
    return () => {
      this.#root = first.node;
      this.#nextId = nextId;
      this.#nodes = nodes.size;
      this.#used = used;
    };
  }
}

const statOf = ({ kind, id, mode, links, uid, gid, size, accessed, modified, changed }: Node): FileStat => ({
  ...{ kind, id: BigInt(id), mode, links, uid, gid, size, accessed, modified, changed },
});

async function bytesOf(source: BlobLike, from: number, to: number): Promise<Uint8Array> {
  let bytes: ArrayBuffer;
  try {
    bytes = await source.slice(from, to).arrayBuffer();
  } catch {
    // Browsers refuse a file whose date is not what it was.
    throw new FolderError("EIO");
  }
  if (bytes.byteLength !== to - from) throw new FolderError("EIO");
  return new Uint8Array(bytes);
}
