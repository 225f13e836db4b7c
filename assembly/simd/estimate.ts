/**
 * RCPPS, RCPSS, RSQRTPS, RSQRTSS. The manuals promise a relative error of at most 1.5 * 2^-12; the answer here is the
 * value rounded to binary32, the same on every host. Denormals count as zeros, tiny results become zeros, and no
 * exception is raised whatever MXCSR says (SDM vol. 2, RCPPS and RSQRTPS).
 */
import { Vcpu } from "../gen/layout";
import { putLow32, putVector, scratch, src, srcAny, vectorBytes } from "./operand";

const SIGN: u32 = 0x80000000;
const INFINITY: u32 = 0x7f800000;
const QUIET: u32 = 0x00400000;

function reciprocal(v: u32): u32 {
  const magnitude = v & ~SIGN, sign = v & SIGN;
  if (magnitude > INFINITY) return v | QUIET;
  if (magnitude == INFINITY) return sign;
  if (magnitude < 0x00800000) return sign | INFINITY;
  const r = reinterpret<u32>(<f32>1 / reinterpret<f32>(v));
  return (r & INFINITY) == 0 ? sign : r;
}

function reciprocalRoot(v: u32): u32 {
  const magnitude = v & ~SIGN, sign = v & SIGN;
  if (magnitude > INFINITY) return v | QUIET;
  if (magnitude < 0x00800000) return sign | INFINITY;
  if (sign) return SIGN | INFINITY | QUIET;
  if (magnitude == INFINITY) return 0;
  return reinterpret<u32>(<f32>(1 / sqrt<f64>(<f64>reinterpret<f32>(v))));
}

export function rcpps(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), size = vectorBytes(u);
  for (let i: usize = 0; i < size; i += 4) store<u32>(out + i, reciprocal(load<u32>(s + i)));
  return putVector(c, u, out);
}
export function rsqrtps(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), size = vectorBytes(u);
  for (let i: usize = 0; i < size; i += 4) store<u32>(out + i, reciprocalRoot(load<u32>(s + i)));
  return putVector(c, u, out);
}
export function rcpss(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  return s ? putLow32(c, u, reciprocal(load<u32>(s))) : false;
}
export function rsqrtss(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 4);
  return s ? putLow32(c, u, reciprocalRoot(load<u32>(s))) : false;
}
