/** 128-bit integer steps on u64 halves. Second results are left in `u128Lo` / `u128Rem`. */

/** Low half of the last two-word result. */
export let u128Lo: u64 = 0;
/** Remainder of the last udiv128. */
export let u128Rem: u64 = 0;

/** High 64 bits of the 128-bit product (the low half is `a * b`). */
// @ts-ignore: decorator
@inline
export function mulHi(a: u64, b: u64): u64 {
  const al: u64 = a & 0xffffffff;
  const ah: u64 = a >> 32;
  const bl: u64 = b & 0xffffffff;
  const bh: u64 = b >> 32;
  const mid: u64 = ah * bl + ((al * bl) >> 32);
  const mid2: u64 = al * bh + (mid & 0xffffffff);
  return ah * bh + (mid >> 32) + (mid2 >> 32);
}

/**
 * Quotient of hi:lo by d, remainder in `u128Rem`. d has bit 63 set and hi < d (Knuth's algorithm D with 32-bit digits).
 */
export function udiv128(hi: u64, lo: u64, d: u64): u64 {
  const dh: u64 = d >> 32;
  const dl: u64 = d & 0xffffffff;
  let q1: u64 = hi / dh;
  let r: u64 = hi - q1 * dh;
  while (q1 >> 32 != 0 || q1 * dl > ((r << 32) | (lo >> 32))) {
    q1--;
    r += dh;
    if (r >> 32 != 0) break;
  }
  const mid: u64 = ((hi << 32) | (lo >> 32)) - q1 * d;
  let q0: u64 = mid / dh;
  r = mid - q0 * dh;
  while (q0 >> 32 != 0 || q0 * dl > ((r << 32) | (lo & 0xffffffff))) {
    q0--;
    r += dh;
    if (r >> 32 != 0) break;
  }
  u128Rem = ((mid << 32) | (lo & 0xffffffff)) - q0 * d;
  return (q1 << 32) + q0;
}

/**
 * Shifts hi:lo right by n (n >= 0), ORing every bit lost into bit 0 of the low word. Returns the high word, the low
 * one in `u128Lo`.
 */
export function shiftRightJam128(hi: u64, lo: u64, n: i32): u64 {
  if (n == 0) {
    u128Lo = lo;
    return hi;
  }
  if (n < 64) {
    u128Lo = (hi << (64 - n)) | (lo >> n) | u64(lo << (64 - n) != 0);
    return hi >> n;
  }
  if (n == 64) {
    u128Lo = hi | u64(lo != 0);
  } else if (n < 128) {
    u128Lo = (hi >> (n - 64)) | u64((hi << (128 - n)) != 0 || lo != 0);
  } else {
    u128Lo = u64((hi | lo) != 0);
  }
  return 0;
}

/**
 * Integer square root of hi:0 for hi >= 2^62, or of hi:lo in general: returns floor(sqrt), which has bit 63 set.
 * `u128Rem` is 0 when exact, 1 when the fraction is below one half, 2 when above (it is never one half).
 */
export function isqrt128(hi: u64, lo: u64): u64 {
  // The host's square root gives about 52 bits; only its being near matters, so its rounding never shows.
  const est: f64 = sqrt(f64(hi)) * 4294967296.0;
  let s: u64 = est >= 18446744073709551615.0 ? u64.MAX_VALUE : u64(est);
  if (hi >= s) s = u64.MAX_VALUE;
  // One Newton step makes the error at most 1.
  const q: u64 = udiv128(hi, lo, s);
  s = (s >> 1) + (q >> 1) + (s & q & 1);
  // Correct to the floor: remainder = hi:lo - s*s must be in [0, 2s].
  let rl: u64 = lo - s * s;
  let rh: u64 = hi - mulHi(s, s) - u64(lo < s * s);
  while (i64(rh) < 0) {
    // (s-1)^2 = s^2 - 2s + 1
    s--;
    const add: u64 = (s << 1) | 1;
    rl += add;
    rh += (s >> 63) + u64(rl < add);
  }
  while (rh > s >> 63 || (rh == s >> 63 && rl > s << 1)) {
    const sub: u64 = (s << 1) | 1;
    rh -= (s >> 63) + u64(rl < sub);
    rl -= sub;
    s++;
  }
  u128Rem = (rh | rl) == 0 ? 0 : rh != 0 || rl > s ? 2 : 1;
  return s;
}
