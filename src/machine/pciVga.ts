/**
 * The VGA as a PCI function: 1234:1111, which VGA BIOSes and drivers know for the Bochs display interface, with the linear frame
 * buffer at BAR 0. Its ROM is given to firmware by fw_cfg, and is its expansion ROM, too.
 */
import { FRAME_BUFFER_SIZE } from "../io/vgaMemory.ts";
import type { IoHandler } from "../shared/device.ts";
import { ChipsetFunction, SUBSYSTEM } from "./pciChipset.ts";
import { COMMAND, COMMAND_IO, COMMAND_MEMORY } from "./pciFunction.ts";

/** The frame buffer is memory: nobody is asked while it is mapped. */
const NOBODY: IoHandler = { read: () => 0xffff_ffff, write: () => {} };

export class PciVga extends ChipsetFunction {
  /**
   * @param frameBuffer backing address
   * @param rom its VGA BIOS, if there is one
   */
  constructor(frameBuffer: number, rom: Uint8Array | undefined) {
    super("pciVga", {
      vendor: 0x1234,
      device: 0x1111,
      classCode: 0x03_0000,
      revision: 2,
      ...SUBSYSTEM,
    });
    this.define(COMMAND, 2, 0, COMMAND_IO | COMMAND_MEMORY);
    this.defineBar(0, {
      kind: "memory32",
      size: FRAME_BUFFER_SIZE,
      prefetchable: true,
      handler: NOBODY,
      backing: frameBuffer,
    });
    if (rom) this.defineRom(rom);
  }
}
