/**
 * What a device model is made of. A device has no DOM, no timers of its own and no globals: whatever it
 * touches reaches it through its constructor as one of the types below, so a test can hand in its own.
 */

/** An interrupt wire. Level semantics: a pulse is `set(true); set(false)`; the receiver decides edge or level. */
export interface InterruptPin {
  set(asserted: boolean): void;
}

/** Guest time in nanoseconds since power-on. Never runs backwards; stands still while the machine is paused. */
export interface Clock {
  now(): bigint;
}

/**
 * A timer owned by one device. Times are absolute guest nanoseconds on the device's Clock. Arming replaces an
 * earlier deadline. With a period, it re-arms itself at `at + k * period` without drift.
 */
export interface Deadline {
  arm(at: bigint, period?: bigint): void;
  cancel(): void;
}

/** Makes deadlines. `fire` runs on the device's thread with the time that was asked for (not the time it is). */
export interface Timers extends Clock {
  deadline(name: string, fire: (at: bigint) => void): Deadline;
}

/** Guest physical memory as a device sees it (DMA). Addresses outside RAM read as all ones and ignore writes. */
export interface GuestMemory {
  read(gpa: number, into: Uint8Array): void;
  write(gpa: number, from: Uint8Array): void;
}

/** A named channel for what a guest did wrong or what a person debugging wants to know. */
export type Log = (message: string) => void;

export const noLog: Log = () => {};

/** Access width in bytes. */
export type Width = 1 | 2 | 4;

/**
 * Registers behind a port range or an MMIO range. `offset` counts from the start of the range; values are
 * unsigned and no wider than the access. The bus splits 8-byte accesses into two of 4 bytes, low half first,
 * unless the device has `read64`/`write64`.
 */
export interface IoHandler {
  read(offset: number, size: Width): number;
  write(offset: number, size: Width, value: number): void;
  read64?(offset: number): bigint;
  write64?(offset: number, value: bigint): void;
}

/**
 * Life of a device. `reset` is the board's RESET line. Between `pause` and `resume` the guest does not run and
 * the clock stands still; a device drops or re-makes whatever it holds in real time. `export` may be called only
 * while paused and returns plain data (numbers, strings, bigints, typed arrays, arrays, objects) with a
 * `version`; `import` of that data yields a device that behaves the same and raises again what was pending.
 * `import` throws SnapshotError before it has changed anything if the data cannot be this device's.
 */
export interface Device<State extends { version: number }> {
  readonly name: string;
  reset(): void;
  pause?(): void;
  resume?(): void;
  export(): State;
  import(state: State): void;
}

/** A saved state that cannot be used: says which device, which field and why. */
export class SnapshotError extends Error {
  constructor(device: string, what: string) {
    super(`${device}: ${what}`);
    this.name = "SnapshotError";
  }
}
