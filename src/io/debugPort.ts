/**
 * debugPort: one-byte output ports that firmware and small kernels print to. SeaBIOS writes its log to 0x402, which
 * it first reads to see that somebody listens; Bochs' 0xe9 answers its own number likewise. Output only, no state.
 */

import type { IoHandler, Width } from "../shared/device.ts";
import { writeBytes } from "./byteAccess.ts";

/** What a read of either port gives while a console is behind it. */
export const DEBUG_PORT_PRESENT = 0xe9;

export class DebugPort implements IoHandler {
  private readonly sink: (byte: number) => void;

  /** `sink` gets each byte written. */
  constructor(sink: (byte: number) => void) {
    this.sink = sink;
  }

  read(): number {
    return DEBUG_PORT_PRESENT;
  }

  /** A wide write puts out its bytes lowest first. */
  write(offset: number, size: Width, value: number): void {
    writeBytes(offset, size, value, (_at, byte) => this.sink(byte));
  }
}
