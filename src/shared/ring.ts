/** Kinds of the ring's entries (assembly/ring.ts), and what their value is. */
export const RING = {
  /** EOI of a level-triggered vector. */
  EOI: 1,
  /** A port write that nobody waits for (assembly/ports.ts): bytes << 48 | port << 32 | what is written. */
  PORT: 2,
  /** FERR#: an x87 error that CR0.NE does not report. */
  FERR: 3,
  /**
   * An access to an IDE channel's registers that changes what it has published (assembly/ide.ts): as PORT, with the channel's
   * number in bits 63:56; of 0 bytes: a read of one.
   */
  IDE: 4,
  /**
   * A write to memory-mapped registers that nobody waits for (assembly/posted.ts): address << 32 | what is written. Its bytes
   * are in the kind's bits 15:8.
   */
  MMIO: 5,
} as const;
