/** SSE3: alternating and horizontal floating-point arithmetic, moves that duplicate. LDDQU is MOVDQU. */
import { Vcpu } from "../gen/layout";
import { begin, settle } from "./exceptions";
import { dst, putXmm, right, scratch, src16, srcAny } from "./operand";
import { fadd32, fadd64, fsub32, fsub64 } from "../fp/fast";

/** Lanes 0 and 2 subtract, 1 and 3 add. */
export function addsubps(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  if (!s) return false;
  const out = scratch(c), d = dst(c, u), mxcsr = c.mxcsr;
  begin();
  for (let i: usize = 0; i < 16; i += 8) {
    store<u32>(out + i, fsub32(load<u32>(d + i), load<u32>(s + i), mxcsr));
    store<u32>(out + i, fadd32(load<u32>(d + i, 4), load<u32>(s + i, 4), mxcsr), 4);
  }
  return settle(c) ? putXmm(c, u, v128.load(out)) : false;
}
export function addsubpd(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  if (!s) return false;
  const d = dst(c, u), mxcsr = c.mxcsr;
  begin();
  const low = fsub64(load<u64>(d), load<u64>(s), mxcsr), high = fadd64(load<u64>(d, 8), load<u64>(s, 8), mxcsr);
  return settle(c) ? putXmm(c, u, i64x2(low, high)) : false;
}

/** Sums (or differences) of neighbours: of operand 0 in the lower half, of operand 1 in the upper. */
@inline function horizontal32(c: Vcpu, u: usize, subtract: bool): bool {
  const s = src16(c, u);
  if (!s) return false;
  const out = scratch(c), mxcsr = c.mxcsr;
  begin();
  for (let i: usize = 0; i < 16; i += 4) {
    const p = (i < 8 ? dst(c, u) : s) + ((i & 4) << 1), a = load<u32>(p), b = load<u32>(p, 4);
    store<u32>(out + i, subtract ? fsub32(a, b, mxcsr) : fadd32(a, b, mxcsr));
  }
  return settle(c) ? putXmm(c, u, v128.load(out)) : false;
}
@inline function horizontal64(c: Vcpu, u: usize, subtract: bool): bool {
  const s = src16(c, u);
  if (!s) return false;
  const d = dst(c, u), mxcsr = c.mxcsr;
  const a0 = load<u64>(d), a1 = load<u64>(d, 8), b0 = load<u64>(s), b1 = load<u64>(s, 8);
  begin();
  const low = subtract ? fsub64(a0, a1, mxcsr) : fadd64(a0, a1, mxcsr);
  const high = subtract ? fsub64(b0, b1, mxcsr) : fadd64(b0, b1, mxcsr);
  return settle(c) ? putXmm(c, u, i64x2(low, high)) : false;
}
export function haddps(c: Vcpu, u: usize): bool { return horizontal32(c, u, false); }
export function hsubps(c: Vcpu, u: usize): bool { return horizontal32(c, u, true); }
export function haddpd(c: Vcpu, u: usize): bool { return horizontal64(c, u, false); }
export function hsubpd(c: Vcpu, u: usize): bool { return horizontal64(c, u, true); }

export function movsldup(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, v128.shuffle<i32>(right(s), right(s), 0, 0, 2, 2)) : false;
}
export function movshdup(c: Vcpu, u: usize): bool {
  const s = src16(c, u);
  return s ? putXmm(c, u, v128.shuffle<i32>(right(s), right(s), 1, 1, 3, 3)) : false;
}
export function movddup(c: Vcpu, u: usize): bool {
  const s = srcAny(c, u, 8);
  return s ? putXmm(c, u, i64x2.splat(load<i64>(s))) : false;
}
