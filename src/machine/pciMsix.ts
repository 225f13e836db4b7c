/** A PCI function with MSI-X: the capability in configuration space, the table and the pending bits in a BAR of their own. */
import { MSIX_ENABLE, MSIX_FUNCTION_MASK, MSIX_RANGE, Msix, PENDING_BITS } from "../io/msix.ts";
import { PciFunction, type PciIdentity } from "./pciFunction.ts";

const CAPABILITY_MSIX = 0x11;
const MESSAGE_CONTROL = 2;

export interface MsixOptions {
  readonly vectors: number;
  /** Index of the BAR, a 32-bit one. */
  readonly bar: number;
  /** The write of a message: `data` to a bus address. */
  readonly message: (address: number, data: number) => void;
}

export class PciMsixFunction extends PciFunction {
  readonly msix: Msix;
  readonly #capability: number;

  constructor(name: string, identity: PciIdentity, { vectors, bar, message }: MsixOptions) {
    super(name, identity);
    // A message is a write to memory: not without bus mastering.
    this.msix = new Msix(vectors, (address, data) => {
      if (this.busMaster) message(address, data);
    });
    this.defineBar(bar, { kind: "memory32", size: MSIX_RANGE, handler: this.msix });
    const body = new DataView(new ArrayBuffer(10));
    body.setUint16(0, vectors - 1, true);
    body.setUint32(2, bar, true);
    body.setUint32(6, PENDING_BITS | bar, true);
    const writable = new Uint8Array(10);
    writable[1] = (MSIX_ENABLE | MSIX_FUNCTION_MASK) >> 8;
    this.#capability = this.defineCapability(CAPABILITY_MSIX, new Uint8Array(body.buffer), writable);
  }

  override reset(): void {
    this.msix.reset();
    super.reset();
  }

  protected override configChanged(offset: number, size: number): void {
    const at = this.#capability + MESSAGE_CONTROL;
    if (offset < at + 2 && offset + size > at) {
      this.msix.control = this.readConfig(at, 2);
      this.msixChanged();
    }
  }

  /** Hook: messages have been turned on or off. */
  protected msixChanged(): void {}
}
