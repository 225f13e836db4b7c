/**
 * The power-on self test display at port 0x80: a latch that firmware and boot code write progress codes to. Many
 * guests also write it only to pass a microsecond, the same value over and over, so a code is logged when it changes.
 */

import type { Device, Log } from "../shared/device.ts";
import { noLog } from "../shared/device.ts";
import { bytePorts, type PortRange } from "./portRange.ts";
import { SnapshotFields } from "./snapshotFields.ts";

/** Codes kept for whoever asks why a guest did not come up. */
const HISTORY = 64;

export interface PostCodeV1 {
  version: 1;
  code: number;
  history: number[];
}

export class PostCode implements Device<PostCodeV1> {
  readonly name = "postCode";
  /** Ports for the machine to map. */
  readonly handlers: readonly PortRange[];
  private readonly log: Log;
  private code = 0;
  private codes: number[] = [];

  constructor(log: Log = noLog) {
    this.log = log;
    this.handlers = [bytePorts(0x80, 1, { read: () => this.code, write: (_, value) => this.write(value) })];
  }

  /** The last codes that differed from the one before, oldest first; at most 64. */
  history(): readonly number[] {
    return this.codes;
  }

  reset(): void {
    this.code = 0;
    this.codes = [];
  }

  export(): PostCodeV1 {
    return { version: 1, code: this.code, history: [...this.codes] };
  }

  import(state: PostCodeV1): void {
    const fields = new SnapshotFields(this.name, state).version(1);
    const code = fields.u8("code");
    const history = fields.ints("history", HISTORY, 0, 0xff);
    this.code = code;
    this.codes = history;
  }

  private write(value: number): void {
    if (value === this.code) return;
    this.code = value;
    this.codes.push(value);
    if (this.codes.length > HISTORY) this.codes.shift();
    this.log(`0x${value.toString(16).padStart(2, "0")}`);
  }
}
