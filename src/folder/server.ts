/**
 * A server of 9P2000.L, the protocol by which Linux's v9fs shares a folder (Linux: include/net/9p/9p.h, fs/9p; the base is
 * Plan 9's manual, section 5): everything that v9fs asks for, over a HostFolder. Names are checked here, and `..` ends at the
 * root; no path that reaches the folder has anything but names.
 *
 * Not there: extended attributes, device files, authentication. Locks between the guest's processes are its kernel's; as nobody
 * else asks this server, it grants them all.
 */
import type { SnapshotFields } from "../io/snapshotFields.ts";
import type { Log } from "../shared/device.ts";
import { above, child, type Fid, Fids, fidAt, join, MAX_FIDS, NO_FID, pathOf } from "./fids.ts";
import {
  ERRNO,
  type Errno,
  type FileChange,
  type FileStat,
  FolderError,
  type HostFile,
  type HostFolder,
  isName,
  NAME_MAX,
  type Path,
} from "./folder.ts";
import {
  DT,
  modeOf,
  modulo,
  NANOSECONDS,
  O,
  O_DIRECTORY,
  PERMISSIONS,
  qidType,
  REOPEN,
  reads,
  S_IF,
  S_IFMT,
  SET,
  STATS_BASIC,
  writeQid,
  writes,
} from "./linux.ts";
import { HEADER, Reader, T, Writer } from "./message.ts";
import { type Place, Places } from "./places.ts";
import { run, type Steps, value } from "./steps.ts";

const VERSION = "9P2000.L";
/** Bytes of a message at most, and at least. */
export const MAX_MSIZE = 1 << 20;
const MIN_MSIZE = 4096;
/** Before the data of a read's or write's message, as Linux reckons (P9_IOHDRSZ). */
const IO_HEADER = 24;
const MAX_WALK = 16;
/** V9FS_MAGIC */
const FS_TYPE = 0x0102_1997;
const BLOCK = 4096;
const SECTOR = 512;

const AT_REMOVEDIR = 0x200;
const LOCK_SUCCESS = 0;
const UNLOCKED = 2;
/** Writers that are kept, at most. */
const WRITERS = 4;

export interface P9ServerV1 {
  version: 1;
  msize: number;
  fids: { fid: number; path: string[] | undefined; flags: number | undefined }[];
  folder: object | undefined;
}

export class P9Server {
  readonly #folder: HostFolder;
  readonly #log: Log;
  #places = new Places();
  #fids: Fids;
  #msize = MIN_MSIZE;
  /** For answers to come: new memory for each would cost more than the answer. */
  readonly #writers: Writer[] = [];
  /** Requests that are not answered, by tag; what waits for each. */
  #pending = new Map<number, (() => void)[]>();

  constructor(folder: HostFolder, log: Log) {
    this.#folder = folder;
    this.#log = log;
    this.#fids = new Fids(this.#places, log);
  }

  /** The connection is over: all fids are given back. */
  reset(): void {
    this.#fids.end();
    this.#places = new Places();
    this.#fids = new Fids(this.#places, this.#log);
    this.#pending = new Map();
    this.#msize = MIN_MSIZE;
  }

  /**
   * Answers a request, at once or later.
   *
   * @param room bytes that the answer may have; at least those of an error
   * @param reply gets the answer
   */
  answer(request: Uint8Array, room: number, reply: (message: Uint8Array) => void): void {
    const view = new DataView(request.buffer, request.byteOffset);
    const [type, tag] = [view.getUint8(4), view.getUint16(5, true)];
    const pending = this.#pending;
    const finish = (message: Uint8Array): void => {
      const waiting = pending.get(tag);
      if (waiting) pending.delete(tag);
      reply(message);
      for (const next of waiting ?? []) next();
    };
    if (type === T.flush) {
      const out = new Writer(room);
      // What is under way is done before its flush is answered.
      const old = request.length >= HEADER + 2 ? view.getUint16(HEADER, true) : tag;
      const waiting = old === tag ? undefined : pending.get(old);
      if (waiting) waiting.push(() => reply(out.message(type + 1, tag)));
      else reply(out.message(type + 1, tag));
      return;
    }
    // A tag that is in use is the driver's mistake; its first request keeps the flushes that wait for it.
    if (!pending.has(tag)) pending.set(tag, []);
    const out = (this.#writers.pop() ?? new Writer()).begin(Math.min(room, MAX_MSIZE));
    run(this.#request(type, new Reader(request), out), (done) => {
      if ("value" in done) finish(out.message(type + 1, tag));
      else
        finish(
          out
            .begin(room)
            .u32(this.#errno(done.error))
            .message(T.lerror + 1, tag),
        );
      if (this.#writers.length < WRITERS) this.#writers.push(out);
    });
  }

  #errno(error: unknown): number {
    const { code, message } = error as { code?: string; message?: string };
    const known = ERRNO[code as Errno];
    if (known === undefined) this.#log(`9p: ${message ?? error}`);
    return known ?? ERRNO.EIO;
  }

  *#request(type: number, from: Reader, out: Writer): Steps<void> {
    switch (type) {
      case T.version:
        return this.#version(from, out);
      case T.attach:
        return yield* this.#attach(from, out);
      case T.walk:
        return yield* this.#walk(from, out);
      case T.clunk:
        return yield* this.#clunk(from);
      case T.getattr:
        return yield* this.#getattr(from, out);
      case T.setattr:
        return yield* this.#setattr(from);
      case T.lopen:
        return yield* this.#lopen(from, out);
      case T.lcreate:
        return yield* this.#lcreate(from, out);
      case T.read:
        return yield* this.#read(from, out);
      case T.write:
        return yield* this.#write(from, out);
      case T.readdir:
        return yield* this.#readdir(from, out);
      case T.mkdir: {
        const to = this.#entry(from);
        const permissions = from.u32() & PERMISSIONS;
        yield* value(this.#folder.makeDirectory(to, permissions));
        return yield* this.#qidOf(to, out);
      }
      case T.symlink: {
        const to = this.#entry(from);
        yield* value(this.#folder.makeSymlink(to, from.string()));
        return yield* this.#qidOf(to, out);
      }
      case T.mknod:
        return yield* this.#mknod(from, out);
      case T.link: {
        const folder = this.#fid(from);
        const path = pathOf(this.#fid(from).place);
        this.#writable();
        return yield* value(this.#folder.link(path, join(folder.place, from.string())));
      }
      case T.readlink:
        out.string(yield* value(this.#folder.readSymlink(pathOf(this.#fid(from).place))));
        return;
      case T.rename: {
        const { place } = this.#fid(from);
        const to = this.#fid(from);
        if (!place.parent) throw new FolderError("EBUSY");
        return yield* this.#rename(place.parent, place.name, to.place, from.string());
      }
      case T.renameat: {
        const { place } = this.#fid(from);
        const name = from.string();
        return yield* this.#rename(place, name, this.#fid(from).place, from.string());
      }
      case T.unlinkat: {
        const { place } = this.#fid(from);
        const name = from.string();
        return yield* this.#remove(place, name, (from.u32() & AT_REMOVEDIR) !== 0);
      }
      case T.remove:
        return yield* this.#removeFid(from);
      case T.fsync: {
        const fid = this.#fid(from);
        // A directory has nothing of its own to flush here.
        return fid.entries || fid.flags === undefined ? undefined : yield* value((yield* this.#file(fid)).flush());
      }
      case T.lock:
        this.#fid(from);
        out.u8(LOCK_SUCCESS);
        return;
      case T.getlock:
        return this.#getlock(from, out);
      case T.statfs:
        return yield* this.#statfs(from, out);
    }
    // Extended attributes and authentication, too.
    throw new FolderError("EOPNOTSUPP");
  }

  /** A new session: what was is forgotten. */
  #version(from: Reader, out: Writer): void {
    const msize = from.u32();
    const wanted = from.string();
    this.#fids.end();
    this.#fids = new Fids(this.#places, this.#log);
    if (msize < MIN_MSIZE) throw new FolderError("EINVAL");
    this.#msize = Math.min(msize, MAX_MSIZE);
    out.u32(this.#msize).string(wanted === VERSION ? VERSION : "unknown");
  }

  *#attach(from: Reader, out: Writer): Steps<void> {
    const number = from.u32();
    const fids = this.#fids;
    fids.free(number);
    const stat = yield* value(this.#folder.stat([]));
    if (fids !== this.#fids) throw new FolderError("EBADF");
    fids.free(number);
    fids.add(number, this.#places.hold(this.#places.root));
    writeQid(stat, out);
  }

  *#walk(from: Reader, out: Writer): Steps<void> {
    const old = from.u32();
    const fid = this.#fids.known(old);
    const number = from.u32();
    const count = from.u16();
    if (count > MAX_WALK) throw new FolderError("EINVAL");
    const names = Array.from({ length: count }, () => from.string());
    if (number !== old) this.#fids.free(number);
    else if (fid.flags !== undefined) throw new FolderError("EBADF");
    const [fids, places] = [this.#fids, this.#places];
    let place = places.hold(fid.place);
    const qids: FileStat[] = [];
    try {
      for (const name of names) {
        // Only what is below a directory has a name; the folder sees to it in the same moment.
        const next = name === ".." ? places.hold(above(place)) : child(this.#places, place, name);
        places.release(place);
        place = next;
        try {
          qids.push(yield* value(this.#folder.stat(pathOf(place))));
        } catch (error) {
          if (qids.length === 0) throw error;
          break;
        }
      }
      if (qids.length === count) {
        if (number !== old) this.#fids.free(number);
        const before = fids.get(number);
        if (fids !== this.#fids || (number === old && before !== fid)) throw new FolderError("EBADF");
        this.#fids.add(number, places.hold(place));
        if (before) this.#fids.giveBack(before);
      }
    } finally {
      places.release(place);
    }
    out.u16(qids.length);
    for (const stat of qids) writeQid(stat, out);
  }

  *#clunk(from: Reader): Steps<void> {
    const number = from.u32();
    const fid = this.#fids.known(number);
    this.#fids.delete(number);
    fid.alive = false;
    this.#places.release(fid.place);
    if (fid.file) yield* value(fid.file.close());
  }

  *#getattr(from: Reader, out: Writer): Steps<void> {
    const fid = this.#fid(from);
    const stat = yield* value(fid.file ? fid.file.stat() : this.#folder.stat(pathOf(fid.place)));
    out.u64(STATS_BASIC);
    writeQid(stat, out);
    out.u32(S_IF[stat.kind] | stat.mode);
    out.u32(stat.uid).u32(stat.gid).u64(BigInt(stat.links)).u64(0n).u64(BigInt(stat.size));
    out.u64(BigInt(BLOCK)).u64(BigInt(Math.ceil(stat.size / SECTOR)));
    for (const time of [stat.accessed, stat.modified, stat.changed]) {
      const seconds = BigInt.asUintN(64, (time - modulo(time)) / NANOSECONDS);
      out.u64(seconds).u64(modulo(time));
    }
    out.u64(0n).u64(0n).u64(0n).u64(0n);
  }

  *#setattr(from: Reader): Steps<void> {
    const fid = this.#fid(from);
    const valid = from.u32();
    const [mode, uid, gid, size] = [from.u32(), from.u32(), from.u32(), from.size()];
    const times = [from.u64() * NANOSECONDS + from.u64(), from.u64() * NANOSECONDS + from.u64()];
    this.#writable();
    const now = BigInt(Date.now()) * 1_000_000n;
    const time = (given: number, n: number): bigint => (valid & given ? BigInt.asIntN(64, times[n]) : now);
    const change: FileChange = {
      ...(valid & SET.mode && { mode: mode & PERMISSIONS }),
      ...(valid & SET.uid && { uid }),
      ...(valid & SET.gid && { gid }),
      ...(valid & SET.size && { size }),
      ...(valid & SET.atime && { accessed: time(SET.atimeGiven, 0) }),
      ...(valid & SET.mtime && { modified: time(SET.mtimeGiven, 1) }),
    };
    const { file } = fid;
    yield* value(file && writes(fid.flags) ? file.change(change) : this.#folder.change(pathOf(fid.place), change));
  }

  *#lopen(from: Reader, out: Writer): Steps<void> {
    const fid = this.#fid(from);
    const flags = from.u32();
    if (fid.flags !== undefined) throw new FolderError("EBADF");
    const path = pathOf(fid.place);
    const stat = yield* value(this.#folder.stat(path));
    if (fid.flags !== undefined) throw new FolderError("EBADF");
    if (stat.kind === "directory") {
      if (writes(flags)) throw new FolderError("EISDIR");
      fid.flags = flags & REOPEN;
      fid.entries = yield* this.#entries(path);
    } else {
      if (flags & O_DIRECTORY) throw new FolderError("ENOTDIR");
      if (stat.kind !== "file") throw new FolderError(stat.kind === "symlink" ? "ELOOP" : "EPERM");
      if (writes(flags) || flags & O.truncate) this.#writable();
      yield* this.#openAs(fid, flags, () => this.#folder.open(path, modeOf(flags)));
    }
    writeQid(stat, out);
    out.u32(this.#msize - IO_HEADER);
  }

  /** A fid's file becomes what `open` gives, unless the fid has gone meanwhile. */
  *#openAs(fid: Fid, flags: number, open: () => HostFile | Promise<HostFile>): Steps<void> {
    fid.flags = flags & REOPEN;
    try {
      const file = yield* value(open());
      if (fid.alive) fid.file = file;
      else {
        yield* value(file.close());
        throw new FolderError("EBADF");
      }
    } catch (error) {
      fid.flags = undefined;
      throw error;
    }
  }

  *#lcreate(from: Reader, out: Writer): Steps<void> {
    const number = from.u32();
    const fid = this.#fids.known(number);
    const name = from.string();
    const flags = from.u32();
    const permissions = from.u32() & PERMISSIONS;
    if (fid.flags !== undefined) throw new FolderError("EBADF");
    this.#writable();
    const path = join(fid.place, name);
    const open = () => this.#folder.create(path, permissions, modeOf(flags), (flags & O.exclusive) !== 0);
    // The fid means the new file from now on.
    const next = fidAt(child(this.#places, fid.place, name));
    this.#fids.set(number, next);
    try {
      yield* this.#openAs(next, flags, open);
    } catch (error) {
      if (next.alive) {
        this.#fids.set(number, fid);
        this.#places.release(next.place);
      } else this.#places.release(fid.place);
      throw error;
    }
    this.#places.release(fid.place);
    writeQid(yield* value((next.file as HostFile).stat()), out);
    out.u32(this.#msize - IO_HEADER);
  }

  /** Linux makes ordinary files by it, too, where nobody opens them at once. */
  *#mknod(from: Reader, out: Writer): Steps<void> {
    const path = this.#entry(from);
    const mode = from.u32();
    if ((mode & S_IFMT) !== S_IF.file && (mode & S_IFMT) !== 0) throw new FolderError("EPERM");
    const file = yield* value(this.#folder.create(path, mode & PERMISSIONS, modeOf(O.readWrite), true));
    yield* value(file.close());
    yield* this.#qidOf(path, out);
  }

  *#read(from: Reader, out: Writer): Steps<void> {
    const fid = this.#fid(from);
    const at = from.size();
    const count = Math.min(from.u32(), out.room - HEADER - 4);
    if (count < 0) throw new FolderError("EINVAL");
    const file = yield* this.#file(fid);
    if (!reads(fid.flags)) throw new FolderError("EBADF");
    const start = out.length;
    const into = out.u32(0).space(count);
    const n = yield* value(file.read(at, into));
    out.u32At(start, n);
    out.cut(start + 4 + n);
  }

  *#write(from: Reader, out: Writer): Steps<void> {
    const fid = this.#fid(from);
    const at = from.size();
    const bytes = from.bytes(from.u32());
    const file = yield* this.#file(fid);
    if (!writes(fid.flags)) throw new FolderError("EBADF");
    out.u32(yield* value(file.write(at, bytes)));
  }

  *#readdir(from: Reader, out: Writer): Steps<void> {
    const fid = this.#fid(from);
    const at = from.size();
    const room = Math.min(from.u32(), out.room - HEADER - 4);
    if (fid.flags === undefined) throw new FolderError("EBADF");
    if (at === 0 || !fid.entries) fid.entries = yield* this.#entries(pathOf(fid.place));
    const data = new Writer(HEADER + Math.max(0, room));
    let used = HEADER;
    for (let i = at; i < fid.entries.length; i++) {
      const { name, kind, id } = fid.entries[i];
      try {
        data
          .qid(qidType(kind), 0, id)
          .u64(BigInt(i + 1))
          .u8(DT[kind])
          .string(name);
      } catch {
        break;
      }
      used = data.length;
    }
    const bytes = data.message(0, 0).subarray(HEADER, used);
    out.u32(bytes.length).bytes(bytes);
  }

  *#entries(path: Path): Steps<NonNullable<Fid["entries"]>> {
    const self = yield* value(this.#folder.stat(path));
    const above = yield* value(this.#folder.stat(path.slice(0, -1)));
    const list = yield* value(this.#folder.list(path));
    return [
      { name: ".", kind: self.kind, id: self.id },
      { name: "..", kind: above.kind, id: above.id },
      ...list.filter(({ name }) => isName(name)),
    ];
  }

  *#rename(from: Place, name: string, to: Place, newName: string): Steps<void> {
    this.#writable();
    const [places, path, newPath] = [this.#places, join(from, name), join(to, newName)];
    places.hold(from);
    places.hold(to);
    try {
      yield* value(this.#folder.rename(path, newPath));
      places.renamed(from, name, to, newName);
    } finally {
      places.release(from);
      places.release(to);
    }
  }

  *#remove(folder: Place, name: string, directory: boolean): Steps<void> {
    this.#writable();
    const places = this.#places;
    places.hold(folder);
    try {
      yield* value(this.#folder.remove(join(folder, name), directory));
      places.removed(folder, name);
    } finally {
      places.release(folder);
    }
  }

  /** Removes what a fid means; the fid is given back in any case. */
  *#removeFid(from: Reader): Steps<void> {
    const number = from.u32();
    const fid = this.#fids.known(number);
    try {
      const path = pathOf(fid.place);
      const { place } = fid;
      if (!place.parent) throw new FolderError("EBUSY");
      const { kind } = yield* value(this.#folder.stat(path));
      yield* this.#remove(place.parent, place.name, kind === "directory");
    } finally {
      if (this.#fids.get(number) === fid) {
        this.#fids.delete(number);
        this.#fids.giveBack(fid);
      }
    }
  }

  #getlock(from: Reader, out: Writer): void {
    this.#fid(from);
    from.u8();
    const [start, length, process] = [from.u64(), from.u64(), from.u32()];
    out.u8(UNLOCKED).u64(start).u64(length).u32(process).string(from.string());
  }

  *#statfs(from: Reader, out: Writer): Steps<void> {
    this.#fid(from);
    const { bytes, free, files, freeFiles } = yield* value(this.#folder.space());
    const blocks = (n: number): bigint => BigInt(Math.floor(n / BLOCK));
    out.u32(FS_TYPE).u32(BLOCK).u64(blocks(bytes)).u64(blocks(free)).u64(blocks(free));
    out.u64(BigInt(files)).u64(BigInt(freeFiles)).u64(0n).u32(NAME_MAX);
  }

  *#qidOf(path: Path, out: Writer): Steps<void> {
    writeQid(yield* value(this.#folder.stat(path)), out);
  }

  // Fids and rights

  #fid(from: Reader): Fid {
    return this.#fids.known(from.u32());
  }

  *#file(fid: Fid): Steps<HostFile> {
    if (fid.flags === undefined || fid.entries) throw new FolderError(fid.entries ? "EISDIR" : "EBADF");
    if (!fid.file) {
      const { flags } = fid;
      const path = pathOf(fid.place);
      const file = yield* value(this.#folder.open(path, modeOf(flags)));
      // Two may have waited for it.
      if (fid.file || !fid.alive) yield* value(file.close());
      else fid.file = file;
      if (!fid.file) throw new FolderError("EBADF");
    }
    return fid.file;
  }

  /** A directory's fid and a name that is to be made in it. */
  #entry(from: Reader): Path {
    const fid = this.#fid(from);
    this.#writable();
    return join(fid.place, from.string());
  }

  #writable(): void {
    if (this.#folder.readOnly) throw new FolderError("EROFS");
  }

  // Saved state

  export(): P9ServerV1 {
    const fids = [...this.#fids].map(([fid, { place, flags }]) => {
      const { path } = place;
      return { fid, path: path && [...path], flags };
    });
    return { version: 1, msize: this.#msize, fids, folder: this.#folder.export?.() };
  }

  /** What puts a checked state in. @throws SnapshotError */
  check(from: SnapshotFields): () => void {
    from.version(1);
    const msize = from.int("msize", MIN_MSIZE, MAX_MSIZE);
    const list = from.array("fids", 0, MAX_FIDS).map((_, i) => {
      const fields = from.item("fids", i);
      const path = fields.optional("path");
      if (
        path !== undefined &&
        !(Array.isArray(path) && path.every((name) => typeof name === "string" && isName(name)))
      ) {
        fields.fail("path", "not a list of names");
      }
      const flags = fields.optional("flags") === undefined ? undefined : fields.int("flags", 0, REOPEN);
      return { number: fields.int("fid", 0, NO_FID - 1), path: path as string[] | undefined, flags };
    });
    const contents = from.optional("folder");
    if (this.#folder.check && contents === undefined) from.fail("folder", "is missing");
    const folder = this.#folder.check?.(contents);
    return () => {
      this.reset();
      this.#msize = msize;
      folder?.();
      for (const { number, path, flags } of list) {
        // What was gone is gone.
        const place = path ? this.#places.at(path) : this.#places.gone();
        this.#fids.set(number, { ...fidAt(place), flags });
      }
    };
  }
}
