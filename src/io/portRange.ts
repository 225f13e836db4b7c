/** Port ranges of chips whose registers are one byte wide. */

import type { IoHandler, Width } from "../shared/device.ts";

/** A run of I/O ports that belongs to one handler; the machine puts it on the bus. */
export interface PortRange {
  /** First port. */
  readonly base: number;
  /** Number of ports. */
  readonly length: number;
  readonly handler: IoHandler;
}

/** One-byte registers. `offset` is always inside the range, values are 0..255. */
export interface ByteRegisters {
  read(offset: number): number;
  write(offset: number, value: number): void;
}

/**
 * Puts 8-bit registers on a bus with wider cycles, as the ISA bridge does: an access of 2 or 4 bytes becomes
 * byte cycles at ascending ports, the low byte first. Bytes past the end of the range read 0xff and are not written.
 */
export function bytePorts(base: number, length: number, registers: ByteRegisters): PortRange {
  const read = (offset: number): number => (offset < length ? registers.read(offset) : 0xff);
  const handler: IoHandler = {
    read(offset: number, size: Width): number {
      if (size === 1) return read(offset);
      let value = 0;
      for (let i = 0; i < size; i++) value += read(offset + i) * 2 ** (8 * i);
      return value;
    },
    write(offset: number, size: Width, value: number): void {
      for (let i = 0; i < size && offset + i < length; i++) registers.write(offset + i, (value >>> (8 * i)) & 0xff);
    },
  };
  return { base, length, handler };
}
