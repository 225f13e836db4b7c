/**
 * debugExit: the ports a test kernel ends a run with and pokes the board through, as QEMU's isa-debug-exit and
 * pc-testdev have them. kvm-unit-tests uses both. Only there with --debug-exit; no PC has them.
 *
 *     0xf4–0xf7       isa-debug-exit: a write of v ends the run with status (v << 1) | 1, so never with 0
 *     0xe0–0xe3       four bytes that read back as written, any width
 *     0xe8–0xeb       the same four bytes
 *     0xe4–0xe7       "flush this page": nothing to do here, there is no host mapping to drop
 *     0x2000–0x2017   a byte write drives ISA/IOAPIC interrupt input n: 0 low, else high
 *     0xff000000      64 KiB of memory behind MMIO, any width up to 8 bytes
 */

import type { Device, InterruptPin, IoHandler, Log, Width } from "../shared/device.ts";
import { allOnes, readBytes, writeBytes } from "./byteAccess.ts";
import { SnapshotFields } from "./snapshotFields.ts";

/** isa-debug-exit. `onExit` gets the process status, an 8-bit number as the shell will see it. */
export class DebugExit implements IoHandler {
  private readonly onExit: (status: number) => void;

  constructor(onExit: (status: number) => void) {
    this.onExit = onExit;
  }

  read(_offset: number, size: Width): number {
    return allOnes(size);
  }

  write(_offset: number, _size: Width, value: number): void {
    this.onExit(((value << 1) | 1) & 0xff);
  }
}

const IRQ_LINES = 24;
const IOMEM_SIZE = 0x1_0000;

export interface TestdevV1 {
  version: 1;
  scratch: Uint8Array;
  lines: number[];
  iomem: Uint8Array;
}

/** pc-testdev. The machine maps `scratch` at 0xe0 and 0xe8, `flush` at 0xe4, `irq` at 0x2000, `iomem` in memory. */
export class Testdev implements Device<TestdevV1> {
  readonly name = "testdev";
  private readonly pins: readonly InterruptPin[];
  private readonly log: Log;
  private bytes = new Uint8Array(4);
  private lines: number[] = new Array(IRQ_LINES).fill(0);
  private memory = new Uint8Array(IOMEM_SIZE);

  /**
   * `pin(n)` is interrupt input n: ISA interrupt n for n < 16, IOAPIC input n above. Asked for once, as it may be a
   * new output on a shared wire each time.
   */
  constructor(pin: (input: number) => InterruptPin, log: Log) {
    this.pins = Array.from({ length: IRQ_LINES }, (_, n) => pin(n));
    this.log = log;
  }

  reset(): void {
    this.bytes.fill(0);
    this.memory.fill(0);
    for (let n = 0; n < IRQ_LINES; n++) this.drive(n, 0);
  }

  readonly scratch: IoHandler = {
    read: (offset, size) => readBytes(offset, size, (at) => this.bytes[at & 3]),
    write: (offset, size, value) =>
      writeBytes(offset, size, value, (at, byte) => {
        this.bytes[at & 3] = byte;
      }),
  };

  readonly flush: IoHandler = { read: (_offset, size) => allOnes(size), write: () => {} };

  readonly irq: IoHandler = {
    read: (_offset, size) => allOnes(size),
    write: (offset, size, value) => {
      if (size !== 1 || offset >= IRQ_LINES) this.log(`testdev: ${size}-byte write to interrupt line ${offset}`);
      else this.drive(offset, value ? 1 : 0);
    },
  };

  readonly iomem: IoHandler = {
    read: (offset, size) => readBytes(offset, size, (at) => this.memory[at] ?? 0xff),
    write: (offset, size, value) =>
      writeBytes(offset, size, value, (at, byte) => {
        this.memory[at] = byte;
      }),
  };

  private drive(line: number, level: number): void {
    if (this.lines[line] === level) return;
    this.lines[line] = level;
    this.pins[line].set(level !== 0);
  }

  export(): TestdevV1 {
    return { version: 1, scratch: this.bytes.slice(), lines: [...this.lines], iomem: this.memory.slice() };
  }

  import(state: TestdevV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const scratch = from.bytes("scratch", 4).slice();
    const iomem = from.bytes("iomem", IOMEM_SIZE).slice();
    const lines = from.intsOf("lines", IRQ_LINES, 0, 1);
    this.bytes = scratch;
    this.memory = iomem;
    this.lines = lines;
    lines.forEach((level, line) => {
      this.pins[line].set(level !== 0);
    });
  }
}
