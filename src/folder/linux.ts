/** 9P2000.L as Linux's v9fs speaks it: flags, types and times, which are Linux's own, and those of a HostFolder. */
import type { FileStat, Kind, OpenMode } from "./folder.ts";
import { QID, type Writer } from "./message.ts";

export const NANOSECONDS = 1_000_000_000n;

/** Flags of lopen and lcreate: Linux's own for open(2). */
export const O = {
  accessMode: 3,
  writeOnly: 1,
  readWrite: 2,
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
} as const;
export const O_DIRECTORY = 0o200000;
/** What is kept of them to open a file again. */
export const REOPEN = O.accessMode | O.append;
export const S_IF: Readonly<Record<Kind, number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  other: 0,
};
/** Types in a directory (DT_*). */
export const DT: Readonly<Record<Kind, number>> = { file: 8, directory: 4, symlink: 10, other: 0 };
export const S_IFMT = 0o170000;
export const PERMISSIONS = 0o7777;
/** What getattr answers: all but birth, generation and data version (P9_STATS_BASIC). */
export const STATS_BASIC = 0x7ffn;
export const SET = {
  mode: 1,
  uid: 2,
  gid: 4,
  size: 8,
  atime: 0x10,
  mtime: 0x20,
  atimeGiven: 0x80,
  mtimeGiven: 0x100,
} as const;

export const reads = (flags = 0): boolean => (flags & O.accessMode) !== O.writeOnly;
export const writes = (flags = 0): boolean => (flags & O.accessMode) !== 0;
export const modeOf = (flags: number): OpenMode => ({
  read: reads(flags),
  write: writes(flags),
  truncate: (flags & O.truncate) !== 0,
  append: (flags & O.append) !== 0,
});

export const qidType = (kind: Kind): number =>
  kind === "directory" ? QID.directory : kind === "symlink" ? QID.symlink : QID.file;

/** The version changes with the contents. */
export function writeQid({ kind, id, size, modified }: FileStat, out: Writer): void {
  out.qid(qidType(kind), Number(BigInt.asUintN(32, modified)) ^ (size << 8), id);
}

/** Nanoseconds of a second, before 1970 too. */
export const modulo = (time: bigint): bigint => ((time % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
