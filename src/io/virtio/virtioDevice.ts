/**
 * A virtio device without its transport (Virtual I/O Device Version 1.2, chapters 2 and 3): features, status, queues,
 * configuration. Kinds of devices extend it; a transport (src/machine/pciVirtio.ts) brings the driver's accesses.
 */
import type { GuestMemory, Log, Width } from "../../shared/device.ts";
import { allOnes } from "../byteAccess.ts";
import { byteLength, gather } from "../pieces.ts";
import type { SnapshotFields } from "../snapshotFields.ts";
import { PackedQueue } from "./packedQueue.ts";
import { SplitQueue } from "./splitQueue.ts";
import { type Chain, MAX_QUEUE, QueueError, type QueueV1, type Virtqueue } from "./virtqueue.ts";

/** Status bits (2.1). */
export const STATUS = {
  acknowledge: 1,
  driver: 2,
  driverOk: 4,
  featuresOk: 8,
  needsReset: 0x40,
  failed: 0x80,
} as const;

/** Features that every device offers (6). */
export const FEATURE = { indirect: 1n << 28n, eventIdx: 1n << 29n, version1: 1n << 32n, packed: 1n << 34n } as const;
const COMMON = FEATURE.indirect | FEATURE.eventIdx | FEATURE.version1 | FEATURE.packed;
const U64 = 0xffff_ffff_ffff_ffffn;
/** Buffers that a queue is served at a time. */
const BATCH = 256;

/** What a device asks of its transport. */
export interface VirtioTransport {
  /** Buffers of queue `n` were given back. */
  interrupt(n: number): void;
  /** The configuration, or the status, has changed by the device. */
  configurationChanged(): void;
  /** Does `work` a little later, on the device's thread. */
  later(work: () => void): void;
  /** The function may master the bus. */
  mayMaster(): boolean;
}

export interface VirtioQueue {
  size: number;
  enabled: boolean;
  /** Guest physical addresses of the descriptor, driver and device areas: as the driver writes them, low and high. */
  desc: [number, number];
  driver: [number, number];
  device: [number, number];
  ring: Virtqueue | undefined;
}

export interface VirtioV1 {
  version: 1;
  status: number;
  features: bigint;
  queues: {
    size: number;
    enabled: boolean;
    areas: number[];
    ring: QueueV1 | undefined;
  }[];
  /** What the kind of device has besides. */
  device: object;
}

export interface VirtioOptions {
  readonly memory: GuestMemory;
  readonly log: Log;
}

export abstract class VirtioDevice {
  /** Device type (5). */
  abstract readonly type: number;
  readonly name: string;
  /** What the device offers, with what every device does. */
  readonly offered: bigint;
  readonly queues: readonly VirtioQueue[];
  /** Device-specific configuration (4.1.4.6). */
  protected readonly config: DataView;
  protected readonly memory: GuestMemory;
  protected readonly log: Log;
  protected transport: VirtioTransport | undefined;
  /** Features that the driver has taken. */
  protected features = 0n;
  /** Rises with every reset: what was at work before is forgotten. */
  protected epoch = 0;
  #status = 0;
  readonly #sizes: readonly number[];

  /**
   * @param sizes of the queues, at most; powers of two
   * @param configSize bytes of device-specific configuration
   */
  constructor(name: string, options: VirtioOptions, features: bigint, sizes: readonly number[], configSize: number) {
    this.name = name;
    this.memory = options.memory;
    this.log = options.log;
    this.offered = features | COMMON;
    this.#sizes = sizes;
    this.config = new DataView(new ArrayBuffer(configSize));
    this.queues = sizes.map((size) => ({
      size,
      enabled: false,
      desc: [0, 0],
      driver: [0, 0],
      device: [0, 0],
      ring: undefined,
    }));
  }

  /** Buffers may have come into queue `n`. */
  protected abstract serve(n: number): void;

  /** The driver has reset the device, or the board has. */
  protected onReset(): void {}

  /** The driver is ready. */
  protected onReady(): void {}

  /** Something is on its way that a snapshot cannot hold. */
  get busy(): boolean {
    return false;
  }

  connect(transport: VirtioTransport): void {
    this.transport = transport;
  }

  get status(): number {
    return this.#status;
  }

  get configSize(): number {
    return this.config.byteLength;
  }

  protected has(feature: bigint): boolean {
    return (this.features & feature) !== 0n;
  }

  // The driver's side

  /** The driver writes its status; 0 resets the device (3.1.1). */
  setStatus(value: number): void {
    if (value === 0) {
      this.reset();
      return;
    }
    const set = value & ~this.#status;
    this.#status = (this.#status & STATUS.needsReset) | value;
    if (set & STATUS.featuresOk && !this.#agreed()) this.#status &= ~STATUS.featuresOk;
    if (set & STATUS.driverOk && this.#status & STATUS.featuresOk) this.onReady();
  }

  /** The driver chooses half of the features; after FEATURES_OK it may not. */
  setFeatures(select: number, value: number): void {
    if (this.#status & STATUS.featuresOk || select > 1) return;
    const shift = BigInt(32 * select);
    this.features = (this.features & ~(0xffff_ffffn << shift)) | (BigInt(value >>> 0) << shift);
  }

  driverFeatures(select: number): number {
    return select > 1 ? 0 : Number((this.features >> BigInt(32 * select)) & 0xffff_ffffn);
  }

  #agreed(): boolean {
    if (this.features & ~this.offered) this.log(`${this.name}: the driver wants features that were not offered`);
    else if (!this.has(FEATURE.version1)) this.log(`${this.name}: the driver does not know virtio 1`);
    else return true;
    return false;
  }

  /** The driver may want fewer entries than there can be; what cannot be is not taken. */
  setQueueSize(n: number, size: number): void {
    if (size >= 1 && size <= this.#sizes[n]) this.queues[n].size = size;
  }

  /** Enables a queue whose places are known. */
  enable(n: number): void {
    const queue = this.queues[n];
    if (!queue || queue.enabled) return;
    if (!this.has(FEATURE.packed) && queue.size & (queue.size - 1)) {
      this.fail(`queue ${n} of ${queue.size} entries, which is no power of two`);
      return;
    }
    queue.enabled = true;
    queue.ring = this.#ring(queue);
  }

  #ring(queue: VirtioQueue): Virtqueue {
    const at = ([low, high]: [number, number]): number => high * 2 ** 32 + low;
    const place = {
      size: queue.size,
      desc: at(queue.desc),
      driver: at(queue.driver),
      device: at(queue.device),
      eventIdx: this.has(FEATURE.eventIdx),
      indirect: this.has(FEATURE.indirect),
    };
    return new (this.has(FEATURE.packed) ? PackedQueue : SplitQueue)(this.memory, place);
  }

  /** The driver says that there are buffers in queue `n`. */
  notify(n: number): void {
    if (this.#running(n)) this.serve(n);
  }

  #running(n: number): boolean {
    return (
      (this.#status & (STATUS.driverOk | STATUS.needsReset)) === STATUS.driverOk &&
      this.queues[n]?.ring !== undefined &&
      (this.transport?.mayMaster() ?? false)
    );
  }

  /** Configuration reads as the driver sees it; beyond its end there are zeros. */
  readConfig(offset: number, size: Width): number {
    let value = 0;
    for (let i = 0; i < size; i++) {
      if (offset + i < this.configSize) value |= this.config.getUint8(offset + i) << (8 * i);
    }
    return (value & allOnes(size)) >>> 0;
  }

  /** Most of it is not the driver's to write. */
  writeConfig(_offset: number, _size: Width, _value: number): void {}

  reset(): void {
    this.epoch++;
    this.#status = 0;
    this.features = 0n;
    this.queues.forEach((queue, n) => {
      Object.assign(queue, { size: this.#sizes[n], enabled: false, ring: undefined });
      for (const area of [queue.desc, queue.driver, queue.device]) area[0] = area[1] = 0;
    });
    this.onReset();
  }

  // The device's side

  /** The driver has broken the rules: nothing goes on until it resets the device (2.1.2). */
  protected fail(why: string): void {
    this.log(`${this.name}: ${why}; the device needs a reset`);
    this.#status |= STATUS.needsReset;
    this.transport?.configurationChanged();
  }

  /** The next buffer of queue `n`; undefined: none, or the driver has broken the rules. */
  protected pop(n: number): Chain | undefined {
    if (!this.#running(n)) return undefined;
    const ring = this.queues[n].ring as Virtqueue;
    try {
      const chain = ring.pop();
      if (chain) return chain;
      // One may have come before the driver knew that it was to notify.
      ring.awaitNotification();
      return ring.pop();
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      this.fail(`queue ${n}: ${error.message}`);
      return undefined;
    }
  }

  /** Gives a buffer back; `signal` tells the driver. */
  protected push(n: number, chain: Chain, written: number): void {
    this.queues[n].ring?.push(chain, written);
  }

  /** Interrupts if the driver wants to hear of what was given back. */
  protected signal(n: number): void {
    if (this.queues[n].ring?.interrupts()) this.transport?.interrupt(n);
  }

  /**
   * Takes buffers of queue `n` one after the other until there are none or `work` wants no more; what is more than a batch
   * follows a little later, so that nothing else waits for it.
   */
  protected drain(n: number, work: (chain: Chain) => boolean): void {
    for (let i = 0; i < BATCH; i++) {
      const chain = this.pop(n);
      if (!chain) return;
      if (!work(chain)) return;
    }
    const { epoch } = this;
    this.transport?.later(() => {
      if (epoch === this.epoch) this.notify(n);
    });
  }

  // Saved state

  export(): VirtioV1 {
    return {
      version: 1,
      status: this.#status,
      features: this.features,
      queues: this.queues.map(({ size, enabled, desc, driver, device, ring }) => ({
        size,
        enabled,
        areas: [...desc, ...driver, ...device],
        ring: ring?.export(),
      })),
      device: this.exportDevice(),
    };
  }

  /** What puts a checked state in. @throws SnapshotError */
  check(from: SnapshotFields): () => void {
    from.version(1);
    const status = from.u8("status");
    const features = from.bigint("features", 0n, U64);
    if (features & ~this.offered) from.fail("features", "the device does not offer them all");
    const queues = from.children("queues", this.queues.length).map((fields, n) => {
      const size = fields.int("size", 1, Math.min(MAX_QUEUE, this.#sizes[n]));
      const enabled = fields.bool("enabled");
      const areas = fields.intsOf("areas", 6, 0, 0xffff_ffff);
      const [d0, d1, a0, a1, u0, u1] = areas;
      const queue: VirtioQueue = {
        size,
        enabled,
        desc: [d0, d1],
        driver: [a0, a1],
        device: [u0, u1],
        ring: undefined,
      };
      return { queue, fields };
    });
    const device = this.checkDevice(from.child("device"));
    const before = this.features;
    // A ring's layout follows from the features.
    this.features = features;
    try {
      const rings = queues.map(({ queue, fields }) => {
        if (!queue.enabled) return undefined;
        queue.ring = this.#ring(queue);
        return queue.ring.check(fields.child("ring"));
      });
      return () => {
        this.reset();
        this.#status = status;
        this.features = features;
        queues.forEach(({ queue }, n) => {
          Object.assign(this.queues[n], queue);
          rings[n]?.();
        });
        device();
        this.transport?.later(() => this.#notifyAll());
      };
    } finally {
      this.features = before;
    }
  }

  /** What was in the queues when the state was saved, nobody will notify of again. */
  #notifyAll(): void {
    for (let n = 0; n < this.queues.length; n++) this.notify(n);
  }

  /** State besides features, status and queues. */
  protected exportDevice(): object {
    return {};
  }

  /** @throws SnapshotError */
  protected checkDevice(_from: SnapshotFields): () => void {
    return () => {};
  }
}

/** A chain's readable bytes, the first `most` of them. */
export function readable(memory: GuestMemory, chain: Chain, most: number): Uint8Array {
  const bytes = new Uint8Array(Math.min(most, byteLength(chain.readable)));
  gather(memory, chain.readable, bytes);
  return bytes;
}
