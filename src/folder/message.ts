/** Messages of 9P2000.L, little-endian: size 31:0 | type 7:0 | tag 15:0 | what the type has. */
import { FolderError } from "./folder.ts";

/** Types of requests; the answer's is one more. */
export const T = {
  ...{ lerror: 6, statfs: 8, lopen: 12, lcreate: 14, symlink: 16, mknod: 18, rename: 20, readlink: 22, getattr: 24 },
  ...{ setattr: 26, xattrwalk: 30, xattrcreate: 32, readdir: 40, fsync: 50, lock: 52, getlock: 54, link: 70 },
  ...{ mkdir: 72, renameat: 74, unlinkat: 76, version: 100, auth: 102, attach: 104, flush: 108, walk: 110 },
  ...{ read: 116, write: 118, clunk: 120, remove: 122 },
} as const;

/** Bytes before what the type has. */
export const HEADER = 7;
export const QID_SIZE = 13;
/** Bits of a qid's type. */
export const QID = { directory: 0x80, symlink: 0x02, file: 0 } as const;

const U64 = 2 ** 32;

/** Reads a request. What lies beyond its end is EINVAL. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = HEADER;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  #take(n: number): number {
    const at = this.#at;
    if (at + n > this.#bytes.length) throw new FolderError("EINVAL");
    this.#at += n;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  /** A position or size; beyond what a number holds exactly there are no files. */
  size(): number {
    const at = this.#take(8);
    const n = this.#view.getUint32(at + 4, true) * U64 + this.#view.getUint32(at, true);
    if (!Number.isSafeInteger(n)) throw new FolderError("EFBIG");
    return n;
  }

  string(): string {
    const n = this.u16();
    const at = this.#take(n);
    return new TextDecoder().decode(this.#bytes.subarray(at, at + n));
  }

  bytes(n: number): Uint8Array {
    const at = this.#take(n);
    return this.#bytes.subarray(at, at + n);
  }
}

/** Writes answers, one after the other, each of at most `room` bytes; what does not fit is EINVAL. */
export class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #at = HEADER;
  room = 0;

  constructor(room = 0) {
    this.room = room;
  }

  /** Begins another one. What `message` has given before is over. */
  begin(room: number): this {
    this.room = room;
    this.#at = HEADER;
    return this;
  }

  get length(): number {
    return this.#at;
  }

  #take(n: number): number {
    const at = this.#at;
    const end = at + n;
    if (end > this.room) throw new FolderError("EINVAL");
    if (end > this.#bytes.length) {
      const more = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      more.set(this.#bytes);
      this.#bytes = more;
      this.#view = new DataView(more.buffer);
    }
    this.#at = end;
    return at;
  }

  u8(value: number): this {
    this.#view.setUint8(this.#take(1), value);
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#take(2), value, true);
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#take(4), value, true);
    return this;
  }

  u64(value: bigint): this {
    this.#view.setBigUint64(this.#take(8), BigInt.asUintN(64, value), true);
    return this;
  }

  string(text: string): this {
    const bytes = new TextEncoder().encode(text);
    if (bytes.length > 0xffff) throw new FolderError("ENAMETOOLONG");
    return this.u16(bytes.length).bytes(bytes);
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** Room for so many bytes at the end, which hold anything. */
  space(n: number): Uint8Array {
    const at = this.#take(n);
    return this.#bytes.subarray(at, at + n);
  }

  /** Takes back what is behind `length`. */
  cut(length: number): void {
    this.#at = length;
  }

  u32At(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  qid(type: number, version: number, path: bigint): this {
    return this.u8(type)
      .u32(version >>> 0)
      .u64(path);
  }

  /** The message, with its header. */
  message(type: number, tag: number): Uint8Array {
    this.#view.setUint32(0, this.#at, true);
    this.#view.setUint8(4, type);
    this.#view.setUint16(5, tag, true);
    return this.#bytes.subarray(0, this.#at);
  }
}
