/**
 * A PS/2 mouse (IBM PS/2 Hardware Interface Technical Reference, "Mouse"), with the wheel of Microsoft's IntelliMouse once
 * its sequence of sample rates, 200, 100, 80, has been set.
 *
 *     packet   | YO XO YS XS 1 M R L |  x  |  y (up)  | wheel, with ID 3 |
 *
 *     E6, E7 scaling 1:1, 2:1   E8 resolution   E9 status   EA stream   EB read   EC, EE wrap off, on   F0 remote
 *     F2 identify   F3 sample rate   F4, F5 enable, disable   F6 default   FE resend   FF reset
 */
import type { Device } from "../shared/device.ts";
import type { Ps2Device } from "./i8042.ts";
import { SnapshotFields } from "./snapshotFields.ts";

const ACK = 0xfa;
const RESEND = 0xfe;
/** Packets wait for no longer than the guest takes to read a few; movement adds up meanwhile. */
const QUEUE = 16;
const LIMIT = 255;

export interface Ps2MouseV1 {
  version: 1;
  queue: number[];
  enabled: boolean;
  remote: boolean;
  wrap: boolean;
  double: boolean;
  resolution: number;
  rate: number;
  rates: number[];
  id: number;
  command: number;
  last: number[];
  /** Movement not told yet: x, y, wheel; buttons, and those of the last packet. */
  moved: number[];
  buttons: number[];
}

export class Ps2Mouse implements Ps2Device, Device<Ps2MouseV1> {
  readonly name = "mouse";
  onData: () => void = () => {};
  #queue: number[] = [];
  #enabled = false;
  #remote = false;
  #wrap = false;
  #double = false;
  #resolution = 2;
  #rate = 100;
  #rates = [0, 0, 0];
  #id = 0;
  #command = -1;
  #last: number[] = [];
  #x = 0;
  #y = 0;
  #wheel = 0;
  #buttons = 0;
  #told = 0;

  /** Movement in counts, y downwards as on a screen, wheel in notches; buttons: left 1, right 2, middle 4. */
  move(dx: number, dy: number, wheel: number, buttons: number): void {
    this.#x += dx;
    this.#y -= dy;
    this.#wheel += wheel;
    this.#buttons = buttons & 7;
    if (this.#enabled && !this.#remote) this.#tell();
    else if (!this.#enabled) this.#x = this.#y = this.#wheel = 0;
  }

  #tell(): void {
    while ((this.#x || this.#y || this.#wheel || this.#buttons !== this.#told) && this.#queue.length + 4 <= QUEUE) {
      this.#queue.push(...this.#packet());
    }
    if (this.#queue.length) this.onData();
  }

  #packet(): number[] {
    const take = (value: number, limit: number) => Math.max(-limit, Math.min(limit, Math.trunc(value)));
    const x = take(this.#x, LIMIT);
    const y = take(this.#y, LIMIT);
    const wheel = take(this.#wheel, 7);
    this.#x -= x;
    this.#y -= y;
    this.#wheel -= wheel;
    // What is less than a count is not lost, but nothing to tell.
    if (Math.abs(this.#x) < 1) this.#x = 0;
    if (Math.abs(this.#y) < 1) this.#y = 0;
    this.#told = this.#buttons;
    const first = 8 | this.#buttons | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0);
    const packet = [first, x & 0xff, y & 0xff, ...(this.#id === 3 ? [wheel & 0xff] : [])];
    this.#last = packet;
    return packet;
  }

  next(): number | undefined {
    const value = this.#queue.shift();
    if (!this.#queue.length && this.#enabled && !this.#remote) this.#tell();
    return value;
  }

  receive(value: number): void {
    const command = this.#command;
    this.#command = -1;
    if (this.#wrap && value !== 0xec && value !== 0xff) this.#queue.push(value);
    else if (command >= 0) this.#argument(command, value);
    else this.#do(value);
    if (this.#queue.length > QUEUE) this.#queue.length = QUEUE;
    this.onData();
  }

  #argument(command: number, value: number): void {
    if (command === 0xe8) this.#resolution = value & 3;
    else {
      this.#rate = value;
      this.#rates = [...this.#rates.slice(1), value];
      if (this.#rates.join() === "200,100,80") this.#id = 3;
    }
    this.#queue.push(ACK);
  }

  #do(value: number): void {
    this.#queue = [];
    switch (value) {
      case 0xe6: // scaling 1:1, 2:1
      case 0xe7:
        this.#double = value === 0xe7;
        break;
      case 0xe8: // resolution, sample rate: a byte follows
      case 0xf3:
        this.#command = value;
        break;
      case 0xe9: {
        // status
        const mode = (this.#remote ? 0x40 : 0) | (this.#enabled ? 0x20 : 0) | (this.#double ? 0x10 : 0);
        const { left, right, middle } = {
          left: this.#buttons & 1,
          right: this.#buttons & 2,
          middle: this.#buttons & 4,
        };
        this.#queue.push(ACK, mode | (left << 2) | (middle >> 1) | (right >> 1), this.#resolution, this.#rate);
        return;
      }
      case 0xea: // stream mode
      case 0xf0: // remote mode
        this.#remote = value === 0xf0;
        break;
      case 0xeb: // read data
        this.#queue.push(ACK, ...this.#packet());
        return;
      case 0xec: // wrap mode off, on
      case 0xee:
        this.#wrap = value === 0xee;
        break;
      case 0xf2:
        this.#queue.push(ACK, this.#id);
        return;
      case 0xf4: // enable, disable
      case 0xf5:
        this.#enabled = value === 0xf4;
        break;
      case 0xf6:
        this.#default();
        break;
      case 0xfe: // resend
        this.#queue.push(...this.#last);
        return;
      case 0xff:
        this.#default();
        this.#queue.push(ACK, 0xaa, 0);
        return;
      default:
        this.#queue.push(RESEND);
        return;
    }
    this.#queue.push(ACK);
  }

  #default(): void {
    this.#queue = [];
    this.#enabled = this.#remote = this.#wrap = this.#double = false;
    this.#resolution = 2;
    this.#rate = 100;
    this.#rates = [0, 0, 0];
    this.#id = 0;
    this.#command = -1;
    this.#x = this.#y = this.#wheel = 0;
  }

  reset(): void {
    this.#default();
    this.#last = [];
    this.#buttons = this.#told = 0;
  }

  export(): Ps2MouseV1 {
    return {
      version: 1,
      queue: [...this.#queue],
      enabled: this.#enabled,
      remote: this.#remote,
      wrap: this.#wrap,
      double: this.#double,
      resolution: this.#resolution,
      rate: this.#rate,
      rates: [...this.#rates],
      id: this.#id,
      command: this.#command,
      last: [...this.#last],
      moved: [this.#x, this.#y, this.#wheel].map(Math.trunc),
      buttons: [this.#buttons, this.#told],
    };
  }

  import(state: Ps2MouseV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const queue = from.ints("queue", QUEUE, 0, 0xff);
    const [enabled, remote, wrap, double] = ["enabled", "remote", "wrap", "double"].map((f) => from.bool(f));
    const resolution = from.int("resolution", 0, 3);
    const rate = from.u8("rate");
    const rates = from.intsOf("rates", 3, 0, 0xff);
    const id = from.int("id", 0, 3);
    const command = from.int("command", -1, 0xff);
    const last = from.ints("last", 4, 0, 0xff);
    const moved = from.intsOf("moved", 3, -0x8000_0000, 0x7fff_ffff);
    const buttons = from.intsOf("buttons", 2, 0, 7);
    this.#queue = queue;
    [this.#enabled, this.#remote, this.#wrap, this.#double] = [enabled, remote, wrap, double];
    this.#resolution = resolution;
    this.#rate = rate;
    this.#rates = rates;
    this.#id = id;
    this.#command = command;
    this.#last = last;
    [this.#x, this.#y, this.#wheel] = moved;
    [this.#buttons, this.#told] = buttons;
  }
}
