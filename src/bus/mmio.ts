/** The memory bus outside RAM: device registers by guest physical address. Holes read as all ones. */
import type { IoHandler, Log, Width } from "../shared/device.ts";
import { noLog } from "../shared/device.ts";
import { RangeMap } from "./ranges.ts";

const ALL_ONES = 0xffff_ffff_ffff_ffffn;

export class MmioBus {
  readonly #map = new RangeMap();
  readonly #log: Log;

  constructor(log: Log = noLog) {
    this.#log = log;
  }

  attach(base: number, length: number, handler: IoHandler): () => void {
    return this.#map.attach(base, length, handler);
  }

  /** Reads 1, 2, 4 or 8 naturally aligned bytes. */
  read(gpa: number, size: Width | 8): bigint {
    const r = this.#map.find(gpa);
    if (!r) {
      this.#log(`read of 0x${gpa.toString(16)}, where nothing is`);
      return BigInt.asUintN(size * 8, ALL_ONES);
    }
    const offset = gpa - r.base;
    if (size < 8) return BigInt(r.handler.read(offset, size as Width) >>> 0);
    if (r.handler.read64) return r.handler.read64(offset);
    return BigInt(r.handler.read(offset, 4) >>> 0) | (BigInt(r.handler.read(offset + 4, 4) >>> 0) << 32n);
  }

  write(gpa: number, size: Width | 8, value: bigint): void {
    const r = this.#map.find(gpa);
    if (!r) {
      this.#log(`write of 0x${value.toString(16)} to 0x${gpa.toString(16)}, where nothing is`);
      return;
    }
    const offset = gpa - r.base;
    if (size < 8) r.handler.write(offset, size as Width, Number(value));
    else if (r.handler.write64) r.handler.write64(offset, value);
    else {
      r.handler.write(offset, 4, Number(value & 0xffff_ffffn));
      r.handler.write(offset + 4, 4, Number(value >> 32n));
    }
  }
}
