/**
 * virtio-console with one port (Virtual I/O Device Version 1.2, 5.3): bytes both ways, and the size of the window.
 *
 *     queue 0  to the driver     queue 1  from the driver     configuration   cols 15:0 | rows 15:0 | …
 *
 * Not there: more ports, emergency writes.
 */
import { joinBytes } from "../../shared/bytes.ts";
import { scatter } from "../pieces.ts";
import type { SnapshotFields } from "../snapshotFields.ts";
import { readable, VirtioDevice, type VirtioOptions } from "./virtioDevice.ts";

const QUEUE_SIZE = 128;
const FEATURE_SIZE = 1n;
const TO_DRIVER = 0;
const FROM_DRIVER = 1;
/** Bytes of a buffer at most, and of input that waits for one. */
const MAX_BYTES = 0x1_0000;
const MAX_WAITING = 1 << 20;

export interface VirtioConsoleOptions extends VirtioOptions {
  /** What the guest writes. */
  readonly output: (bytes: Uint8Array) => void;
}

export class VirtioConsole extends VirtioDevice {
  readonly type = 3;
  readonly #output: (bytes: Uint8Array) => void;
  #waiting: Uint8Array = new Uint8Array(0);

  constructor(name: string, options: VirtioConsoleOptions) {
    super(name, options, FEATURE_SIZE, [QUEUE_SIZE, QUEUE_SIZE], 4);
    this.#output = options.output;
    this.#setSize(80, 25);
  }

  #setSize(columns: number, rows: number): void {
    this.config.setUint16(0, columns, true);
    this.config.setUint16(2, rows, true);
  }

  /** The window has another size. */
  resize(columns: number, rows: number): void {
    this.#setSize(columns, rows);
    if (this.has(FEATURE_SIZE)) this.transport?.configurationChanged();
  }

  /** Bytes for the guest; how many were taken, for there is a bound to what waits for it. */
  input(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, MAX_WAITING - this.#waiting.length);
    this.#waiting = joinBytes([this.#waiting, bytes.subarray(0, taken)]);
    this.notify(TO_DRIVER);
    return taken;
  }

  protected override onReset(): void {
    this.#waiting = new Uint8Array(0);
  }

  protected override onReady(): void {
    this.notify(TO_DRIVER);
  }

  protected override serve(n: number): void {
    if (n === FROM_DRIVER) {
      this.drain(n, (chain) => {
        this.#output(readable(this.memory, chain, MAX_BYTES));
        this.push(n, chain, 0);
        return true;
      });
    } else if (this.#waiting.length) {
      this.drain(n, (chain) => {
        const taken = scatter(this.memory, chain.writable, this.#waiting);
        this.#waiting = this.#waiting.slice(taken);
        this.push(n, chain, taken);
        return this.#waiting.length > 0;
      });
    }
    this.signal(n);
  }

  protected override exportDevice(): object {
    return { waiting: this.#waiting, columns: this.config.getUint16(0, true), rows: this.config.getUint16(2, true) };
  }

  protected override checkDevice(from: SnapshotFields): () => void {
    const waiting = from.someBytes("waiting", MAX_WAITING).slice();
    const columns = from.int("columns", 0, 0xffff);
    const rows = from.int("rows", 0, 0xffff);
    return () => {
      this.#waiting = waiting;
      this.#setSize(columns, rows);
    };
  }
}
