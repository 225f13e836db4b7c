/**
 * FMA: a * b + c rounded once. The micro-op's constant k has the order of the operands
 * in bits 1:0 (0 132, 1 213, 2 231) and what is negated: the addend in even elements (2) and in odd ones (3), the product
 * (4).
 */
import { Vcpu } from "../gen/layout";
import { uImm } from "../decode/uop";
import { ffma32, ffma64 } from "../fp/fastfma";
import { fmaSign32, fmaSign64 } from "../fp/fma";
import { begin, settle } from "./exceptions";
import { dst, leftAt, putVector, scratch, src, srcAny, vectorBytes } from "./operand";

/** One element; x, y, z are the three operands as they are written. */
function fused32(x: u32, y: u32, z: u32, k: u32, odd: u32, mxcsr: u32): u32 {
  const order = k & 3;
  let a = order == 0 ? x : y, c = order == 0 ? y : order == 1 ? z : x;
  if (k & 16) a = fmaSign32(a);
  if ((k >> (2 + odd)) & 1) c = fmaSign32(c);
  return ffma32(a, order == 1 ? x : z, c, mxcsr);
}
function fused64(x: u64, y: u64, z: u64, k: u32, odd: u32, mxcsr: u32): u64 {
  const order = k & 3;
  let a = order == 0 ? x : y, c = order == 0 ? y : order == 1 ? z : x;
  if (k & 16) a = fmaSign64(a);
  if ((k >> (2 + odd)) & 1) c = fmaSign64(c);
  return ffma64(a, order == 1 ? x : z, c, mxcsr);
}

export function fmaPS(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), d = dst(c, u), l = leftAt(c, u), k = <u32>uImm(u), mxcsr = c.mxcsr, size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 4) {
    store<u32>(out + i, fused32(load<u32>(d + i), load<u32>(l + i), load<u32>(s + i), k, <u32>(i >> 2) & 1, mxcsr));
  }
  return settle(c) ? putVector(c, u, out) : false;
}
export function fmaPD(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), d = dst(c, u), l = leftAt(c, u), k = <u32>uImm(u), mxcsr = c.mxcsr, size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 8) {
    store<u64>(out + i, fused64(load<u64>(d + i), load<u64>(l + i), load<u64>(s + i), k, <u32>(i >> 3) & 1, mxcsr));
  }
  return settle(c) ? putVector(c, u, out) : false;
}
/** The destination's other elements stay, up to bit 127. */
export function fmaSS(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  if (!s) return false;
  const d = dst(c, u);
  begin();
  const r = fused32(load<u32>(d), load<u32>(leftAt(c, u)), load<u32>(s), <u32>uImm(u), 0, c.mxcsr);
  if (!settle(c)) return false;
  store<u32>(d, r);
  v128.store(d, i64x2.splat(0), 16);
  return true;
}
export function fmaSD(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  if (!s) return false;
  const d = dst(c, u);
  begin();
  const r = fused64(load<u64>(d), load<u64>(leftAt(c, u)), load<u64>(s), <u32>uImm(u), 0, c.mxcsr);
  if (!settle(c)) return false;
  store<u64>(d, r);
  v128.store(d, i64x2.splat(0), 16);
  return true;
}
