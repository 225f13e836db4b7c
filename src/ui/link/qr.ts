/**
 * QR codes of texts (ISO/IEC 18004): byte mode, error correction level L, the smallest version that holds the text, the mask
 * of the lowest penalty.
 */

/** The text is longer than the largest code holds, 2,953 bytes. */
export class QrTooLongError extends Error {}

/** By version, 1 to 40, at level L: error correction codewords of a block, and blocks (table 9). */
const CHECK_BYTES = [
  7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28, 28, 28, 30, 30, 26, 28, 30, 30, 30, 30,
  30, 30, 30, 30, 30, 30, 30, 30, 30, 30,
];
const BLOCKS = [
  1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8, 8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19,
  20, 21, 22, 24, 25,
];
/** Level L as the format information has it. */
const LEVEL_L = 1;

/** Where a mask inverts a module (table 10). */
const MASKS: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/**
 * The modules of a code, without its quiet zone: rows, true is dark.
 *
 * @throws QrTooLongError
 */
export function qrCode(text: string): boolean[][] {
  const bytes = new TextEncoder().encode(text);
  const version = versionFor(bytes.length);
  const codewords = interleaved(dataCodewords(bytes, version), version);
  const drawn = MASKS.map((_, mask) => new Drawing(version, codewords, mask).rows);
  const penalties = drawn.map(penalty);
  return drawn[penalties.indexOf(Math.min(...penalties))]!;
}

/** Codewords of a version, those for errors included (table 1). */
function capacity(version: number): number {
  const align = version > 1 ? Math.floor(version / 7) + 2 : 0;
  let modules = (16 * version + 128) * version + 64;
  if (align) modules -= (25 * align - 10) * align - 55;
  if (version >= 7) modules -= 36;
  return Math.floor(modules / 8);
}

const dataLength = (version: number): number => capacity(version) - CHECK_BYTES[version - 1]! * BLOCKS[version - 1]!;
const lengthBits = (version: number): number => (version < 10 ? 8 : 16);

function versionFor(length: number): number {
  for (let version = 1; version <= 40; version++) {
    if (4 + lengthBits(version) + 8 * length <= 8 * dataLength(version)) return version;
  }
  throw new QrTooLongError(`${length} bytes`);
}

function dataCodewords(bytes: Uint8Array, version: number): number[] {
  const bits: number[] = [];
  const put = (value: number, count: number): void => {
    for (let i = count - 1; i >= 0; i--) bits.push((value >> i) & 1);
  };
  put(0b0100, 4);
  put(bytes.length, lengthBits(version));
  for (const byte of bytes) put(byte, 8);
  const length = dataLength(version);
  put(0, Math.min(4, 8 * length - bits.length));
  put(0, -bits.length & 7);
  const words = Array.from({ length: bits.length / 8 }, (_, i) =>
    bits.slice(8 * i, 8 * i + 8).reduce<number>((n, b) => 2 * n + b, 0),
  );
  for (let pad = 0xec; words.length < length; pad ^= 0xec ^ 0x11) words.push(pad);
  return words;
}

/** In blocks with their error correction, a codeword of each in turn; shorter blocks come first. */
function interleaved(data: readonly number[], version: number): number[] {
  const count = BLOCKS[version - 1]!;
  const check = CHECK_BYTES[version - 1]!;
  const all = capacity(version);
  const short = count - (all % count);
  const divisor = generator(check);
  const blocks: { data: readonly number[]; check: number[] }[] = [];
  for (let i = 0, at = 0; i < count; i++) {
    const length = Math.floor(all / count) - check + (i < short ? 0 : 1);
    const part = data.slice(at, at + length);
    blocks.push({ data: part, check: remainder(part, divisor) });
    at += length;
  }
  const words: number[] = [];
  const longest = blocks.at(-1)!.data.length;
  for (let i = 0; i < longest; i++) for (const block of blocks) if (i < block.data.length) words.push(block.data[i]!);
  for (let i = 0; i < check; i++) for (const block of blocks) words.push(block.check[i]!);
  return words;
}

/** Product in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1. */
function times(a: number, b: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit--) product = (product << 1) ^ ((product >> 7) * 0x11d) ^ (((b >> bit) & 1) * a);
  return product;
}

/** Coefficients of the product of (x - 2^i), i below the degree; the highest, 1, is left out. */
function generator(degree: number): number[] {
  const result: number[] = Array.from({ length: degree }, (_, i) => (i === degree - 1 ? 1 : 0));
  for (let i = 0, root = 1; i < degree; i++, root = times(root, 2)) {
    for (let j = 0; j < degree; j++) result[j] = times(result[j]!, root) ^ (result[j + 1] ?? 0);
  }
  return result;
}

function remainder(data: readonly number[], divisor: readonly number[]): number[] {
  const result = divisor.map(() => 0);
  for (const word of data) {
    const factor = word ^ result.shift()!;
    result.push(0);
    for (let i = 0; i < divisor.length; i++) result[i]! ^= times(divisor[i]!, factor);
  }
  return result;
}

class Drawing {
  readonly rows: boolean[][];
  readonly #size: number;
  /** Modules that carry no data. */
  readonly #fixed: boolean[][];

  constructor(version: number, codewords: readonly number[], mask: number) {
    this.#size = 4 * version + 17;
    const empty = (): boolean[][] => Array.from({ length: this.#size }, () => Array<boolean>(this.#size).fill(false));
    this.rows = empty();
    this.#fixed = empty();
    this.#patterns(version);
    this.#format(mask);
    this.#data(codewords, MASKS[mask]!);
  }

  #set(x: number, y: number, dark: boolean): void {
    if (!this.rows[y] || x < 0 || x >= this.#size) return;
    this.rows[y]![x] = dark;
    this.#fixed[y]![x] = true;
  }

  #patterns(version: number): void {
    const end = this.#size - 1;
    for (let i = 0; i <= end; i++) {
      this.#set(6, i, i % 2 === 0);
      this.#set(i, 6, i % 2 === 0);
    }
    for (const [cx, cy] of [
      [3, 3],
      [end - 3, 3],
      [3, end - 3],
    ] as const) {
      this.#square(cx, cy, 4, (ring) => ring !== 2 && ring !== 4);
    }
    const places = alignment(version);
    for (const x of places) {
      for (const y of places) {
        const finder = (x === 6 && (y === 6 || y === end - 6)) || (x === end - 6 && y === 6);
        if (!finder) this.#square(x, y, 2, (ring) => ring !== 1);
      }
    }
    if (version < 7) return;
    const bits = (version << 12) | remainderOf(version, 12, 0x1f25);
    for (let i = 0; i < 18; i++) {
      const dark = ((bits >> i) & 1) === 1;
      const far = end - 10 + (i % 3);
      this.#set(far, Math.floor(i / 3), dark);
      this.#set(Math.floor(i / 3), far, dark);
    }
  }

  /** Rings around a centre, by their distance from it. */
  #square(cx: number, cy: number, radius: number, dark: (ring: number) => boolean): void {
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++)
        this.#set(cx + dx, cy + dy, dark(Math.max(Math.abs(dx), Math.abs(dy))));
    }
  }

  /** Twice, beside the finder patterns (figure 25), and the module that is always dark. */
  #format(mask: number): void {
    const data = (LEVEL_L << 3) | mask;
    const bits = ((data << 10) | remainderOf(data, 10, 0x537)) ^ 0x5412;
    const dark = (i: number): boolean => ((bits >> i) & 1) === 1;
    const size = this.#size;
    for (let i = 0; i <= 5; i++) this.#set(8, i, dark(i));
    this.#set(8, 7, dark(6));
    this.#set(8, 8, dark(7));
    this.#set(7, 8, dark(8));
    for (let i = 9; i < 15; i++) this.#set(14 - i, 8, dark(i));
    for (let i = 0; i < 8; i++) this.#set(size - 1 - i, 8, dark(i));
    for (let i = 8; i < 15; i++) this.#set(8, size - 15 + i, dark(i));
    this.#set(8, size - 8, true);
  }

  /** Up and down in columns of two, from the right; the vertical timing pattern's column is left out. */
  #data(codewords: readonly number[], mask: (x: number, y: number) => boolean): void {
    const size = this.#size;
    let at = 0;
    let upwards = true;
    for (let right = size - 1; right > 0; right -= 2) {
      if (right === 6) right--;
      for (let step = 0; step < size; step++) {
        const y = upwards ? size - 1 - step : step;
        for (const x of [right, right - 1]) {
          if (this.#fixed[y]![x]) continue;
          const bit = ((codewords[at >> 3] ?? 0) >> (7 - (at & 7))) & 1;
          this.rows[y]![x] = (bit === 1) !== mask(x, y);
          at++;
        }
      }
      upwards = !upwards;
    }
  }
}

/** Centres of alignment patterns in a row or column (annex E). */
function alignment(version: number): number[] {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const step = Math.floor((version * 8 + count * 3 + 5) / (count * 4 - 4)) * 2;
  const places = [6];
  for (let at = 4 * version + 10; places.length < count; at -= step) places.splice(1, 0, at);
  return places;
}

/** Remainder of data times x^degree by a polynomial of that degree over GF(2). */
function remainderOf(data: number, degree: number, polynomial: number): number {
  let rest = data;
  for (let i = 0; i < degree; i++) rest = (rest << 1) ^ ((rest >> (degree - 1)) * polynomial);
  return rest;
}

/** How hard a code is to read (7.8.3): runs, blocks, what looks like a finder pattern, and a share of dark modules off one half. */
function penalty(rows: readonly (readonly boolean[])[]): number {
  const size = rows.length;
  const columns = rows.map((_, x) => rows.map((row) => row[x]!));
  let sum = 0;
  for (const line of [...rows, ...columns]) {
    const text = line.map((dark) => (dark ? "#" : ".")).join("");
    for (const [run] of text.matchAll(/#{5,}|\.{5,}/g)) sum += run.length - 2;
    for (const finder of ["....#.###.#", "#.###.#...."]) {
      for (let at = text.indexOf(finder); at >= 0; at = text.indexOf(finder, at + 1)) sum += 40;
    }
  }
  let dark = 0;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const here = rows[y]![x];
      if (here) dark++;
      if (
        rows[y + 1] &&
        x + 1 < size &&
        here === rows[y]![x + 1] &&
        here === rows[y + 1]![x] &&
        here === rows[y + 1]![x + 1]
      ) {
        sum += 3;
      }
    }
  }
  return sum + 10 * Math.floor(Math.abs((20 * dark) / (size * size) - 10));
}
