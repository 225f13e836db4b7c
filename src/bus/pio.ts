/** The I/O port bus: 64 Ki ports. Ports that nobody has read as all ones and ignore writes, as on an ISA bus. */
import type { IoHandler, Log, Width } from "../shared/device.ts";
import { noLog } from "../shared/device.ts";
import { RangeMap } from "./ranges.ts";

export class PortBus {
  readonly #map = new RangeMap();
  readonly #log: Log;

  constructor(log: Log = noLog) {
    this.#log = log;
  }

  attach(base: number, length: number, handler: IoHandler): () => void {
    return this.#map.attach(base, length, handler);
  }

  /** A wide access that starts in one range and leaves it becomes byte accesses, each to whoever has that port. */
  read(port: number, size: Width): number {
    const r = this.#map.find(port);
    if (r && port + size <= r.base + r.length) return r.handler.read(port - r.base, size) >>> 0;
    if (!r && size === 1) {
      this.#log(`read of port 0x${port.toString(16)}, which nobody has`);
      return 0xff;
    }
    let value = 0;
    if (size === 1) return value;
    for (let i = 0; i < size; i++) value += this.read((port + i) & 0xffff, 1) * 2 ** (8 * i);
    return value;
  }

  write(port: number, size: Width, value: number): void {
    const r = this.#map.find(port);
    if (r && port + size <= r.base + r.length) r.handler.write(port - r.base, size, value);
    else if (size === 1) this.#log(`write of 0x${value.toString(16)} to port 0x${port.toString(16)}, which nobody has`);
    else for (let i = 0; i < size; i++) this.write((port + i) & 0xffff, 1, (value >>> (8 * i)) & 0xff);
  }
}
