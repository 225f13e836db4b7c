/** Shifts, rotates and bit instructions. The conventions of ./alu.ts hold. */
import { Reg, READ, MODIFY } from "./kinds";
import { F_SHL, F_SHR, F_SAR } from "./flags";

@inline export function shl<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), d = b.sx<T>(b.shl(x, n));
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { b.flags(F_SHL, d, b.sx<T>(b.shl(x, b.sub(n, b.k(1)))), b.k(0)); b.end(); }
  return true;
}

@inline export function shr<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.zx<T>(b.rd<T, D>(u, p)), d = b.sx<T>(b.shr(x, n));
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { b.flags(F_SHR, d, b.shr(x, b.sub(n, b.k(1))), b.sx<T>(x)); b.end(); }
  return true;
}

@inline export function sar<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), d = b.sx<T>(b.sar(x, n));
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { b.flags(F_SAR, d, b.sar(x, b.sub(n, b.k(1))), b.k(0)); b.end(); }
  return true;
}

@inline export function rol<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), d = b.rotl<T>(b.rd<T, D>(u, p), n);
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { const carry = b.and(d, b.k(1)); b.setCarryOverflow(carry, b.xor(carry, b.top<T>(d))); b.end(); }
  return true;
}

@inline export function ror<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), d = b.rotr<T>(b.rd<T, D>(u, p), n);
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { const carry = b.top<T>(d); b.setCarryOverflow(carry, b.xor(carry, b.top<T>(b.shl(d, b.k(1))))); b.end(); }
  return true;
}

@inline export function rcl<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), carry = b.cf(), d = b.rclResult<T>(x, n, carry);
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { const out = b.rclCarry<T>(x, n, carry); b.setCarryOverflow(out, b.xor(out, b.top<T>(d))); b.end(); }
  return true;
}

@inline export function rcr<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), carry = b.cf(), d = b.rcrResult<T>(x, n, carry);
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { b.setCarryOverflow(b.rcrCarry<T>(x, n, carry), b.xor(b.top<T>(d), b.top<T>(b.shl(d, b.k(1))))); b.end(); }
  return true;
}

@inline export function shld<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), y = b.rs<T, Reg>(u, b.src<T, Reg>(u)), d = b.shldResult<T>(x, y, n);
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { b.flags(F_SHL, d, b.shldResult<T>(x, y, b.sub(n, b.k(1))), b.k(0)); b.end(); }
  return true;
}

@inline export function shrd<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), y = b.rs<T, Reg>(u, b.src<T, Reg>(u)), d = b.shrdResult<T>(x, y, n);
  b.wd<T, D>(u, p, d);
  // OF is the change of sign: the record's third value carries it where SHR keeps the sign of its operand.
  if (b.when(b.some<N>(n))) { b.flags(F_SHR, d, b.shrdResult<T>(x, y, b.sub(n, b.k(1))), b.xor(x, d)); b.end(); }
  return true;
}

@inline export function bt<B, T, D, S>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, READ); if (b.bad<D>(p)) return false;
  b.setCarry(b.and(b.shr(b.rd<T, D>(u, p), b.bitIndex<T, S>(u)), b.k(1)));
  return true;
}

@inline export function bts<B, T, D, S>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.bitIndex<T, S>(u), x = b.rd<T, D>(u, p);
  b.wd<T, D>(u, p, b.or(x, b.shl(b.k(1), n))); b.setCarry(b.and(b.shr(x, n), b.k(1)));
  return true;
}

@inline export function btr<B, T, D, S>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.bitIndex<T, S>(u), x = b.rd<T, D>(u, p);
  b.wd<T, D>(u, p, b.and(x, b.xor(b.shl(b.k(1), n), b.k(-1)))); b.setCarry(b.and(b.shr(x, n), b.k(1)));
  return true;
}

@inline export function btc<B, T, D, S>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.bitIndex<T, S>(u), x = b.rd<T, D>(u, p);
  b.wd<T, D>(u, p, b.xor(x, b.shl(b.k(1), n))); b.setCarry(b.and(b.shr(x, n), b.k(1)));
  return true;
}

@inline export function bsf<B, T, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const x = b.zx<T>(b.rs<T, S>(u, q)), p = b.dst<T, Reg>(u, MODIFY);
  b.logic(x);
  if (b.when(b.ne(x, b.k(0)))) { b.wd<T, Reg>(u, p, b.ctz(x)); b.end(); }
  return true;
}

@inline export function bsr<B, T, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const x = b.zx<T>(b.rs<T, S>(u, q)), p = b.dst<T, Reg>(u, MODIFY);
  b.logic(x);
  if (b.when(b.ne(x, b.k(0)))) { b.wd<T, Reg>(u, p, b.sub(b.k(63), b.clz(x))); b.end(); }
  return true;
}
