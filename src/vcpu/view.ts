/** Typed access to the structures of src/shared/layout.ts in the machine's memory. */
import {
  CONTROL,
  CONTROL_BASE,
  type Field,
  SEG,
  SEG_INDEX,
  SEG_STRIDE,
  VCPU,
  VCPU_BASE,
  VCPU_STRIDE,
} from "../shared/layout.ts";

/** A structure at a place in memory. Fields are read and written by their description. */
export class StructView {
  readonly base: number;
  readonly data: DataView;
  readonly #words: Int32Array;
  readonly #longs: BigUint64Array;

  constructor(buffer: ArrayBufferLike, base: number) {
    this.base = base;
    this.data = new DataView(buffer);
    this.#words = new Int32Array(buffer);
    this.#longs = new BigUint64Array(buffer);
  }

  #at(f: Field, i: number): number {
    return this.base + f.offset + i * f.stride;
  }

  get(f: Field, i = 0): number {
    const at = this.#at(f, i);
    switch (f.type) {
      case "u8":
        return this.data.getUint8(at);
      case "u16":
        return this.data.getUint16(at, true);
      case "u32":
        return this.data.getUint32(at, true);
      case "i32":
        return this.data.getInt32(at, true);
      case "f64":
        return this.data.getFloat64(at, true);
      case "u64":
        return Number(this.data.getBigUint64(at, true));
    }
  }

  set(f: Field, value: number, i = 0): void {
    const at = this.#at(f, i);
    switch (f.type) {
      case "u8":
        this.data.setUint8(at, value);
        return;
      case "u16":
        this.data.setUint16(at, value, true);
        return;
      case "u32":
        this.data.setUint32(at, value, true);
        return;
      case "i32":
        this.data.setInt32(at, value, true);
        return;
      case "f64":
        this.data.setFloat64(at, value, true);
        return;
      case "u64":
        this.data.setBigUint64(at, BigInt(value), true);
        return;
    }
  }

  get64(f: Field, i = 0): bigint {
    return this.data.getBigUint64(this.#at(f, i), true);
  }

  set64(f: Field, value: bigint, i = 0): void {
    this.data.setBigUint64(this.#at(f, i), BigInt.asUintN(64, value), true);
  }

  /** Index of a 32-bit field in the Int32Array over all of memory, for Atomics. */
  index(f: Field): number {
    return (this.base + f.offset) >> 2;
  }

  load(f: Field): number {
    return Atomics.load(this.#words, this.index(f));
  }

  store(f: Field, value: number): void {
    Atomics.store(this.#words, this.index(f), value);
  }

  or(f: Field, bits: number): void {
    Atomics.or(this.#words, this.index(f), bits);
  }

  and(f: Field, bits: number): void {
    Atomics.and(this.#words, this.index(f), bits);
  }

  add(f: Field, n: number): void {
    Atomics.add(this.#words, this.index(f), n);
  }

  exchange(f: Field, value: number): number {
    return Atomics.exchange(this.#words, this.index(f), value);
  }

  /** Sleeps while the field is `value`, at most `ms`. Not on a page's main thread. */
  wait(f: Field, value: number, ms?: number): void {
    Atomics.wait(this.#words, this.index(f), value, ms);
  }

  /** A u64 field that another thread may be writing. */
  load64(f: Field): bigint {
    return Atomics.load(this.#longs, (this.base + f.offset) / 8);
  }

  store64(f: Field, value: bigint): void {
    Atomics.store(this.#longs, (this.base + f.offset) / 8, BigInt.asUintN(64, value));
  }

  notify(f: Field): void {
    Atomics.notify(this.#words, this.index(f));
  }

  get words(): Int32Array {
    return this.#words;
  }
}

export const vcpuBase = (id: number): number => VCPU_BASE + id * VCPU_STRIDE;
export const vcpuView = (buffer: ArrayBufferLike, id: number): StructView => new StructView(buffer, vcpuBase(id));
export const controlView = (buffer: ArrayBufferLike): StructView => new StructView(buffer, CONTROL_BASE);

export interface Segment {
  selector: number;
  base: bigint;
  limit: number;
  ar: number;
}

export function getSegment(view: StructView, name: keyof typeof SEG_INDEX): Segment {
  const at = view.base + VCPU.seg.offset + SEG_INDEX[name] * SEG_STRIDE;
  const d = view.data;
  return {
    selector: d.getUint16(at + SEG.selector.offset, true),
    base: d.getBigUint64(at + SEG.base.offset, true),
    limit: d.getUint32(at + SEG.limit.offset, true),
    ar: d.getUint32(at + SEG.ar.offset, true),
  };
}

export function setSegment(view: StructView, name: keyof typeof SEG_INDEX, s: Segment): void {
  const at = view.base + VCPU.seg.offset + SEG_INDEX[name] * SEG_STRIDE;
  const d = view.data;
  d.setUint16(at + SEG.selector.offset, s.selector, true);
  d.setBigUint64(at + SEG.base.offset, s.base, true);
  d.setUint32(at + SEG.limit.offset, s.limit, true);
  d.setUint32(at + SEG.ar.offset, s.ar, true);
}

export { CONTROL, VCPU };
