/**
 * Types text on the keyboard: a stroke each 10 ms of guest time, and not before the guest has taken the last one, since a
 * BIOS keeps no more than 15 keys.
 */
import type { Deadline, Device, Timers } from "../shared/device.ts";
import type { Ps2Keyboard } from "./ps2Keyboard.ts";
import { strokes } from "./scanCodes.ts";
import { SnapshotFields } from "./snapshotFields.ts";

const STROKE_NS = 10_000_000n;
const MAX_TEXT = 0x10_0000;

export interface TypistV1 {
  version: 1;
  /** What is still to be typed. */
  text: string;
}

export class Typist implements Device<TypistV1> {
  readonly name = "typist";
  readonly #keyboard: Ps2Keyboard;
  readonly #timers: Timers;
  readonly #deadline: Deadline;
  #text = "";

  constructor(keyboard: Ps2Keyboard, timers: Timers) {
    this.#keyboard = keyboard;
    this.#timers = timers;
    this.#deadline = timers.deadline("typist", () => this.#stroke());
  }

  /** Types a text after what is being typed. Letters that a US keyboard does not have are left out. */
  type(text: string): void {
    const idle = this.#text === "";
    this.#text = (this.#text + text).slice(0, MAX_TEXT);
    if (idle && this.#text) this.#next();
  }

  #next(): void {
    this.#deadline.arm(this.#timers.now() + STROKE_NS);
  }

  #stroke(): void {
    if (this.#keyboard.drained) {
      const [letter = ""] = this.#text;
      this.#text = this.#text.slice(letter.length);
      for (const { code, shift, control } of strokes(letter)) {
        const held = [...(shift ? ["ShiftLeft"] : []), ...(control ? ["ControlLeft"] : [])];
        for (const key of held) this.#keyboard.key(key, true);
        this.#keyboard.key(code, true);
        this.#keyboard.key(code, false);
        for (const key of held.reverse()) this.#keyboard.key(key, false);
      }
    }
    if (this.#text) this.#next();
  }

  reset(): void {
    this.#text = "";
    this.#deadline.cancel();
  }

  export(): TypistV1 {
    return { version: 1, text: this.#text };
  }

  import(state: TypistV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    if (typeof state.text !== "string" || state.text.length > MAX_TEXT) from.fail("text", "not a text");
    this.#text = state.text;
    if (this.#text) this.#next();
    else this.#deadline.cancel();
  }
}
