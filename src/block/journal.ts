/**
 * A store of blocks that outlives the machine, the tab and a crash of either: what was there at the last flush that returned is
 * there when it is opened again, all of it and nothing else, whatever of the writes since then has reached the disk.
 *
 *     data     slots of BLOCK bytes; a block's slot is never overwritten before another flush has made it free
 *     log A, B records of 24 bytes:
 *              kind 31:0 | generation 31:0 | block 31:0 | slot 31:0 | CRC of the data 31:0 | CRC of the record 31:0
 *
 * A flush makes the data safe first, then appends a record for each block and a commit record with the CRC of all records since
 * the last, and makes the log safe. Opening reads the log up to its last good commit. A log that has become long is written
 * anew as the other one, with the next generation, and counts from its first commit on; so one good log is there at any time.
 */
import { joinBytes } from "../shared/bytes.ts";
import { BlockError } from "./block.ts";
import { BLOCK, type BlockStore } from "./blockStore.ts";
import { crc32 } from "./crc32.ts";

/** A file that is written in place: an OPFS access handle, or a file of the host. */
export interface StableFile {
  readonly size: number;
  /** Fills `into` from `at` on; the range lies inside. */
  read(at: number, into: Uint8Array): void;
  write(at: number, from: Uint8Array): void;
  truncate(size: number): void;
  /** What was written is safe when it returns. */
  flush(): void;
}

export interface JournalFiles {
  readonly data: StableFile;
  readonly logs: readonly [StableFile, StableFile];
}

const RECORD = 24;
/** Kinds of records: the first of a log, with the medium's size; a block's place; the end of a flush. */
const HEADER = 0x4854_4254;
const PLACE = 1;
const COMMIT = 2;
/** Instead of a slot: the block is zeros. */
const NO_SLOT = 0xffff_ffff;
/** Blocks that are written before they are made safe without being asked for: 16 MiB. */
const MOST_LOOSE = 4096;
/** Records of a log before it is written anew, if most of them are of the past. */
const LONG_LOG = 0x1_0000;

interface Place {
  readonly slot: number;
  readonly crc: number;
}

interface Log {
  readonly generation: number;
  readonly places: Map<number, Place>;
  /** Bytes up to the last good commit. */
  readonly end: number;
}

const ZEROS = new Uint8Array(BLOCK);

export class JournalStore implements BlockStore {
  readonly #files: JournalFiles;
  readonly #size: number;
  readonly #longLog: number;
  readonly #places: Map<number, Place>;
  /** Blocks whose place the log does not know yet. */
  readonly #loose = new Set<number>();
  /** Slots that no flush has tried to make part of what a crash brings back: they may be overwritten. */
  readonly #fresh = new Set<number>();
  /** Slots that nothing needs, and those that only the last flush's state needs. */
  #free: number[] = [];
  #freeAfterFlush: number[] = [];
  #slots: number;
  #current: 0 | 1;
  #generation: number;
  #end: number;

  /**
   * Opens a store, or makes one in files that are empty.
   *
   * @param size bytes of the medium that it belongs to
   * @param longLog records that a log may have before it is written anew
   * @throws BlockError: the files are another medium's, or no log of the two can be read
   */
  constructor(files: JournalFiles, size: number, name: string, longLog = LONG_LOG) {
    this.#files = files;
    this.#size = size;
    this.#longLog = longLog;
    const found = files.logs.map((file) => readLog(file, size, name));
    const [a, b] = found;
    this.#current = (b?.generation ?? 0) > (a?.generation ?? 0) ? 1 : 0;
    const log = found[this.#current];
    if (!log && files.data.size > 0) throw new BlockError(`${name}: what was kept of it cannot be read any more`);
    this.#places = log?.places ?? new Map();
    this.#generation = log?.generation ?? 0;
    this.#end = log?.end ?? 0;
    this.#slots = 0;
    const used = new Set<number>();
    for (const { slot } of this.#places.values()) if (slot !== NO_SLOT) used.add(slot);
    for (const slot of used) this.#slots = Math.max(this.#slots, slot + 1);
    for (let slot = 0; slot < this.#slots; slot++) if (!used.has(slot)) this.#free.push(slot);
    if (!log) this.#rewrite();
  }

  /** Bytes that the files take. */
  get bytes(): number {
    return this.#slots * BLOCK + this.#files.logs[0].size + this.#files.logs[1].size;
  }

  /** What the last flush has made safe is known by this: it is another after each flush that had anything to do. */
  get stamp(): string {
    const commit = new Uint8Array(RECORD);
    this.#files.logs[this.#current].read(this.#end - RECORD, commit);
    return `${this.#generation}.${this.#end}.${crc32(commit).toString(16)}`;
  }

  has(n: number): boolean {
    return this.#places.has(n);
  }

  get(n: number): Uint8Array {
    const { slot, crc } = this.#places.get(n) as Place;
    if (slot === NO_SLOT) return ZEROS;
    const block = new Uint8Array(BLOCK);
    this.#files.data.read(slot * BLOCK, block);
    if (crc32(block) !== crc) throw new BlockError(`block ${n} of what was kept is damaged`);
    return block;
  }

  put(n: number, block: Uint8Array): void {
    const before = this.#places.get(n)?.slot ?? NO_SLOT;
    const mine = this.#fresh.has(before);
    const slot = mine ? before : (this.#free.pop() ?? this.#slots++);
    try {
      this.#files.data.write(slot * BLOCK, block);
    } catch (error) {
      if (!mine) this.#free.push(slot);
      throw unkept(error);
    }
    this.#fresh.add(slot);
    this.#move(n, { slot, crc: crc32(block) });
    if (this.#loose.size >= MOST_LOOSE) this.flush();
  }

  clear(n: number): void {
    this.#move(n, { slot: NO_SLOT, crc: 0 });
  }

  #move(n: number, place: Place): void {
    const before = this.#places.get(n)?.slot ?? NO_SLOT;
    if (before !== NO_SLOT && before !== place.slot) {
      (this.#fresh.has(before) ? this.#free : this.#freeAfterFlush).push(before);
    }
    this.#places.set(n, place);
    this.#loose.add(n);
  }

  flush(): void {
    if (!this.#loose.size) return;
    this.#fresh.clear();
    try {
      this.#files.data.flush();
      const log = this.#files.logs[this.#current];
      const records = this.#records(this.#generation, this.#loose);
      log.write(this.#end, records);
      log.flush();
      this.#end += records.length;
    } catch (error) {
      throw unkept(error);
    }
    this.#settle();
    if (this.#end / RECORD <= this.#longLog || this.#end / RECORD <= 4 * this.#places.size) return;
    try {
      this.#rewrite();
    } catch {
      // The log is long and good; the next flush tries again.
    }
  }

  #settle(): void {
    this.#loose.clear();
    this.#free.push(...this.#freeAfterFlush.splice(0));
  }

  numbers(): Iterable<number> {
    return this.#places.keys();
  }

  empty(): void {
    const before = new Map(this.#places);
    this.#places.clear();
    try {
      this.#rewrite();
    } catch (error) {
      for (const [n, place] of before) this.#places.set(n, place);
      throw unkept(error);
    }
    this.#free = Array.from({ length: this.#slots }, (_, slot) => slot);
  }

  /** Places of `blocks`, and the commit that makes them count. */
  #records(generation: number, blocks: Iterable<number>): Uint8Array {
    const records: Uint8Array[] = [];
    for (const n of blocks) {
      const { slot, crc } = this.#places.get(n) as Place;
      records.push(record(PLACE, generation, n, slot, crc));
    }
    const body = joinBytes(records);
    return joinBytes([body, record(COMMIT, generation, records.length, 0, crc32(body))]);
  }

  /** Writes everything into the other log, which counts from then on. */
  #rewrite(): void {
    const other = this.#current === 0 ? 1 : 0;
    const [file, old] = [this.#files.logs[other], this.#files.logs[this.#current]];
    const generation = this.#generation + 1;
    this.#fresh.clear();
    this.#files.data.flush();
    const head = record(HEADER, generation, this.#size >>> 0, Math.floor(this.#size / 2 ** 32), BLOCK);
    const bytes = joinBytes([head, this.#records(generation, this.#places.keys())]);
    file.truncate(0);
    file.write(0, bytes);
    file.flush();
    this.#generation = generation;
    this.#current = other;
    this.#end = bytes.length;
    this.#settle();
    old.truncate(0);
  }
}

/** The medium's way to say that a write was refused: no room, most often. */
const unkept = (error: unknown): BlockError => new BlockError(`cannot be kept: ${(error as Error).message ?? error}`);

function record(kind: number, generation: number, block: number, slot: number, crc: number): Uint8Array {
  const bytes = new Uint8Array(RECORD);
  const view = new DataView(bytes.buffer);
  [kind, generation, block, slot, crc].forEach((word, i) => {
    view.setUint32(4 * i, word, true);
  });
  view.setUint32(20, crc32(bytes.subarray(0, 20)), true);
  return bytes;
}

/** What a log says up to its last good commit; undefined: it has none. @throws BlockError: another medium's */
function readLog(file: StableFile, size: number, name: string): Log | undefined {
  const bytes = new Uint8Array(file.size - (file.size % RECORD));
  file.read(0, bytes);
  const view = new DataView(bytes.buffer);
  const word = (at: number, n: number): number => view.getUint32(at + 4 * n, true);
  const good = (at: number): boolean =>
    at + RECORD <= bytes.length && word(at, 5) === crc32(bytes.subarray(at, at + 20));
  if (!good(0) || word(0, 0) !== HEADER) return undefined;
  const generation = word(0, 1);
  const kept = word(0, 3) * 2 ** 32 + word(0, 2);
  if (kept !== size)
    throw new BlockError(`${name}: what was kept belongs to an image of ${kept} bytes, this has ${size}`);
  const places = new Map<number, Place>();
  let end = 0;
  for (let from = RECORD, at = from; good(at) && word(at, 1) === generation; at += RECORD) {
    if (word(at, 0) !== COMMIT) continue;
    if (word(at, 2) * RECORD !== at - from || word(at, 4) !== crc32(bytes.subarray(from, at))) break;
    for (; from < at; from += RECORD) places.set(word(from, 2), { slot: word(from, 3), crc: word(from, 4) });
    from = at + RECORD;
    end = from;
  }
  return end ? { generation, places, end } : undefined;
}
