/**
 * Split virtqueues (Virtual I/O Device Version 1.2, 2.7):
 *
 *     descriptors   address 63:0 | length 31:0 | flags 15:0 | next 15:0
 *     driver area   flags | idx | ring of heads | used_event          flags 0: no interrupts
 *     device area   flags | idx | ring of {head, bytes written} | avail_event
 */
import type { GuestMemory } from "../../shared/device.ts";
import type { SnapshotFields } from "../snapshotFields.ts";
import {
  type Chain,
  ChainBuilder,
  DESC_INDIRECT,
  DESC_NEXT,
  DESC_SIZE,
  MAX_QUEUE,
  passes,
  QueueError,
  type QueuePlace,
  type QueueV1,
  RingMemory,
  type Virtqueue,
} from "./virtqueue.ts";

const NO_INTERRUPT = 1;

export class SplitQueue implements Virtqueue {
  readonly #memory: RingMemory;
  readonly #place: QueuePlace;
  /** Where the device is in the two rings: they count on beyond the size. */
  #taken = 0;
  #used = 0;
  /** Where it was when the driver was last asked whether it wants to hear of it. */
  #signalled = 0;

  /** The size is a power of two (2.7). */
  constructor(memory: GuestMemory, place: QueuePlace) {
    this.#memory = new RingMemory(memory);
    this.#place = place;
  }

  pop(): Chain | undefined {
    const { size, driver } = this.#place;
    const there = (this.#memory.u16(driver + 2) - this.#taken) & 0xffff;
    if (there === 0) return undefined;
    if (there > size) throw new QueueError(`${there} buffers in a queue of ${size}`);
    const id = this.#memory.u16(driver + 4 + 2 * (this.#taken % size));
    this.#taken = (this.#taken + 1) & 0xffff;
    return this.#chain(id);
  }

  #chain(id: number): Chain {
    const { size, desc, indirect } = this.#place;
    const builder = new ChainBuilder(Math.max(size, MAX_QUEUE));
    for (let n = id, slots = 1; ; slots++) {
      if (n >= size || slots > size) throw new QueueError(`descriptor ${n} of a queue of ${size}`);
      const one = this.#memory.descriptor(desc + n * DESC_SIZE, false);
      if (one.flags & DESC_INDIRECT) {
        if (!indirect || one.flags & DESC_NEXT) throw new QueueError("an indirect table where none may be");
        builder.addTable(this.#memory, one, false);
      } else builder.add(one);
      if (!(one.flags & DESC_NEXT)) return { id, slots, readable: builder.readable, writable: builder.writable };
      n = one.word;
    }
  }

  push({ id }: Chain, written: number): void {
    const { size, device } = this.#place;
    this.#memory.setTwoU32(device + 4 + 8 * (this.#used % size), id, written);
    this.#used = (this.#used + 1) & 0xffff;
    this.#memory.setU16(device + 2, this.#used);
  }

  interrupts(): boolean {
    const { size, driver, eventIdx } = this.#place;
    const before = this.#signalled;
    this.#signalled = this.#used;
    if (before === this.#used) return false;
    if (!eventIdx) return (this.#memory.u16(driver) & NO_INTERRUPT) === 0;
    return passes(this.#memory.u16(driver + 4 + 2 * size), this.#used, before);
  }

  awaitNotification(): void {
    const { size, device, eventIdx } = this.#place;
    if (eventIdx) this.#memory.setU16(device + 4 + 8 * size, this.#taken);
  }

  export(): QueueV1 {
    return { positions: [this.#taken, this.#used], signalled: this.#signalled };
  }

  check(from: SnapshotFields): () => void {
    const positions = from.intsOf("positions", 2, 0, 0xffff);
    const signalled = from.int("signalled", 0, 0xffff);
    return () => {
      [this.#taken, this.#used] = positions;
      this.#signalled = signalled;
    };
  }
}
