/**
 * A storm on virtio devices and NVMe: random rings, descriptors, loops, addresses out of range, registers, requests that mean
 * something, resets in flight, media that answer late or fail, saved states. Everything follows from the seed.
 *
 * What must hold: nothing throws, every address that a device asks memory for is one, media are asked only for what they have,
 * nothing outside a shared directory is touched, saved states come back as they were, and after a reset each device answers.
 */
import type { BlockSource } from "../../../src/block/block.ts";
import { MemoryBlocks } from "../../../src/block/memory.ts";
import { OverlayBlocks } from "../../../src/block/overlay.ts";
import { Random } from "../../../src/cli/fuzz/random.ts";
import type { HostFolder } from "../../../src/folder/folder.ts";
import { MemoryFolder } from "../../../src/folder/memory.ts";
import { Virtio9p } from "../../../src/io/virtio/virtio9p.ts";
import { VirtioBalloon } from "../../../src/io/virtio/virtioBalloon.ts";
import { VirtioBlk } from "../../../src/io/virtio/virtioBlk.ts";
import { VirtioConsole } from "../../../src/io/virtio/virtioConsole.ts";
import type { VirtioDevice } from "../../../src/io/virtio/virtioDevice.ts";
import { VirtioRng } from "../../../src/io/virtio/virtioRng.ts";
import type { Device } from "../../../src/shared/device.ts";
import { StormError, type StormResult } from "../chipStorm.ts";
import { FakeMemory, FakeTimers } from "../fakes.ts";
import { NvmeHost } from "../nvmeHost.ts";
import { sometime } from "../sometime.ts";
import { BUFFERS, Driver, EVENT_IDX, INDIRECT_DESC, PACKED, RAM, type Run, SIZE, VERSION_1 } from "./driver.ts";
import { randomRequest } from "./p9Storm.ts";

const DISK = 512 * 4096;
const LAYOUTS = [
  VERSION_1,
  VERSION_1 | EVENT_IDX,
  VERSION_1 | EVENT_IDX | INDIRECT_DESC,
  VERSION_1 | PACKED,
  VERSION_1 | EVENT_IDX | INDIRECT_DESC | PACKED,
] as const;
const BUFFER_SPACE = 0x10_0000;

/** RAM that takes only addresses. */
class StormMemory extends FakeMemory {
  override read(gpa: number, into: Uint8Array): void {
    const there = this.#there(gpa, into.length);
    into.set(this.bytes.subarray(gpa, gpa + there));
    into.fill(0xff, there);
  }

  override write(gpa: number, from: Uint8Array): void {
    const there = this.#there(gpa, from.length);
    this.bytes.set(from.subarray(0, there), there ? gpa : 0);
  }

  #there(gpa: number, length: number): number {
    if (!(gpa >= 0) || !Number.isInteger(gpa)) throw new StormError(`memory asked for ${length} bytes at ${gpa}`);
    return Math.max(0, Math.min(length, this.bytes.length - gpa));
  }
}

/** Counts accesses to registers. */
class StormDriver extends Driver {
  accesses = 0;

  override read(offset: number, size: 1 | 2 | 4): number {
    this.accesses++;
    return super.read(offset, size);
  }

  override write(offset: number, size: 1 | 2 | 4, value: number): void {
    this.accesses++;
    super.write(offset, size, value);
  }
}

/** A device with its driver, and what it is for. */
interface Subject {
  readonly name: string;
  readonly driver: StormDriver;
  /** Queues that buffers go to. */
  readonly queues: readonly number[];
  /** A buffer that means something, written at `at`. */
  readonly request: (at: number) => Run[];
  readonly features: bigint;
  /** Whether it answers, just reset and started. */
  readonly alive: () => boolean | Promise<boolean>;
}

export interface VirtioStormOptions {
  /** Shared besides the one in memory. */
  readonly folder?: HostFolder;
}

export class VirtioStorm {
  readonly #random: Random;
  readonly #waiting: (() => void)[] = [];
  readonly #subjects: Subject[];
  readonly #nvme: NvmeHost;
  readonly #counts: Record<string, number> = {};
  #broken: StormError | undefined;

  constructor(seed: number, options: VirtioStormOptions = {}) {
    this.#random = new Random(seed);
    const log = () => {};
    const fill = (into: Uint8Array): void => void into.fill(0x42);
    const make = (
      name: string,
      device: (memory: FakeMemory) => VirtioDevice,
      more: Omit<Subject, "name" | "driver" | "alive"> & { alive: (driver: Driver) => boolean | Promise<boolean> },
    ): Subject => {
      const driver = new StormDriver(device, new StormMemory(RAM));
      return { name, driver, ...more, alive: () => more.alive(driver) };
    };
    const folder = (name: string, shared: HostFolder): Subject =>
      make(name, (memory) => new Virtio9p(name, { memory, log, folder: shared, tag: "share" }), {
        ...{ features: 1n, queues: [0], request: (at) => this.#p9(at, name) },
        alive: async (driver) => {
          const version = [19, 0, 0, 0, 100, 255, 255, 0, 0x20, 0, 0, 8, 0, ...new TextEncoder().encode("9P2000.L")];
          version[0] = version.length;
          driver.memory.write(BUFFERS, Uint8Array.from(version));
          driver.send(0, [
            { gpa: BUFFERS, length: version.length },
            { gpa: BUFFERS + 0x1000, length: 64, write: true },
          ]);
          return driver.memory.bytes[BUFFERS + 0x1004] === 101;
        },
      });
    const source = this.#medium(DISK);
    this.#subjects = [
      make("blk", (memory) => new VirtioBlk("blk", { memory, log, source, serial: "STORM", queues: 2 }), {
        ...{ features: (1n << 9n) | (1n << 11n), queues: [0, 1], request: (at) => this.#blk(at) },
        alive: (driver) => {
          driver.memory.write(BUFFERS, Uint8Array.from([8, ...new Array(15).fill(0)]));
          driver.send(0, [
            { gpa: BUFFERS, length: 16 },
            { gpa: BUFFERS + 64, length: 21, write: true },
          ]);
          return driver.rings[0].take()[0]?.written === 21;
        },
      }),
      make("rng", (memory) => new VirtioRng("rng", { memory, log, fill }), {
        ...{ features: 0n, queues: [0], request: (at) => [{ gpa: at, length: this.#random.below(5000), write: true }] },
        alive: (driver) => {
          driver.send(0, [{ gpa: BUFFERS, length: 5, write: true }]);
          return driver.rings[0].take()[0]?.written === 5;
        },
      }),
      make("console", (memory) => new VirtioConsole("console", { memory, log, output: () => {} }), {
        ...{ features: 1n, queues: [0, 1] },
        request: (at) => [{ gpa: at, length: this.#random.below(300), write: this.#random.percent(50) }],
        alive: (driver) => {
          driver.send(1, [{ gpa: BUFFERS, length: 5 }]);
          return driver.rings[1].take().length === 1;
        },
      }),
      make("balloon", (memory) => new VirtioBalloon("balloon", { memory, log }), {
        ...{ features: 0x3fn, queues: [0, 1, 2, 3, 4], request: (at) => this.#balloon(at) },
        alive: (driver) => {
          driver.send(0, [{ gpa: BUFFERS, length: 4 }]);
          return driver.rings[0].take().length === 1;
        },
      }),
      folder("folder", new MemoryFolder({ limit: 1 << 20, now: () => 0n })),
      ...(options.folder ? [folder("directory", options.folder)] : []),
    ];
    for (const { driver, features } of this.#subjects) driver.start(VERSION_1 | features, { messages: true });
    const overlay = new OverlayBlocks(new MemoryBlocks(new Uint8Array(DISK), true));
    this.#nvme = new NvmeHost(this.#medium(DISK, overlay), new FakeTimers(), new StormMemory(RAM));
    this.#startNvme();
  }

  /** Steps, and what they access of registers besides. */
  get #done(): number {
    const steps = Object.values(this.#counts).reduce((sum, n) => sum + n, 0);
    return this.#subjects.reduce((sum, { driver }) => sum + driver.accesses, steps);
  }

  async run(operations: number): Promise<StormResult> {
    const r = this.#random;
    let longestMs = 0;
    for (let n = 0; this.#done < operations; n++) {
      const from = performance.now();
      let what = "";
      try {
        if (r.percent(15)) {
          what = "nvme";
          this.#nvmeStep();
        } else {
          const subject = r.pick(this.#subjects);
          what = subject.name;
          this.#step(subject);
        }
        if (r.percent(10)) await this.#answer();
        if (this.#broken) throw this.#broken;
      } catch (error) {
        throw new StormError(`step ${n} (${what}): ${error instanceof Error ? error.stack : error}`);
      }
      this.#counts[what] = (this.#counts[what] ?? 0) + 1;
      longestMs = Math.max(longestMs, performance.now() - from);
    }
    const done = this.#done;
    await this.#check();
    return { operations: done, counts: this.#counts, longestMs };
  }

  /** Medium that answers at once, late, or not; and that checks what it is asked. */
  #medium(size: number, below?: BlockSource): BlockSource {
    const answer = (offset: number, length: number, work: () => void): void | Promise<void> => {
      if (!Number.isInteger(offset) || offset < 0 || !(length >= 0) || offset + length > size) {
        this.#broken = new StormError(`medium of ${size} bytes asked for ${length} at ${offset}`);
        throw this.#broken;
      }
      return sometime(this.#random, this.#waiting, { many: 16, late: 3 }, work);
    };
    return {
      ...{ size, readOnly: false },
      read: (offset, into) => answer(offset, into.length, () => void (below ? below.read(offset, into) : into.fill(1))),
      write: (offset, from) => answer(offset, from.length, () => void below?.write(offset, from)),
      flush: () => answer(0, 0, () => {}),
      discard: (offset, length) => answer(offset, length, () => void below?.discard?.(offset, length)),
      ...(below && { export: () => below.export!(), import: (state) => below.import!(state) }),
    };
  }

  #number(): number {
    const r = this.#random;
    return r.pick([0, 1, 2, 16, 0x1000, RAM - 8, RAM, 0x7fff_ffff, 0xffff_ffff, r.u32(), r.below(RAM)]);
  }

  #step({ driver, queues, request, features }: Subject): void {
    const r = this.#random;
    const view = new DataView(driver.memory.bytes.buffer);
    const n = r.pick(queues);
    const ring = driver.rings[n];
    const kind = r.below(100);
    if (kind < 40) {
      // As a driver does; more than the ring has room for is a mistake that drivers make, too.
      if (driver.read(0x14, 1) !== 15 || r.percent(1)) this.#start(driver, features);
      const runs = request(BUFFERS + r.below(BUFFER_SPACE));
      if (r.percent(5)) runs.splice(r.below(runs.length + 1), 1);
      if (runs.length && runs.length < SIZE) driver.rings[n].add(runs);
      if (r.percent(70)) driver.notify(n);
      if (r.percent(80)) driver.rings[n].take();
    } else if (kind < 60) {
      const at = ring.areas[0] + 16 * r.below(SIZE);
      view.setUint32(at, r.percent(70) ? r.below(RAM) : this.#number(), true);
      view.setUint32(at + 4, r.percent(96) ? 0 : this.#number(), true);
      view.setUint32(at + 8, r.pick([1, 16, 32, 512, 4096, 0x2_0000, this.#number()]), true);
      view.setUint32(at + 12, r.percent(70) ? r.below(8) | (r.below(SIZE) << 16) : this.#number(), true);
    } else if (kind < 66) {
      const at = ring.areas[1 + r.below(2)] + 2 * r.below(SIZE + 4);
      view.setUint16(at, r.percent(50) ? r.below(SIZE) : this.#number(), true);
    } else if (kind < 70) driver.card.writeConfig(0x34 + r.below(0xcc), r.pick([1, 2, 4] as const), r.u32());
    else if (kind < 73) driver.write(r.below(0x40), r.pick([1, 2, 4] as const), this.#number());
    else if (kind < 76) {
      const offset = r.below(0x4000) & ~3;
      const value = driver.read(offset, 4);
      if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) throw new StormError(`read ${value}`);
    } else if (kind < 78) driver.write(0x2000 + 4 * r.below(16), r.pick([1, 4] as const), this.#number());
    else if (kind < 96) {
      driver.card.writeConfig(0x04, 2, r.percent(97) ? 6 : r.below(8));
      driver.notify(r.percent(95) ? n : r.below(0x400));
      driver.timers.advance(1n);
    } else if (kind < 98) {
      if (r.percent(30)) driver.card.reset();
      else driver.write(0x14, 1, 0);
      driver.card.writeConfig(0x10, 4, 0xf000_0000);
      driver.card.writeConfig(0x20, 4, 0xf001_0000);
      driver.card.writeConfig(0x04, 2, 6);
      this.#start(driver, features);
    } else if (kind === 98) save(driver.card);
    else driver.memory.write(r.below(RAM), r.bytes(r.below(64)));
  }

  #start(driver: Driver, features: bigint): void {
    driver.start(this.#random.pick(LAYOUTS) | features, { messages: this.#random.percent(50) });
  }

  #write(memory: FakeMemory, at: number, words: readonly number[]): void {
    const view = new DataView(memory.bytes.buffer);
    words.forEach((word, i) => {
      view.setUint32(at + 4 * i, word, true);
    });
  }

  #blk(at: number): Run[] {
    const r = this.#random;
    const type = r.percent(95) ? r.pick([0, 0, 1, 1, 4, 8, 11, 13]) : r.u32();
    const sector = r.percent(90) ? r.below(DISK / 512) : r.u32();
    this.#write(this.#subjects[0].driver.memory, at, [type, 0, sector, r.percent(98) ? 0 : r.u32()]);
    const write = type !== 1 && type !== 11 && type !== 13;
    const length = type >= 11 ? 16 : 512 * r.below(40);
    return [
      { gpa: at, length: 16 },
      { gpa: r.percent(95) ? r.below(RAM - length) : this.#number(), length, write },
      { gpa: at + 32, length: 1, write: true },
    ];
  }

  #balloon(at: number): Run[] {
    const r = this.#random;
    const { memory } = this.#subjects.find(({ name }) => name === "balloon")!.driver;
    const numbers = r.below(16);
    // Pages above the rings, or the storm would be over at once.
    this.#write(
      memory,
      at,
      Array.from({ length: numbers }, () => (r.percent(90) ? (RAM >> 13) + r.below(RAM >> 13) : r.u32())),
    );
    if (r.percent(50)) return [{ gpa: at, length: 4 * numbers }];
    return [{ gpa: (RAM / 2 + r.below(RAM / 2)) & ~4095, length: 4096 * r.below(20), write: true }];
  }

  #p9(at: number, name: string): Run[] {
    const r = this.#random;
    const message = randomRequest(r);
    if (r.percent(99)) new DataView(message.buffer).setUint32(0, message.length, true);
    this.#subjects.find((one) => one.name === name)!.driver.memory.write(at, message);
    const half = r.below(message.length);
    return [
      { gpa: at, length: half },
      { gpa: at + half, length: message.length - half },
      { gpa: at + 0x1000, length: 11, write: true },
      { gpa: at + 0x2000, length: r.percent(98) ? 9000 : r.below(20), write: true },
    ].filter(({ length }) => length > 0);
  }

  #startNvme(): void {
    this.#nvme.card.reset();
    this.#nvme.start();
  }

  #nvmeStep(): void {
    const r = this.#random;
    const host = this.#nvme;
    const address = (): number => (r.percent(80) ? r.below(RAM) & ~3 : this.#number());
    const words = () => ({
      nsid: r.percent(90) ? 1 : this.#number(),
      prp1: r.percent(70) ? address() & ~0xfff : address(),
      prp2: r.percent(50) ? address() & ~0xfff : address(),
      cdw10: r.percent(60) ? r.below(DISK / 512) : this.#number(),
      cdw11: r.percent(80) ? 0 : this.#number(),
      cdw12: r.percent(80) ? r.below(64) : this.#number(),
      cdw13: r.percent(90) ? 0 : this.#number(),
    });
    const kind = r.below(100);
    if (kind < 35) host.submit(r.below(4), r.pick([0, 1, 1, 2, 2, 8, 9, r.below(256)]), words(), r.percent(90));
    else if (kind < 55) {
      const size = (r.pick([63, 1, 0, 1023, r.below(0x1_0000)]) << 16) | r.pick([1, 2, 3, 0, r.below(0x1_0000)]);
      host.submit(0, r.pick([0, 1, 2, 4, 5, 6, 8, 9, 10, 12, r.below(256)]), {
        ...words(),
        ...(r.percent(50) && { cdw10: size, cdw11: (r.below(4) << 16) | 3 }),
        ...(r.percent(30) && { cdw10: r.below(16), nsid: r.below(2) }),
      });
    } else if (kind < 75) host.take(r.below(4), r.percent(90));
    else if (kind < 80) host.write(0x1000 + 4 * r.below(40), r.percent(80) ? r.below(64) : this.#number());
    else if (kind < 84) host.write(4 * r.below(20), this.#number());
    else if (kind < 88) {
      const value = host.read(4 * r.below(2048));
      if (!Number.isInteger(value) || value < 0) throw new StormError(`nvme read ${value}`);
    } else if (kind < 92) host.memory.write(r.below(RAM), r.bytes(r.below(64)));
    else if (kind < 95) {
      if (host.read(0x1c) & 1) {
        try {
          host.makeQueues(1 + r.below(3));
        } catch (error) {
          // The admin queue has other things in it, or the pair is there: a driver's trouble, not the controller's.
          if (!/^(no completion of|queue pair)/.test((error as Error).message)) throw error;
        }
      }
    } else if (kind < 97) this.#startNvme();
    else if (kind < 98) save(host.card);
    else host.timers.advance(BigInt(r.below(1_000_000)));
  }

  async #answer(): Promise<void> {
    this.#waiting.splice(this.#random.below(this.#waiting.length || 1), 1)[0]?.();
    for (let i = 0; i < 4; i++) await undefined;
  }

  /** Nothing is on its way any more, and each device answers after a reset. */
  async #check(): Promise<void> {
    while (this.#waiting.length) await this.#answer();
    for (let i = 0; i < 20; i++) await undefined;
    if (this.#broken) throw this.#broken;
    for (const { name, driver, features, alive } of this.#subjects) {
      if (driver.card.busy) throw new StormError(`${name} waits for an answer that nobody owes it`);
      for (const layout of LAYOUTS) {
        driver.card.reset();
        driver.card.writeConfig(0x10, 4, 0xf000_0000);
        driver.card.writeConfig(0x20, 4, 0xf001_0000);
        driver.card.writeConfig(0x04, 2, 6);
        if (driver.start(layout | features) !== 15) throw new StormError(`${name} does not start`);
        if (!(await alive())) throw new StormError(`${name} does not answer after a reset`);
      }
    }
    if (this.#nvme.card.busy) throw new StormError("nvme waits for an answer that nobody owes it");
    this.#startNvme();
    if (!(this.#nvme.read(0x1c) & 1)) throw new StormError("nvme is not ready after a reset");
  }
}

/** A saved state is taken back, and is the same then. */
function save(card: Device<{ version: number }> & { readonly busy: boolean }): void {
  if (card.busy) return;
  const state = structuredClone(card.export());
  card.import(state);
  const again = card.export();
  if (text(again) !== text(state)) throw new StormError(`${card.name} is not as it was saved`);
}

const text = (state: unknown): string =>
  JSON.stringify(state, (_, value) =>
    typeof value === "bigint"
      ? `${value}n`
      : value instanceof Uint8Array
        ? Buffer.from(value).toString("base64")
        : value,
  );
