/**
 * Firmware in a ROM, as a PC's chipset maps it (82371SB, 4.1.1): it ends at 4 GiB, where RESET starts. Its last 128 KiB
 * (or all, if it is smaller) are seen again below 1 MiB, up to 0xfffff, until there is RAM (../shadowRam.ts).
 */
import type { MachineMemory, MemoryRegion } from "../../vmm/memory.ts";
import { LoaderError } from "./types.ts";

const FOUR_GIB = 2 ** 32;
const PAGE = 4096;
const MAX_SIZE = 0x20_0000;

/** The memory of ROMs: one granule, of which an image takes the end. What is before it reads as ones. */
export const ROM_REGION: MemoryRegion = { gpa: FOUR_GIB - MAX_SIZE, length: MAX_SIZE, readOnly: true };

/**
 * Puts an image into ROM_REGION.
 *
 * @throws LoaderError if it is not of whole pages, or larger than 2 MiB
 */
export function placeRom(memory: MachineMemory, image: Uint8Array): void {
  if (!image.length || image.length % PAGE || image.length > MAX_SIZE) {
    throw new LoaderError(`firmware of ${image.length} bytes: not a multiple of 4 KiB up to 2 MiB`);
  }
  const rom = new Uint8Array(MAX_SIZE).fill(0xff);
  rom.set(image, MAX_SIZE - image.length);
  memory.write(ROM_REGION.gpa, rom);
}
