/** Wide accesses to chips that have byte registers: the ISA bus breaks them into single bytes, lowest first. */

import type { Width } from "../shared/device.ts";

export function readBytes(offset: number, size: Width, read8: (offset: number) => number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value |= read8(offset + i) << (8 * i);
  return value >>> 0;
}

export function writeBytes(
  offset: number,
  size: Width,
  value: number,
  write8: (offset: number, byte: number) => void,
): void {
  for (let i = 0; i < size; i++) write8(offset + i, (value >>> (8 * i)) & 0xff);
}

/** All ones of that width: what nobody drives reads as. */
export function allOnes(size: Width): number {
  return size === 4 ? 0xffff_ffff : size === 2 ? 0xffff : 0xff;
}
