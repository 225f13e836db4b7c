/**
 * Draws a VGA's picture, 32 bits a pixel (red in the lowest byte, as ImageData has it), a line at a time.
 *
 * Not drawn: the overscan border, changes within a frame; a split or a preset row scan within the scan lines that a line of
 * graphics is repeated for.
 */
import { DISPI, DISPI_8BIT_DAC, type Vga } from "../io/vga.ts";
import type { VgaMemory } from "../io/vgaMemory.ts";
import type { FrameMode, GraphicsMode, TextMode } from "./mode.ts";
import { plane, type TextRow } from "./text.ts";

const OPAQUE = 0xff00_0000;

/** All 256 entries of the DAC as pixels. */
export function dacColours(vga: Vga): Uint32Array {
  const wide = vga.dispi[DISPI.enable] & DISPI_8BIT_DAC;
  // Six bits fill eight: the upper ones repeat in the lower.
  const full = (v: number) => (wide ? v : (v << 2) | (v >> 4));
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const at = (i & vga.dacMask) * 3;
    return (full(vga.dac[at]) | (full(vga.dac[at + 1]) << 8) | (full(vga.dac[at + 2]) << 16) | OPAQUE) >>> 0;
  });
}

/** The sixteen colours of the attribute controller as pixels. */
export function attributeColours(vga: Vga, dac: Uint32Array): Uint32Array {
  const { attribute } = vga;
  const select = attribute[0x14];
  const replaces = attribute[0x10] & 0x80;
  return Uint32Array.from({ length: 16 }, (_, i) => {
    const entry = attribute[i & attribute[0x12]];
    // P5 and P4 come from the palette, or from the colour select register, which P7 and P6 always do.
    const low = replaces ? (entry & 15) | ((select & 3) << 4) : entry;
    return dac[low | ((select & 12) << 4)];
  });
}

/** One cell's character, attribute and cursor, for comparison; -1: draw it whatever it is. */
export type Cell = number;
const CURSOR = 0x1_0000;
const BLINK_OFF = 0x2_0000;

/** What a row's characters show, as many as `out` takes. `phase` is whether blinking things are on. */
export function textCells(
  mode: TextMode,
  vga: Vga,
  memory: VgaMemory,
  row: TextRow,
  phase: Phase,
  out: Int32Array,
): void {
  const blinks = vga.attribute[0x10] & 8;
  for (let x = 0; x < out.length; x++) {
    const where = row.at + x;
    const cell = memory.planes[plane(where, mode.shift)] & 0xffff;
    const cursor = mode.cursor?.at === (where & 0xffff) && phase.cursor ? CURSOR : 0;
    out[x] = cell | cursor | (blinks && cell & 0x8000 && !phase.blink ? BLINK_OFF : 0);
  }
}

export interface Phase {
  readonly cursor: boolean;
  readonly blink: boolean;
}

/** Draws the cell in a column of a row, as far as it is on the screen. */
export function drawCell(
  mode: TextMode,
  vga: Vga,
  memory: VgaMemory,
  colours: Uint32Array,
  cell: Cell,
  pixels: Uint32Array,
  row: TextRow,
  column: number,
): void {
  const { cellWidth, width, underline } = mode;
  const code = cell & 0xff;
  const attribute = (cell >> 8) & 0xff;
  const blinks = vga.attribute[0x10] & 8;
  const background = colours[blinks ? (attribute >> 4) & 7 : attribute >> 4];
  const foreground = cell & BLINK_OFF ? background : colours[attribute & 15];
  // Attribute bit 3 chooses between two fonts, which usually are the same (sequencer register 3).
  const maps = vga.sequencer[3];
  const map = attribute & 8 ? ((maps >> 2) & 3) | ((maps >> 3) & 4) : (maps & 3) | ((maps >> 2) & 4);
  const font = (((map & 3) << 14) | ((map & 4) << 11)) + code * 32;
  const cursor = cell & CURSOR ? mode.cursor : undefined;
  const underlined = vga.attribute[0x10] & 2 && (attribute & 7) === 1;
  // Line graphics continue into the ninth column.
  const joins = cellWidth === 9 && vga.attribute[0x10] & 4 && code >= 0xc0 && code <= 0xdf;
  const left = column * cellWidth - row.pan;
  const [first, end] = [Math.max(0, -left), Math.min(cellWidth, width - left)];
  for (let line = row.from; line < row.to; line++) {
    const y = line - row.top;
    const bits = (memory.planes[(font + y) & 0xffff] >>> 16) & 0xff;
    // All nine dots are on under the cursor and in an underline.
    const solid = (cursor && y >= cursor.from && y <= cursor.to) || (underlined && y === underline);
    const nine = solid ? 0x1ff : (bits << 1) | (joins ? bits & 1 : 0);
    const at = line * width + left;
    for (let x = first; x < end; x++) pixels[at + x] = (nine >> (8 - x)) & 1 ? foreground : background;
  }
}

/** Finds the address of the counter so many steps from a line's start. */
function lineAddress(mode: GraphicsMode, y: number): (step: number) => number {
  const { shift, scans, scanBits, mask } = mode;
  const below = y >= mode.split;
  const line = below ? y - mode.split : y + mode.preset;
  const start = (below ? 0 : mode.start) + Math.floor(line / scans) * mode.offset;
  const fromScan = ((line % scans) << 13) & scanBits;
  return (step) => (((start + step) << shift) & mask & ~scanBits) | fromScan;
}

/** Draws a line of the picture at `at`. @returns whether it is another one than what was there */
export function drawGraphicsLine(
  mode: GraphicsMode,
  vga: Vga,
  memory: VgaMemory,
  dac: Uint32Array,
  colours: Uint32Array,
  y: number,
  pixels: Uint32Array,
  at: number,
): boolean {
  const { planes } = memory;
  const address = lineAddress(mode, y);
  const pan = y >= mode.split ? mode.splitPan : mode.pan;
  const { width } = mode;
  let changed = false;
  if (mode.kind === "bytes") {
    for (let x = 0; x < width; x++) {
      const from = x + pan;
      const pixel = dac[(planes[address(from >> 2)] >>> (8 * (from & 3))) & 0xff];
      if (pixels[at + x] === pixel) continue;
      pixels[at + x] = pixel;
      changed = true;
    }
    return changed;
  }
  const enabled = vga.attribute[0x12];
  let four = 0;
  let last = -1;
  for (let x = 0; x < width; x++) {
    const from = x + pan;
    if (from >> 3 !== last) {
      last = from >> 3;
      four = planes[address(last)];
    }
    const bit = 7 - (from & 7);
    let colour: number;
    if (mode.kind === "planar") {
      colour =
        ((four >>> bit) & 1) |
        (((four >>> (8 + bit)) & 1) << 1) |
        (((four >>> (16 + bit)) & 1) << 2) |
        (((four >>> (24 + bit)) & 1) << 3);
    } else {
      // Pairs of bits: the even plane's byte is the left four pixels, the odd one's the right four.
      const n = from & 7;
      const pair = 6 - 2 * (n & 3);
      const low = n < 4 ? 0 : 8;
      colour = ((four >>> (low + pair)) & 3) | (((four >>> (16 + low + pair)) & 3) << 2);
    }
    const pixel = colours[colour & enabled];
    if (pixels[at + x] === pixel) continue;
    pixels[at + x] = pixel;
    changed = true;
  }
  return changed;
}

/** Draws a line of the picture at `at`. @returns whether it is another one than what was there */
export function drawFrameLine(
  { bpp, width, start, pitch }: FrameMode,
  { frame, frameWords }: VgaMemory,
  dac: Uint32Array,
  y: number,
  pixels: Uint32Array,
  at: number,
): boolean {
  // Addresses wrap where the memory ends, a power of two.
  const last = frame.length - 1;
  const from = start + y * pitch;
  let changed = false;
  // Loops of their own for what is common: this is done for every pixel, 60 times a second.
  if (bpp === 32) {
    for (let x = 0; x < width; x++) {
      const bgr = frameWords[((from >> 2) + x) & (last >> 2)];
      const pixel = (((bgr >> 16) & 0xff) | (bgr & 0xff00) | ((bgr & 0xff) << 16) | OPAQUE) >>> 0;
      if (pixels[at + x] === pixel) continue;
      pixels[at + x] = pixel;
      changed = true;
    }
    return changed;
  }
  if (bpp === 8) {
    for (let x = 0; x < width; x++) {
      const pixel = dac[frame[(from + x) & last]];
      if (pixels[at + x] === pixel) continue;
      pixels[at + x] = pixel;
      changed = true;
    }
    return changed;
  }
  const byte = (n: number): number => frame[(from + n) & last];
  const pixelAt = bpp === 24 ? true24(byte) : high(byte, bpp);
  for (let x = 0; x < width; x++) {
    const pixel = pixelAt(x);
    if (pixels[at + x] === pixel) continue;
    pixels[at + x] = pixel;
    changed = true;
  }
  return changed;
}

type ByteAt = (n: number) => number;

const true24 = (byte: ByteAt) => (x: number) =>
  (byte(3 * x + 2) | (byte(3 * x + 1) << 8) | (byte(3 * x) << 16) | OPAQUE) >>> 0;

/** Sixteen bits: five for each colour, six for green, or five of it and an unused one. */
const high = (byte: ByteAt, bpp: number) => (x: number) => {
  const v = byte(2 * x) | (byte(2 * x + 1) << 8);
  const b = v & 31;
  const g = bpp === 16 ? (v >> 5) & 63 : (((v >> 5) & 31) << 1) | ((v >> 9) & 1);
  const r = bpp === 16 ? v >> 11 : (v >> 10) & 31;
  const five = (c: number) => (c << 3) | (c >> 2);
  return (five(r) | (((g << 2) | (g >> 4)) << 8) | (five(b) << 16) | OPAQUE) >>> 0;
};
