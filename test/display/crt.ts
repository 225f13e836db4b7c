/**
 * What a VGA shows, by the words of the manual (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"): counters
 * that go from scan line to scan line and from dot to dot, beside src/display, which knows of modes and lines.
 */
import type { Vga } from "../../src/io/vga.ts";

/** 256 entries of the DAC, six bits each, as pixels. */
function dac(vga: Vga, entry: number): number {
  const at = 3 * (entry & vga.dacMask);
  const [r, g, b] = [0, 1, 2].map((part) => (vga.dac[at + part] * 4) | (vga.dac[at + part] >> 4));
  return (0xff00_0000 | (b << 16) | (g << 8) | r) >>> 0;
}

/** One of sixteen colours through the attribute controller's palette. */
function palette(vga: Vga, colour: number): number {
  const inside = vga.attribute[colour & vga.attribute[0x12]];
  const select = vga.attribute[0x14];
  const high = vga.attribute[0x10] & 0x80 ? (inside & 0x0f) | ((select & 3) << 4) : inside;
  return dac(vga, high | ((select & 0x0c) << 4));
}

export interface Blinking {
  readonly cursor: boolean;
  readonly blink: boolean;
}

/** All scan lines that are shown, each with its dots. @param planes a double word for each plane address */
export function scanLines(vga: Vga, planes: Uint32Array, on: Blinking): number[][] {
  const { crtc } = vga;
  const bit = (register: number, n: number) => (crtc[register] >> n) & 1;
  const end = crtc[0x12] + 256 * bit(7, 1) + 512 * bit(7, 6);
  const compare = crtc[0x18] + 256 * bit(7, 4) + 512 * bit(9, 6);
  const most = crtc[9] & 31;
  let memory = crtc[0x0c] * 256 + crtc[0x0d];
  let row = crtc[8] & 31;
  let half = false;
  let below = false;
  const out: number[][] = [];
  for (let scan = 0; scan <= end; scan++) {
    out.push(dots(vga, planes, memory, row, below, on));
    if (scan === compare) {
      memory = row = 0;
      half = false;
      below = true;
      continue;
    }
    if (bit(9, 7)) half = !half;
    if (half) continue;
    if (row === most) {
      row = 0;
      memory += 2 * crtc[0x13];
    } else row++;
  }
  return out;
}

function dots(vga: Vga, planes: Uint32Array, memory: number, row: number, below: boolean, on: Blinking): number[] {
  const { crtc, attribute, graphics, sequencer } = vga;
  const graphic = (graphics[6] & 1) !== 0;
  const stays = below && (attribute[0x10] & 0x20) !== 0;
  const clocks = crtc[1] + 1;
  const nine = !graphic && !(sequencer[1] & 1);
  const packed = graphic && (graphics[5] & 0x40) !== 0;
  const wide = packed ? 4 : nine ? 9 : 8;
  const pel = attribute[0x13] & 15;
  // With nine dots, 8 is where nothing is moved, and 0 a dot further; with 256 colours, two dots are one.
  const moved = stays ? 0 : nine ? (pel + 1) % 9 : packed ? (pel & 7) >> 1 : pel & 7;
  const first = memory + (stays ? 0 : (crtc[8] >> 5) & 3);
  const line: number[] = [];
  for (let clock = 0; clock <= clocks; clock++) {
    const at = first + clock;
    line.push(...(graphic ? serialised(vga, planes, at, row) : character(vga, planes, at, row, on)));
  }
  return line.slice(moved, moved + clocks * wide);
}

/** Where the counter leads: bytes, words, double words; CGA and Hercules graphics have bits of the row scan counter in it. */
function address(vga: Vga, counter: number, row: number): number {
  const { crtc } = vga;
  const factor = crtc[0x14] & 0x40 ? 4 : crtc[0x17] & 0x40 ? 1 : 2;
  let at = (counter * factor) % 0x1_0000;
  for (const n of [0, 1]) {
    if ((crtc[0x17] >> n) & 1) continue;
    const weight = 0x2000 << n;
    at = at - (at & weight) + ((row >> n) & 1) * weight;
  }
  return at;
}

/** Dots of a character clock of graphics. */
function serialised(vga: Vga, planes: Uint32Array, counter: number, row: number): number[] {
  const four = planes[address(vga, counter, row)];
  const byte = (plane: number) => (four >>> (8 * plane)) & 0xff;
  if (vga.graphics[5] & 0x40) return [0, 1, 2, 3].map((plane) => dac(vga, byte(plane)));
  return Array.from({ length: 8 }, (_, dot) => {
    if (vga.graphics[5] & 0x20) {
      const two = (value: number) => (value >> (2 * (3 - (dot % 4)))) & 3;
      const odd = dot >= 4 ? 1 : 0;
      return palette(vga, two(byte(odd)) + 4 * two(byte(2 + odd)));
    }
    return palette(
      vga,
      [0, 1, 2, 3].reduce((colour, plane) => colour + ((byte(plane) >> (7 - dot)) & 1) * (1 << plane), 0),
    );
  });
}

/** Dots of a character's scan line. */
function character(vga: Vga, planes: Uint32Array, counter: number, row: number, on: Blinking): number[] {
  const { crtc, attribute, sequencer } = vga;
  const factor = crtc[0x14] & 0x40 ? 4 : crtc[0x17] & 0x40 ? 1 : 2;
  const cell = planes[(counter * factor) % 0x1_0000];
  const code = cell & 0xff;
  const kind = (cell >> 8) & 0xff;
  const s3 = sequencer[3];
  const map = kind & 8 ? ((s3 >> 2) & 3) + ((s3 >> 5) & 1) * 4 : (s3 & 3) + ((s3 >> 4) & 1) * 4;
  // Maps 0 to 3 are 16 KiB apart, 4 to 7 lie 8 KiB behind those.
  const font = (map % 4) * 0x4000 + (map >= 4 ? 0x2000 : 0);
  let bits = (planes[font + 32 * code + row] >>> 16) & 0xff;
  let ninth = attribute[0x10] & 4 && code >= 0xc0 && code < 0xe0 ? bits & 1 : 0;
  const blinks = attribute[0x10] & 8;
  const under = attribute[0x10] & 2 && (kind & 7) === 1 && row === (crtc[0x14] & 31);
  const here = crtc[0x0e] * 256 + crtc[0x0f] === counter % 0x1_0000 && !(crtc[0x0a] & 0x20) && on.cursor;
  if (under || (here && row >= (crtc[0x0a] & 31) && row <= (crtc[0x0b] & 31))) {
    bits = 0xff;
    ninth = 1;
  }
  const back = palette(vga, blinks ? (kind >> 4) & 7 : kind >> 4);
  const fore = blinks && kind & 0x80 && !on.blink ? back : palette(vga, kind & 15);
  const all = Array.from({ length: 8 }, (_, n) => ((bits >> (7 - n)) & 1 ? fore : back));
  return sequencer[1] & 1 ? all : [...all, ninth ? fore : back];
}
