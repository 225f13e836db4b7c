/** What the ROM of data/pc.asm draws, by what its comments say. */

export interface Card {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue, opaque; red in the lowest byte. */
  readonly pixel: (x: number, y: number) => number;
}

/** The DAC as the guest sets it. */
const dac = (i: number): number => {
  const eight = (v: number) => (v << 2) | (v >> 4);
  const [r, g, b] = [i & 63, (i >> 1) & 63, (63 - i) & 63];
  return (eight(r) | (eight(g) << 8) | (eight(b) << 16) | 0xff00_0000) >>> 0;
};

/** The test card of mode 12h by what the guest's comments say, as colour numbers. */
function card(x: number, y: number): number {
  if (y >= 400 && y < 440) return card(x, y - 400);
  const bar = Math.floor(x / 40);
  if (y >= 200 && y < 210) {
    // Data 55h turned right by one is aah; of these, the bits of 7eh.
    return 0xaa & 0x7e & (0x80 >> (x & 7)) ? 10 : bar0(x, y);
  }
  return bar0(x, y);
  function bar0(px: number, py: number): number {
    const dots = py % 8 === 0 && ((px & 7) === 0 || (px & 7) === 7);
    const colour = dots ? 15 : bar;
    return py >= 100 && py < 120 ? colour ^ 5 : colour;
  }
}

const bgr = (n: number) => ((n >> 16) & 0xff) | (n & 0xff00) | ((n & 0xff) << 16) | 0xff00_0000;

/** The words in the fourth row, from the third column on, in yellow on blue. */
const WORDS = [..."Tabhyve ", "\xb0", ..." 0"].map((letter) => letter.charCodeAt(0));

/** Character and attribute of a cell of the text screen. */
function cell(column: number, row: number): [code: number, attribute: number] {
  const n = row * 80 + column;
  if (row !== 3) return [n & 0xff, (n + (n >> 8)) & 0x7f];
  const letter = WORDS[column - 2];
  return letter === undefined ? [0x20, 0x07] : [letter, 0x1e];
}

/** Sixteen lines a character, nine dots wide: the last is empty but for line graphics, where it is the eighth again. */
function textDot(x: number, y: number): number {
  const [code, attribute] = cell(Math.floor(x / 9), y >> 4);
  const bits = code ^ ((y & 15) * 0x11);
  const dot = x % 9;
  const on = dot < 8 ? (bits >> (7 - dot)) & 1 : code >= 0xc0 && code <= 0xdf ? bits & 1 : 0;
  return on ? attribute & 15 : attribute >> 4;
}

export const CARDS = {
  planar: { width: 640, height: 480, pixel: (x, y) => dac(card(x, y)) },
  mode13h: { width: 320, height: 200, pixel: (x, y) => dac((x ^ y) & 0xff) },
  modeX: { width: 320, height: 240, pixel: (x, y) => dac((y + (1 << (x & 3))) & 0xff) },
  text: { width: 720, height: 400, pixel: (x, y) => dac(textDot(x, y)) },
  frame: { width: 1024, height: 768, pixel: (x, y) => bgr(Math.imul(y * 1024 + x, 0x01_0305) & 0xff_ffff) },
} as const satisfies Record<string, Card>;
