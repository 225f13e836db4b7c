/**
 * virtio-balloon (Virtual I/O Device Version 1.2, 5.5): a guest gives pages of its RAM back, as many as it is asked for, tells
 * of others that are free at the moment, and how it uses what it has. A page that was given back becomes zeros, which
 * snapshots leave out; it may be used again at any time.
 *
 *     queue 0 inflate   1 deflate   2 statistics   3 free page hints, which nobody asks for   4 free pages
 *     configuration   pages wanted 31:0 | pages given back 31:0 | hint command 31:0 | poison 31:0
 */
import type { SnapshotFields } from "../snapshotFields.ts";
import { readable, VirtioDevice, type VirtioOptions } from "./virtioDevice.ts";
import type { Chain } from "./virtqueue.ts";

const QUEUE = { inflate: 0, deflate: 1, stats: 2, hints: 3, reports: 4 } as const;
const QUEUE_SIZE = 128;
const PAGE = 4096;
/** Page numbers in a buffer at most; Linux sends 256. */
const MAX_NUMBERS = 4096;
/** Bytes of free pages in a buffer at most: 32 of Linux's largest blocks. */
const MAX_REPORT = 128 << 20;
/** Bytes that are cleared at a time; then others have their turn. */
const TURN = 64 << 20;

const FEATURE = {
  mustTellHost: 1n << 0n,
  stats: 1n << 1n,
  deflateOnOom: 1n << 2n,
  hints: 1n << 3n,
  poison: 1n << 4n,
  reporting: 1n << 5n,
} as const;
/** Without free page hints drivers do not agree which queue is the reports'. */
const OFFERED = Object.values(FEATURE).reduce((all, feature) => all | feature);

const CONFIG = { wanted: 0, actual: 4, hintCommand: 8, poison: 12 } as const;

/** Statistics by their tags (5.5.6.3): bytes, but faults and huge pages. */
const STATS = [
  ...["swapIn", "swapOut", "majorFaults", "minorFaults", "free", "total", "available", "caches"],
  ...["hugePages", "hugePageFailures"],
] as const;
const STAT_SIZE = 10;
const MAX_STATS = 64;

export type BalloonStats = Partial<Record<(typeof STATS)[number], number>>;

export interface VirtioBalloonOptions extends VirtioOptions {
  /** Bytes that the guest is asked to give back from the start. */
  readonly target?: number;
}

export class VirtioBalloon extends VirtioDevice {
  readonly type = 5;
  /** The driver's buffer for statistics: it is given back to ask for new ones. */
  #held: Pick<Chain, "id" | "slots"> | undefined;
  #stats: BalloonStats = {};
  #asking: ((stats: BalloonStats) => void)[] = [];
  #reported = 0;
  readonly #zeros = new Uint8Array(PAGE);

  constructor(name: string, options: VirtioBalloonOptions) {
    super(name, options, OFFERED, new Array(5).fill(QUEUE_SIZE), 16);
    if (options.target !== undefined) this.config.setUint32(CONFIG.wanted, pages(options.target), true);
  }

  /** Bytes that the guest is asked to give back. */
  get target(): number {
    return this.config.getUint32(CONFIG.wanted, true) * PAGE;
  }

  set target(bytes: number) {
    this.config.setUint32(CONFIG.wanted, pages(bytes), true);
    this.transport?.configurationChanged();
  }

  /** Bytes that it has given back. */
  get actual(): number {
    return this.config.getUint32(CONFIG.actual, true) * PAGE;
  }

  /** Bytes of free pages that it has told of, all in all. */
  get reported(): number {
    return this.#reported;
  }

  /** What the guest says of its memory now; `done` hears of it when it does, which it may never do. */
  askStats(done: (stats: BalloonStats) => void): void {
    this.#asking.push(done);
    this.#giveStatsBack();
  }

  /** What it has said last. */
  get stats(): BalloonStats {
    return this.#stats;
  }

  override writeConfig(offset: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) {
      const at = offset + i;
      const its = (at >= CONFIG.actual && at < CONFIG.hintCommand) || (at >= CONFIG.poison && at < CONFIG.poison + 4);
      if (its) this.config.setUint8(at, value >>> (8 * i));
    }
  }

  protected override onReset(): void {
    this.#held = undefined;
    this.config.setUint32(CONFIG.actual, 0, true);
    this.config.setUint32(CONFIG.poison, 0, true);
  }

  protected override serve(n: number): void {
    let cleared = 0;
    this.drain(n, (chain) => {
      if (n === QUEUE.stats) {
        this.#takeStats(chain);
        return true;
      }
      if (n === QUEUE.inflate) cleared += this.#inflate(chain);
      else if (n === QUEUE.reports) cleared += this.#report(chain);
      this.push(n, chain, 0);
      if (cleared < TURN) return true;
      const { epoch } = this;
      this.transport?.later(() => {
        if (epoch === this.epoch) this.notify(n);
      });
      return false;
    });
    this.signal(n);
  }

  /** Bytes that were cleared. */
  #inflate(chain: Chain): number {
    const bytes = readable(this.memory, chain, 4 * MAX_NUMBERS);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at + 4 <= bytes.length; at += 4) this.memory.write(view.getUint32(at, true) * PAGE, this.#zeros);
    return bytes.length * (PAGE / 4);
  }

  /** Pages of a guest that fills free pages with something else stay as they are. */
  #report({ writable }: Chain): number {
    if (this.has(FEATURE.poison) && this.config.getUint32(CONFIG.poison, true) !== 0) return 0;
    let cleared = 0;
    for (const { gpa, length } of writable) {
      if (gpa % PAGE || length % PAGE || cleared + length > MAX_REPORT) continue;
      for (let at = 0; at < length; at += PAGE) this.memory.write(gpa + at, this.#zeros);
      cleared += length;
    }
    this.#reported += cleared;
    return cleared;
  }

  #takeStats(chain: Chain): void {
    const bytes = readable(this.memory, chain, STAT_SIZE * MAX_STATS);
    const view = new DataView(bytes.buffer);
    const stats: BalloonStats = {};
    for (let at = 0; at + STAT_SIZE <= bytes.length; at += STAT_SIZE) {
      const name = STATS[view.getUint16(at, true)];
      const value = view.getBigUint64(at + 2, true);
      // All ones: it does not know.
      if (name && value !== 0xffff_ffff_ffff_ffffn) stats[name] = Number(value);
    }
    this.#stats = stats;
    // A driver has one buffer; what it adds besides it gets back.
    const before = this.#held;
    this.#held = { id: chain.id, slots: chain.slots };
    if (before) this.#push(before);
    for (const done of this.#asking.splice(0)) done(stats);
  }

  #giveStatsBack(): void {
    const held = this.#held;
    if (!held) return;
    this.#held = undefined;
    this.#push(held);
    this.signal(QUEUE.stats);
  }

  #push(held: Pick<Chain, "id" | "slots">): void {
    this.push(QUEUE.stats, { ...held, readable: [], writable: [] }, 0);
  }

  protected override exportDevice(): object {
    return {
      config: Object.values(CONFIG).map((at) => this.config.getUint32(at, true)),
      held: this.#held && { ...this.#held },
      reported: this.#reported,
    };
  }

  protected override checkDevice(from: SnapshotFields): () => void {
    const config = from.intsOf("config", 4, 0, 0xffff_ffff);
    const reported = from.int("reported", 0, Number.MAX_SAFE_INTEGER);
    let held: Pick<Chain, "id" | "slots"> | undefined;
    if (from.optional("held") !== undefined) {
      const fields = from.child("held");
      held = { id: fields.int("id", 0, 0xffff), slots: fields.int("slots", 1, QUEUE_SIZE) };
    }
    return () => {
      Object.values(CONFIG).forEach((at, i) => {
        this.config.setUint32(at, config[i], true);
      });
      this.#held = held;
      this.#reported = reported;
    };
  }
}

const pages = (bytes: number): number => Math.floor(bytes / PAGE);
