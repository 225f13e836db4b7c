/**
 * What a person hears of disks that wait for a server, and what becomes of the machine: a guest gives up a disk that is silent
 * for half a minute, so before that the whole machine stands still, its clock with it, and goes on with the disk.
 */
import type { Waiting } from "./patient.ts";

/** Of a machine, what is needed. */
export interface Pausable {
  readonly state: string;
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/** Milliseconds; Linux gives NVMe and SATA commands 30 s. */
const STAND_STILL_MS = 10_000;

export class Waits {
  /** The machine that has the disks, once there is one. */
  machine: Pausable | undefined;
  readonly #tell: (line: string, waiting: boolean) => void;
  readonly #standStillMs: number;
  readonly #names = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #paused = false;

  /** @param tell `waiting`: it is true until the next line */
  constructor(tell: (line: string, waiting: boolean) => void, standStillMs = STAND_STILL_MS) {
    this.#tell = tell;
    this.#standStillMs = standStillMs;
  }

  /** What a disk calls. */
  of(name: string): Waiting {
    return (why) => {
      if (why === undefined) this.#ended(name);
      else this.#began(name, why);
    };
  }

  #began(name: string, why: string): void {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    this.#tell(`${why}. The disk waits, and goes on by itself when the server is there again.`, true);
    this.#timer ??= setTimeout(() => void this.#standStill(), this.#standStillMs);
  }

  #ended(name: string): void {
    if (!this.#names.delete(name)) return;
    this.#tell(`${name}: the server is there again; the disk goes on.`, false);
    if (this.#names.size) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#paused) this.#goOn();
  }

  #goOn(): void {
    this.#paused = false;
    if (this.machine?.state === "paused") void this.machine.resume();
  }

  async #standStill(): Promise<void> {
    if (this.machine?.state !== "running") return;
    this.#paused = true;
    await this.machine.pause();
    // It may have come back meanwhile.
    if (!this.#names.size) return this.#goOn();
    this.#tell(`The machine stands still until ${[...this.#names].join(" and ")} can be read again.`, true);
  }
}
