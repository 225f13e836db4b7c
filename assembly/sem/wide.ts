/** 128-bit products and quotients, double shifts and rotates through carry, as plain functions on u64. */

@inline export function sextBits(v: u64, bits: u32): u64 {
  const s: u64 = 64 - bits;
  return <u64>(<i64>(v << s) >> s);
}

/** High half of the unsigned product. */
export function mulHighU(x: u64, y: u64): u64 {
  const a = x & 0xffffffff, b = x >> 32, c = y & 0xffffffff, d = y >> 32;
  const m = b * c + ((a * c) >> 32);
  const n = a * d + (m & 0xffffffff);
  return b * d + (m >> 32) + (n >> 32);
}

/** High half of the signed product. */
export function mulHighS(x: u64, y: u64): u64 {
  let h = mulHighU(x, y);
  if (<i64>x < 0) h -= y;
  if (<i64>y < 0) h -= x;
  return h;
}

let remainder: u64 = 0;

/** hi:lo / y for hi < y (Knuth's algorithm D with 32-bit digits). */
export function divide128(hi: u64, lo: u64, y: u64): u64 {
  if (hi == 0) {
    remainder = lo % y;
    return lo / y;
  }
  const s = clz<u64>(y);
  const v = y << s;
  const vh = v >> 32, vl = v & 0xffffffff;
  const un64 = s ? (hi << s) | (lo >> (64 - s)) : hi;
  const un10 = lo << s;
  const un1 = un10 >> 32, un0 = un10 & 0xffffffff;
  let q1 = un64 / vh, r = un64 - q1 * vh;
  while (q1 >= 0x100000000 || q1 * vl > ((r << 32) | un1)) {
    q1--; r += vh;
    if (r >= 0x100000000) break;
  }
  const un21 = (un64 << 32) + un1 - q1 * v;
  let q0 = un21 / vh;
  r = un21 - q0 * vh;
  while (q0 >= 0x100000000 || q0 * vl > ((r << 32) | un0)) {
    q0--; r += vh;
    if (r >= 0x100000000) break;
  }
  remainder = ((un21 << 32) + un0 - q0 * v) >> s;
  return (q1 << 32) + q0;
}

export function remainder128(hi: u64, lo: u64, y: u64): u64 {
  divide128(hi, lo, y);
  return remainder;
}

/** Signed hi:lo / y: 1 if the quotient does not fit or y is 0. Quotient and remainder are left for the two below. */
let squot: u64 = 0, srem: u64 = 0;
export function signedDivideBad(hi: u64, lo: u64, y: u64): u32 {
  if (!y) return 1;
  const negative = <i64>hi < 0;
  let h = hi, l = lo;
  if (negative) {
    l = 0 - lo;
    h = ~hi + u64(lo == 0);
  }
  const d: u64 = <i64>y < 0 ? 0 - y : y;
  if (h >= d) return 1;
  const q = divide128(h, l, d), flip = negative != <i64>y < 0;
  if (flip ? q > 0x8000000000000000 : q > 0x7fffffffffffffff) return 1;
  squot = flip ? 0 - q : q;
  srem = negative ? 0 - remainder : remainder;
  return 0;
}
export function signedQuotient(hi: u64, lo: u64, y: u64): u64 { signedDivideBad(hi, lo, y); return squot; }
export function signedRemainder(hi: u64, lo: u64, y: u64): u64 { signedDivideBad(hi, lo, y); return srem; }

/** SHLD of values of `bits`; counts above the size (16-bit operands) shift in the destination again, as CPUs do. */
export function shiftDoubleLeft(x: u64, y: u64, n: u64, bits: u64): u64 {
  if (n == 0) return x;
  if (bits == 64) return (x << n) | (y >> (64 - n));
  const mask: u64 = (1 << bits) - 1;
  if (n < bits) return (x << n) | ((y & mask) >> (bits - n));
  if (n == bits) return y;
  const k = n - bits;
  return (y << k) | ((x & mask) >> (bits - k));
}

export function shiftDoubleRight(x: u64, y: u64, n: u64, bits: u64): u64 {
  if (n == 0) return x;
  if (bits == 64) return (x >> n) | (y << (64 - n));
  const mask: u64 = (1 << bits) - 1;
  if (n < bits) return ((x & mask) >> n) | (y << (bits - n));
  if (n == bits) return y;
  const k = n - bits;
  return ((y & mask) >> k) | (x << (bits - k));
}

/** Rotate left through carry of `bits` + 1 bits; n already reduced modulo bits + 1. */
export function rotateCarryLeft(x: u64, n: u64, carry: u64, bits: u64): u64 {
  if (n == 0) return x;
  const v = bits == 64 ? x : x & ((<u64>1 << bits) - 1);
  // The two parts of the ring of bits + 1: x shifted up, carry, then the top bits of x from below.
  let r = (n == 64 ? 0 : v << n) | (carry << (n - 1));
  if (n > 1) r |= v >> (bits - n + 1);
  return r;
}

export function rotateCarryRight(x: u64, n: u64, carry: u64, bits: u64): u64 {
  return n == 0 ? x : rotateCarryLeft(x, bits + 1 - n, carry, bits);
}
