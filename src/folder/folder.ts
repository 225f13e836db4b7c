/**
 * A folder of the host that a guest shares: what a 9P server (server.ts) needs of it. Places in it are paths, lists of names
 * from its root; no name is empty, `.`, `..` or has a slash. Symbolic links are for the guest to follow: none is ever followed
 * here, neither as the last name of a path nor before it.
 *
 * Folders that answer at once return values, so that a guest's time goes by itself alone; others return promises.
 */
export type Later<T> = T | Promise<T>;
export type Path = readonly string[];
export type Kind = "file" | "directory" | "symlink" | "other";

export interface FileStat {
  readonly kind: Kind;
  /** Tells it from all others in the folder, and stays when it is renamed. */
  readonly id: bigint;
  /** Permission bits. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly accessed: bigint;
  readonly modified: bigint;
  readonly changed: bigint;
}

/** What is to be changed of a file; what is left out stays. */
export interface FileChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly accessed?: bigint;
  readonly modified?: bigint;
}

export interface FolderEntry {
  readonly name: string;
  readonly kind: Kind;
  readonly id: bigint;
}

export interface OpenMode {
  readonly read: boolean;
  readonly write: boolean;
  readonly truncate: boolean;
  readonly append: boolean;
}

/** An open file. It goes on after its name is gone. */
export interface HostFile {
  /** Bytes read; fewer than asked for at the end. */
  read(at: number, into: Uint8Array): Later<number>;
  /** Bytes written. */
  write(at: number, from: Uint8Array): Later<number>;
  stat(): Later<FileStat>;
  change(change: FileChange): Later<void>;
  /** What was written is safe when it is done. */
  flush(): Later<void>;
  close(): Later<void>;
}

export interface FolderSpace {
  readonly bytes: number;
  readonly free: number;
  readonly files: number;
  readonly freeFiles: number;
}

/** Every operation throws FolderError, or an error with a `code` as Node's have it, here or in the promise. */
export interface HostFolder {
  readonly readOnly: boolean;
  stat(path: Path): Later<FileStat>;
  /** Of a directory, without `.` and `..`. */
  list(path: Path): Later<readonly FolderEntry[]>;
  /** A file that is there. */
  open(path: Path, mode: OpenMode): Later<HostFile>;
  /** Makes a file if there is none; with `exclusive` there may be none. */
  create(path: Path, permissions: number, mode: OpenMode, exclusive: boolean): Later<HostFile>;
  makeDirectory(path: Path, permissions: number): Later<void>;
  makeSymlink(path: Path, target: string): Later<void>;
  /** Another name for a file. */
  link(from: Path, to: Path): Later<void>;
  readSymlink(path: Path): Later<string>;
  /** Takes the place of what is there, as rename(2) does. */
  rename(from: Path, to: Path): Later<void>;
  remove(path: Path, directory: boolean): Later<void>;
  change(path: Path, change: FileChange): Later<void>;
  space(): Later<FolderSpace>;
  /** Contents that a snapshot must hold, because they are nowhere else. */
  export?(): object;
  /** Checks what `export` gave; the result puts it in. @throws SnapshotError */
  check?(state: unknown): () => void;
}

/** Linux's numbers of the errors that a folder has (asm-generic/errno.h). */
export const ERRNO = {
  ...{ EPERM: 1, ENOENT: 2, EIO: 5, EBADF: 9, ENOMEM: 12, EACCES: 13, EBUSY: 16, EEXIST: 17, EXDEV: 18 },
  ...{ ENOTDIR: 20, EISDIR: 21, EINVAL: 22, EMFILE: 24, EFBIG: 27, ENOSPC: 28, EROFS: 30, EMLINK: 31 },
  ...{ ENAMETOOLONG: 36, ENOTEMPTY: 39, ELOOP: 40, EOPNOTSUPP: 95, ESTALE: 116, EDQUOT: 122 },
} as const;
export type Errno = keyof typeof ERRNO;

/** What has gone wrong in a folder, by the name that Linux has for it. */
export class FolderError extends Error {
  readonly code: Errno;

  constructor(code: Errno) {
    super(code);
    this.name = "FolderError";
    this.code = code;
  }
}

/** Bytes of a name at most (NAME_MAX). */
export const NAME_MAX = 255;

/** Whether this can be the name of something in a folder. */
export const isName = (name: string): boolean =>
  name !== "" && name !== "." && name !== ".." && !name.includes("/") && !name.includes("\0");
