/** Where the heads of a floppy controller's four drives are and go, and what interrupts tell of them (82077AA, 5.2). */
import { MAX_TRACK, ST0_ABNORMAL, ST0_EQUIPMENT, ST0_POLLED, ST0_SEEK_END, STEP_NS } from "./floppyState.ts";

const NONE = -1;
const UNITS = [0, 1, 2, 3] as const;

export class FloppySeeks {
  #tracks = [0, 0, 0, 0];
  /** Where each drive's head goes; NONE: it rests. */
  #to = UNITS.map(() => NONE);
  /** Status 0 of each drive that an interrupt tells of. */
  #pending = UNITS.map(() => NONE);

  /** The controller's own reset: heads stay where they are. */
  restart(): void {
    this.#to.fill(NONE);
    this.#pending.fill(NONE);
  }

  /** Every head is at track 0. */
  home(): void {
    this.#tracks.fill(0);
  }

  get tracks(): readonly number[] {
    return this.#tracks;
  }

  /** A bit for each drive whose head is on its way. */
  get moving(): number {
    return this.#to.reduce((bits, to, n) => (to === NONE ? bits : bits | (1 << n)), 0);
  }

  /** Sends a drive's head to a track, or as far as it goes; ns that it takes. */
  start(unit: number, track: number, recalibrates: boolean): bigint {
    const to = Math.min(Math.max(track, 0), MAX_TRACK);
    this.#to[unit] = to;
    // Remembered in what is pending: a drive that is not there never finds track 0.
    this.#pending[unit] = recalibrates && unit !== 0 ? ST0_ABNORMAL | ST0_SEEK_END | ST0_EQUIPMENT | unit : NONE;
    return BigInt(Math.abs(to - this.#tracks[unit]) + 1) * STEP_NS;
  }

  /** All heads are where they were sent to. `head`: bit 2 of the selected drive's status. True: drive 0's has moved. */
  arrive(selected: number, head: number): boolean {
    const first = this.#to[0] !== NONE;
    this.#to.forEach((to, unit) => {
      if (to === NONE) return;
      this.#tracks[unit] = to;
      if (this.#pending[unit] === NONE) this.#pending[unit] = ST0_SEEK_END | unit | (unit === selected ? head << 2 : 0);
      this.#to[unit] = NONE;
    });
    return first;
  }

  /** Polling after a reset finds that every drive's ready line has changed. */
  polled(): void {
    this.#pending = UNITS.map((unit) => ST0_POLLED | unit);
  }

  /** What SENSE INTERRUPT STATUS answers, once; undefined: nothing has happened. */
  sense(): [status: number, track: number] | undefined {
    const unit = this.#pending.findIndex((status, n) => status !== NONE && this.#to[n] === NONE);
    if (unit < 0) return undefined;
    const status = this.#pending[unit];
    this.#pending[unit] = NONE;
    return [status, this.#tracks[unit]];
  }

  export(): { tracks: number[]; seeks: number[]; pending: number[] } {
    return { tracks: [...this.#tracks], seeks: [...this.#to], pending: [...this.#pending] };
  }

  /** @param state checked */
  import({ tracks, seeks, pending }: ReturnType<FloppySeeks["export"]>): void {
    this.#tracks = tracks;
    this.#to = seeks;
    this.#pending = pending;
  }
}
