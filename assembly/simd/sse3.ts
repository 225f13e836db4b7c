/** SSE3: alternating and horizontal floating-point arithmetic, moves that duplicate. LDDQU is MOVDQU. */
import { Vcpu } from "../gen/layout";
import { begin, settle } from "./exceptions";
import { lanes } from "./lanes";
import { isWide, leftAt, putVector, putXmm, putYmm, scratch, src, srcAny, vectorBytes } from "./operand";
import { fadd32, fadd64, fsub32, fsub64 } from "../fp/fast";

/** Even elements subtract, odd ones add. */
export function addsubps(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), l = leftAt(c, u), mxcsr = c.mxcsr, size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 8) {
    store<u32>(out + i, fsub32(load<u32>(l + i), load<u32>(s + i), mxcsr));
    store<u32>(out + i, fadd32(load<u32>(l + i, 4), load<u32>(s + i, 4), mxcsr), 4);
  }
  return settle(c) ? putVector(c, u, out) : false;
}
export function addsubpd(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), l = leftAt(c, u), mxcsr = c.mxcsr, size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 16) {
    store<u64>(out + i, fsub64(load<u64>(l + i), load<u64>(s + i), mxcsr));
    store<u64>(out + i, fadd64(load<u64>(l + i, 8), load<u64>(s + i, 8), mxcsr), 8);
  }
  return settle(c) ? putVector(c, u, out) : false;
}

/** In each lane the sums (or differences) of neighbours: of the first source in the lower half, then of the second. */
@inline function horizontal32(c: Vcpu, u: usize, subtract: bool): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), mxcsr = c.mxcsr, size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 4) {
    const p = (i & 8 ? s : leftAt(c, u)) + (i & 16) + ((i & 4) << 1), a = load<u32>(p), b = load<u32>(p, 4);
    store<u32>(out + i, subtract ? fsub32(a, b, mxcsr) : fadd32(a, b, mxcsr));
  }
  return settle(c) ? putVector(c, u, out) : false;
}
@inline function horizontal64(c: Vcpu, u: usize, subtract: bool): bool {
  const s = src(c, u);
  if (!s) return false;
  const out = scratch(c), mxcsr = c.mxcsr, size = vectorBytes(u);
  begin();
  for (let i: usize = 0; i < size; i += 8) {
    const p = (i & 8 ? s : leftAt(c, u)) + (i & 16), a = load<u64>(p), b = load<u64>(p, 8);
    store<u64>(out + i, subtract ? fsub64(a, b, mxcsr) : fadd64(a, b, mxcsr));
  }
  return settle(c) ? putVector(c, u, out) : false;
}
export function haddps(c: Vcpu, u: usize): bool { return horizontal32(c, u, false); }
export function hsubps(c: Vcpu, u: usize): bool { return horizontal32(c, u, true); }
export function haddpd(c: Vcpu, u: usize): bool { return horizontal64(c, u, false); }
export function hsubpd(c: Vcpu, u: usize): bool { return horizontal64(c, u, true); }

@unmanaged class Movsldup { @inline of(a: v128, b: v128): v128 { return v128.shuffle<i32>(b, b, 0, 0, 2, 2); } }
export function movsldup(c: Vcpu, u: usize): bool { return lanes<Movsldup>(c, u); }
@unmanaged class Movshdup { @inline of(a: v128, b: v128): v128 { return v128.shuffle<i32>(b, b, 1, 1, 3, 3); } }
export function movshdup(c: Vcpu, u: usize): bool { return lanes<Movshdup>(c, u); }
/** 8 bytes, with 256 bits 32. */
export function movddup(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, isWide(u) ? 32 : 8);
  if (!s) return false;
  const low = i64x2.splat(load<i64>(s));
  return isWide(u) ? putYmm(c, u, low, i64x2.splat(load<i64>(s, 16))) : putXmm(c, u, low);
}
