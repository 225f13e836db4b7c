/** Little-endian records for the tables that firmware leaves in memory. */

/** Bytes to be put into guest memory at a guest physical address. */
export interface GuestBytes {
  readonly gpa: number;
  readonly bytes: Uint8Array;
}

/** Appends fields one after the other. */
export class TableWriter {
  private readonly out: number[] = [];

  get length(): number {
    return this.out.length;
  }

  u8(...values: readonly number[]): this {
    for (const value of values) this.out.push(value & 0xff);
    return this;
  }

  u16(value: number): this {
    return this.u8(value, value >>> 8);
  }

  u32(value: number): this {
    return this.u16(value).u16(value >>> 16);
  }

  u64(value: number | bigint): this {
    const wide = BigInt(value);
    return this.u32(Number(wide & 0xffff_ffffn)).u32(Number((wide >> 32n) & 0xffff_ffffn));
  }

  /** ASCII, padded with spaces (or cut) to `size`. */
  text(value: string, size = value.length): this {
    for (const char of value.padEnd(size).slice(0, size)) this.out.push(char.charCodeAt(0));
    return this;
  }

  bytes(bytes: Uint8Array): this {
    for (const byte of bytes) this.out.push(byte);
    return this;
  }

  zeros(count: number): this {
    for (let i = 0; i < count; i++) this.out.push(0);
    return this;
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.out);
  }
}

/** What to put into a checksum byte (now 0) so that the bytes add up to 0 modulo 256. */
export function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}
