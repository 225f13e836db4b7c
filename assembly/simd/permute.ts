/**
 * What AVX and AVX2 add: broadcasts, permutations within and across lanes, shifts with a count for each element, and tests
 * of signs.
 */
import { Vcpu } from "../gen/layout";
import { uD, uImm } from "../decode/uop";
import { setArithmeticFlags, CF, ZF } from "../sem/flags";
import { chosen, imm8 } from "./lanes";
import {
  dst, isWide, leftAt, putVector, putXmm, putYmm, reg, right, scratch, src, src16, srcAny, upper, writeMem,
} from "./operand";

/** One element of 1 << k bytes to all of a vector. */
export function broadcast(c: Vcpu, u: usize): bool {
  const k = <u32>uImm(u), s = srcAny(c, u, <u32>1 << k);
  if (!s) return false;
  let v: v128;
  switch (k) {
    case 0: v = i8x16.splat(load<u8>(s)); break;
    case 1: v = i16x8.splat(load<u16>(s)); break;
    case 2: v = i32x4.splat(load<u32>(s)); break;
    case 3: v = i64x2.splat(load<u64>(s)); break;
    default: v = right(s); break;
  }
  return isWide(u) ? putYmm(c, u, v, v) : putXmm(c, u, v);
}

// Within lanes of 128 bits, by the elements of the second source
@inline function dwordOf(a: usize, which: u32): u32 { return load<u32>(a + ((which & 3) << 2)); }
@unmanaged class Vpermilps {
  @inline of(a: usize, b: usize, imm: u32): v128 {
    return i32x4(
      dwordOf(a, load<u32>(b)), dwordOf(a, load<u32>(b, 4)), dwordOf(a, load<u32>(b, 8)), dwordOf(a, load<u32>(b, 12)),
    );
  }
  @inline next(imm: u32): u32 { return imm; }
}
/** Bit 1 chooses. */
@unmanaged class Vpermilpd {
  @inline of(a: usize, b: usize, imm: u32): v128 {
    return i64x2(load<u64>(a + ((load<u32>(b) & 2) << 2)), load<u64>(a + ((load<u32>(b, 8) & 2) << 2)));
  }
  @inline next(imm: u32): u32 { return imm; }
}
@unmanaged class VpermilpdImm {
  @inline of(a: usize, b: usize, imm: u32): v128 {
    return i64x2(load<u64>(b + ((imm & 1) << 3)), load<u64>(b + ((imm & 2) << 2)));
  }
  @inline next(imm: u32): u32 { return imm >> 2; }
}
export function vpermilps(c: Vcpu, u: usize): bool { return chosen<Vpermilps>(c, u); }
export function vpermilpd(c: Vcpu, u: usize): bool { return chosen<Vpermilpd>(c, u); }
export function vpermilpdImm(c: Vcpu, u: usize): bool { return chosen<VpermilpdImm>(c, u); }

// Across lanes
/** Four bits of imm8 for each half: 1:0 which half of the two sources, 3 zero instead. */
@inline function half(a: usize, b: usize, how: u32): v128 {
  return how & 8 ? i64x2.splat(0) : v128.load((how & 2 ? b : a) + ((how & 1) << 4));
}
export function vperm2x128(c: Vcpu, u: usize): bool {
  const s = src(c, u), l = leftAt(c, u), imm = imm8(u);
  return s ? putYmm(c, u, half(l, s, imm), half(l, s, imm >> 4)) : false;
}
export function vinsert128(c: Vcpu, u: usize): bool {
  const s = src16(c, u), l = leftAt(c, u);
  if (!s) return false;
  return imm8(u) & 1 ? putYmm(c, u, right(l), right(s)) : putYmm(c, u, right(s), upper(l));
}
export function vextract128(c: Vcpu, u: usize): bool {
  const v = right(reg(c, u) + ((imm8(u) & 1) << 4));
  if (uD(u)) return putXmm(c, u, v);
  const p = writeMem(c, u, 16);
  if (p) v128.store(p, v);
  return p != 0;
}
/** The dwords of the second source that the first one names. */
export function vpermd(c: Vcpu, u: usize): bool {
  const s = src(c, u), l = leftAt(c, u), out = scratch(c);
  if (!s) return false;
  for (let i: usize = 0; i < 32; i += 4) store<u32>(out + i, load<u32>(s + ((load<u32>(l + i) & 7) << 2)));
  return putVector(c, u, out);
}
export function vpermq(c: Vcpu, u: usize): bool {
  const s = src(c, u), imm = imm8(u);
  if (!s) return false;
  const low = i64x2(load<u64>(s + ((imm & 3) << 3)), load<u64>(s + ((imm & 12) << 1)));
  return putYmm(c, u, low, i64x2(load<u64>(s + ((imm & 48) >> 1)), load<u64>(s + ((imm & 192) >> 3))));
}

// Shifts: counts beyond the element clear it, or fill it with the sign
@inline function right32(v: u32, n: u32): u32 { return n < 32 ? v >> n : 0; }
@inline function left32(v: u32, n: u32): u32 { return n < 32 ? v << n : 0; }
@inline function sign32(v: u32, n: u32): u32 { return <i32>v >> <i32>min<u32>(n, 31); }
@inline function right64(v: u64, n: u64): u64 { return n < 64 ? v >> n : 0; }
@inline function left64(v: u64, n: u64): u64 { return n < 64 ? v << n : 0; }
@unmanaged class Vpsrlvd {
  @inline of(a: usize, b: usize, imm: u32): v128 {
    return i32x4(
      right32(load<u32>(a), load<u32>(b)), right32(load<u32>(a, 4), load<u32>(b, 4)),
      right32(load<u32>(a, 8), load<u32>(b, 8)), right32(load<u32>(a, 12), load<u32>(b, 12)),
    );
  }
  @inline next(imm: u32): u32 { return imm; }
}
@unmanaged class Vpsllvd {
  @inline of(a: usize, b: usize, imm: u32): v128 {
    return i32x4(
      left32(load<u32>(a), load<u32>(b)), left32(load<u32>(a, 4), load<u32>(b, 4)),
      left32(load<u32>(a, 8), load<u32>(b, 8)), left32(load<u32>(a, 12), load<u32>(b, 12)),
    );
  }
  @inline next(imm: u32): u32 { return imm; }
}
@unmanaged class Vpsravd {
  @inline of(a: usize, b: usize, imm: u32): v128 {
    return i32x4(
      sign32(load<u32>(a), load<u32>(b)), sign32(load<u32>(a, 4), load<u32>(b, 4)),
      sign32(load<u32>(a, 8), load<u32>(b, 8)), sign32(load<u32>(a, 12), load<u32>(b, 12)),
    );
  }
  @inline next(imm: u32): u32 { return imm; }
}
@unmanaged class Vpsrlvq {
  @inline of(a: usize, b: usize, imm: u32): v128 {
    return i64x2(right64(load<u64>(a), load<u64>(b)), right64(load<u64>(a, 8), load<u64>(b, 8)));
  }
  @inline next(imm: u32): u32 { return imm; }
}
@unmanaged class Vpsllvq {
  @inline of(a: usize, b: usize, imm: u32): v128 {
    return i64x2(left64(load<u64>(a), load<u64>(b)), left64(load<u64>(a, 8), load<u64>(b, 8)));
  }
  @inline next(imm: u32): u32 { return imm; }
}
export function vpsrlvd(c: Vcpu, u: usize): bool { return chosen<Vpsrlvd>(c, u); }
export function vpsllvd(c: Vcpu, u: usize): bool { return chosen<Vpsllvd>(c, u); }
export function vpsravd(c: Vcpu, u: usize): bool { return chosen<Vpsravd>(c, u); }
export function vpsrlvq(c: Vcpu, u: usize): bool { return chosen<Vpsrlvq>(c, u); }
export function vpsllvq(c: Vcpu, u: usize): bool { return chosen<Vpsllvq>(c, u); }

// Signs: ZF if none is set in both sources, CF if none is set in the second alone
@unmanaged class Singles { @inline signs(v: v128): i32 { return i32x4.bitmask(v); } }
@unmanaged class Doubles { @inline signs(v: v128): i32 { return i64x2.bitmask(v); } }
function testSigns<TSigns>(c: Vcpu, u: usize): bool {
  const s = src(c, u), d = dst(c, u), op = changetype<TSigns>(0);
  if (!s) return false;
  let a = op.signs(right(d)), b = op.signs(right(s));
  if (isWide(u)) {
    a |= op.signs(upper(d)) << 4;
    b |= op.signs(upper(s)) << 4;
  }
  setArithmeticFlags(c, (a & b ? 0 : ZF) | (~a & b ? 0 : CF));
  return true;
}
export function vtestps(c: Vcpu, u: usize): bool { return testSigns<Singles>(c, u); }
export function vtestpd(c: Vcpu, u: usize): bool { return testSigns<Doubles>(c, u); }
