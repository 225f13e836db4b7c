/** SSE4.1's floating point: ROUND* and dot products. */
import { Vcpu } from "../gen/layout";
import { begin, settle } from "./exceptions";
import { dst, putXmm, scratch, src16, srcAny } from "./operand";
import { uImm } from "../decode/uop";
import { f32Round, f64Round } from "../fp/ssecvt";
import { fadd32, fadd64, fmul32, fmul64 } from "../fp/fast";

/** imm8: 3 no precision exception, 2 round as MXCSR.RC says, else 1:0 is the rounding mode. */
@inline function mode(c: Vcpu, u: usize): u32 {
  const imm = <u32>uImm(u);
  return imm & 4 ? (c.mxcsr >> 13) & 3 : imm & 3;
}
@inline function quiet(u: usize): bool { return (<u32>uImm(u) & 8) != 0; }

export function roundps(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  if (!s) return false;
  const out = scratch(c), rc = mode(c, u);
  begin();
  for (let i: usize = 0; i < 16; i += 4) store<u32>(out + i, f32Round(load<u32>(s + i), rc, quiet(u), c.mxcsr));
  return settle(c) ? putXmm(c, u, v128.load(out)) : false;
}
export function roundpd(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  if (!s) return false;
  const rc = mode(c, u);
  begin();
  const low = f64Round(load<u64>(s), rc, quiet(u), c.mxcsr), high = f64Round(load<u64>(s, 8), rc, quiet(u), c.mxcsr);
  return settle(c) ? putXmm(c, u, i64x2(low, high)) : false;
}
export function roundss(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  if (!s) return false;
  begin();
  const r = f32Round(load<u32>(s), mode(c, u), quiet(u), c.mxcsr);
  if (!settle(c)) return false;
  store<u32>(dst(c, u), r);
  return true;
}
export function roundsd(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  if (!s) return false;
  begin();
  const r = f64Round(load<u64>(s), mode(c, u), quiet(u), c.mxcsr);
  if (!settle(c)) return false;
  store<u64>(dst(c, u), r);
  return true;
}

/** A product that imm8[7:4] leaves out counts as +0 and raises nothing. */
@inline function product32(c: Vcpu, d: usize, s: usize, lane: usize, imm: u32): u32 {
  return (imm >> (4 + <u32>lane)) & 1 ? fmul32(load<u32>(d + (lane << 2)), load<u32>(s + (lane << 2)), c.mxcsr) : 0;
}
/** The sum goes to the lanes of imm8[3:0], others become 0. Exceptions settle after the products, then each sum. */
export function dpps(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  if (!s) return false;
  const d = dst(c, u), imm = <u32>uImm(u);
  begin();
  const p0 = product32(c, d, s, 0, imm), p1 = product32(c, d, s, 1, imm);
  const p2 = product32(c, d, s, 2, imm), p3 = product32(c, d, s, 3, imm);
  if (!settle(c)) return false;
  begin();
  const low = fadd32(p0, p1, c.mxcsr), high = fadd32(p2, p3, c.mxcsr);
  if (!settle(c)) return false;
  begin();
  const sum = fadd32(low, high, c.mxcsr);
  if (!settle(c)) return false;
  return putXmm(c, u, i32x4(imm & 1 ? sum : 0, imm & 2 ? sum : 0, imm & 4 ? sum : 0, imm & 8 ? sum : 0));
}
export function dppd(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  if (!s) return false;
  const d = dst(c, u), imm = <u32>uImm(u);
  begin();
  const p0: u64 = imm & 16 ? fmul64(load<u64>(d), load<u64>(s), c.mxcsr) : 0;
  const p1: u64 = imm & 32 ? fmul64(load<u64>(d, 8), load<u64>(s, 8), c.mxcsr) : 0;
  if (!settle(c)) return false;
  begin();
  const sum = fadd64(p0, p1, c.mxcsr);
  if (!settle(c)) return false;
  return putXmm(c, u, i64x2(imm & 1 ? sum : 0, imm & 2 ? sum : 0));
}
