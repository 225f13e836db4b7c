/** Random numbers that a seed determines, and values that are worth trying. */

/** sfc32, by Chris Doty-Humphrey. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** The stream that the numbers select. */
  constructor(...seed: readonly number[]) {
    [this.#a, this.#b, this.#c] = [0x9e3779b9, 0x243f6a88, 0xb7e15162];
    for (const s of seed) {
      this.#a ^= s;
      this.#b ^= Math.floor(s / 2 ** 32);
      for (let i = 0; i < 12; i++) this.u32();
    }
  }

  u32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  /** 0 to n - 1. */
  below(n: number): number {
    return this.u32() % n;
  }

  /** True in `percent` of 100 cases. */
  percent(percent: number): boolean {
    return this.below(1000) < percent * 10;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) out[i] = this.u32();
    return out;
  }

  /** An integer: ends of the ranges of all sizes, small ones, powers of two, anything. */
  integer(): bigint {
    switch (this.below(8)) {
      case 0:
      case 1:
        return this.pick(CORNERS);
      case 2:
        return BigInt(this.below(256));
      case 3:
        return BigInt.asUintN(64, -BigInt(this.below(256)));
      case 4:
        return 1n << BigInt(this.below(64));
      case 5:
        return this.u64() >> BigInt(this.below(64));
      default:
        return this.u64();
    }
  }

  single(): number {
    if (this.percent(30)) return this.pick(SINGLES) ^ (this.below(2) << 31);
    if (this.percent(15)) return this.u32();
    const fraction = this.percent(40) ? this.below(16) << 19 : this.below(1 << 23);
    return ((this.below(2) << 31) | ((115 + this.below(24)) << 23) | fraction) >>> 0;
  }

  double(): bigint {
    const sign = BigInt(this.below(2)) << 63n;
    if (this.percent(30)) return this.pick(DOUBLES) ^ sign;
    if (this.percent(15)) return this.u64();
    const fraction = this.percent(40) ? BigInt(this.below(16)) << 48n : this.u64() & 0xf_ffff_ffff_ffffn;
    return sign | (BigInt(1003 + this.below(60)) << 52n) | fraction;
  }

  /** Sign and exponent, and the significand. */
  extended(): [number, bigint] {
    const sign = this.below(2) << 15;
    if (this.percent(30)) {
      const [exponent, significand] = this.pick(EXTENDED);
      return [sign | exponent, significand];
    }
    const exponent = this.percent(15) ? this.below(0x8000) : 0x3fff - 70 + this.below(140);
    const fraction = this.percent(40) ? BigInt(this.below(64)) << 57n : this.u64();
    return [sign | exponent, this.percent(3) ? fraction : fraction | INTEGER_BIT];
  }
}

const CORNERS: readonly bigint[] = [8n, 16n, 32n, 64n].flatMap((bits) => {
  const sign = 1n << (bits - 1n);
  return [0n, 1n, sign - 1n, sign, 2n * sign - 1n, BigInt.asUintN(64, -sign), BigInt.asUintN(64, -sign - 1n)];
});
const INTEGER_BIT = 1n << 63n;
const SINGLES = [
  ...[0, 0x3f80_0000, 0x3f00_0000, 0x3fc0_0000, 0x4020_0000, 0x7f80_0000, 0x7fc0_0000, 0x7f81_2345, 0x7fc1_2345],
  ...[1, 0x7f_ffff, 0x80_0000, 0x7f7f_ffff, 0x4f00_0000, 0x4eff_ffff, 0x5f00_0000, 0x4b00_0001, 0x3f7f_ffff],
];
const DOUBLES = [
  ...[0n, 0x3ff0n << 48n, 0x3fe0n << 48n, 0x3ff8n << 48n, 0x4004n << 48n, 0x7ff0n << 48n, 0x7ff8n << 48n],
  ...[0x7ff8_0000_00ab_cdefn, 0x7ff0_0000_0000_0123n, 1n, 0xf_ffff_ffff_ffffn, 0x10n << 48n, 0x7fef_ffff_ffff_ffffn],
  ...[0x41df_ffff_ffc0_0000n, 0x41e0n << 48n, 0x41e0_0000_0020_0000n, 0x43e0n << 48n, 0x47ef_ffff_e000_0000n],
  ...[0x47ef_ffff_f000_0000n, 0x3810n << 48n, 0x36a0n << 48n, 0x3fef_ffff_ffff_ffffn, 0x4330_0000_0000_0001n],
];
const EXTENDED: readonly (readonly [number, bigint])[] = [
  ...([0, 1, 0x3fff, 0x4000, 0x3ffe, 0x7fff, 0x403e, 0x401e, 0x400e, 0x403f, 0x7ffe] as const).map(
    (exponent) => [exponent, INTEGER_BIT] as const,
  ),
  [0, 0n],
  [0, 1n],
  [0, INTEGER_BIT - 1n],
  [0x7fff, 3n << 62n],
  [0x7fff, (3n << 62n) | 0x1234n],
  [0x7fff, INTEGER_BIT | 0x99n],
  [0x7ffe, 2n * INTEGER_BIT - 1n],
  [0x403d, 2n * INTEGER_BIT - 1n],
  [0x407e, 2n * INTEGER_BIT - 1n],
  [0x43fe, 2n * INTEGER_BIT - 1n],
  [0x3fff, 3n << 62n],
  // Unnormal, pseudo-infinity: unsupported operands (SDM vol. 1, table 8-3).
  [0x4005, INTEGER_BIT - 1n],
  [0x7fff, 0n],
];
