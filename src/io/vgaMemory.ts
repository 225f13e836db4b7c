/**
 * How the guest sees a VGA's memory: at any time the window at 0xa0000 is one of
 *
 *     frame buffer   64 KiB of the linear frame buffer (a bank of the display interface): plain memory
 *     chain 4        a double word is a byte of each plane: plain memory, while nothing modifies what is written
 *     odd/even       a word is a byte of planes 0 and 1, as in text modes: plain memory, under the same condition
 *     planes         the core's planar logic (assembly/vga.ts), with the registers on the control page
 *
 * Planes are kept as a double word for each plane address. Addresses are the hardware's: chain 4 leaves the lower two
 * bits out of the plane address, odd/even the lowest. While a chained window is plain memory, its contents are in a buffer
 * of their own, which `fold` brings into the planes, whenever the window changes and whenever they are drawn.
 */
import { CONTROL, PAGE_SIZE, VGA, VGA_CHAIN } from "../shared/layout.ts";
import { DISPI, type Vga } from "./vga.ts";

export const FRAME_BUFFER_SIZE = 0x100_0000;
/** 256 Ki plane addresses. */
const PLANES_SIZE = 0x10_0000;
const WINDOW_SIZE = 0x1_0000;
/** Backing memory that all of it takes. */
export const VGA_MEMORY_SIZE = FRAME_BUFFER_SIZE + PLANES_SIZE + WINDOW_SIZE;

/** Windows of the graphics controller's memory map select (miscellaneous register, bits 3:2). */
const WINDOWS = [
  { base: 0xa_0000, size: 0x2_0000 },
  { base: 0xa_0000, size: 0x1_0000 },
  { base: 0xb_0000, size: 0x8000 },
  { base: 0xb_8000, size: 0x8000 },
] as const;

type Chained = "chain4" | "oddEven";
interface Seen {
  readonly kind: "nothing" | "planes" | "frame" | Chained;
  /** Where plain memory is mapped, and how much of it; the bank of the frame buffer. */
  readonly base?: number;
  readonly size?: number;
  readonly bank?: number;
}

/** What this needs of the machine's memory (src/vmm/memory.ts). */
export interface VgaBacking {
  readonly bytes: Uint8Array;
  allocate(length: number): number;
  map(gpa: number, length: number, host: number, writable: boolean): void;
  unmap(gpa: number, length: number): void;
  present(host: number): void;
  hostWritten(host: number): void;
  readonly control: { index(field: typeof CONTROL.vga): number; readonly words: Int32Array };
}

export class VgaMemory {
  /** Backing address of the linear frame buffer. */
  readonly frameBuffer: number;
  readonly frame: Uint8Array;
  /** The same in double words. */
  readonly frameWords: Uint32Array;
  readonly planes: Uint32Array;
  readonly latch: { value: number };
  readonly #window: number;
  readonly #buffer: Uint32Array;
  readonly #planesAt: number;
  readonly #memory: VgaBacking;
  readonly #words: Int32Array;
  readonly #base: number;
  readonly #onMoved: () => void;
  #seen: Seen = { kind: "nothing" };

  /** `onMoved`: every vCPU must drop its translations before it goes on. */
  constructor(memory: VgaBacking, onMoved: () => void) {
    this.#memory = memory;
    this.#onMoved = onMoved;
    this.frameBuffer = memory.allocate(FRAME_BUFFER_SIZE);
    this.#planesAt = memory.allocate(PLANES_SIZE);
    this.#window = memory.allocate(WINDOW_SIZE);
    const { buffer } = memory.bytes;
    this.frame = new Uint8Array(buffer, this.frameBuffer, FRAME_BUFFER_SIZE);
    this.frameWords = new Uint32Array(buffer, this.frameBuffer, FRAME_BUFFER_SIZE / 4);
    this.planes = new Uint32Array(buffer, this.#planesAt, PLANES_SIZE / 4);
    this.#buffer = new Uint32Array(buffer, this.#window, WINDOW_SIZE / 4);
    this.touch();
    const words = memory.control.words;
    const base = memory.control.index(CONTROL.vga);
    this.#words = words;
    this.#base = base;
    this.latch = {
      get value() {
        return Atomics.load(words, base + VGA.LATCH) >>> 0;
      },
      set value(latch: number) {
        Atomics.store(words, base + VGA.LATCH, latch);
      },
    };
  }

  /**
   * After the machine's memory was replaced, or the host has asked what is written: what is read and written here without
   * notice is there, and counts as written.
   */
  touch(): void {
    const end = this.frameBuffer + FRAME_BUFFER_SIZE;
    for (let at = this.frameBuffer; at < end; at += PAGE_SIZE) this.#memory.present(at);
    for (const [from, size] of [
      [this.#planesAt, PLANES_SIZE],
      [this.#window, WINDOW_SIZE],
    ]) {
      for (let at = from; at < from + size; at += PAGE_SIZE) {
        this.#memory.present(at);
        this.#memory.hostWritten(at);
      }
    }
  }

  /**
   * Follows the registers.
   *
   * @param restored the memory's contents will come from a snapshot, taken with these registers
   */
  follow(vga: Vga, restored: boolean): void {
    const seen = look(vga);
    if (!same(seen, this.#seen)) {
      this.#hide();
      if (!restored) this.fold();
      this.#seen = seen;
      if (!restored) this.#unfold();
      this.#show();
      this.#onMoved();
    }
    this.#publish(vga);
  }

  /** All of the frame buffer and the planes is zero, as after a mode is set by the display interface. */
  clear(planar: boolean): void {
    if (planar) this.planes.fill(0);
    else this.frame.fill(0);
  }

  /** Brings what the guest has written through a chained window into the planes. */
  fold(): void {
    const buffer = this.#buffer;
    const { planes } = this;
    const { kind } = this.#seen;
    if (kind === "chain4") for (let i = 0; i < WINDOW_SIZE / 4; i++) planes[4 * i] = buffer[i];
    else if (kind === "oddEven") {
      for (let i = 0; i < 0x8000 / 4; i++) {
        const two = buffer[i];
        planes[4 * i] = (planes[4 * i] & 0xffff_0000) | (two & 0xffff);
        planes[4 * i + 2] = (planes[4 * i + 2] & 0xffff_0000) | (two >>> 16);
      }
    }
  }

  #unfold(): void {
    const buffer = this.#buffer;
    const { planes } = this;
    const { kind } = this.#seen;
    if (kind === "chain4") for (let i = 0; i < WINDOW_SIZE / 4; i++) buffer[i] = planes[4 * i];
    else if (kind === "oddEven") {
      for (let i = 0; i < 0x8000 / 4; i++) buffer[i] = (planes[4 * i] & 0xffff) | (planes[4 * i + 2] << 16);
    }
  }

  #hide(): void {
    const { base, size } = this.#seen;
    if (base !== undefined && size !== undefined) this.#memory.unmap(base, size);
  }

  #show(): void {
    const { base, size, bank } = this.#seen;
    if (base === undefined || size === undefined) return;
    this.#memory.map(base, size, bank === undefined ? this.#window : this.frameBuffer + bank * WINDOW_SIZE, true);
  }

  /** Puts the registers where the planar logic finds them. */
  #publish(vga: Vga): void {
    const { sequencer, graphics } = vga;
    const { base, size } = WINDOWS[(graphics[6] >> 2) & 3];
    const wide = vga.dispiEnabled && vga.dispi[DISPI.bpp] === 4;
    const chain =
      (graphics[6] & 2 && !(sequencer[4] & 4) ? VGA_CHAIN.ODD_EVEN : 0) | (sequencer[4] & 8 ? VGA_CHAIN.CHAIN4 : 0);
    const set = (index: number, value: number) => Atomics.store(this.#words, this.#base + index, value | 0);
    set(VGA.WINDOW, base);
    set(VGA.SIZE, this.#seen.kind === "planes" ? size : 0);
    set(VGA.PLANES, this.#planesAt);
    set(VGA.ADDRESSES, wide ? 0x3_ffff : 0xffff);
    set(VGA.BANK, wide ? vga.dispi[DISPI.bank] * WINDOW_SIZE : 0);
    set(VGA.CHAIN, chain);
    set(VGA.READ_MAP, graphics[4]);
    set(VGA.WRITE_MODE, graphics[5] & 3);
    set(VGA.READ_MODE, (graphics[5] >> 3) & 1);
    set(VGA.MAP_MASK, spread(sequencer[2]));
    set(VGA.ENABLE_SET_RESET, spread(graphics[1]));
    set(VGA.SET_RESET, spread(graphics[0]));
    set(VGA.BIT_MASK, graphics[8] * 0x0101_0101);
    set(VGA.ROTATE, graphics[3]);
    set(VGA.COMPARE, graphics[2] | (graphics[7] << 8));
  }
}

/** A byte of ones for each of four bits. */
const spread = (bits: number): number =>
  ((bits & 1) * 0xff) | ((bits & 2) * 0x7f80) | ((bits & 4) * 0x3f_c000) | ((bits & 8) * 0x1fe0_0000);

function look(vga: Vga): Seen {
  const { sequencer, graphics, misc } = vga;
  // RAM enable.
  if (!(misc & 2)) return { kind: "nothing" };
  const window = WINDOWS[(graphics[6] >> 2) & 3];
  if (vga.dispiEnabled && vga.dispi[DISPI.bpp] >= 8) {
    return window.base === 0xa_0000
      ? { kind: "frame", base: window.base, size: WINDOW_SIZE, bank: vga.dispi[DISPI.bank] }
      : { kind: "nothing" };
  }
  // Data goes through as it is: write mode 0, read mode 0, no set/reset, no function, no rotation, all bits.
  const plain = !(graphics[5] & 0x0b) && !graphics[1] && !graphics[3] && graphics[8] === 0xff && !vga.dispiEnabled;
  if (!plain) return { kind: "planes" };
  const mask = sequencer[2] & 15;
  if (sequencer[4] & 8) {
    if (mask === 15 && window.size === WINDOW_SIZE) return { kind: "chain4", ...window };
  } else if (!(sequencer[4] & 4) && graphics[6] & 2 && mask === 3 && !(graphics[4] & 2) && window.size === 0x8000) {
    return { kind: "oddEven", ...window };
  }
  return { kind: "planes" };
}

const same = (a: Seen, b: Seen): boolean =>
  a.kind === b.kind && a.base === b.base && a.size === b.size && a.bank === b.bank;
