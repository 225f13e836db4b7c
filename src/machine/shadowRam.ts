/**
 * The area from 0xc0000 to 0xfffff as the 440FX lets firmware see it (82441FX datasheet, 3.2.18): each of the 13 areas of
 * the PAM registers reads from RAM or from the bus, where the ROM's end is, and its writes go to RAM or nowhere.
 *
 *     RE WE   reads       writes
 *      0  0   ROM, bus    nowhere
 *      0  1   ROM, bus    RAM: memory mapped for reading cannot take them, so they come to `write`
 *      1  0   RAM         nowhere
 *      1  1   RAM         RAM
 *
 * Not done: devices on the bus below 0xe0000 (option ROMs of ISA cards): reads there give ones.
 */
import { allOnes } from "../io/byteAccess.ts";
import type { IoHandler, Width } from "../shared/device.ts";
import type { MachineMemory } from "../vmm/memory.ts";
import { BIOS_AREA_BASE, BIOS_AREA_END, OPTION_ROM_BASE } from "./memoryMap.ts";
import type { PamSegment } from "./pciChipset.ts";

const PAGE = 4096;
const FOUR_GIB = 2 ** 32;

export class ShadowRam implements IoHandler {
  readonly #memory: MachineMemory;
  readonly #onMoved: () => void;
  /** Backing of the RAM, and of the ROM's last bytes, which are seen from `#romBase` on. */
  readonly #ram: number;
  readonly #rom: number;
  readonly #romBase: number;
  #segments: readonly PamSegment[] = [];

  /**
   * @param romSize bytes of the firmware at the end of the first 4 GiB
   * @param onMoved every vCPU must drop its translations before it goes on
   */
  constructor(memory: MachineMemory, romSize: number, onMoved: () => void) {
    this.#memory = memory;
    this.#onMoved = onMoved;
    this.#ram = memory.hostAddress(OPTION_ROM_BASE);
    const low = Math.min(romSize, BIOS_AREA_END - BIOS_AREA_BASE);
    this.#romBase = BIOS_AREA_END - low;
    this.#rom = memory.hostAddress(FOUR_GIB - low);
  }

  /** The PAM registers were written. */
  apply(segments: readonly PamSegment[]): void {
    this.#segments = segments;
    for (const { base, size, readRam, writeRam } of segments) {
      if (readRam) this.#memory.map(base, size, this.#ram + base - OPTION_ROM_BASE, writeRam);
      else {
        const rom = Math.min(Math.max(this.#romBase, base), base + size);
        if (rom > base) this.#memory.unmap(base, rom - base);
        if (rom < base + size) this.#memory.map(rom, base + size - rom, this.#rom + rom - this.#romBase, false);
      }
    }
    this.#onMoved();
  }

  /** Nothing is mapped there; `offset` counts from 0xc0000. */
  read(_offset: number, size: Width): number {
    return allOnes(size);
  }

  write(offset: number, size: Width, value: number): void {
    const gpa = OPTION_ROM_BASE + offset;
    const segment = this.#segments.find(({ base, size: length }) => gpa >= base && gpa < base + length);
    if (!segment?.writeRam) return;
    const host = this.#ram + offset;
    this.#memory.present(host);
    this.#memory.present(host + size - 1);
    for (let i = 0; i < size; i++) this.#memory.bytes[host + i] = value >>> (8 * i);
    this.#memory.hostWritten(host);
    if ((host % PAGE) + size > PAGE) this.#memory.hostWritten(host + size - 1);
  }
}
