/**
 * Packed virtqueues (Virtual I/O Device Version 1.2, 2.8): one ring for both directions. Who owns a descriptor is said by
 * its AVAIL and USED bits, which mean the opposite in every other round.
 *
 *     descriptors   address 63:0 | length 31:0 | id 15:0 | flags 15:0: USED 15, AVAIL 7
 *     event areas   wrap 15, offset 14:0 | 1:0  0 always, 1 never, 2 at this place
 */
import type { GuestMemory } from "../../shared/device.ts";
import type { SnapshotFields } from "../snapshotFields.ts";
import {
  type Chain,
  ChainBuilder,
  DESC_INDIRECT,
  DESC_NEXT,
  DESC_SIZE,
  DESC_WRITE,
  MAX_QUEUE,
  QueueError,
  type QueuePlace,
  type QueueV1,
  RingMemory,
  type Virtqueue,
} from "./virtqueue.ts";

const AVAIL = 1 << 7;
const USED = 1 << 15;
const EVENT_DISABLE = 1;
const EVENT_DESC = 2;
const WRAP = 0x8000;

export class PackedQueue implements Virtqueue {
  readonly #memory: RingMemory;
  readonly #place: QueuePlace;
  #taken = 0;
  #takenWrap = true;
  #used = 0;
  #usedWrap = true;
  /** Descriptors given back since the driver was last asked whether it wants to hear of it. */
  #sinceSignal = 0;

  constructor(memory: GuestMemory, place: QueuePlace) {
    this.#memory = new RingMemory(memory);
    this.#place = place;
  }

  pop(): Chain | undefined {
    const { size, desc, indirect } = this.#place;
    const first = this.#memory.descriptor(desc + this.#taken * DESC_SIZE, true);
    if (((first.flags & AVAIL) !== 0) !== this.#takenWrap || ((first.flags & USED) !== 0) === this.#takenWrap) {
      return undefined;
    }
    const builder = new ChainBuilder(Math.max(size, MAX_QUEUE));
    for (let one = first, slots = 1; ; slots++) {
      if (slots > size) throw new QueueError("a chain has no end");
      if (one.flags & DESC_INDIRECT) {
        if (!indirect || slots > 1 || one.flags & DESC_NEXT)
          throw new QueueError("an indirect table where none may be");
        builder.addTable(this.#memory, one, true);
      } else builder.add(one);
      if (!(one.flags & DESC_NEXT)) {
        [this.#taken, this.#takenWrap] = this.#after(this.#taken, this.#takenWrap, slots);
        return { id: one.word, slots, readable: builder.readable, writable: builder.writable };
      }
      one = this.#memory.descriptor(desc + ((this.#taken + slots) % size) * DESC_SIZE, true);
    }
  }

  #after(at: number, wrap: boolean, slots: number): [number, boolean] {
    const next = at + slots;
    return next < this.#place.size ? [next, wrap] : [next - this.#place.size, !wrap];
  }

  push({ id, slots }: Chain, written: number): void {
    const at = this.#place.desc + this.#used * DESC_SIZE;
    this.#memory.setU32(at + 8, written);
    this.#memory.setU16(at + 12, id);
    // The flags last: they give the descriptor to the driver.
    const flags = (this.#usedWrap ? AVAIL | USED : 0) | (written ? DESC_WRITE : 0);
    this.#memory.setU16(at + 14, flags);
    [this.#used, this.#usedWrap] = this.#after(this.#used, this.#usedWrap, slots);
    this.#sinceSignal += slots;
  }

  interrupts(): boolean {
    const { size, driver, eventIdx } = this.#place;
    const since = this.#sinceSignal;
    this.#sinceSignal = 0;
    if (since === 0) return false;
    const how = this.#memory.u16(driver + 2) & 3;
    if (how !== EVENT_DESC || !eventIdx) return how !== EVENT_DISABLE;
    const event = this.#memory.u16(driver);
    // As positions that count on: the driver's place may lie one round back.
    let offset = event & ~WRAP;
    if (((event & WRAP) !== 0) !== this.#usedWrap) offset -= size;
    const before = this.#used - since;
    return offset >= before && offset < this.#used;
  }

  awaitNotification(): void {
    const { device, eventIdx } = this.#place;
    if (!eventIdx) return;
    this.#memory.setU16(device, this.#taken | (this.#takenWrap ? WRAP : 0));
    this.#memory.setU16(device + 2, EVENT_DESC);
  }

  export(): QueueV1 {
    const place = (at: number, wrap: boolean): number => at | (wrap ? WRAP : 0);
    return {
      positions: [place(this.#taken, this.#takenWrap), place(this.#used, this.#usedWrap)],
      signalled: this.#sinceSignal,
    };
  }

  check(from: SnapshotFields): () => void {
    const { size } = this.#place;
    const positions = from.intsOf("positions", 2, 0, 0xffff);
    if (positions.some((p) => (p & ~WRAP) >= size)) from.fail("positions", "not in the ring");
    const since = from.int("signalled", 0, 0xffff);
    return () => {
      [this.#taken, this.#used] = positions.map((p) => p & ~WRAP);
      [this.#takenWrap, this.#usedWrap] = positions.map((p) => (p & WRAP) !== 0);
      this.#sinceSignal = since;
    };
  }
}
