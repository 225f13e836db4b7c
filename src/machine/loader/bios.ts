/**
 * What a PC's firmware leaves behind, for guests that are entered without any: real-mode interrupt vectors, the BIOS
 * data area (IBM PC/AT Technical Reference, section 5), and the state of the interrupt controllers and the timer.
 * Kernels that switch to real mode, or look for the EBDA and serial ports, find what they expect.
 *
 * Not done: BIOS services. Every software interrupt returns at once, and the timer tick is not counted.
 *
 *     0x000 - 0x3ff   interrupt vectors: all to an IRET, IRQs to handlers that only send the EOI
 *     0x400 - 0x407   I/O addresses of COM1 to COM4
 *     0x40e           segment of the EBDA
 *     0x410           equipment: [11:9] serial ports  [5:4] video  [1] FPU  [0] floppy
 *     0x413           KiB of conventional memory
 */

import type { GuestMemory } from "../../shared/device.ts";
import { EBDA_BASE, LOWMEM_END } from "./e820.ts";

const ROM_SEGMENT = 0xf000;
/** Where PC firmware has had these two since 1981: the IRQ 0 handler, and a lone IRET. */
const IRQ_HANDLER = 0xfea5;
const IRET_HANDLER = 0xff53;

const BDA = 0x400;
const BDA_EBDA_SEGMENT = 0x40e;
const BDA_EQUIPMENT = 0x410;
const BDA_MEMORY_SIZE = 0x413;
const BDA_END = 0x500;
const EQUIPMENT_FPU = 1 << 1;

// push ax; mov al, 20h; out 20h, al; pop ax; iret, and the same for the slave with an out 0a0h before the other.
const MASTER_EOI = [0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf];
const SLAVE_EOI = [0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf];
const IRET = [0xcf];

const MASTER_VECTOR = 0x08;
const SLAVE_VECTOR = 0x70;

/**
 * Port writes that bring the 8259 pair and the 8254 from RESET to where firmware leaves them: IRQ 0-7 at vectors
 * 8-0xf, IRQ 8-15 at 0x70-0x77, all but timer, keyboard and cascade masked; channel 0 at 18.2 Hz.
 */
export const BIOS_PORT_WRITES: readonly (readonly [port: number, value: number])[] = [
  [0x20, 0x11],
  [0x21, MASTER_VECTOR],
  [0x21, 0x04],
  [0x21, 0x01],
  [0xa0, 0x11],
  [0xa1, SLAVE_VECTOR],
  [0xa1, 0x02],
  [0xa1, 0x01],
  [0x21, 0xf8],
  [0xa1, 0xff],
  [0x43, 0x34],
  [0x40, 0x00],
  [0x40, 0x00],
];

/**
 * Writes to the boot CPU's local APIC, offset and value, that put it into virtual wire mode (MP specification 1.4,
 * 3.6.2.2): enabled, LINT0 takes the 8259's ExtINT and LINT1 the NMI. RESET leaves both masked, so that without this
 * no interrupt of the 8259 arrives.
 */
export const BIOS_LAPIC_WRITES: readonly (readonly [offset: number, value: number])[] = [
  [0xf0, 0x1ff],
  [0x350, 0x8700],
  [0x360, 0x400],
];

/**
 * Writes vectors, BIOS data area, EBDA and the handlers in the ROM segment (0xffea5-0xfff53: `memory` must let that
 * be written). Call it before the guest starts; loaders put nothing there.
 *
 * @param serialPorts  I/O addresses of the UARTs, COM1 first; at most four.
 */
export function placeBiosData(memory: GuestMemory, serialPorts: readonly number[]): void {
  const rom = ROM_SEGMENT << 4;
  memory.write(rom + IRQ_HANDLER, Uint8Array.from([...MASTER_EOI, ...SLAVE_EOI]));
  memory.write(rom + IRET_HANDLER, Uint8Array.from(IRET));

  const low = new DataView(new ArrayBuffer(BDA_END));
  for (let vector = 0; vector < 256; vector++) {
    let handler = IRET_HANDLER;
    if ((vector & ~7) === MASTER_VECTOR) handler = IRQ_HANDLER;
    if ((vector & ~7) === SLAVE_VECTOR) handler = IRQ_HANDLER + MASTER_EOI.length;
    low.setUint16(vector * 4, handler, true);
    low.setUint16(vector * 4 + 2, ROM_SEGMENT, true);
  }
  const ports = serialPorts.slice(0, 4);
  for (const [i, port] of ports.entries()) low.setUint16(BDA + i * 2, port, true);
  low.setUint16(BDA_EBDA_SEGMENT, EBDA_BASE >> 4, true);
  low.setUint16(BDA_EQUIPMENT, EQUIPMENT_FPU | (ports.length << 9), true);
  low.setUint16(BDA_MEMORY_SIZE, EBDA_BASE / 1024, true);
  memory.write(0, new Uint8Array(low.buffer));

  // The first byte of the EBDA is its size in KiB.
  const ebda = new Uint8Array(LOWMEM_END - EBDA_BASE);
  ebda[0] = ebda.length / 1024;
  memory.write(EBDA_BASE, ebda);
}
