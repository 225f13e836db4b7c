/** The device thread's end of the table of ports that need no round trip (assembly/ports.ts, where its format is). */
import { CONTROL } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";

const WRITE = 0x1_0000;
const READ = 0x2_0000;
const SLOTS = CONTROL.portHooks.count;

export class PortHooks {
  readonly #control: StructView;
  readonly #slots = new Map<string, number>();
  readonly #free = Array.from({ length: SLOTS }, (_, n) => SLOTS - 1 - n);

  constructor(control: StructView) {
    this.#control = control;
  }

  /** Bytes written to `port` go through the ring from now on, or no more; they must not change what a published port reads as. */
  coalesce(port: number, on = true): void {
    this.#set(`w${port}`, on ? port | WRITE : 0);
  }

  /** Byte reads of `port` give `value` without asking; undefined: ask again. */
  publish(port: number, value: number | undefined): void {
    this.#set(`r${port}`, value === undefined ? 0 : ((value << 24) | READ | port) >>> 0);
  }

  #set(key: string, word: number): void {
    const slot = this.#slots.get(key) ?? (word ? this.#free.pop() : undefined);
    if (slot === undefined) {
      if (word) throw new RangeError(`no room for more than ${SLOTS} port hooks`);
      return;
    }
    if (word) this.#slots.set(key, slot);
    else if (this.#slots.delete(key)) this.#free.push(slot);
    Atomics.store(this.#control.words, this.#control.index(CONTROL.portHooks) + slot, word | 0);
  }
}
