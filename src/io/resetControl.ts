/**
 * The board's own ways to reset the processor, and the gate of address line 20.
 * (PIIX3 datasheet, "RC — Reset Control Register" and "PORT92"; ICH datasheet, "RST_CNT".)
 *
 *     0xcf9   | - - - - | FULL RCPU SRST - |   RCPU 0 -> 1 resets: with SRST the board, without it INIT only
 *     0x92    | - - - - |  -    -  A20 INIT |  INIT 0 -> 1 pulses INIT
 *
 * Port 0xcf9 lies within the PCI host bridge's 0xcf8..0xcff: the bus gives byte accesses at 0xcf9 to this range.
 *
 * What it does not do: the power cycle that FULL asks for; it is a reset of the board.
 */

import type { Device } from "../shared/device.ts";
import { bytePorts, type PortRange } from "./portRange.ts";
import { SnapshotFields } from "./snapshotFields.ts";

const RC_SRST = 0x02;
const RC_RCPU = 0x04;
const RC_FULL = 0x08;
const PORT92_INIT = 0x01;
const PORT92_A20 = 0x02;

export interface ResetControlV1 {
  version: 1;
  rc: number;
  port92: number;
}

export interface ResetControlOptions {
  /** Hard reset of the whole board. */
  readonly onReset: () => void;
  /** INIT to the processors: registers only, memory and devices stay. */
  readonly onInit: () => void;
  /** Level of the fast A20 output; the board ORs it with the keyboard controller's. */
  readonly onA20?: (enabled: boolean) => void;
}

export class ResetControl implements Device<ResetControlV1> {
  readonly name = "resetControl";
  /** Ports for the machine to map. */
  readonly handlers: readonly PortRange[];
  private readonly options: ResetControlOptions;
  private rc = 0;
  private port92 = 0;

  constructor(options: ResetControlOptions) {
    this.options = options;
    this.handlers = [
      bytePorts(0xcf9, 1, { read: () => this.rc, write: (_, value) => this.writeRc(value) }),
      bytePorts(0x92, 1, { read: () => this.port92, write: (_, value) => this.writePort92(value) }),
    ];
  }

  reset(): void {
    this.rc = 0;
    this.port92 = 0;
    this.options.onA20?.(false);
  }

  export(): ResetControlV1 {
    return { version: 1, rc: this.rc, port92: this.port92 };
  }

  import(state: ResetControlV1): void {
    const fields = new SnapshotFields(this.name, state).version(1);
    const rc = fields.u8("rc") & (RC_SRST | RC_RCPU | RC_FULL);
    const port92 = fields.u8("port92") & (PORT92_INIT | PORT92_A20);
    this.rc = rc;
    this.port92 = port92;
    this.options.onA20?.((port92 & PORT92_A20) !== 0);
  }

  private writeRc(value: number): void {
    const rises = (value & ~this.rc & RC_RCPU) !== 0;
    this.rc = value & (RC_SRST | RC_RCPU | RC_FULL);
    if (!rises) return;
    if ((value & RC_SRST) !== 0) this.options.onReset();
    else this.options.onInit();
  }

  private writePort92(value: number): void {
    const changed = value ^ this.port92;
    this.port92 = value & (PORT92_INIT | PORT92_A20);
    if ((changed & PORT92_A20) !== 0) this.options.onA20?.((value & PORT92_A20) !== 0);
    if ((value & changed & PORT92_INIT) !== 0) this.options.onInit();
  }
}
