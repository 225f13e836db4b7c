/** The device thread's end of the table of ports that need no round trip (assembly/ports.ts, where its format is). */
import { CONTROL } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";

const WRITE = 0x1_0000;
const READ = 0x2_0000;
const SLOTS = CONTROL.portHooks.count;

export class PortHooks {
  readonly #control: StructView;
  readonly #slots = new Map<string, number>();

  constructor(control: StructView) {
    this.#control = control;
  }

  /** Byte writes to `port` go through the ring from now on; they must not change what a published port reads as. */
  coalesce(port: number): void {
    this.#set(`w${port}`, port | WRITE);
  }

  /** Byte reads of `port` give `value` without asking; undefined: ask again. */
  publish(port: number, value: number | undefined): void {
    this.#set(`r${port}`, value === undefined ? 0 : ((value << 24) | READ | port) >>> 0);
  }

  #set(key: string, word: number): void {
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      slot = this.#slots.size;
      if (slot === SLOTS) throw new RangeError(`no room for more than ${SLOTS} port hooks`);
      this.#slots.set(key, slot);
    }
    const at = this.#control.index(CONTROL.portHooks) + slot;
    Atomics.store(this.#control.words, at, word | 0);
  }
}
