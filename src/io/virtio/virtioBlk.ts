/**
 * virtio-blk over a BlockSource (Virtual I/O Device Version 1.2, 5.2): several queues, flush, write zeroes, discard where the
 * source can forget, a write cache that the driver may turn off.
 *
 *     request   type 31:0 | 31:0 | sector 63:0 | data … | status 7:0
 *
 * Not there: secure erase, zones, lifetime.
 */
import { type BlockContentsV1, type BlockSource, whenDone } from "../../block/block.ts";
import { checkContents } from "../../block/contents.ts";
import { Buffers } from "../buffers.ts";
import { byteLength, gather, scatter } from "../pieces.ts";
import type { SnapshotFields } from "../snapshotFields.ts";
import { readable, VirtioDevice, type VirtioOptions } from "./virtioDevice.ts";
import type { Chain } from "./virtqueue.ts";

export const SECTOR = 512;
const QUEUE_SIZE = 256;
/** Segments of a request and bytes of each. */
const SEG_MAX = 254;
const SIZE_MAX = 1 << 20;
/** Bytes that a request moves at most: what a driver has no reason to exceed. */
const MAX_TRANSFER = 16 << 20;
const MAX_ZEROES = 1 << 16;
const HEADER = 16;
const RANGE = 16;
const ID_LENGTH = 20;

const FEATURE = {
  sizeMax: 1n << 1n,
  segMax: 1n << 2n,
  readOnly: 1n << 5n,
  blkSize: 1n << 6n,
  flush: 1n << 9n,
  topology: 1n << 10n,
  configWce: 1n << 11n,
  multiQueue: 1n << 12n,
  discard: 1n << 13n,
  writeZeroes: 1n << 14n,
} as const;

const REQUEST = { in: 0, out: 1, flush: 4, getId: 8, discard: 11, writeZeroes: 13 } as const;
const OK = 0;
const IOERR = 1;
const UNSUPP = 2;

/** Offsets in the configuration. */
const WRITEBACK = 32;

export interface VirtioBlkOptions extends VirtioOptions {
  readonly source: BlockSource;
  /** At most 20 characters. */
  readonly serial: string;
  readonly queues: number;
}

export class VirtioBlk extends VirtioDevice {
  readonly type = 2;
  readonly #source: BlockSource;
  readonly #serial: string;
  readonly #buffers = new Buffers();
  #inFlight = 0;

  constructor(name: string, options: VirtioBlkOptions) {
    const { source } = options;
    let features =
      FEATURE.sizeMax | FEATURE.segMax | FEATURE.blkSize | FEATURE.flush | FEATURE.topology | FEATURE.configWce;
    features |= FEATURE.multiQueue;
    if (source.readOnly) features |= FEATURE.readOnly;
    else features |= FEATURE.writeZeroes | (source.discard ? FEATURE.discard : 0n);
    super(name, options, features, new Array(options.queues).fill(QUEUE_SIZE), 60);
    this.#source = source;
    this.#serial = options.serial;
    const { config } = this;
    config.setBigUint64(0, BigInt(Math.floor(source.size / SECTOR)), true);
    config.setUint32(8, SIZE_MAX, true);
    config.setUint32(12, SEG_MAX, true);
    config.setUint32(20, SECTOR, true);
    // Eight sectors are a physical block; an overlay's, too.
    config.setUint8(24, 3);
    config.setUint16(26, 8, true);
    config.setUint32(28, 8, true);
    config.setUint8(WRITEBACK, 1);
    config.setUint16(34, options.queues, true);
    config.setUint32(36, MAX_ZEROES, true);
    config.setUint32(40, 1, true);
    config.setUint32(44, 8, true);
    config.setUint32(48, MAX_ZEROES, true);
    config.setUint32(52, 1, true);
  }

  override get busy(): boolean {
    return this.#inFlight > 0;
  }

  override writeConfig(offset: number, size: number, value: number): void {
    if (offset === WRITEBACK && size === 1 && this.has(FEATURE.configWce)) this.config.setUint8(WRITEBACK, value & 1);
  }

  protected override onReset(): void {
    this.#inFlight = 0;
    this.config.setUint8(WRITEBACK, 1);
  }

  protected override serve(n: number): void {
    this.drain(n, (chain) => this.#request(n, chain));
    this.signal(n);
  }

  #request(n: number, chain: Chain): boolean {
    const room = byteLength(chain.writable);
    const available = byteLength(chain.readable);
    if (room === 0 || available < HEADER) {
      this.fail(`a request of ${available} bytes with room for ${room}`);
      return false;
    }
    const { epoch } = this;
    let late = false;
    this.#inFlight++;
    const done = (status: number, data?: Uint8Array): void => {
      if (epoch !== this.epoch) return;
      this.#inFlight--;
      const written = data ? scatter(this.memory, chain.writable, data) : 0;
      scatter(this.memory, chain.writable, Uint8Array.of(status), room - 1);
      // What lies between is not written: only the first bytes count, and the status's when all are.
      this.push(n, chain, written === room - 1 ? room : written);
      if (late) this.signal(n);
    };
    this.#execute(chain, room - 1, available - HEADER, done);
    late = true;
    return true;
  }

  #execute(chain: Chain, room: number, length: number, done: (status: number, data?: Uint8Array) => void): void {
    const head = new DataView(readable(this.memory, chain, HEADER).buffer);
    const type = head.getUint32(0, true);
    const offset = (head.getUint32(12, true) * 2 ** 32 + head.getUint32(8, true)) * SECTOR;
    const inside = (bytes: number): boolean =>
      bytes % SECTOR === 0 && bytes <= MAX_TRANSFER && offset + bytes <= this.#source.size;
    const after = (error: unknown, data?: Uint8Array): void => {
      if (error) this.log(`${this.name}: ${(error as Error).message ?? error}`);
      done(error ? IOERR : OK, error ? undefined : data);
    };
    const source = this.#source;
    if (type === REQUEST.in && inside(room)) {
      const data = this.#buffers.take(room);
      whenDone(
        () => source.read(offset, data),
        (error) => {
          after(error, data);
          this.#buffers.give(data);
        },
      );
    } else if (type === REQUEST.out && inside(length) && !source.readOnly) {
      const bytes = this.#buffers.take(HEADER + length);
      gather(this.memory, chain.readable, bytes);
      this.#write(
        () => source.write(offset, bytes.subarray(HEADER)),
        (error) => {
          this.#buffers.give(bytes);
          after(error);
        },
      );
    } else if (type === REQUEST.in || type === REQUEST.out) done(IOERR);
    else if (type === REQUEST.flush) whenDone(() => source.flush(), after);
    else if (type === REQUEST.getId) {
      const id = new Uint8Array(Math.min(room, ID_LENGTH));
      new TextEncoder().encodeInto(this.#serial, id);
      done(OK, id);
    } else if (type === REQUEST.discard || type === REQUEST.writeZeroes) {
      this.#range(type, readable(this.memory, chain, HEADER + RANGE + 1).subarray(HEADER), done, after);
    } else done(UNSUPP);
  }

  /** Without a cache, or when the driver knows of none, a write is safe when it is done. */
  #write(work: () => void | Promise<void>, done: (error?: unknown) => void): void {
    const through = !this.has(FEATURE.flush) || this.config.getUint8(WRITEBACK) === 0;
    whenDone(work, (error) => {
      if (error || !through) done(error);
      else whenDone(() => this.#source.flush(), done);
    });
  }

  /** DISCARD and WRITE ZEROES of one range: sector 63:0 | sectors 31:0 | flags: unmap 0. */
  #range(type: number, bytes: Uint8Array, done: (status: number) => void, after: (error?: unknown) => void): void {
    const source = this.#source;
    const discard = type === REQUEST.discard ? source.discard?.bind(source) : undefined;
    const whole = bytes.length === RANGE;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const offset = whole ? (view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true)) * SECTOR : 0;
    const sectors = whole ? view.getUint32(8, true) : 0;
    const flags = whole ? view.getUint32(12, true) : 0;
    if (source.readOnly || (type === REQUEST.discard && !discard) || flags & (discard ? ~0 : ~1)) done(UNSUPP);
    else if (!whole || sectors > MAX_ZEROES || offset + sectors * SECTOR > source.size) done(IOERR);
    else if (discard) whenDone(() => discard(offset, sectors * SECTOR), after);
    else this.#write(() => source.write(offset, new Uint8Array(sectors * SECTOR)), after);
  }

  protected override exportDevice(): object {
    return { writeback: this.config.getUint8(WRITEBACK) === 1, contents: this.#source.export?.() };
  }

  protected override checkDevice(from: SnapshotFields): () => void {
    const writeback = from.bool("writeback");
    const contents = checkContents(from, from.optional("contents") as BlockContentsV1 | undefined, this.#source);
    return () => {
      contents();
      this.config.setUint8(WRITEBACK, Number(writeback));
    };
  }
}
