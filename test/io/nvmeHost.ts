/** What an operating system does with an NVMe controller, on fake memory. */
import type { BlockSource } from "../../src/block/block.ts";
import type { PciSpace } from "../../src/machine/pciFunction.ts";
import { PciNvme } from "../../src/machine/pciNvme.ts";
import type { IoHandler } from "../../src/shared/device.ts";
import type { PostedWrites } from "../../src/shared/postedWrites.ts";
import { FakeMemory, FakePin, FakeTimers, fakeLog } from "./fakes.ts";

export const SQ = 0x1000;
export const CQ = 0x2000;
export const DATA = 0x1_0000;
export const RAM = 0x40_0000;
const REGISTERS = 0xf000_0000;
const TABLE = 0xf010_0000;
/** Where queue pair n has its rings: 64 entries each. */
export const sqBase = (n: number): number => SQ + n * 0x2000;
export const cqBase = (n: number): number => CQ + n * 0x2000;
export const ENTRIES = 64;

export interface Done {
  readonly cid: number;
  /** Status code type and code, without "do not retry". */
  readonly status: number;
  readonly retry: boolean;
  readonly result: number;
  readonly sq: number;
}

/** Command double words that are not zero. */
export interface Words {
  readonly nsid?: number;
  readonly prp1?: number;
  readonly prp2?: number;
  readonly cdw10?: number;
  readonly cdw11?: number;
  readonly cdw12?: number;
  readonly cdw13?: number;
}

export class NvmeHost {
  readonly memory: FakeMemory;
  readonly timers: FakeTimers;
  readonly pin = new FakePin();
  readonly log = fakeLog();
  /** Messages that were sent: address and data. */
  readonly messages: [number, number][] = [];
  readonly card: PciNvme;
  readonly ranges = new Map<number, IoHandler>();
  doorbells: PostedWrites | undefined;
  #tails = [0, 0, 0, 0];
  #heads = [0, 0, 0, 0];
  #phases = [1, 1, 1, 1];
  #cid = 0;

  constructor(source: BlockSource, timers = new FakeTimers(), memory = new FakeMemory(RAM)) {
    this.timers = timers;
    this.memory = memory;
    this.card = new PciNvme("nvme0", {
      source,
      serial: "NVME0001",
      memory: this.memory,
      timers,
      message: (address, data) => this.messages.push([address, data]),
      log: this.log,
    });
    const space: PciSpace = {
      map: (_kind, base, _size, { handler, posted }) => {
        this.ranges.set(base, handler);
        if (posted) this.doorbells = posted;
        return () => this.ranges.delete(base);
      },
    };
    this.card.attach(space, this.pin);
  }

  /** Places the BARs and enables the controller with its admin queues. */
  start(): void {
    this.card.writeConfig(0x10, 4, REGISTERS);
    this.card.writeConfig(0x20, 4, TABLE);
    this.card.writeConfig(0x04, 2, 6);
    this.write(0x24, (ENTRIES - 1) * 0x1_0001);
    this.write(0x28, sqBase(0));
    this.write(0x30, cqBase(0));
    this.write(0x14, 0x0046_0001);
  }

  /** Turns messages on: vector n writes `data` 0x40 + n to the local APIC. */
  useMessages(vectors: number): void {
    const table = this.ranges.get(TABLE) as IoHandler;
    for (let n = 0; n < vectors; n++) {
      [0xfee0_0000, 0, 0x40 + n, 0].forEach((word, i) => {
        table.write(16 * n + 4 * i, 4, word);
      });
    }
    this.card.writeConfig(0x42, 2, 0x8000);
  }

  read(register: number): number {
    return (this.ranges.get(REGISTERS) as IoHandler).read(register, 4);
  }

  write(register: number, value: number): void {
    (this.ranges.get(REGISTERS) as IoHandler).write(register, 4, value);
  }

  /** Puts a command into a queue; `ring` tells the controller. */
  submit(queue: number, opcode: number, words: Words = {}, ring = true): number {
    const cid = this.#cid++ & 0xffff;
    const view = new DataView(new ArrayBuffer(64));
    view.setUint32(0, opcode | (cid << 16), true);
    view.setUint32(4, words.nsid ?? 0, true);
    view.setBigUint64(24, BigInt(words.prp1 ?? 0), true);
    view.setBigUint64(32, BigInt(words.prp2 ?? 0), true);
    [words.cdw10, words.cdw11, words.cdw12, words.cdw13].forEach((word, i) => {
      view.setUint32(40 + 4 * i, word ?? 0, true);
    });
    this.memory.write(sqBase(queue) + 64 * this.#tails[queue], new Uint8Array(view.buffer));
    this.#tails[queue] = (this.#tails[queue] + 1) % ENTRIES;
    if (ring) this.write(0x1000 + 8 * queue, this.#tails[queue]);
    return cid;
  }

  /** Takes what a completion queue has; `ring` tells the controller. */
  take(queue: number, ring = true): Done[] {
    const done: Done[] = [];
    const view = new DataView(this.memory.bytes.buffer);
    for (;;) {
      const at = cqBase(queue) + 16 * this.#heads[queue];
      const status = view.getUint16(at + 14, true);
      if ((status & 1) !== this.#phases[queue]) break;
      done.push({
        cid: view.getUint16(at + 12, true),
        status: (status >> 1) & 0x7ff,
        retry: (status & 0x8000) === 0,
        result: view.getUint32(at, true),
        sq: view.getUint16(at + 10, true),
      });
      this.#heads[queue] = (this.#heads[queue] + 1) % ENTRIES;
      if (this.#heads[queue] === 0) this.#phases[queue] ^= 1;
    }
    if (ring && done.length) this.write(0x1004 + 8 * queue, this.#heads[queue]);
    return done;
  }

  /** One command, done. */
  admin(opcode: number, words: Words = {}): Done {
    this.submit(0, opcode, words);
    const [done] = this.take(0);
    if (!done) throw new Error(`no completion of admin command ${opcode}`);
    return done;
  }

  io(opcode: number, words: Words = {}, queue = 1): Done {
    this.submit(queue, opcode, { nsid: 1, ...words });
    const [done] = this.take(queue);
    if (!done) throw new Error(`no completion of command ${opcode}`);
    return done;
  }

  /** Queue pair n, with interrupts by vector n. */
  makeQueues(n: number): void {
    this.#tails[n] = this.#heads[n] = 0;
    this.#phases[n] = 1;
    this.memory.bytes.fill(0, cqBase(n), cqBase(n) + 16 * ENTRIES);
    const size = ((ENTRIES - 1) << 16) | n;
    const cq = this.admin(0x05, { cdw10: size, cdw11: (n << 16) | 3, prp1: cqBase(n) });
    const sq = this.admin(0x01, { cdw10: size, cdw11: (n << 16) | 1, prp1: sqBase(n) });
    if (cq.status || sq.status) throw new Error(`queue pair ${n}: ${cq.status}, ${sq.status}`);
  }
}
