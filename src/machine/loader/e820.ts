/**
 * The memory map that every loader hands to its guest, and fw_cfg to firmware (ACPI 6.5, 15: address map).
 *
 *     0x0000_0000 - 0x0009_fbff   RAM                640 KiB, less the EBDA
 *     0x0009_fc00 - 0x0009_ffff   reserved           EBDA
 *     0x000a_0000 - 0x000d_ffff   (not in the map)   VGA window, option ROMs
 *     0x000e_0000 - 0x000f_ffff   reserved           BIOS ROM area: ACPI and MP tables
 *     0x0010_0000 - 0xbfff_ffff   RAM                as far as it reaches
 *     0xc000_0000 - 0xffff_ffff   (not in the map)   PCI hole: BARs, IOAPIC, HPET, LAPIC, flash
 *     0x1_0000_0000 -             RAM                what the hole displaced
 *
 * RAM is counted as on a PC: the bytes behind the hole at 640 KiB are part of the RAM size and lost to the guest.
 */

import { LoaderError } from "./types.ts";

export const E820_RAM = 1;
export const E820_RESERVED = 2;
export const E820_ACPI = 3;
export const E820_NVS = 4;

/** A range of guest-physical addresses. Base and length in bytes; `type` as INT 15h, AX=E820h returns it. */
export interface E820Entry {
  readonly base: number;
  readonly length: number;
  readonly type: number;
}

export const EBDA_BASE = 0x9_fc00;
/** End of conventional memory, where the VGA window begins. */
export const LOWMEM_END = 0xa_0000;
/** What firmware occupies below 1 MiB: the ACPI and MP tables lie here. */
export const BIOS_AREA_BASE = 0xe_0000;
export const HIMEM_BASE = 0x10_0000;
export const PCI_HOLE_BASE = 0xc000_0000;
export const FOUR_GIB = 0x1_0000_0000;

const PAGE_SIZE = 4096;

/**
 * The map of a machine with `ramSize` bytes of RAM, ascending and without overlaps. `extra` entries (a PCI
 * configuration window, for one) are added; they may not overlap the others.
 *
 * @throws LoaderError if ramSize is not a whole number of pages, or does not fill conventional memory.
 */
export function e820Map(ramSize: number, extra: readonly E820Entry[] = []): E820Entry[] {
  if (!Number.isSafeInteger(ramSize) || ramSize % PAGE_SIZE !== 0) {
    throw new LoaderError(`RAM of ${ramSize} bytes; need a multiple of ${PAGE_SIZE}`);
  }
  if (ramSize < LOWMEM_END) {
    throw new LoaderError(`RAM of ${bytes(ramSize)}; a PC has at least ${bytes(LOWMEM_END)}`);
  }
  const low = Math.min(ramSize, PCI_HOLE_BASE);
  const map: E820Entry[] = [
    { base: 0, length: EBDA_BASE, type: E820_RAM },
    { base: EBDA_BASE, length: LOWMEM_END - EBDA_BASE, type: E820_RESERVED },
    { base: BIOS_AREA_BASE, length: HIMEM_BASE - BIOS_AREA_BASE, type: E820_RESERVED },
  ];
  if (low > HIMEM_BASE) map.push({ base: HIMEM_BASE, length: low - HIMEM_BASE, type: E820_RAM });
  if (ramSize > low) map.push({ base: FOUR_GIB, length: ramSize - low, type: E820_RAM });
  map.push(...extra);
  map.sort((a, b) => a.base - b.base);
  for (let i = 1; i < map.length; i++) {
    const before = map[i - 1];
    if (before.base + before.length > map[i].base) {
      throw new Error(`e820: entries at ${hex(before.base)} and ${hex(map[i].base)} overlap`);
    }
  }
  return map;
}

/** RAM as it is wired, for firmware, which makes the map that its guest sees. */
export function firmwareE820(ramSize: number): E820Entry[] {
  const low = Math.min(ramSize, PCI_HOLE_BASE);
  const map: E820Entry[] = [{ base: 0, length: low, type: E820_RAM }];
  if (ramSize > low) map.push({ base: FOUR_GIB, length: ramSize - low, type: E820_RAM });
  return map;
}

/** Whether [gpa, gpa + size) is RAM throughout. Adjacent RAM entries count as one. */
export function isRam(map: readonly E820Entry[], gpa: number, size: number): boolean {
  let at = gpa;
  for (const entry of map) {
    if (entry.type === E820_RAM && entry.base <= at && at < entry.base + entry.length) at = entry.base + entry.length;
  }
  return at >= gpa + size;
}

/** First address after the RAM that holds 1 MiB, or 1 MiB if there is none: the end of RAM below the PCI hole. */
export function lowRamTop(map: readonly E820Entry[]): number {
  let top = HIMEM_BASE;
  for (const entry of map) {
    if (entry.type === E820_RAM && entry.base <= top && top < entry.base + entry.length)
      top = entry.base + entry.length;
  }
  return top;
}

/** Bytes that the map calls RAM. */
export function ramTotal(map: readonly E820Entry[]): number {
  return map.reduce((sum, entry) => sum + (entry.type === E820_RAM ? entry.length : 0), 0);
}

/** A size for people: "640 KiB", "256 MiB", "41.2 MiB", "100 bytes". */
export function bytes(n: number): string {
  for (const [unit, name] of [
    [2 ** 30, "GiB"],
    [2 ** 20, "MiB"],
    [2 ** 10, "KiB"],
  ] as const) {
    if (n >= unit) return `${n % unit === 0 ? n / unit : (n / unit).toFixed(1)} ${name}`;
  }
  return `${n} bytes`;
}

/** An address for people. */
export function hex(n: number): string {
  return `0x${n.toString(16)}`;
}
