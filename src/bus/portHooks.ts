/** The device thread's end of the table of ports that need no round trip (assembly/ports.ts, where its format is). */
import { CONTROL } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";

const WRITE = 0x1_0000;
const READ = 0x2_0000;
const ONES = 0x4_0000;
const SAME = 0x8_0000;
const DWORD = 0x80_0000;
const MORE_SHIFT = 20;
const SLOTS = CONTROL.portHooks.count;

/** Which writes nobody waits for. */
export type Coalesced =
  /** Any byte. */
  | "bytes"
  /** Any four bytes. */
  | "dwords"
  /** A byte that the port is published to read as. */
  | "same"
  /** Bytes whose `bits` are clear, or set. */
  | { readonly bits: number; readonly set: boolean };

export class PortHooks {
  readonly #control: StructView;
  readonly #slots = new Map<string, number>();
  readonly #free = Array.from({ length: SLOTS }, (_, n) => SLOTS - 1 - n);

  constructor(control: StructView) {
    this.#control = control;
  }

  /**
   * Such writes to `port`, and to `more` ports behind it (7 at most), go through the ring from now on; they must not change
   * what a published port reads as. undefined: none.
   */
  coalesce(port: number, which: Coalesced | undefined, more = 0): void {
    this.#set(`w${port}`, which ? (port | WRITE | (more << MORE_SHIFT) | condition(which)) >>> 0 : 0);
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

function condition(which: Coalesced): number {
  if (which === "bytes") return 0;
  if (which === "dwords") return DWORD;
  if (which === "same") return SAME;
  return (which.bits << 24) | (which.set ? ONES : 0);
}
