/**
 * MSI-X (PCI Local Bus Specification 3.0, 6.8.2): a function's table of messages, in memory that one of its BARs places, and
 * the bits of those that wait because they are masked.
 *
 *     table, 16 bytes a vector    address 63:0 | data 31:0 | vector control: masked 0
 *     pending bits                64 vectors a quadword, read-only
 *
 *     message control, in configuration space   enable 15 | function mask 14 | vectors - 1 10:0
 *
 * Registers are double words and quadwords, as the specification has it; narrower writes are not understood.
 */
import type { IoHandler, Width } from "../shared/device.ts";
import { allOnes } from "./byteAccess.ts";
import type { SnapshotFields } from "./snapshotFields.ts";

export const MSIX_ENABLE = 0x8000;
export const MSIX_FUNCTION_MASK = 0x4000;
const ENTRY_SIZE = 16;
const CONTROL = 3;
const MASKED = 1;
/** Where the pending bits begin in the range. */
export const PENDING_BITS = 0x800;
/** Bytes of the range: 128 vectors at most. */
export const MSIX_RANGE = 0x1000;
export const MAX_VECTORS = PENDING_BITS / ENTRY_SIZE;

export interface MsixV1 {
  version: 1;
  /** Double words. */
  table: number[];
  pending: boolean[];
}

export class Msix implements IoHandler {
  readonly vectors: number;
  /** Double words of the table. */
  readonly #table: Uint32Array;
  readonly #pending: boolean[];
  readonly #deliver: (address: number, data: number) => void;
  #control = 0;

  /** @param deliver the write of a message: `data` to a bus address */
  constructor(vectors: number, deliver: (address: number, data: number) => void) {
    if (!(vectors >= 1 && vectors <= MAX_VECTORS)) throw new RangeError(`msix: ${vectors} vectors`);
    this.vectors = vectors;
    this.#deliver = deliver;
    this.#table = new Uint32Array(4 * vectors);
    this.#pending = new Array(vectors).fill(false);
    this.reset();
  }

  /** The function uses messages, and not its INTx pin. */
  get enabled(): boolean {
    return (this.#control & MSIX_ENABLE) !== 0;
  }

  /** The guest has written message control. */
  set control(value: number) {
    this.#control = value;
    for (let n = 0; n < this.vectors; n++) if (this.#pending[n]) this.raise(n);
  }

  reset(): void {
    this.#control = 0;
    this.#table.fill(0);
    for (let n = 0; n < this.vectors; n++) this.#table[4 * n + CONTROL] = MASKED;
    this.#pending.fill(false);
  }

  /** Sends vector `n`'s message, or notes that it is to be sent when it is unmasked. */
  raise(n: number): void {
    if (!this.enabled || n >= this.vectors) return;
    const masked = (this.#control & MSIX_FUNCTION_MASK) !== 0 || (this.#table[4 * n + CONTROL] & MASKED) !== 0;
    this.#pending[n] = masked;
    if (masked) return;
    const [low, high, data] = this.#table.subarray(4 * n, 4 * n + 3);
    this.#deliver(high * 2 ** 32 + ((low & ~3) >>> 0), data);
  }

  read(offset: number, size: Width): number {
    if (offset >= PENDING_BITS) {
      let bits = 0;
      const first = (offset - PENDING_BITS) * 8;
      for (let i = 0; i < 8 * size; i++) if (this.#pending[first + i]) bits |= 1 << i;
      return bits >>> 0;
    }
    const word = this.#table[offset >>> 2] ?? 0;
    return ((word >>> (8 * (offset & 3))) & allOnes(size)) >>> 0;
  }

  write(offset: number, size: Width, value: number): void {
    const at = offset >>> 2;
    if (size !== 4 || at >= this.#table.length) return;
    const vector = at >>> 2;
    this.#table[at] = (at & 3) === CONTROL ? value & MASKED : value;
    if (this.#pending[vector]) this.raise(vector);
  }

  export(): MsixV1 {
    return { version: 1, table: [...this.#table], pending: [...this.#pending] };
  }

  /** What puts a checked state in; `control` comes with configuration space. */
  check(from: SnapshotFields): () => void {
    from.version(1);
    const table = from.intsOf("table", this.#table.length, 0, 0xffff_ffff);
    const pending = from.array("pending", this.vectors, this.vectors).map((value) => value === true);
    return () => {
      this.#table.set(table);
      pending.forEach((on, n) => {
        this.#pending[n] = on;
      });
    };
  }
}
