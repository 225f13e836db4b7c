/**
 * IDE channels: what the core and the device thread both know of their registers (ATA/ATAPI-6, 7 and 9; Intel "Programming
 * Interface for Bus Master IDE Controller" 1.0), and the words in which they tell each other of them (assembly/ide.ts).
 */

/** Offsets of the command block registers. */
export const REGISTER = { data: 0, feature: 1, count: 2, low: 3, mid: 4, high: 5, device: 6, command: 7 } as const;
/** Bits of the status register. */
export const ATA_STATUS = { BSY: 0x80, DRDY: 0x40, DF: 0x20, DSC: 0x10, DRQ: 0x08, ERR: 0x01 } as const;
/** Of the device register: drive 1 answers. */
export const DEVICE_DEV = 0x10;
/** Bits of the bus master's command register, then of its status. */
export const BUS_MASTER = {
  START: 0x01,
  TO_MEMORY: 0x08,
  ACTIVE: 0x01,
  ERROR: 0x02,
  INTERRUPT: 0x04,
  /** Kept as they are written: the drives can do DMA. */
  DRIVES: 0x60,
} as const;

/** Indices of a channel's words in `Control.ide`; what they are for: assembly/ide.ts. */
export const IDE = {
  /** First port of the command block, of the control block and of the bus master; 0: not there. */
  COMMAND: 0,
  CONTROL: 1,
  MASTER: 2,
  /** Registers as the device thread last published them: see IDE_VALUE. */
  VALUES: 3,
  /** Entries of the ring that change registers: put there, and carried out. */
  POSTED: 4,
  TAKEN: 5,
  /** What those that are under way change of VALUES. */
  CLEAR: 6,
  SET: 7,
  /** Reads since the last of them. */
  LOOKS: 8,
  WORDS: 9,
} as const;

/**
 * A channel's registers in one word:
 *
 *     | . . . . . DEV READY INTRQ | bus master status | bus master command | status |
 *
 * INTRQ: of the selected drive, so that reading the status takes it back. READY: that drive is there and takes commands.
 */
export const IDE_VALUE = {
  COMMAND_SHIFT: 8,
  STATUS_SHIFT: 16,
  INTRQ: 0x100_0000,
  READY: 0x200_0000,
  DEV: 0x400_0000,
} as const;
