/**
 * 128-bit fixed-point steps for the transcendental instructions: a 64-bit result needs some 70 good bits, these keep
 * more than 110. A number is a pair (high word, low word); a result's halves are left in `wHi` and `wLo`.
 *
 * Formats: "fraction" = value * 2^128 (below 1); "unit" = value * 2^127 (below 2).
 */

import { mulHi, u128Rem, udiv128 } from "./u128";

export let wHi: u64 = 0;
export let wLo: u64 = 0;

/** 1.0 as a unit's high word. */
export const W_ONE: u64 = 0x8000000000000000;

/** Upper 128 bits of a * b (low by at most two in the last place). */
export function wMul(ah: u64, al: u64, bh: u64, bl: u64): void {
  const m1: u64 = ah * bl;
  const m2: u64 = al * bh;
  const mid: u64 = m1 + m2;
  // The carry of the middle column and of its sum with the low column's high part.
  let hi: u64 = mulHi(ah, bh);
  let lo: u64 = ah * bh;
  const low: u64 = mulHi(al, bl);
  const carry: u64 = u64(mid < m1) + u64(mid + low < mid);
  const add: u64 = mulHi(ah, bl);
  const add2: u64 = mulHi(al, bh);
  lo += add;
  hi += u64(lo < add);
  lo += add2;
  hi += u64(lo < add2);
  lo += carry;
  hi += u64(lo < carry);
  wHi = hi;
  wLo = lo;
}

/** a / k for a small k (below 2^31). */
export function wDivSmall(ah: u64, al: u64, k: u64): void {
  const q2: u64 = ah / k;
  let r: u64 = ah - q2 * k;
  const t1: u64 = (r << 32) | (al >> 32);
  const q1: u64 = t1 / k;
  r = t1 - q1 * k;
  const t0: u64 = (r << 32) | (al & 0xffffffff);
  wHi = q2;
  wLo = (q1 << 32) + t0 / k;
}

/** One digit of a division by b (bit 127 set) of r (below b): returns floor(r * 2^64 / b), the new r in wHi:wLo. */
function divDigit(rh: u64, rl: u64, bh: u64, bl: u64): u64 {
  let q: u64;
  let rhat: u64;
  let over = false;
  if (rh >= bh) {
    q = u64.MAX_VALUE;
    rhat = rl + bh;
    over = rhat < bh;
  } else {
    q = udiv128(rh, rl, bh);
    rhat = u128Rem;
  }
  while (!over && (mulHi(q, bl) > rhat || (mulHi(q, bl) == rhat && q * bl > 0))) {
    q--;
    rhat += bh;
    over = rhat < bh;
  }
  const low: u64 = q * bl;
  wLo = 0 - low;
  wHi = rl - q * bh - mulHi(q, bl) - u64(low != 0);
  return q;
}

/** a / b as a fraction, for a < b and b with bit 127 set. */
export function wDiv(ah: u64, al: u64, bh: u64, bl: u64): void {
  const q1: u64 = divDigit(ah, al, bh, bl);
  const q0: u64 = divDigit(wHi, wLo, bh, bl);
  wHi = q1;
  wLo = q0;
}

/** a >> n (n from 0 to any size). */
export function wShr(ah: u64, al: u64, n: i32): void {
  if (n == 0) {
    wHi = ah;
    wLo = al;
  } else if (n < 64) {
    wLo = (al >> n) | (ah << (64 - n));
    wHi = ah >> n;
  } else {
    wLo = n < 128 ? ah >> (n - 64) : 0;
    wHi = 0;
  }
}

/** Shifts a non-zero a left until bit 127 is set; returns the count. */
export function wNorm(ah: u64, al: u64): i32 {
  let n: i32 = 0;
  if (ah == 0) {
    ah = al;
    al = 0;
    n = 64;
  }
  const z: i32 = i32(clz(ah));
  if (z != 0) {
    ah = (ah << z) | (al >> (64 - z));
    al <<= z;
  }
  wHi = ah;
  wLo = al;
  return n + z;
}

/** 1 +- t, as a unit, for a unit t below 1; kept off 1 itself so that a tiny term still leans the right way. */
export function wOneWith(th: u64, tl: u64, minus: bool): void {
  if ((th | tl) == 0) tl = 1;
  if (minus) {
    wLo = 0 - tl;
    wHi = W_ONE - th - u64(tl != 0);
  } else {
    wLo = tl;
    wHi = W_ONE + th;
  }
}
