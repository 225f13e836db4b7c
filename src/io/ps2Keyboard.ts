/**
 * A PS/2 keyboard (IBM PS/2 Hardware Interface Technical Reference, "Keyboard"): scan code sets 1 and 2, its commands, a buffer
 * of 16 bytes. Whoever presses keys names them by KeyboardEvent.code.
 *
 *     ED leds    EE echo    F0 scan code set (0 asks)    F2 identify    F3 typematic rate    F4 enable
 *     F5 default, disabled    F6 default    FE resend    FF reset
 *
 * Not there: set 3, repetition by the keyboard: whoever presses keys repeats them.
 */
import type { Device } from "../shared/device.ts";
import type { Ps2Device } from "./i8042.ts";
import { KEY_CODES, type ScanSet, scanCodes } from "./scanCodes.ts";
import { SnapshotFields } from "./snapshotFields.ts";

const ACK = 0xfa;
const RESEND = 0xfe;
const PASSED = 0xaa;
const OVERRUN = { 1: 0xff, 2: 0x00 } as const;
const BUFFER = 16;
/** Replies to commands have room of their own. */
const QUEUE = BUFFER + 8;
const KEYS: ReadonlySet<string> = new Set(KEY_CODES);

export interface Ps2KeyboardV1 {
  version: 1;
  queue: number[];
  set: number;
  enabled: boolean;
  leds: number;
  rate: number;
  /** Command that waits for its byte, -1: none. */
  command: number;
  last: number;
  /** Keys that are down. */
  down: string[];
}

export class Ps2Keyboard implements Ps2Device, Device<Ps2KeyboardV1> {
  readonly name = "keyboard";
  /** Called when there is something to send. */
  onData: () => void = () => {};
  #queue: number[] = [];
  #set: ScanSet = 2;
  #enabled = true;
  #leds = 0;
  #rate = 0x2b;
  #command = -1;
  #last = 0;
  readonly #down = new Set<string>();

  /** Caps lock 2, num lock 1, scroll lock 0, as the keyboard has them (bit 0 scroll, 1 num, 2 caps). */
  get leds(): number {
    return this.#leds;
  }

  /** Nothing waits to be taken. */
  get drained(): boolean {
    return this.#queue.length === 0;
  }

  /** Presses a key, again if it is down, or lets it go. False: the keyboard has no such key. */
  key(code: string, pressed: boolean): boolean {
    if (!KEYS.has(code)) return false;
    if (!pressed && !this.#down.has(code)) return true;
    if (pressed) this.#down.add(code);
    else this.#down.delete(code);
    if (!this.#enabled) return true;
    const bytes = scanCodes(code, pressed, this.#set);
    if (this.#queue.length + bytes.length > BUFFER) {
      // The last place says that something was lost.
      if (this.#queue.at(-1) !== OVERRUN[this.#set]) this.#queue.push(OVERRUN[this.#set]);
    } else this.#queue.push(...bytes);
    this.onData();
    return true;
  }

  next(): number | undefined {
    const value = this.#queue.shift();
    if (value === undefined) return undefined;
    this.#last = value;
    return value;
  }

  receive(value: number): void {
    const command = this.#command;
    this.#command = -1;
    if (command >= 0 && value < 0xed) {
      this.#argument(command, value);
      this.onData();
      return;
    }
    switch (value) {
      case 0xed: // LEDs, scan code set, rate: a byte follows
      case 0xf0:
      case 0xf3:
        this.#command = value;
        this.#reply(ACK);
        break;
      case 0xee: // echo
        this.#reply(0xee);
        break;
      case 0xf2: // identify
        this.#reply(ACK, 0xab, 0x83);
        break;
      case 0xf4: // enable
        this.#queue = [];
        this.#enabled = true;
        this.#reply(ACK);
        break;
      case 0xf5: // default and disable, default
      case 0xf6:
        this.#default();
        this.#enabled = value === 0xf6;
        this.#reply(ACK);
        break;
      case 0xfe: // resend
        this.#queue.unshift(this.#last);
        break;
      case 0xff: // reset
        this.#default();
        this.#enabled = true;
        this.#reply(ACK, PASSED);
        break;
      default:
        this.#reply(RESEND);
    }
    this.onData();
  }

  #argument(command: number, value: number): void {
    if (command === 0xed) {
      this.#leds = value & 7;
      this.#reply(ACK);
    } else if (command === 0xf3) {
      this.#rate = value & 0x7f;
      this.#reply(ACK);
    } else if (value === 0) this.#reply(ACK, this.#set);
    else if (value === 1 || value === 2) {
      this.#set = value;
      this.#reply(ACK);
    } else this.#reply(RESEND);
  }

  #default(): void {
    this.#queue = [];
    this.#set = 2;
    this.#rate = 0x2b;
    this.#command = -1;
  }

  #reply(...bytes: number[]): void {
    if (this.#queue.length + bytes.length <= QUEUE) this.#queue.push(...bytes);
  }

  reset(): void {
    this.#default();
    this.#enabled = true;
    this.#leds = 0;
    this.#down.clear();
    // The self test after power-on.
    this.#reply(PASSED);
  }

  export(): Ps2KeyboardV1 {
    return {
      version: 1,
      queue: [...this.#queue],
      set: this.#set,
      enabled: this.#enabled,
      leds: this.#leds,
      rate: this.#rate,
      command: this.#command,
      last: this.#last,
      down: [...this.#down],
    };
  }

  import(state: Ps2KeyboardV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const queue = from.ints("queue", QUEUE + 1, 0, 0xff);
    const set = from.int("set", 1, 2) as ScanSet;
    const enabled = from.bool("enabled");
    const leds = from.int("leds", 0, 7);
    const rate = from.int("rate", 0, 0x7f);
    const command = from.int("command", -1, 0xff);
    const last = from.u8("last");
    const down = from.array("down", 0, KEYS.size).filter((code): code is string => KEYS.has(code as string));
    this.#queue = queue;
    this.#set = set;
    this.#enabled = enabled;
    this.#leds = leds;
    this.#rate = rate;
    this.#command = command;
    this.#last = last;
    this.#down.clear();
    for (const code of down) this.#down.add(code);
  }
}
