/**
 * A VGA's screen: a picture that follows the guest's memory, which is read while the guest runs, and the lines of it that
 * have changed since they were last asked for. What is drawn is compared with what was: text by cells, graphics by lines of
 * source bytes.
 */
import type { Vga } from "../io/vga.ts";
import type { VgaMemory } from "../io/vgaMemory.ts";
import type { Clock } from "../shared/device.ts";
import {
  attributeColours,
  dacColours,
  drawCell,
  drawFrameLine,
  drawGraphicsLine,
  type Phase,
  textCells,
} from "./draw.ts";
import { type Mode, modeOf, type TextMode } from "./mode.ts";
import { screenText, textRows } from "./text.ts";

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue, opaque: width * height pixels of 32 bits. */
  readonly pixels: Uint32Array;
  /** Lines that have changed since the last picture: from `top` up to, not with, `bottom`. Equal: nothing has. */
  readonly top: number;
  readonly bottom: number;
}

/** A frame of 60 a second in ns; the cursor blinks every 16 frames, characters every 32. */
const CURSOR_NS = 16n * 16_683_333n;
const BLINK_NS = 2n * CURSOR_NS;
const NO_CELL = -1;

export class Display {
  readonly #vga: Vga;
  readonly #memory: VgaMemory;
  readonly #clock: Clock;
  #width = 0;
  #height = 0;
  #pixels = new Uint32Array(0);
  /**
   * What decides about more than one line or cell: if it changes, everything is drawn. Not the picture's start and the
   * cursor's place, which cells and lines show themselves.
   */
  #key = "";
  #cells = new Int32Array(0);
  #fonts = 0;
  #row = new Int32Array(0);

  constructor(vga: Vga, memory: VgaMemory, clock: Clock) {
    this.#vga = vga;
    this.#memory = memory;
    this.#clock = clock;
  }

  /** Lines of a text screen; undefined: the screen is dark, or shows graphics. */
  text(): string[] | undefined {
    const mode = modeOf(this.#vga);
    if (mode?.kind !== "text") return undefined;
    this.#memory.fold();
    return screenText(mode, this.#memory);
  }

  /** Brings the picture up to date. `steady`: as if nothing blinked, and without the cursor. */
  picture(steady = false): Picture {
    const mode = modeOf(this.#vga);
    if (!mode) return this.#dark();
    this.#memory.fold();
    const vga = this.#vga;
    const dac = dacColours(vga);
    const colours = attributeColours(vga, dac);
    const geometry = JSON.stringify(mode, (name, value) => (name === "at" || name === "start" ? undefined : value));
    const key = `${geometry}${dac}${colours}`;
    const all = key !== this.#key;
    this.#key = key;
    this.#resize(mode.width, mode.height);
    if (mode.kind === "text") return this.#text(mode, colours, all, steady);
    return this.#graphics(mode, dac, colours, all);
  }

  #resize(width: number, height: number): void {
    if (width === this.#width && height === this.#height) return;
    this.#width = width;
    this.#height = height;
    this.#pixels = new Uint32Array(width * height);
  }

  #changed(top: number, bottom: number): Picture {
    return { width: this.#width, height: this.#height, pixels: this.#pixels, top, bottom: Math.max(top, bottom) };
  }

  #dark(): Picture {
    if (!this.#width) this.#resize(720, 400);
    if (this.#key === "dark") return this.#changed(0, 0);
    this.#key = "dark";
    this.#pixels.fill(0xff00_0000);
    return this.#changed(0, this.#height);
  }

  #text(mode: TextMode, colours: Uint32Array, all: boolean, steady: boolean): Picture {
    const rows = textRows(mode);
    // Of a picture that is moved to the left, parts of further cells are seen.
    const columns = mode.columns + Math.ceil(Math.max(mode.pan, mode.splitPan) / mode.cellWidth);
    const now = this.#clock.now();
    const phase: Phase = steady
      ? { cursor: false, blink: true }
      : { cursor: (now / CURSOR_NS) % 2n === 0n, blink: (now / BLINK_NS) % 2n === 0n };
    const fonts = this.#fontSum();
    if (all || fonts !== this.#fonts || this.#cells.length !== columns * rows.length) {
      this.#cells = new Int32Array(columns * rows.length).fill(NO_CELL);
      this.#row = new Int32Array(columns);
    }
    this.#fonts = fonts;
    let top = this.#height;
    let bottom = 0;
    rows.forEach((row, y) => {
      textCells(mode, this.#vga, this.#memory, row, phase, this.#row);
      for (let x = 0; x < columns; x++) {
        const cell = this.#row[x];
        if (this.#cells[y * columns + x] === cell) continue;
        this.#cells[y * columns + x] = cell;
        drawCell(mode, this.#vga, this.#memory, colours, cell, this.#pixels, row, x);
        top = Math.min(top, row.from);
        bottom = row.to;
      }
    });
    return this.#changed(bottom ? top : 0, bottom);
  }

  /** Tells whether some font has changed: a sum over plane 2. */
  #fontSum(): number {
    const { planes } = this.#memory;
    let sum = this.#vga.sequencer[3];
    for (let i = 0; i < 0x1_0000; i += 1) sum = (Math.imul(sum, 31) + ((planes[i] >>> 16) & 0xff)) | 0;
    return sum;
  }

  #graphics(mode: Exclude<Mode, TextMode>, dac: Uint32Array, colours: Uint32Array, all: boolean): Picture {
    const { width, height } = mode;
    const pixels = this.#pixels;
    let top = height;
    let bottom = 0;
    for (let y = 0; y < height; y++) {
      const at = y * width;
      const changed =
        mode.kind === "frame"
          ? drawFrameLine(mode, this.#memory, dac, y, pixels, at)
          : drawGraphicsLine(mode, this.#vga, this.#memory, dac, colours, y, pixels, at);
      if (!all && !changed) continue;
      top = Math.min(top, y);
      bottom = y + 1;
    }
    return this.#changed(bottom ? top : 0, bottom);
  }
}
