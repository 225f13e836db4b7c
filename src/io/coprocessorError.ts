/**
 * How a PC/AT reports x87 errors where CR0.NE is clear (SDM vol. 1, 8.7.2 and appendix D; PIIX3 datasheet, "coprocessor
 * error"): FERR# sets a latch that drives interrupt 13; a write to port F0h, of any value, clears it and asserts IGNNE#, so
 * that the handler can use the x87 although the error is still pending. IGNNE# goes away with the next error
 * (assembly/x87/error.ts), before which it means nothing.
 */
import type { Device, InterruptPin } from "../shared/device.ts";
import { bytePorts, type PortRange } from "./portRange.ts";
import { SnapshotFields } from "./snapshotFields.ts";

export interface CoprocessorErrorV1 {
  version: 1;
  /** The latch. */
  error: boolean;
  ignne: boolean;
}

/** The CPU's pin. */
export interface IgnnePin {
  get(): boolean;
  set(asserted: boolean): void;
}

export class CoprocessorError implements Device<CoprocessorErrorV1> {
  readonly name = "coprocessorError";
  /** Ports for the machine to map. */
  readonly handlers: readonly PortRange[];
  private readonly irq13: InterruptPin;
  private readonly ignne: IgnnePin;
  private error = false;

  constructor(irq13: InterruptPin, ignne: IgnnePin) {
    this.irq13 = irq13;
    this.ignne = ignne;
    this.handlers = [bytePorts(0xf0, 1, { read: () => 0xff, write: () => this.acknowledge() })];
  }

  /** The CPU asserts FERR#. */
  ferr(): void {
    this.latch(true);
  }

  reset(): void {
    this.latch(false);
    this.ignne.set(false);
  }

  export(): CoprocessorErrorV1 {
    return { version: 1, error: this.error, ignne: this.ignne.get() };
  }

  import(state: CoprocessorErrorV1): void {
    const fields = new SnapshotFields(this.name, state).version(1);
    const error = fields.bool("error");
    const ignne = fields.bool("ignne");
    this.latch(error);
    this.ignne.set(ignne);
  }

  private acknowledge(): void {
    if (!this.error) return;
    this.latch(false);
    this.ignne.set(true);
  }

  private latch(error: boolean): void {
    this.error = error;
    this.irq13.set(error);
  }
}
