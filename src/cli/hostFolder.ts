/**
 * A directory of the host for a guest to share. Nothing outside it can be reached, whatever the guest or anybody else does to
 * it meanwhile: each directory on the way to a file is opened by its name in the one before, and a symbolic link is not
 * followed but refused. Node has no openat(2); on Linux a name below /proc/self/fd/N is looked up in the open directory N,
 * which is the same. Elsewhere each name is looked at before it is used, which a process of the host that changes the
 * directory in that moment can defeat; a guest cannot, for it has one thing done at a time.
 */
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmdirSync,
  statfsSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import {
  type FileChange,
  type FileStat,
  type FolderEntry,
  FolderError,
  type FolderSpace,
  type HostFile,
  type HostFolder,
  type Kind,
  type OpenMode,
  type Path,
} from "../folder/folder.ts";
import { flushed } from "./files.ts";

const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;
/** Linux's O_PATH: names a file and does not open it. */
const O_PATH = 0o10000000;
/** What else separates names where the host is no Unix. */
const SEPARATORS = process.platform === "win32" ? /[\\:]/ : undefined;
/** What a guest may set on the host: no program of its making runs there as somebody else. */
const MODE = 0o1777;
const BY_DESCRIPTOR = process.platform === "linux" && existsSync("/proc/self/fd");
type BigStat = NonNullable<ReturnType<typeof lstatSync>> & ReturnType<typeof fstatBig>;

const fstatBig = (fd: number) => fstatSync(fd, { bigint: true });
const lstatBig = (path: string) => lstatSync(path, { bigint: true });

export class HostDirectory implements HostFolder {
  readonly readOnly: boolean;
  readonly #root: string;
  /** The directory itself, open. */
  readonly #fd: number;

  /** @throws an error of the file system: it is not there, or no directory */
  constructor(directory: string, readOnly: boolean) {
    this.readOnly = readOnly;
    this.#root = realpathSync(directory);
    this.#fd = openSync(this.#root, O_RDONLY | O_DIRECTORY);
  }

  stat(path: Path): FileStat {
    if (path.length === 0) return statOf(fstatBig(this.#fd));
    return this.#at(path, (place) => statOf(lstatBig(place)));
  }

  list(path: Path): FolderEntry[] {
    return this.#inside(path, (place) =>
      readdirSync(place).flatMap((name) => {
        try {
          const { kind, id } = statOf(lstatBig(join(place, name)));
          return { name, kind, id };
        } catch {
          // Gone since, or not to be looked at.
          return [];
        }
      }),
    );
  }

  open(path: Path, mode: OpenMode): HostFile {
    return this.#at(path, (place) => this.#regular(place, mode));
  }

  create(path: Path, permissions: number, mode: OpenMode, exclusive: boolean): HostFile {
    return this.#at(path, (place) => {
      try {
        const fd = openSync(place, flagsOf(mode) | O_CREAT | O_EXCL, permissions & MODE);
        return new OpenFile(fd, mode.append);
      } catch (error) {
        if (exclusive || (error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      return this.#regular(place, mode);
    });
  }

  makeDirectory(path: Path, permissions: number): void {
    this.#at(path, (place) => mkdirSync(place, permissions & MODE));
  }

  makeSymlink(path: Path, target: string): void {
    this.#at(path, (place) => symlinkSync(target, place));
  }

  link(from: Path, to: Path): void {
    // link(2) does not follow the last name.
    this.#at(from, (old) => this.#at(to, (place) => linkSync(old, place)));
  }

  readSymlink(path: Path): string {
    return this.#at(path, (place) => readlinkSync(place));
  }

  rename(from: Path, to: Path): void {
    this.#at(from, (old) => this.#at(to, (place) => renameSync(old, place)));
  }

  remove(path: Path, directory: boolean): void {
    this.#at(path, (place) => (directory ? rmdirSync(place) : unlinkSync(place)));
  }

  /** The owner stays: files of the guest are its host's user's. */
  change(path: Path, change: FileChange): void {
    if (path.length === 0) {
      this.#changeNode(BY_DESCRIPTOR ? `/proc/self/fd/${this.#fd}/.` : this.#root, change, "directory");
      return;
    }
    this.#at(path, (place) => {
      if (!BY_DESCRIPTOR) {
        this.#changeNode(place, change, statOf(lstatBig(place)).kind);
        return;
      }
      // What has this name now and no other time.
      const fd = openSync(place, O_PATH | O_NOFOLLOW);
      try {
        const { kind } = statOf(fstatBig(fd));
        if (kind === "symlink") this.#changeNode(place, change, kind);
        else this.#changeNode(`/proc/self/fd/${fd}`, change, kind);
      } finally {
        closeSync(fd);
      }
    });
  }

  #changeNode(place: string, { mode, size, accessed, modified }: FileChange, kind: Kind): void {
    if (kind === "symlink") {
      if (mode !== undefined) throw new FolderError("EOPNOTSUPP");
      if (size !== undefined) throw new FolderError("EINVAL");
    }
    if (size !== undefined) {
      if (kind !== "file") throw new FolderError(kind === "directory" ? "EISDIR" : "EINVAL");
      truncateSync(place, size);
    }
    if (mode !== undefined) chmodSync(place, mode & MODE);
    if (accessed === undefined && modified === undefined) return;
    // lutimes does not follow /proc's links either; a directory's or file's own place is named from inside.
    if (kind === "symlink" || !BY_DESCRIPTOR) {
      const now = lstatBig(place);
      lutimesSync(place, seconds(accessed ?? now.atimeNs), seconds(modified ?? now.mtimeNs));
    } else withFile(place, kind, (fd) => setTimes(fd, accessed, modified));
  }

  space(): FolderSpace {
    const { bsize, blocks, bavail, files, ffree } = statfsSync(
      BY_DESCRIPTOR ? `/proc/self/fd/${this.#fd}/.` : this.#root,
    );
    return { bytes: blocks * bsize, free: bavail * bsize, files, freeFiles: ffree };
  }

  /** Opens an ordinary file that is there: nothing that would wait, and nothing that is a device. */
  #regular(place: string, mode: OpenMode): HostFile {
    const flags = flagsOf(mode) | O_NONBLOCK;
    let fd: number;
    if (BY_DESCRIPTOR) {
      const named = openSync(place, O_PATH | O_NOFOLLOW);
      try {
        refuseOthers(statOf(fstatBig(named)).kind);
        // The very file that was looked at.
        fd = openSync(`/proc/self/fd/${named}`, flags);
      } finally {
        closeSync(named);
      }
    } else {
      refuseOthers(statOf(lstatBig(place)).kind);
      fd = openSync(place, flags | (O_NOFOLLOW ?? 0));
    }
    try {
      refuseOthers(statOf(fstatBig(fd)).kind);
      if (mode.truncate) ftruncateSync(fd, 0);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return new OpenFile(fd, mode.append);
  }

  /** Where the last name of a path is to be used, while the directories above it are held. */
  #at<T>(path: Path, use: (place: string) => T): T {
    const name = path.at(-1);
    if (name === undefined) throw new FolderError("EBUSY");
    if (SEPARATORS?.test(name)) throw new FolderError("EINVAL");
    return this.#inside(path.slice(0, -1), (place) => use(join(place, name)));
  }

  /** The same for what is in a directory. */
  #inside<T>(path: Path, use: (place: string) => T): T {
    if (SEPARATORS && path.some((name) => SEPARATORS.test(name))) throw new FolderError("EINVAL");
    if (!BY_DESCRIPTOR) {
      let place = this.#root;
      for (const name of path) {
        place = join(place, name);
        if (!lstatSync(place).isDirectory()) throw new FolderError("ENOTDIR");
      }
      return use(place);
    }
    let fd = this.#fd;
    try {
      for (const name of path) {
        const next = openSync(`/proc/self/fd/${fd}/${name}`, O_PATH | O_NOFOLLOW | O_DIRECTORY);
        if (fd !== this.#fd) closeSync(fd);
        fd = next;
      }
      return use(`/proc/self/fd/${fd}`);
    } finally {
      if (fd !== this.#fd) closeSync(fd);
    }
  }
}

class OpenFile implements HostFile {
  readonly #fd: number;
  readonly #append: boolean;
  #open = true;

  constructor(fd: number, append: boolean) {
    this.#fd = fd;
    this.#append = append;
  }

  /** The number may be another file's when this one is closed. */
  #here(): number {
    if (!this.#open) throw new FolderError("EBADF");
    return this.#fd;
  }

  read(at: number, into: Uint8Array): number {
    let done = 0;
    while (done < into.length) {
      const n = readSync(this.#here(), into, done, into.length - done, at + done);
      if (n === 0) break;
      done += n;
    }
    return done;
  }

  write(at: number, from: Uint8Array): number {
    return writeSync(this.#here(), from, 0, from.length, this.#append ? null : at);
  }

  stat(): FileStat {
    return statOf(fstatBig(this.#here()));
  }

  change({ mode, size, accessed, modified }: FileChange): void {
    const fd = this.#here();
    if (size !== undefined) ftruncateSync(fd, size);
    if (mode !== undefined) fchmodSync(fd, mode & MODE);
    if (accessed !== undefined || modified !== undefined) setTimes(fd, accessed, modified);
  }

  flush(): Promise<void> {
    return flushed(this.#here());
  }

  close(): void {
    closeSync(this.#here());
    this.#open = false;
  }
}

function flagsOf({ read, write, append }: OpenMode): number {
  return (write ? (read ? O_RDWR : O_WRONLY) : O_RDONLY) | (append ? O_APPEND : 0);
}

function refuseOthers(kind: Kind): void {
  if (kind === "file") return;
  throw new FolderError(kind === "symlink" ? "ELOOP" : kind === "directory" ? "EISDIR" : "EPERM");
}

function withFile(place: string, kind: Kind, use: (fd: number) => void): void {
  if (kind === "other") throw new FolderError("EPERM");
  const fd = openSync(place, O_RDONLY | O_NONBLOCK);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}

const seconds = (ns: bigint): number => Number(ns) / 1e9;

function setTimes(fd: number, accessed: bigint | undefined, modified: bigint | undefined): void {
  const now = fstatBig(fd);
  futimesSync(fd, seconds(accessed ?? now.atimeNs), seconds(modified ?? now.mtimeNs));
}

function statOf(stat: BigStat): FileStat {
  const kind: Kind = stat.isFile()
    ? "file"
    : stat.isDirectory()
      ? "directory"
      : stat.isSymbolicLink()
        ? "symlink"
        : "other";
  return {
    kind,
    // File systems below one another number their files by themselves.
    id: BigInt.asUintN(64, stat.ino ^ (stat.dev << 48n)),
    mode: Number(stat.mode) & 0o7777,
    links: Number(stat.nlink),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: Number(stat.size),
    accessed: stat.atimeNs,
    modified: stat.mtimeNs,
    changed: stat.ctimeNs,
  };
}
