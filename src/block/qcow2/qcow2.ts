/**
 * A qcow2 image, read: its active state, not its internal snapshots. Writes are for an overlay above it.
 *
 *     L1 entry   offset of an L2 table 55:9
 *     L2 entry   compressed 62 | offset 55:9 | reads as zeros 0 (version 3)
 *                compressed: sectors after the first 61:x | offset x-1:0, with x = 62 - (cluster bits - 8)
 */
import { BlockError, type BlockSource } from "../block.ts";
import { loadZstd, type Unzstd, zstdFrameLength } from "../zstd.ts";
import { type Qcow2Header, readHeader } from "./header.ts";

/** Unpacks raw deflate (RFC 1951) up to `size` bytes, whatever follows; undefined: damaged, or shorter. */
export type InflateRaw = (packed: Uint8Array, size: number) => Uint8Array | undefined | Promise<Uint8Array | undefined>;

/** Bytes of L2 tables, and of unpacked clusters, that are kept; at least one of each is. */
const KEPT_TABLES = 16 << 20;
const KEPT_CLUSTERS = 8 << 20;

const OFFSET = 0x00ff_ffff_ffff_fe00n;
const COMPRESSED = 1n << 62n;
const READS_ZERO = 1n;

export interface Qcow2Options {
  /** What the image lies over, where it does. */
  readonly backing?: BlockSource | undefined;
  readonly inflateRaw?: InflateRaw;
}

type Later<T> = T | Promise<T>;
/** Goes on at once with what is there at once. */
const then = <T, U>(value: Later<T>, next: (value: T) => Later<U>): Later<U> =>
  value instanceof Promise ? value.then(next) : next(value);

export class Qcow2Blocks implements BlockSource {
  readonly size: number;
  readonly readOnly = true;
  readonly #image: BlockSource;
  readonly #name: string;
  readonly #header: Qcow2Header;
  readonly #l1: DataView;
  readonly #backing: BlockSource | undefined;
  readonly #unpack: InflateRaw;
  readonly #tables = new Kept<DataView>();
  readonly #clusters = new Kept<Uint8Array>();

  private constructor(
    image: BlockSource,
    name: string,
    header: Qcow2Header,
    l1: DataView,
    options: Qcow2Options,
    unpack: InflateRaw,
  ) {
    this.#image = image;
    this.#name = name;
    this.#header = header;
    this.#l1 = l1;
    this.#backing = options.backing;
    this.#unpack = unpack;
    this.size = header.size;
  }

  /** @throws BlockError in the promise, with one line that says what is not read, or damaged */
  static async open(image: BlockSource, name: string, options: Qcow2Options = {}): Promise<Qcow2Blocks> {
    const header = await readHeader(image, name);
    const { backing, l1 } = header;
    if (backing && !options.backing) {
      throw new BlockError(
        `${name}: lies over a backing file, ${backing.name}, which was not given; “qemu-img convert” makes one image of both`,
      );
    }
    const table = new Uint8Array(8 * l1.entries);
    await image.read(l1.offset, table);
    const unpack = header.compression === "zstd" ? unpackZstd(await loadZstd()) : (options.inflateRaw ?? inflateRaw);
    return new Qcow2Blocks(image, name, header, new DataView(table.buffer), options, unpack);
  }

  read(offset: number, into: Uint8Array): void | Promise<void> {
    const cluster = 2 ** this.#header.clusterBits;
    const waiting: Promise<void>[] = [];
    for (let at = 0; at < into.length; ) {
      const within = (offset + at) % cluster;
      const part = into.subarray(at, at + cluster - within);
      const from = offset + at;
      at += part.length;
      try {
        const done = then(this.#entry(from), (entry) => this.#part(entry, from, within, part));
        if (done) waiting.push(done);
      } catch (error) {
        // What was begun before is not left without anybody who hears of it.
        if (!waiting.length) throw error;
        waiting.push(Promise.reject(error));
        break;
      }
    }
    return waiting.length ? Promise.all(waiting).then(() => {}) : undefined;
  }

  write(): never {
    throw new BlockError(`${this.#name}: cannot be written`);
  }

  flush(): void {}

  /** The L2 entry of the cluster that `at` is in; 0: there is none. */
  #entry(at: number): Later<bigint> {
    const { clusterBits } = this.#header;
    const n = Math.floor(at / 2 ** clusterBits);
    const perTable = 2 ** (clusterBits - 3);
    const table = Number(this.#l1.getBigUint64(8 * Math.floor(n / perTable)) & OFFSET);
    if (!table) return 0n;
    const entry = (view: DataView): bigint => view.getBigUint64(8 * (n % perTable));
    const kept = this.#tables.get(table);
    if (kept) return entry(kept);
    const bytes = new Uint8Array(8 * perTable);
    if (table + bytes.length > this.#image.size) this.#damaged(at, "its L2 table is outside of the file");
    return then(this.#image.read(table, bytes), () => {
      const view = new DataView(bytes.buffer);
      this.#tables.put(table, view, KEPT_TABLES / bytes.length);
      return entry(view);
    });
  }

  #part(entry: bigint, at: number, within: number, part: Uint8Array): Later<void> {
    if (entry & COMPRESSED) {
      return then(this.#unpacked(entry, at), (bytes) => part.set(bytes.subarray(within, within + part.length)));
    }
    if (this.#header.version === 3 && entry & READS_ZERO) return void part.fill(0);
    const offset = Number(entry & OFFSET);
    if (!offset) return this.#below(at, part);
    if (offset % 2 ** this.#header.clusterBits) this.#damaged(at, "it does not begin where a cluster does");
    if (offset >= this.#image.size) this.#damaged(at, "it is outside of the file");
    return padded(this.#image, offset + within, part);
  }

  #below(at: number, part: Uint8Array): Later<void> {
    return this.#backing ? padded(this.#backing, at, part) : void part.fill(0);
  }

  #unpacked(entry: bigint, at: number): Later<Uint8Array> {
    const { clusterBits } = this.#header;
    const shift = BigInt(62 - (clusterBits - 8));
    const offset = Number(entry & ((1n << shift) - 1n));
    const sectors = Number((entry & (COMPRESSED - 1n)) >> shift) + 1;
    const kept = this.#clusters.get(offset);
    if (kept) return kept;
    const length = Math.min(sectors * 512 - (offset % 512), this.#image.size - offset);
    if (length <= 0) this.#damaged(at, "it is outside of the file");
    const packed = new Uint8Array(length);
    const cluster = 2 ** clusterBits;
    return then(
      then(this.#image.read(offset, packed), () => this.#unpack(packed, cluster)),
      (bytes) => {
        if (!bytes) return this.#damaged(at, "it cannot be unpacked");
        this.#clusters.put(offset, bytes, KEPT_CLUSTERS / cluster);
        return bytes;
      },
    );
  }

  #damaged(at: number, why: string): never {
    const n = Math.floor(at / 2 ** this.#header.clusterBits);
    throw new BlockError(`${this.#name}: cluster ${n} of the qcow2 image is damaged: ${why}`);
  }
}

/** Reads; what is behind the end is zeros. */
function padded(source: BlockSource, at: number, part: Uint8Array): Later<void> {
  const there = Math.min(part.length, Math.max(0, source.size - at));
  part.fill(0, there);
  return there ? source.read(at, part.subarray(0, there)) : undefined;
}

/** By number, the least recently used go first. */
class Kept<T> {
  readonly #all = new Map<number, T>();

  get(n: number): T | undefined {
    const found = this.#all.get(n);
    if (found) {
      this.#all.delete(n);
      this.#all.set(n, found);
    }
    return found;
  }

  put(n: number, value: T, most: number): void {
    this.#all.set(n, value);
    for (const old of this.#all.keys()) {
      if (this.#all.size <= Math.max(1, most)) break;
      this.#all.delete(old);
    }
  }
}

/** The frame is followed by what fills its last sector. */
const unpackZstd =
  (unzstd: Unzstd): InflateRaw =>
  (packed, size) => {
    const length = zstdFrameLength(packed);
    return length === undefined ? undefined : unzstd(packed.subarray(0, length), size);
  };

/** By the platform's stream, which refuses what follows the end: so nothing is read once there is enough. */
export async function inflateRaw(packed: Uint8Array, size: number): Promise<Uint8Array | undefined> {
  const stream = new DecompressionStream("deflate-raw");
  const writer = stream.writable.getWriter();
  // What is refused is told by the other end.
  writer.write(packed as BufferSource).catch(() => {});
  writer.close().catch(() => {});
  const reader = (stream.readable as ReadableStream<Uint8Array>).getReader();
  const bytes = new Uint8Array(size);
  try {
    for (let at = 0; at < size; ) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      bytes.set(value.subarray(0, size - at), at);
      at += value.length;
    }
    return bytes;
  } catch {
    return undefined;
  } finally {
    void reader.cancel().catch(() => {});
  }
}
