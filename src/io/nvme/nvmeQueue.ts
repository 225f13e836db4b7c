/** Submission and completion queues: rings in guest memory with their places (NVM Express 1.4, 4.1). */
import type { GuestMemory } from "../../shared/device.ts";
import type { SnapshotFields } from "../snapshotFields.ts";
import { address, type Command, CQ_ENTRY, MAX_ENTRIES, MAX_IO_QUEUES, SQ_ENTRY } from "./nvmeRegs.ts";

/** A guest may say anything of 64 bits; where no memory is, ones are read. */
const MAX_GPA = 2 ** 64;

export interface SubmissionQueueV1 {
  id: number;
  cq: number;
  base: number;
  entries: number;
  head: number;
  tail: number;
}

export class SubmissionQueue {
  readonly id: number;
  readonly cq: CompletionQueue;
  readonly base: number;
  readonly entries: number;
  head = 0;
  tail = 0;
  /** Commands that are at work. */
  readonly inFlight = new Set<{ readonly cid: number; dropped: boolean }>();

  /** @param base guest physical address */
  constructor(id: number, cq: CompletionQueue, base: number, entries: number) {
    this.id = id;
    this.cq = cq;
    this.base = base;
    this.entries = entries;
  }

  get empty(): boolean {
    return this.head === this.tail;
  }

  take(memory: GuestMemory): Command {
    const bytes = new Uint8Array(SQ_ENTRY);
    memory.read(this.base + this.head * SQ_ENTRY, bytes);
    this.head = (this.head + 1) % this.entries;
    const view = new DataView(bytes.buffer);
    const word = (n: number): number => view.getUint32(4 * n, true);
    return {
      opcode: word(0) & 0xff,
      cid: word(0) >>> 16,
      nsid: word(1),
      prp1: address(word(6), word(7)),
      prp2: address(word(8), word(9)),
      cdw10: word(10),
      cdw11: word(11),
      cdw12: word(12),
      cdw13: word(13),
    };
  }

  export(): SubmissionQueueV1 {
    const { id, cq, base, entries, head, tail } = this;
    return { id, cq: cq.id, base, entries, head, tail };
  }

  /** @throws SnapshotError */
  static check(from: SnapshotFields, queues: ReadonlyMap<number, CompletionQueue>): SubmissionQueue {
    const entries = from.int("entries", 2, MAX_ENTRIES);
    const cq = queues.get(from.int("cq", 0, MAX_IO_QUEUES));
    if (!cq) from.fail("cq", "is not there");
    const queue = new SubmissionQueue(from.int("id", 0, MAX_IO_QUEUES), cq, from.int("base", 0, MAX_GPA), entries);
    queue.head = from.int("head", 0, entries - 1);
    queue.tail = from.int("tail", 0, entries - 1);
    return queue;
  }
}

/** A completion that waits for room. */
export interface Completion {
  result: number;
  sqHead: number;
  sqId: number;
  cid: number;
  status: number;
}

export interface CompletionQueueV1 {
  id: number;
  base: number;
  entries: number;
  interrupts: boolean;
  vector: number;
  head: number;
  tail: number;
  phase: boolean;
  waiting: Completion[];
}

export class CompletionQueue {
  readonly id: number;
  readonly base: number;
  readonly entries: number;
  readonly interrupts: boolean;
  readonly vector: number;
  head = 0;
  tail = 0;
  /** The Phase Tag of entries in this round. */
  phase = true;
  waiting: Completion[] = [];

  /** @param base guest physical address; @param interrupts the guest wants to hear of entries, by `vector` */
  constructor(id: number, base: number, entries: number, interrupts: boolean, vector: number) {
    this.id = id;
    this.base = base;
    this.entries = entries;
    this.interrupts = interrupts;
    this.vector = vector;
  }

  /** There are entries that the guest has not taken. */
  get pending(): boolean {
    return this.head !== this.tail;
  }

  /** Writes what is waiting, as far as there is room; whether anything was written. */
  flush(memory: GuestMemory): boolean {
    let wrote = false;
    while (this.waiting.length && (this.tail + 1) % this.entries !== this.head) {
      const { result, sqHead, sqId, cid, status } = this.waiting.shift() as Completion;
      const bytes = new Uint8Array(CQ_ENTRY);
      const view = new DataView(bytes.buffer);
      view.setUint32(0, result, true);
      view.setUint16(8, sqHead, true);
      view.setUint16(10, sqId, true);
      view.setUint16(12, cid, true);
      view.setUint16(14, (status << 1) | Number(this.phase), true);
      memory.write(this.base + this.tail * CQ_ENTRY, bytes);
      this.tail = (this.tail + 1) % this.entries;
      if (this.tail === 0) this.phase = !this.phase;
      wrote = true;
    }
    return wrote;
  }

  export(): CompletionQueueV1 {
    const { id, base, entries, interrupts, vector, head, tail, phase } = this;
    return { id, base, entries, interrupts, vector, head, tail, phase, waiting: this.waiting.map((c) => ({ ...c })) };
  }

  /** @throws SnapshotError */
  static check(from: SnapshotFields): CompletionQueue {
    const entries = from.int("entries", 2, MAX_ENTRIES);
    const queue = new CompletionQueue(
      from.int("id", 0, MAX_IO_QUEUES),
      from.int("base", 0, MAX_GPA),
      entries,
      from.bool("interrupts"),
      from.int("vector", 0, MAX_IO_QUEUES),
    );
    queue.head = from.int("head", 0, entries - 1);
    queue.tail = from.int("tail", 0, entries - 1);
    queue.phase = from.bool("phase");
    queue.waiting = from.array("waiting", 0, MAX_ENTRIES).map((_, n) => {
      const one = from.item("waiting", n);
      return {
        result: one.int("result", 0, 0xffff_ffff),
        sqHead: one.int("sqHead", 0, 0xffff),
        sqId: one.int("sqId", 0, 0xffff),
        cid: one.int("cid", 0, 0xffff),
        status: one.int("status", 0, 0x7fff),
      };
    });
    return queue;
  }
}
