/**
 * The PC's two 8237A DMA controllers with their page registers (Intel 8237A datasheet; 82371SB, 2.5.1): channels 0–3 move
 * bytes within 64 KiB pages, channels 5–7 words within 128 KiB; channel 4 is the cascade.
 *
 *     0x00 0x02 0x04 0x06  address, 0x01 …  count (0xc0 0xc2 … of the second, at even ports); low byte, then high
 *     0x08  command / status | REQ3–0 | TC3–0 |     0x09  request     0x0a  single mask     0x0b  mode
 *     0x0c  clear byte pointer     0x0d  master clear / temporary     0x0e  clear masks     0x0f  all masks
 *     0x87 0x83 0x81 0x82, 0x8b 0x89 0x8a  page registers of channels 0–3, 5–7
 *
 *     mode   | M1 M0 | DOWN | AUTO | W R | CH1 CH0 |      W R: 01 to memory, 10 from memory, 00 verify
 *
 * A device asks for a transfer and gets or gives bytes at once: there are no bus cycles. Not there: memory to memory,
 * cascades of further masters, priorities, compressed timing.
 */
import type { Device, GuestMemory, IoHandler } from "../shared/device.ts";
import type { PortRange } from "./portRange.ts";
import { bytePorts } from "./portRange.ts";
import { SnapshotFields } from "./snapshotFields.ts";

const MODE_AUTO = 0x10;
const MODE_DOWN = 0x20;
const TO_MEMORY = 0x04;
const FROM_MEMORY = 0x08;
const DIRECTION = 0x0c;
const COMMAND_DISABLE = 0x04;
const CHANNELS = 8;
/** Page register ports from 0x80 on, by channel; channel 4's is the refresh page. */
const PAGES = [7, 3, 1, 2, 0x0f, 0x0b, 9, 0x0a];

interface Channel {
  base: number;
  baseCount: number;
  address: number;
  count: number;
  mode: number;
}

export interface Dma8237V1 {
  version: 1;
  channels: Channel[];
  pages: Uint8Array;
  /** Of each controller: command, masks, requests, terminal counts, and which byte comes next. */
  commands: number[];
  masks: number[];
  requests: number[];
  done: number[];
  high: number[];
}

/** What a device sees of its channel. */
export interface DmaChannel {
  /** Bytes that the transfer has left; 0: masked, or it goes the other way. */
  ready(toMemory: boolean): number;
  /** Moves bytes to memory; true at terminal count. No more than `ready`. */
  write(bytes: Uint8Array): boolean;
  /** Moves bytes from memory. */
  read(into: Uint8Array): boolean;
}

export class Dma8237 implements Device<Dma8237V1> {
  readonly name = "dma8237";
  readonly handlers: readonly PortRange[];
  readonly #memory: GuestMemory;
  readonly #channels: Channel[] = Array.from({ length: CHANNELS }, () => ({
    base: 0,
    baseCount: 0,
    address: 0,
    count: 0,
    mode: 0,
  }));
  readonly #pages = new Uint8Array(16);
  #commands = [0, 0];
  #masks = [15, 15];
  #requests = [0, 0];
  #done = [0, 0];
  #high = [0, 0];
  /** Called when a channel may have become ready: its device may have been waiting. */
  onReady: (channel: number) => void = () => {};

  constructor(memory: GuestMemory) {
    this.#memory = memory;
    const page: IoHandler = {
      read: (offset) => this.#pages[offset],
      write: (offset, _, value) => {
        this.#pages[offset] = value;
      },
    };
    this.handlers = [
      bytePorts(0x00, 16, {
        read: (offset) => this.#read(0, offset),
        write: (offset, value) => this.#write(0, offset, value),
      }),
      bytePorts(0xc0, 32, {
        read: (offset) => (offset & 1 ? 0xff : this.#read(1, offset >> 1)),
        write: (offset, value) => {
          if (!(offset & 1)) this.#write(1, offset >> 1, value);
        },
      }),
      // Port 0x80 is the POST code's.
      bytePorts(0x81, 15, {
        read: (offset) => page.read(offset + 1, 1),
        write: (offset, value) => page.write(offset + 1, 1, value),
      }),
    ];
  }

  reset(): void {
    for (const c of this.#channels) Object.assign(c, { base: 0, baseCount: 0, address: 0, count: 0, mode: 0 });
    this.#pages.fill(0);
    this.#clear(0);
    this.#clear(1);
  }

  #clear(n: number): void {
    this.#commands[n] = this.#requests[n] = this.#done[n] = this.#high[n] = 0;
    this.#masks[n] = 15;
  }

  #read(n: number, register: number): number {
    if (register < 8) {
      const c = this.#channels[n * 4 + (register >> 1)];
      const value = register & 1 ? c.count : c.address;
      return (value >> this.#turn(n)) & 0xff;
    }
    if (register === 8) {
      const status = (this.#requests[n] << 4) | this.#done[n];
      this.#done[n] = 0;
      return status;
    }
    return register === 15 ? 0xf0 | this.#masks[n] : 0;
  }

  /** Shift of the byte that is next. */
  #turn(n: number): number {
    const shift = this.#high[n] * 8;
    this.#high[n] ^= 1;
    return shift;
  }

  #write(n: number, register: number, value: number): void {
    if (register < 8) {
      const c = this.#channels[n * 4 + (register >> 1)];
      const shift = this.#turn(n);
      const put = (old: number) => (old & (0xff00 >> shift)) | (value << shift);
      if (register & 1) c.count = c.baseCount = put(c.baseCount);
      else c.address = c.base = put(c.base);
      return;
    }
    const bit = 1 << (value & 3);
    switch (register) {
      case 8:
        this.#commands[n] = value;
        break;
      case 9: // request
        if (value & 4) this.#requests[n] |= bit;
        else this.#requests[n] &= ~bit;
        break;
      case 10: // single mask
        if (value & 4) this.#masks[n] |= bit;
        else this.#masks[n] &= ~bit;
        break;
      case 11: // mode
        this.#channels[n * 4 + (value & 3)].mode = value & 0xfc;
        break;
      case 12: // clear byte pointer
        this.#high[n] = 0;
        break;
      case 13: // master clear
        this.#clear(n);
        break;
      case 14: // clear masks
        this.#masks[n] = 0;
        break;
      case 15: // all masks
        this.#masks[n] = value & 15;
    }
    for (let i = 0; i < 4; i++) if (!(this.#masks[n] & (1 << i))) this.onReady(n * 4 + i);
  }

  /** The channel's end for its device. */
  channel(number: number): DmaChannel {
    const n = number >> 2;
    const bit = 1 << (number & 3);
    const wide = number >= 4 ? 1 : 0;
    const c = this.#channels[number];
    const open = () =>
      !(this.#masks[n] & bit) && !(this.#commands[n] & COMMAND_DISABLE) && !(this.#masks[1] & 1 && n === 0);
    const move = (bytes: Uint8Array, direction: number): boolean => {
      const size = 1 + wide;
      const page = this.#pages[PAGES[number]];
      // In words, the page register's lowest bit is not used.
      const high = wide ? (page & 0xfe) << 16 : page << 16;
      for (let at = 0; at < bytes.length; ) {
        const down = c.mode & MODE_DOWN;
        const run = down ? 1 : Math.min((bytes.length - at) / size, 0x1_0000 - c.address, c.count + 1);
        const piece = bytes.subarray(at, at + run * size);
        const gpa = high + c.address * size;
        if ((c.mode & DIRECTION) === TO_MEMORY && direction === TO_MEMORY) this.#memory.write(gpa, piece);
        else if (direction === FROM_MEMORY) this.#memory.read(gpa, piece);
        at += piece.length;
        c.address = (c.address + (down ? -1 : run)) & 0xffff;
        c.count -= run;
        if (c.count >= 0) continue;
        c.count = 0xffff;
        this.#done[n] |= bit;
        this.#requests[n] &= ~bit;
        if (c.mode & MODE_AUTO) {
          c.address = c.base;
          c.count = c.baseCount;
        } else this.#masks[n] |= bit;
        return true;
      }
      return false;
    };
    return {
      ready: (toMemory) => {
        // Verify takes bytes as to memory, and puts them nowhere.
        const direction = c.mode & DIRECTION;
        const fits = toMemory ? direction !== FROM_MEMORY : direction === FROM_MEMORY;
        return open() && fits ? (c.count + 1) * (1 + wide) : 0;
      },
      write: (bytes) => move(bytes, TO_MEMORY),
      read: (into) => move(into, FROM_MEMORY),
    };
  }

  export(): Dma8237V1 {
    return {
      version: 1,
      channels: this.#channels.map((c) => ({ ...c })),
      pages: this.#pages.slice(),
      commands: [...this.#commands],
      masks: [...this.#masks],
      requests: [...this.#requests],
      done: [...this.#done],
      high: [...this.#high],
    };
  }

  import(state: Dma8237V1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const channels = from.children("channels", CHANNELS).map((f) => ({
      base: f.int("base", 0, 0xffff),
      baseCount: f.int("baseCount", 0, 0xffff),
      address: f.int("address", 0, 0xffff),
      count: f.int("count", 0, 0xffff),
      mode: f.u8("mode"),
    }));
    const pages = from.bytes("pages", 16);
    const commands = from.intsOf("commands", 2, 0, 0xff);
    const [masks, requests, done] = ["masks", "requests", "done"].map((f) => from.intsOf(f, 2, 0, 15));
    const high = from.intsOf("high", 2, 0, 1);
    channels.forEach((c, i) => {
      Object.assign(this.#channels[i], c);
    });
    this.#pages.set(pages);
    this.#commands = commands;
    this.#masks = masks;
    this.#requests = requests;
    this.#done = done;
    this.#high = high;
  }
}
