/**
 * Unpacks what deflate has packed (RFC 1951), for pages of a snapshot: synchronously, since it is a memory access that
 * waits for them, which no stream of a browser can do. From INFLATE_INPUT to INFLATE_OUTPUT; whoever calls it has the
 * lock (src/vcpu/pages.ts). Anything may come in: it stays within its buffers.
 *
 * A code is a table in memory:
 *
 *        0 u16 by the next FAST_BITS bits: symbol << 4 | length; 0 = the code is longer, or is none
 *     2048 u16 how many codes have length 0 … 15
 *     2080 u16 symbols in order of their codes
 */
import { INFLATE_INPUT, INFLATE_OUTPUT, INFLATE_TABLES } from "../gen/layout";

/** Puts the page of backing memory around `host` into its place. */
@external("env", "fetchPage")
export declare function fetchPage(host: usize): void;

const FAST_BITS: u64 = 10;
const FAST: u64 = (1 << FAST_BITS) - 1;
const COUNTS: usize = 2048;
const SYMBOLS: usize = 2080;
const LITERALS: usize = INFLATE_TABLES;
const DISTANCES: usize = INFLATE_TABLES + 0x1000;
/** Code lengths while a code is being made. */
const LENGTHS: usize = INFLATE_TABLES + 0x2000;
const OFFSETS: usize = INFLATE_TABLES + 0x3000;
/** Codes of either kind there can be (RFC 1951, 3.2.6). */
const MAX_LITERALS: u32 = 288;
const MAX_DISTANCES: u32 = 32;
/** In which order the lengths of the code for code lengths come (3.2.7). */
const ORDER: usize = memory.data<u8>([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]);

/** Input that waits: its bits, how many of them count, where it goes on; and where output goes on. */
let bits: u64 = 0;
let count: u64 = 0;
let at: usize = 0;
let out: usize = 0;

/** At least 56 bits. Bytes beyond the input are there, and zero. */
function refill(): void {
  bits |= load<u64>(at) << count;
  at += <usize>((63 - count) >> 3);
  count |= 56;
}

/** The next n bits, at most 16. */
function take(n: u64): u32 {
  refill();
  const value = <u32>(bits & ((<u64>1 << n) - 1));
  bits >>= n;
  count -= n;
  return value;
}

/**
 * Unpacks `length` bytes.
 *
 * @returns whether they unpack to exactly `size` bytes
 */
export function inflate(length: u32, size: u32): bool {
  const end = INFLATE_INPUT + length, limit = INFLATE_OUTPUT + size;
  store<u64>(end, 0);
  store<u64>(end, 0, 8);
  bits = 0;
  count = 0;
  at = INFLATE_INPUT;
  out = INFLATE_OUTPUT;
  while (true) {
    const last = take(1), type = take(2);
    if (type == 0) {
      if (!stored(end, limit)) return false;
    } else {
      if (type == 1) {
        if (!fixedCodes()) return false;
      } else if (type != 2 || !dynamicCodes()) return false;
      if (!compressed(end, limit)) return false;
    }
    if (at - <usize>(count >> 3) > end) return false;
    if (last) return out == limit;
  }
}

/** A block of bytes as they are (3.2.4). */
function stored(end: usize, limit: usize): bool {
  // What was read ahead goes back, but for the rest of a byte.
  at -= <usize>(count >> 3);
  bits = 0;
  count = 0;
  if (at + 4 > end) return false;
  const n = load<u16>(at);
  if (n != <u16>~load<u16>(at, 2)) return false;
  at += 4;
  if (at + n > end || out + n > limit) return false;
  memory.copy(out, at, n);
  at += n;
  out += n;
  return true;
}

/** Makes a code's table from `n` lengths (3.2.2). It must be complete; `few`: or have one code of one bit, or none. */
function build(table: usize, lengths: usize, n: u32, few: bool): bool {
  memory.fill(table, 0, SYMBOLS);
  for (let i: u32 = 0; i < n; i++) {
    const c = table + COUNTS + (<usize>load<u8>(lengths + i) << 1);
    store<u16>(c, load<u16>(c) + 1);
  }
  store<u16>(table, 0, COUNTS);
  let left: i32 = 1, used: u32 = 0;
  for (let l: usize = 1; l < 16; l++) {
    const here: u32 = load<u16>(table + COUNTS + (l << 1));
    store<u16>(OFFSETS + (l << 1), <u16>used);
    used += here;
    left = (left << 1) - <i32>here;
    if (left < 0) return false;
  }
  if (left > 0 && !(few && used == load<u16>(table + COUNTS, 2) && used < 2)) return false;
  for (let i: u32 = 0; i < n; i++) {
    const l: usize = load<u8>(lengths + i);
    if (!l) continue;
    const o = OFFSETS + (l << 1), k: usize = load<u16>(o);
    store<u16>(table + SYMBOLS + (k << 1), <u16>i);
    store<u16>(o, <u16>(k + 1));
  }
  // The short ones once more, by their bits as they come in: the code's highest first.
  let code: u32 = 0, k: usize = 0;
  for (let l: u32 = 1; l <= <u32>FAST_BITS; l++) {
    for (let i: u32 = load<u16>(table + COUNTS + (l << 1)); i; i--, code++, k++) {
      let reversed: u32 = 0;
      for (let b: u32 = 0; b < l; b++) reversed |= (code >> b & 1) << (l - 1 - b);
      const entry = <u16>(<u32>load<u16>(table + SYMBOLS + (k << 1)) << 4 | l);
      for (let r = reversed; r < 1 << <u32>FAST_BITS; r += 1 << l) store<u16>(table + (r << 1), entry);
    }
    code <<= 1;
  }
  return true;
}

function fixedCodes(): bool {
  memory.fill(LENGTHS, 8, 144);
  memory.fill(LENGTHS + 144, 9, 112);
  memory.fill(LENGTHS + 256, 7, 24);
  memory.fill(LENGTHS + 280, 8, 8);
  memory.fill(LENGTHS + MAX_LITERALS, 5, MAX_DISTANCES);
  return build(LITERALS, LENGTHS, MAX_LITERALS, false) && build(DISTANCES, LENGTHS + MAX_LITERALS, MAX_DISTANCES, false);
}

function dynamicCodes(): bool {
  const literals = take(5) + 257, distances = take(5) + 1, n = take(4) + 4;
  if (literals > 286 || distances > 30) return false;
  memory.fill(LENGTHS, 0, 19);
  for (let i: u32 = 0; i < n; i++) store<u8>(LENGTHS + load<u8>(ORDER + i), <u8>take(3));
  if (!build(LITERALS, LENGTHS, 19, false)) return false;
  for (let i: u32 = 0; i < literals + distances; ) {
    refill();
    const e = long(LITERALS, bits), symbol = e >> 4;
    if (!e) return false;
    bits >>= e & 15;
    count -= e & 15;
    if (symbol < 16) {
      store<u8>(LENGTHS + i++, <u8>symbol);
      continue;
    }
    if (symbol == 16 && !i) return false;
    const value: u8 = symbol == 16 ? load<u8>(LENGTHS + i - 1) : 0;
    const times = symbol == 16 ? 3 + take(2) : symbol == 17 ? 3 + take(3) : 11 + take(7);
    if (i + times > literals + distances) return false;
    memory.fill(LENGTHS + i, value, times);
    i += times;
  }
  // Without an end a block has none.
  if (!load<u8>(LENGTHS + 256)) return false;
  memory.copy(LENGTHS + 512, LENGTHS + literals, distances);
  return build(LITERALS, LENGTHS, literals, true) && build(DISTANCES, LENGTHS + 512, distances, true);
}

/** A code that is longer than FAST_BITS, bit by bit: symbol << 4 | length; 0: none. */
function long(table: usize, input: u64): u32 {
  let code: i32 = 0, first: i32 = 0, index: i32 = 0;
  for (let l: usize = 1; l < 16; l++) {
    code |= <i32>(input & 1);
    input >>= 1;
    const here: i32 = load<u16>(table + COUNTS + (l << 1));
    if (code - here < first) return <u32>load<u16>(table + SYMBOLS + (<usize>(index + code - first) << 1)) << 4 | <u32>l;
    index += here;
    first = (first + here) << 1;
    code <<= 1;
  }
  return 0;
}

/** Literals and copies up to the end of the block (3.2.5). The input and its place are locals here: it is the loop that counts. */
function compressed(end: usize, limit: usize): bool {
  let b = bits, n = count, from = at, to = out;
  while (true) {
    // 15 bits for a length and 5 of its own, 15 for a distance and 13.
    b |= load<u64>(from) << n;
    from += <usize>((63 - n) >> 3);
    n |= 56;
    if (from - <usize>(n >> 3) > end) return false;
    let e: u32 = load<u16>(LITERALS + <usize>((b & FAST) << 1));
    if (!e) e = long(LITERALS, b);
    b >>= e & 15;
    n -= e & 15;
    const symbol = e >> 4;
    if (symbol < 256) {
      if (!e || to == limit) return false;
      store<u8>(to++, <u8>symbol);
      continue;
    }
    if (symbol == 256) break;
    if (symbol > 285) return false;
    const s = <u64>symbol - 257, more = s < 8 || s == 28 ? 0 : (s >> 2) - 1;
    const length = <usize>(s == 28 ? 258 : s < 8 ? 3 + s : 3 + ((4 + (s & 3)) << more) + (b & ((<u64>1 << more) - 1)));
    b >>= more;
    n -= more;
    e = load<u16>(DISTANCES + <usize>((b & FAST) << 1));
    if (!e) e = long(DISTANCES, b);
    b >>= e & 15;
    n -= e & 15;
    const d = <u64>(e >> 4), far = d < 4 ? 0 : (d >> 1) - 1;
    if (!e || d > 29) return false;
    const distance = <usize>(d < 4 ? 1 + d : 1 + ((2 + (d & 1)) << far) + (b & ((<u64>1 << far) - 1)));
    b >>= far;
    n -= far;
    if (distance > to - INFLATE_OUTPUT || length > limit - to) return false;
    let copy = to - distance;
    const stop = to + length;
    // Eight bytes at a time: up to seven too many, which come to be written later, or lie beyond the limit.
    if (distance >= 8) for (; to < stop; to += 8, copy += 8) store<u64>(to, load<u64>(copy));
    else for (; to < stop; to++, copy++) store<u8>(to, load<u8>(copy));
    to = stop;
  }
  bits = b;
  count = n;
  at = from;
  out = to;
  return true;
}
