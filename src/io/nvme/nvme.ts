/**
 * An NVMe controller with one namespace (NVM Express Base Specification 1.4): registers, doorbells, and the commands that
 * queues bring.
 *
 *     0x00  CAP    0x08  VS     0x0c  INTMS   0x10  INTMC   0x14  CC
 *     0x1c  CSTS   0x24  AQA    0x28  ASQ     0x30  ACQ
 *     0x1000 + 8 n  tail of submission queue n     0x1004 + 8 n  head of completion queue n
 *
 * Queues are served in turn, a command each, until none has one, its completion queue is full, or a turn has moved SLICE
 * bytes: the rest follows a little later, so that nothing else waits for it.
 *
 * Not there: controller memory buffer, weighted arbitration, subsystem reset, SGLs, metadata, fused commands.
 */
import type { BlockSource } from "../../block/block.ts";
import { whenDone } from "../../block/block.ts";
import type { Deadline, GuestMemory, InterruptPin, IoHandler, Log, Timers, Width } from "../../shared/device.ts";
import { PostedWrites } from "../../shared/postedWrites.ts";
import { allOnes } from "../byteAccess.ts";
import type { Msix } from "../msix.ts";
import type { SnapshotFields } from "../snapshotFields.ts";
import { AdminCommands, type AdminV1 } from "./nvmeAdmin.ts";
import { NvmCommands } from "./nvmeIo.ts";
import { CompletionQueue, type CompletionQueueV1, SubmissionQueue, type SubmissionQueueV1 } from "./nvmeQueue.ts";
import {
  address,
  CC_CHOICES,
  CC_EN,
  CC_SHN,
  CC_WRITABLE,
  CSTS_CFS,
  CSTS_RDY,
  CSTS_SHST_COMPLETE,
  CSTS_SHST_OCCURRING,
  MAX_ENTRIES,
  MAX_IO_QUEUES,
  PAGE,
  REG,
  STATUS,
  VERSION,
} from "./nvmeRegs.ts";

/** MQES | CQR | TO of 10 s; in the upper half CSS: the NVM command set. */
const CAP_LOW = (MAX_ENTRIES - 1) | (1 << 16) | (20 << 24);
const CAP_HIGH = 1 << 5;
const AQA_WRITABLE = 0x0fff_0fff;
/** Bytes of the registers' range: the doorbells of all queues within a power of two. */
export const NVME_REGISTERS = 0x2000;
/** Commands at work at a time. */
const MAX_IN_FLIGHT = 256;
const SLICE = 4 << 20;
/** Address bit of a doorbell: it is a completion queue's. */
const OF_COMPLETION = 4;

export interface NvmeOptions {
  readonly source: BlockSource;
  /** At most 20 characters. */
  readonly serial: string;
  readonly memory: GuestMemory;
  readonly timers: Timers;
  readonly msix: Msix;
  readonly intx: InterruptPin;
  /** The function may master the bus. */
  readonly mayMaster: () => boolean;
  readonly log: Log;
}

export interface NvmeStateV1 {
  version: 1;
  mask: number;
  cc: number;
  csts: number;
  aqa: number;
  /** ASQ and ACQ: low, high. */
  asq: number[];
  acq: number[];
  submission: SubmissionQueueV1[];
  completion: CompletionQueueV1[];
  admin: AdminV1;
}

export class Nvme implements IoHandler {
  /** What a guest has taken from a completion queue is of interest only while something waits for room. */
  readonly doorbells = new PostedWrites(REG.doorbells, NVME_REGISTERS - REG.doorbells, OF_COMPLETION);
  readonly #options: NvmeOptions;
  readonly #nvm: NvmCommands;
  readonly #admin: AdminCommands;
  readonly #submission = new Map<number, SubmissionQueue>();
  readonly #completion = new Map<number, CompletionQueue>();
  readonly #later: Deadline;
  #mask = 0;
  #cc = 0;
  #csts = 0;
  #aqa = 0;
  #asq = [0, 0];
  #acq = [0, 0];
  #inFlight = 0;
  #running = false;
  #flushing = 0;
  /** Rises when the controller is reset: what was at work before is forgotten. */
  #epoch = 0;

  constructor(options: NvmeOptions) {
    const { source, memory, serial, msix, log, timers } = options;
    this.#options = options;
    this.#nvm = new NvmCommands(source, memory, log);
    const queues = { submission: this.#submission, completion: this.#completion, drop: this.#drop.bind(this) };
    this.#admin = new AdminCommands(memory, queues, this.#nvm, serial, msix.vectors);
    this.#later = timers.deadline(`nvme ${serial}`, () => this.#serve());
  }

  /** The medium has not answered yet. */
  get busy(): boolean {
    return this.#inFlight > 0 || this.#flushing > 0;
  }

  reset(): void {
    this.#disable();
    this.#aqa = this.#cc = 0;
    this.#asq = [0, 0];
    this.#acq = [0, 0];
  }

  read(offset: number, size: Width): number {
    const word = this.#word(offset & ~3);
    return ((word >>> (8 * (offset & 3))) & allOnes(size)) >>> 0;
  }

  write(offset: number, size: Width, value: number): void {
    if (size !== 4 || offset % 4) {
      this.#options.log(`nvme: ${size}-byte write at 0x${offset.toString(16)}`);
      return;
    }
    if (offset >= REG.doorbells) {
      this.#doorbell((offset - REG.doorbells) >> 2, value & 0xffff);
      return;
    }
    switch (offset) {
      case REG.intms:
        this.#mask = (this.#mask | value) >>> 0;
        this.#wire();
        return;
      case REG.intmc:
        this.#mask = (this.#mask & ~value) >>> 0;
        this.#wire();
        return;
      case REG.cc:
        this.#configure(value & CC_WRITABLE);
        return;
      case REG.aqa:
        this.#aqa = value & AQA_WRITABLE;
        return;
      case REG.asq:
      case REG.acq:
        (offset === REG.asq ? this.#asq : this.#acq)[0] = (value & -PAGE) >>> 0;
        return;
      case REG.asq + 4:
      case REG.acq + 4:
        (offset === REG.asq + 4 ? this.#asq : this.#acq)[1] = value >>> 0;
        return;
    }
  }

  #word(offset: number): number {
    switch (offset) {
      case REG.cap:
        return CAP_LOW;
      case REG.cap + 4:
        return CAP_HIGH;
      case REG.vs:
        return VERSION;
      case REG.intms:
      case REG.intmc:
        return this.#mask;
      case REG.cc:
        return this.#cc;
      case REG.csts:
        return this.#csts;
      case REG.aqa:
        return this.#aqa;
      case REG.asq:
      case REG.asq + 4:
        return this.#asq[(offset - REG.asq) >> 2];
      case REG.acq:
      case REG.acq + 4:
        return this.#acq[(offset - REG.acq) >> 2];
    }
    return 0;
  }

  // CC (3.1.5)

  #configure(value: number): void {
    const before = this.#cc;
    this.#cc = value;
    if (!(value & CC_EN)) {
      if (before & CC_EN) this.#disable();
    } else if (!(before & CC_EN)) this.#enable();
    if (value & CC_SHN && !(before & CC_SHN)) this.#shutDown();
    else if (!(value & CC_SHN)) this.#csts &= ~(CSTS_SHST_OCCURRING | CSTS_SHST_COMPLETE);
  }

  #enable(): void {
    const submission = (this.#aqa & 0xfff) + 1;
    const completion = (this.#aqa >>> 16) + 1;
    if (this.#cc & CC_CHOICES || Math.min(submission, completion) < 2) {
      this.#options.log(`nvme: cannot be enabled with CC 0x${this.#cc.toString(16)}, AQA 0x${this.#aqa.toString(16)}`);
      this.#csts |= CSTS_CFS;
      return;
    }
    const cq = new CompletionQueue(0, address(this.#acq[0], this.#acq[1]), Math.min(completion, MAX_ENTRIES), true, 0);
    this.#completion.set(0, cq);
    this.#submission.set(
      0,
      new SubmissionQueue(0, cq, address(this.#asq[0], this.#asq[1]), Math.min(submission, MAX_ENTRIES)),
    );
    this.#csts |= CSTS_RDY;
  }

  /** Controller Reset (7.3.2): queues are gone, AQA, ASQ and ACQ stay. */
  #disable(): void {
    this.#epoch++;
    this.#inFlight = this.#flushing = 0;
    this.#submission.clear();
    this.#completion.clear();
    this.#admin.reset();
    this.#later.cancel();
    this.#mask = this.#csts = 0;
    this.#hear();
    this.#wire();
  }

  #shutDown(): void {
    const epoch = this.#epoch;
    this.#csts = (this.#csts & ~CSTS_SHST_COMPLETE) | CSTS_SHST_OCCURRING;
    this.#flushing++;
    whenDone(
      () => this.#nvm.source.flush(),
      (error) => {
        if (epoch !== this.#epoch) return;
        this.#flushing--;
        if (error) this.#options.log(`nvme: ${(error as Error).message ?? error}`);
        this.#csts = (this.#csts & ~CSTS_SHST_OCCURRING) | CSTS_SHST_COMPLETE;
      },
    );
  }

  // Queues

  #doorbell(n: number, value: number): void {
    const id = n >> 1;
    const queue = n & 1 ? this.#completion.get(id) : this.#submission.get(id);
    if (!queue || value >= queue.entries) {
      this.#options.log(`nvme: doorbell ${n} rung with ${value}, which is no place in a queue`);
      return;
    }
    if (queue instanceof SubmissionQueue) queue.tail = value;
    else {
      queue.head = value;
      this.#post(queue);
    }
    this.#serve();
  }

  /** Takes commands as long as there are any that can be answered. */
  #serve(): void {
    if (this.#running || !(this.#csts & CSTS_RDY) || !this.#options.mayMaster()) return;
    this.#running = true;
    let moved = 0;
    for (let progress = true; progress && moved < SLICE; ) {
      progress = false;
      for (const queue of [...this.#submission.values()]) {
        if (queue.empty || queue.cq.waiting.length || this.#inFlight >= MAX_IN_FLIGHT) continue;
        if (this.#submission.get(queue.id) !== queue) continue;
        moved += this.#execute(queue);
        progress = true;
      }
    }
    this.#running = false;
    if (moved >= SLICE) this.#later.arm(this.#options.timers.now());
  }

  #execute(queue: SubmissionQueue): number {
    const command = queue.take(this.#options.memory);
    const { cid } = command;
    if (queue.id === 0) {
      const { status, result = 0 } = this.#admin.execute(command);
      if (status !== undefined) this.#complete(queue, cid, status, result);
      return 0;
    }
    const epoch = this.#epoch;
    const work = { cid, dropped: false };
    queue.inFlight.add(work);
    this.#inFlight++;
    const wanted = (): boolean => epoch === this.#epoch && !work.dropped;
    return this.#nvm.execute(command, wanted, (status) => {
      if (!wanted()) return;
      queue.inFlight.delete(work);
      this.#inFlight--;
      this.#complete(queue, cid, status, 0);
      this.#serve();
    });
  }

  #drop(queue: SubmissionQueue): void {
    for (const work of queue.inFlight) {
      work.dropped = true;
      this.#inFlight--;
      this.#complete(queue, work.cid, STATUS.sqDeleted, 0);
    }
    queue.inFlight.clear();
  }

  #complete(queue: SubmissionQueue, cid: number, status: number, result: number): void {
    queue.cq.waiting.push({ result, sqHead: queue.head, sqId: queue.id, cid, status });
    this.#post(queue.cq);
  }

  #post(queue: CompletionQueue): void {
    const wrote = queue.flush(this.#options.memory);
    if (wrote && queue.interrupts) this.#options.msix.raise(queue.vector);
    this.#hear();
    this.#wire();
  }

  #hear(): void {
    let waiting = false;
    for (const queue of this.#completion.values()) if (queue.waiting.length) waiting = true;
    this.doorbells.quiet = waiting ? 0 : OF_COMPLETION;
  }

  /** The INTx pin, which MSI-X replaces. */
  #wire(): void {
    let pending = false;
    for (const queue of this.#completion.values()) {
      if (queue.interrupts && queue.pending && !(this.#mask & 1)) pending = true;
    }
    this.#options.intx.set(pending && !this.#options.msix.enabled);
  }

  /** Message control has changed. */
  msixChanged(): void {
    this.#wire();
  }

  export(): NvmeStateV1 {
    return {
      version: 1,
      mask: this.#mask,
      cc: this.#cc,
      csts: this.#csts,
      aqa: this.#aqa,
      asq: [...this.#asq],
      acq: [...this.#acq],
      submission: [...this.#submission.values()].map((queue) => queue.export()),
      completion: [...this.#completion.values()].map((queue) => queue.export()),
      admin: this.#admin.export(),
    };
  }

  /** What puts a checked state in. @throws SnapshotError */
  check(from: SnapshotFields): () => void {
    from.version(1);
    const mask = from.int("mask", 0, 0xffff_ffff);
    const cc = from.int("cc", 0, CC_WRITABLE);
    const csts = from.int("csts", 0, 0xf);
    const aqa = from.int("aqa", 0, AQA_WRITABLE);
    const [asq, acq] = ["asq", "acq"].map((name) => from.intsOf(name, 2, 0, 0xffff_ffff));
    const items = (name: string): SnapshotFields[] =>
      from.array(name, 0, MAX_IO_QUEUES + 1).map((_, n) => from.item(name, n));
    const completion = new Map(
      items("completion")
        .map((item) => CompletionQueue.check(item))
        .map((q) => [q.id, q]),
    );
    const submission = items("submission").map((item) => SubmissionQueue.check(item, completion));
    const admin = this.#admin.check(from.child("admin"));
    return () => {
      this.#disable();
      this.#mask = mask;
      this.#cc = cc;
      this.#csts = csts;
      this.#aqa = aqa;
      this.#asq = asq;
      this.#acq = acq;
      for (const queue of completion.values()) this.#completion.set(queue.id, queue);
      for (const queue of submission) this.#submission.set(queue.id, queue);
      admin();
      this.#hear();
      this.#wire();
      if (csts & CSTS_RDY) this.#later.arm(this.#options.timers.now());
    };
  }
}
