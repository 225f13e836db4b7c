/** virtio-rng, an entropy device (Virtual I/O Device Version 1.2, 5.4): fills what the driver gives it. */
import { byteLength, scatter } from "../pieces.ts";
import { VirtioDevice, type VirtioOptions } from "./virtioDevice.ts";

const QUEUE_SIZE = 64;
/** Bytes of one buffer at most: a driver that wants more asks again. */
const MAX_BYTES = 0x1_0000;

export interface VirtioRngOptions extends VirtioOptions {
  /** Random bytes: the host's, or of a seed. */
  readonly fill: (into: Uint8Array) => void;
}

export class VirtioRng extends VirtioDevice {
  readonly type = 4;
  readonly #fill: (into: Uint8Array) => void;

  constructor(name: string, options: VirtioRngOptions) {
    super(name, options, 0n, [QUEUE_SIZE], 0);
    this.#fill = options.fill;
  }

  protected override serve(n: number): void {
    this.drain(n, (chain) => {
      const bytes = new Uint8Array(Math.min(byteLength(chain.writable), MAX_BYTES));
      this.#fill(bytes);
      this.push(n, chain, scatter(this.memory, chain.writable, bytes));
      return true;
    });
    this.signal(n);
  }
}
