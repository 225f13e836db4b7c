/** CMPPS, CMPPD, CMPSS, CMPSD, COMISS, UCOMISS, COMISD, UCOMISD. */
import { Vcpu } from "../gen/layout";
import { begin, settle } from "./exceptions";
import { dst, isVex, leftAt, putLow32, putLow64, putVector, scratch, src, srcAny, vectorBytes } from "./operand";
import { uImm } from "../decode/uop";
import { f32Cmp, f32Comi, f64Cmp, f64Comi } from "../fp/ssecmp";
import { setArithmeticFlags } from "../sem/flags";

/** Legacy SSE predicates have three bits: EQ, LT, LE, UNORD, NEQ, NLT, NLE, ORD; those of AVX have five. */
@inline function predicate(u: usize): u32 { return <u32>uImm(u) & (isVex(u) ? 31 : 7); }
@inline function mask32(a: u32, b: u32, p: u32, mxcsr: u32): u32 { return 0 - f32Cmp(a, b, p, mxcsr); }
@inline function mask64(a: u64, b: u64, p: u32, mxcsr: u32): u64 { return 0 - <u64>f64Cmp(a, b, p, mxcsr); }

export function cmpps(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), l = leftAt(c, u), mxcsr = c.mxcsr, p = predicate(u), size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 4) store<u32>(out + i, mask32(load<u32>(l + i), load<u32>(s + i), p, mxcsr));
  return settle(c) ? putVector(c, u, out) : false;
}
export function cmppd(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), l = leftAt(c, u), mxcsr = c.mxcsr, p = predicate(u), size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 8) store<u64>(out + i, mask64(load<u64>(l + i), load<u64>(s + i), p, mxcsr));
  return settle(c) ? putVector(c, u, out) : false;
}
export function cmpss(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  if (!s) return false;
  begin();
  const r = mask32(load<u32>(leftAt(c, u)), load<u32>(s), predicate(u), c.mxcsr);
  return settle(c) ? putLow32(c, u, r) : false;
}
export function cmpsdXmm(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  if (!s) return false;
  begin();
  const r = mask64(load<u64>(leftAt(c, u)), load<u64>(s), predicate(u), c.mxcsr);
  return settle(c) ? putLow64(c, u, r) : false;
}

/** Exponent field 1..0x7fe, or an exact zero: such operands are ordered and raise nothing. */
@inline function ordinary(v: u64): bool {
  return (v & 0x7ff0000000000000) - 0x0010000000000000 < 0x7fe0000000000000 || v << 1 == 0;
}
/** CF and ZF of an ordered comparison. */
@inline function relation(a: f64, b: f64): u32 { return u32(a < b) | (u32(a == b) << 6); }

/** ZF, PF, CF from the comparison; OF, SF, AF cleared. */
function comis32(c: Vcpu, u: usize, signaling: bool): bool {
  const s = srcAny(c, u, 4);
  if (!s) return false;
  begin();
  const flags = f32Comi(load<u32>(dst(c, u)), load<u32>(s), signaling, c.mxcsr);
  if (!settle(c)) return false;
  setArithmeticFlags(c, flags);
  return true;
}
function comis64(c: Vcpu, u: usize, signaling: bool): bool {
  const s = srcAny(c, u, 8);
  if (!s) return false;
  const a = load<u64>(dst(c, u)), b = load<u64>(s);
  if (ordinary(a) && ordinary(b)) {
    setArithmeticFlags(c, relation(reinterpret<f64>(a), reinterpret<f64>(b)));
    return true;
  }
  begin();
  const flags = f64Comi(a, b, signaling, c.mxcsr);
  if (!settle(c)) return false;
  setArithmeticFlags(c, flags);
  return true;
}
export function comiss(c: Vcpu, u: usize): bool { return comis32(c, u, true); }
export function ucomiss(c: Vcpu, u: usize): bool { return comis32(c, u, false); }
export function comisd(c: Vcpu, u: usize): bool { return comis64(c, u, true); }
export function ucomisd(c: Vcpu, u: usize): bool { return comis64(c, u, false); }
