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

export const CARDS = {
  planar: { width: 640, height: 480, pixel: (x, y) => dac(card(x, y)) },
  mode13h: { width: 320, height: 200, pixel: (x, y) => dac((x ^ y) & 0xff) },
  modeX: { width: 320, height: 240, pixel: (x, y) => dac((y + (1 << (x & 3))) & 0xff) },
  frame: { width: 1024, height: 768, pixel: (x, y) => bgr(Math.imul(y * 1024 + x, 0x01_0305) & 0xff_ffff) },
} as const satisfies Record<string, Card>;
