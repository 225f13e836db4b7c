/** SSE4.1's floating point: ROUND* and dot products. */
import { Vcpu } from "../gen/layout";
import { begin, settle } from "./exceptions";
import { leftAt, putLow32, putLow64, putVector, putXmm, scratch, src, srcAny, vectorBytes } from "./operand";
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
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), rc = mode(c, u), size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 4) store<u32>(out + i, f32Round(load<u32>(s + i), rc, quiet(u), c.mxcsr));
  return settle(c) ? putVector(c, u, out) : false;
}
export function roundpd(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), rc = mode(c, u), size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 8) store<u64>(out + i, f64Round(load<u64>(s + i), rc, quiet(u), c.mxcsr));
  return settle(c) ? putVector(c, u, out) : false;
}
export function roundss(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  if (!s) return false;
  begin();
  const r = f32Round(load<u32>(s), mode(c, u), quiet(u), c.mxcsr);
  return settle(c) ? putLow32(c, u, r) : false;
}
export function roundsd(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  if (!s) return false;
  begin();
  const r = f64Round(load<u64>(s), mode(c, u), quiet(u), c.mxcsr);
  return settle(c) ? putLow64(c, u, r) : false;
}

/**
 * In each lane the products that imm8[7:4] chooses are added up (the others count as +0 and raise nothing); the sum goes
 * to the elements of imm8[3:0], others become 0. Each element is the sum of its own pair (the neighbour first) and the
 * other one: the order shows when several are NaNs. Exceptions settle after the products, then after each sum.
 */
export function dpps(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const l = leftAt(c, u), imm = <u32>uImm(u), out = scratch(c), pairs = out + 32, mxcsr = c.mxcsr, size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 4) {
    const wanted = (imm >> (4 + <u32>((i >> 2) & 3))) & 1;
    store<u32>(out + i, wanted ? fmul32(load<u32>(l + i), load<u32>(s + i), mxcsr) : 0);
  }
  if (!settle(c)) return false;
  begin();
  for (let i: usize = 0; i < size; i += 4) {
    store<u32>(pairs + i, fadd32(load<u32>(out + (i ^ 4)), load<u32>(out + i), mxcsr));
  }
  if (!settle(c)) return false;
  begin();
  for (let i: usize = 0; i < size; i += 4) {
    const sum = fadd32(load<u32>(pairs + i), load<u32>(pairs + (i ^ 8)), mxcsr);
    store<u32>(out + i, (imm >> <u32>((i >> 2) & 3)) & 1 ? sum : 0);
  }
  return settle(c) ? putVector(c, u, out) : false;
}
export function dppd(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const l = leftAt(c, u), imm = <u32>uImm(u);
  begin();
  const p0: u64 = imm & 16 ? fmul64(load<u64>(l), load<u64>(s), c.mxcsr) : 0;
  const p1: u64 = imm & 32 ? fmul64(load<u64>(l, 8), load<u64>(s, 8), c.mxcsr) : 0;
  if (!settle(c)) return false;
  begin();
  const low = fadd64(p0, p1, c.mxcsr), high = fadd64(p1, p0, c.mxcsr);
  if (!settle(c)) return false;
  return putXmm(c, u, i64x2(imm & 1 ? low : 0, imm & 2 ? high : 0));
}
