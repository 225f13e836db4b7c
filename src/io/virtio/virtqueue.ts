/**
 * What the two layouts of virtqueues have in common (Virtual I/O Device Version 1.2, 2.6 to 2.8): buffers that a driver makes
 * available, and that a device gives back.
 */
import type { GuestMemory } from "../../shared/device.ts";
import type { Piece } from "../pieces.ts";
import type { SnapshotFields } from "../snapshotFields.ts";

/** Flags of a descriptor, in both layouts. */
export const DESC_NEXT = 1;
export const DESC_WRITE = 2;
export const DESC_INDIRECT = 4;
export const DESC_SIZE = 16;
/** Entries of a queue at most, and of an indirect table. */
export const MAX_QUEUE = 1024;

/** A buffer: what the device may read, then what it may write. */
export interface Chain {
  /** The layout's name for it: head descriptor, or buffer id. */
  readonly id: number;
  /** Descriptors of the ring that it takes. */
  readonly slots: number;
  readonly readable: readonly Piece[];
  readonly writable: readonly Piece[];
}

export interface QueueV1 {
  /** Positions of the device, as the layout counts them. */
  positions: number[];
  /** What the layout keeps of when the driver last heard of buffers given back. */
  signalled: number;
}

/** A driver that breaks the rules: the device needs a reset. */
export class QueueError extends Error {}

export interface Virtqueue {
  /** The next buffer, or undefined. @throws QueueError */
  pop(): Chain | undefined;
  /** Gives a buffer back, of which `written` bytes were written. */
  push(chain: Chain, written: number): void;
  /** Whether the driver wants an interrupt for what was given back since it was last asked. */
  interrupts(): boolean;
  /** Asks the driver to notify of the next buffer. There may be one already. */
  awaitNotification(): void;
  export(): QueueV1;
  /** @throws SnapshotError */
  check(from: SnapshotFields): () => void;
}

/** Where a driver has put a queue. */
export interface QueuePlace {
  readonly size: number;
  /** Guest physical addresses of the descriptor area, the driver area and the device area. */
  readonly desc: number;
  readonly driver: number;
  readonly device: number;
  /** VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC */
  readonly eventIdx: boolean;
  readonly indirect: boolean;
}

export interface Descriptor {
  readonly gpa: number;
  readonly length: number;
  /** Split: the next descriptor; packed: the buffer id. */
  readonly word: number;
  readonly flags: number;
}

/** Guest memory by numbers, little-endian. */
export class RingMemory {
  readonly #memory: GuestMemory;
  readonly #bytes = new Uint8Array(DESC_SIZE);
  readonly #view = new DataView(this.#bytes.buffer);

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  u16(gpa: number): number {
    this.#memory.read(gpa, this.#bytes.subarray(0, 2));
    return this.#view.getUint16(0, true);
  }

  setU16(gpa: number, value: number): void {
    this.#view.setUint16(0, value, true);
    this.#memory.write(gpa, this.#bytes.subarray(0, 2));
  }

  setU32(gpa: number, value: number): void {
    this.#view.setUint32(0, value, true);
    this.#memory.write(gpa, this.#bytes.subarray(0, 4));
  }

  setTwoU32(gpa: number, first: number, second: number): void {
    this.#view.setUint32(0, first, true);
    this.#view.setUint32(4, second, true);
    this.#memory.write(gpa, this.#bytes.subarray(0, 8));
  }

  /** Both layouts: address, length, and two words whose order is `packed`'s (id, flags) or split's (flags, next). */
  descriptor(gpa: number, packed: boolean): Descriptor {
    this.#memory.read(gpa, this.#bytes);
    const [first, second] = [this.#view.getUint16(12, true), this.#view.getUint16(14, true)];
    return {
      gpa: this.#view.getUint32(4, true) * 2 ** 32 + this.#view.getUint32(0, true),
      length: this.#view.getUint32(8, true),
      word: packed ? first : second,
      flags: packed ? second : first,
    };
  }
}

/** Puts descriptors together to a chain, and refuses what must not be. */
export class ChainBuilder {
  readonly readable: Piece[] = [];
  readonly writable: Piece[] = [];
  readonly #most: number;

  /** @param most descriptors: a chain that has more goes round in a circle */
  constructor(most: number) {
    this.#most = most;
  }

  add({ gpa, length, flags }: Descriptor): void {
    if (this.readable.length + this.writable.length >= this.#most) throw new QueueError("a chain has no end");
    if (flags & DESC_WRITE) this.writable.push({ gpa, length });
    else if (this.writable.length) throw new QueueError("a readable descriptor follows a writable one");
    else this.readable.push({ gpa, length });
  }

  /** Reads an indirect table: by `next` in the split layout, in order in the packed one (2.7.5.3, 2.8.7). */
  addTable(memory: RingMemory, table: Descriptor, packed: boolean): void {
    const count = table.length / DESC_SIZE;
    if (!Number.isInteger(count) || count === 0) throw new QueueError(`an indirect table of ${table.length} bytes`);
    if (packed && count > MAX_QUEUE) throw new QueueError(`an indirect table of ${count} descriptors`);
    for (let n = 0; n < count; ) {
      const one = memory.descriptor(table.gpa + n * DESC_SIZE, packed);
      if (one.flags & DESC_INDIRECT) throw new QueueError("an indirect table in an indirect table");
      this.add(one);
      if (packed) n++;
      else if (!(one.flags & DESC_NEXT)) return;
      else if (one.word >= count) throw new QueueError(`descriptor ${one.word} of an indirect table of ${count}`);
      else n = one.word;
    }
  }
}

/** Whether going from `before` to `now` passes `event` (2.7.10): positions are 16 bits. */
export function passes(event: number, now: number, before: number): boolean {
  return ((now - event - 1) & 0xffff) < ((now - before) & 0xffff);
}
