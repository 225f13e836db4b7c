/** What a driver does with virtqueues of both layouts, on fake memory; and with a device behind its PCI function. */
import type { VirtioDevice } from "../../../src/io/virtio/virtioDevice.ts";
import type { PciSpace } from "../../../src/machine/pciFunction.ts";
import { PciVirtio } from "../../../src/machine/pciVirtio.ts";
import type { IoHandler } from "../../../src/shared/device.ts";
import { FakeMemory, FakePin, FakeTimers } from "../fakes.ts";

export const RAM = 0x40_0000;
const BAR = 0xf000_0000;
const RINGS = 0x1_0000;
const RING_SPACE = 0x4000;
const TABLES = 0x8_0000;
/** Memory for buffers begins here. */
export const BUFFERS = 0x10_0000;

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
export const VERSION_1 = 1n << 32n;
export const EVENT_IDX = 1n << 29n;
export const INDIRECT_DESC = 1n << 28n;
export const PACKED = 1n << 34n;

export interface Run {
  readonly gpa: number;
  readonly length: number;
  /** The device may write it. */
  readonly write?: boolean;
}

/** The driver's side of one queue of 16 entries. */
interface Ring {
  readonly areas: readonly [desc: number, driver: number, device: number];
  add(runs: readonly Run[]): number;
  /** The device wants to be told of what was added since this was last asked. */
  wanted(): boolean;
  take(): { id: number; written: number }[];
}

export const SIZE = 16;

abstract class Base {
  readonly memory: FakeMemory;
  readonly view: DataView;
  readonly areas: readonly [number, number, number];
  readonly indirect: boolean;
  readonly eventIdx: boolean;
  #table = 0;
  readonly #tables: number;

  constructor(memory: FakeMemory, n: number, features: bigint) {
    this.memory = memory;
    this.view = new DataView(memory.bytes.buffer);
    const base = RINGS + n * RING_SPACE;
    this.areas = [base, base + 0x1000, base + 0x2000];
    this.#tables = TABLES + n * 0x1_0000;
    memory.bytes.fill(0, base, base + RING_SPACE);
    this.indirect = (features & INDIRECT_DESC) !== 0n;
    this.eventIdx = (features & EVENT_IDX) !== 0n;
  }

  descriptor(at: number, gpa: number, length: number, third: number, fourth: number): void {
    this.view.setBigUint64(at, BigInt(gpa), true);
    this.view.setUint32(at + 8, length, true);
    this.view.setUint16(at + 12, third, true);
    this.view.setUint16(at + 14, fourth, true);
  }

  /** Where the next indirect table goes. */
  nextTable(): number {
    return this.#tables + (this.#table++ % 32) * 0x400;
  }
}

export class SplitRing extends Base implements Ring {
  readonly #free = Array.from({ length: SIZE }, (_, n) => n);
  readonly #chains = new Map<number, number[]>();
  #added = 0;
  #seen = 0;
  #told = 0;

  add(runs: readonly Run[]): number {
    const [desc, driver] = this.areas;
    const flags = (run: Run): number => (run.write ? WRITE : 0);
    let chain: number[];
    if (this.indirect && runs.length > 1) {
      const table = this.nextTable();
      runs.forEach((run, i) => {
        const last = i === runs.length - 1;
        this.descriptor(table + 16 * i, run.gpa, run.length, flags(run) | (last ? 0 : NEXT), last ? 0 : i + 1);
      });
      chain = this.#free.splice(0, 1);
      this.descriptor(desc + 16 * chain[0], table, 16 * runs.length, INDIRECT, 0);
    } else {
      chain = this.#free.splice(0, runs.length);
      runs.forEach((run, i) => {
        const next = chain[i + 1];
        const more = next === undefined ? 0 : NEXT;
        this.descriptor(desc + 16 * chain[i], run.gpa, run.length, flags(run) | more, next ?? 0);
      });
    }
    this.#chains.set(chain[0], chain);
    this.view.setUint16(driver + 4 + 2 * (this.#added % SIZE), chain[0], true);
    this.#added = (this.#added + 1) & 0xffff;
    this.view.setUint16(driver + 2, this.#added, true);
    return chain[0];
  }

  wanted(): boolean {
    const device = this.areas[2];
    const before = this.#told;
    this.#told = this.#added;
    if (!this.eventIdx) return (this.view.getUint16(device, true) & 1) === 0;
    const event = this.view.getUint16(device + 4 + 8 * SIZE, true);
    return ((this.#added - event - 1) & 0xffff) < ((this.#added - before) & 0xffff);
  }

  take(): { id: number; written: number }[] {
    const [, driver, device] = this.areas;
    const done = [];
    for (; this.#seen !== this.view.getUint16(device + 2, true); this.#seen = (this.#seen + 1) & 0xffff) {
      const at = device + 4 + 8 * (this.#seen % SIZE);
      const id = this.view.getUint32(at, true);
      done.push({ id, written: this.view.getUint32(at + 4, true) });
      this.#free.push(...(this.#chains.get(id) ?? []));
      this.#chains.delete(id);
    }
    // Interrupt with the next one.
    this.view.setUint16(driver + 4 + 2 * SIZE, this.#seen, true);
    return done;
  }
}

export class PackedRing extends Base implements Ring {
  #at = 0;
  #wrap = true;
  #id = 0;
  #used = 0;
  #usedWrap = true;
  readonly #slots = new Map<number, number>();
  #since = 0;

  add(runs: readonly Run[]): number {
    const [desc] = this.areas;
    const id = this.#id++ % SIZE;
    const flags = (run: Run): number => (run.write ? WRITE : 0);
    let list: { gpa: number; length: number; flags: number }[];
    if (this.indirect && runs.length > 1) {
      const table = this.nextTable();
      runs.forEach((run, i) => {
        this.descriptor(table + 16 * i, run.gpa, run.length, 0, flags(run));
      });
      list = [{ gpa: table, length: 16 * runs.length, flags: INDIRECT }];
    } else {
      list = runs.map((run, i) => ({ ...run, flags: flags(run) | (i < runs.length - 1 ? NEXT : 0) }));
    }
    const places = list.map((one) => {
      const place = desc + 16 * this.#at;
      const turn = this.#wrap ? 0x80 : 0x8000;
      if (++this.#at === SIZE) {
        this.#at = 0;
        this.#wrap = !this.#wrap;
      }
      return { ...one, place, turn };
    });
    // The first descriptor last: it makes the others available.
    for (const { gpa, length, flags, place, turn } of places.reverse()) {
      this.descriptor(place, gpa, length, id, flags | turn);
    }
    this.#slots.set(id, list.length);
    this.#since += list.length;
    return id;
  }

  wanted(): boolean {
    const device = this.areas[2];
    const since = this.#since;
    this.#since = 0;
    const how = this.view.getUint16(device + 2, true) & 3;
    if (how !== 2) return how === 0;
    const event = this.view.getUint16(device, true);
    const offset = (event & 0x7fff) - (((event & 0x8000) !== 0) === this.#wrap ? 0 : SIZE);
    return offset >= this.#at - since && offset < this.#at;
  }

  take(): { id: number; written: number }[] {
    const [desc, driver] = this.areas;
    const done = [];
    for (;;) {
      const at = desc + 16 * this.#used;
      const flags = this.view.getUint16(at + 14, true);
      const [avail, used] = [(flags & 0x80) !== 0, (flags & 0x8000) !== 0];
      if (avail !== used || used !== this.#usedWrap) break;
      const id = this.view.getUint16(at + 12, true);
      done.push({ id, written: this.view.getUint32(at + 8, true) });
      this.#used += this.#slots.get(id) ?? 1;
      if (this.#used >= SIZE) {
        this.#used -= SIZE;
        this.#usedWrap = !this.#usedWrap;
      }
    }
    this.view.setUint16(driver, this.#used | (this.#usedWrap ? 0x8000 : 0), true);
    this.view.setUint16(driver + 2, this.eventIdx ? 2 : 0, true);
    return done;
  }
}

/** A device on a bus, and its driver. */
export class Driver {
  readonly memory: FakeMemory;
  readonly timers = new FakeTimers();
  readonly pin = new FakePin();
  readonly messages: number[] = [];
  readonly card: PciVirtio;
  rings: Ring[] = [];
  #bar: IoHandler | undefined;
  #table: IoHandler | undefined;

  constructor(make: (memory: FakeMemory) => VirtioDevice, memory = new FakeMemory(RAM)) {
    this.memory = memory;
    this.card = new PciVirtio(make(memory), {
      timers: this.timers,
      classCode: 0,
      message: (_address, data) => this.messages.push(data),
    });
    const space: PciSpace = {
      map: (_kind, base, _size, { handler }) => {
        if (base === BAR) this.#bar = handler;
        else this.#table = handler;
        return () => {};
      },
    };
    this.card.attach(space, this.pin);
    this.card.writeConfig(0x10, 4, BAR);
    this.card.writeConfig(0x20, 4, BAR + 0x1_0000);
    this.card.writeConfig(0x04, 2, 6);
  }

  read(offset: number, size: 1 | 2 | 4): number {
    return (this.#bar as IoHandler).read(offset, size);
  }

  write(offset: number, size: 1 | 2 | 4, value: number): void {
    (this.#bar as IoHandler).write(offset, size, value);
  }

  /** The capability of a type: its offset in configuration space. */
  capability(type: number): number {
    for (let at = this.card.readConfig(0x34, 1); at; at = this.card.readConfig(at + 1, 1)) {
      if (this.card.readConfig(at, 1) === 9 && this.card.readConfig(at + 3, 1) === type) return at;
    }
    throw new Error(`no capability of type ${type}`);
  }

  offered(): bigint {
    const half = (n: number): bigint => {
      this.write(0, 4, n);
      return BigInt(this.read(4, 4));
    };
    return half(0) | (half(1) << 32n);
  }

  /** From reset to DRIVER_OK with these features; the status that comes of it. */
  start(features: bigint, options: { messages?: boolean; queues?: number } = {}): number {
    this.write(0x14, 1, 0);
    this.write(0x14, 1, 1);
    this.write(0x14, 1, 3);
    for (const n of [0, 1]) {
      this.write(8, 4, n);
      this.write(0x0c, 4, Number((features >> BigInt(32 * n)) & 0xffff_ffffn));
    }
    this.write(0x14, 1, 11);
    if (!(this.read(0x14, 1) & 8)) return this.read(0x14, 1);
    const count = options.queues ?? this.read(0x12, 2);
    if (options.messages) {
      const at = this.msix();
      for (let n = 0; n <= count; n++) {
        [0xfee0_0000, 0, 0x40 + n, 0].forEach((word, i) => {
          (this.#table as IoHandler).write(16 * n + 4 * i, 4, word);
        });
      }
      this.card.writeConfig(at + 2, 2, 0x8000);
      this.write(0x10, 2, 0);
    }
    this.rings = Array.from({ length: count }, (_, n) => {
      const ring = new (features & PACKED ? PackedRing : SplitRing)(this.memory, n, features);
      this.write(0x16, 2, n);
      this.write(0x18, 2, SIZE);
      if (options.messages) this.write(0x1a, 2, n + 1);
      ring.areas.forEach((gpa, i) => {
        this.write(0x20 + 8 * i, 4, gpa);
        this.write(0x24 + 8 * i, 4, 0);
      });
      this.write(0x1c, 2, 1);
      return ring;
    });
    this.write(0x14, 1, 15);
    return this.read(0x14, 1);
  }

  msix(): number {
    for (let at = this.card.readConfig(0x34, 1); at; at = this.card.readConfig(at + 1, 1)) {
      if (this.card.readConfig(at, 1) === 0x11) return at;
    }
    throw new Error("no MSI-X capability");
  }

  notify(n: number): void {
    this.write(0x3000 + 4 * n, 2, n);
  }

  /** Adds a buffer to queue `n` and notifies if the device wants it. */
  send(n: number, runs: readonly Run[]): number {
    const id = this.rings[n].add(runs);
    if (this.rings[n].wanted()) this.notify(n);
    return id;
  }
}
